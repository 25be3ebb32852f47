"""A Hald is a LUT as a picture: every pixel at its place, and nothing lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenImageIO
import pytest
from PIL import Image

from vae_balance.color.lut import Lut3D
from vae_balance.errors import ImageError, LutError, OptionError, OutputExistsError
from vae_balance.luts.hald import format_hald, parse_hald, read_hald, write_hald


def identity_hald(level: int) -> npt.NDArray[np.float64]:
    """The picture of no change, pixel by pixel from the definition."""
    size = level**2
    pixels = np.empty((size**3, 3))
    for blue in range(size):
        for green in range(size):
            for red in range(size):
                pixels[red + green * size + blue * size**2] = (red, green, blue)
    return pixels.reshape(level**3, level**3, 3) / (size - 1)


def save(path: Path, pixels: npt.NDArray[Any]) -> None:
    """Write a PNG of 8 or 16 bits without any code of ours."""
    height, width, channels = pixels.shape
    file: Any = OpenImageIO.ImageOutput.create(str(path))
    file.open(str(path), OpenImageIO.ImageSpec(width, height, channels, str(pixels.dtype)))
    file.write_image(pixels)
    file.close()


def load(path: Path) -> Any:
    """Read a PNG without any code of ours."""
    file: Any = OpenImageIO.ImageInput.open(str(path))
    pixels = file.read_image(str(file.spec().format))
    file.close()
    return pixels


def to_codes(pixels: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
    codes: npt.NDArray[Any] = np.rint(pixels * np.iinfo(dtype).max).astype(dtype)
    return codes


@pytest.mark.parametrize("level", [2, 3, 4])
def test_no_change_is_written_as_the_definition_says(tmp_path: Path, level: int) -> None:
    write_hald(tmp_path / "hald.png", Lut3D.identity(5), level=level)
    pixels = load(tmp_path / "hald.png")
    assert pixels.dtype == np.uint16
    assert (pixels == to_codes(identity_hald(level), np.uint16)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("level", [2, 4])
def test_no_change_is_read_from_the_definition(tmp_path: Path, level: int, dtype: Any) -> None:
    save(tmp_path / "hald.png", to_codes(identity_hald(level), dtype))
    lut = read_hald(tmp_path / "hald.png")
    assert lut.size == level**2
    half_a_step = 0.5 / np.iinfo(dtype).max
    assert lut.table == pytest.approx(Lut3D.identity(level**2).table, abs=half_a_step + 1e-6)


def test_the_usual_hald_is_512_pixels_wide(tmp_path: Path) -> None:
    write_hald(tmp_path / "hald.png", Lut3D.identity(2))
    assert load(tmp_path / "hald.png").shape == (512, 512, 3)


def test_colors_do_not_change_places(tmp_path: Path) -> None:
    pixels = identity_hald(2)
    pixels = np.stack([1 - pixels[..., 0], pixels[..., 1] ** 2, pixels[..., 2] / 2], axis=-1)
    save(tmp_path / "hald.png", to_codes(pixels, np.uint16))
    colors = np.array([[1 / 3, 2 / 3, 1.0], [0.0, 1 / 3, 2 / 3]])  # nodes of the 4-cube
    expected = [[2 / 3, 4 / 9, 0.5], [1.0, 1 / 9, 1 / 3]]
    assert read_hald(tmp_path / "hald.png")(colors) == pytest.approx(np.array(expected), abs=1e-4)


def test_writing_and_reading_give_the_lut_again(tmp_path: Path) -> None:
    table = np.random.default_rng(1).random((16, 16, 16, 3)).astype(np.float32)
    write_hald(tmp_path / "hald.png", Lut3D(table), level=4)
    assert read_hald(tmp_path / "hald.png").table == pytest.approx(table, abs=1e-5)


def test_a_lut_of_another_size_is_sampled(tmp_path: Path) -> None:
    lut = Lut3D(np.random.default_rng(1).random((5, 5, 5, 3)).astype(np.float32))
    write_hald(tmp_path / "hald.png", lut, level=3)
    expected = lut(identity_hald(3)) * 65535
    assert np.abs(load(tmp_path / "hald.png") - expected).max() < 0.6


def test_values_outside_are_clipped(tmp_path: Path) -> None:
    write_hald(tmp_path / "hald.png", Lut3D(Lut3D.identity(4).table * 3 - 1), level=2)
    assert read_hald(tmp_path / "hald.png").table[0, 0, 3].tolist() == [0, 0, 1]


def test_alpha_is_ignored(tmp_path: Path) -> None:
    opaque = to_codes(identity_hald(2), np.uint8)
    pixels = np.concatenate([opaque, opaque[..., :1]], axis=-1)
    Image.fromarray(pixels).save(tmp_path / "hald.png")
    lut = read_hald(tmp_path / "hald.png")
    assert lut.table == pytest.approx(Lut3D.identity(4).table, abs=1e-6)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_hald_is_that_of_a_black_and_white_film(tmp_path: Path, mode: str) -> None:
    luma = identity_hald(2) @ (0.3, 0.6, 0.1)
    codes = to_codes(luma, np.uint16 if mode == "I;16" else np.uint8)
    if mode == "LA":
        codes = np.stack([codes, codes[::-1]], axis=-1)
    Image.fromarray(codes).save(tmp_path / "hald.png")
    lut = read_hald(tmp_path / "hald.png")
    nodes = Lut3D.identity(4).table
    expected = np.repeat((nodes @ np.array([0.3, 0.6, 0.1]))[..., None], 3, axis=-1)
    step = 1 / 65535 if mode == "I;16" else 1 / 255
    assert lut.table == pytest.approx(expected, abs=0.51 * step)
    assert parse_hald((tmp_path / "hald.png").read_bytes(), "film").digest() == lut.digest()


def test_the_largest_hald_is_reduced_to_the_largest_lut(tmp_path: Path) -> None:
    steps = np.arange(144) / 143
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    colors = np.stack([red**2, 1 - green, blue / 2], axis=-1).reshape(1728, 1728, 3)
    Image.fromarray(to_codes(colors, np.uint8)).save(tmp_path / "hald.png", compress_level=0)
    lut = read_hald(tmp_path / "hald.png")
    assert lut.size == 129
    colors = np.random.default_rng(1).random((500, 3))
    expected = colors * (1, -1, 0.5) + (0, 1, 0)
    expected[:, 0] **= 2
    assert lut(colors) == pytest.approx(expected, abs=0.6 / 255)


@pytest.mark.parametrize("shape", [(8, 9), (27, 8), (9, 9), (1, 1), (1, 64), (2197, 2197)])
def test_pictures_of_other_sides_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", shape[::-1]).save(path)
    message = rf"photo\.png: {shape[1]} x {shape[0]} pixels; a Hald is square with a side of 8, 27"
    with pytest.raises(LutError, match=message):
        read_hald(path)


def test_other_formats_are_refused_whatever_their_name(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "hald.png", "JPEG")
    with pytest.raises(LutError, match=r"hald\.png: is a JPEG file; a Hald must be a PNG"):
        read_hald(tmp_path / "hald.png")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hald.png"
    write_hald(path, Lut3D.identity(9), level=3)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match=r"hald\.png"):
        read_hald(path)


@pytest.mark.parametrize("level", [-1, 0, 1, 13])
def test_levels_that_no_program_reads_are_refused(tmp_path: Path, level: int) -> None:
    with pytest.raises(OptionError, match=rf"level {level}: it must be in 2\.\.12"):
        write_hald(tmp_path / "hald.png", Lut3D.identity(2), level=level)
    assert not (tmp_path / "hald.png").exists()


def test_a_name_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"hald\.tif: a Hald is a PNG"):
        write_hald(tmp_path / "hald.tif", Lut3D.identity(2))


def test_an_existing_file_is_overwritten_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "hald.png"
    path.write_text("mine")
    with pytest.raises(OutputExistsError):
        write_hald(path, Lut3D.identity(2), level=2)
    assert path.read_text() == "mine"
    write_hald(path, Lut3D.identity(2), level=2, overwrite=True)
    assert read_hald(path).size == 4


def test_bytes_are_those_of_the_file_and_back(tmp_path: Path) -> None:
    lut = Lut3D.from_function(lambda colors: colors**2, 9)
    write_hald(tmp_path / "hald.png", lut)
    content = (tmp_path / "hald.png").read_bytes()
    assert format_hald(lut) == content
    expected = read_hald(tmp_path / "hald.png").table
    assert np.array_equal(parse_hald(content, "a look").table, expected)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a JPEG", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_hald_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(LutError, match=r"^a look: ") as raised:
        parse_hald(content, "a look")
    assert "hald.png" not in str(raised.value)


def test_a_huge_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A few bytes can promise gigabytes of pixels."""
    path = tmp_path / "huge.png"
    save(path, np.zeros((8, 8, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    path.write_bytes(content)
    with pytest.raises(LutError, match=r"huge\.png: 30000 x 30000 pixels; a Hald is square"):
        read_hald(path)
