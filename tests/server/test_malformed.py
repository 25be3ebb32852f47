"""A request that is not as PROTOCOL.md has it is refused, by the name of the field, and no more."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from daemon_process import Peer, header

from vae_balance_protocol import messages

PROXY = bytes(224 * 224 * 3)
STRIP = {"width": 2, "rows": 1, "channels": 3, "dtype": "u8"}
VALID: dict[str, tuple[dict[str, Any], list[bytes]]] = {
    "hello": ({"client": "x"}, []),
    "shrink": (
        {**STRIP, "picture": "a", "height": 2, "first_row": 0, "kind": "centre"},
        [bytes(6)],
    ),
    "learn": ({"dtype": "u8"}, [PROXY]),
    "import": ({"format": "cube", "name": "x"}, [b"LUT_3D_SIZE 2\n" + 8 * b"0 0 0\n"]),
    "export": ({"look": "0" * 64, "format": "cube"}, []),
    "apply": ({**STRIP, "look": "0" * 64}, [bytes(6)]),
    "batch": ({"photos": [["/a", "/b", None]]}, []),
    "cancel": ({"request": b"x"}, []),
    "log": ({"level": "info"}, []),
}


def refusal(peer: Peer, request: bytes, *frames: bytes) -> tuple[str, str]:
    peer.socket.send_multipart([request, *frames])
    answer = peer.end_of(request)
    assert answer.header["type"] == "error", answer.header
    assert answer.frames == []
    return answer.header["code"], answer.header["message"]


@pytest.mark.parametrize(
    ("verb", "field", "value"),
    [
        ("hello", "client", 5),
        ("hello", "client", "x" * 101),
        ("hello", "client", b"bytes"),
        ("shrink", "picture", "x" * 65),
        ("shrink", "picture", None),
        ("shrink", "width", 0),
        ("shrink", "width", 1_000_001),
        ("shrink", "width", 2.0),
        ("shrink", "height", -1),
        ("shrink", "height", True),
        ("shrink", "channels", 2),
        ("shrink", "dtype", "u32"),
        ("shrink", "profile", b""),
        ("shrink", "profile", "text"),
        ("shrink", "profile", bytes(messages.PROFILE_BYTES + 1)),
        ("shrink", "first_row", -1),
        ("shrink", "rows", 3),
        ("shrink", "kind", "left"),
        ("learn", "model", "x" * 1001),
        ("learn", "iterations", 0),
        ("learn", "iterations", 11),
        ("learn", "strength", 1.6),
        ("learn", "strength", float("nan")),
        ("learn", "strength", "1"),
        ("learn", "seed", -1),
        ("learn", "seed", 2**63),
        ("learn", "size", 130),
        ("learn", "dtype", "u16"),
        ("learn", "title", "x" * 201),
        ("import", "format", "clut"),
        ("import", "name", ["x"]),
        ("export", "look", "0" * 63),
        ("export", "look", "Z" * 64),
        ("apply", "rows", 2**64 - 1),
        ("apply", "strength", -0.1),
        ("batch", "photos", []),
        ("batch", "photos", [["/a", "/b"]]),
        ("batch", "photos", [["a", "/b", None]]),
        ("batch", "photos", [["/a\0", "/b", None]]),
        ("batch", "roll", 1),
        ("batch", "proxy", ""),
        ("batch", "jobs", 65),
        ("cancel", "request", "text"),
        ("cancel", "request", b""),
    ],
)
def test_a_field_out_of_its_range_is_named(
    peer: Peer, verb: str, field: str, value: object
) -> None:
    fields, frames = VALID[verb]
    code, message = refusal(peer, b"1", header(verb, **{**fields, field: value}), *frames)
    assert code == "malformed"
    assert message.startswith(f"{verb}: ")
    assert field in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("verb", "field"),
    [
        (verb, field.name)
        for verb, fields in messages.REQUESTS_BY_VERB.items()
        for field in fields
        if field.default is messages.REQUIRED
    ],
)
def test_a_missing_field_is_named(peer: Peer, verb: str, field: str) -> None:
    fields, frames = VALID[verb]
    rest = {name: value for name, value in fields.items() if name != field}
    code, message = refusal(peer, b"1", header(verb, **rest), *frames)
    assert (code, message) == ("malformed", f"{verb}: {field} is missing")


@pytest.mark.parametrize("verb", VALID)
@pytest.mark.parametrize("further", [-1, 1])
def test_too_few_and_too_many_frames_are_refused(peer: Peer, verb: str, further: int) -> None:
    fields, frames = VALID[verb]
    changed = [*frames, b"x"] if further > 0 else frames[:-1]
    if changed == frames:
        return
    if verb == "import" and further > 0:
        changed = frames * 100
    code, message = refusal(peer, b"1", header(verb, **fields), *changed)
    assert code == "malformed"
    assert "frame" in message or "proxy 1 has 1 bytes" in message


@pytest.mark.parametrize("verb", ["shrink", "learn", "apply"])
@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x"])
def test_a_frame_of_another_length_is_refused(peer: Peer, verb: str, change: Any) -> None:
    fields, frames = VALID[verb]
    code, message = refusal(peer, b"1", header(verb, **fields), change(frames[0]))
    assert code == "malformed"
    assert "bytes: needs" in message


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"", "the header is not msgpack"),
        (b"\xc1", "the header is not msgpack"),
        (b"\x81", "the header is not msgpack"),
        (b"\x80\x80", "the header is not msgpack"),
        (b"\xdf\xff\xff\xff\xff", "the header is not msgpack"),
        (b"\x81\xa1\xff\x01", "the header is not msgpack"),
        (b"\x91" * 3000 + b"\x01", "the header is not msgpack"),
        (b"\x90", "the header must be a map"),
        (b"\xc0", "the header must be a map"),
        (b"\x81\x01\x01", "the header is not msgpack: int is not allowed for map key"),
        (b"\x81\xc4\x01a\x01", "the header must have string keys"),
        (b"\x81\xa1a\xd4\x01\x01", "the header must not have extension types"),
        (b"\x81\xa1a\xd6\xff\0\0\0\0", "the header must not have extension types"),
        (b"\x81\xa1a" + b"\x91" * 4 + b"\x01", "the header must be nested at most 4 deep"),
        (b"\x80", "v must be the number"),
        (msgpack.packb({"v": "1", "verb": "status"}), "v must be the number"),
        (msgpack.packb({"v": 1}), "verb must be one of"),
        (msgpack.packb({"v": 1, "verb": "explode"}), "verb must be one of"),
        (msgpack.packb({"v": 1, "verb": ["status"]}), "verb must be one of"),
    ],
)
def test_a_header_that_is_none_is_refused(peer: Peer, packed: bytes, message: str) -> None:
    code, said = refusal(peer, b"1", packed)
    assert code == "malformed"
    assert said.startswith(message)


def test_a_header_that_is_too_long_is_refused(peer: Peer) -> None:
    code, message = refusal(peer, b"1", bytes(messages.HEADER_BYTES + 1))
    assert code == "malformed"
    assert "4194305 bytes: at most 4194304" in message


def test_a_missing_header_is_refused(peer: Peer) -> None:
    assert refusal(peer, b"1") == ("malformed", "the header is missing")


@pytest.mark.parametrize("version", [0, 2, 2**63])
def test_another_version_is_refused_as_such(peer: Peer, version: int) -> None:
    code, message = refusal(peer, b"1", msgpack.packb({"v": version, "verb": "status"}))
    assert code == "version"
    assert "only 1" in message


@pytest.mark.parametrize("request_id", [b"", b"x" * 33])
def test_a_message_without_a_request_id_is_dropped(peer: Peer, request_id: bytes) -> None:
    peer.socket.send_multipart([request_id, header("status")])
    peer.socket.send_multipart([b"2", header("status")])
    answer = peer.receive()
    assert answer is not None
    assert answer.request == b"2"


def test_request_ids_may_be_any_32_bytes(peer: Peer) -> None:
    request = bytes(range(32))
    peer.socket.send_multipart([request, header("status")])
    assert peer.end_of(request).header["type"] == "result"


def test_unknown_fields_are_ignored(peer: Peer) -> None:
    answer = peer.ask("hello", client="x", mood="good", more={"a": [1, 2]})
    assert answer.header["type"] == "result"


def test_a_long_header_is_read_beside_the_others(peer: Peer) -> None:
    photos = [[f"/nowhere/{number}", "relative", None] for number in range(9999)]
    code, message = refusal(peer, b"1", header("batch", photos=photos))
    assert code == "malformed"
    assert "photos must be an array whose value 0 is" in message
    assert peer.ask("status", padding="x" * 100_000).header["queued"] == 0


def test_of_a_thousand_frames_most_are_not_even_looked_at(peer: Peer) -> None:
    code, message = refusal(peer, b"1", header("learn", dtype="u8"), *[b""] * 1000)
    assert code == "malformed"
    assert "data frames: needs 1 to 400" in message


def strip(first_row: int, **fields: Any) -> bytes:
    return header("shrink", **{**VALID["shrink"][0], "first_row": first_row, **fields})


def test_a_picture_begins_at_its_first_row(peer: Peer) -> None:
    code, message = refusal(peer, b"1", strip(1), bytes(6))
    assert (code, message) == (
        "malformed",
        "shrink: first_row is 1, but the rows above are not here",
    )


def test_strips_out_of_order_end_their_picture(peer: Peer) -> None:
    fields = {**VALID["shrink"][0], "height": 4}
    assert peer.ask("shrink", [bytes(6)], **fields).header["type"] == "result"
    later = strip(2, height=4)
    assert refusal(peer, b"1", later, bytes(6)) == (
        "malformed",
        "shrink: first_row must be 1, not 2",
    )
    _, message = refusal(peer, b"2", strip(1, height=4), bytes(6))
    assert "the rows above are not here" in message


def test_all_strips_are_of_one_picture(peer: Peer) -> None:
    fields = {**VALID["shrink"][0], "height": 4}
    peer.ask("shrink", [bytes(6)], **fields)
    code, message = refusal(peer, b"1", strip(1, height=5), bytes(6))
    assert (code, message) == (
        "malformed",
        "shrink: height must be that of the first strip of the picture",
    )


def test_a_picture_that_was_ended_can_begin_again(peer: Peer) -> None:
    fields = VALID["shrink"][0]
    peer.ask("shrink", [bytes(6)], **fields)
    refusal(peer, b"1", strip(0), bytes(6))
    assert peer.ask("shrink", [bytes(6)], **fields).header["type"] == "result"
    answer = peer.ask("shrink", [bytes(6)], **{**fields, "first_row": 1})
    assert len(answer.frames) == 1
