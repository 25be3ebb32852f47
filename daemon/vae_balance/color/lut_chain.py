"""A LUT of several steps, curves, cubes, matrices and formulas, applied one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color.arrays import Pixels
from vae_balance.color.lut import ColorLut, Lut3D, run_processor
from vae_balance.errors import OptionError

_BAKED_SIZE = 65
# Where a function that ends at 0 and 1 would show that it does not.
_PROBES = (-100.0, -1.0, -0.01, 0.0, 0.4, 1.0, 1.01, 2.0, 100.0)


@dataclass(frozen=True, eq=False)
class LutChain(ColorLut):
    """Steps as LUT files hold them, each exact as OpenColorIO does it: nothing is resampled.

    Where the steps end at 0 and 1, as tables do, floats outside keep their distance as those of a
    `Lut3D` do. Formulas, and tables over a wider range, tell themselves what becomes of them.

    Attributes:
        steps: Transforms of OpenColorIO, none of which looks at alpha.
        source: A SHA-256 in hex of what the steps were made from.
        title: A name for people.
        comments: Lines for people, kept in files that can hold them.
        strength: 0 is no change, 1 what the steps say.
    """

    steps: tuple[Any, ...]
    source: str
    title: str = ""
    comments: tuple[str, ...] = ()
    strength: float = 1.0
    _goes_on: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        """Find out whether the steps go on outside 0..1."""
        colors = np.array(list(product(_PROBES, repeat=3)), np.float32)
        inside = colors.clip(0, 1)
        with np.errstate(invalid="ignore"):
            run_processor(self, colors)
            run_processor(self, inside)
            goes_on = not np.allclose(colors, inside, rtol=1e-5, atol=1e-5, equal_nan=True)
        object.__setattr__(self, "_goes_on", goes_on)

    @property
    def size(self) -> int:
        """Nodes along each edge of the cube that `baked` returns."""
        return max([_BAKED_SIZE, *(grid_size(step) for step in self.steps)])

    @property
    def goes_on(self) -> bool:
        """Whether the steps themselves tell what becomes of colors outside 0..1."""
        return self._goes_on

    def blended(self, strength: float) -> LutChain:
        """Return the LUT between no change (strength 0) and this one (1), or beyond (above 1).

        Raises:
            OptionError: The strength is not a finite number.
        """
        if not np.isfinite(strength):
            raise OptionError(f"strength {strength}: it must be a finite number")
        return replace(self, strength=self.strength * strength)

    def is_identity(self) -> bool:
        """Tell whether nothing is done."""
        return self.strength == 0.0 or not self.steps

    def baked(self) -> Lut3D:
        """Return the function at the nodes of a cube; a comment tells what was lost."""
        lut = Lut3D.from_function(self, self.size)
        between = (np.arange(lut.size - 1) + 0.5) / (lut.size - 1)
        grey = np.repeat(np.linspace(0, 1, 4096)[:, None], 3, axis=1)
        cells = np.stack(np.meshgrid(*[between[::2]] * 3), axis=-1).reshape(-1, 3)
        colors = np.concatenate([grey, cells])
        error = 255 * np.abs(lut(colors).clip(0, 1) - self(colors).clip(0, 1)).max()
        note = f"baked at {lut.size} nodes an edge, up to {error:.1f} of 255 off"
        return replace(lut, title=self.title, comments=(*self.comments, note))

    def digest(self) -> str:
        """Return a SHA-256, in hex, of what the steps were made from, and of the strength."""
        if self.strength == 1.0:
            return self.source
        return hashlib.sha256(f"{self.source} at {self.strength!r}".encode()).hexdigest()

    def transform(self) -> Any:
        """Return the steps, at full strength, as a transform of OpenColorIO."""
        import PyOpenColorIO

        return PyOpenColorIO.GroupTransform(list(self.steps))

    def run(self, pixels: Pixels) -> None:
        """Map contiguous `pixels`, (N, 3 or 4), in place, on the thread that calls."""
        # OpenColorIO would write alpha anew, from the float that it made of it.
        alpha = pixels[:, 3:].view(f"u{pixels.itemsize}").copy()
        if self.strength == 1.0:
            run_processor(self, pixels)
        else:
            self._run_in_part(pixels)
        pixels[:, 3:].view(f"u{pixels.itemsize}")[:] = alpha

    def _run_in_part(self, pixels: Pixels) -> None:
        full = np.float32(np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)
        before = np.ascontiguousarray(pixels[:, :3], np.float32) / full
        mapped = before.copy()
        run_processor(self, mapped)
        mapped -= before
        mapped *= np.float32(self.strength)
        mapped += before
        if full > 1:
            mapped = np.rint(mapped.clip(0, 1) * full)
        pixels[:, :3] = mapped


def curves_step(curves: npt.NDArray[np.float32]) -> Any:
    """Return curves, (n, 3) outputs for inputs i / (n - 1), as a step; lines between."""
    import PyOpenColorIO

    step = PyOpenColorIO.Lut1DTransform(length=len(curves), inputHalfDomain=False)
    step.setInterpolation(PyOpenColorIO.INTERP_LINEAR)
    step.setData(np.ascontiguousarray(curves, np.float32).reshape(-1))
    return step


def range_steps(low: npt.ArrayLike, high: npt.ArrayLike) -> Sequence[Any]:
    """Return what brings inputs `low`..`high`, three each, to 0..1: no step if they are there."""
    import PyOpenColorIO

    first, last = np.broadcast_to(low, 3).astype(float), np.broadcast_to(high, 3).astype(float)
    if (first == 0).all() and (last == 1).all():
        return ()
    scale = 1 / (last - first)
    matrix = np.diag([*scale, 1.0]).reshape(-1)
    return (PyOpenColorIO.MatrixTransform(matrix.tolist(), [*(-first * scale), 0.0]),)


def grid_size(step: Any) -> int:
    """Return the nodes along an edge of a step that is a 3D table, else 0."""
    return int(step.getGridSize()) if hasattr(step, "getGridSize") else 0
