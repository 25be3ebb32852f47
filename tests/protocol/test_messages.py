"""What both sides check in headers and data frames."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_balance_protocol import Malformed
from vae_balance_protocol.messages import (
    CODES,
    PHOTOS,
    PROXIES,
    REQUESTS_BY_VERB,
    RESULTS_BY_VERB,
    check,
    check_answer,
    check_frames,
)

LOOK = "0123456789abcdef" * 4
STRIP = {"width": 10, "rows": 2, "channels": 4, "dtype": "u16"}
PLACE = {"width": 10, "height": 2, "top": 0}
VALID: dict[str, dict[str, Any]] = {
    "hello": {"client": "GIMP"},
    "shrink": {**STRIP, "picture": "p", "height": 7, "first_row": 5, "kind": "frame"},
    "learn": {},
    "import": {"format": "cube", "name": "a.cube"},
    "export": {"look": LOOK, "format": "hald"},
    "model": {},
    "apply": {**STRIP, "look": LOOK},
    "batch": {"photos": [["/a", "/b", None], ["/c", "/d", "/e"]]},
    "cancel": {"request": b"\x01"},
    "status": {},
    "shutdown": {},
    "log": {"level": "debug"},
}


@pytest.mark.parametrize("verb", VALID)
def test_valid_requests_get_their_defaults(verb: str) -> None:
    checked = check(verb, {"v": 1, "verb": verb, "unknown": {}, **VALID[verb]})
    assert checked.keys() == {field.name for field in REQUESTS_BY_VERB[verb]}
    assert VALID[verb].items() <= checked.items()


def test_the_defaults() -> None:
    learn = check("learn", {"v": 1})
    options = {"model": "embedded", "iterations": "auto", "strength": 1.0, "seed": None, "size": 33}
    options["tone"] = "drop"
    assert learn == {**options, "any_colors": False, "title": "", "dtype": "f32"}
    batch = check("batch", {"v": 1, **VALID["batch"]})
    del batch["photos"]
    more = {"roll": False, "overwrite": False, "any_colors": False, "proxy": None}
    assert batch == {**options, **more, "jobs": 0, "threads": 1, "umask": None}
    apply = check("apply", {"v": 1, **VALID["apply"]})
    assert (apply["profile"], apply["strength"], apply["place"]) == (None, 1.0, None)
    apply = check("apply", {"v": 1, **VALID["apply"], "place": dict(PLACE)})
    assert apply["place"] == {**PLACE, "left": 0, "orientation": 1}


@pytest.mark.parametrize(
    ("verb", "field", "value", "message"),
    [
        ("hello", "client", "x" * 101, "client must be at most 100 characters"),
        ("hello", "client", b"x", "client must be a string"),
        ("shrink", "height", 6, "rows must end within height"),
        ("shrink", "kind", "center", "kind must be one of centre, frame"),
        ("shrink", "kind", ["centre"], "kind must be one of centre, frame"),
        ("shrink", "first_row", -1, "first_row must be an integer, 0 to 999999"),
        ("shrink", "picture", None, "picture must be a string"),
        ("learn", "iterations", 11, "iterations must be an integer, 1 to 10"),
        ("learn", "iterations", "most", "iterations must be an integer, 1 to 10, or auto"),
        ("learn", "iterations", True, "iterations must be an integer"),
        ("learn", "iterations", 1.0, "iterations must be an integer"),
        ("learn", "strength", float("nan"), "strength must be a number, 0 to 1.5"),
        ("learn", "strength", "1", "strength must be a number"),
        ("learn", "seed", 2**63, "seed must be nil or an integer"),
        ("learn", "size", 130, "size must be an integer, 2 to 129"),
        ("learn", "dtype", "u16", "dtype must be one of u8, f32"),
        ("export", "look", LOOK.upper(), "look must be 64 hexadecimal digits"),
        ("export", "look", LOOK[1:], "look must be 64 hexadecimal digits"),
        ("export", "look", LOOK + "0", "look must be 64 hexadecimal digits"),
        ("apply", "channels", 1, "channels must be 3 or 4"),
        ("apply", "channels", 3.0, "channels must be 3 or 4"),
        ("apply", "width", 0, "width must be an integer, 1 to 1000000"),
        ("apply", "dtype", "f64", "dtype must be one of u8, u16, f16, f32"),
        ("apply", "profile", b"", "profile must be nil or binary"),
        ("apply", "profile", b"x" * (1 << 20) + b"x", "profile must be nil or binary"),
        ("apply", "strength", 1.51, "strength must be a number, 0 to 1.5"),
        ("apply", "place", {**PLACE, "left": 1}, "place: columns must end within width"),
        ("apply", "place", {**PLACE, "top": 1}, "place: rows must end within height"),
        ("apply", "place", {**PLACE, "top": -1}, "place must be nil or a map in which top must be"),
        ("apply", "place", {"width": 8, "top": 0}, "a map in which height is missing"),
        ("apply", "place", {**PLACE, "orientation": 9}, "orientation must be an integer, 1 to 8"),
        ("batch", "proxy", "center", "proxy must be nil or one of centre, frame"),
        ("batch", "photos", [], "photos must be an array of 1 to 10000 values"),
        ("batch", "photos", [["/a", "/b", None]] * (PHOTOS + 1), "photos must be an array"),
        ("batch", "photos", [["/a", "/b"]], "photos must be an array whose value 0 is"),
        ("batch", "photos", [["/a", "b", None]], "value 0 is an absolute path"),
        ("batch", "photos", [["/a", "/b\0", None]], "value 0 is an absolute path"),
        ("batch", "roll", 1, "roll must be a boolean"),
        ("batch", "jobs", 65, "jobs must be an integer, 0 to 64"),
        ("cancel", "request", b"", "request must be binary, 1 to 32 bytes"),
        ("cancel", "request", "text", "request must be binary, 1 to 32 bytes"),
    ],
)
def test_a_wrong_field_is_named(verb: str, field: str, value: object, message: str) -> None:
    with pytest.raises(Malformed, match=message) as raised:
        check(verb, {"v": 1, **VALID[verb], field: value})
    assert raised.value.code == "malformed"
    assert raised.value.message.startswith(f"{verb}: ")


@pytest.mark.parametrize(
    ("verb", "field"), [(verb, field) for verb in VALID for field in VALID[verb]]
)
def test_a_missing_field_is_named(verb: str, field: str) -> None:
    header = {"v": 1, **VALID[verb]}
    del header[field]
    with pytest.raises(Malformed, match=f"{verb}: {field} is missing"):
        check(verb, header)


@pytest.mark.parametrize("verb", [None, 1, "", "Hello", [], {}, b"hello"])
def test_an_unknown_verb_is_refused_with_those_there_are(verb: object) -> None:
    with pytest.raises(Malformed, match="verb must be one of apply, batch, cancel, export"):
        check(verb, {"v": 1})


@pytest.mark.parametrize(
    ("version", "code"),
    [(2, "version"), (0, "version"), (-1, "version"), (None, "malformed"), (True, "malformed")],
)
def test_the_version_comes_first(version: object, code: str) -> None:
    with pytest.raises(Malformed) as raised:
        check("no verb of ours", {"v": version})
    assert raised.value.code == code


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
anything = scalars | st.binary(max_size=9) | st.lists(scalars, max_size=3)
names = sorted({field.name for fields in REQUESTS_BY_VERB.values() for field in fields})


@settings(deadline=None)
@given(
    st.sampled_from(sorted(REQUESTS_BY_VERB)),
    st.dictionaries(st.sampled_from(names), anything, max_size=3),
    st.booleans(),
)
def test_whatever_a_header_holds_it_is_checked_or_refused(
    verb: str, fields: dict[str, Any], mostly_valid: bool
) -> None:
    header = {"v": 1, **(VALID[verb] if mostly_valid else {}), **fields}
    try:
        checked = check(verb, header)
    except Malformed as error:
        assert error.code == "malformed"
        assert len(error.message) < 300
    else:
        assert check(verb, {"v": 1, **checked}) == checked


@pytest.mark.parametrize(
    ("verb", "lengths", "message"),
    [
        ("learn", [], "0 data frames: needs 1 to 400"),
        ("learn", [602112] * (PROXIES + 1), "401 data frames"),
        ("learn", [602112, 602111], "proxy 1 has 602111 bytes: needs 602112"),
        ("apply", [], "apply: 0 data frames: needs 1"),
        ("apply", [160, 160], "apply: 2 data frames: needs 1"),
        ("apply", [159], "the data frame has 159 bytes: needs 160"),
        ("shrink", [161], "the data frame has 161 bytes: needs 160"),
        ("import", [], "0 data frames: needs 1 to 4"),
        ("import", [1] * 5, "5 data frames: needs 1 to 4"),
        ("status", [0], "1 data frames: needs 0"),
        ("batch", [1], "1 data frames: needs 0"),
    ],
)
def test_wrong_data_frames_are_refused(verb: str, lengths: list[int], message: str) -> None:
    with pytest.raises(Malformed, match=message):
        check_frames(verb, check(verb, {"v": 1, **VALID[verb]}), lengths)


@pytest.mark.parametrize(
    ("verb", "lengths"),
    [("learn", [602112] * 3), ("apply", [160]), ("shrink", [160]), ("import", [0]), ("status", [])],
)
def test_right_data_frames_are_taken(verb: str, lengths: list[int]) -> None:
    check_frames(verb, check(verb, {"v": 1, **VALID[verb]}), lengths)


def test_answers_keep_what_a_later_daemon_adds() -> None:
    header = {"v": 1, "type": "result", "cancelled": True, "later": [1]}
    assert check_answer("cancel", header) == header


def test_every_verb_has_a_result_and_every_code_is_in_the_document() -> None:
    assert REQUESTS_BY_VERB.keys() == RESULTS_BY_VERB.keys()
    assert len(set(CODES)) == 16
