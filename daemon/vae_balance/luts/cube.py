"""Read and write `.cube`, the text form of a LUT that editors, players and cameras share.

The format is Adobe's "Cube LUT Specification 1.0"; Resolve's LUT_1D_INPUT_RANGE,
LUT_3D_INPUT_RANGE and a LUT_1D before the LUT_3D of one file are read as well. Its
LUT_IN_VIDEO_RANGE and LUT_OUT_VIDEO_RANGE ask for a conversion of video that no photo needs: as in
OpenColorIO, the numbers are taken as they are.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import unicodedata
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color.lut import MAX_SIZE, MIN_SIZE, ColorLut, Lut3D
from vae_balance.color.lut_chain import LutChain, curves_step, range_steps
from vae_balance.errors import LutError
from vae_balance.files import atomic_write

Triple = npt.NDArray[np.float64]  # red, green, blue

MAX_BYTES = 200_000_000  # a 129-cube of three times the usual digits
_SIZE_LIMITS = {"LUT_1D_SIZE": (2, 65536), "LUT_3D_SIZE": (MIN_SIZE, MAX_SIZE)}
_RANGE_LENGTHS = {  # keyword -> how many numbers follow it
    "DOMAIN_MIN": 3,
    "DOMAIN_MAX": 3,
    "LUT_1D_INPUT_RANGE": 2,
    "LUT_3D_INPUT_RANGE": 2,
}
_IGNORED = ("LUT_IN_VIDEO_RANGE", "LUT_OUT_VIDEO_RANGE")
_MAX_TEXT = 200  # characters of a title or comment: the specification ends lines at 250
_Header = dict[str, Any]


def read_cube(path: str | os.PathLike[str]) -> ColorLut:
    """Read a `.cube` file as `parse_cube` does.

    Raises:
        LutError: The file cannot be read, or is malformed.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LutError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_cube(content, path)


def write_cube(path: str | os.PathLike[str], lut: Lut3D, *, overwrite: bool = False) -> None:
    """Write `lut` as a `.cube` file, all or nothing.

    Raises:
        OutputExistsError: `path` exists and `overwrite` is false.
        BalanceError: The file cannot be written.
    """
    with atomic_write(path, overwrite) as temporary:
        temporary.write_bytes(format_cube(lut))


def format_cube(lut: Lut3D) -> bytes:
    """Return `lut` as the bytes of a `.cube` file: ASCII, values clipped to 0..1, red fastest."""
    lines = [f"# {text}".rstrip() for comment in lut.comments for text in _ascii_lines(comment)]
    title = " ".join(_ascii_lines(lut.title)).replace('"', "'")[:_MAX_TEXT]
    if title:
        lines.append(f'TITLE "{title}"')
    lines.append(f"LUT_3D_SIZE {lut.size}")
    red_fastest = lut.table.transpose(2, 1, 0, 3).reshape(-1, 3)
    return "".join(f"{line}\n" for line in lines).encode("ascii") + _format_rows(red_fastest)


def _ascii_lines(text: str) -> list[str]:
    """Return the lines of `text` in printable ASCII, accents dropped, "?" for what has no kin."""
    apart = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return [
        "".join(x if " " <= x <= "~" else "?" for x in line.expandtabs(4))[:_MAX_TEXT].strip()
        for line in bare.splitlines() or [""]
    ]


def _format_rows(colors: npt.NDArray[np.float32]) -> bytes:
    """Return a line "%.6f %.6f %.6f" for each of `colors`, (k, 3), clipped to 0..1."""
    # In 0..1 every number is eight characters wide, so that whole columns of digits can be
    # written at once: a 129-cube takes a fraction of a second instead of many. The products are
    # exact (24 + 14 bits) and halves go to even, so the digits are those of "%.6f".
    millionths = np.rint(colors.clip(0, 1).astype(np.float64) * 1e6).astype(np.uint32)
    text = np.full((len(colors), 3, len("0.000000 ")), ord(" "), np.uint8)
    for place in (7, 6, 5, 4, 3, 2, 0):
        millionths, digit = np.divmod(millionths, 10)
        text[:, :, place] = digit + ord("0")
    text[:, :, 1] = ord(".")
    text[:, 2, 8] = ord("\n")
    return text.tobytes()


