"""A latent balancer with its VAE, as they lie in a model's folder, ready for inference.

Each has a folder of its own, `vae/` and `latent_balancer/`, with config.json and
diffusion_pytorch_model.safetensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vae_balance.correctors.classifier import Classifier
from vae_balance.correctors.latent_balancer.networks import (
    AnyBalancer,
    AnyVAE,
    classifier_for,
    load_latent_balancer,
    load_vae,
)
from vae_balance.models.catalog import LATENT_BALANCER_FOLDER, VAE_FOLDER
from vae_balance.models.device import choose_device
from vae_balance.models.store import ModelInfo, find_model, verify_files
from vae_balance_protocol.options import DEVICE, MODEL


@dataclass(frozen=True, eq=False)
class Model:
    """A VAE and the latent balancer trained for it, on one device, ready for inference.

    Attributes:
        classifier: what a fused latent balancer is told by, None for any other.
    """

    info: ModelInfo
    vae: AnyVAE
    latent_balancer: AnyBalancer
    device: torch.device
    classifier: Classifier | None = None


def load_model(name: str = MODEL.default, device: str = DEVICE.default) -> Model:
    """Load a model whose files are whole.

    Args:
        name: a model's name or the path of its folder.
        device: "auto" (CUDA when there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        ModelError: no such model, or its files are damaged.
        OptionError: no such device.
    """
    info = find_model(name)
    verify_files(info)
    return load_networks(info, device)


def load_networks(info: ModelInfo, device: str) -> Model:
    """Load the networks of a model; as `load_model`, without a look at the checksums."""
    place = choose_device(device)
    latent_balancer = load_latent_balancer(info.folder / LATENT_BALANCER_FOLDER)
    vae = load_vae(info.folder / VAE_FOLDER, latent_balancer.pixel_range)
    return place_networks(info, vae, latent_balancer, place)


def place_networks(
    info: ModelInfo, vae: AnyVAE, latent_balancer: AnyBalancer, device: torch.device
) -> Model:
    """Return a model of networks that are moved to a device, ready for inference."""
    classifier = classifier_for(latent_balancer)
    for network in (vae, latent_balancer, *([classifier] if classifier else [])):
        network.to(device)
        # A quarter faster to decode on the CPU.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(info, vae, latent_balancer, device, classifier)
