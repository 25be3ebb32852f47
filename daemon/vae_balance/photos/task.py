"""What is to be done with one photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PhotoTask:
    """A photo, where its result goes, and where its look goes if it is wanted.

    Attributes:
        overwrite: replace what is in the place of its outputs, even where that is not asked for
            all photos.
    """

    photo: Path
    output: Path
    lut: Path | None = None
    overwrite: bool = False
