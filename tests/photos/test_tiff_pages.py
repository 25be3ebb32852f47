"""TIFF files of cameras and scanners: which page is the picture, and what lies beside it."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from pictures import picture
from PIL import Image

from vae_balance.errors import ImageError
from vae_balance.photos.photo import Photo, read_photo, write_photo
from vae_balance.photos.proxy import make_proxy
from vae_balance.photos.sniff import sniff

CFA = {"photometric": 32803, "extratags": [(33421, 3, 2, (2, 2)), (33422, 1, 4, (0, 1, 1, 2))]}
SENSOR = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)


def deep(seed: int = 0) -> npt.NDArray[np.uint16]:
    return picture(seed=seed).astype(np.uint16) * 257


def infrared(dtype: npt.DTypeLike = np.uint16) -> npt.NDArray[Any]:
    ramp = np.linspace(0, 1, 60 * 80).reshape(60, 80)
    return (ramp if np.dtype(dtype).kind == "f" else ramp * np.iinfo(dtype).max).astype(dtype)


def write_with_mask(path: Path, mask: npt.NDArray[Any], **options: Any) -> None:
    """As SilverFast does; tifffile writes masks of one bit only, so it is told afterwards."""
    with tifffile.TiffWriter(path, **options) as file:
        file.write(deep(), photometric="rgb")
        file.write(mask, photometric="minisblack", subfiletype=2)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[1].tags[254].overwrite(4)


def test_a_preview_page_first_is_no_page(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(picture(15, 20), photometric="rgb", subfiletype=1, software="a preview's")
        file.write(deep(), photometric="rgb", software="a scanner")
        file.write(picture(15, 20), photometric="rgb", subfiletype=1)
    photo = read_photo(tmp_path / "a.tif")
    assert np.array_equal(photo.pixels, deep())
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        (page,) = written.pages
        assert page.software == "a scanner"
        assert np.array_equal(page.asarray(), deep())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}], ids=str)
def test_the_infrared_page_of_a_scanner_stays(
    tmp_path: Path, dtype: npt.DTypeLike, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "bigtiff" in options:
        monkeypatch.setattr("vae_balance.photos.writers._BIGTIFF_BYTES", 0)
    write_with_mask(tmp_path / "a.tif", infrared(dtype), **options)
    photo = read_photo(tmp_path / "a.tif")
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        first, second = written.pages
        assert np.array_equal(first.asarray(), deep())
        assert second.dtype == dtype
        assert second.subfiletype == 4
        assert np.array_equal(second.asarray(), infrared(dtype))
    assert np.array_equal(read_photo(tmp_path / "b.tif").masks[0], infrared(dtype))


def test_other_formats_tell_that_the_infrared_page_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = Photo(deep(), masks=(infrared(),))
    write_photo(photo, tmp_path / "b.png")
    assert "b.png: a page beside the picture is left out" in caplog.text


def test_a_mask_that_cannot_be_kept_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_with_mask(tmp_path / "a.tif", infrared().astype(np.int16))
    assert not read_photo(tmp_path / "a.tif").masks
    assert "a.tif: its page of a mask is left out" in caplog.text


def test_infrared_beside_the_colors_is_no_transparency(tmp_path: Path) -> None:
    """A fourth channel without ExtraSamples, as scanners write it."""
    pixels = np.dstack([deep(), infrared()])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="contig")
    data = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = [tag.code for tag in file.pages[0].tags]
    if 338 in tags:  # make it an unknown tag
        entry = struct.pack("<HH", 338, 3)
        (tmp_path / "a.tif").write_bytes(data.replace(entry, struct.pack("<HH", 65338, 3)))
    photo = read_photo(tmp_path / "a.tif")
    assert photo.alpha == "unspecified"
    assert np.array_equal(make_proxy(photo), make_proxy(deep()))
    write_photo(photo, tmp_path / "b.tif")
    assert np.array_equal(read_photo(tmp_path / "b.tif").pixels, pixels)


@pytest.mark.parametrize("place", ["below the first page", "the second page", "the only page"])
def test_raw_files_that_look_like_tiff_are_recognized(tmp_path: Path, place: str) -> None:
    path = tmp_path / "a.nef"
    with tifffile.TiffWriter(path) as file:
        if place == "below the first page":
            file.write(picture(), photometric="rgb", subfiletype=1, subifds=1)
            file.write(SENSOR, **CFA)
        elif place == "the second page":
            file.write(picture(), photometric="rgb")
            file.write(SENSOR, **CFA)
        else:
            file.write(SENSOR, **CFA)
    assert sniff(path) == "raw"
    path = path.rename(tmp_path / "a.tif")
    assert sniff(path) == "raw"


def test_a_compression_that_is_not_read_is_not_called_damage(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", picture(), photometric="rgb")
    data = (tmp_path / "a.tif").read_bytes()
    none, zstandard = (struct.pack("<HHIHH", 259, 3, 1, code, 0) for code in (1, 50000))
    assert none in data
    (tmp_path / "a.tif").write_bytes(data.replace(none, zstandard))
    with pytest.raises(ImageError, match=r"a.tif: is compressed with Zstandard, .* save it with"):
        read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(np.int16, "16-bit signed integer"), (np.int8, "8-bit signed"), (np.complex64, "complex")],
)
def test_numbers_of_other_kinds_are_named(tmp_path: Path, dtype: npt.DTypeLike, kind: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", picture().astype(dtype), photometric="rgb")
    with pytest.raises(ImageError, match=f"has .*{kind}.* channels: save it with 8 or 16 bits"):
        read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize("y", [0, 8, -8, 100_000])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_the_place_of_a_tiff_on_a_sheet_is_kept_and_does_not_matter(
    tmp_path: Path, y: int, tile: tuple[int, int] | None
) -> None:
    tags = [(286, 5, 1, (3, 300)), (287, 10 if y < 0 else 5, 1, (y, 300))]
    tifffile.imwrite(
        tmp_path / "a.tif", deep(), photometric="rgb", resolution=(300, 300), extratags=tags,
        resolutionunit=2, tile=tile,
    )  # fmt: skip
    photo = read_photo(tmp_path / "a.tif")
    assert np.array_equal(photo.pixels, deep())
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        assert written.pages[0].tags[286].value == (3, 300)
        assert written.pages[0].tags[287].value == (y, 300)
    assert np.array_equal(read_photo(tmp_path / "b.tif").pixels, deep())


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".webp"])
def test_the_same_photo_gives_the_same_bytes_at_any_time(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        write_photo(Photo(deep()), tmp_path / f"{name}{suffix}")
        time.sleep(1.1)  # times in files have seconds
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_time_that_the_photo_has_is_kept(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.tif", tiffinfo={306: "2001:02:03 04:05:06"})
    write_photo(read_photo(tmp_path / "a.tif"), tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as image:
        assert image.tag_v2[306] == "2001:02:03 04:05:06"


def test_values_that_share_bytes_do_not_take_more_memory_than_the_file(tmp_path: Path) -> None:
    """A hostile file: each of 1,000 tags is all of its half megabyte."""
    import tracemalloc

    tifffile.imwrite(tmp_path / "a.tif", picture(), photometric="rgb")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    entries = data[place + 2 : place + 2 + 12 * count]
    start = len(data)
    data += struct.pack("<H", count + 1000) + entries
    for tag in range(40000, 41000):
        data += struct.pack("<HHII", tag, 7, 500_000, 0)
    data += bytes(4 + 500_000)
    struct.pack_into("<I", data, 4, start)
    (tmp_path / "a.tif").write_bytes(data)
    tracemalloc.start()
    read_photo(tmp_path / "a.tif")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
