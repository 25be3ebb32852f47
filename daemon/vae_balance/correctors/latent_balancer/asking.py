"""How a latent balancer is asked about proxies: the way it was trained to be asked.

Each way gives what it saw: moments, balanced moments, and both decoded, so that a color map can be
learned from the one picture to the other.

- A balancer fused with the classifier is asked in every round about the proxy, and once again about
  its mirror image or, where much is wrong, about classical corrections of the proxy; all answers
  are averaged. It judges itself: of its correction as much is taken as it expects to gain by it,
  nothing where a photo is better left alone.
- One that was trained on classically corrected photos as well is asked about those in the first
  round, too. A photo that it would hardly move is taken for a good one. In further rounds a small
  answer is left alone: what three answers have missed, one more seldom knows. The cast of a large
  one is followed, and counts as one opinion among all: round k goes 1/k of the way.
- Any other is taken at its word, as the published algorithm does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vae_balance.color.arrays import Colors
from vae_balance.color.srgb import luma_of
from vae_balance.correctors.classical import per_channel_stretch, shades_of_grey
from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer.balancer_network import LatentBalancer
from vae_balance.correctors.latent_balancer.color_statistics import color_statistics
from vae_balance.correctors.latent_balancer.fused_network import Answer, FusedLatentBalancer
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.correctors.latent_balancer.vae import latents_of

SECOND_OPINIONS = (shades_of_grey, per_channel_stretch)


@dataclass(frozen=True)
class Fade:
    """From where on something is done at all, and from where on in full."""

    start: float
    full: float

    def shares(self, values: Colors) -> Colors:
        """Return 0 up to `start`, 1 from `full` on, and a straight line between, as `values`."""
        shares: Colors = np.clip((values - self.start) / (self.full - self.start), 0.0, 1.0)
        return shares.astype(np.float32)


# Gain in CIEDE2000 that a fused balancer expects of its answer. It trades damage that is corrected
# less for undamaged photos that are changed less.
GAIN = Fade(0.0, 1.0)
# The same gain, by the answer about the photo itself, and how much answers about classical
# corrections of it count in place of the one about its mirror image: where little is wrong, these
# corrections do harm; where much is, the mirror image tells nothing new.
OPINIONS = Fade(1.0, 3.0)
# What `GAIN` is in a further round, where it is settled that something is wrong.
FURTHER_GAIN = Fade(0.0, 0.5)
# Mean absolute change of color, of 0..1, by an unfused balancer's answer about the proxy itself. It
# trades damage that is corrected less for undamaged photos that are changed less.
FAULT = Fade(0.005, 0.017)
# The same change, luma included, in a further round.
LEFT = Fade(0.02, 0.03)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the networks made of N proxies.

    Attributes:
        moments: (N, 8, 28, 28) of the proxies.
        balanced: (N, 8, 28, 28) where they were moved.
        distorted: (N, 224, 224, 3) decoded from `moments`, 0..1.
        fixed: (N, 224, 224, 3) decoded from `balanced`, 0..1, or `distorted` with as much of the
            change to that as is taken.
        shares: (N,) how much of the correction is taken, 0..1.
        doubts: (N,) the mean CIEDE2000 by which the balancer expects to be wrong all the same, not
            a number where it does not judge itself.
    """

    moments: Tensor
    balanced: Tensor
    distorted: Colors
    fixed: Colors
    shares: Colors
    doubts: Colors


def ask(
    proxies: Colors, model: Model, seed: int | None, number: int, progress: Callable[[str], None]
) -> Seen:
    """Ask the balancer about proxies (N, 224, 224, 3) in round `number`, 1 for the first."""
    balancer = model.latent_balancer
    if isinstance(balancer, FusedLatentBalancer):
        gain = GAIN if number == 1 else FURTHER_GAIN
        return _ask_fused(proxies, model, balancer, gain, seed, progress)
    if not (isinstance(balancer, LatentBalancer) and balancer.config.second_opinions):
        return _ask_once(proxies, model, seed, progress)
    if number == 1:
        return _ask_three_times(proxies, model, seed, progress)
    seen = _ask_once(proxies, model, seed, progress)
    shares = LEFT.shares(_change(seen.distorted, seen.fixed))
    return _go_part_way(_keep_luma(seen), shares / np.float32(number))


def goes_on(model: Model) -> bool:
    """Tell whether the model's balancer knows when further rounds are worth it."""
    return isinstance(model.latent_balancer, FusedLatentBalancer)


