"""The published algorithm's own color map, which the quality and the speed table compare with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.arrays import Colors


@dataclass(frozen=True, eq=False)
class PublishedColorMap:
    """The color map of the published algorithm: scikit-learn's MLP, 3 -> 32 -> 3, ReLU."""

    regressor: Any

    def __call__(self, colors: NDArray[np.floating]) -> Colors:
        """Map colors (..., 3) in 0..1; the result is not clipped."""
        mapped = self.regressor.predict(colors.reshape(-1, 3))
        return np.asarray(mapped, dtype=np.float32).reshape(colors.shape)


def fit_published_color_map(distorted: Colors, fixed: Colors) -> PublishedColorMap:
    """Train the published algorithm's color map on all pixels: the slow twin of `fit_color_map`.

    Args:
        distorted: (..., 3) sRGB-encoded, 0..1.
        fixed: the same shape; element i is where element i of `distorted` should go.

    Source: `color_mapping` in github.com/messy-bytes/VAE-Color-Balance; all that is not named
    there is scikit-learn's default (Adam, at most 200 epochs).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    regressor = MLPRegressor(
        hidden_layer_sizes=(32,), activation="relu", alpha=0.001, random_state=20
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is used as it is there too
        regressor.fit(distorted.reshape(-1, 3), fixed.reshape(-1, 3))
    return PublishedColorMap(regressor)
