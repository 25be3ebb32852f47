"""Learn a look: the whole algorithm on one page.

    proxy 224x224 -> VAE encode -> moments 28x28x8 -> latent balancer -> moments' 28x28x8
                                       |                                     |
                       decode: distorted subimage               decode: fixed subimage
                                       '-- color map: MLP 3 -> hidden -> 3, MSE --'
                                                 | one a round, composed, baked
                                             look = 3D LUT

Both subimages come out of the decoder, so they line up pixel for pixel; the proxy itself does not.

In the first round the balancer is asked three times: about the proxy, and about the proxy as two
classical corrections leave it. The means it gives are averaged: the mistakes of the answers differ,
so that much of each cancels. A photo that the balancer would hardly move is taken for a good one
and left alone.

Every further round asks once about what the rounds so far have made of the proxy. A small answer
is left alone: what three answers have missed, one more seldom knows. The cast of a large one is
followed, and counts as one opinion among all: round k goes 1/k of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_balance.color.lut import DEFAULT_SIZE, Lut3D
from vae_balance.color.srgb import luma_of
from vae_balance.correctors.classical import per_channel_stretch, shades_of_grey
from vae_balance.correctors.latent_balancer.vae import latents_of
from vae_balance.errors import OptionError
from vae_balance.looks.color_map import ColorMap, fit_color_map
from vae_balance.models.store import Model
from vae_balance.photos.proxy import PROXY_SIZE

Colors = NDArray[np.float32]
# Called with the number of rounds done and of all rounds, and with the stage that begins.
Progress = Callable[[int, int, str], None]

ITERATIONS = range(1, 11)
STRENGTHS = (0.0, 1.5)
SECOND_OPINIONS = (shades_of_grey, per_channel_stretch)
# Mean absolute change of color, of 0..1, by the balancer's answer about the proxy itself: up to the
# first the photo is left alone, from the second on it is corrected in full. It trades damage that
# is corrected less for undamaged photos that are changed less; `vae-balance evaluate` shows both.
FAULT = (0.005, 0.017)
# The same change, luma included, in a further round: up to the first nothing is done, from the
# second on its cast is followed.
LEFT = (0.02, 0.03)
# A photo is of a single color where each channel varies by no more: two codes of 8 bits.
PLAIN = 2.5 / 255
# Proxies that go through the networks together: memory stays flat for a roll.
TOGETHER = 8


@dataclass(frozen=True)
class LookOptions:
    """How a look is learned.

    Attributes:
        iterations: rounds, 1..10.
        strength: 0 leaves the photo alone, 1 corrects it, up to 1.5 goes beyond.
        seed: decode the means of the moments (None) or a sample drawn with this seed.
        size: nodes along each edge of the LUT, 2..129.

    Raises:
        OptionError: a value is out of its range.
    """

    iterations: int = 1
    strength: float = 1.0
    seed: int | None = None
    size: int = DEFAULT_SIZE

    def __post_init__(self) -> None:
        """Check the ranges (the LUT checks its size)."""
        if self.iterations not in ITERATIONS:
            raise OptionError(f"iterations {self.iterations}: must be 1 to 10")
        if not STRENGTHS[0] <= self.strength <= STRENGTHS[1]:
            raise OptionError(f"strength {self.strength}: must be 0 to 1.5")


@dataclass(frozen=True, eq=False)
class Round:
    """What one round saw and made, for those who want to look on; float32 arrays.

    One row for each of N proxies: of a roll, only its first 8 frames.

    Attributes:
        proxies: (N, 224, 224, 3) sRGB-encoded, 0..1, as the round received them.
        moments: (N, 8, 28, 28) of the proxies: 4 means, 4 log-variances.
        balanced: (N, 8, 28, 28) where they were moved.
        distorted: (N, 224, 224, 3) decoded from `moments`, 0..1.
        fixed: (N, 224, 224, 3) decoded from `balanced`, 0..1, or `distorted` with as much of the
            change to that as the round takes.
        color_map: learned from `distorted` to `fixed` of all proxies.
    """

    proxies: Colors
    moments: Colors
    balanced: Colors
    distorted: Colors
    fixed: Colors
    color_map: ColorMap


@dataclass(frozen=True, eq=False)
class Look:
    """A learned color function: the LUT (strength included) and the rounds that led to it."""

    lut: Lut3D
    options: LookOptions
    rounds: tuple[Round, ...]


def learn_look(
    proxies: Sequence[Colors],
    model: Model,
    options: LookOptions | None = None,
    progress: Progress = lambda done, total, stage: None,
) -> Look:
    """Learn one look from one proxy, or from all proxies of a roll together.

    The same proxies, options, model and number of threads (OMP_NUM_THREADS) give the same LUT on
    the same machine, bit for bit.

    Args:
        proxies: arrays (224, 224, 3), sRGB-encoded, 0..1.
        model: VAE and latent balancer.
        options: see `LookOptions`.
        progress: told of every stage of every round.

    Raises:
        OptionError: no proxy, or one of another shape.
    """
    options = options or LookOptions()
    current = _stack(proxies)
    rounds: list[Round] = []
    for done in range(options.iterations):
        if rounds:
            current = np.clip(rounds[-1].color_map(current), 0.0, 1.0)

        def report(stage: str, done: int = done) -> None:
            progress(done, options.iterations, stage)

        rounds.append(_learn_round(current, model, options, done + 1, report))
    progress(options.iterations, options.iterations, "bake")
    maps = [learned.color_map for learned in rounds]
    lut = Lut3D.from_function(lambda colors: compose(maps, colors), options.size)
    # White and black of a photo in floats stay in the range in which those of 8 bits do.
    return Look(lut.blended(options.strength).clipped(), options, tuple(rounds))


def compose(maps: Sequence[ColorMap], colors: NDArray[np.floating]) -> Colors:
    """Apply color maps one after the other to sRGB-encoded colors (..., 3) in 0..1."""
    mapped = np.asarray(colors, dtype=np.float32)
    for color_map in maps:
        mapped = color_map(np.clip(mapped, 0.0, 1.0))
    return mapped


@torch.inference_mode()
def _learn_round(
    proxies: Colors,
    model: Model,
    options: LookOptions,
    number: int,
    progress: Callable[[str], None],
) -> Round:
    """Learn round `number`, 1 for the first."""
    seen = [
        _ask(proxies[i : i + TOGETHER], model, options.seed, number, progress)
        for i in range(0, len(proxies), TOGETHER)
    ]
    progress("map colors")
    distorted = np.concatenate([few.distorted for few in seen])
    fixed = np.concatenate([few.fixed for few in seen])
    plain = np.ptp(proxies, axis=(1, 2)).max(axis=-1) <= PLAIN  # which says nothing of a fault
    fixed[plain] = distorted[plain]
    color_map = fit_color_map(distorted, fixed)
    shown = seen[0]
    moments, balanced = _numpy(shown.moments), _numpy(shown.balanced)
    fixed = fixed[:TOGETHER]
    return Round(proxies[:TOGETHER], moments, balanced, shown.distorted, fixed, color_map)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the networks made of a few proxies; as in `Round`."""

    moments: Tensor
    balanced: Tensor
    distorted: Colors
    fixed: Colors


