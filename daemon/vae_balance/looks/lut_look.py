"""A look that is one color function for the whole photo: a LUT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_balance.color.arrays import Pixels
from vae_balance.color.lut import MOST_THREADS, Lut3D
from vae_balance.looks.look import Place
from vae_balance.looks.lut_forms import LutForms
from vae_balance.looks.origin import Origin
from vae_balance.looks.packed import pack_look

if TYPE_CHECKING:
    from vae_balance.looks.report import LookReport

KIND = "lut"


@dataclass(frozen=True, eq=False)
class LutLook:
    """A LUT, strength included, and what it was learned with."""

    lut: Lut3D
    origin: Origin
    report: LookReport | None = field(default=None, kw_only=True)

    @cached_property
    def changes_nothing(self) -> bool:
        """Whether every color stays as it is."""
        return self.lut.is_identity()

    def apply(
        self,
        pixels: Pixels,
        place: Place,
        profile: bytes | None = None,
        strength: float = 1.0,
        out: Pixels | None = None,
        threads: int = MOST_THREADS,
    ) -> Pixels:
        """Change colors, wherever they lie; see `Look.apply`."""
        return self._forms.apply(pixels, profile, strength, out, threads)

    def digest(self) -> str:
        """Return the digest of the LUT."""
        return self.lut.digest()

    @cached_property
    def _forms(self) -> LutForms:
        return LutForms(self.lut)

    def to_bytes(self) -> bytes:
        """Return the look for another process."""
        lut = self.lut
        values = {
            "size": lut.size,
            "table": lut.table.astype("<f4").tobytes(),
            "title": lut.title,
            "comments": lut.comments,
        }
        return pack_look(KIND, self.origin, self.report, values)

    def without_steps(self) -> LutLook:
        """Return the look without what a subclass keeps for those who want to look on."""
        return LutLook(self.lut, self.origin, report=self.report)

    @staticmethod
    def from_values(
        origin: Origin, report: LookReport | None, values: Mapping[str, Any]
    ) -> LutLook:
        """Return the look that `to_bytes` made bytes of; any exception if it did not.

        It is a plain one: what a subclass knows beside stays where it was learned.
        """
        size = values["size"]
        table = np.frombuffer(values["table"], "<f4").reshape(size, size, size, 3)
        lut = Lut3D(table, values["title"], tuple(values["comments"]))
        return LutLook(lut, origin, report=report)
