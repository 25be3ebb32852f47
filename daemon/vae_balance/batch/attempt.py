"""A photo of a batch is tried: whatever becomes of it, there is a report."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vae_balance.batch.outcome import DONE, FAILED
from vae_balance.batch.runner import PhotoReport
from vae_balance.batch.warning_list import listed_warnings
from vae_balance.errors import CancelledError, ModelError, describe
from vae_balance.looks.look import report_of
from vae_balance.pipeline import Changed
from vae_balance_protocol import messages

_log = logging.getLogger(__name__)


def attempt(index: int, photo: Path, finish: Callable[[], PhotoReport]) -> PhotoReport:
    """Return what became of a photo, with the warnings that were logged about it.

    Args:
        index: its place among the photos.
        photo: its file.
        finish: does the work, or raises.

    Raises:
        CancelledError: the work was stopped.
        ModelError: would come with every photo.
    """
    with listed_warnings() as warnings:
        try:
            ended = finish()
        except (CancelledError, ModelError):
            raise
        except Exception as error:
            ended = failure(index, photo, error)
    return replace(ended, warnings=tuple(warnings))


def success(index: int, changed: Changed) -> PhotoReport:
    """Return the report of a photo that was changed and written."""
    learned = changed.learned
    return PhotoReport(
        index=index,
        outcome=DONE,
        look=learned.look.digest(),
        device=learned.device,
        width=changed.width,
        height=changed.height,
        seconds=changed.seconds,
        report=report_of(learned.look),
    )


def failure(index: int, photo: Path, error: Exception) -> PhotoReport:
    """Return the report of a photo that could not be done; a defect of ours is logged, too."""
    code, message = describe(error)
    if code == messages.INTERNAL:
        _log.error("%s: a defect", photo, exc_info=error)
    return PhotoReport(index=index, outcome=FAILED, code=code, message=message)
