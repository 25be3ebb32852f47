"""Which format a file has, by its first bytes."""

from __future__ import annotations

from pathlib import Path

from vae_balance.errors import ImageError
from vae_balance.photos.containers import tiff
from vae_balance.photos.formats import FORMATS, RAW, format_of

_RAW_HEADS = (
    b"FUJIFILMCCD-RAW",
    b"IIRO",  # Olympus
    b"IIRS",
    b"MMOR",
    b"IIU\0",  # Panasonic, Leica
    b"FOVb",  # Sigma
    b"\0MRM",  # Minolta
    b"II\x1a\0\0\0HEAPCCDR",  # Canon, before CR2
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"hevc", b"hevx", b"msf1")
_NAMES = ", ".join(kind.name for kind in FORMATS.values())


def sniff(path: Path) -> str:
    """Return the format of a file by its first bytes.

    Raises:
        ImageError: It is missing or of no format that is read. The message does not name it.
        OSError: It cannot be read.
    """
    if not path.exists():
        if path.is_symlink():
            raise ImageError("is a link that leads nowhere: check what it points to")
        raise ImageError("does not exist: check the path")
    if path.is_dir():
        raise ImageError("is a folder: give a picture file")
    if not path.is_file():
        raise ImageError("is not an ordinary file: give a picture file")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ImageError("is empty (0 bytes): copy it again from where it came from")
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return RAW if format_of(path) == RAW or tiff.is_raw(path) else "tiff"
    if head[4:8] == b"ftyp":
        return _sniff_boxes(head)
    for start, name in _HEADS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"GIF8"):
        raise ImageError("is a GIF: save the frame you want as PNG first")
    raise ImageError(f"is not a picture that is read here ({_NAMES}): convert it to one of these")


_HEADS = (
    (b"\xff\xd8", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\x0a", "jpegxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jpegxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\x76\x2f\x31\x01", "openexr"),
    (b"SDPX", "dpx"),
    (b"XPDS", "dpx"),
    *((head, RAW) for head in _RAW_HEADS),
)


def _sniff_boxes(head: bytes) -> str:
    """Return the format of an ISO base media file by its brand and the compatible ones."""
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(length, len(head)), 4))]
    if brands[0] == b"crx ":
        return RAW
    if brands[0] in (b"avis", b"msf1", b"hevc", b"hevx"):
        raise ImageError("is animated: save the frame you want as a file of its own")
    if b"avif" in brands:
        return "avif"
    if any(brand in _HEIF_BRANDS for brand in brands):
        return "heif"
    raise ImageError("is a video, not a picture: save the frame you want as a file of its own")
