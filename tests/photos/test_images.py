"""Pictures come out of files as they are stored, and go back with all that belonged to them."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenImageIO
import pytest
import tifffile
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile
from PIL import Image, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo

from vae_balance.errors import BalanceError, ImageError, OptionError, OutputExistsError
from vae_balance.photos.containers.exif import Directory, parse_exif, serialize_alone, swap
from vae_balance.photos.photo import Photo, read_photo, write_photo

Pixels = npt.NDArray[Any]

SUFFIXES = [".jpg", ".png", ".tif", ".webp"]
DEPTHS = [np.uint8, np.uint16, np.float16, np.float32]
PROFILE = icc_profile(DISPLAY_P3, SRGB_CURVE)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
MAKER_NOTE = b"MAKER\0\xff" * 30
# Orientation 6, maker, Exif (exposure, maker note), GPS; and a preview in a second directory.
EXIF_TAGS = Directory(
    {271: (2, 6, b"Canon\0"), 274: (3, 1, b"\6\0"), 282: (5, 1, struct.pack("<II", 300, 1))},
    {
        34665: Directory(
            {
                33434: (5, 1, struct.pack("<II", 1, 125)),
                37500: (7, len(MAKER_NOTE), MAKER_NOTE),
            }
        ),
        34853: Directory({1: (2, 2, b"N\0"), 2: (5, 3, struct.pack("<6I", *[48, 1] * 3))}),
    },
)
EXIF = serialize_alone(EXIF_TAGS, "<")


def picture(
    dtype: npt.DTypeLike = np.uint8, channels: int = 3, height: int = 40, width: int = 60
) -> Pixels:
    rng = np.random.default_rng(3)
    coarse = rng.random((5, 7, channels)).astype(np.float32)
    planes = [
        np.asarray(
            Image.fromarray(coarse[..., i]).resize((width, height), Image.Resampling.BICUBIC)
        )
        for i in range(channels)
    ]
    values = np.stack(planes, axis=-1).clip(0, 1)
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_16(pixels: Pixels) -> bytes:
    """A 16-bit PNG, from the specification, as Pillow cannot write one."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def stored_exif(path: Path) -> Image.Exif:
    with Image.open(path) as image:
        return image.getexif()


def stored_info(path: Path) -> dict[Any, Any]:
    with Image.open(path) as image:
        return image.info


def leftovers(folder: Path, *expected: str) -> set[str]:
    return {path.name for path in folder.iterdir()} - set(expected)


# Reading


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(tmp_path: Path, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(picture()).save(path, quality=90, progressive=progressive)
    assert np.array_equal(read_photo(path).pixels, np.asarray(Image.open(path)))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_lossless_8_bit_files(tmp_path: Path, name: str, channels: int) -> None:
    pixels = picture(channels=channels)
    pixels[:5, :, 3:] = 0  # colors under alpha 0 are kept, too
    Image.fromarray(pixels).save(tmp_path / name, lossless=True, exact=True)
    assert np.array_equal(read_photo(tmp_path / name).pixels, pixels)


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_png(tmp_path: Path, channels: int) -> None:
    pixels = picture(np.uint16, channels)
    (tmp_path / "a.png").write_bytes(png_16(pixels))
    assert np.array_equal(read_photo(tmp_path / "a.png").pixels, pixels)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 16)},
        {"rowsperstrip": 7},
        {"rowsperstrip": 1000, "compression": "zlib"},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", DEPTHS)
def test_tiff(tmp_path: Path, dtype: npt.DTypeLike, options: dict[str, Any]) -> None:
    pixels = picture(dtype)
    if options.get("predictor") and np.dtype(dtype).kind == "f":
        write_float_predictor(tmp_path / "a.tif", pixels)  # tifffile alone cannot
    else:
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **options)
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, pixels)


def write_float_predictor(path: Path, pixels: npt.NDArray[Any]) -> None:
    """Write a deflated TIFF file whose rows are differences of floats (predictor 3)."""
    height, width, channels = pixels.shape
    name = "half" if pixels.dtype == np.float16 else "float"
    spec = OpenImageIO.ImageSpec(width, height, channels, name)
    for attribute, value in (("Compression", "zip"), ("tiff:half", 1), ("tiff:predictor", 3)):
        spec.attribute(attribute, value)
    file = OpenImageIO.ImageOutput.create("tiff")
    assert file is not None
    assert file.open(str(path), spec)
    assert file.write_image(pixels)
    assert file.close()
    with tifffile.TiffFile(path) as written:
        assert written.pages[0].predictor == 3
        assert written.pages[0].dtype == pixels.dtype


