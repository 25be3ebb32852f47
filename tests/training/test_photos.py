"""The split of photographs and the views cut from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_balance.errors import ImageError, OptionError
from vae_balance.training.photos import (
    LEAST_SIDE,
    Group,
    PhotoPool,
    batches,
    centre_square,
    load_photo,
    random_view,
    read_split,
    split_to_train,
)


def add_photos(folder: Path, count: int, size: tuple[int, int] = (64, 48)) -> None:
    """Write `count` pictures of one color each."""
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", size, (i * 5 % 256, 100, 200)).save(folder / f"{i:03}.png")


def test_known_sources_have_their_fixed_use(tmp_path: Path) -> None:
    for source in ("gsa18f", "antergos", "gov_ekip"):
        add_photos(tmp_path / source, 3)
    split = read_split(tmp_path)
    assert [path.parent.name for group in split.training for path in group.paths] == ["gsa18f"] * 3
    assert {path.parent.name for path in split.watch} == {"antergos"}
    assert {path.parent.name for path in split.final} == {"gov_ekip"}


def test_no_photo_has_two_uses(tmp_path: Path) -> None:
    for source in ("gsa18f", "howtocook", "antergos", "budgie", "mine"):
        add_photos(tmp_path / source, 25)
    split = read_split(tmp_path)
    uses = [path for group in split.training for path in group.paths]
    uses += [*split.watch, *split.final]
    assert len(uses) == len(set(uses)) == 125


def test_every_twentieth_of_a_users_own_photos_is_watched(tmp_path: Path) -> None:
    add_photos(tmp_path / "mine", 40)
    split = read_split(tmp_path)
    assert (len(split.training[0].paths), len(split.watch), len(split.final)) == (38, 2, 0)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such folder of photos"):
        read_split(tmp_path / "absent")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="holds no photos"):
        read_split(tmp_path)


@pytest.mark.parametrize(("source", "count"), [("mine", 1), ("antergos", 3), ("gov_ekip", 3)])
def test_photos_of_which_none_is_trained_on_are_told(
    tmp_path: Path, source: str, count: int
) -> None:
    add_photos(tmp_path / source, count)
    with pytest.raises(OptionError, match=f"leaves nothing to train on: .* {count} found in all"):
        split_to_train(tmp_path)
    assert split_of_both(tmp_path) == (0, count)


def split_of_both(folder: Path) -> tuple[int, int]:
    """Return how many photos are trained on, and how many are not."""
    split = read_split(folder)
    return sum(len(group.paths) for group in split.training), len(split.watch + split.final)


def test_two_photos_are_enough(tmp_path: Path) -> None:
    add_photos(tmp_path / "mine", 2)
    split_to_train(tmp_path)
    assert split_of_both(tmp_path) == (1, 1)


def test_photos_are_held_at_256_on_their_short_side(tmp_path: Path) -> None:
    Image.new("RGB", (900, 600)).save(tmp_path / "large.jpg")
    Image.new("RGB", (100, 80)).save(tmp_path / "small.png")
    assert load_photo(tmp_path / "large.jpg").size == (384, 256)
    assert load_photo(tmp_path / "small.png").size == (100, 80)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_photo(tmp_path / "turned.jpg").size == (20, 40)


def test_a_broken_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=r"broken.jpg: cannot be trained on"):
        load_photo(tmp_path / "broken.jpg")


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 7)])
def test_a_photo_that_is_next_to_nothing_is_named(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "tiny.png")
    with pytest.raises(ImageError, match=rf"tiny.png: .*only {size[0]} x {size[1]} pixels"):
        load_photo(tmp_path / "tiny.png")


def test_views_of_the_smallest_photo_can_be_cut(tmp_path: Path) -> None:
    add_photos(tmp_path / "mine", 1, (LEAST_SIDE, LEAST_SIDE))
    photo = load_photo(tmp_path / "mine" / "000.png")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert random_view(photo, rng, 32, (0.6, 1.0), 4.0).shape == (32, 32, 3)


def test_a_photo_that_is_damaged_further_down_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chunk.png"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    before, first, second = path.read_bytes().split(b"IDAT")
    path.write_bytes(before + b"IDAT" + first + b"\xb3\xb3\x91/" + second)
    with pytest.raises(ImageError, match=r"chunk.png: cannot be trained on \(broken PNG"):
        load_photo(path)


def test_a_photo_of_more_pixels_than_are_opened_unasked_is_named(tmp_path: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(ImageError, match=r"huge.png: cannot be trained on \(Image size"):
        load_photo(tmp_path / "huge.png")


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_greys_of_more_than_8_bits_are_not_cut_off(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.full((40, 50), 700, kind)).save(tmp_path / "scan.tif")
    with pytest.raises(ImageError, match=r"scan.tif: cannot be trained on \(greys of more than 8"):
        load_photo(tmp_path / "scan.tif")


def test_the_centre_square_is_the_centre() -> None:
    photo = Image.new("RGB", (300, 100), "red")
    photo.paste("blue", (100, 0, 200, 100))
    square = centre_square(photo, 50)
    assert square.shape == (50, 50, 3)
    np.testing.assert_array_equal(square.reshape(-1, 3), [[0, 0, 1]] * 2500)


def test_a_turned_view_has_no_empty_corner() -> None:
    white = Image.new("RGB", (300, 260), "white")
    for seed in range(40):
        view = random_view(white, np.random.default_rng(seed), 64, (0.4, 1.0), 10.0)
        assert view.shape == (64, 64, 3)
        assert view.min() == 1.0


def test_views_differ(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    rng = np.random.default_rng(1)
    first, second = (random_view(photo, rng, 32, (0.4, 1.0)) for _ in range(2))
    assert not np.array_equal(first, second)


def test_groups_are_drawn_by_their_shares(tmp_path: Path) -> None:
    add_photos(tmp_path / "few", 1)
    add_photos(tmp_path / "many", 10, (48, 64))
    groups = [
        Group(0.8, tuple((tmp_path / "few").iterdir())),
        Group(0.2, tuple((tmp_path / "many").iterdir())),
    ]
    pool, rng = PhotoPool(groups), np.random.default_rng(0)
    wide = [pool.draw(rng).width > 50 for _ in range(500)]
    assert 0.72 < np.mean(wide) < 0.88


def test_a_resumed_run_sees_the_same_batches() -> None:
    def draw(rng: np.random.Generator) -> float:
        return float(rng.uniform())

    whole = list(batches(draw, 1, 0, 6))
    assert list(batches(draw, 1, 3, 6)) == whole[3:]
    assert len(set(whole)) == 6
