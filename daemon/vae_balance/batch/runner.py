"""Who does the work of a batch: the interface of all that take photos the whole way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vae_balance.batch.outcome import PhotoOutcome
from vae_balance.photos.task import PhotoTask
from vae_balance.pipeline import How
from vae_balance_protocol import messages


@dataclass(frozen=True, kw_only=True)
class PhotoReport(PhotoOutcome):
    """What became of a photo.

    Attributes:
        index: its place among the photos, from 0.
        report: what the look found, as `LookReport.to_json` tells it; None if that is not known.
    """

    index: int
    report: dict[str, Any] | None = None


class Runner(Protocol):
    """Threads of this process, or other computers."""

    def run(
        self,
        photos: Iterable[PhotoTask],
        how: How,
        roll: bool,
        report: Callable[[PhotoReport], None],
    ) -> tuple[int, int]:
        """Balance photos, each by a look of its own or all by one.

        A photo that cannot be read, learned from or written is reported, and the others go on.
        Every file is written whole or not at all; a LUT appears together with its photo, the LUT
        of a roll before the first photo. Folders of outputs are made, and cleared of what a killed
        process has left in the middle of writing.

        Args:
            photos: what to balance; it may be planned while the first ones are in work.
            how: how they are treated.
            roll: learn one look from all photos; from `messages.PROXIES` of them, evenly picked, if
                there are more.
            report: told of every photo when it is done or failed, in the calling thread.

        Returns:
            How many photos were done and how many failed; fewer than there are if it was stopped.

        Raises:
            ModelError: would come with every photo.
            BalanceError: the one look of a roll cannot be learned or written.
        """
        ...


def frames_to_learn_from(count: int) -> list[int]:
    """Return the numbers of the frames that the look of a roll of so many is learned from."""
    chosen = min(count, messages.PROXIES)
    return np.linspace(0, count - 1, chosen).round().astype(int).tolist()
