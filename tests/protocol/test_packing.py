"""Headers as bytes: the same as the msgpack library makes, and nothing else is taken."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_balance_protocol.packing import pack, unpack

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=9), inner, max_size=20)
    ),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@settings(deadline=None)
@given(values)
def test_packs_and_unpacks_as_the_library_but_no_deeper_than_four(value: Any) -> None:
    packed = msgpack.packb(value)
    if depth(value) <= 4:
        assert pack(value) == packed
        assert unpack(packed) == value
    else:
        with pytest.raises(ValueError, match="nested too deep"):
            unpack(packed)
        with pytest.raises(ValueError, match="nested too deep"):
            pack(value)


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_other_bytes_are_refused_or_read_as_the_library_does(data: bytes) -> None:
    try:
        value = unpack(data)
    except ValueError:
        return
    assert repr(value) == repr(msgpack.unpackb(data))


def test_every_cut_off_message_is_refused() -> None:
    packed = pack({"a": [1, "text", b"bytes", 2.5], "b": {"c": None}})
    for length in range(len(packed)):
        with pytest.raises(ValueError, match=r"too early|more values"):
            unpack(packed[:length])
    with pytest.raises(ValueError, match="1 bytes after the end"):
        unpack(packed + b"\0")


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"\xc1", "type 0xc1"),
        (b"\xd4\x01\x00", "type 0xd4"),  # an extension
        (b"\xc7\x01\x01\x00", "type 0xc7"),
        (b"\x81\x01\x02", "a key of a map is not a string"),
        (b"\xa1\xff", "utf-8"),
        (b"\x91" * 5 + b"\xc0", "nested too deep"),
        (b"\x91" * 100_000, "nested too deep"),
        (b"\xdd\xff\xff\xff\xff", "more values than it has bytes"),
        (b"\xdf\x7f\xff\xff\xff\xa1a", "more values than it has bytes"),
        (b"\xc6\xff\xff\xff\xffx", "too early"),
    ],
)
def test_what_a_header_cannot_be(packed: bytes, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            unpack(packed)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**64, "more than 64 bits"),
        (-(2**63) - 1, "more than 64 bits"),
        (object(), "cannot hold a object"),
        ({1: 2}, "the key 1 of a map is not a string"),
        ("\ud800", "is not Unicode text"),
        ([[[[[]]]]], "nested too deep"),
        ({"a"}, "cannot hold a set"),
    ],
)
def test_what_cannot_be_packed(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack(value)


def test_floats_of_either_size_and_of_no_number() -> None:
    assert unpack(b"\xca\x3f\x00\x00\x00") == 0.5
    assert math.isnan(unpack(pack(math.nan)))


def test_buffers_are_binaries() -> None:
    assert pack(bytearray(b"ab")) == pack(memoryview(b"ab")) == pack(b"ab") == b"\xc4\x02ab"
