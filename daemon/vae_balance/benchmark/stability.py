"""The part of the speed table about sd-vae-ft-mse: what an iteration with it takes.

Networks of its architecture and size are made on the spot, with random weights: neither time nor
memory depends on the values, and nothing has to be fetched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from vae_balance.benchmark.tools import medians, run_python, sample_photo
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model, place_networks
from vae_balance.correctors.latent_balancer.published_network import PublishedBalancer
from vae_balance.correctors.latent_balancer.stability_vae import StabilityVAE
from vae_balance.evaluation.targets import Target
from vae_balance.models.catalog import SD_VAE_FT_MSE
from vae_balance.models.store import ModelInfo
from vae_balance.photos.proxy import make_proxy
from vae_balance.server.memory import peak_bytes

# The config.json of stabilityai/sd-vae-ft-mse.
CONFIG = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.4.2",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 256,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
MEGABYTES = 2000.0

_REPEATS = 2
_CHILD = "import sys; from vae_balance.benchmark.stability import main; main(sys.argv[1])"


def measure_stability(device: str) -> list[Target]:
    """Learn looks with networks like those of sd-vae-ft-mse, in a process of its own.

    Args:
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        BalanceError: the process failed.
    """
    measured = json.loads(run_python(["-c", _CHILD, device]).splitlines()[-1])
    name = f"{SD_VAE_FT_MSE.name} with random weights on {device}"
    ours, plain, peak = (measured[key] for key in ("ours", "plain", "peak_bytes"))
    return [
        Target(
            f"{name}: an iteration / encoding once and decoding twice by plain diffusers",
            ours / plain,
            1.1,
            detail=f"{ours:.2f} / {plain:.2f} s",
        ),
        Target(
            f"{name}: peak memory",
            peak and peak / 1e6,
            MEGABYTES,
            "MB",
            detail=f"{measured['parameters'] / 1e6:.0f} M parameters",
        ),
    ]


def main(device: str) -> None:
    """Print what `measure_stability` wants to know of this process, as JSON."""
    model = random_model(device)
    proxy = make_proxy(sample_photo(0.5))
    (ours,) = medians([lambda: learn_look([proxy], model)], _REPEATS)
    peak = _peak_bytes(model.device)
    networks = (model.vae, model.latent_balancer)
    model.vae.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pixels = torch.from_numpy(proxy).permute(2, 0, 1)[None].contiguous().to(model.device)
    (plain,) = medians([lambda: _encode_and_decode_twice(model, pixels)], _REPEATS)
    values = {
        "ours": ours,
        "plain": plain,
        "peak_bytes": peak,
        "parameters": sum(p.numel() for network in networks for p in network.parameters()),
    }
    print(json.dumps(values))


@torch.inference_mode()
def _encode_and_decode_twice(model: Model, pixels: torch.Tensor) -> None:
    latents = model.vae.encode(pixels)[:, :4]
    for _ in range(2):
        model.vae.decode(latents).cpu()  # waits for a GPU


def random_model(device: str) -> Model:
    """Return a model of the architecture and size of sd-vae-ft-mse, with random weights."""
    from diffusers import AutoencoderKL

    from_config: Any = AutoencoderKL.from_config  # diffusers declares no types
    balancer = PublishedBalancer().eval()
    vae = StabilityVAE(from_config(CONFIG), balancer.pixel_range).eval()
    info = ModelInfo(SD_VAE_FT_MSE.name, Path(), "random", "MIT", "made on the spot", {})
    return place_networks(info, vae, balancer, torch.device(device))


def _peak_bytes(device: torch.device) -> int | None:
    """Return the most memory that was in use: the GPU's, or this process's where it can be told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_bytes() or None
