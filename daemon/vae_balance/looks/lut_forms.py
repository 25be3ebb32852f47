"""What applying a LUT takes: its strengths, and what each profile and depth makes of it."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Any

from vae_balance.color.arrays import Pixels
from vae_balance.color.lut import MOST_THREADS, ColorLut, check_pixels, result_for
from vae_balance.color.profile import apply_in_profile

_FORMS = 4  # that are kept at hand


class LutForms:
    """A LUT, and the LUTs that blending made of it; each is made once, however many threads ask."""

    def __init__(self, lut: ColorLut) -> None:
        self._lut = lut
        # By strength, None where nothing is changed.
        self._blended: OrderedDict[float, ColorLut | None] = OrderedDict()
        self._prepared: deque[tuple[Any, ...]] = deque(maxlen=_FORMS)
        self._preparing = threading.Lock()

    def apply(
        self,
        pixels: Pixels,
        profile: bytes | None,
        strength: float,
        out: Pixels | None = None,
        threads: int = MOST_THREADS,
    ) -> Pixels:
        """Apply the LUT at a strength, in the encoding of a profile; see `Look.apply`.

        One that changes nothing leaves every pixel as it is, to the last bit, in any encoding.
        """
        check_pixels(pixels)
        form = (strength, hash(profile), pixels.dtype)
        with self._preparing:
            lut = self._blend(strength)
            if lut is None:
                return result_for(pixels, out)
            if form not in self._prepared:
                # Strips come by the dozen and threads are several: the first pixel makes what
                # `profile_lut` and OpenColorIO then remember, while the others wait for it.
                apply_in_profile(lut, pixels[:1, :1].copy(), profile)
                self._prepared.append(form)
        return apply_in_profile(lut, pixels, profile, out=out, threads=threads)

    def _blend(self, strength: float) -> ColorLut | None:
        if strength not in self._blended:
            blended = self._lut if strength == 1.0 else self._lut.blended(strength)
            self._blended[strength] = None if blended.is_identity() else blended
        self._blended.move_to_end(strength)
        if len(self._blended) > _FORMS:
            self._blended.popitem(last=False)
        return self._blended[strength]
