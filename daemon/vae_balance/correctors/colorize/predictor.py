"""A network that colorizes, with the classifier that it is told by, ready for inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from vae_balance.color.arrays import Floats
from vae_balance.correctors.classifier import Classifier, load_classifier
from vae_balance.correctors.colorize.networks import NETWORK_FOLDER, AnyColorizer, colorizer_type
from vae_balance.correctors.colorize.seen import Seen
from vae_balance.models.device import choose_device
from vae_balance.models.store import ModelInfo


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts colors from lightness.

    Attributes:
        network: of one of the three designs.
        classifier: frozen.
        device: where both compute.
    """

    network: AnyColorizer
    classifier: Classifier
    device: str

    @torch.inference_mode()
    def chroma_of(self, lightness: Floats) -> Floats:
        """Return a* and b* (2, 224, 224) for L* (224, 224) in 0..100.

        The photo and its mirror image are looked at. The head begins with a linear layer, so that
        the mean of their features gives the geometric mean of the likelihoods of colors.
        """
        known = torch.from_numpy(lightness / np.float32(100.0)).to(self.device)[None, None]
        both = torch.cat([known, known.flip(-1)])
        seen = Seen.of_lightness(both, self.classifier, self.network.shown)
        features, mirrored = self.network.features(seen).chunk(2)
        chroma = self.network.head((features + mirrored.flip(-1)) / 2.0)
        large = F.interpolate(chroma, lightness.shape, mode="bilinear", align_corners=False)
        return large[0].float().cpu().numpy()


def load_predictor(info: ModelInfo, corrector: str, device: str) -> Predictor:
    """Load the network of a model.

    Args:
        info: its files are whole.
        corrector: its name, which tells the design.
        device: see `choose_device`.

    Raises:
        ModelError: its files are not what they should be, or the classifier is missing.
        OptionError: there is no such device.
    """
    place = choose_device(device)
    network = colorizer_type(corrector).load_folder(info.folder / NETWORK_FOLDER)
    return Predictor(network.to(place), load_classifier().to(place), str(place))
