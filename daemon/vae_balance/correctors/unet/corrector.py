"""The U-Net as a corrector: its picture is not the result, but what a color map is learned from.

So it works at any size, and keeps every detail that the U-Net would have painted over.
"""

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
    from vae_balance.correctors.unet.network import UNet

# The folder of the network in a model's.
NETWORK = "unet"
_TOLD = (
    "U-Net",
    "A network goes from pixels to pixels: down to a picture of 14 x 14, where it sees much of the "
    "photo at once, and up again along the details that it passed on the way. There is no latent "
    "space between.",
)


class UNetCorrector:
    """Learns looks from what a `UNet` makes of proxies."""

    name: ClassVar[str] = "unet"
    wants: ClassVar[Wants] = Wants(part="frame", roll=False)
    options: ClassVar[tuple[Option, ...]] = (table.ITERATIONS, table.STRENGTH, table.SIZE)

    def __init__(self, info: ModelInfo, network: UNet, device: torch.device) -> None:
        import torch

        self.info = info
        self._network = network.to(device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._device)

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        """Load a model whose files are whole; see `Corrector.load`."""
        from vae_balance.correctors.unet.network import UNet

        return cls(info, UNet.load_folder(info.folder / NETWORK), choose_device(device))

    def learn(
        self,
        proxies: Sequence[Proxy],
        options: LookOptions,
        progress: Progress = lambda done, total, stage: None,
    ) -> PictureLook:
        """Learn one look; see `Corrector.learn`."""
        from vae_balance.correctors.pictures import learn_from_pictures

        def ask(current: Proxy) -> tuple[Proxy, Proxy]:
            return current, self.corrected(current)

        origin = Origin(self.name, self.info.name, self.info.version, heeded(options, self.options))
        return learn_from_pictures(proxies, ask, options, origin, _TOLD, progress)

    def corrected(self, proxies: Proxy) -> Proxy:
        """Return what the U-Net itself makes of proxies (N, 224, 224, 3), sRGB-encoded, 0..1."""
        import torch

        from vae_balance.correctors.pictures import as_pictures, as_tensor

        with torch.inference_mode():
            return as_pictures(self._network(as_tensor(proxies, self._device)))
