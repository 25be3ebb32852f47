"""A look that somebody gives: a LUT of any kind, whose curves and shapers stay what they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vae_balance.color.arrays import Pixels
from vae_balance.color.lut import MOST_THREADS, ColorLut, Lut3D
from vae_balance.looks.look import Place
from vae_balance.looks.lut_forms import LutForms
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import UNKNOWN, Origin


@dataclass(frozen=True, eq=False)
class GivenLook:
    """A LUT that was not learned here."""

    given: ColorLut
    origin: Origin = UNKNOWN
    report: None = None  # nobody looked at a photo

    @cached_property
    def lut(self) -> Lut3D:
        """The look as a cube."""
        return self.given.baked()

    @cached_property
    def changes_nothing(self) -> bool:
        """Whether every color surely stays as it is."""
        return self.given.is_identity()

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
        return self.given.digest()

    @cached_property
    def _forms(self) -> LutForms:
        return LutForms(self.given)

    def to_bytes(self) -> bytes:
        """Return the look as a cube for another process."""
        return LutLook(self.lut, self.origin).to_bytes()
