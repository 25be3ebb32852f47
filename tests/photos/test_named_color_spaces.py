"""Color spaces that files name without carrying a profile are those that looks are applied in."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from icc import ADOBE_RGB, DISPLAY_P3, SRGB, SRGB_CURVE, gamma_curve, icc_profile
from odd_png import chunk, png
from pictures import picture
from PIL import Image, ImageCms

from vae_balance.color.profile import to_srgb
from vae_balance.color.spaces import UnknownSpaceError, adobe_rgb, coded_space, matrix_profile
from vae_balance.photos.containers import Metadata
from vae_balance.photos.containers.exif import Directory, serialize_alone
from vae_balance.photos.photo import Photo, read_photo, write_photo
from vae_balance.photos.proxy import make_proxy

BT_2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290))
P3 = icc_profile(DISPLAY_P3, SRGB_CURVE)
LINEAR = icc_profile(SRGB, gamma_curve(1.0))


def chromaticities(colors: tuple[tuple[float, float], ...]) -> bytes:
    red, green, blue, white = colors
    numbers = (value for color in (white, red, green, blue) for value in color)
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in numbers)))


def gamma(encoding: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(encoding * 100_000)))


def exif(color_space: int, interoperability: bytes, byte_order: str = "<") -> bytes:
    tags = {40961: (3, 1, struct.pack(byte_order + "H", color_space))}
    below = Directory({1: (2, 4, interoperability + b"\0")})
    return serialize_alone(Directory({}, {34665: Directory(tags, {40965: below})}), byte_order)


CHUNKS: dict[str, tuple[tuple[bytes, ...], bytes | None]] = {
    "P3 by cICP": ((chunk(b"cICP", bytes((12, 13, 0, 1))),), P3),
    "cICP before iCCP": (
        (
            chunk(b"cICP", bytes((12, 13, 0, 1))),
            chunk(b"iCCP", b"a\0\0" + zlib.compress(LINEAR)),
        ),
        P3,
    ),
    "linear by cICP": ((chunk(b"cICP", bytes((1, 8, 0, 1))),), LINEAR),
    "sRGB by cICP": ((chunk(b"cICP", bytes((1, 13, 0, 1))),), None),
    "linear by gAMA": ((gamma(1.0),), LINEAR),
    "sRGB by gAMA": ((gamma(1 / 2.2),), None),
    "sRGB by gAMA and cHRM": ((gamma(1 / 2.2), chromaticities(SRGB)), None),
    "P3 by cHRM": ((chromaticities(DISPLAY_P3),), P3),
    "P3 by gAMA and cHRM": (
        (gamma(1 / 1.8), chromaticities(DISPLAY_P3)),
        icc_profile(DISPLAY_P3, gamma_curve(1.8)),
    ),
    "sRGB before gAMA": ((chunk(b"sRGB", b"\0"), gamma(1.0)), None),
    "iCCP before gAMA": (
        (chunk(b"iCCP", b"a\0\0" + zlib.compress(P3)), gamma(1.0)),
        P3,
    ),
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_png(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    extra, profile = CHUNKS[kind]
    (tmp_path / "a.png").write_bytes(png(*extra))
    photo = read_photo(tmp_path / "a.png")
    colors = picture() / 255
    assert np.abs(to_srgb(colors, photo.icc_profile) - to_srgb(colors, profile)).max() < 0.002
    assert (photo.icc_profile is None) == (profile is None)
    write_photo(photo, tmp_path / "b.png")
    write_photo(photo, tmp_path / "b.tif")
    for name in ("b.png", "b.tif"):
        assert read_photo(tmp_path / name).icc_profile == photo.icc_profile
    assert not caplog.records


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (chunk(b"cICP", bytes((9, 16, 0, 1))), r"is that of an HDR picture \(PQ\)"),
        (chunk(b"cICP", bytes((9, 18, 0, 1))), r"is that of an HDR picture \(HLG\)"),
        (chunk(b"cICP", bytes((77, 13, 0, 1))), "has the unknown codes 77 and 13"),
        (chunk(b"cICP", bytes((1, 13, 1, 0))), "is one of video"),
        (chromaticities(((0, 0),) * 4), "has primaries that are none"),
        (chromaticities(((0.3, 0.3),) * 4), "has primaries that are none"),
        (chromaticities(((0.3, 1e-5), (0.3, 0.6), (0.1, 0.1), (1, 1e-5))), "primaries"),
    ],
)
def test_what_cannot_be_honored_is_told(
    tmp_path: Path, extra: bytes, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.png").write_bytes(png(extra))
    photo = read_photo(tmp_path / "a.png")
    assert np.array_equal(make_proxy(photo), make_proxy(picture()))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path / 'a.png'}: its ")
    assert "taken for sRGB" in record.getMessage()
    assert re.search(problem, record.getMessage())


def test_a_profile_that_cannot_be_used_is_told_with_the_name_of_each_photo(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(picture()).save(tmp_path / name, icc_profile=P3[:-300])
        read_photo(tmp_path / name)
    messages = [record.getMessage() for record in caplog.records]
    assert [f"{name}.jpg: its ICC profile is damaged" in messages[i] for i, name in
            enumerate("ab")] == [True, True]  # fmt: skip


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp", ".png"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_adobe_rgb_told_by_exif(tmp_path: Path, suffix: str, byte_order: str) -> None:
    stated = exif(65535, b"R03", byte_order)
    if suffix == ".tif":  # where Pillow leaves the innermost directory out
        write_photo(Photo(picture(), metadata=Metadata(stated)), tmp_path / "a.tif")
    else:
        Image.fromarray(picture()).save(tmp_path / f"a{suffix}", exif=b"Exif\0\0" + stated)
    photo = read_photo(tmp_path / f"a{suffix}")
    expected = icc_profile(ADOBE_RGB, gamma_curve(563 / 256))
    colors = picture() / 255
    assert np.abs(to_srgb(colors, photo.icc_profile) - to_srgb(colors, expected)).max() < 0.0005
    write_photo(photo, tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as image:  # now other programs cannot miss it
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "Adobe RGB" in ImageCms.getProfileDescription(profile)
        assert image.getexif().get_ifd(34665)[40961] == 65535


@pytest.mark.parametrize(("color_space", "index"), [(1, b"R98"), (65535, b"R98"), (65535, b"THM")])
def test_other_color_spaces_in_exif_are_srgb(
    tmp_path: Path, color_space: int, index: bytes
) -> None:
    stated = b"Exif\0\0" + exif(color_space, index)
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=stated)
    assert read_photo(tmp_path / "a.jpg").icc_profile is None


def test_a_profile_goes_before_exif(tmp_path: Path) -> None:
    stated = b"Exif\0\0" + exif(65535, b"R03")
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=stated, icc_profile=P3)
    assert read_photo(tmp_path / "a.jpg").icc_profile == P3


@pytest.mark.parametrize(
    "profile",
    [adobe_rgb(), *(coded_space(p, t) or b"" for p, t in [(12, 13), (9, 1), (1, 8), (5, 5)])],
)
def test_made_profiles_mean_to_lcms_what_they_mean_to_us(profile: bytes) -> None:
    colors = np.array([[[128, 128, 128], [150, 120, 110], [100, 120, 130], [255, 255, 255]]], "u1")
    lcms = ImageCms.profileToProfile(
        Image.fromarray(colors),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    ours = to_srgb(colors / 255, profile) * 255
    assert np.abs(ours - np.asarray(lcms)).max() < 0.75


def test_a_space_is_refused_where_its_primaries_are_none() -> None:
    with pytest.raises(UnknownSpaceError):
        matrix_profile("none", ((0.3, 0.0),) * 4, (1.0,))
