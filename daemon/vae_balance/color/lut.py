"""LUTs of any form as one type, the 3D LUT, and their application to pixels by OpenColorIO."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color.arrays import Pixels
from vae_balance.errors import LutError, OptionError
from vae_balance_protocol.options import SIZE, SIZES

MIN_SIZE, MAX_SIZE = SIZES.low, SIZES.high

_DEPTHS = {  # names in OpenColorIO, which is imported only when a LUT is applied
    np.dtype(np.uint8): "BIT_DEPTH_UINT8",
    np.dtype(np.uint16): "BIT_DEPTH_UINT16",
    np.dtype(np.float16): "BIT_DEPTH_F16",
    np.dtype(np.float32): "BIT_DEPTH_F32",
}
# OpenColorIO holds a row of pixels as RGBA float32 while it works: this one stays in a core's
# cache. A strip is what one thread does at a time; the buffers for twice as much would be handed
# back to the system after every strip, and page faults would double the time.
_ROW = 4096
_STRIP = 8 * _ROW
MOST_THREADS = 8  # more would only wait for memory


class ColorLut(ABC):
    """What a LUT file holds: a function from sRGB-encoded color to sRGB-encoded color.

    Attributes:
        title: A name for people.
        comments: Lines for people, kept in files that can hold them.
    """

    title: str
    comments: tuple[str, ...]

    @property
    @abstractmethod
    def size(self) -> int:
        """Nodes along each edge of the cube that `baked` returns."""

    @property
    @abstractmethod
    def goes_on(self) -> bool:
        """Whether the function itself tells what becomes of colors outside 0..1."""

    @abstractmethod
    def blended(self, strength: float) -> ColorLut:
        """Return the LUT between no change (strength 0) and this one (1), or beyond (above 1).

        Raises:
            OptionError: The strength is not a finite number.
        """

    @abstractmethod
    def is_identity(self) -> bool:
        """Tell whether every color surely stays as it is, to the last bit of a float in 0..1."""

    @abstractmethod
    def baked(self) -> Lut3D:
        """Return the function as a 3D LUT, for files that hold nothing else."""

    @abstractmethod
    def digest(self) -> str:
        """Return a SHA-256, in hex, of the numbers that make the function."""

    @abstractmethod
    def transform(self) -> Any:
        """Return the function as a transform of OpenColorIO."""

    def run(self, pixels: Pixels) -> None:
        """Map contiguous `pixels`, (N, 3 or 4), in place, on the thread that calls.

        What becomes of floats outside 0..1 is OpenColorIO's affair here.
        """
        run_processor(self, pixels)

    def __call__(self, colors: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Map colors, (..., 3), sRGB-encoded floats, to float32 of the same shape and encoding.

        A color outside 0..1 is mapped as the nearest color inside and keeps its distance from
        it, lut(clip(x)) + (x - clip(x)), unless the function goes on there. A color with a NaN
        or an infinity stays as it is.

        Raises:
            OptionError: `colors` does not end in a dimension of three.
        """
        with np.errstate(over="ignore"):  # stays as it is, as infinity
            mapped: npt.NDArray[np.float32] = np.array(colors, dtype=np.float32, order="C")
        if mapped.ndim == 0 or mapped.shape[-1] != 3:
            raise OptionError(f"colors of shape {mapped.shape}: it must be (..., 3)")
        _apply_in_place(self, mapped.reshape(-1, 3), MOST_THREADS)
        return mapped


