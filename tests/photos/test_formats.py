"""The further formats that people have: each in and out with colors, profile and metadata."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenImageIO
import pytest
import tifffile
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile
from pictures import picture
from PIL import Image

from vae_balance.batch.plan import Folders, find_photos, plan_photos
from vae_balance.batch.report import Report
from vae_balance.color.profile import to_srgb
from vae_balance.color.spaces import linear_bt_709
from vae_balance.color.srgb import to_encoded, to_linear
from vae_balance.commands.outputs import plan_tasks
from vae_balance.errors import ImageError
from vae_balance.photos.containers import Metadata
from vae_balance.photos.containers.exif import Directory, parse_exif, serialize_alone
from vae_balance.photos.openimageio import WINDOW, encode
from vae_balance.photos.photo import Photo, read_photo, write_photo
from vae_balance.photos.pixels import full_scale, upright

P3 = icc_profile(DISPLAY_P3, SRGB_CURVE)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
MAKER_NOTE = b"MAKER\0\xff" * 30


def exif(orientation: int) -> bytes:
    below = Directory({37500: (7, len(MAKER_NOTE), MAKER_NOTE)})
    tags = {271: (2, 6, b"Canon\0"), 274: (3, 1, struct.pack("<H", orientation))}
    return serialize_alone(Directory(tags, {34665: below}), "<")


def pixels(dtype: npt.DTypeLike = np.uint8, channels: int = 3) -> npt.NDArray[Any]:
    """Colors that sRGB and Display P3 have; alpha in all steps."""
    colors = 0.35 + 0.3 * (picture(64, 80) / 255)
    alpha = np.linspace(0.1, 1.0, 80)[None, :, None].repeat(64, axis=0)
    values = np.concatenate([colors, alpha], axis=-1)[..., :channels]
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def shown(photo: Photo) -> npt.NDArray[np.float32]:
    """Colors as a screen shows them: in sRGB, upright."""
    colors = photo.pixels[..., :3] / full_scale(photo.pixels.dtype)
    return upright(to_srgb(colors, photo.icc_profile), photo.orientation)


def as_stored(path: Path) -> npt.NDArray[np.float32]:
    """Pixels as OpenImageIO reads them of its own accord."""
    return np.asarray(OpenImageIO.ImageBuf(str(path)).get_pixels(OpenImageIO.FLOAT))


# By suffix: depths that survive, the mean error of colors, and whether EXIF, XMP and profile do.
FORMATS: dict[str, tuple[tuple[npt.DTypeLike, ...], float, bool]] = {
    ".heic": ((np.uint8, np.uint16), 0.006, True),
    ".avif": ((np.uint8,), 0.012, True),
    ".jxl": ((np.uint8, np.uint16, np.float16, np.float32), 0.0005, True),
    ".jp2": ((np.uint8, np.uint16), 1e-7, True),
    ".exr": ((np.float16, np.float32), 0.0005, False),
    ".dpx": ((np.uint16, np.float32), 0.0005, False),
}
CASES = [(suffix, dtype) for suffix, (depths, *_) in FORMATS.items() for dtype in depths]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("suffix", "dtype"), CASES)
def test_out_and_in_again(
    tmp_path: Path,
    suffix: str,
    dtype: npt.DTypeLike,
    channels: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, error, has_metadata = FORMATS[suffix]
    metadata = Metadata(exif(6), XMP)
    photo = Photo(pixels(dtype, channels), P3, 6, metadata)
    write_photo(photo, tmp_path / f"a{suffix}")
    again = read_photo(tmp_path / f"a{suffix}")
    assert again.depth == dtype
    assert again.pixels.shape[2] == channels
    assert np.abs(shown(again) - shown(photo)).mean() < error
    assert again.orientation == 1  # who reads these does not turn them as EXIF says
    if channels == 4:
        before, after = (p.pixels[..., 3] / full_scale(p.pixels.dtype) for p in (photo, again))
        assert np.abs(upright(before[..., None], 6)[..., 0] - after).mean() < max(error, 0.001)
    if has_metadata:
        assert again.icc_profile == P3
        assert again.metadata.xmp == XMP
        tags = parse_exif(again.metadata.exif, "<")
        assert tags is not None
        assert tags.tags[271][2] == b"Canon\0"
        assert tags.children[34665].tags[37500][2] == MAKER_NOTE
    assert not caplog.records


@pytest.mark.parametrize("suffix", [".jxl", ".jp2", ".exr", ".dpx"])
def test_what_is_not_changed_stays_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    write_photo(Photo(pixels(np.uint16), P3), tmp_path / f"a{suffix}")
    first = read_photo(tmp_path / f"a{suffix}")
    write_photo(first, tmp_path / f"b{suffix}")
    second = read_photo(tmp_path / f"b{suffix}")
    assert np.array_equal(first.pixels, second.pixels)
    assert first.icc_profile == second.icc_profile


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_photo_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    import time

    for name in "ab":
        write_photo(Photo(pixels(), None, 1, Metadata(exif(1), XMP)), tmp_path / f"{name}{suffix}")
        time.sleep(1.1)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_file_that_is_cut_short_is_refused(
    tmp_path: Path, suffix: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{suffix}"
    write_photo(Photo(pixels()), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=rf"a\{suffix}: ") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", FORMATS)
def test_any_damaged_byte_gives_a_picture_or_an_image_error(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"a{suffix}"
    write_photo(Photo(pixels()[:32, :32], P3, 1, Metadata(exif(1), XMP)), path)
    data = path.read_bytes()
    for place in rng.integers(0, len(data), 40):
        damaged = bytearray(data)
        damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_photo(path)
        except ImageError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("side", [1, 31, 32])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_small_jpeg_2000_is_whole_or_refused(
    tmp_path: Path, side: int, dtype: type[np.unsignedinteger[Any]]
) -> None:
    small = np.full((side, 40, 3), 77, dtype)
    path = tmp_path / "a.jp2"
    if side == 32:
        write_photo(Photo(small), path)
        assert np.array_equal(read_photo(path).pixels, small)
        return
    with pytest.raises(ImageError, match=f"40 x {side} pixels: JPEG 2000 .* at least 32 a side"):
        write_photo(Photo(small), path)
    assert not path.exists()


def test_pictures_of_other_programs_are_read(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.jp2")
    Image.fromarray(pixels()).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    assert np.array_equal(read_photo(tmp_path / "a.jp2").pixels, pixels())
    assert np.abs(read_photo(tmp_path / "a.avif").pixels - pixels().astype(int)).mean() < 2


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels()), Image.fromarray(pixels()[::-1])]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"a\.avif: is animated"):
        read_photo(tmp_path / "a.avif")


# OpenEXR and DPX: scene-linear light


def linear(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return to_linear((values / np.float32(255)).astype(np.float32))


@pytest.mark.parametrize("suffix", [".exr", ".dpx"])
def test_numbers_are_linear_light_with_primaries_of_bt_709(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    values = linear(pixels()) * 1.5  # brighter than white, too
    encode(values, path, {".exr": "openexr", ".dpx": "dpx"}[suffix], np.dtype(np.float32), {})
    photo = read_photo(path)
    assert photo.icc_profile == linear_bt_709()
    assert np.array_equal(photo.pixels, values)
    write_photo(photo, tmp_path / "b.png")  # as a screen shows it
    expected = to_encoded(values) * 65535
    result = read_photo(tmp_path / "b.png")
    assert result.icc_profile is None
    assert np.abs(result.pixels - expected).max() < 40


@pytest.mark.parametrize("suffix", [".exr", ".dpx"])
def test_a_photo_becomes_linear_light(tmp_path: Path, suffix: str) -> None:
    write_photo(Photo(pixels()), tmp_path / f"a{suffix}")
    stored = as_stored(tmp_path / f"a{suffix}")
    assert np.abs(stored - linear(pixels())).max() < 0.001


def test_chromaticities_of_openexr_are_honored_and_kept(tmp_path: Path) -> None:
    stated = tuple(value for color in DISPLAY_P3 for value in color)
    values = linear(pixels())
    attributes = {"chromaticities": stated, "Copyright": "A. Painter"}
    encode(values, tmp_path / "a.exr", "openexr", np.dtype(np.float32), attributes)
    photo = read_photo(tmp_path / "a.exr")
    expected = to_srgb(pixels() / 255, P3)
    assert np.abs(to_srgb(values, photo.icc_profile) - expected).max() < 0.002
    write_photo(photo, tmp_path / "b.exr")
    again = read_photo(tmp_path / "b.exr")
    assert np.array_equal(again.pixels, values)
    assert again.icc_profile == photo.icc_profile
    assert ("Copyright", "A. Painter") in again.metadata.attributes


@pytest.mark.parametrize(
    "place", [(-10, 5, 0, 0, 100, 80), (3, 4, 3, 4, 40, 30), (0, 0, 0, 0, 9, 9)]
)
def test_the_place_in_the_frame_of_openexr_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: tuple[int, ...]
) -> None:
    """A crop of a frame would lie elsewhere in the next program."""
    values = linear(pixels())
    encode(values, tmp_path / "a.exr", "openexr", np.dtype(np.float32), {WINDOW: place})
    photo = read_photo(tmp_path / "a.exr")
    assert np.array_equal(photo.pixels, values)
    write_photo(photo, tmp_path / "b.exr")
    spec = OpenImageIO.ImageBuf(str(tmp_path / "b.exr")).spec()
    window = (spec.x, spec.y, spec.full_x, spec.full_y, spec.full_width, spec.full_height)
    assert window == place
    assert np.array_equal(read_photo(tmp_path / "b.exr").pixels, values)
    write_photo(photo, tmp_path / "c.tif")  # which has no such thing
    assert read_photo(tmp_path / "c.tif").pixels.shape == values.shape
    assert caplog.text == ""


def test_alpha_of_openexr_is_multiplied_into_colors(tmp_path: Path) -> None:
    values = pixels(np.float16, 4)
    write_photo(Photo(values, linear_bt_709(), 1, Metadata(), "openexr"), tmp_path / "a.exr")
    stored = as_stored(tmp_path / "a.exr")
    assert np.abs(stored[..., :3] - values[..., :3] * values[..., 3:]).max() < 0.001


@pytest.mark.parametrize(
    ("transfer", "told"), [("Logarithmic", "is logarithmic"), ("ITU-R 709-4", ""), ("Linear", "")]
)
def test_what_a_dpx_file_says_of_its_numbers(
    tmp_path: Path, transfer: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    attributes = {"dpx:Transfer": transfer, "oiio:BitsPerSample": 10}
    encode(pixels(np.uint16), tmp_path / "a.dpx", "dpx", np.dtype(np.uint16), attributes)
    photo = read_photo(tmp_path / "a.dpx")
    assert (photo.icc_profile == linear_bt_709()) == (transfer == "Linear")
    assert told in caplog.text
    assert bool(caplog.records) == bool(told)
    write_photo(photo, tmp_path / "b.dpx")
    again = read_photo(tmp_path / "b.dpx")
    assert np.array_equal(again.pixels, photo.pixels)
    assert ("dpx:Transfer", transfer) in again.metadata.attributes
    assert ("oiio:BitsPerSample", 10) in again.metadata.attributes


def test_channels_that_are_no_colors_are_refused(tmp_path: Path) -> None:
    spec = OpenImageIO.ImageSpec(8, 8, 3, "float")
    spec.channelnames = ("X", "Y", "Z")
    assert OpenImageIO.ImageBuf(spec).write(str(tmp_path / "a.exr"))
    with pytest.raises(ImageError, match=r"a\.exr: has the channels .*X.*: only R, G, B and A"):
        read_photo(tmp_path / "a.exr")


# Raw files

WHITE_BALANCE = (0.5, 1.0, 0.6)  # how much the sensor sees of a white light


def rationals(*values: float) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(value * 10000), 10000))


def write_dng(path: Path, light: npt.NDArray[np.float64], orientation: int = 1) -> None:
    """Write what a sensor behind a color filter array sees of linear light in sRGB's primaries."""
    seen = np.round((light * WHITE_BALANCE) * 16383).clip(0, 16383).astype(np.uint16)
    mosaic = seen[..., 1].copy()
    mosaic[0::2, 0::2] = seen[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = seen[1::2, 1::2, 2]
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
         [0.0193339, 0.119192, 0.9503041]]
    )  # fmt: skip
    matrix = np.diag(WHITE_BALANCE) @ np.linalg.inv(to_xyz)
    tags = [
        (33421, 3, 2, (2, 2)), (33422, 1, 4, (0, 1, 1, 2)), (50706, 1, 4, (1, 4, 0, 0)),
        (50708, 2, 0, "A Camera"), (50714, 3, 1, 0), (50717, 3, 1, 16383),
        (50721, 10, 9, rationals(*matrix.flat)), (50728, 5, 3, rationals(*WHITE_BALANCE)),
        (50778, 3, 1, 21), (271, 2, 0, "Maker"), (274, 3, 1, orientation),
    ]  # fmt: skip
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, metadata=None)


