"""The part of msgpack that headers consist of (https://github.com/msgpack/msgpack/blob/master/spec.md).

Nil, booleans, integers, floats, strings, binaries, arrays, and maps with string keys. In Python 2
`unicode` is a string and `str` a binary, but as the key of a map, where only strings can be.
"""

from __future__ import absolute_import, unicode_literals

import struct

from .compat import INTEGERS, PYTHON_2, TEXT
from .messages import HEADER_NESTING

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Tuple

# By size: the first byte of strings, binaries, arrays and maps whose length takes 1, 2, 4 bytes.
_STRING_HEADS = (0xD9, 0xDA, 0xDB)
_BINARY_HEADS = (0xC4, 0xC5, 0xC6)
_ARRAY_HEADS = (None, 0xDC, 0xDD)
_MAP_HEADS = (None, 0xDE, 0xDF)

# First byte -> format of an integer or a float.
_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
# First byte -> (what follows, format of its length).
_SIZED = {
    0xC4: ("binary", ">B"),
    0xC5: ("binary", ">H"),
    0xC6: ("binary", ">I"),
    0xD9: ("string", ">B"),
    0xDA: ("string", ">H"),
    0xDB: ("string", ">I"),
    0xDC: ("array", ">H"),
    0xDD: ("array", ">I"),
    0xDE: ("map", ">H"),
    0xDF: ("map", ">I"),
}


def pack(value, nesting=HEADER_NESTING):
    # type: (Any, int) -> bytes
    """Return the msgpack of a value, arrays and maps nested at most `nesting` deep.

    Raises:
        ValueError: the value is or holds something that a header cannot have.
    """
    packed = bytearray()
    _pack(value, packed, nesting)
    return bytes(packed)


def unpack(data, nesting=HEADER_NESTING):
    # type: (bytes, int) -> Any
    """Return the value of one complete msgpack, arrays and maps nested at most `nesting` deep.

    The memory taken is in proportion to the data, whatever lengths it claims.

    Raises:
        ValueError: the data is not msgpack, or not of this part of it.
    """
    reader = _Reader(bytes(data))
    value = reader.value(nesting)
    if reader.position != len(reader.data):
        raise ValueError("%d bytes after the end" % (len(reader.data) - reader.position))
    return value


def _pack(value, packed, nesting):
    # type: (Any, bytearray, int) -> None
    if value is None:
        packed.append(0xC0)
    elif isinstance(value, bool):
        packed.append(0xC3 if value else 0xC2)
    elif isinstance(value, INTEGERS):
        _pack_integer(value, packed)
    elif isinstance(value, float):
        packed += struct.pack(str(">Bd"), 0xCB, value)
    elif isinstance(value, TEXT):
        _pack_text(value, packed)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value) if not isinstance(value, memoryview) else value.tobytes()
        _pack_length(len(data), packed, _BINARY_HEADS, None)
        packed += data
    elif isinstance(value, (list, tuple, dict)):
        if nesting == 0:
            raise ValueError("arrays and maps are nested too deep")
        if isinstance(value, dict):
            _pack_map(value, packed, nesting - 1)
        else:
            _pack_length(len(value), packed, _ARRAY_HEADS, (0x90, 15))
            for item in value:
                _pack(item, packed, nesting - 1)
    else:
        raise ValueError("a header cannot hold a %s" % type(value).__name__)


def _pack_integer(value, packed):
    # type: (int, bytearray) -> None
    """Append the shortest form of an integer, as every msgpack library writes it."""
    if 0 <= value < 0x80:
        packed.append(value)
    elif -0x20 <= value < 0:
        packed.append(value + 0x100)
    elif value >= 0:
        for head, form, bits in ((0xCC, "B", 8), (0xCD, "H", 16), (0xCE, "I", 32), (0xCF, "Q", 64)):
            if value < 1 << bits:
                packed += struct.pack(str(">B" + form), head, value)
                return
        raise ValueError("the integer %d has more than 64 bits" % value)
    else:
        for head, form, bits in ((0xD0, "b", 8), (0xD1, "h", 16), (0xD2, "i", 32), (0xD3, "q", 64)):
            if value >= -1 << (bits - 1):
                packed += struct.pack(str(">B" + form), head, value)
                return
        raise ValueError("the integer %d has more than 64 bits" % value)


