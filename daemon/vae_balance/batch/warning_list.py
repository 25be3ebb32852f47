"""What is logged as a warning while a photo is done: whoever asked for the photo is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MOST = 20  # of one photo
_CHARACTERS = 1000  # of each


@contextmanager
def listed_warnings() -> Iterator[list[str]]:
    """Yield a list that gets the warnings which the block logs in this thread."""
    listing = _Listing()
    logger = logging.getLogger("vae_balance")
    logger.addHandler(listing)
    try:
        yield listing.warnings
    finally:
        logger.removeHandler(listing)


class _Listing(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        is_ours = record.thread == self._thread and record.levelno == logging.WARNING
        if is_ours and len(self.warnings) < _MOST:
            self.warnings.append(record.getMessage()[:_CHARACTERS])
