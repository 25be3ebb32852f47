"""LUTs change pixels as tetrahedral interpolation says, in every depth, and nothing else."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vae_balance.color.lut import Lut3D, apply_lut
from vae_balance.errors import LutError, OptionError

Floats = npt.NDArray[np.float64]

DEPTHS = [np.uint8, np.uint16, np.float16, np.float32]
# What one step of the depth is, as a part of full scale, and what float32 arithmetic may add.
TOLERANCES = {np.uint8: 1 / 255, np.uint16: 1 / 65535, np.float16: 1 / 1024, np.float32: 1e-5}


def interpolate(table: npt.NDArray[Any], colors: Floats) -> Floats:
    """Tetrahedral interpolation, from its definition: walk the cell's edges by falling fraction."""
    size = len(table)
    position = colors.clip(0, 1) * (size - 1)
    base = np.minimum(position.astype(int), size - 2)
    fraction = position - base
    order = np.argsort(-fraction, axis=1, kind="stable")
    corner = base.copy()
    value: Floats = table[tuple(corner.T)].astype(np.float64)
    for step in range(3):
        axis = order[:, step]
        before = table[tuple(corner.T)].astype(np.float64)
        corner[np.arange(len(corner)), axis] += 1
        weight = fraction[np.arange(len(corner)), axis][:, None]
        value += weight * (table[tuple(corner.T)] - before)
    return value


def wild_lut(size: int = 17, seed: int = 1) -> Lut3D:
    """A LUT whose neighbours differ much, and whose outputs leave 0..1."""
    random = np.random.default_rng(seed)
    return Lut3D(random.normal(0.5, 0.4, (size, size, size, 3)).astype(np.float32))


def picture(dtype: Any, channels: int = 3, height: int = 61, width: int = 83) -> Any:
    random = np.random.default_rng(2)
    pixels = random.random((height, width, channels))
    if np.issubdtype(dtype, np.integer):
        pixels = np.rint(pixels * np.iinfo(dtype).max)
    return pixels.astype(dtype)


def to_unit(pixels: npt.NDArray[Any]) -> Floats:
    """Pixels of any depth as float64, full scale at 1."""
    scale = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return pixels.astype(np.float64) / scale


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [3, 4])
def test_pixels_come_out_as_tetrahedral_interpolation_says(dtype: Any, channels: int) -> None:
    lut = wild_lut()
    pixels = picture(dtype, channels)
    expected = interpolate(lut.table, to_unit(pixels)[..., :3].reshape(-1, 3))
    if np.issubdtype(dtype, np.integer):
        expected = expected.clip(0, 1)
    result = to_unit(apply_lut(lut, pixels))[..., :3].reshape(-1, 3)
    assert np.abs(result - expected).max() <= TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_rounded_not_cut_off(dtype: Any) -> None:
    lut = wild_lut()
    pixels = picture(dtype)
    exact = interpolate(lut.table, to_unit(pixels).reshape(-1, 3)).clip(0, 1)
    exact *= np.iinfo(dtype).max
    errors = apply_lut(lut, pixels).reshape(-1, 3) - exact
    assert np.abs(errors).max() < 0.6  # float32 arithmetic adds a little
    assert abs(errors.mean()) < 0.01


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [2, 33])
def test_identity_leaves_every_code_value_as_it_is(dtype: Any, size: int) -> None:
    codes = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    pixels = np.stack([codes, codes[::-1], np.roll(codes, 77)], axis=-1)[None]
    assert (apply_lut(Lut3D.identity(size), pixels) == pixels).all()


def test_blending_leaves_no_range_that_the_lut_does_not_leave() -> None:
    identity = Lut3D.identity(5).table
    inside = Lut3D((identity**0.5).clip(0, 1))
    assert inside.blended(1.5).table.min() >= 0 and inside.blended(1.5).table.max() == 1
    outside = Lut3D(identity * 1.2)
    assert outside.blended(1.5).table.max() == pytest.approx(1.3)


def test_it_tells_whether_it_changes_anything() -> None:
    identity = Lut3D.identity(33)
    assert identity.is_identity() and identity.blended(1.5).is_identity()
    table = np.array(identity.table)
    table[3, 4, 5, 1] += 1e-6
    assert not Lut3D(table).is_identity() and Lut3D(table).blended(0.0).is_identity()