def _pack_text(text, packed):
    # type: (str, bytearray) -> None
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the string %r is not Unicode text" % text)
    _pack_length(len(data), packed, _STRING_HEADS, (0xA0, 31))
    packed += data


def _pack_map(value, packed, nesting):
    # type: (Dict[Any, Any], bytearray, int) -> None
    _pack_length(len(value), packed, _MAP_HEADS, (0x80, 15))
    for key, item in value.items():
        if PYTHON_2 and isinstance(key, bytes):
            key = key.decode("utf-8")
        if not isinstance(key, TEXT):
            raise ValueError("the key %r of a map is not a string" % (key,))
        _pack_text(key, packed)
        _pack(item, packed, nesting)


def _pack_length(length, packed, heads, short):
    # type: (int, bytearray, Tuple[Optional[int], ...], Optional[Tuple[int, int]]) -> None
    """Append first byte and length; `short` is the first byte that holds lengths up to a bound."""
    if short is not None and length <= short[1]:
        packed.append(short[0] + length)
        return
    for head, form, bits in zip(heads, ("B", "H", "I"), (8, 16, 32)):
        if head is not None and length < 1 << bits:
            packed += struct.pack(str(">B" + form), head, length)
            return
    raise ValueError("%d bytes or values are too many" % length)


class _Reader(object):
    """Msgpack, and how far it has been read."""

    def __init__(self, data):
        # type: (bytes) -> None
        self.data = data
        self.position = 0

    def value(self, nesting):
        # type: (int) -> Any
        head = ord(self._take(1))
        if head < 0x80:
            return head
        if head < 0x90:
            return self._map(head - 0x80, nesting)
        if head < 0xA0:
            return self._array(head - 0x90, nesting)
        if head < 0xC0:
            return self._string(head - 0xA0)
        if head >= 0xE0:
            return head - 0x100
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        if head in _NUMBERS:
            return self._number(_NUMBERS[head])
        if head not in _SIZED:
            raise ValueError("type 0x%02x cannot be in a header" % head)
        kind, form = _SIZED[head]
        length = self._number(form)
        if kind == "binary":
            return self._take(length)
        if kind == "string":
            return self._string(length)
        return self._array(length, nesting) if kind == "array" else self._map(length, nesting)

    def _take(self, length):
        # type: (int) -> bytes
        """Return the next bytes."""
        end = self.position + length
        if end > len(self.data):
            raise ValueError("it ends %d bytes too early" % (end - len(self.data)))
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def _number(self, form):
        # type: (str) -> Any
        (number,) = struct.unpack(str(form), self._take(struct.calcsize(str(form))))
        return number

    def _string(self, length):
        # type: (int) -> str
        return self._take(length).decode("utf-8")  # UnicodeDecodeError is a ValueError

    def _array(self, length, nesting):
        # type: (int, int) -> List[Any]
        self._enter(length, nesting)
        return [self.value(nesting - 1) for _ in range(length)]

    def _map(self, length, nesting):
        # type: (int, int) -> Dict[str, Any]
        self._enter(2 * length, nesting)
        read = {}
        for _ in range(length):
            key = self.value(nesting - 1)
            if not isinstance(key, TEXT):
                raise ValueError("a key of a map is not a string")
            read[key] = self.value(nesting - 1)
        return read

    def _enter(self, values, nesting):
        # type: (int, int) -> None
        """Check an array or map before room is made for its values, each of a byte at least."""
        if nesting == 0:
            raise ValueError("arrays and maps are nested too deep")
        if values > len(self.data) - self.position:
            raise ValueError("it claims more values than it has bytes")