def parse_cube(content: bytes, path: str | os.PathLike[str]) -> ColorLut:
    """Return the LUT that the bytes of a `.cube` file describe; `path` names it in errors.

    Values outside 0..1 are kept. A 3D table over inputs 0..1 is a `Lut3D`, anything else, a 1D
    table or other inputs, a `LutChain`. Comments on lines of their own become the LUT's comments.
    Title and comments may be in UTF-8, Latin-1 or GBK.

    Raises:
        LutError: The file is malformed: "FILE:LINE: what is wrong, with the content; what to do".
    """
    lines = _decode(content, path)
    comments = [line.strip()[1:].strip() for line in lines if line.lstrip().startswith("#")]
    header: _Header = {}
    values = array("d")
    row_lines = array("l")  # the number of the line that a row stands on
    rows = 0  # that the header asks for, known when the first row comes
    for number, line in enumerate(lines, 1):
        fields = _split(line)
        if not fields:
            continue
        try:
            if _is_word(fields[0]):
                _read_keyword(header, fields, line, after_rows=bool(values))
                continue
            if not values:
                rows = _count_rows(header)
            elif len(row_lines) == rows:
                raise LutError(
                    f"{_quote(line)} is one row more than the {rows} of {_describe(header)}; "
                    "correct the size or remove what is too much"
                )
            values.extend(_read_row(fields))
            row_lines.append(number)
        except LutError as error:
            raise LutError(f"{path}:{number}: {error}") from None
    if not values:
        raise LutError(f"{path}:{len(lines)}: no rows of numbers; is it a .cube file?")
    if len(row_lines) < rows:
        raise LutError(
            f"{path}:{len(lines)}: ends after {len(row_lines)} of the {rows} rows of "
            f"{_describe(header)}; it was cut off, or the size is wrong: get the whole file"
        )
    with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
        colors = np.frombuffer(values, np.float64).astype(np.float32).reshape(-1, 3)
    infinite = np.flatnonzero(~np.isfinite(colors).all(axis=1))
    if infinite.size:
        number = row_lines[infinite[0]]
        raise LutError(
            f"{path}:{number}: {_quote(lines[number - 1])} holds a number that is not finite; "
            "make the file again without NaN and infinity"
        )
    return _build(header, colors, tuple(comments))


def _decode(content: bytes, path: str | os.PathLike[str]) -> list[str]:
    """Return the lines of a text file, any line ends, with or without a byte order mark."""
    if len(content) > MAX_BYTES:
        raise LutError(f"{path}: more than {MAX_BYTES // 10**6} MB; a .cube file is smaller")
    if not content.strip():
        raise LutError(f"{path}:1: the file is empty; get it again")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise LutError(f"{path}:{line}: binary data; a .cube file is plain text in UTF-8")
    content = content.removeprefix(codecs.BOM_UTF8)
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n").split(b"\n")
    return [_decode_line(line, number, path) for number, line in enumerate(lines, 1)]


