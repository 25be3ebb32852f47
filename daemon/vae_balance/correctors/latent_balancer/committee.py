"""Several fused balancers that were trained apart, asked as one.

Networks that began with different weights are wrong in different ways; the mean of what they say is
less wrong than each (Hansen and Salamon, 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from typing_extensions import Self

from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer.fused_network import (
    Answer,
    FusedBalancerConfig,
    FusedLatentBalancer,
)
from vae_balance.models.folder import FolderModel


@dataclass(frozen=True)
class CommitteeConfig(FusedBalancerConfig):
    """Sizes that all members have, and how many there are."""

    members: int = 2

    @property
    def member(self) -> FusedBalancerConfig:
        """The sizes of a member."""
        names = (field.name for field in fields(FusedBalancerConfig))
        return FusedBalancerConfig(**{name: getattr(self, name) for name in names})


class BalancerCommittee(FolderModel):
    """Moments (B, 8, 28, 28) and the classifier's features to the mean of what its members say."""

    config_type = CommitteeConfig
    pixel_range: ClassVar[tuple[float, float]] = FusedLatentBalancer.pixel_range

    def __init__(self, config: CommitteeConfig = CommitteeConfig()) -> None:
        super().__init__(config)
        self.balancers = nn.ModuleList(
            FusedLatentBalancer(config.member) for _ in range(config.members)
        )

    @classmethod
    def of(cls, members: Sequence[FusedLatentBalancer]) -> Self:
        """Return a committee of balancers of the same sizes.

        Raises:
            ValueError: their sizes differ.
        """
        sizes = [replace(member.config, dropout=0.0, feature_dropout=0.0) for member in members]
        if any(other != sizes[0] for other in sizes):
            raise ValueError("balancers of different sizes")
        committee = cls(CommitteeConfig(**asdict(members[0].config), members=len(members)))
        for own, member in zip(committee.balancers, members, strict=True):
            own.load_state_dict(member.state_dict())
        return committee.eval()

    @property
    def members(self) -> list[FusedLatentBalancer]:
        """The balancers, in the order in which they were put together."""
        return cast("list[FusedLatentBalancer]", list(self.balancers))

    def forward(self, moments: Tensor, features: Features, statistics: Tensor) -> Answer:
        """Ask all members; see `FusedLatentBalancer.forward`."""
        answers = [member(moments, features, statistics) for member in self.members]
        return Answer(
            torch.stack([answer.moments for answer in answers]).mean(dim=0),
            torch.stack([answer.fault for answer in answers]).mean(dim=0),
            torch.stack([answer.doubt for answer in answers]).mean(dim=0),
        )