@pytest.mark.parametrize("dtype", DEPTHS)
def test_alpha_is_passed_on_bit_for_bit(dtype: Any) -> None:
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
    alpha = np.random.default_rng(3).integers(0, np.iinfo(bits).max, 200_000, bits, endpoint=True)
    if bits.itemsize < 4:
        alpha[: 1 << 8 * bits.itemsize] = np.arange(1 << 8 * bits.itemsize)  # every one there is
    pixels = picture(dtype, 4, 1, len(alpha))
    pixels.view(bits)[0, :, 3] = alpha
    result = apply_lut(wild_lut(), pixels)
    assert (result.view(bits)[0, :, 3] == alpha).all()


@pytest.mark.parametrize("dtype", DEPTHS)
def test_colors_do_not_depend_on_alpha(dtype: Any) -> None:
    pixels = picture(dtype, 4)
    pixels[::2, :, 3] = 0
    opaque = np.ascontiguousarray(pixels[..., :3])
    assert (apply_lut(wild_lut(), pixels)[..., :3] == apply_lut(wild_lut(), opaque)).all()


@pytest.mark.parametrize("dtype", DEPTHS)
def test_work_in_place_gives_the_same_pixels(dtype: Any) -> None:
    pixels = picture(dtype, 4)
    expected = apply_lut(wild_lut(), pixels)
    assert apply_lut(wild_lut(), pixels, out=pixels) is pixels
    assert (pixels == expected).all()


def test_the_given_pixels_stay_as_they_were() -> None:
    pixels = picture(np.uint8)
    before = pixels.copy()
    result = apply_lut(wild_lut(), pixels)
    assert (pixels == before).all()
    assert (result != before).any()


def test_the_result_goes_into_the_array_given_for_it() -> None:
    pixels = picture(np.uint16)
    out = np.zeros_like(pixels)
    assert apply_lut(wild_lut(), pixels, out=out) is out
    assert (out == apply_lut(wild_lut(), pixels)).all()


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [3, 4])
def test_strips_give_the_same_pixels_as_the_whole(dtype: Any, channels: int) -> None:
    lut = wild_lut()
    pixels = picture(dtype, channels, 701, 301)  # several strips inside as well
    whole = apply_lut(lut, pixels)
    strips = [apply_lut(lut, pixels[top : top + 97]) for top in range(0, 701, 97)]
    assert (np.concatenate(strips) == whole).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_plain_pixels_come_out_the_same_beside_extreme_ones(dtype: Any) -> None:
    pixels = picture(dtype)
    beside = pixels.copy()
    beside[0, 0] = (-3, np.nan, np.inf)
    assert (apply_lut(wild_lut(), beside)[1:] == apply_lut(wild_lut(), pixels)[1:]).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20_000, 2), (1, 20_000), (0, 5), (5, 0)])
def test_pictures_of_any_shape_are_mapped(height: int, width: int) -> None:
    pixels = picture(np.uint8, 3, height, width)
    expected = interpolate(wild_lut().table, to_unit(pixels).reshape(-1, 3)).clip(0, 1)
    result = apply_lut(wild_lut(), pixels)
    assert result.shape == pixels.shape
    assert (np.abs(to_unit(result).reshape(-1, 3) - expected) <= 1 / 255).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_colors_outside_keep_their_distance_from_the_cube(dtype: Any, channels: int) -> None:
    lut = wild_lut()
    pixels = (picture(np.float32, channels) * 6 - 2).astype(dtype)
    colors = pixels[..., :3].astype(np.float64).reshape(-1, 3)
    expected = interpolate(lut.table, colors) + colors - colors.clip(0, 1)
    result = apply_lut(lut, pixels)[..., :3].astype(np.float64).reshape(-1, 3)
    assert np.abs(result - expected).max() <= 4 * TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_color_that_is_not_finite_stays_as_it_is(dtype: Any, value: float, place: int) -> None:
    pixels = picture(dtype, 4)
    pixels[7, 5, place] = value
    bits = np.dtype(f"u{pixels.itemsize}")
    result = apply_lut(wild_lut(), pixels)
    assert (result[7, 5].view(bits) == pixels[7, 5].view(bits)).all()
    assert np.isfinite(result).sum() == pixels.size - 1


def test_the_ends_of_float16_give_no_warning() -> None:
    lut = Lut3D(Lut3D.identity(2).table + 100)
    pixels = np.full((1, 1, 3), 65504, np.float16)
    assert (apply_lut(lut, pixels) == np.inf).all()


