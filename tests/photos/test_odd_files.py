"""Photos that other programs read in spite of a flaw are read, too, and the flaw is told."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from odd_png import chunk, png
from pictures import picture
from PIL import Image

from vae_balance.errors import ImageError
from vae_balance.photos.photo import read_photo, write_photo

JUNK = b"\0\x01\x02\0"


def jpeg(progressive: bool = False) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "JPEG", quality=95, progressive=progressive)
    return buffer.getvalue()


def before_marker(data: bytes, marker: bytes, inserted: bytes) -> bytes:
    place = data.index(marker)
    return data[:place] + inserted + data[place:]


def chunks(path: Path) -> list[tuple[bytes, bytes]]:
    data, place, found = path.read_bytes(), 8, []
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        found.append((kind, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


FLAWS: dict[str, tuple[bytes, str]] = {
    "junk.jpg": (before_marker(jpeg(), b"\xff\xdb", JUNK), "stray bytes between its segments"),
    "junk after the start.jpg": (before_marker(jpeg(), b"\xff\xe0", JUNK), "stray bytes"),
    "junk between scans.jpg": (
        before_marker(jpeg(progressive=True), b"\xff\xda", JUNK),
        "stray bytes",
    ),
    "endless.jpg": (jpeg()[:-2], "has no end, though its pixels are all there"),
    "half an end.jpg": (jpeg()[:-1], "has no end, though its pixels are all there"),
    "endless progressive.jpg": (jpeg(progressive=True)[:-2], "has no end"),
    "text.png": (png(chunk(b"tEXt", b"Title\0A title", 1)), "wrong checksum in its chunk 'tEXt'"),
    "exif.png": (png(chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0", 1)), "checksum in its chunk 'eXIf'"),
    "gamma.png": (png(chunk(b"gAMA", struct.pack(">I", 9), 1)), "'gAMA': it is left out"),
    "endless.png": (png()[:-12], "has no end, though its pixels are all there"),
}


@pytest.mark.parametrize("name", FLAWS)
def test_harmless_damage_is_told_and_the_photo_is_read(
    tmp_path: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    data, flaw = FLAWS[name]
    path, whole = tmp_path / name, tmp_path / f"whole{Path(name).suffix}"
    path.write_bytes(data)
    whole.write_bytes(png() if name.endswith("png") else jpeg(b"\xff\xc2" in data))
    photo = read_photo(path)
    assert np.array_equal(photo.pixels, read_photo(whole).pixels)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}: ")
    assert flaw in record.getMessage()
    assert capfd.readouterr() == ("", "")  # no library of ours complains on its own
    caplog.clear()
    write_photo(photo, tmp_path / f"again{path.suffix}")
    read_photo(tmp_path / f"again{path.suffix}")
    assert not caplog.records


def test_what_a_chunk_with_a_wrong_checksum_says_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(FLAWS["text.png"][0])
    write_photo(read_photo(tmp_path / "a.png"), tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["Title"] == "A title"


@pytest.mark.parametrize(
    "data",
    [
        before_marker(jpeg(), b"\xff\xdb", b"\xff\x01"),  # TEM
        before_marker(jpeg(), b"\xff\xdb", b"\xff\xff\xff"),  # fill bytes
        jpeg() + bytes(5000),  # a full block of a memory card
    ],
)
def test_what_the_format_allows_is_not_worth_a_word(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert read_photo(tmp_path / "a.jpg").pixels.shape == picture().shape
    assert not caplog.records


@pytest.mark.parametrize("lost", [3, 10, 300])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_pixels_that_are_cut_short_stay_an_error(
    tmp_path: Path,
    lost: int,
    progressive: bool,
    end: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(progressive)[: -2 - lost] + end)
    with pytest.raises(ImageError, match=r"a.jpg: is damaged or cut short") as caught:
        read_photo(tmp_path / "a.jpg")
    assert ".jpg" not in str(caught.value).partition("a.jpg")[2]  # of no copy that was tried
    assert not caplog.records  # "its pixels are all there" would be a lie


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT"])
def test_a_wrong_checksum_of_the_picture_itself_stays_an_error(tmp_path: Path, kind: bytes) -> None:
    data = bytearray(png())
    place = data.index(kind)
    (length,) = struct.unpack_from(">I", data, place - 4)
    data[place + 4 + length] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match=r"a.png: is damaged or cut short"):
        read_photo(tmp_path / "a.png")


def test_many_small_segments_take_no_time(tmp_path: Path) -> None:
    """Reading a megabyte ahead of each would take half a minute."""
    import time

    segments = (b"\xff\xfe\0\x02" + JUNK) * 30_000
    (tmp_path / "a.jpg").write_bytes(before_marker(jpeg(), b"\xff\xdb", segments))
    began = time.process_time()
    read_photo(tmp_path / "a.jpg")
    assert time.process_time() - began < 2


@pytest.mark.parametrize("offset", [(0, -8), (0, 8), (7, 0), (-3, 5), (100_000, 100_000)])
def test_the_place_of_a_png_on_a_page_is_kept_and_does_not_matter(
    tmp_path: Path, offset: tuple[int, int]
) -> None:
    place = struct.pack(">iiB", *offset, 0)
    (tmp_path / "a.png").write_bytes(png(chunk(b"oFFs", place)))
    photo = read_photo(tmp_path / "a.png")
    assert np.array_equal(photo.pixels, picture())
    write_photo(photo, tmp_path / "b.png")
    assert (b"oFFs", place) in chunks(tmp_path / "b.png")
