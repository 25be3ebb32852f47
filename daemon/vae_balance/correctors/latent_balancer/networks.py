"""The networks of a model, whichever classes their config.json names."""

from __future__ import annotations

from pathlib import Path

from vae_balance.correctors.classifier import Classifier, load_classifier
from vae_balance.correctors.latent_balancer import stability_vae
from vae_balance.correctors.latent_balancer.balancer_network import LatentBalancer
from vae_balance.correctors.latent_balancer.fused_network import FusedLatentBalancer
from vae_balance.correctors.latent_balancer.published_network import PublishedBalancer
from vae_balance.correctors.latent_balancer.stability_vae import StabilityVAE
from vae_balance.correctors.latent_balancer.vae import VAE
from vae_balance.errors import ModelError
from vae_balance.models.folder import CONFIG_NAME, class_name_of

AnyVAE = VAE | StabilityVAE
AnyBalancer = LatentBalancer | FusedLatentBalancer | PublishedBalancer
_BALANCERS = (LatentBalancer, FusedLatentBalancer, PublishedBalancer)


def load_vae(
    folder: Path, pixel_range: tuple[float, float] = stability_vae.TRAINED_RANGE
) -> AnyVAE:
    """Read a VAE of ours or of Stability's.

    Args:
        folder: with its config.json.
        pixel_range: what Stability's is given for black and white; ours has a range of its own.

    Raises:
        ModelError: a file is missing, broken, or of another network.
    """
    name = class_name_of(folder)
    if name == stability_vae.CLASS_NAME:
        return StabilityVAE.load_folder(folder, pixel_range)
    if name == VAE.__name__:
        return VAE.load_folder(folder)
    raise ModelError(
        f"{folder / CONFIG_NAME}: describes a {name}, where a {VAE.__name__} or "
        f"{stability_vae.CLASS_NAME} is needed"
    )


def load_latent_balancer(folder: Path) -> AnyBalancer:
    """Read a latent balancer that was trained here, or the published one.

    Raises:
        ModelError: a file is missing, broken, or of another network.
    """
    name = class_name_of(folder)
    for balancer in _BALANCERS:
        if name == balancer.__name__:
            return balancer.load_folder(folder)
    known = ", ".join(balancer.__name__ for balancer in _BALANCERS)
    raise ModelError(f"{folder / CONFIG_NAME}: describes a {name}, where one of {known} is needed")


def classifier_for(balancer: AnyBalancer) -> Classifier | None:
    """Return the classifier that a fused balancer is told by, None for any other.

    Raises:
        ModelError: it is not installed, or damaged.
    """
    return load_classifier() if isinstance(balancer, FusedLatentBalancer) else None