def test_two_luts_with_the_same_extremes_are_not_mixed_up() -> None:
    # A configuration of OpenColorIO does so.
    lut = wild_lut()
    turned = Lut3D(lut.table[::-1])
    pixels = picture(np.float32)
    apply_lut(lut, pixels)
    expected = interpolate(turned.table, to_unit(pixels).reshape(-1, 3)).reshape(pixels.shape)
    assert np.abs(apply_lut(turned, pixels) - expected).max() < 1e-5


def test_the_same_pixels_come_out_every_time() -> None:
    pixels = picture(np.float32, 4, 700, 500)
    results = {apply_lut(wild_lut(), pixels).tobytes() for _ in range(5)}
    assert len(results) == 1


def test_the_number_of_cores_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(np.float32, 4, 700, 500)
    results = []
    for cores in (1, 5):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        results.append(apply_lut(wild_lut(), pixels))
    assert (results[0] == results[1]).all()


@pytest.mark.parametrize("layout", ["turned", "every second column", "planes"])
def test_any_layout_is_read(layout: str) -> None:
    pixels = picture(np.uint8, 3, 40, 40)
    view = {
        "turned": pixels.transpose(1, 0, 2),
        "every second column": pixels[:, ::2],
        "planes": np.asfortranarray(pixels),
    }[layout]
    result = apply_lut(wild_lut(), view)
    assert (result == apply_lut(wild_lut(), np.ascontiguousarray(view))).all()


@pytest.mark.parametrize(("dtype", "low"), [(np.uint16, 0), (np.float32, 0), (np.float32, -0.5)])
def test_memory_does_not_grow_with_the_picture(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, low: float
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    lut = wild_lut(33)
    pixels = np.full((1500, 2000, 4), low, dtype)  # 24 or 48 MB
    apply_lut(lut, pixels[:1])
    tracemalloc.start()
    apply_lut(lut, pixels, out=pixels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float64),
        np.zeros((4, 4, 3), np.int16),
        np.zeros((4, 4, 3), ">u2"),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.dtype} {pixels.shape}",
)
def test_pixels_of_other_kinds_are_refused(pixels: npt.NDArray[Any]) -> None:
    with pytest.raises(OptionError, match=r"^pixels of (shape|type) .*(must be|convert to)"):
        apply_lut(Lut3D.identity(2), pixels)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 8, 3), np.uint8)[:, ::2],
        np.broadcast_to(np.uint8(0), (4, 4, 3)),
        np.frombuffer(bytes(48), np.uint8).reshape(4, 4, 3),
    ],
    ids=["shape", "dtype", "layout", "broadcast", "read-only"],
)
def test_an_array_that_cannot_take_the_result_is_refused(out: npt.NDArray[Any]) -> None:
    with pytest.raises(OptionError, match=r"^out is "):
        apply_lut(Lut3D.identity(2), np.zeros((4, 4, 3), np.uint8), out=out)


def test_work_in_place_on_scattered_memory_is_refused() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)[:, ::2]
    with pytest.raises(OptionError, match="not C-contiguous"):
        apply_lut(Lut3D.identity(2), pixels, out=pixels)


def test_calling_maps_colors_of_any_shape() -> None:
    lut = wild_lut()
    colors = np.random.default_rng(4).random((2, 3, 5, 3))
    result = lut(colors)
    assert result.shape == colors.shape
    assert result.dtype == np.float32
    expected = interpolate(lut.table, colors.reshape(-1, 3)).reshape(colors.shape)
    assert np.abs(result - expected).max() < 1e-5
    assert (
        np.abs(lut([0.1, 0.2, 0.3]) - interpolate(lut.table, np.array([[0.1, 0.2, 0.3]]))).max()
        < 1e-5
    )


def test_calling_leaves_the_given_colors_as_they_were() -> None:
    colors = np.full((4, 3), 0.3, np.float32)
    wild_lut()(colors)
    assert (colors == np.float32(0.3)).all()


def test_calling_keeps_colors_outside() -> None:
    lut = Lut3D.from_function(lambda colors: 1 - colors, 2)
    assert lut([-0.5, 0.25, 3.0]) == pytest.approx([0.5, 0.75, 2.0], abs=1e-6)


