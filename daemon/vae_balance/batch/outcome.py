"""What became of a photo of a batch: told by the daemon, and kept in the report."""

from __future__ import annotations

from dataclasses import dataclass, field

DONE, FAILED = "done", "failed"


@dataclass(frozen=True, kw_only=True)
class PhotoOutcome:
    """What became of a photo.

    Attributes:
        outcome: "done" or "failed".
        code: how it failed, as in PROTOCOL.md; "" if done.
        message: why, in one line for people; "" if done.
        look: the digest of the look, "" if none was learned.
        device: what it was learned on, "" if none was.
        width: pixels as they are stored, 0 if the photo could not be read.
        height: as width.
        seconds: by stage.
        warnings: one line for people each.
    """

    outcome: str
    code: str = ""
    message: str = ""
    look: str = ""
    device: str = ""
    width: int = 0
    height: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
