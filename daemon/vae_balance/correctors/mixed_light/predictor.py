"""The local balancer, ready for inference, with the model that it builds on.

    photo ------------> local balancer -> subimages -> grid over the look --.
      '- one look: LUT -> photo after it -> the same once more -> grid ------'-> grid

Asked about the photo as it is, the network tells lights apart best; asked about what one look has
made of it, it knows best where one light is all there is. The first answer counts more where even
after the look it expects to gain something, the further one elsewhere. Either is the mean of those
about the photo and about its mirror image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vae_balance.color.arrays import Colors, Floats
from vae_balance.color.lut import Lut3D
from vae_balance.correctors.corrector import is_plain
from vae_balance.correctors.latent_balancer.asking import (
    Fade,
    decode,
    seen_by,
    statistics_of,
)
from vae_balance.correctors.latent_balancer.fused_network import FusedLatentBalancer
from vae_balance.correctors.latent_balancer.model import Model, load_model
from vae_balance.correctors.mixed_light.grid_fit import GridFit, fit_grid
from vae_balance.correctors.mixed_light.network import LocalBalancer
from vae_balance.errors import ModelError
from vae_balance.looks.light_map import MAP
from vae_balance.models.store import ModelInfo

# The folder of the network in a model's.
NETWORK = "local_balancer"
# Gain in CIEDE2000 that the network expects, the mean over both questions: where there is none, the
# photo is left to the look. It trades mixed light that is corrected less for undamaged photos and
# photos of one light that are changed less.
GAIN = Fade(0.0, 1.0)
# The same of the photo after the look alone, and how much the answer about the photo as it is
# counts, in place of the one about the photo after the look.
FURTHER_GAIN = Fade(-0.25, 0.25)
_LEAST_COUNT, _MOST_COUNT = 0.25, 0.75
# A grid is fitted to means of so many pixels of both subimages, both ways.
_REDUCTION = 4
_FIT = GridFit()


@dataclass(frozen=True, eq=False)
class _Told:
    """What the network says to one photo.

    Attributes:
        moments: (1, 8, 28, 28) of it.
        balanced: (1, 8, 28, 28) where they are moved.
        gain: the mean CIEDE2000 that it expects to gain by that.
    """

    moments: Tensor
    balanced: Tensor
    gain: float


@dataclass(frozen=True, eq=False)
class Predictor:
    """A local balancer and the model whose look it adds to."""

    network: LocalBalancer
    base: Model

    @torch.inference_mode()
    def grid_of(
        self,
        proxy: Colors,
        lut: Lut3D,
        progress: Callable[[str], None] = lambda stage: None,
    ) -> Floats:
        """Return the grid (16, 16, 8, 12) that is added to the look of a proxy.

        Args:
            proxy: (224, 224, 3), sRGB-encoded, 0..1.
            lut: the look of the base, at strength 1.
            progress: told of every stage.
        """
        nothing = np.zeros((_FIT.places, _FIT.places, _FIT.levels, MAP), np.float32)
        if is_plain(proxy[None])[0]:  # says nothing of light
            return nothing
        first = self._ask(proxy, progress)
        further = self._ask(np.clip(lut(proxy), 0.0, 1.0), progress)
        share = _share_of(0.5 * (first.gain + further.gain), GAIN)
        if share == 0.0:
            return nothing
        progress("decode")
        more = _share_of(further.gain, FURTHER_GAIN)
        counts = _LEAST_COUNT + (_MOST_COUNT - _LEAST_COUNT) * more
        seen = _mapped(self._small(first.moments), lut)
        grid = torch.lerp(
            fit_grid(self._small(further.moments), self._small(further.balanced), _FIT),
            fit_grid(seen, self._small(first.balanced), _FIT),
            counts,
        )
        return np.ascontiguousarray(share * grid[0].numpy(), dtype=np.float32)

    def _ask(self, proxy: Colors, progress: Callable[[str], None]) -> _Told:
        """Return the mean of the answers about a proxy and its mirror image.

        Each is given twice, once without what the classifier sees in the whole photo: that names
        one light best, but has been learned by heart more than what it sees in place.
        """
        both = np.stack([proxy, proxy[:, ::-1]])
        # Of a mirror image the statistics are the same.
        statistics = statistics_of(both[:1], self.base).expand(2, -1)
        moments, features = seen_by(both, self.base, progress)
        progress("balance")
        blind = replace(features, pooled=self.network.pooled_shift.expand_as(features.pooled))
        answers = [self.network(moments, told, statistics) for told in (features, blind)]
        moves = torch.stack([answer.moments for answer in answers]).mean(dim=0) - moments
        balanced = moments[:1] + 0.5 * (moves[:1] + moves[1:].flip(-1))
        gains = torch.stack([answer.fault - answer.doubt for answer in answers])
        return _Told(moments[:1], balanced, float(gains.mean()))

    def _small(self, moments: Tensor) -> Tensor:
        """Return the subimage of moments in small, (1, 3, 56, 56)."""
        picture = torch.from_numpy(decode(self.base, moments, None)).permute(0, 3, 1, 2)
        return F.avg_pool2d(picture, _REDUCTION)


def _share_of(gain: float, fade: Fade) -> float:
    return float(fade.shares(np.array(gain, np.float32)))


def _mapped(colors: Tensor, lut: Lut3D) -> Tensor:
    """Return colors (B, 3, h, w) after a look."""
    mapped = lut(np.ascontiguousarray(colors.permute(0, 2, 3, 1).numpy()))
    return torch.from_numpy(np.clip(mapped, 0.0, 1.0)).permute(0, 3, 1, 2)


def load_predictor(info: ModelInfo, device: str) -> Predictor:
    """Load a model's network and the model that it builds on.

    Raises:
        ModelError: files are missing or damaged, or the other model has no fused balancer.
        OptionError: no such device.
    """
    network = LocalBalancer.load_folder(info.folder / NETWORK)
    base = load_model(network.config.base, device)
    if not isinstance(base.latent_balancer, FusedLatentBalancer):
        raise ModelError(
            f"model {info.name}: builds on {base.info.name}, which has no balancer that is told "
            "what the classifier sees"
        )
    return Predictor(network.to(base.device), base)
