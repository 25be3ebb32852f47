"""PROTOCOL.md: its examples byte for byte, its limits and error codes."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest

from vae_balance_protocol import ConnectionLost, messages, rules
from vae_balance_protocol.messages import check, check_answer
from vae_balance_protocol.packing import pack, unpack
from vae_balance_protocol.zmtp import Dealer

DOCUMENT = Path(messages.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")
EXAMPLES = DOCUMENT.partition("\n## Examples\n")[2]
HEX = re.compile(r"    ([0-9a-f]+)$", re.MULTILINE)


def headers() -> list[tuple[str, str, dict[str, Any], bytes]]:
    """Return verb, "request" or the answer's type, header, and bytes of each example."""
    pattern = r"^    (\w+), (\w+)\n((?:    [ {].*\n)+)((?:    [0-9a-f]+\n)+)"
    found = re.findall(pattern, EXAMPLES, re.MULTILINE)
    return [
        (verb, kind, binaries(json.loads(text)), bytes.fromhex("".join(HEX.findall(digits))))
        for verb, kind, text, digits in found
    ]


def binaries(value: Any) -> Any:
    """Return a JSON value in which strings `hex:...` have become bytes."""
    if isinstance(value, str) and value.startswith("hex:"):
        return bytes.fromhex(value.removeprefix("hex:"))
    if isinstance(value, dict):
        return {key: binaries(item) for key, item in value.items()}
    return [binaries(item) for item in value] if isinstance(value, list) else value


def connection() -> list[tuple[str, str, bytes]]:
    """Return who says what, with the bytes, from the beginning of a connection."""
    pattern = r"^    (client|daemon): (.*)\n((?:    [0-9a-f]+\n)+)"
    found = re.findall(pattern, EXAMPLES, re.MULTILINE)
    return [(who, what, bytes.fromhex("".join(HEX.findall(digits)))) for who, what, digits in found]


@pytest.mark.parametrize(("verb", "kind", "header", "packed"), headers())
def test_header(verb: str, kind: str, header: dict[str, Any], packed: bytes) -> None:
    assert pack(header) == packed == msgpack.packb(header)
    assert unpack(packed) == header == msgpack.unpackb(packed)
    if kind == "request":
        checked = check(verb, header)
        assert {name: header[name] for name in checked if name in header}.items() <= checked.items()
    else:
        assert header["type"] == kind
        assert check_answer(verb, header) == header


def test_there_is_an_example_of_every_kind() -> None:
    kinds = {(verb, kind) for verb, kind, _, _ in headers()}
    verbs = messages.REQUESTS_BY_VERB
    assert {(verb, kind) for verb in verbs for kind in ("request", "result")} <= kinds
    assert {"progress", "error"} <= {kind for _, kind in kinds}


def test_every_field_is_in_an_example_or_has_a_default() -> None:
    shown: dict[str, set[str]] = {}
    for verb, _, header, _ in headers():
        shown.setdefault(verb, set()).update(header)
    for verb, fields in messages.REQUESTS_BY_VERB.items():
        required = {field.name for field in fields if field.default is messages.REQUIRED}
        assert required <= shown[verb]
    for verb, fields in messages.RESULTS_BY_VERB.items():
        assert {field.name for field in fields} <= shown[verb]


def test_the_connection_is_what_the_client_makes() -> None:
    """The client of this package says its lines of the example when it hears the daemon's."""
    said = connection()
    heard: list[bytes] = []

    def be_the_daemon() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(10)
            for who, _, data in said:
                if who == "daemon":
                    peer.sendall(data)
                else:
                    heard.append(peer.recv(len(data), socket.MSG_WAITALL))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        daemon = threading.Thread(target=be_the_daemon)
        daemon.start()
        user, token = messages.USER.encode(), b"0123456789abcdef" * 4
        dealer = Dealer("127.0.0.1", listener.getsockname()[1], user, token)
        dealer.send([(7).to_bytes(8, "big"), pack({"v": 1, "verb": "status"})])
        with pytest.raises(ConnectionLost, match="has closed the connection"):
            dealer.receive(10)  # a PING comes, and nothing else
        daemon.join()
    assert heard == [data for who, _, data in said if who == "client"]
    assert [what for _, what, _ in said][-2:] == ["PING, time to live 10 s", "PONG"]


def paragraph(verb: str) -> str:
    """Return what the document says of a verb, in one line."""
    found = re.search(rf"^`{verb}` .*?\n\n", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return " ".join(found[0].split())


def shown(rule: rules.Rule) -> str:
    """Return how the document writes what a value can be; "" where it says so in words."""
    if isinstance(rule, rules.OrNil):
        rule = rule.rule
    if isinstance(rule, rules.Integer | rules.Number):
        high = "2^63-1" if rule.high == 2**63 - 1 else str(rule.high)
        return f": {rule.low:g}..{high}" + (f' | "{rule.word}"' if hasattr(rule, "word") else "")
    if isinstance(rule, rules.Text):
        return f": string <= {rule.limit}"
    if isinstance(rule, rules.OneOf):
        return f": {' | '.join(map(str, rule.choices))}"
    return ""


@pytest.mark.parametrize("verb", sorted(messages.REQUESTS_BY_VERB))
def test_every_field_is_told_with_its_bounds(verb: str) -> None:
    text = paragraph(verb)
    if verb == "batch":
        text += paragraph("learn")
    for field in messages.REQUESTS_BY_VERB[verb]:
        assert re.search(rf"\b{field.name}\b", text), field.name
        assert f"{field.name}{shown(field.rule)}" in text, field.name
        if isinstance(field.rule, rules.Choice) and field.name != "dtype":
            choices = " | ".join(f'"{choice}"' for choice in field.rule.choices)
            assert f"{field.name}: {choices}" in text, field.name
        if field.default not in (messages.REQUIRED, None):
            default = json.dumps(field.default).removesuffix(".0")
            assert re.search(rf"\b{field.name}: [^,]* = {default}[,}} ]", text), field.name
    for field in messages.RESULTS_BY_VERB[verb]:
        assert re.search(rf"\b{field.name}\b", text), field.name


def test_limits() -> None:
    text = " ".join(DOCUMENT.partition("\n## Examples\n")[0].split())
    assert f"1 to {messages.REQUEST_ID_BYTES} bytes" in text
    assert f"nested at most {messages.HEADER_NESTING} deep" in text
    assert f"at most {messages.PROFILE_BYTES >> 20} MiB" in text
    assert f"have {messages.PICTURES} unfinished pictures" in text
    assert f"1 to {messages.FILE_FRAMES} frames" in text
    assert f"at most {messages.PHOTOS})" in text


def test_codes_and_verbs() -> None:
    text = DOCUMENT.partition("\n## Examples\n")[0]
    codes = re.search(r"Errors, by `code`: (.*?)\n\n", text, re.DOTALL)
    assert codes is not None
    assert set(re.findall(r"`([a-z-]+)`", codes[1])) - {"hello"} == set(messages.CODES)
    assert set(re.findall(r"^`(\w+)` ", text, re.MULTILINE)) >= set(messages.REQUESTS_BY_VERB)
