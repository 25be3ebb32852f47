"""The white-balance VAE as a corrector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import Self

from vae_balance.correctors.corrector import LookOptions, Progress, Proxy, Wants, heeded
from vae_balance.looks.origin import Origin
from vae_balance.models.device import choose_device
from vae_balance.models.store import ModelInfo
from vae_balance_protocol import options as table
from vae_balance_protocol.options import Option

if TYPE_CHECKING:
    import torch

    from vae_balance.correctors.pictures import PictureLook
    from vae_balance.correctors.vae_white_balance.network import WhiteBalanceVAE

# The folder of the network in a model's.
NETWORK = "vae"
# So much of the way from the one decoded picture to the other is a look. It was trained on strong
# casts and expects one everywhere; on watched photos this share does least harm to sound ones for
# what it does for the others (the model's card has the figures).
_SHARE = 0.6
_TOLD = (
    "The photo as 128 numbers",
    "An encoder squeezes the photo into 128 numbers, and a decoder makes two pictures of them: "
    "the photo as it was given, and as a camera with the right white balance would have taken it. "
    "Both are soft in the same way and differ in color alone. The look goes 0.6 of the way, as the "
    "network expects a strong cast in every photo.",
)


class VaeWhiteBalance:
    """Learns looks from the two pictures that a `WhiteBalanceVAE` decodes."""

    name: ClassVar[str] = "vae-white-balance"
    wants: ClassVar[Wants] = Wants(part="frame")
    options: ClassVar[tuple[Option, ...]] = table.LEARNING

    def __init__(self, info: ModelInfo, network: WhiteBalanceVAE, device: torch.device) -> None:
        self.info = info
        self._network = network.to(device)
        self._device = device

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._device)

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        """Load a model whose files are whole; see `Corrector.load`."""
        from vae_balance.correctors.vae_white_balance.network import WhiteBalanceVAE

        place = choose_device(device)
        return cls(info, WhiteBalanceVAE.load_folder(info.folder / NETWORK), place)

    def learn(
        self,
        proxies: Sequence[Proxy],
        options: LookOptions,
        progress: Progress = lambda done, total, stage: None,
    ) -> PictureLook:
        """Learn one look; see `Corrector.learn`."""
        from vae_balance.correctors.pictures import learn_from_pictures

        def ask(current: Proxy) -> tuple[Proxy, Proxy]:
            given, right = self.decode(current, options.seed)
            return given, given + _SHARE * (right - given)

        origin = Origin(self.name, self.info.name, self.info.version, heeded(options, self.options))
        return learn_from_pictures(proxies, ask, options, origin, _TOLD, progress)

    def decode(self, proxies: Proxy, seed: int | None = None) -> tuple[Proxy, Proxy]:
        """Return what proxies (N, 224, 224, 3) are decoded to: as given, and as they should be.

        Both are of the network's size, (N, 112, 112, 3).

        Args:
            proxies: sRGB-encoded, 0..1.
            seed: of the sample that is decoded; None decodes the mean.
        """
        import torch

        from vae_balance.correctors.pictures import as_pictures, as_tensor
        from vae_balance.correctors.vae_white_balance.network import sample

        with torch.inference_mode():
            latents, log_variance = self._network.encode(as_tensor(proxies, self._device))
            if seed is not None:
                latents = sample(latents, log_variance, torch.Generator().manual_seed(seed))
            decoded = self._network.decode(latents)
            return as_pictures(decoded.given), as_pictures(decoded.right)
