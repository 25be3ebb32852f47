"""The networks that colorize as correctors: a grey photo's lightness in, a `ChromaLook` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from typing_extensions import Self

from vae_balance.color.arrays import Floats
from vae_balance.color.cielab import srgb_to_lab
from vae_balance.correctors.corrector import LookOptions, Progress, Proxy, Wants, heeded
from vae_balance.errors import OptionError
from vae_balance.looks.chroma_map import ChromaLook, made_grey
from vae_balance.looks.guided_filter import guided_coefficients
from vae_balance.looks.look import Place
from vae_balance.looks.origin import Origin
from vae_balance.looks.steps import Picture, PictureStep, Step
from vae_balance.models.store import ModelInfo
from vae_balance_protocol import options as table
from vae_balance_protocol.options import Option

if TYPE_CHECKING:
    from vae_balance.correctors.colorize.predictor import Predictor


@dataclass(frozen=True, eq=False)
class ColorizedLook(ChromaLook):
    """The look of a grey photo, and what the network made of it.

    Attributes:
        lightness: L* of the proxy, (S, S), 0..100.
        chroma: a* and b* as the network answered, (2, S, S), with the strength.
    """

    lightness: Floats
    chroma: Floats

    @property
    def steps(self) -> tuple[Step, ...]:
        """The grey proxy, the planes that were answered, and these along the photo's edges."""
        grey = made_grey(np.repeat(self.lightness[..., None] / np.float32(100.0), 3, axis=2))
        planes = self.slopes * (self.lightness / np.float32(100.0)) + self.offsets
        colored = self.apply(grey, Place.whole(grey))
        return (
            PictureStep(
                "Look at the grey photo",
                "Only the lightness counts. A classifier that has seen a million photos, shown the "
                "same grey picture, tells the network what may be where.",
                ((Picture(grey, "proxy, grey"),),),
            ),
            PictureStep(
                "Answer a and b",
                "Two planes of CIELAB: from green to red, and from blue to yellow. They are small "
                "and soft.",
                ((Picture(self.chroma[0], "a*"), Picture(self.chroma[1], "b*")),),
            ),
            PictureStep(
                "Follow the edges",
                "Around every place the planes become a linear function of the lightness. The "
                "photo in full size gets its colors by that, each pixel from its own lightness; "
                "the lightness itself stays as it was.",
                (
                    (
                        Picture(planes[0], "a* along edges"),
                        Picture(planes[1], "b* along edges"),
                        Picture(colored, "colorized"),
                    ),
                ),
            ),
        )


class _ColorizeCorrector:
    """Gives grey photos colors.

    Attributes:
        info: the model.
    """

    name: ClassVar[str]
    wants: ClassVar[Wants] = Wants(part="frame", colors="grey", roll=False)
    options: ClassVar[tuple[Option, ...]] = table.COLORIZING

    def __init__(self, info: ModelInfo, predictor: Predictor) -> None:
        self.info = info
        self._predictor = predictor

    @property
    def device(self) -> str:
        """Where it computes."""
        return self._predictor.device

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        """Load a model whose files are whole; see `Corrector.load`."""
        from vae_balance.correctors.colorize.predictor import load_predictor

        return cls(info, load_predictor(info, cls.name, device))

    def learn(
        self,
        proxies: Sequence[Proxy],
        options: LookOptions,
        progress: Progress = lambda done, total, stage: None,
    ) -> ColorizedLook:
        """Learn the look of one photo; see `Corrector.learn`.

        Raises:
            OptionError: there is not exactly one proxy.
        """
        if len(proxies) != 1:
            raise OptionError(f"{len(proxies)} photos: each is colorized by itself")
        progress(0, 1, "colorize")
        lightness = srgb_to_lab(np.asarray(proxies[0], dtype=np.float32))[..., 0]
        chroma = self._predictor.chroma_of(lightness) * np.float32(options.strength)
        progress(1, 1, "follow edges")
        options_heeded = heeded(options, self.options)
        origin = Origin(self.name, self.info.name, self.info.version, options_heeded)
        slopes, offsets = guided_coefficients(lightness / np.float32(100.0), chroma)
        keep_tone = options.tone == table.KEEP
        return ColorizedLook(slopes, offsets, keep_tone, origin, lightness, chroma)


class AutoencoderColorizer(_ColorizeCorrector):
    """See `autoencoder.py`."""

    name = "colorize-autoencoder"


class FusionColorizer(_ColorizeCorrector):
    """See `fusion.py`."""

    name = "colorize-fusion"


class CrossChannelColorizer(_ColorizeCorrector):
    """See `cross_channel.py`."""

    name = "colorize-cross-channel"
