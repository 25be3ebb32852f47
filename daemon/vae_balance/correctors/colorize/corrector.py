"""The networks that colorize as correctors: a grey photo's lightness in, a `ChromaLook` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from typing_extensions import Self

from vae_balance.color.cielab import srgb_to_lab
from vae_balance.correctors.corrector import LookOptions, Progress, Proxy, Wants, heeded
from vae_balance.errors import OptionError
from vae_balance.looks.chroma_map import ChromaLook
from vae_balance.looks.origin import Origin
from vae_balance.models.store import ModelInfo
from vae_balance_protocol import options as table
from vae_balance_protocol.options import Option

if TYPE_CHECKING:
    from vae_balance.correctors.colorize.predictor import Predictor


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
    ) -> ChromaLook:
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
        return ChromaLook.along_edges(lightness, chroma, options.tone == table.KEEP, origin)


class AutoencoderColorizer(_ColorizeCorrector):
    """See `autoencoder.py`."""

    name = "colorize-autoencoder"


class FusionColorizer(_ColorizeCorrector):
    """See `fusion.py`."""

    name = "colorize-fusion"


class CrossChannelColorizer(_ColorizeCorrector):
    """See `cross_channel.py`."""

    name = "colorize-cross-channel"
