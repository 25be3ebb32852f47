"""Errors that a user can act on: every message is one line and says what to do.

Each kind carries what the protocol calls it and what a command that fails with it ends with.
"""

from __future__ import annotations

import unicodedata
from typing import ClassVar

from vae_balance_protocol import DaemonError, messages

_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes of no text, ends of lines
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # the reading order


def printable(text: str) -> str:
    r"""Return a text, a path for instance, as one line that any terminal or log can show.

    What cannot be shown is escaped: a newline is \n, the byte FF of a name that is not UTF-8 \xff.
    """
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _UNPRINTABLE and character not in _TURNING:
        return character
    if "\udc80" <= character <= "\udcff":  # how Python has a byte that is no text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


class BalanceError(Exception):
    """Something asked of VAE Balance cannot be done.

    Attributes:
        code: of PROTOCOL.md.
        exit_status: of a command.
    """

    code: ClassVar[str] = messages.FAILED
    exit_status: ClassVar[int] = 1

    def __str__(self) -> str:
        """Return the message on one line, whatever the names in it are."""
        return printable(super().__str__())


class ImageError(BalanceError):
    """A photo cannot be read, or cannot be written in the form asked for."""

    code = messages.IMAGE


class HasColorsError(ImageError):
    """A photo has colors, and the model is for grey ones."""

    code = messages.HAS_COLORS


class IsGreyError(ImageError):
    """A photo is grey, and the model is for colors."""

    code = messages.IS_GREY


class LutError(BalanceError):
    """A color table is malformed, or its file cannot be read."""

    code = messages.LUT


class ModelError(BalanceError):
    """A model is missing, damaged, or not the one that was expected."""

    code = messages.MODEL
    exit_status = 3


class OptionError(BalanceError):
    """An option or argument has a value that cannot be used."""

    code = messages.OPTION
    exit_status = 2


class OutputExistsError(BalanceError):
    """The output exists already and overwriting it was not asked for."""

    code = messages.OUTPUT_EXISTS
    exit_status = 4


class CancelledError(Exception):
    """Nobody wants the result any more: the client, or the end of the daemon, has ended it."""

    code: ClassVar[str] = messages.CANCELLED


_KINDS = (
    ImageError,
    HasColorsError,
    IsGreyError,
    LutError,
    ModelError,
    OptionError,
    OutputExistsError,
)
_BY_CODE = {messages.MALFORMED: OptionError, **{kind.code: kind for kind in _KINDS}}


def error_of(code: str, message: str) -> BalanceError:
    """Return the error that the daemon means by a code of PROTOCOL.md and a message."""
    return _BY_CODE.get(code, BalanceError)(message)


def describe(error: BaseException) -> tuple[str, str]:
    """Return the code of PROTOCOL.md and the message, one line, that tell of any error."""
    code = _code_of(error)
    if code == messages.CANCELLED:
        message = "cancelled"
    elif code == messages.MEMORY:
        message = "not enough memory: make the picture or the roll smaller"
    elif code == messages.INTERNAL:
        message = f"a defect of VAE Balance, see its log: {error!r}"
    else:
        message = str(error)
    # Names keep their spaces, however many.
    return code, printable(" ".join(line for line in message.splitlines() if line.strip()))


def _code_of(error: BaseException) -> str:
    if isinstance(error, BalanceError | CancelledError | DaemonError):
        return error.code
    if isinstance(error, OSError):
        return messages.FAILED
    # torch has no class of its own for want of memory outside of CUDA.
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return messages.MEMORY
    return messages.INTERNAL
