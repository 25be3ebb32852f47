"""ICC profiles made from primaries and a tone curve, for tests (ICC.1:2001-04, version 2)."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

D50 = (0.9642, 1.0, 0.8249)
_D65 = (0.3127, 0.3290)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

# Chromaticities of red, green, blue and white.
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65)
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)


def gamma_curve(gamma: float) -> bytes:
    """Return a curve of one number, in steps of 1/256."""
    return b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(gamma * 256))


def sampled_curve(samples: npt.ArrayLike) -> bytes:
    """Return a curve of samples in 0..1."""
    values = np.round(np.asarray(samples) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + values.tobytes()


def parametric_curve(kind: int, *numbers: float) -> bytes:
    """Return a parametric curve (of version 4)."""
    fixed = (round(number * 65536) for number in numbers)
    return b"para" + bytes(4) + struct.pack(f">Hxx{len(numbers)}i", kind, *fixed)


SRGB_CURVE = parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def primaries_to_xyz(primaries: tuple[tuple[float, float], ...]) -> Matrix:
    """Return the matrix from linear RGB to XYZ relative to D50, adapted by Bradford's method."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white = columns[:, 3]
    matrix = columns[:, :3] * np.linalg.solve(columns[:, :3], white)
    scale = np.diag((_BRADFORD @ D50) / (_BRADFORD @ white))
    return np.asarray(np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD @ matrix)


def icc_profile(
    primaries: tuple[tuple[float, float], ...], curve: bytes, space: bytes = b"RGB "
) -> bytes:
    """Return the bytes of a matrix profile."""
    fixed = np.round(primaries_to_xyz(primaries) * 65536).astype(int)
    tags = {b"wtpt": _xyz(round(value * 65536) for value in D50)}
    for name, column in zip((b"r", b"g", b"b"), fixed.T, strict=True):
        tags[name + b"XYZ"] = _xyz(column)
        tags[name + b"TRC"] = curve
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0"
    return _assembled(tags, space)


def grey_profile(curve: bytes) -> bytes:
    """Return the bytes of a profile of grey."""
    return _assembled({b"kTRC": curve, b"cprt": b"text" + bytes(4) + b"none\0"}, b"GRAY")


def _xyz(fixed: object) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *fixed)  # type: ignore[misc]


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        body += b"\0" * (-len(body) % 4)
        table += struct.pack(">4sII", signature, start + len(body), len(data))
        body += data
    size = start + len(body)
    head = struct.pack(">I4xI4s4s4s", size, 0x04200000, b"mntr", space, b"XYZ ")
    white = (round(value * 65536) for value in D50)
    head += struct.pack(">6H4s28x3i", 2020, 1, 1, 0, 0, 0, b"acsp", *white)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
