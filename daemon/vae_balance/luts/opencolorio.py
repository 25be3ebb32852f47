"""Read the LUT formats of the film world, by OpenColorIO.

Its readers were made for files that one trusts: some go round for ever, or ask for memory that
nobody has, when a file is damaged. So a file is read in a process of its own first, with limits
(`rehearsal`); what is read there without harm is read here. It is handed over in memory, and no
other file is opened, whatever it refers to.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vae_balance.color.lut import ColorLut, Lut3D
from vae_balance.color.lut_chain import LutChain, grid_size
from vae_balance.errors import LutError
from vae_balance.luts.rehearsal import rehearse

MAX_BYTES = 100_000_000  # a 129-cube of nine digits
_LONGEST = 300  # characters of a reason
_REFERENCE = re.compile(rb"<\s*(\w+:)?Reference\b", re.IGNORECASE)  # of .ctf
_NEEDS_OTHERS = "refers to another LUT, which is not in the file; export it again as one file"


def read_with_opencolorio(path: Path) -> ColorLut:
    """Read a LUT file as `parse_with_opencolorio` does, its format told by the suffix.

    Raises:
        LutError: The file cannot be read, is malformed, or holds what cannot be applied.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LutError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_with_opencolorio(content, path.suffix.lower().removeprefix("."), path)


def parse_with_opencolorio(
    content: bytes, file_format: str, name: str | os.PathLike[str]
) -> ColorLut:
    """Return the LUT that the bytes of a file hold, every step as OpenColorIO does it.

    3D tables are interpolated tetrahedrally unless the file says otherwise. One alone is a
    `Lut3D`, anything else a `LutChain`.

    Args:
        content: The file.
        file_format: Its suffix, in lower case, without the point: "spi1d".
        name: What errors call it.

    Raises:
        LutError: The file is malformed, or holds what cannot be applied.
    """
    try:
        if len(content) > MAX_BYTES:
            raise LutError(f"more than {MAX_BYTES // 10**6} MB; a LUT is smaller")
        if not content.strip():
            raise LutError("the file is empty; get it again")
        if _REFERENCE.search(content):
            raise LutError(_NEEDS_OTHERS)
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", Path(name).stem)[:100]
        rehearse(content, file_format, stem)
        return load(content, file_format, stem)
    except LutError as error:
        raise LutError(f"{name}: {error}") from error


def load(content: bytes, file_format: str, stem: str) -> ColorLut:
    """Read a file that was rehearsed, or rehearse it.

    Args:
        content: The file.
        file_format: Its suffix, in lower case, without the point.
        stem: The name without the suffix, of ASCII letters, digits, "_" and "-": in a .lut file's
            name, "12to16fp" tells depths.

    Raises:
        LutError: As in `parse_with_opencolorio`.
    """
    digest = hashlib.sha256(f"{stem}.{file_format}\0".encode() + content).hexdigest()
    processor = _processor(content, f"{digest}_{stem}.{file_format}")
    steps = _steps(processor)
    title, comments = _words(processor)
    if len(steps) == 1 and _is_plain_cube(steps[0]):
        size = grid_size(steps[0])
        table = np.asarray(steps[0].getData(), np.float32).reshape(size, size, size, 3)
        return Lut3D(table, title, comments)
    return LutChain(steps, digest, title, comments)


def _processor(content: bytes, path: str) -> Any:
    """Return OpenColorIO's processor of a file; `path` is one that no other file has."""
    import PyOpenColorIO

    class OneFile(PyOpenColorIO.PyConfigIOProxy):  # type: ignore[misc]
        """The only file there is."""

        def __init__(self) -> None:
            super().__init__()
            self.others: set[str] = set()

        def getLutData(self, wanted: str) -> Any:  # noqa: N802
            # Without content, OpenColorIO would look for the file on the disk.
            return PyOpenColorIO.vector_of_uint8_t(content if self._is_it(wanted) else b"?")

        def getFastLutFileHash(self, wanted: str) -> str:  # noqa: N802
            return wanted if self._is_it(wanted) else ""

        def getConfigData(self) -> str:  # noqa: N802
            return ""

        def _is_it(self, wanted: str) -> bool:
            if os.path.basename(wanted) == path:  # noqa: PTH119
                return True
            self.others.add(wanted)
            return False

    files = OneFile()
    config = PyOpenColorIO.Config.CreateRaw()
    config.setConfigIOProxy(files)
    level = PyOpenColorIO.GetLoggingLevel()
    PyOpenColorIO.SetLoggingLevel(PyOpenColorIO.LOGGING_LEVEL_NONE)  # it would quote the file
    try:
        processor = config.getProcessor(PyOpenColorIO.FileTransform(path))
    except (PyOpenColorIO.Exception, MemoryError, UnicodeDecodeError) as error:
        if files.others:
            raise LutError(_NEEDS_OTHERS) from error
        raise LutError(f"cannot be read: {_reason(error, path)}") from error
    finally:
        PyOpenColorIO.SetLoggingLevel(level)
        PyOpenColorIO.ClearAllCaches()  # of files, by name
    if files.others:
        raise LutError(_NEEDS_OTHERS)
    return processor


def _steps(processor: Any) -> tuple[Any, ...]:
    """Return what a file asks to be done.

    Raises:
        LutError: A step cannot be applied.
    """
    import PyOpenColorIO

    steps = tuple(processor.createGroupTransform())
    for step in steps:
        _check(step)
        if grid_size(step) and step.getInterpolation() == PyOpenColorIO.INTERP_DEFAULT:
            step.setInterpolation(PyOpenColorIO.INTERP_TETRAHEDRAL)
    return steps


def _words(processor: Any) -> tuple[str, tuple[str, ...]]:
    """Return the title and the comments of a .clf or .ctf file; others have none."""
    with suppress(UnicodeDecodeError):
        metadata = processor.getFormatMetadata()
        parts = [
            (part.getElementName(), part.getElementValue()) for part in metadata.getChildElements()
        ]
        comments = (text for name, text in parts if name == "Description")
        return dict(metadata.getAttributes()).get("name", ""), tuple(comments)
    return "", ()


def _reason(error: BaseException, path: str) -> str:
    """Return the essence of OpenColorIO's message, in one line."""
    if isinstance(error, UnicodeDecodeError):  # in OpenColorIO's message, which quotes the file
        return "it holds bytes that are no text"
    text = str(error)
    text = " ".join(text.split("failed with:")[1:]) or text
    text = text.replace(path, "the file")
    line = " ".join("".join(x if x.isprintable() else " " for x in text).split())
    return line[:_LONGEST].rstrip(".") or type(error).__name__


def _check(step: Any) -> None:
    """Check that a step can be applied.

    Raises:
        LutError: It mixes alpha with colors, or has numbers that are not finite.
    """
    if hasattr(step, "getMatrix") and any(step.getMatrix()[3:12:4]):
        raise LutError("makes colors of alpha, which VAE Balance leaves alone")
    is_table = grid_size(step) or (hasattr(step, "getLength") and not step.getInputHalfDomain())
    if is_table and not np.isfinite(np.asarray(step.getData())).all():
        raise LutError("holds NaN or infinite values; make the file again without them")


def _is_plain_cube(step: Any) -> bool:
    import PyOpenColorIO

    return (
        grid_size(step) > 1
        and step.getInterpolation() == PyOpenColorIO.INTERP_TETRAHEDRAL
        and step.getDirection() == PyOpenColorIO.TRANSFORM_DIR_FORWARD
    )
