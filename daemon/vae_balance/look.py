"""Learn a look: the whole algorithm on one page.

    proxy 224x224 -> VAE encode -> moments 28x28x8 -> latent balancer -> moments' 28x28x8
                                       |                                     |
                       decode: distorted subimage               decode: fixed subimage
                                       '-- color map: MLP 3 -> hidden -> 3, MSE --'
                                                 | one a round, composed, baked
                                             look = 3D LUT

Both subimages come out of the decoder, so they line up pixel for pixel; the proxy itself does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vae_balance.classical import per_channel_stretch, shades_of_grey
from vae_balance.color_map import ColorMap, fit_color_map
from vae_balance.errors import OptionError
from vae_balance.lut import DEFAULT_SIZE, Lut3D
from vae_balance.models.registry import Model
from vae_balance.proxy import PROXY_SIZE
from vae_balance.vae import latents_of

Colors = NDArray[np.float32]
# Called with the number of rounds done and of all rounds, and with the stage that begins.
Progress = Callable[[int, int, str], None]

ITERATIONS = range(1, 11)
STRENGTHS = (0.0, 1.5)
SECOND_OPINIONS = (shades_of_grey, per_channel_stretch)


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
    """What one round saw and made; float32 arrays, one row for each of N proxies.

    Attributes:
        proxies: (N, 224, 224, 3) sRGB-encoded, 0..1, as the round received them.
        moments: (N, 8, 28, 28) of the proxies: 4 means, 4 log-variances.
        balanced: (N, 8, 28, 28) where the latent balancer moved them.
        distorted: (N, 224, 224, 3) decoded from `moments`, 0..1.
        fixed: (N, 224, 224, 3) decoded from `balanced`, 0..1.
        color_map: learned from `distorted` to `fixed`.
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

    The same proxies, options and model give the same LUT on the same machine, bit for bit.

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

        rounds.append(_learn_round(current, model, options, report))
    progress(options.iterations, options.iterations, "bake")
    maps = [learned.color_map for learned in rounds]
    lut = Lut3D.from_function(lambda colors: compose(maps, colors), options.size)
    return Look(lut.blended(options.strength), options, tuple(rounds))


def compose(maps: Sequence[ColorMap], colors: NDArray[np.floating]) -> Colors:
    """Apply color maps one after the other to sRGB-encoded colors (..., 3) in 0..1."""
    mapped = np.asarray(colors, dtype=np.float32)
    for color_map in maps:
        mapped = color_map(np.clip(mapped, 0.0, 1.0))
    return mapped


@torch.inference_mode()
def _learn_round(
    proxies: Colors, model: Model, options: LookOptions, progress: Callable[[str], None]
) -> Round:
    progress("encode")
    pixels = torch.from_numpy(proxies).permute(0, 3, 1, 2).to(model.device)
    moments = model.vae.encode(pixels)
    progress("balance")
    balanced = model.latent_balancer(moments)
    progress("decode")
    distorted = _decode(model, moments, options.seed)
    fixed = _decode(model, balanced, options.seed)
    progress("map colors")
    color_map = fit_color_map(distorted, fixed)
    return Round(proxies, _numpy(moments), _numpy(balanced), distorted, fixed, color_map)


def _decode(model: Model, moments: torch.Tensor, seed: int | None) -> Colors:
    # Both subimages are decoded with the same noise: it must not pass for a difference of color.
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    decoded = model.vae.decode(latents_of(moments, generator))
    return _numpy(decoded.clamp(0.0, 1.0).permute(0, 2, 3, 1).contiguous())


def _numpy(tensor: torch.Tensor) -> Colors:
    return tensor.float().cpu().numpy()


def _stack(proxies: Sequence[Colors]) -> Colors:
    if not len(proxies):
        raise OptionError("no photo to learn a look from: give at least one")
    for proxy in proxies:
        if proxy.shape != (PROXY_SIZE, PROXY_SIZE, 3):
            raise OptionError(f"proxy of shape {proxy.shape}: must be (224, 224, 3)")
    return np.stack(proxies).astype(np.float32)
