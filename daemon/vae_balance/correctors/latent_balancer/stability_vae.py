"""Stability's VAEs: diffusers' AutoencoderKL in the place of our own VAE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from typing_extensions import Self

from vae_balance.errors import ModelError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

# The class that config.json names.
CLASS_NAME = "AutoencoderKL"
# What these VAEs were trained on.
TRAINED_RANGE = (-1.0, 1.0)


class StabilityVAE(nn.Module):
    """An AutoencoderKL that takes and gives pixels in 0..1.

    Sizes in the comments are for a 224 x 224 proxy and sd-vae-ft-mse, of 83.7 M parameters. Its
    latents are not multiplied by `scaling_factor`: that is for diffusion.

    Args:
        autoencoder: the network.
        pixel_range: the values that it is given, and gives, for black and white. It was trained on
            -1..1; the published algorithm uses 0..1, and its latent balancer was trained so.
    """

    def __init__(
        self, autoencoder: AutoencoderKL, pixel_range: tuple[float, float] = TRAINED_RANGE
    ) -> None:
        super().__init__()
        self.autoencoder: Any = autoencoder
        self.pixel_range = pixel_range

    @classmethod
    def load_folder(cls, folder: Path, pixel_range: tuple[float, float] = TRAINED_RANGE) -> Self:
        """Read a network of diffusers' form: config.json and one safetensors file.

        Raises:
            ModelError: a file is missing, broken, or of another network.
        """
        from diffusers import AutoencoderKL  # costs as much time as torch: only when it is needed

        # It knows the names that the attention layers had when these VAEs were published.
        from_pretrained: Any = AutoencoderKL.from_pretrained  # diffusers declares no types
        try:
            autoencoder, info = from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                low_cpu_mem_usage=False,  # would ask for a package of its own, accelerate
                output_loading_info=True,
            )
        except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{folder}: not an {CLASS_NAME}: {reason}") from error
        if info["missing_keys"] or info["unexpected_keys"]:
            name = [*info["missing_keys"], *info["unexpected_keys"]][0]
            raise ModelError(f"{folder}: weights and config.json are of two networks: {name}")
        return cls(autoencoder, pixel_range).eval()

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode sRGB pixels (B, 3, H, W) in 0..1 to moments (B, 8, H/8, W/8).

        Channels 0..3 of the moments are the mean, 4..7 the log-variance of each latent.
        """
        low, high = self.pixel_range
        distribution = self.autoencoder.encode(low + (high - low) * pixels).latent_dist
        return torch.cat([distribution.mean, distribution.logvar], dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, 4, H/8, W/8) to sRGB pixels (B, 3, H, W), about 0..1, not clipped."""
        low, high = self.pixel_range
        decoded: Tensor = self.autoencoder.decode(latents).sample
        return (decoded - low) / (high - low)
