"""A layer in strips: how many rows at a time, and pixels that a selection leaves out."""

from __future__ import absolute_import, division

from binascii import hexlify, unhexlify

from vae_balance_protocol.messages import ITEM_BYTES

MYPY = False
if MYPY:
    from typing import List, Tuple

    from vae_balance_protocol.zmtp import Data

# GIMP's tiles are 64 rows high, so strips of other heights would read rows of tiles twice.
_TILE_ROWS = 64
_MOST_ROWS = 256
_MOST_BYTES = 8 * 1024 * 1024


def cut(width, height, pixel_bytes):
    # type: (int, int, int) -> List[Tuple[int, int]]
    """Return strips from top to bottom, [(first row, rows), ...], of at most 256 rows and 8 MiB.

    Args:
        width: pixels in a row.
        height: rows in all.
        pixel_bytes: bytes of one pixel.
    """
    fitting = _MOST_BYTES // (width * pixel_bytes)
    rows = max(1, min(fitting, _MOST_ROWS))
    if rows > _TILE_ROWS:
        rows -= rows % _TILE_ROWS
    return [(first, min(rows, height - first)) for first in range(0, height, rows)]


def keep_selected(pixels, selection, dtype):
    # type: (Data, Data, str) -> bytearray
    """Set alpha to 0 where less than half of a pixel is selected.

    Args:
        pixels: RGBA, bytes.
        selection: one byte for each pixel, 0 to 255.
        dtype: of the pixels, as the protocol names it.

    Returns:
        The pixels as a bytearray.
    """
    item = ITEM_BYTES[dtype]
    selected = bytearray(selection).translate(_HALF)
    result = bytearray(pixels)
    for byte in range(3 * item, 4 * item):
        plane = result[byte :: 4 * item]
        result[byte :: 4 * item] = _both(plane, selected)
    return result


def is_clear(pixels, dtype):
    # type: (Data, str) -> bool
    """Tell whether all of RGBA pixels, bytes, have an alpha of 0."""
    item = ITEM_BYTES[dtype]
    planes = [bytes(pixels[3 * item + byte :: 4 * item]) for byte in range(item)]
    return not any(plane.strip(b"\0") for plane in planes)


def is_opaque(pixels, dtype):
    # type: (Data, str) -> bool
    """Tell whether all of RGBA pixels, bytes, have an alpha of 1."""
    item, whole = ITEM_BYTES[dtype], _WHOLE[dtype]
    for byte in range(item):
        plane = bytes(pixels[3 * item + byte :: 4 * item])
        if plane.count(whole[byte : byte + 1]) != len(plane):
            return False
    return True


# The value 1, little-endian.
_WHOLE = {"u8": b"\xff", "u16": b"\xff\xff", "f16": b"\x00\x3c", "f32": b"\x00\x00\x80\x3f"}
_HALF = bytes(bytearray([0] * 128 + [255] * 128))


def _both(one, other):
    # type: (bytearray, bytearray) -> bytes
    # As one long number: a loop over the bytes of 24 megapixels would take seconds.
    if hasattr(int, "from_bytes"):
        number = int.from_bytes(one, "little") & int.from_bytes(other, "little")
        return number.to_bytes(len(one), "little")
    number = int(hexlify(one), 16) & int(hexlify(other), 16)
    return unhexlify("%0*x" % (2 * len(one), number))