def scene() -> npt.NDArray[np.float64]:
    rows, columns = np.mgrid[0:1:96j, 0:1:128j]
    light = np.stack([columns, rows, 0.5 + 0 * rows], axis=-1)
    light[:8, :8] = 1.0
    return light


@pytest.mark.parametrize("suffix", [".dng", ".tif"])
def test_a_raw_file_is_developed_with_the_white_balance_of_the_camera(
    tmp_path: Path, suffix: str
) -> None:
    pytest.importorskip("rawpy")
    write_dng(tmp_path / f"a{suffix}", scene())
    photo = read_photo(tmp_path / f"a{suffix}")
    assert photo.pixels.dtype == np.uint16
    assert photo.icc_profile is None
    error = photo.pixels / 65535 - to_encoded(scene().astype(np.float32))
    assert np.abs(error[12:-12, 12:-12]).mean() < 0.01
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        assert written.pages[0].dtype == np.uint16
        assert written.pages[0].tags[271].value == "Maker"
        assert 50706 not in written.pages[0].tags  # it is no DNG any more
    assert np.array_equal(read_photo(tmp_path / "b.tif").pixels, photo.pixels)


def test_a_raw_file_comes_out_upright(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    write_dng(tmp_path / "a.dng", scene(), orientation=6)
    photo = read_photo(tmp_path / "a.dng")
    assert photo.pixels.shape == (128, 96, 3)
    assert photo.orientation == 1


def test_results_of_raw_files_are_tiff_files(tmp_path: Path) -> None:
    (task,) = plan_tasks([Path("roll/IMG_1.NEF")], None, tmp_path / "out", False)
    assert task.output == tmp_path / "out" / "IMG_1.tif"
    (tmp_path / "in").mkdir()
    for name in ("IMG_1.NEF", "IMG_1.jpg"):
        (tmp_path / "in" / name).touch()
    found = find_photos(tmp_path / "in", False, tmp_path / "out")
    folders = Folders(tmp_path / "in", tmp_path / "out", None)
    planned = plan_photos(found.photos, folders, False, {}, Report(tmp_path / "report.jsonl"))
    assert [photo.target.name for photo in planned] == ["IMG_1.tif", "IMG_1.jpg"]


def test_raw_files_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.nef: cannot be written as \.nef: use \.jpg"):
        write_photo(Photo(pixels()), tmp_path / "a.nef")


# Extras


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.heic", "pillow_heif", "heif"), ("a.dng", "rawpy", "raw")],
)
def test_where_an_extra_is_missing_the_error_is_the_command(
    tmp_path: Path, name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "a.heic":
        pytest.importorskip("pillow_heif")
        write_photo(Photo(pixels()), tmp_path / name)
    else:
        write_dng(tmp_path / name, scene())
    monkeypatch.setitem(sys.modules, module, None)
    command = rf"{name}: .* needs {module}: pip install 'vae-balance\[{extra}\]'$"
    with pytest.raises(ImageError, match=command):
        read_photo(tmp_path / name)
    if name == "a.heic":
        with pytest.raises(ImageError, match=r"a HEIF file needs pillow_heif: pip install"):
            write_photo(Photo(pixels()), tmp_path / "b.heic")


def test_a_truncated_heif_file_is_refused(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(Image.fromarray(pixels())).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"a\.heic: "):
        read_photo(path)
