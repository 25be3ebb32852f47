"""The grid network, ready for inference, with the model that it builds on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from vae_balance.color.arrays import Colors
from vae_balance.color.lab import ciede2000, srgb_to_lab
from vae_balance.correctors.corrector import PLAIN
from vae_balance.correctors.latent_balancer.asking import Fade
from vae_balance.correctors.latent_balancer.learn import BalancedLook
from vae_balance.correctors.latent_balancer.model import Model, load_model
from vae_balance.correctors.latent_balancer.networks import FusedBalancer
from vae_balance.correctors.mixed_light.network import GridNetwork, interpolation, slice_grid
from vae_balance.correctors.mixed_light.seeing import Sight, see
from vae_balance.errors import ModelError
from vae_balance.models.store import ModelInfo

# The folder of the network in a model's.
NETWORK = "grid"
# Mean CIEDE2000 by which a grid changes the photo: what it would hardly change is left to the
# balancer. It trades mixed light that is corrected less for undamaged photos that are changed less.
CHANGE = Fade(2.0, 3.0)
# Every so many pixels are compared for that, both ways.
_EVERY = 2


@dataclass(frozen=True, eq=False)
class Predictor:
    """A grid network and the latent balancer that it was trained for."""

    network: GridNetwork
    base: Model

    @torch.inference_mode()
    def grid_of(self, proxy: Colors, look: BalancedLook) -> Colors:
        """Return the grid (16, 16, 8, 12) that is added to the balancer's look of a proxy.

        The network is asked about the proxy and its mirror image, and the answers are averaged.
        """
        if np.ptp(proxy, axis=(0, 1)).max() <= PLAIN:  # says nothing of light
            config = self.network.config
            return np.zeros((config.places, config.places, config.levels, 12), np.float32)
        first = look.rounds[0]
        moves = torch.from_numpy((first.balanced - first.moments)[:, :4]).to(self.base.device)
        sight = see([proxy], [look.lut(proxy)], moves, self.base)
        grid = self.network(sight)
        grid = 0.5 * (grid + self.network(mirrored(sight)).flip(2))
        share = CHANGE.shares(self._change(grid, sight))
        return np.ascontiguousarray((share * grid[0].cpu().numpy()).astype(np.float32))

    def _change(self, grid: torch.Tensor, sight: Sight) -> Colors:
        """Return by how much a grid changes colors, mean CIEDE2000, (1,)."""
        colors = sight.balanced[:, :, ::_EVERY, ::_EVERY]
        weights = interpolation(sight.balanced.shape[2], grid.shape[1]).to(colors)[::_EVERY]
        changed = slice_grid(grid, colors, weights, weights).clamp(0.0, 1.0)
        change = ciede2000(srgb_to_lab(changed), srgb_to_lab(colors)).flatten(1).mean(dim=1)
        found: Colors = change.cpu().numpy()
        return found


def mirrored(sight: Sight) -> Sight:
    """Return what would be seen, but for details, of the mirror images of photos."""
    values = {part.name: getattr(sight, part.name) for part in fields(sight)}
    return Sight(
        **{n: value.flip(-1) if value.dim() == 4 else value for n, value in values.items()}
    )


def load_predictor(info: ModelInfo, device: str) -> Predictor:
    """Load a model's network and the model that it builds on.

    Raises:
        ModelError: files are missing or damaged, or the other model has no fused balancer.
        OptionError: no such device.
    """
    network = GridNetwork.load_folder(info.folder / NETWORK)
    base = load_model(network.config.base, device)
    if not isinstance(base.latent_balancer, FusedBalancer):
        raise ModelError(
            f"model {info.name}: builds on {base.info.name}, which has no balancer that is told "
            "what the classifier sees"
        )
    return Predictor(network.to(base.device), base)
