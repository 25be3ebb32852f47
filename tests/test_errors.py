"""Errors carry what the protocol and the command line say of them."""

from __future__ import annotations

import pickle

import pytest

from vae_balance import errors
from vae_balance.errors import (
    BalanceError,
    CancelledError,
    HasColorsError,
    ImageError,
    IsGreyError,
    LutError,
    ModelError,
    OptionError,
    OutputExistsError,
    describe,
    error_of,
)
from vae_balance_protocol import DaemonError, messages

KINDS = (
    BalanceError,
    ImageError,
    HasColorsError,
    IsGreyError,
    LutError,
    ModelError,
    OptionError,
    OutputExistsError,
)


def test_every_kind_of_error_is_known_here() -> None:
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {kind for kind in classes if issubclass(kind, BalanceError)} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back_from_the_daemon_as_it_was(kind: type[BalanceError]) -> None:
    error = kind("a\nb.jpg: broken; try another")
    code, message = describe(error)
    assert code in messages.CODES
    back = error_of(code, message)
    assert (type(back), str(back)) == (kind, str(error))
    assert str(back) == r"a\nb.jpg: broken; try another"
    assert pickle.loads(pickle.dumps(back)).args == back.args


def test_what_the_daemon_calls_malformed_is_a_wrong_option() -> None:
    assert type(error_of(messages.MALFORMED, "size")) is OptionError
    assert type(error_of("not known yet", "x")) is BalanceError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CancelledError(), messages.CANCELLED),
        (DaemonError(messages.BUSY, "later"), messages.BUSY),
        (PermissionError("x"), messages.FAILED),
        (MemoryError(), messages.MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), messages.MEMORY),
        (KeyError("x"), messages.INTERNAL),
    ],
)
def test_other_errors_have_a_code_too(error: Exception, code: str) -> None:
    assert describe(error)[0] == code


def test_spaces_in_a_name_are_kept_and_lines_are_joined() -> None:
    assert describe(ImageError("two  spaces\t.jpg: broken"))[1] == r"two  spaces\t.jpg: broken"
    assert describe(OSError("one\n\n  two\n"))[1] == "one   two"