def _ask_fused(
    proxies: Colors,
    model: Model,
    balancer: FusedLatentBalancer,
    gain: Fade,
    seed: int | None,
    progress: Callable[[str], None],
) -> Seen:
    """Average what the balancer says to proxies and to mirror images or corrections of them."""
    statistics = statistics_of(proxies, model)
    moments, answer = _fused_answer(proxies, statistics, model, balancer, progress)
    faults, doubts = _numpy(answer.fault), _numpy(answer.doubt)
    counts = OPINIONS.shares(faults - doubts)
    balanced = answer.moments.clone()
    unsure = np.flatnonzero(counts < 1.0)
    if len(unsure):
        mirrors = proxies[unsure][:, :, ::-1].copy()
        # Of a mirror image the statistics are the same.
        seen, mirrored = _fused_answer(mirrors, statistics[unsure], model, balancer, progress)
        moves = (mirrored.moments - seen).flip(-1)
        balanced[unsure] = 0.5 * (balanced[unsure] + moments[unsure] + moves)
        faults[unsure] = 0.5 * (faults[unsure] + _numpy(mirrored.fault))
        doubts[unsure] = 0.5 * (doubts[unsure] + _numpy(mirrored.doubt))
    asked = np.flatnonzero(counts)
    if len(asked):
        corrected = np.stack([correct(proxies[i]) for correct in SECOND_OPINIONS for i in asked])
        further = statistics_of(corrected, model)
        _, others = _fused_answer(corrected, further, model, balancer, progress)
        said = torch.cat([answer.moments[asked], others.moments]).unflatten(0, (-1, len(asked)))
        weights = torch.from_numpy(counts[asked]).to(model.device)[:, None, None, None]
        balanced[asked] = torch.lerp(balanced[asked], said.mean(dim=0), weights)
    progress("decode")
    distorted, fixed = decode(model, moments, seed), decode(model, balanced, seed)
    shares = gain.shares(faults - doubts)
    return _go_part_way(Seen(moments, balanced, distorted, fixed, shares, doubts), shares)


def _fused_answer(
    proxies: Colors,
    statistics: Tensor,
    model: Model,
    balancer: FusedLatentBalancer,
    progress: Callable[[str], None],
) -> tuple[Tensor, Answer]:
    """Return the moments of proxies and what the balancer says to them."""
    moments, features = seen_by(proxies, model, progress)
    progress("balance")
    return moments, balancer(moments, features, statistics)


def seen_by(
    proxies: Colors, model: Model, progress: Callable[[str], None]
) -> tuple[Tensor, Features]:
    """Return the moments of proxies and what the classifier sees in them."""
    progress("encode")
    pixels = _pixels(proxies, model)
    moments = model.vae.encode(pixels)
    progress("look")
    assert model.classifier is not None  # a fused balancer is never loaded without
    return moments, model.classifier(pixels)


def statistics_of(proxies: Colors, model: Model) -> Tensor:
    """Return the color statistics (N, 135) of proxies, where the model computes."""
    statistics = np.stack([color_statistics(proxy) for proxy in proxies])
    return torch.from_numpy(statistics).to(model.device)


def _ask_once(
    proxies: Colors, model: Model, seed: int | None, progress: Callable[[str], None]
) -> Seen:
    """Take the balancer's word, as the published algorithm does in every round."""
    progress("encode")
    moments = model.vae.encode(_pixels(proxies, model))
    progress("balance")
    balanced = model.latent_balancer(moments)
    progress("decode")
    distorted, fixed = decode(model, moments, seed), decode(model, balanced, seed)
    return Seen(moments, balanced, distorted, fixed, *_unjudged(len(proxies)))


def _ask_three_times(
    proxies: Colors, model: Model, seed: int | None, progress: Callable[[str], None]
) -> Seen:
    """Average what the balancer says to the proxies and to classical corrections of them."""
    progress("encode")
    corrected = [correct(proxy) for correct in SECOND_OPINIONS for proxy in proxies]
    moments = model.vae.encode(_pixels(np.concatenate([proxies, np.stack(corrected)]), model))
    progress("balance")
    answers = model.latent_balancer(moments).unflatten(0, (-1, len(proxies)))
    moments, balanced = moments[: len(proxies)], answers.mean(dim=0)
    progress("decode")
    distorted, fixed = decode(model, moments, seed), decode(model, balanced, seed)
    shares = FAULT.shares(_change(distorted, decode(model, answers[0], seed)))
    seen = Seen(moments, balanced, distorted, fixed, *_unjudged(len(proxies)))
    return _go_part_way(seen, shares)


def _unjudged(photos: int) -> tuple[Colors, Colors]:
    return np.ones(photos, dtype=np.float32), np.full(photos, np.nan, dtype=np.float32)


def _keep_luma(seen: Seen) -> Seen:
    """Take all change of luma from what is fixed: further rounds are for casts, tone is settled."""
    change = seen.fixed - seen.distorted
    return replace(seen, fixed=seen.distorted + change - luma_of(change))


def _go_part_way(seen: Seen, shares: Colors) -> Seen:
    """Draw the fixed colors of N proxies back to the distorted ones; `shares`, (N,), 1 is all."""
    change = shares[:, None, None, None] * (seen.fixed - seen.distorted)
    return replace(seen, fixed=seen.distorted + change, shares=shares)


def _change(distorted: Colors, fixed: Colors) -> Colors:
    """Return the mean change of each of N photos, (N,)."""
    change: Colors = np.abs(fixed - distorted).mean(axis=(1, 2, 3))
    return change


def _pixels(proxies: Colors, model: Model) -> Tensor:
    return torch.from_numpy(proxies).permute(0, 3, 1, 2).to(model.device)


def decode(model: Model, moments: Tensor, seed: int | None) -> Colors:
    """Return the subimages (N, 224, 224, 3) of moments, 0..1; with a seed, of samples of them."""
    # Both subimages are decoded with the same noise: it must not pass for a difference of color.
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    decoded = model.vae.decode(latents_of(moments, generator))
    return _numpy(decoded.clamp(0.0, 1.0).permute(0, 2, 3, 1).contiguous())


def _numpy(tensor: Tensor) -> Colors:
    array: Colors = tensor.float().cpu().numpy()
    return array
