"""The models that can be fetched: which files, of which revision, from where, with which checksum.

What is pinned: the revision of the VAE, and the size and sha256 of its files. Of the published
latent balancer the revision is pinned; its author gives no checksum.
"""

from __future__ import annotations

from dataclasses import dataclass

VAE_FOLDER = "vae"
LATENT_BALANCER_FOLDER = "latent_balancer"
# The published checkpoint, as its author's script joins it from its parts.
CHECKPOINT_NAME = "latent_balancer.pth"


@dataclass(frozen=True)
class RemoteFile:
    """A file in a public repository.

    Attributes:
        host: where the repository is, "huggingface.co" or "github.com".
        repository: "owner/name".
        revision: the commit, 40 hex digits.
        path: of the file, within the repository.
        target: where it belongs, within the model's folder.
        sha256: hex digest; None where nobody states one.
        size: in bytes; None where nobody states it.
    """

    host: str
    repository: str
    revision: str
    path: str
    target: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class RemoteModel:
    """A model that can be fetched.

    Attributes:
        name: what `--model` calls it.
        license: under which its files may be used.
        source: where they come from.
        vae: the files of the VAE.
        balancer_parts: the parts of the published latent balancer, in the order to join them.
    """

    name: str
    license: str
    source: str
    vae: tuple[RemoteFile, ...]
    balancer_parts: tuple[RemoteFile, ...]

    @property
    def version(self) -> str:
        """The beginning of the VAE's revision."""
        return self.vae[0].revision[:12]


_VAE = ("huggingface.co", "stabilityai/sd-vae-ft-mse", "31f26fdeee1355a5c34592e401dd41e45d25a493")
# Published as messy-bytes/VAE-Color-Balance; the author's account has another name now.
_BALANCER = (
    "github.com",
    "jp-mess/VAE-Color-Balance",
    "0e4f20cb52c812fea26d4a220951bf599596df16",
)

SD_VAE_FT_MSE = RemoteModel(
    name="sd-vae-ft-mse",
    license="MIT",
    source="huggingface.co/stabilityai/sd-vae-ft-mse",
    vae=(
        RemoteFile(
            *_VAE,
            "config.json",
            f"{VAE_FOLDER}/config.json",
            "92d3dfb746fca211a2c9e019e285f8597412211728dce3c5bcf4eda0f2d62e7e",
            547,
        ),
        RemoteFile(
            *_VAE,
            "diffusion_pytorch_model.safetensors",
            f"{VAE_FOLDER}/diffusion_pytorch_model.safetensors",
            "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
            334_643_276,
        ),
    ),
    balancer_parts=tuple(
        RemoteFile(*_BALANCER, f"checkpoints/{part}", f"{LATENT_BALANCER_FOLDER}/{part}")
        for part in ("latent_balancer_part_00", "latent_balancer_part_01")
    ),
)
FETCHABLE = {model.name: model for model in (SD_VAE_FT_MSE,)}