@dataclass(frozen=True, eq=False)
class Lut3D(ColorLut):
    """A color function, sampled on a regular cube and interpolated tetrahedrally.

    Attributes:
        table: (n, n, n, 3) float32, indexed [red, green, blue], n in 2..129: the sRGB-encoded
            output color for sRGB-encoded inputs i / (n - 1). Outputs may leave 0..1. The table
            is copied and cannot be written to.
        title: A name for people.
        comments: Lines for people, kept in files that can hold them.

    Raises:
        LutError: The table has another shape or size, or values that are not finite numbers.
    """

    table: npt.NDArray[np.float32]
    title: str = ""
    comments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the table and freeze a copy of it."""
        given = np.asarray(self.table)
        size = given.shape[0] if given.ndim else 0
        if given.shape != (size, size, size, 3) or not MIN_SIZE <= size <= MAX_SIZE:
            raise LutError(
                f"LUT table of shape {given.shape}: "
                f"it must be (n, n, n, 3) with n in {MIN_SIZE}..{MAX_SIZE}"
            )
        if given.dtype.kind not in "fiu":
            raise LutError(f"LUT table of type {given.dtype}: it must hold real numbers")
        with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
            table = np.array(given, dtype=np.float32, order="C")
        if not np.isfinite(table).all():
            raise LutError("LUT table holds NaN or infinite values: all must be finite")
        table.flags.writeable = False
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "comments", tuple(self.comments))

    @property
    def size(self) -> int:
        """Nodes along each edge of the cube."""
        return int(self.table.shape[0])

    @property
    def goes_on(self) -> bool:
        """A table ends at 0 and 1."""
        return False

    @classmethod
    def identity(cls, size: int = SIZE.default) -> Lut3D:
        """Return the LUT that leaves every color as it is.

        Raises:
            OptionError: The size is not in 2..129.
        """
        return cls(_nodes(size).astype(np.float32))

    @classmethod
    def from_function(
        cls,
        function: Callable[[npt.NDArray[np.float64]], npt.ArrayLike],
        size: int = SIZE.default,
    ) -> Lut3D:
        """Bake `function` at the nodes of a cube.

        Args:
            function: Maps (k, 3) float64 sRGB-encoded colors in 0..1 to (k, 3) of the same kind.
            size: Nodes along each edge.

        Raises:
            OptionError: The size is not in 2..129.
            LutError: The function returns another shape, or values that are not finite.
        """
        nodes = _nodes(size).reshape(-1, 3)
        baked = np.asarray(function(nodes))
        if baked.shape != nodes.shape:
            raise LutError(f"function returned shape {baked.shape}: it must be {nodes.shape}")
        return cls(baked.reshape(size, size, size, 3))

    def blended(self, strength: float) -> Lut3D:
        """Return the LUT between no change (strength 0) and this one (1), or beyond (above 1).

        What has no value outside of 0..1 gets none.

        Raises:
            OptionError: The strength is not a finite number.
        """
        if not np.isfinite(strength):
            raise OptionError(f"strength {strength}: it must be a finite number")
        identity = _nodes(self.size)
        table = identity + strength * (self.table - identity)
        if self.table.min() >= 0.0 and self.table.max() <= 1.0:
            table = table.clip(0.0, 1.0)
        return Lut3D(table.astype(np.float32), self.title, self.comments)

    def clipped(self) -> Lut3D:
        """Return the LUT without values outside of 0..1, as files hold it."""
        return Lut3D(self.table.clip(0.0, 1.0), self.title, self.comments)

    def is_identity(self) -> bool:
        """Tell whether every color stays as it is, to the last bit of a float in 0..1."""
        # A node's number, rounded in other ways than ours, is still the same color.
        return bool(np.abs(self.table - _nodes(self.size)).max() <= 2**-24)

    def baked(self) -> Lut3D:
        """Return the LUT itself."""
        return self

    def digest(self) -> str:
        """Return the SHA-256, in hex, of the size and of the table's float32 numbers."""
        sha256 = hashlib.sha256(self.size.to_bytes(4, "little"))
        sha256.update(self.table.astype("<f4").tobytes())
        return sha256.hexdigest()

    def transform(self) -> Any:
        """Return the table as a transform of OpenColorIO."""
        import PyOpenColorIO

        transform = PyOpenColorIO.Lut3DTransform(gridSize=self.size)
        transform.setInterpolation(PyOpenColorIO.INTERP_TETRAHEDRAL)
        transform.setData(self.table.reshape(-1))  # it wants blue fastest, as the table is
        return transform


