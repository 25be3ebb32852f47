"""Looks as bytes, for other processes: which kinds there are, and how one becomes a look again.

A look is a msgpack map whose "kind" says which class made it. A new class is a line in `_KINDS`:
its `to_bytes` calls `pack_look`, its `from_values` takes the values back. Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgpack

from vae_balance.errors import LutError
from vae_balance.looks.origin import Origin

if TYPE_CHECKING:
    from vae_balance.looks.look import Look
    from vae_balance.looks.report import LookReport

# What the bytes call it -> module within this package, class.
_KINDS = {
    "lut": ("lut_look", "LutLook"),
    "chroma": ("chroma_map", "ChromaLook"),
    "light": ("light_map", "LightLook"),
}


def pack_look(
    kind: str, origin: Origin, report: LookReport | None, values: Mapping[str, Any]
) -> bytes:
    """Return a look as bytes.

    Args:
        kind: of `_KINDS`.
        origin: of the look.
        report: of the look.
        values: all else that it is made of: what msgpack takes, arrays as bytes.
    """
    found = report and asdict(report)
    whole = {"kind": kind, "origin": asdict(origin), "report": found, **values}
    packed: bytes = msgpack.packb(whole)
    return packed


def unpack_look(content: bytes) -> Look:
    """Return the look that `Look.to_bytes` made bytes of.

    Raises:
        LutError: they are none, or of a kind that this version does not know.
    """
    try:
        values = msgpack.unpackb(content)
        kind, origin, report = values.pop("kind"), values.pop("origin"), values.pop("report")
        if kind not in _KINDS:
            raise LutError(f"a look of kind {kind!r}, which this version does not know")
        module, name = _KINDS[kind]
        made = getattr(import_module(f"{__package__}.{module}"), name)
        look: Look = made.from_values(Origin(**origin), _report(report), values)
    except (ValueError, KeyError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise LutError(f"not a look: {error!r}") from error
    return look


def _report(values: dict[str, Any] | None) -> LookReport | None:
    if values is None:
        return None
    from vae_balance.looks.report import LookReport

    lists = {"cast": tuple(values["cast"]), "changes": tuple(values["changes"])}
    return LookReport(**{**values, **lists})
