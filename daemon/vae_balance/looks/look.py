"""What was learned of a photo or a roll: the interface that everything which applies looks knows.

The other half is `correctors/corrector.py`: who learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vae_balance.color.arrays import Pixels
from vae_balance.color.lut import MOST_THREADS, Lut3D
from vae_balance.looks.origin import Origin

if TYPE_CHECKING:
    from vae_balance.looks.report import LookReport


@dataclass(frozen=True)
class Place:
    """Where pixels lie in the photo that they are of, as it is stored.

    Attributes:
        width: of the whole photo.
        height: of the whole photo.
        left: the column of the whole photo that the pixels begin with.
        top: the row of the whole photo that the pixels begin with.
        orientation: of the photo, as in EXIF (1 is upright).
    """

    width: int
    height: int
    left: int = 0
    top: int = 0
    orientation: int = 1

    @classmethod
    def whole(cls, pixels: Pixels, orientation: int = 1) -> Place:
        """Return the place of all pixels (H, W, 3 or 4) of a photo."""
        height, width = pixels.shape[:2]
        return cls(width, height, orientation=orientation)

    def lay(self, planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return planes (..., h, w) over the upright frame as they lie over the stored one."""
        if self.orientation in (3, 4, 7, 8):
            planes = planes[..., ::-1, :]
        if self.orientation in (2, 3, 6, 7):
            planes = planes[..., ::-1]
        if self.orientation >= 5:
            planes = planes.swapaxes(-1, -2)
        return np.ascontiguousarray(planes)


@runtime_checkable
class Look(Protocol):
    """Changes any strip of a photo, in any order."""

    @property
    def origin(self) -> Origin:
        """What it was learned with."""
        ...

    @property
    def report(self) -> LookReport | None:
        """What was found wrong with the photos; None where that was not looked for."""
        ...

    @property
    def lut(self) -> Lut3D | None:
        """The look as a LUT; None if it depends on the place, and cannot leave as a LUT file."""
        ...

    @property
    def changes_nothing(self) -> bool:
        """Whether every color surely stays as it is: nothing was found, or the strength is 0."""
        ...

    def apply(
        self,
        pixels: Pixels,
        place: Place,
        profile: bytes | None = None,
        strength: float = 1.0,
        out: Pixels | None = None,
        threads: int = MOST_THREADS,
    ) -> Pixels:
        """Change the colors of a photo, or of a strip of it.

        Args:
            pixels: (H, W, 3 or 4), uint8, uint16, float16 or float32; alpha is left alone.
            place: where they lie in the photo.
            profile: ICC profile that they are encoded in; None is sRGB.
            strength: 0 changes nothing, 1 applies the look, up to 1.5 goes beyond.
            out: for the result, `pixels` itself to work in place; None makes a new array.
            threads: work on so many at most.

        Raises:
            OptionError: an array has another shape, dtype or layout.
        """
        ...

    def digest(self) -> str:
        """Return 64 hex digits that are the same for the same look only."""
        ...

    def to_bytes(self) -> bytes:
        """Return the look for another process; `packed.unpack_look` makes it a look again."""
        ...


def report_of(look: Look) -> dict[str, Any] | None:
    """Return what was found wrong with the photos, as JSON and msgpack take it."""
    return look.report.to_json() if look.report else None