def check_pixels(pixels: Pixels) -> None:
    """Check that pixels have a form that LUTs are applied to, see `apply_lut`.

    Raises:
        OptionError: they have another shape or dtype.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise OptionError(f"pixels of shape {pixels.shape}: it must be (H, W, 3) or (H, W, 4)")
    if pixels.dtype not in _DEPTHS:
        names = ", ".join(str(dtype) for dtype in _DEPTHS)
        raise OptionError(f"pixels of type {pixels.dtype}: convert to one of {names}")


def result_for(pixels: Pixels, out: Pixels | None) -> Pixels:
    """Return the array for a result, `out` or a new one, with the pixels in it.

    Args:
        pixels: as in `apply_lut`.
        out: C-contiguous, of the same shape and dtype; `pixels` itself to work in place.

    Raises:
        OptionError: an array has another shape, dtype or layout.
    """
    check_pixels(pixels)
    if out is None:
        return np.array(pixels, order="C")
    if out.shape != pixels.shape or out.dtype != pixels.dtype:
        raise OptionError(
            f"out is {out.dtype} {out.shape}: it must be {pixels.dtype} {pixels.shape}"
        )
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise OptionError("out is read-only or not C-contiguous: give a writable, contiguous array")
    if out is not pixels:
        np.copyto(out, pixels)
    return out


def apply_lut(
    lut: ColorLut, pixels: Pixels, *, out: Pixels | None = None, threads: int = MOST_THREADS
) -> Pixels:
    """Map the colors of a picture.

    Memory beyond `pixels` and the result does not grow with the picture. A pixel's result
    depends on nothing but the pixel, so that a picture may be given in strips of any height.

    Args:
        lut: What to apply.
        pixels: (H, W, 3) or (H, W, 4), uint8, uint16, float16 or float32, in the encoding that
            the LUT expects, 0..full scale for integers and 0..1 for floats. A fourth channel,
            alpha, is passed on bit for bit and has no influence on colors. Floats outside 0..1
            survive as in `ColorLut.__call__`; a pixel with a NaN or an infinity among its colors
            stays as it is.
        out: C-contiguous array of the same shape and dtype for the result; `pixels` itself to
            work in place. None makes a new one.
        threads: Work on so many at most.

    Returns:
        The result: `out` or the new array.

    Raises:
        OptionError: An array has another shape, dtype or layout.
    """
    out = result_for(pixels, out)
    _apply_in_place(lut, out.reshape(-1, out.shape[2]), threads)
    return out


def _nodes(size: int) -> npt.NDArray[np.float64]:
    """Return the colors at the nodes of a cube, (size, size, size, 3), indexed [r, g, b]."""
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise OptionError(f"LUT size {size}: it must be in {MIN_SIZE}..{MAX_SIZE}")
    steps = np.arange(size) / (size - 1)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)


def _apply_in_place(lut: ColorLut, pixels: Pixels, threads: int) -> None:
    """Map contiguous `pixels`, (N, 3 or 4), strip by strip, on as many threads as are useful."""
    strips = [pixels[start : start + _STRIP] for start in range(0, len(pixels), _STRIP)]
    work = _apply_to_floats if pixels.dtype.kind == "f" else type(lut).run
    threads = min(threads, len(strips), os.cpu_count() or 1)
    if threads <= 1:
        for strip in strips:
            work(lut, strip)
        return
    with ThreadPoolExecutor(threads) as pool:  # OpenColorIO and numpy let other threads run
        for _ in pool.map(work, [lut] * len(strips), strips):
            pass


def _apply_to_floats(lut: ColorLut, strip: Pixels) -> None:
    """Map float pixels, (N, 3 or 4), those outside 0..1 as `ColorLut.__call__` says."""
    # Read as unsigned integers, the floats in 0..1 are those up to the one that 1.0 makes: minus
    # signs, NaN and infinities all lie above. So one fast comparison finds whether all is plain.
    bits = strip.view(f"u{strip.itemsize}")
    one = np.ones(1, strip.dtype).view(bits.dtype)[0]
    if bits.max() <= one:
        lut.run(strip)
        return
    # float16 overflows early, and alpha may hold any bits, signaling NaNs as well
    with np.errstate(over="ignore", invalid="ignore"):
        beyond = strip.astype(np.float32)
        finite = np.isfinite(beyond).all() or np.isfinite(beyond[:, :3]).all(axis=1)
        mapped = beyond.copy() if lut.goes_on else beyond.clip(0, 1)
        beyond -= mapped  # all zeros where the function goes on
        lut.run(mapped)
        mapped += beyond
        for channel in range(3):  # one by one: numpy is slow on rows of three
            np.copyto(strip[:, channel], mapped[:, channel], where=finite, casting="same_kind")


def run_processor(lut: ColorLut, pixels: Pixels) -> None:
    """Pass contiguous `pixels`, (N, 3 or 4), through OpenColorIO, in place."""
    import PyOpenColorIO

    depth = getattr(PyOpenColorIO, _DEPTHS[pixels.dtype])
    processor = _processor(lut, pixels.dtype)
    whole_rows = len(pixels) // _ROW * _ROW
    for part, width in ((pixels[:whole_rows], _ROW), (pixels[whole_rows:], len(pixels) % _ROW)):
        if len(part):
            height, channels = len(part) // width, part.shape[1]
            strides = (part.itemsize, channels * part.itemsize, width * channels * part.itemsize)
            processor.apply(
                PyOpenColorIO.PackedImageDesc(part, width, height, channels, depth, *strides)
            )


@lru_cache(maxsize=32)  # more than threads that apply, each another look
def _processor(lut: ColorLut, dtype: np.dtype[Any]) -> Any:
    """Return OpenColorIO's CPU processor for `lut`, from `dtype` to `dtype`."""
    import PyOpenColorIO

    # A configuration remembers processors and takes two LUTs of the same size, minimum and
    # maximum for one: each LUT has a configuration of its own.
    config = PyOpenColorIO.Config.CreateRaw()
    depth = getattr(PyOpenColorIO, _DEPTHS[dtype])
    return config.getProcessor(lut.transform()).getOptimizedCPUProcessor(
        depth, depth, PyOpenColorIO.OPTIMIZATION_NONE
    )
