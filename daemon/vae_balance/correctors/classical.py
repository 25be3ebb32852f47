"""Classical corrections: statistics of a photo or a roll, no networks and no weights.

They are free baselines for users, what a look is compared with, and what gives the latent balancer
second opinions. Where the literature leaves a choice open, the variant is taken that does best on
our damage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from vae_balance.color.arrays import Colors
from vae_balance.color.lut import Lut3D
from vae_balance.color.srgb import to_encoded, to_linear
from vae_balance.correctors.corrector import LookOptions, Progress, Wants, heeded
from vae_balance.errors import OptionError
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import Origin
from vae_balance.looks.steps import ColorMapStep, Picture, PictureStep, Step
from vae_balance.models.device import check_device
from vae_balance.models.store import ModelInfo
from vae_balance_protocol import options as table
from vae_balance_protocol.options import Option

# Maps sRGB-encoded colors (..., 3) of 0..1 to such.
ColorFunction = Callable[[Colors], Colors]

# GIMP leaves out this share of the pixels at each end of a channel's histogram.
STRETCH_BIAS = 0.006


def grey_world(photo: Colors) -> Colors:
    """Make the mean of the photo grey by one gain a channel, in linear light.

    Args:
        photo: sRGB-encoded float32 (H, W, 3) in 0..1; the result is the same.

    Source: Buchsbaum, "A spatial processor model for object colour perception" (1980). Gains
    that keep the mean of the channels, in linear light.
    """
    return shades_of_grey(photo, norm=1)


def shades_of_grey(photo: Colors, norm: int = 6) -> Colors:
    """Make the Minkowski mean of the photo grey by one gain a channel, in linear light.

    Args:
        photo: sRGB-encoded float32 (H, W, 3) in 0..1; the result is the same.
        norm: 1 is grey world; the greater, the more the brightest colors count.

    Source: Finlayson and Trezzi, "Shades of Gray and Colour Constancy" (2004), who find 6 best.
    """
    return _greying(photo, norm)(photo)


def per_channel_stretch(photo: Colors) -> Colors:
    """Stretch every channel to its full range, as GIMP's Colors > Auto > White Balance does.

    Args:
        photo: sRGB-encoded float32 (H, W, 3) in 0..1; the result is the same.

    Source: `gimp_levels_config_stretch_channel` of GIMP 2.10, on a histogram of 256 bins.
    """
    return _stretching(photo)(photo)


@dataclass(frozen=True, eq=False)
class ClassicalLook(LutLook):
    """A classical correction, and what it was derived from.

    Attributes:
        proxy: (S, S, 3), of a roll its first.
        function: what corrects colors, before strength and LUT.
        told: what the correction does, for people.
        found: the numbers that it was derived from.
    """

    proxy: Colors
    function: ColorFunction
    told: str
    found: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """The proxy, what it becomes, and the function from color to color."""
        corrected = self.function(self.proxy)
        pictures = (Picture(self.proxy, "proxy", self.found), Picture(corrected, "corrected"))
        mapping = "All colors are changed by the same few numbers, whatever is in the photo."
        return (
            PictureStep("Count colors", self.told, (pictures,)),
            ColorMapStep("Color map", mapping, self.proxy, corrected, self.function),
        )


class _Classical:
    """A corrector whose color function comes from the colors of all proxies together."""

    name: ClassVar[str]
    wants: ClassVar[Wants] = Wants()
    options: ClassVar[tuple[Option, ...]] = (table.STRENGTH, table.SIZE)
    told: ClassVar[str]
    device = "cpu"

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        """Return the corrector, which computes on the CPU whatever the device; nothing is read."""
        check_device(device)
        return cls(info)

    def learn(
        self,
        proxies: Sequence[Colors],
        options: LookOptions,
        progress: Progress = lambda done, total, stage: None,
    ) -> ClassicalLook:
        """Learn one look; see `Corrector.learn`."""
        if not len(proxies):
            raise OptionError("no photo to learn a look from: give at least one")
        progress(0, 1, "count colors")
        seen = np.concatenate(list(proxies)).astype(np.float32)
        function = self.function_of(seen)
        progress(1, 1, "bake")
        lut = Lut3D.from_function(lambda colors: function(colors.astype(np.float32)), options.size)
        origin = Origin(self.name, self.info.name, self.info.version, heeded(options, self.options))
        lut = lut.blended(options.strength).clipped()
        return ClassicalLook(lut, origin, proxies[0], function, self.told, self.found_in(seen))

    @staticmethod
    def function_of(colors: Colors) -> ColorFunction:
        """Return what corrects sRGB-encoded colors (..., 3) of 0..1, from those that there are."""
        raise NotImplementedError

    @staticmethod
    def found_in(colors: Colors) -> str:
        """Return the numbers that this function is derived from, in a few words."""
        raise NotImplementedError


class GreyWorld(_Classical):
    """See `grey_world`."""

    name = "grey-world"
    told = (
        "On average the world is taken for grey: the mean light of the photo is made so, by one "
        "gain for each channel."
    )

    @staticmethod
    def function_of(colors: Colors) -> ColorFunction:
        """Return the function of `grey_world`."""
        return _greying(colors, norm=1)

    @staticmethod
    def found_in(colors: Colors) -> str:
        """Return the gains."""
        return _told_gains(_gains_of(colors, norm=1))


class ShadesOfGrey(_Classical):
    """See `shades_of_grey`."""

    name = "shades-of-grey"
    told = (
        "As grey world, but bright colors count more than dark ones: the Minkowski mean (norm 6) "
        "of the light is made grey, by one gain for each channel."
    )

    @staticmethod
    def function_of(colors: Colors) -> ColorFunction:
        """Return the function of `shades_of_grey`."""
        return _greying(colors, norm=6)

    @staticmethod
    def found_in(colors: Colors) -> str:
        """Return the gains."""
        return _told_gains(_gains_of(colors, norm=6))


class Stretch(_Classical):
    """See `per_channel_stretch`."""

    name = "stretch"
    told = (
        "Every channel gets its full range: what is darkest in it becomes 0, what is brightest "
        "255, but for 0.6 % of the pixels at each end."
    )

    @staticmethod
    def function_of(colors: Colors) -> ColorFunction:
        """Return the function of `per_channel_stretch`."""
        return _stretching(colors)

    @staticmethod
    def found_in(colors: Colors) -> str:
        """Return the range of each channel, in codes of 8 bits."""
        ranges = [_range_of(colors[..., channel]) for channel in range(3)]
        return "ranges " + ", ".join(f"{low}..{low + span}" for low, span in ranges)


def _greying(photo: Colors, norm: int) -> ColorFunction:
    gains = _gains_of(photo, norm)
    return lambda colors: to_encoded(to_linear(colors) * gains)


def _told_gains(gains: Colors) -> str:
    return "gains " + ", ".join(f"{gain:.2f}" for gain in gains)


def _gains_of(photo: Colors, norm: int) -> Colors:
    """Return the gains (3,) in linear light that make the Minkowski mean of the photo grey."""
    linear = to_linear(photo).reshape(-1, 3)
    # Multiplied, not raised, which takes many times as long.
    powers = reduce(np.multiply, [linear] * norm)
    light = np.maximum(powers.mean(axis=0, dtype=np.float64) ** (1.0 / norm), 1e-6)
    gains: Colors = (light.mean() / light).astype(np.float32)
    return gains


def _stretching(photo: Colors) -> ColorFunction:
    ranges = [_range_of(photo[..., channel]) for channel in range(3)]

    def stretch(colors: Colors) -> Colors:
        channels = [(colors[..., i] * 255.0 - low) / span for i, (low, span) in enumerate(ranges)]
        return np.clip(np.stack(channels, axis=-1), 0.0, 1.0).astype(np.float32)

    return stretch


def _range_of(channel: Colors) -> tuple[int, int]:
    """Return the code, of 0..255, that becomes black, and how many codes above it is white."""
    codes = np.rint(np.clip(channel, 0.0, 1.0) * 255.0).astype(np.int64)
    shares = np.bincount(codes.reshape(-1), minlength=256) / codes.size
    low = _end_of(shares)
    high = 255 - _end_of(shares[::-1])
    return low, 255 if low == high else high - low  # as GIMP: nothing to divide by


def _end_of(shares: NDArray[np.float64]) -> int:
    """Return the bin after that whose cumulated share comes closest to the bias, 0 if none."""
    distance = np.abs(np.cumsum(shares) - STRETCH_BIAS)
    closer = np.flatnonzero(distance[:-1] < distance[1:])
    return int(closer[0]) + 1 if len(closer) else 0