def _decode_line(line: bytes, number: int, path: str | os.PathLike[str]) -> str:
    """Return a line as text: people write titles and comments in the encoding of their system."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        is_title = line.lstrip().upper().startswith(b"TITLE")
        if not is_title and b"#" not in line[: error.start]:
            bad = line[error.start : error.start + 1]
            raise LutError(
                f"{path}:{number}: {bad!r} is no text that a .cube file holds; get the file again"
            ) from None
    # Chinese characters come in pairs of bytes, accents one by one between plain letters.
    if all(len(run) % 2 == 0 for run in re.findall(rb"[\x80-\xff]+", line)):
        with suppress(UnicodeDecodeError):
            return line.decode("gbk")
    return line.decode("latin-1")


def _split(line: str) -> list[str]:
    """Return the words and numbers of a line, without a comment."""
    if "#" in line and not line.lstrip().upper().startswith("TITLE"):
        line = line[: line.index("#")]
    return line.split()


def _is_word(field: str) -> bool:
    return field[0].isalpha() and field.lower() not in ("nan", "inf", "infinity")


def _read_keyword(header: _Header, fields: list[str], line: str, *, after_rows: bool) -> None:
    """Enter a line that begins with a word into `header`."""
    keyword = fields[0].upper()
    if keyword not in ("TITLE", *_IGNORED, *_SIZE_LIMITS, *_RANGE_LENGTHS):
        raise LutError(
            f"unknown keyword {_quote(fields[0])}; remove the line if the LUT is right without it"
        )
    if keyword in header:
        raise LutError(f"{keyword} a second time, {_quote(line)}; remove the wrong one")
    if after_rows:
        raise LutError(f"{_quote(line)} after the first row; move it above the numbers")
    if keyword == "TITLE":
        header[keyword] = line.strip()[len(keyword) :].strip().removeprefix('"').removesuffix('"')
    elif keyword in _IGNORED:
        header[keyword] = None
    elif keyword in _SIZE_LIMITS:
        header[keyword] = _read_size(keyword, fields[1:], line)
    else:
        header[keyword] = _read_range(keyword, fields[1:], line)


def _read_size(keyword: str, fields: list[str], line: str) -> int:
    low, high = _SIZE_LIMITS[keyword]
    if len(fields) != 1 or not (fields[0].isascii() and fields[0].isdecimal()):
        raise LutError(f"{_quote(line)}: {keyword} is followed by one whole number; correct it")
    if not low <= int(fields[0][:9]) <= high:
        raise LutError(
            f"{_quote(line)}: sizes {low}..{high} can be read; export the LUT again in one of them"
        )
    return int(fields[0])


def _read_range(keyword: str, fields: list[str], line: str) -> list[float]:
    count = _RANGE_LENGTHS[keyword]
    numbers = _read_numbers(fields)
    if len(numbers) != count or not all(abs(number) < 1e30 for number in numbers):
        raise LutError(
            f"{_quote(line)}: {keyword} is followed by {count} finite numbers; correct it"
        )
    return numbers


def _read_row(fields: list[str]) -> list[float]:
    numbers = _read_numbers(fields)
    if len(numbers) != 3:
        raise LutError(
            f"{_quote(' '.join(fields))} has {len(numbers)} numbers; "
            "a row has three, red, green and blue"
        )
    return numbers


def _read_numbers(fields: list[str]) -> list[float]:
    text = " ".join(fields)
    if "," in text:
        raise LutError(
            f"comma in {_quote(text)}; write a decimal point for a decimal comma, and spaces "
            "between numbers"
        )
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = None
    if numbers is None or "_" in text or not text.isascii():  # float() takes these as well
        raise LutError(f"{_quote(text)} is not plain numbers; correct it or get the file again")
    return numbers


def _count_rows(header: _Header) -> int:
    """Check the header, complete when the first row comes, and return how many rows it asks for."""
    if not header.keys() & _SIZE_LIMITS.keys():
        raise LutError(
            "numbers, but no size above them; put LUT_3D_SIZE and the nodes of an edge before "
            "the first row"
        )
    for dimension in ("1D", "3D"):
        low, high = _inputs(header, dimension)
        if not (low < high).all():
            raise LutError(
                f"inputs run from {low} to {high}, which is not upward; correct DOMAIN_MIN, "
                "DOMAIN_MAX or the INPUT_RANGE above this row"
            )
    return int(header.get("LUT_1D_SIZE", 0) + header.get("LUT_3D_SIZE", 0) ** 3)


def _describe(header: _Header) -> str:
    """Return the size lines of a file, for a message."""
    return " and ".join(f"{key} {header[key]}" for key in _SIZE_LIMITS if key in header)


def _quote(text: str) -> str:
    """Return the beginning of `text`, escaped, so that a message stays one short line."""
    text = " ".join(text.split())
    return ascii(text if len(text) <= 40 else f"{text[:37]}...")


def _inputs(header: _Header, dimension: str) -> tuple[Triple, Triple]:
    """Return the inputs, (3,) each, that the first and the last node of a table stand for."""
    own = header.get(f"LUT_{dimension}_INPUT_RANGE")
    if own:
        return np.full(3, own[0]), np.full(3, own[1])
    if dimension == "3D" and "LUT_1D_SIZE" in header:  # a domain is that of the first table
        return np.zeros(3), np.ones(3)
    low, high = header.get("DOMAIN_MIN", (0, 0, 0)), header.get("DOMAIN_MAX", (1, 1, 1))
    return np.array(low, np.float64), np.array(high, np.float64)


def _build(header: _Header, rows: npt.NDArray[np.float32], comments: tuple[str, ...]) -> ColorLut:
    """Return the LUT of a file: its 1D table, its 3D table, or one after the other."""
    title = header.get("TITLE", "")
    knots, size = header.get("LUT_1D_SIZE", 0), header.get("LUT_3D_SIZE", 0)
    steps: list[Any] = []
    ranges = [_inputs(header, dimension) for dimension in ("1D", "3D")]
    if knots:
        steps += [*range_steps(*ranges[0]), curves_step(rows[:knots])]
    if size:
        table = rows[knots:].reshape(size, size, size, 3).transpose(2, 1, 0, 3)
        cube = Lut3D(table, title, comments)
        steps += [*range_steps(*ranges[1]), cube.transform()]
        if len(steps) == 1:
            return cube
    numbers = hashlib.sha256(repr((knots, size, np.array(ranges).tolist())).encode())
    numbers.update(rows.astype("<f4").tobytes())
    return LutChain(tuple(steps), numbers.hexdigest(), title, comments)
