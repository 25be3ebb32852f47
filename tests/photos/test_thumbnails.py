"""Thumbnails within a file show the colors that the photo has now, as file managers do."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from vae_balance.photos.containers import Metadata, photoshop
from vae_balance.photos.containers.exif import Directory, serialize, serialize_alone
from vae_balance.photos.photo import Photo, read_photo, write_photo

GREEN, RED = (40, 160, 60), (190, 60, 50)
MAKER_NOTE = b"MAKER" * 40


def flat(color: tuple[int, int, int], height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    return np.full((height, width, 3), color, np.uint8)


def small_jpeg(color: tuple[int, int, int] = GREEN) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(-20, 20, (120, 160, 3))  # as long as thumbnails are
    Image.fromarray((flat(color) + noise).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def exif_with_thumbnail(order: str, thumbnail: bytes, length: int | None = None) -> bytes:
    from vae_balance.photos.containers.exif import Layout

    layout = Layout(order, False)
    below = Directory({37500: (7, len(MAKER_NOTE), MAKER_NOTE)})
    first = Directory({271: (2, 6, b"Canon\0"), 274: (3, 1, struct.pack(order + "H", 6))})
    first.children[34665] = below
    start = 8 + len(serialize(first, 8, layout))
    start += start % 2
    second_size = len(serialize(thumbnail_directory(order, 0, 0), start, layout))
    second = thumbnail_directory(order, start + second_size, length or len(thumbnail))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    data = (head + serialize(first, 8, layout, start)).ljust(start, b"\0")
    return data + serialize(second, start, layout) + thumbnail + b"a tail that something points to"


def thumbnail_directory(order: str, start: int, length: int) -> Directory:
    def long(value: int) -> tuple[int, int, bytes]:
        return 4, 1, struct.pack(order + "I", value)

    return Directory(
        {259: (3, 1, struct.pack(order + "H", 6)), 513: long(start), 514: long(length)}
    )


def resource(number: int, data: bytes, name: bytes = b"\0\0") -> bytes:
    head = b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data))
    return head + data + b"\0" * (len(data) % 2)


def photoshop_thumbnail(number: int = 1036) -> bytes:
    jpeg = small_jpeg()
    head = struct.pack(">6I2H", 1, 160, 120, 480, 57600, len(jpeg), 24, 1)
    return resource(number, head + jpeg)


RESOURCES = resource(1028, b"IPTC!", b"\3abc") + photoshop_thumbnail() + resource(1011, b"1234")


def embedded_jpegs(data: bytes) -> list[NDArray[np.uint8]]:
    """All small JPEG files somewhere in a file, as pixels."""
    found = []
    start = data.find(b"\xff\xd8\xff", 1)
    while start > 0:
        with Image.open(io.BytesIO(data[start:])) as image:
            found.append(np.asarray(image.convert("RGB")))
        start = data.find(b"\xff\xd8\xff", start + 1)
    return found


def is_colored(picture: NDArray[np.uint8], color: tuple[int, int, int]) -> bool:
    return bool(np.abs(picture.mean(axis=(0, 1)) - color).max() < 6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_thumbnail_in_exif(tmp_path: Path, suffix: str, order: str) -> None:
    exif = exif_with_thumbnail(order, small_jpeg())
    path = tmp_path / f"a{suffix}"
    Image.fromarray(flat(GREEN, 300, 400)).save(path, exif=b"Exif\0\0" + exif)
    assert is_colored(embedded_jpegs(path.read_bytes())[0], GREEN)
    photo = read_photo(path)
    photo.pixels[...] = RED
    write_photo(photo, tmp_path / f"b{suffix}")
    (thumbnail,) = embedded_jpegs((tmp_path / f"b{suffix}").read_bytes())
    assert is_colored(thumbnail, RED)
    assert thumbnail.shape == (120, 160, 3)
    after = read_photo(tmp_path / f"b{suffix}").metadata.exif
    assert after is not None
    assert len(after) == len(exif)  # nothing that a maker note may point to has moved
    assert after.endswith(b"a tail that something points to")
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.getexif().get_ifd(34665)[37500] == MAKER_NOTE
        with Image.open(io.BytesIO(as_pillow_finds_it(image))) as small:
            assert small.size == (160, 120)


def as_pillow_finds_it(image: ImageFile.ImageFile) -> bytes:
    directory = image.getexif().get_ifd(ExifTags.IFD.IFD1)
    exif = read_photo(Path(str(image.filename))).metadata.exif
    assert exif is not None
    return exif[directory[513] : directory[513] + directory[514]]


def test_its_colors_are_those_of_srgb(tmp_path: Path) -> None:
    """Who shows a thumbnail looks for no profile."""
    exif = exif_with_thumbnail("<", small_jpeg())
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    photo = Photo(flat((150, 120, 110)), profile, 6, metadata=Metadata(exif))
    write_photo(photo, tmp_path / "a.jpg")
    (thumbnail,) = embedded_jpegs((tmp_path / "a.jpg").read_bytes())
    assert is_colored(thumbnail, (155, 119, 108))


@pytest.mark.parametrize("length", [100, 1 << 30])
def test_one_that_cannot_be_renewed_is_left_out(tmp_path: Path, length: int) -> None:
    """There is no room for it, or its length is a lie."""
    exif = exif_with_thumbnail("<", small_jpeg(), length)
    write_photo(Photo(flat(RED), orientation=6, metadata=Metadata(exif)), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
        assert image.getexif()[274] == 6
        assert image.getexif().get_ifd(34665)[37500] == MAKER_NOTE


def test_a_lying_place_costs_no_tags(tmp_path: Path) -> None:
    """Its place is that of the directories."""
    exif = bytearray(exif_with_thumbnail("<", small_jpeg()))
    place = exif.index(struct.pack("<HHI", 513, 4, 1))
    struct.pack_into("<I", exif, place + 8, 2)
    exif[2:4] = b"*\0"
    write_photo(Photo(flat(RED), orientation=6, metadata=Metadata(bytes(exif))), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.getexif()[271], image.getexif()[274]) == ("Canon", 6)


def test_the_one_of_photoshop_in_jpeg(tmp_path: Path) -> None:
    body = b"Photoshop 3.0\0" + RESOURCES
    segment = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    Image.fromarray(flat(GREEN, 300, 400)).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    photo = read_photo(tmp_path / "a.jpg")
    photo.pixels[...] = RED
    write_photo(photo, tmp_path / "b.jpg")
    (thumbnail,) = embedded_jpegs((tmp_path / "b.jpg").read_bytes())
    assert is_colored(thumbnail, RED)
    with Image.open(tmp_path / "b.jpg") as image:
        resources = image.info["photoshop"]
        assert resources[1028] == b"IPTC!"
        assert resources[1011] == b"1234"
        assert resources[1036].startswith(struct.pack(">3I", 1, 160, 120))


def test_the_one_of_photoshop_in_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        flat(GREEN, 300, 400),
        photometric="rgb",
        extratags=[(34377, 1, len(RESOURCES), RESOURCES), (315, 2, 0, "A. Painter")],
    )
    photo = read_photo(tmp_path / "a.tif")
    photo.pixels[...] = RED
    write_photo(photo, tmp_path / "b.tif")
    (thumbnail,) = embedded_jpegs((tmp_path / "b.tif").read_bytes())
    assert is_colored(thumbnail, RED)
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        tags = written.pages[0].tags
        assert tags[315].value == "A. Painter"
        assert resource(1028, b"IPTC!", b"\3abc") in bytes(tags[34377].value)


def test_one_of_photoshop_4_is_left_out() -> None:
    before, after = resource(1028, b"IPTC!"), resource(1011, b"1234")
    resources = before + photoshop_thumbnail(1033) + after
    assert photoshop.with_thumbnail(resources, lambda *_: (b"", 1, 1)) == before + after


@pytest.mark.parametrize("damaged", [RESOURCES[:30], b"8BIM", b"", b"nonsense", RESOURCES[:-3]])
def test_damaged_resources_lose_nothing_else(damaged: bytes) -> None:
    made = photoshop.with_thumbnail(damaged, lambda *_: None)
    assert made in (damaged, damaged.replace(photoshop_thumbnail(), b""))


def test_a_damaged_directory_of_thumbnails_is_survived() -> None:
    from vae_balance.photos.containers.exif import with_thumbnail

    rng = np.random.default_rng(1)
    whole = exif_with_thumbnail("<", small_jpeg())
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(8, 500)] = rng.integers(256)
        again = with_thumbnail(bytes(damaged), lambda size, most: (b"\xff\xd8new"[:most], 1, 1))
        assert again is not None
        assert len(again) == len(whole)


def test_exif_without_a_thumbnail_keeps_its_bytes() -> None:
    from vae_balance.photos.containers.exif import with_thumbnail

    exif = serialize_alone(Directory({271: (2, 6, b"Canon\0")}), "<") + b"a tail"
    assert with_thumbnail(exif, lambda *_: (b"", 1, 1)) is exif
