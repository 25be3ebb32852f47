"""Headers of messages: msgpack, with the bounds of PROTOCOL.md."""

from __future__ import annotations

from typing import Any

import msgpack

from vae_balance_protocol.messages import (
    HEADER_BYTES,
    HEADER_NESTING,
    MALFORMED,
    PROTOCOL,
    Malformed,
)

_SCALARS = (type(None), bool, int, float, str, bytes)


def pack_header(kind: str, fields: dict[str, Any]) -> bytes:
    """Return the header of an answer of type `kind`."""
    # Names of files that are not UTF-8 have no other way into what people are told.
    packed: bytes = msgpack.packb(
        {"v": PROTOCOL, "type": kind, **fields}, unicode_errors="backslashreplace"
    )
    return packed


def unpack_header(data: bytes) -> dict[str, Any]:
    """Return the map that is the header of a request.

    Raises:
        Malformed: it is too long, no msgpack, no map with string keys, or nested too deep.
    """
    if len(data) > HEADER_BYTES:
        raise Malformed(MALFORMED, f"the header has {len(data)} bytes: at most {HEADER_BYTES}")
    try:
        header = msgpack.unpackb(data)
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise Malformed(MALFORMED, f"the header is not msgpack: {reason[:200]}") from None
    if not isinstance(header, dict):
        raise Malformed(MALFORMED, "the header must be a map")
    _check_nesting(header, HEADER_NESTING)
    return header


def _check_nesting(value: Any, levels: int) -> None:
    if isinstance(value, _SCALARS):
        return
    if levels == 0:
        raise Malformed(MALFORMED, f"the header must be nested at most {HEADER_NESTING} deep")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Malformed(MALFORMED, "the header must have string keys")
        value = list(value.values())
    elif not isinstance(value, list):
        raise Malformed(MALFORMED, "the header must not have extension types")
    for item in value:
        _check_nesting(item, levels - 1)