def _ask(
    proxies: Colors, model: Model, seed: int | None, number: int, progress: Callable[[str], None]
) -> _Seen:
    """Ask the balancer about a few proxies, as it was trained to be asked in round `number`."""
    if not model.latent_balancer.config.second_opinions:
        return _ask_once(proxies, model, seed, progress)
    if number == 1:
        return _ask_three_times(proxies, model, seed, progress)
    seen = _ask_once(proxies, model, seed, progress)
    shares = _shares(seen.distorted, seen.fixed, LEFT)
    return _go_part_way(_keep_luma(seen), shares / np.float32(number))


def _ask_once(
    proxies: Colors, model: Model, seed: int | None, progress: Callable[[str], None]
) -> _Seen:
    """Take the balancer's word, as the published algorithm does in every round."""
    progress("encode")
    moments = model.vae.encode(_pixels(proxies, model))
    progress("balance")
    balanced = model.latent_balancer(moments)
    progress("decode")
    distorted, fixed = _decode(model, moments, seed), _decode(model, balanced, seed)
    return _Seen(moments, balanced, distorted, fixed)


def _ask_three_times(
    proxies: Colors, model: Model, seed: int | None, progress: Callable[[str], None]
) -> _Seen:
    """Average what the balancer says to the proxies and to classical corrections of them."""
    progress("encode")
    corrected = [correct(proxy) for correct in SECOND_OPINIONS for proxy in proxies]
    moments = model.vae.encode(_pixels(np.concatenate([proxies, np.stack(corrected)]), model))
    progress("balance")
    answers = model.latent_balancer(moments).unflatten(0, (-1, len(proxies)))
    moments, balanced = moments[: len(proxies)], answers.mean(dim=0)
    progress("decode")
    distorted, fixed = _decode(model, moments, seed), _decode(model, balanced, seed)
    shares = _shares(distorted, _decode(model, answers[0], seed), FAULT)
    return _go_part_way(_Seen(moments, balanced, distorted, fixed), shares)


def _keep_luma(seen: _Seen) -> _Seen:
    """Take all change of luma from what is fixed: further rounds are for casts, tone is settled."""
    change = seen.fixed - seen.distorted
    return replace(seen, fixed=seen.distorted + change - luma_of(change))


def _go_part_way(seen: _Seen, ways: Colors) -> _Seen:
    """Draw the fixed colors of N proxies back to the distorted ones; `ways`, (N,), 1 is all."""
    change = ways[:, None, None, None] * (seen.fixed - seen.distorted)
    return replace(seen, fixed=seen.distorted + change)


def _shares(distorted: Colors, fixed: Colors, fade: tuple[float, float]) -> Colors:
    """Return how much of its correction each of N photos gets, (N,) in 0..1.

    Where the mean change is up to the first of `fade` that is nothing, from the second on all.
    """
    change = np.abs(fixed - distorted).mean(axis=(1, 2, 3))
    shares: Colors = np.clip((change - fade[0]) / (fade[1] - fade[0]), 0.0, 1.0)
    return shares


def _pixels(proxies: Colors, model: Model) -> Tensor:
    return torch.from_numpy(proxies).permute(0, 3, 1, 2).to(model.device)


def _decode(model: Model, moments: Tensor, seed: int | None) -> Colors:
    # Both subimages are decoded with the same noise: it must not pass for a difference of color.
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    decoded = model.vae.decode(latents_of(moments, generator))
    return _numpy(decoded.clamp(0.0, 1.0).permute(0, 2, 3, 1).contiguous())


def _numpy(tensor: Tensor) -> Colors:
    return tensor.float().cpu().numpy()


def _stack(proxies: Sequence[Colors]) -> Colors:
    if not len(proxies):
        raise OptionError("no photo to learn a look from: give at least one")
    for proxy in proxies:
        if proxy.shape != (PROXY_SIZE, PROXY_SIZE, 3):
            raise OptionError(f"proxy of shape {proxy.shape}: must be (224, 224, 3)")
    return np.stack(proxies).astype(np.float32)
