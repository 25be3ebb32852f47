"""ICC profiles of color spaces that files name instead of carrying a profile.

Sources: ICC.1:2022, sections 7 to 10; ITU-T H.273 (coding-independent code points), tables 2 and 3;
CIPA DC-010 (DCF 2.0), optional color space; IEC 61966-2-1, annex F.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from vae_balance.color import srgb

# Chromaticities (x, y) of red, green, blue and white.
Chromaticities = tuple[tuple[float, float], ...]

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
BT_709: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_PAL: Chromaticities = ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65)
_NTSC: Chromaticities = ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65)
_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
_PRIMARIES: dict[int, Chromaticities] = {
    1: BT_709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: _PAL,
    6: _NTSC,
    7: _NTSC,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: (*_P3, _DCI),
    12: (*_P3, _D65),
    22: ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), _D65),
}

# Numbers of parametric curves: of one (a power), and of five (a power above a line).
_BT_709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
LINEAR = (1.0,)
_CURVES: dict[int, tuple[float, ...]] = {
    1: _BT_709_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT_709_CURVE,
    8: LINEAR,
    13: srgb.CURVE,
    14: _BT_709_CURVE,
    15: _BT_709_CURVE,
    17: (2.6,),
}
_HDR = {16: "PQ", 18: "HLG"}
_UNSPECIFIED = 2

_MOST_WHITE, _MOST_CONDITION = 10.0, 1e4  # D50 has 1 at most, ACES' primaries 5
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


class UnknownSpaceError(Exception):
    """Why the profile of a color space cannot be had, as after "its color space"."""


def curve_profile(name: str, curve: bytes) -> bytes:
    """Return an ICC profile of RGB with the primaries of BT.709, which sRGB shares.

    Args:
        name: What people see, in ASCII.
        curve: From encoded values to linear light, as a tag of a profile.
    """
    return _matrix_profile(name, BT_709, curve)


@lru_cache(maxsize=16)
def matrix_profile(name: str, chromaticities: Chromaticities, curve: tuple[float, ...]) -> bytes:
    """Return an ICC profile of RGB.

    Args:
        name: What people see, in ASCII.
        chromaticities: (x, y) of red, green, blue and white.
        curve: From encoded values to linear light: (g,), or (g, a, b, c, d) for (a x + b)^g from
            d on and c x below.

    Raises:
        UnknownSpaceError: The chromaticities are those of no color space.
    """
    kind = 0 if len(curve) == 1 else 3
    parametric = b"para" + struct.pack(">4xHxx", kind) + _fixed(curve)
    return _matrix_profile(name, chromaticities, parametric)


def _matrix_profile(name: str, chromaticities: Chromaticities, curve: bytes) -> bytes:
    """Return an ICC profile of RGB with one curve, a tag, for all channels."""
    white, columns = _xyz(chromaticities[3]), [_xyz(color) for color in chromaticities[:3]]
    try:
        matrix = np.array(columns).T
        matrix = matrix * np.linalg.solve(matrix, white)
        gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        adaptation = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
        adapted = adaptation @ matrix
        if np.abs(white).max() > _MOST_WHITE or np.linalg.cond(adapted) > _MOST_CONDITION:
            raise UnknownSpaceError("has primaries that are none")
        tags = {b"desc": _text(name), b"cprt": _text("CC0"), b"wtpt": _xyz_tag(_D50)}
        tags[b"chad"] = b"sf32" + bytes(4) + _fixed(adaptation.flat)
        for channel, column in zip((b"r", b"g", b"b"), adapted.T, strict=True):
            tags[channel + b"XYZ"] = _xyz_tag(column)
            tags[channel + b"TRC"] = curve
    except (ValueError, OverflowError, struct.error) as error:  # LinAlgError is a ValueError
        raise UnknownSpaceError("has primaries that are none") from error
    return _assembled(tags)


def adobe_rgb() -> bytes:
    """Return a profile compatible with Adobe RGB (1998)."""
    chromaticities = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
    return matrix_profile("Compatible with Adobe RGB (1998)", chromaticities, (563 / 256,))


def linear_bt_709() -> bytes:
    """Return the profile of scene-linear light with the primaries of BT.709, which sRGB shares."""
    return matrix_profile("Linear BT.709", BT_709, LINEAR)


def coded_space(primaries: int, transfer: int) -> bytes | None:
    """Return the profile of a color space in the code points of H.273; None for sRGB.

    Raises:
        UnknownSpaceError: There is no such code, or it is of a kind that profiles cannot tell.
    """
    if transfer in _HDR:
        raise UnknownSpaceError(f"is that of an HDR picture ({_HDR[transfer]})")
    chromaticities = BT_709 if primaries == _UNSPECIFIED else _PRIMARIES.get(primaries)
    curve = srgb.CURVE if transfer == _UNSPECIFIED else _CURVES.get(transfer)
    if chromaticities is None or curve is None:
        raise UnknownSpaceError(f"has the unknown codes {primaries} and {transfer}")
    if (chromaticities, curve) == (BT_709, srgb.CURVE):
        return None
    return matrix_profile(f"H.273 {primaries}-{transfer}", chromaticities, curve)


def _xyz(color: tuple[float, float]) -> list[float]:
    x, y = color
    if y == 0:
        raise UnknownSpaceError("has primaries that are none")
    return [x / y, 1.0, (1.0 - x - y) / y]


def _fixed(numbers: Iterable[float]) -> bytes:
    """Return numbers as s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _xyz_tag(numbers: Iterable[float]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(numbers)


def _text(text: str) -> bytes:
    """Return a text in one language (multiLocalizedUnicodeType)."""
    data = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII4sII", 1, 12, b"enUS", len(data), 28) + data


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    """Return a profile of version 4.3 with the tags."""
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += struct.pack(">4sII", signature, start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(">I4xI4s4s4s", start + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s28x", 2026, 1, 1, 0, 0, 0, b"acsp") + _fixed(_D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