@pytest.mark.parametrize("rows", [7, 1000])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planar_tiff(
    tmp_path: Path, compression: str | None, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vae_balance.photos.pixels.STRIP_BYTES", 10 * 60 * 6
    )  # several strips to read
    pixels = picture(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(pixels, 2, 0),
        photometric="rgb",
        planarconfig="separate",
        compression=compression,
        rowsperstrip=rows,
    )
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 7}], ids=str)
def test_a_picture_is_read_in_strips(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_balance.photos.pixels.STRIP_BYTES", 10 * 60 * 6)
    pixels = picture(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression="zlib", **options)
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, pixels)


def test_lzw_tiff(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, picture())


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_palette_becomes_colors(tmp_path: Path, name: str) -> None:
    picked = Image.fromarray(picture()).quantize(17)
    picked.save(tmp_path / name)
    expected = np.asarray(picked.convert("RGB")).astype(int)
    # Pillow writes 255 as 65280 into the 16-bit palette of a TIFF file
    assert np.abs(read_photo(tmp_path / name).pixels - expected).max() <= (name == "a.tif")


def test_a_transparent_palette_color_becomes_alpha(tmp_path: Path) -> None:
    picked = Image.fromarray(picture()).quantize(17)
    picked.save(tmp_path / "a.png", transparency=3)
    expected = np.asarray(Image.open(tmp_path / "a.png").convert("RGBA"))
    assert np.array_equal(read_photo(tmp_path / "a.png").pixels, expected)


def test_a_transparent_color_becomes_alpha(tmp_path: Path) -> None:
    pixels = picture()
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=tuple(map(int, pixels[3, 4])))
    photo = read_photo(tmp_path / "a.png")
    assert photo.pixels[3, 4, 3] == 0
    assert np.array_equal(photo.pixels[..., :3], pixels)


def test_colors_multiplied_by_alpha_are_divided_and_multiplied_again(tmp_path: Path) -> None:
    colors = picture(channels=4)
    colors[..., 3] = colors[..., 3].clip(40)
    stored = colors.copy()
    stored[..., :3] = np.round(colors[..., :3] * (colors[..., 3:] / 255))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    photo = read_photo(tmp_path / "a.tif")
    found = photo.pixels[..., :3] * 255
    assert np.abs(found - colors[..., :3].astype(int)).max() <= 0.5 * 255 / 40 + 1
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].extrasamples == (1,)
        assert np.array_equal(file.asarray(), stored)
    write_photo(photo, tmp_path / "b.png")
    unassociated = read_photo(tmp_path / "b.png").pixels
    assert np.abs(unassociated - photo.pixels.clip(0, 1) * 255).max() < 0.501


def test_a_saved_selection_does_not_become_transparency(tmp_path: Path) -> None:
    pixels = picture(channels=4)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unspecified"])
    photo = read_photo(tmp_path / "a.tif")
    assert photo.alpha == "unspecified"
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].extrasamples == (0,)
        assert np.array_equal(file.asarray(), pixels)
    with pytest.raises(ImageError, match="only TIFF holds a channel beside colors and alpha"):
        write_photo(photo, tmp_path / "b.png")


def test_the_name_of_a_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "ä photo.jpg"
    Image.fromarray(picture()).save(path, "PNG")
    photo = read_photo(str(path))
    assert photo.file_format == "png"
    assert np.array_equal(photo.pixels, picture())


def test_previews_after_the_picture_are_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(picture(), photometric="rgb")
        file.write(picture(height=10, width=15), photometric="rgb", subfiletype=1)
    photo = read_photo(tmp_path / "a.tif")
    assert np.array_equal(photo.pixels, picture())
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        assert len(written.pages) == 1


def test_memory_for_reading_is_that_of_the_pixels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3000, 4000, 3), np.uint16), photometric="rgb")
    tracemalloc.start()
    photo = read_photo(tmp_path / "a.tif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < photo.pixels.nbytes + 60e6


# Refused


def _png(mode: str) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(picture()).convert(mode).save(path, "PNG")


def _jpeg(mode: str) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(picture()).convert(mode).save(path, "JPEG")


def _tiff(mode: str) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(picture()).convert(mode).save(path, "TIFF")


def _array_tiff(pixels: Pixels, **options: Any) -> Callable[[Path], object]:
    return lambda path: tifffile.imwrite(path, pixels, **options)


def _animated(file_format: str) -> Callable[[Path], None]:
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1])]
    return lambda path: frames[0].save(path, file_format, save_all=True, append_images=frames[1:])