@pytest.mark.parametrize("shape", [(), (4,), (3, 4)])
def test_calling_with_other_shapes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=r"must be \(\.\.\., 3\)"):
        Lut3D.identity(2)(np.zeros(shape))


def test_the_table_is_indexed_red_green_blue() -> None:
    lut = Lut3D.from_function(lambda colors: colors * (1, 0.5, 0.25), 5)
    assert lut.table[4, 2, 1] == pytest.approx([1, 0.25, 0.0625])
    assert lut.size == 5


@pytest.mark.parametrize("size", [2, 33, 129])
def test_identity_returns_colors_as_they_are(size: int) -> None:
    colors = np.random.default_rng(5).random((1000, 3)).astype(np.float32)
    assert np.abs(Lut3D.identity(size)(colors) - colors).max() < 1e-6


def test_strength_blends_from_no_change_to_the_look_and_beyond() -> None:
    lut = wild_lut()
    identity = Lut3D.identity(lut.size).table
    assert (lut.blended(0).table == identity).all()
    assert (lut.blended(1).table == lut.table).all()
    assert np.allclose(lut.blended(0.5).table, (lut.table + identity) / 2, atol=1e-6)
    assert np.allclose(lut.blended(1.5).table, lut.table + (lut.table - identity) / 2, atol=1e-6)


def test_a_blended_look_keeps_its_title_and_comments() -> None:
    lut = Lut3D(Lut3D.identity(2).table, "Old film", ("made today",)).blended(0.5)
    assert (lut.title, lut.comments) == ("Old film", ("made today",))


def test_a_strength_that_is_not_finite_is_refused() -> None:
    with pytest.raises(OptionError, match="strength nan"):
        Lut3D.identity(2).blended(float("nan"))


@pytest.mark.parametrize("size", [-1, 0, 1, 130])
def test_sizes_that_no_program_reads_are_refused(size: int) -> None:
    with pytest.raises(OptionError, match=rf"size {size}: it must be in 2\.\.129"):
        Lut3D.identity(size)


@pytest.mark.parametrize(
    "shape", [(), (27, 3), (3, 3, 3), (3, 3, 4, 3), (3, 3, 3, 4), (1, 1, 1, 3), (0, 0, 0, 3)]
)
def test_tables_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LutError, match=r"it must be \(n, n, n, 3\) with n in 2\.\.129"):
        Lut3D(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_tables_that_are_not_finite_are_refused(value: float) -> None:
    table = Lut3D.identity(2).table.astype(np.float64)
    table[1, 0, 1, 2] = value
    with pytest.raises(LutError, match="finite"):
        Lut3D(table)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.complex64, object, "U3"])
def test_tables_of_other_types_are_refused(dtype: Any) -> None:
    with pytest.raises(LutError, match="real numbers"):
        Lut3D(np.zeros((2, 2, 2, 3), dtype))


def test_a_function_of_another_shape_is_refused() -> None:
    with pytest.raises(LutError, match=r"shape \(8, 2\): it must be \(8, 3\)"):
        Lut3D.from_function(lambda colors: colors[:, :2], 2)


def test_a_lut_cannot_be_changed_behind_its_back() -> None:
    table = Lut3D.identity(3).table.copy()
    lut = Lut3D(table)
    table[:] = 0
    assert lut.table[2, 2, 2, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        lut.table[0, 0, 0, 0] = 1


def test_a_lut_that_has_been_used_can_be_sent_to_another_process() -> None:
    lut = wild_lut()
    lut([0.5, 0.5, 0.5])
    assert (pickle.loads(pickle.dumps(lut)).table == lut.table).all()


def test_digest_names_the_numbers() -> None:
    table = Lut3D.identity(3).table.copy()
    assert Lut3D(table).digest() == Lut3D(table, "title").digest()
    nudged = table.copy()
    nudged[1, 1, 1, 1] = np.nextafter(nudged[1, 1, 1, 1], np.float32(1))
    assert Lut3D(nudged).digest() != Lut3D(table).digest()
    # sha256 of the size as four bytes and of float32 numbers, both least byte first
    assert Lut3D(np.zeros((2, 2, 2, 3), np.float32)).digest() == (
        "30aa0ef9c95b43c2ef00228a02bca3b4b8123674d4b9a3f375e4027618ecb7ad"
    )


def test_importing_is_cheap_until_a_lut_is_applied() -> None:
    code = "import sys, vae_balance.color.lut; sys.exit('PyOpenColorIO' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
