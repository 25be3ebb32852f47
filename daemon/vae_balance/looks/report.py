"""What a look found wrong with a photo, in the words and numbers of a photographer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch

from vae_balance.color.arrays import Colors
from vae_balance.color.lab import ciede2000, srgb_to_lab
from vae_balance.color.srgb import LUMINANCE, to_linear
from vae_balance.looks.color_map import ColorMap
from vae_balance_protocol.faults import COLORFUL, DARK, FADED, LIGHT, UNEVEN, faults

# A look counts as right when the photo comes this near to the undamaged one, mean CIEDE2000.
RIGHT = 6.0
# Spread of the logarithm of a look's error about the error that the balancer expected, on watched
# photos; `vae-balance evaluate` shows how well the confidence that follows from it is kept.
DOUBT_SPREAD = 0.5
# Every so many pixels of a proxy are looked at, both ways; of longer rolls no more in all than of
# this many proxies.
_EVERY, _PROXIES = 4, 16
_WORDS = {
    UNEVEN: "uneven light of {:.0f}",
    DARK: "{:.1f} stops too dark",
    LIGHT: "{:.1f} stops too light",
    FADED: "faded",
    COLORFUL: "too colorful",
}


class LearnedRound(Protocol):
    """What a report needs to know of a round."""

    @property
    def color_map(self) -> ColorMap:
        """The colors it changed."""

    @property
    def shares(self) -> Colors:
        """How much of the correction each proxy got."""

    @property
    def doubts(self) -> Colors:
        """The error that is expected to be left, mean CIEDE2000 of each proxy."""


@dataclass(frozen=True)
class LookReport:
    """What was found in the photos that a look was learned from, at strength 1; by default nothing.

    Attributes:
        found: whether anything is corrected at all.
        cast: mean of a* and b* (CIELAB) that is taken away: what the photo was tinted with.
        exposure: stops by which the photo gets lighter, below 0 darker.
        saturation: factor by which its mean chroma grows, the cast apart: a tint over a photo makes
            it no more colorful.
        confidence: 0..1, that the corrected photo is right within `RIGHT`; None where it does
            not judge itself.
        changes: mean CIEDE2000 by which each round changed the photo.
        uneven: mean CIEDE2000 between the photo corrected place by place and by the average of
            that; 0 of a look that is the same everywhere.
    """

    found: bool = False
    cast: tuple[float, float] = (0.0, 0.0)
    exposure: float = 0.0
    saturation: float = 1.0
    confidence: float | None = None
    changes: tuple[float, ...] = ()
    uneven: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the values that `json.dumps` and msgpack take."""
        lists = {"cast": list(self.cast), "changes": list(self.changes)}
        return {"text": self.text(), **asdict(self), **lists}

    def text(self) -> str:
        """Return one line for people."""
        if not self.found:
            return "no cast found"
        told = [
            _WORDS.get(fault, f"{fault} cast of {{:.0f}}").format(size)
            for fault, size in faults(self.cast, self.exposure, self.saturation, self.uneven)
        ]
        parts = [", ".join(told) or "small differences"]
        if len(self.changes) > 1:
            parts.append(f"{len(self.changes)} rounds")
        if self.confidence is not None:
            parts.append(f"{self.confidence:.0%} sure")
        return "; ".join(parts)


def report_on(proxies: Colors, rounds: Sequence[LearnedRound]) -> LookReport:
    """Compare proxies (N, 224, 224, 3), sRGB-encoded 0..1, with what the rounds make of them."""
    every = _EVERY * math.ceil(math.sqrt(len(proxies) / _PROXIES))
    colors = before = proxies[:, ::every, ::every]
    changes = []
    for learned in rounds:
        changed = np.clip(learned.color_map(colors), 0.0, 1.0)
        changes.append(float(ciede2000(_lab(colors), _lab(changed)).mean()))
        colors = changed
    was, now = _lab(before), _lab(colors)
    tint = (was - now).mean(dim=(0, 2, 3), keepdim=True)[:, 1:]
    cast = tint.flatten().tolist()
    chroma = [
        float(plane.square().sum(dim=1).sqrt().mean()) for plane in (was[:, 1:] - tint, now[:, 1:])
    ]
    light = [float((to_linear(x) @ LUMINANCE).mean()) for x in (before, colors)]
    return LookReport(
        any(learned.shares.any() for learned in rounds),
        (round(cast[0], 2), round(cast[1], 2)),
        round(math.log2((light[1] + 1e-4) / (light[0] + 1e-4)), 2),
        round((chroma[1] + 0.5) / (chroma[0] + 0.5), 3),
        _confidence(rounds),
        tuple(round(change, 2) for change in changes),
    )


def unevenness(placed: Colors, averaged: Colors) -> float:
    """Return `LookReport.uneven` of a proxy, (224, 224, 3), corrected in both ways."""
    placed, averaged = placed[None, ::_EVERY, ::_EVERY], averaged[None, ::_EVERY, ::_EVERY]
    return round(float(ciede2000(_lab(placed), _lab(averaged)).mean()), 2)


def _confidence(rounds: Sequence[LearnedRound]) -> float | None:
    """Return how likely the error stays below `RIGHT`: log-normal about what is expected."""
    doubt = float(rounds[-1].doubts.mean())
    if math.isnan(doubt):
        return None
    margin = (math.log1p(RIGHT) - math.log1p(max(doubt, 0.0))) / DOUBT_SPREAD
    return round(0.5 * (1.0 + math.erf(margin / math.sqrt(2.0))), 3)


def _lab(colors: Colors) -> torch.Tensor:
    return srgb_to_lab(torch.from_numpy(colors).permute(0, 3, 1, 2))
