"""Looks from networks that make pictures: what each becomes is learned as a color map.

    proxy -> network -> (as it was seen, as it should be) -> color map -> LUT

Both pictures line up pixel for pixel. Every round shows the network what the rounds so far have
made of the proxy, and the color maps are composed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from vae_balance.color.arrays import Colors
from vae_balance.correctors.corrector import (
    LookOptions,
    Progress,
    is_plain,
    mapped,
    stack_proxies,
    together,
)
from vae_balance.looks.color_map import ColorMap, fit_color_map
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import Origin
from vae_balance.looks.report import LookReport, report_on
from vae_balance.looks.safe_lut import baked
from vae_balance.looks.steps import Picture, PictureStep, Step, map_step, rounds_step

# Shows proxies (N, S, S, 3) to a network; returns two sets of pictures (N, S, S, 3), all of 0..1:
# as it sees the proxies, and what it makes of them.
Ask = Callable[[Colors], tuple[Colors, Colors]]


@dataclass(frozen=True, eq=False)
class PictureRound:
    """What one round saw and made; pictures (N, S, S, 3), of a roll its first photo.

    Attributes:
        proxies: as the round received them.
        seen: as the network sees them.
        made: what it makes of them.
        color_map: learned from `seen` to `made` of all proxies.
        shares: how much of the correction each of all proxies gets: all, or nothing where a photo
            is of a single color.
        doubts: not numbers: such a network does not judge itself.
    """

    proxies: Colors
    seen: Colors
    made: Colors
    color_map: ColorMap
    shares: Colors
    doubts: Colors


@dataclass(frozen=True, eq=False)
class PictureLook(LutLook):
    """A color function that was learned from pictures, and the rounds that led to it."""

    rounds: tuple[PictureRound, ...]
    told: tuple[str, str]
    report: LookReport = field(default_factory=LookReport, kw_only=True)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the first round saw and made, its color map, and any further rounds."""
        first = self.rounds[0]
        pictures = (
            Picture(first.proxies[0], "proxy"),
            Picture(first.seen[0], "as it is seen"),
            Picture(first.made[0], "as it should be"),
        )
        title, caption = self.told
        made = PictureStep(title, caption, (pictures,))
        return (made, map_step(first.seen, first.made, first.color_map), *rounds_step(self.rounds))


def learn_from_pictures(
    proxies: Sequence[Colors],
    ask: Ask,
    options: LookOptions,
    origin: Origin,
    told: tuple[str, str],
    progress: Progress,
) -> PictureLook:
    """Learn one look from one proxy, or from all proxies of a roll together.

    Args:
        proxies: arrays (224, 224, 3), sRGB-encoded, 0..1.
        ask: shows them to the network.
        options: see `LookOptions`; "auto" is one round, as the network cannot tell whether another
            would gain anything.
        origin: of the look.
        told: title and caption of what the network does.
        progress: told of every stage of every round.

    Raises:
        OptionError: no proxy, or one of another shape.
    """
    most = options.iterations if isinstance(options.iterations, int) else 1
    first = current = stack_proxies(proxies, step=partial(progress, 0, most, "ask"))
    rounds: list[PictureRound] = []
    for done in range(most):
        asked = []
        for few in together(current):
            progress(done, most, "ask")
            asked.append(ask(current[few]))
        seen, made = (np.concatenate(pictures) for pictures in zip(*asked, strict=True))
        step = partial(progress, done, most, "map colors")
        plain = is_plain(current)
        made[plain] = seen[plain]
        color_map = fit_color_map(seen, made, step).within(current, step)
        shares = np.where(plain, 0.0, 1.0).astype(np.float32)
        doubts = np.full_like(shares, np.nan)
        rounds.append(PictureRound(current[:1], seen[:1], made[:1], color_map, shares, doubts))
        current = mapped(current, color_map, step)
    maps = [learned.color_map for learned in rounds]
    bake = partial(progress, most, most, "bake")
    lut = baked(maps, first, options.size, options.strength, bake)
    return PictureLook(lut, origin, tuple(rounds), told, report=report_on(first, rounds))


def as_tensor(proxies: Colors, device: torch.device) -> torch.Tensor:
    """Return proxies (N, S, S, 3) as a tensor (N, 3, S, S)."""
    return torch.from_numpy(proxies).permute(0, 3, 1, 2).to(device)


def as_pictures(pixels: torch.Tensor) -> Colors:
    """Return what a network made, (N, 3, S, S), as pictures (N, S, S, 3) of 0..1."""
    pictures = pixels.float().clamp(0.0, 1.0).permute(0, 2, 3, 1)
    return np.ascontiguousarray(pictures.cpu().numpy())
