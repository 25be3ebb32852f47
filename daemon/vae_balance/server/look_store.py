"""The looks that are kept: whatever learned them, by their digest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_balance.color.arrays import Pixels
    from vae_balance.color.lut import ColorLut
    from vae_balance.looks.look import Look, Place


@dataclass(frozen=True, eq=False)
class KeptLook:
    """A look, and what it is called.

    Attributes:
        name: its digest.
        look: what is applied.
        needs_place: whether it depends on the place in the photo.
        title: for people, of its LUT file; of what was imported the file has one of its own.
    """

    name: str
    look: Look
    needs_place: bool
    title: str

    def apply(
        self, pixels: Pixels, place: Place | None, profile: bytes | None, strength: float
    ) -> None:
        """Apply the look to pixels (H, W, 3 or 4) in place; see `Look.apply`.

        Raises:
            OptionError: it depends on the place, and none is given.
        """
        from vae_balance.errors import OptionError
        from vae_balance.looks.look import Place

        if place is None and self.needs_place:
            raise OptionError(
                f"look {self.name[:12]}... depends on the place in the photo, and no place came "
                "with the pixels: use a client of this version"
            )
        self.look.apply(pixels, place or Place.whole(pixels), profile, strength, out=pixels)

    def file_lut(self, average: bool = False) -> ColorLut:
        """Return the look as a LUT file holds it.

        Args:
            average: that of the average over the places, if it differs between them.

        Raises:
            LutError: it cannot be one.
        """
        from vae_balance.looks.given_look import GivenLook
        from vae_balance.looks.labels import file_look, titled_lut

        if isinstance(self.look, GivenLook):
            return self.look.given
        return titled_lut(file_look(self.look, average), self.title)


class LookStore:
    """Looks by name; the one that was not used for the longest time goes first.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, KeptLook] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, look: Look, title: str = "") -> KeptLook:
        """Keep a look; of equal ones the last, for its title and comments."""
        from vae_balance.looks.given_look import GivenLook
        from vae_balance.looks.lut_look import LutLook

        if isinstance(look, LutLook):
            look = look.without_steps()
        # The LUT of what was given may have to be baked, which only an export is worth.
        needs_place = not isinstance(look, GivenLook) and look.lut is None
        kept = KeptLook(look.digest(), look, needs_place, title)
        with self._lock:
            self._kept[kept.name] = kept
            self._kept.move_to_end(kept.name)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return kept

    def find(self, name: str) -> KeptLook | None:
        """Return the look of a name, or None if it is not known, or not any more."""
        with self._lock:
            look = self._kept.get(name)
            if look is not None:
                self._kept.move_to_end(name)
            return look

    def __len__(self) -> int:
        return len(self._kept)
