"""The report's line of a photo, made from what was told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vae_balance.batch.plan import Planned
from vae_balance.batch.report import Line, Stamp

_TOLD = ("outcome", "code", "message", "look", "device", "width", "height", "warnings")


def line_of(
    photo: Planned, stamp: Stamp | None, settings: dict[str, Any], told: Mapping[str, Any]
) -> Line:
    """Return the line of a photo.

    Args:
        photo: as it was planned.
        stamp: of its source, before it was begun.
        settings: all else that the result depends on.
        told: what became of it, by the names of `PhotoOutcome`.
    """
    outputs = [path for path in (photo.target, photo.cube) if path is not None]
    return Line(
        source=str(photo.source),
        target=str(photo.target),
        cube=None if photo.cube is None else str(photo.cube),
        **{name: told[name] for name in _TOLD},
        seconds={stage: round(seconds, 4) for stage, seconds in told["seconds"].items()},
        settings=settings,
        stamps={str(photo.source): stamp, **{str(path): Stamp.of(path) for path in outputs}},
    )