def _huge_png(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    data = b"".join(png_chunk(*chunk) for chunk in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def _huge_jpeg(path: Path) -> None:
    _jpeg("RGB")(path)
    data = path.read_bytes()
    small, huge = struct.pack(">BHH", 8, 40, 60), struct.pack(">BHH", 8, 65000, 65000)
    path.write_bytes(data.replace(b"\xff\xc0\0\x11" + small, b"\xff\xc0\0\x11" + huge))


def _huge_tiff(path: Path) -> None:
    tifffile.imwrite(path, picture(), photometric="rgb")
    data = path.read_bytes()
    for tag, size in ((256, 60), (257, 40)):
        entry = struct.pack("<HHI", tag, 4, 1)
        data = data.replace(entry + struct.pack("<I", size), entry + struct.pack("<I", 40000))
    path.write_bytes(data)


def _raw_file(path: Path) -> None:
    tifffile.imwrite(path, picture(), photometric="rgb", extratags=[(50706, 1, 4, (1, 4, 0, 0))])


def _twelve_bit_jpeg(path: Path) -> None:
    _jpeg("RGB")(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"))


NO_PICTURE = r"is not a picture that is read here \(JPEG, PNG,"
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "does not exist"),
    "folder": (Path.mkdir, "is a folder"),
    "empty": (Path.touch, r"is empty \(0 bytes\)"),
    "text": (
        lambda path: path.write_text("not a picture"),
        NO_PICTURE,
    ),
    "one byte": (
        lambda path: path.write_bytes(b"\xff"),
        NO_PICTURE,
    ),
    "device": (lambda path: path.symlink_to("/dev/null"), "is not an ordinary file"),
    "gif": (_animated("GIF"), "is a GIF"),
    "animated webp": (_animated("WEBP"), "is animated"),
    "animated png": (_animated("PNG"), "is animated"),
    "pages": (_array_tiff(np.stack([picture()] * 2), photometric="rgb"), "has 2 pages"),
    "bits in tiff": (_tiff("1"), "has 1-bit integer channels"),
    "cmyk jpeg": (_jpeg("CMYK"), "is a CMYK picture: convert it to RGB first"),
    "cmyk tiff": (_tiff("CMYK"), "is a CMYK picture: convert it to RGB first"),
    "lab tiff": (_tiff("LAB"), "is a Lab picture: convert it to RGB first"),
    "raw": (_raw_file, "is a raw file that cannot be developed"),
    "12-bit jpeg": (_twelve_bit_jpeg, r"is a JPEG of a rare kind \(lossless or 12 bits\)"),
    "double": (_array_tiff(picture(np.float64), photometric="rgb"), "has 64-bit float channels"),
    "long": (
        _array_tiff(picture().astype(np.uint32), photometric="rgb"),
        "has 32-bit integer channels",
    ),
    "5 channels": (_array_tiff(picture(channels=5), photometric="rgb"), "has 5 channels"),
    "gigapixel tiff": (_huge_tiff, "has 40000 x 40000 pixels: make it smaller than a gigapixel"),
    "gigapixel jpeg": (_huge_jpeg, "has 65000 x 65000 pixels: make it smaller than a gigapixel"),
    "gigapixel png": (_huge_png, "has 40000 x 40000 pixels: make it smaller than a gigapixel"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_balanced_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    make, reason = REFUSED[kind]
    path = tmp_path / "the photo.jpg"
    make(path)
    with pytest.raises(ImageError, match=f"^.*the photo.jpg: {reason}") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)


@contextmanager
def no_root() -> Iterator[None]:
    """Give up root's right to read everything for a while; an ordinary user stays one."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)  # nobody
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_a_file_that_may_not_be_read_is_refused() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own may be closed to nobody
        Path(folder).chmod(0o755)
        path = Path(folder, "a.png")
        _png("RGB")(path)
        path.chmod(0)
        message = r"a.png: cannot be read: .*; check its permissions"
        with no_root(), pytest.raises(ImageError, match=message):
            read_photo(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("name", ["a.jpg", "progressive.jpg", "a.png", "a.tif", "z.tif", "a.webp"])
def test_a_file_that_is_cut_short_is_refused(
    tmp_path: Path, name: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    options: dict[str, dict[str, Any]] = {
        "progressive.jpg": {"progressive": True},
        "z.tif": {"compression": "tiff_deflate"},
    }
    Image.fromarray(picture()).save(path, **options.get(name, {}))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(
        ImageError, match=f"{name}: is (damaged or cut short|not a|empty)"
    ) as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # no library of ours complains on its own


def test_a_damaged_byte_in_a_png_is_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    _png("RGB")(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a.png: is damaged or cut short"):
        read_photo(path)
    assert capfd.readouterr() == ("", "")


def test_any_damaged_byte_gives_a_picture_or_an_image_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix in SUFFIXES:
        path = tmp_path / f"a{suffix}"
        write_photo(_photo_with_everything(picture(height=8, width=8)), path)
        data = path.read_bytes()
        for place in rng.integers(8, len(data), 60):
            damaged = bytearray(data)
            damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                read_photo(path)
            except ImageError as error:
                assert "\n" not in str(error)


# Writing


def _photo_with_everything(pixels: Pixels | None = None, **details: Any) -> Photo:
    metadata = tiff_metadata()
    return Photo(picture() if pixels is None else pixels, PROFILE, 6, metadata, **details)


def tiff_metadata() -> Any:
    from vae_balance.photos.containers import Metadata

    return Metadata(EXIF, XMP, (300.0, 300.0))


def _tags(exif: bytes | None) -> Directory:
    directory = parse_exif(exif, "<")
    assert directory is not None
    return directory


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", DEPTHS)
def test_tiff_keeps_every_depth(tmp_path: Path, dtype: npt.DTypeLike, channels: int) -> None:
    pixels = picture(dtype, channels)
    write_photo(Photo(pixels, file_format="tiff", compression="none"), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.asarray().dtype == dtype
        assert np.array_equal(file.asarray(), pixels)
        assert file.pages[0].extrasamples == (2,) * (channels - 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_values_outside_of_the_range_survive_in_tiff(tmp_path: Path, dtype: Any) -> None:
    pixels = picture(dtype)
    pixels[0, :5, 0] = [np.nan, np.inf, -np.inf, 40.0, -3.0]
    write_photo(Photo(pixels), tmp_path / "a.tif")
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, pixels, equal_nan=True)


@pytest.mark.parametrize("compression", ["none", "lzw", "zip", "packbits"])
def test_tiff_keeps_its_compression(tmp_path: Path, compression: str) -> None:
    photo = Photo(picture(np.uint16), file_format="tiff", compression=compression)
    write_photo(photo, tmp_path / "a.tif")
    again = read_photo(tmp_path / "a.tif")
    assert again.compression == compression
    assert np.array_equal(again.pixels, photo.pixels)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_keeps_8_and_16_bits(tmp_path: Path, dtype: npt.DTypeLike, channels: int) -> None:
    pixels = picture(dtype, channels)
    write_photo(Photo(pixels), tmp_path / "a.png")
    again = read_photo(tmp_path / "a.png").pixels
    assert again.dtype == dtype
    assert np.array_equal(again, pixels)
    high_bytes = np.asarray(Image.open(tmp_path / "a.png")).astype(int)
    assert np.abs(high_bytes - pixels / np.iinfo(dtype).max * 255).max() <= 1


def test_lossless_webp_stays_lossless(tmp_path: Path) -> None:
    pixels = picture(channels=4)
    pixels[:5, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.webp", lossless=True, exact=True)
    write_photo(read_photo(tmp_path / "a.webp"), tmp_path / "b.webp")
    assert np.array_equal(read_photo(tmp_path / "b.webp").pixels, pixels)


def test_lossy_webp_stays_lossy(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.webp")
    write_photo(read_photo(tmp_path / "a.webp"), tmp_path / "b.webp")
    assert read_photo(tmp_path / "b.webp").compression == ""


def test_jpeg_has_full_color_resolution_and_little_loss(tmp_path: Path) -> None:
    write_photo(Photo(picture()), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4
        error = np.abs(np.asarray(image).astype(int) - picture())
    assert error.mean() < 1.5


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_makes_smaller_files(tmp_path: Path, suffix: str) -> None:
    write_photo(Photo(picture()), tmp_path / f"a{suffix}")
    write_photo(Photo(picture()), tmp_path / f"b{suffix}", quality=30)
    sizes = [(tmp_path / f"{name}{suffix}").stat().st_size for name in "ab"]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_floats_are_rounded_and_clipped_for_16_bit_png(tmp_path: Path, dtype: Any) -> None:
    pixels = picture(dtype)
    pixels[0, :3, 0] = [np.nan, np.inf, -5.0]
    write_photo(Photo(pixels), tmp_path / "a.png")
    again = read_photo(tmp_path / "a.png").pixels
    assert again.dtype == np.uint16
    assert again[0, :3, 0].tolist() == [0, 65535, 0]
    assert np.abs(again[1:] - pixels[1:].astype(float) * 65535).max() < 0.51


def test_16_bits_are_rounded_for_webp(tmp_path: Path) -> None:
    pixels = picture(np.uint16)
    photo = Photo(pixels, file_format="webp", compression="lossless")
    write_photo(photo, tmp_path / "a.webp")
    again = read_photo(tmp_path / "a.webp").pixels
    assert np.abs(again - pixels / 257).max() <= 0.5


@pytest.mark.parametrize("dtype", [np.uint16, np.float16, np.float32])
def test_a_greater_depth_fits_into_jpeg(tmp_path: Path, dtype: npt.DTypeLike) -> None:
    write_photo(Photo(picture(dtype)), tmp_path / "a.jpg")
    error = np.abs(read_photo(tmp_path / "a.jpg").pixels.astype(int) - picture())
    assert error.mean() < 1.5


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_single_pixel_works(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_photo(Photo(np.full((1, 1, 3), 200, np.uint8)), path)
    assert np.abs(read_photo(path).pixels.astype(int) - 200).max() <= 2


@pytest.mark.parametrize("size", [(2, 20000), (20000, 2)])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_long_thin_picture_works(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    path = tmp_path / f"a{suffix}"
    pixels = picture(height=size[0], width=size[1])
    write_photo(Photo(pixels), path)
    again = read_photo(path).pixels
    assert again.shape == pixels.shape
    assert np.abs(again - pixels.astype(int)).mean() < 2


# Metadata


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_what_belongs_to_a_photo_goes_along(tmp_path: Path, source: str, target: str) -> None:
    first, second = tmp_path / f"a{source}", tmp_path / f"b{target}"
    write_photo(_photo_with_everything(), first)
    write_photo(read_photo(first), second)
    photo = read_photo(second)
    assert photo.icc_profile == PROFILE
    assert photo.orientation == 6
    assert photo.metadata.xmp == XMP
    assert _tags(photo.metadata.exif).children == EXIF_TAGS.children
    assert EXIF_TAGS.tags.items() <= _tags(photo.metadata.exif).tags.items()
    assert photo.pixels.shape == picture().shape  # not rotated


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_programs_find_it_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_photo(_photo_with_everything(), path)
    with Image.open(path) as image:
        exif = image.getexif()
        assert image.info["icc_profile"] == PROFILE
        assert (exif[271], exif[274]) == ("Canon", 6)
        assert exif.get_ifd(34665)[37500] == MAKER_NOTE
        assert exif.get_ifd(34853)[1] == "N"
        assert XMP.decode() in str(image.info.get("xmp", exif.get(700)))
        image.load()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_keeps_its_bytes(tmp_path: Path, suffix: str) -> None:
    exif = EXIF + b"\0an unknown tail that a maker note may point into"
    Image.fromarray(picture()).save(tmp_path / f"a{suffix}", exif=b"Exif\0\0" + exif)
    photo = read_photo(tmp_path / f"a{suffix}")
    assert photo.metadata.exif == exif
    write_photo(photo, tmp_path / f"b{suffix}")
    assert read_photo(tmp_path / f"b{suffix}").metadata.exif == exif


def test_exif_of_the_other_byte_order_becomes_part_of_a_tiff_file(tmp_path: Path) -> None:
    swapped = _tags(EXIF)
    swap(swapped)
    exif = serialize_alone(swapped, ">")
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif)
    write_photo(read_photo(tmp_path / "a.jpg"), tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as image:
        assert image.getexif()[274] == 6
        assert image.getexif().get_ifd(34665)[33434] == pytest.approx(1 / 125)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_tags_of_a_tiff_file_are_kept(tmp_path: Path, bigtiff: bool, byteorder: str) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        picture(np.uint16),
        photometric="rgb",
        bigtiff=bigtiff,
        byteorder=byteorder,
        resolution=(240, 240),
        software="a scanner",
        iccprofile=PROFILE,
        extratags=[(315, 2, 0, "A. Painter"), (65000, 4, 3, (1, 2, 70000)), (274, 3, 1, 8)],
    )
    photo = read_photo(tmp_path / "a.tif")
    assert (photo.orientation, photo.icc_profile) == (8, PROFILE)
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = file.pages[0].tags
        assert tags["XResolution"].value == (240, 1)
        assert tags["Software"].value == "a scanner"
        assert tags["Artist"].value == "A. Painter"
        assert tags[65000].value == (1, 2, 70000)
        assert tags["Orientation"].value == 8
        assert np.array_equal(file.asarray(), picture(np.uint16))


def test_huge_tiff_files_get_their_tags_too(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("vae_balance.photos.writers._BIGTIFF_BYTES", 0)
    photo = _photo_with_everything(file_format="tiff", compression="none")
    write_photo(photo, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        assert file.pages[0].tags[34665].value["MakerNote"] == MAKER_NOTE
        assert np.array_equal(file.asarray(), picture())


def test_layers_of_the_old_picture_do_not_stay(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", picture(), photometric="rgb", extratags=[(37724, 7, 9, b"old layer")]
    )
    write_photo(read_photo(tmp_path / "a.tif"), tmp_path / "b.tif")
    assert b"old layer" not in (tmp_path / "b.tif").read_bytes()


def test_blocks_of_photoshop_stay_in_tiff_only(tmp_path: Path) -> None:
    block = b"8BIM" + bytes(70000)
    tifffile.imwrite(
        tmp_path / "a.tif",
        picture(),
        photometric="rgb",
        extratags=[(34377, 1, len(block), block), (315, 2, 0, "A. Painter")],
    )
    photo = read_photo(tmp_path / "a.tif")
    write_photo(photo, tmp_path / "b.tif")
    write_photo(photo, tmp_path / "b.jpg")
    assert block in (tmp_path / "b.tif").read_bytes()
    assert stored_exif(tmp_path / "b.jpg")[315] == "A. Painter"


def test_a_long_profile_is_cut_into_segments(tmp_path: Path) -> None:
    profile = np.random.default_rng(0).bytes(200_000)
    write_photo(Photo(picture(), profile), tmp_path / "a.jpg")
    assert read_photo(tmp_path / "a.jpg").icc_profile == profile
    assert stored_info(tmp_path / "a.jpg")["icc_profile"] == profile


def test_exif_too_long_for_jpeg_is_left_out_but_for_the_orientation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tags = Directory({65000: (7, 70000, bytes(70000)), 274: (3, 1, b"\3\0")})
    photo = Photo(picture(), orientation=3)
    photo.metadata = type(photo.metadata)(serialize_alone(tags, "<"), bytes(80000))
    write_photo(photo, tmp_path / "a.jpg")
    # Of a folder of photos, one knows of which.
    assert f"{tmp_path / 'a.jpg'}: its EXIF of 70" in caplog.text
    assert f"{tmp_path / 'a.jpg'}: its XMP of 80000 bytes is left out" in caplog.text
    assert read_photo(tmp_path / "a.jpg").orientation == 3


def test_comments_and_iptc_stay_in_jpeg(tmp_path: Path) -> None:
    iptc = b"Photoshop 3.0\x008BIM\x04\x04" + bytes(40)
    segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "JPEG", comment=b"a comment", dpi=(240, 240))
    data = buffer.getvalue()
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    write_photo(read_photo(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert segment in (tmp_path / "b.jpg").read_bytes()
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"a comment"
        assert image.info["dpi"] == (240, 240)


def test_texts_stay_in_png(tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_text("Title", "A title")
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    Image.fromarray(picture()).save(tmp_path / "a.png", pnginfo=texts, dpi=(240, 240))
    photo = read_photo(tmp_path / "a.png")
    assert photo.metadata.xmp == XMP
    write_photo(photo, tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["Title"] == "A title"
        assert image.info["dpi"] == pytest.approx((240, 240), abs=0.01)


@pytest.mark.parametrize("target", [".jpg", ".tif", ".webp"])
def test_texts_of_png_do_not_disturb_other_formats(tmp_path: Path, target: str) -> None:
    texts = PngInfo()
    texts.add_text("Title", "A title")
    Image.fromarray(picture()).save(tmp_path / "a.png", pnginfo=texts)
    write_photo(read_photo(tmp_path / "a.png"), tmp_path / f"b{target}")
    assert b"A title" not in (tmp_path / f"b{target}").read_bytes()


@pytest.mark.parametrize(("source", "target"), [(".png", ".jpg"), (".jpg", ".png")])
def test_resolution_goes_along(tmp_path: Path, source: str, target: str) -> None:
    Image.fromarray(picture()).save(tmp_path / f"a{source}", dpi=(240, 120))
    write_photo(read_photo(tmp_path / f"a{source}"), tmp_path / f"b{target}")
    assert stored_info(tmp_path / f"b{target}")["dpi"] == pytest.approx((240, 120), abs=0.02)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_orientation_without_exif_is_written(tmp_path: Path, suffix: str) -> None:
    write_photo(Photo(picture(), orientation=5), tmp_path / f"a{suffix}")
    assert read_photo(tmp_path / f"a{suffix}").orientation == 5
    assert stored_exif(tmp_path / f"a{suffix}")[274] == 5


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_made_up(tmp_path: Path, suffix: str) -> None:
    write_photo(Photo(picture()), tmp_path / f"a{suffix}")
    photo = read_photo(tmp_path / f"a{suffix}")
    assert photo.icc_profile is None
    assert photo.metadata == type(photo.metadata)()


# Files


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_file_is_replaced_only_when_asked_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match="--force"):
        write_photo(Photo(picture()), path)
    assert path.read_text() == "precious"
    write_photo(Photo(picture()), path, overwrite=True)
    assert read_photo(path).pixels.shape == picture().shape
    assert not leftovers(tmp_path, path.name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    for module in ("jpeg", "png", "tiff"):
        monkeypatch.setattr(f"vae_balance.photos.writers.{module}.embed", fail)
    with pytest.raises(KeyboardInterrupt):
        write_photo(Photo(picture()), tmp_path / f"a{suffix}")
    assert not leftovers(tmp_path)


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Let no file grow beyond so many bytes; to whoever writes, that is like a full disk."""
    resource = pytest.importorskip("resource", reason="limits of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = 50_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    yield size
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_photo_that_does_not_fit_on_the_disk_is_an_error_of_one_line(
    tmp_path: Path, suffix: str, small_disk: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    with pytest.raises(BalanceError, match=rf"^.*a\{suffix}: cannot be written: .*$") as caught:
        write_photo(Photo(noise), tmp_path / f"a{suffix}")
    assert not isinstance(caught.value, ImageError)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("name", "pixels", "quality", "problem"),
    [
        (
            "a.gif",
            picture(),
            95,
            r"a.gif: cannot be written as .gif: use .jpg, .png, .tif, .webp, .heic, .* or .dpx",
        ),
        ("a", picture(), 95, "cannot be written as a file without suffix"),
        ("a.jpg", picture(channels=4), 95, "a.jpg: JPEG cannot hold transparency"),
        ("a.webp", np.zeros((2, 20000, 3), np.uint8), 95, "WebP holds at most 16383 a side"),
        ("a.jpg", np.zeros((70000, 1, 3), np.uint8), 95, "JPEG holds at most 65500 a side"),
        ("a.jpg", picture(), 0, "quality 0: it must be in 1..100"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, name: str, pixels: Pixels, quality: int, problem: str
) -> None:
    with pytest.raises((ImageError, OptionError), match=problem):
        write_photo(Photo(pixels), tmp_path / name, quality=quality)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("pixels", "problem"),
    [
        (picture()[..., 0], "shape"),
        (picture(channels=5), "shape"),
        (picture()[:0], "shape"),
        (picture(np.float64), "type float64"),
        (picture().astype(bool), "type bool"),
    ],
)
def test_a_photo_is_made_of_pixels(pixels: Pixels, problem: str) -> None:
    with pytest.raises(ImageError, match=problem):
        Photo(pixels)


def test_a_view_of_pixels_is_written_as_it_looks(tmp_path: Path) -> None:
    view = picture(np.uint16)[::-1, ::2]
    write_photo(Photo(view), tmp_path / "a.png")
    assert np.array_equal(read_photo(tmp_path / "a.png").pixels, view)


def test_reading_is_quick_to_import() -> None:
    import subprocess
    import sys

    code = (
        "import sys, vae_balance.photos.photo; print('torch' in sys.modules, 'PIL' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
