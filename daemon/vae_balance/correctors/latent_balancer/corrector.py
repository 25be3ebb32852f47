"""The latent balancer as a corrector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import Self

from vae_balance.correctors.corrector import LookOptions, Progress, Proxy, Wants
from vae_balance.models.store import FIRST_CORRECTOR, ModelInfo
from vae_balance_protocol import options as table
from vae_balance_protocol.options import Option

if TYPE_CHECKING:
    from vae_balance.correctors.latent_balancer.learn import BalancedLook
    from vae_balance.correctors.latent_balancer.model import Model


class LatentBalancerCorrector:
    """Learns looks with the networks of a model.

    Attributes:
        model: the networks.
    """

    name: ClassVar[str] = FIRST_CORRECTOR
    wants: ClassVar[Wants] = Wants()
    options: ClassVar[tuple[Option, ...]] = table.LEARNING

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def info(self) -> ModelInfo:
        """The model that was loaded."""
        return self.model.info

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self.model.device)

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        """Load a model whose files are whole; see `Corrector.load`."""
        from vae_balance.correctors.latent_balancer.model import load_networks

        return cls(load_networks(info, device))

    def learn(
        self,
        proxies: Sequence[Proxy],
        options: LookOptions,
        progress: Progress = lambda done, total, stage: None,
    ) -> BalancedLook:
        """Learn one look; see `learn.learn_look`."""
        from vae_balance.correctors.latent_balancer.learn import learn_look

        return learn_look(proxies, self.model, options, progress)
