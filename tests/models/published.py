"""Networks with random weights, in files like those that were published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from vae_balance.benchmark.stability import CONFIG
from vae_balance.correctors.latent_balancer.published_network import (
    PublishedBalancer,
    PublishedBalancerConfig,
)

# What makes it small.
SMALL = {"block_out_channels": [8, 8, 16, 16], "norm_num_groups": 4}
# The config.json of stabilityai/sd-vae-ft-mse, to the byte.
CONFIG_TEXT = json.dumps(CONFIG, indent=2) + "\n"
# The names that the attention layers had when it was published, and those of today's diffusers.
_OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def make_autoencoder(**changes: Any) -> Any:
    """Return an AutoencoderKL of `CONFIG`, changed, with random weights."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return AutoencoderKL.from_config(  # type: ignore[no-untyped-call]
            {**CONFIG, **changes}
        ).eval()


def save_as_published(autoencoder: Any, folder: Path, config: str) -> None:
    """Write an AutoencoderKL as sd-vae-ft-mse was published: with its old names."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, value in autoencoder.state_dict().items():
        for new, old in _OLD_NAMES.items():
            name = name.replace(f".{new}.", f".{old}.")
        state[name] = value.contiguous()
    weights = folder / "diffusion_pytorch_model.safetensors"
    save_file(state, str(weights), metadata={"format": "pt"})
    (folder / "config.json").write_text(config, encoding="utf-8", newline="\n")


def published_state(channels: tuple[int, int, int]) -> dict[str, torch.Tensor]:
    """Return the state of a published latent balancer with random weights, by its published names.

    Its answers are moments like those of a VAE.
    """
    with torch.random.fork_rng():
        torch.manual_seed(5)
        balancer = PublishedBalancer(PublishedBalancerConfig(channels))
        state = dict(balancer.state_dict())
        most = channels[2]
        for attention in ("attn1", "attn2"):
            for name, outputs in (("query", most // 8), ("key", most // 8), ("value", most)):
                state[f"{attention}.{name}_conv.weight"] = torch.randn(outputs, most, 1, 1)
                state[f"{attention}.{name}_conv.bias"] = torch.randn(outputs)
            state[f"{attention}.gamma"] = torch.zeros(1)
    return state
