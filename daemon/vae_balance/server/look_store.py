"""The looks that are kept, and what makes applying them fast."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_balance.color.lut import ColorLut, Pixels

_FORMS = 4  # of a look, that are kept at hand


class KeptLook:
    """A look, and the LUTs that blending made of it.

    Attributes:
        name: the digest of the LUT.
        lut: sRGB-encoded colors to sRGB-encoded colors.
    """

    def __init__(self, lut: ColorLut) -> None:
        self.name = lut.digest()
        self.lut = lut
        self._blended: OrderedDict[float, ColorLut] = OrderedDict()
        self._prepared: deque[tuple[Any, ...]] = deque(maxlen=_FORMS)
        self._preparing = threading.Lock()

    def apply(self, pixels: Pixels, profile: bytes | None, strength: float) -> None:
        """Apply the look to pixels (H, W, 3 or 4) in place, in the encoding of their profile."""
        from vae_balance.color.profile import apply_in_profile

        form = (strength, hash(profile), pixels.dtype)
        with self._preparing:
            lut = self._blend(strength)
            if form not in self._prepared:
                # Strips come by the dozen and threads are several: the first pixel makes what
                # `profile_lut` and OpenColorIO then remember, while the others wait for it.
                apply_in_profile(lut, pixels[:1, :1].copy(), profile)
                self._prepared.append(form)
        apply_in_profile(lut, pixels, profile, out=pixels)

    def _blend(self, strength: float) -> ColorLut:
        if strength == 1.0:
            return self.lut
        if strength not in self._blended:
            self._blended[strength] = self.lut.blended(strength)
        self._blended.move_to_end(strength)
        if len(self._blended) > _FORMS:
            self._blended.popitem(last=False)
        return self._blended[strength]


class LookStore:
    """Looks by name; the one that was not used for the longest time goes first.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, KeptLook] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, lut: ColorLut) -> KeptLook:
        """Keep the look of a LUT; of equal ones the last, for its title and comments."""
        look = KeptLook(lut)
        with self._lock:
            self._kept[look.name] = look
            self._kept.move_to_end(look.name)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return look

    def find(self, name: str) -> KeptLook | None:
        """Return the look of a name, or None if it is not known, or not any more."""
        with self._lock:
            look = self._kept.get(name)
            if look is not None:
                self._kept.move_to_end(name)
            return look

    def __len__(self) -> int:
        return len(self._kept)
