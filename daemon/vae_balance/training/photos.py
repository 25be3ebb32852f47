"""Photographs for training: the fixed split by source, and random views of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vae_balance.errors import ImageError, OptionError
from vae_balance.photos.photo import SUFFIXES

T = TypeVar("T")

# Every photo is held in memory at this short side, in pixels: what a view is cut from.
SHORT_SIDE = 256
# The side of the least square that a view is cut from, and of the least photo, in pixels.
LEAST_SIDE = 8
# What Pillow raises about files that are damaged, or too large to be opened unasked.
_UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Group:
    """Photos that are drawn together, and the share of views that they get."""

    share: float
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Split:
    """Photos by use; `watch` and `final` are never trained on."""

    training: tuple[Group, ...]
    watch: tuple[Path, ...]
    final: tuple[Path, ...]


def read_split(folder: Path) -> Split:
    """Split the photos of `folder` by the sub-folder (the source) they lie in.

    The sources named in `split.json` have the use that is fixed there. All others are the user's
    own: they train as one group, every twentieth photo of it being watched instead.

    Raises:
        OptionError: the folder is missing or holds no photos.
    """
    if not folder.is_dir():
        raise OptionError(f"{folder}: no such folder of photos; give one with --photos DIR")
    fixed = json.loads(resources.files(__package__).joinpath("split.json").read_text("utf-8"))
    sources: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            sources.setdefault(path.relative_to(folder).parts[0], []).append(path)

    def take(names: Sequence[str]) -> tuple[Path, ...]:
        return tuple(path for name in names for path in sources.pop(name, []))

    groups = [Group(g["share"], take(g["sources"])) for g in fixed["training"].values()]
    watch, final = take(fixed["watch"]), take(fixed["final"])
    own = [path for paths in sources.values() for path in paths]
    if own:
        watch += tuple(own[::20])
        share = sum(group.share for group in groups if group.paths) or 1.0
        groups.append(Group(share, tuple(path for i, path in enumerate(own) if i % 20)))
    split = Split(tuple(group for group in groups if group.paths), watch, final)
    if not (split.training or split.watch or split.final):
        raise OptionError(f"{folder}: holds no photos ({', '.join(sorted(SUFFIXES))})")
    return split


def split_to_train(folder: Path) -> Split:
    """Split the photos of `folder` as `read_split` does, some of which can be trained on.

    Raises:
        OptionError: the folder is missing, or holds no photos or none to train on.
    """
    split = read_split(folder)
    if not split.training:
        count = len(split.watch) + len(split.final)
        raise OptionError(
            f"{folder}: leaves nothing to train on: of your own photos one in twenty, the first of "
            "them, is watched instead, and folders named in `watch` or `final` of "
            f"training/split.json are never trained on; {count} found in all, add some more"
        )
    return split


def load_photo(path: Path) -> Image.Image:
    """Read a photo upright, as 8-bit RGB, its short side at most `SHORT_SIDE` pixels.

    Raises:
        ImageError: it cannot be read, has greys of more than 8 bits, or is smaller than
            `LEAST_SIDE`.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):  # which Pillow cuts off at 255
                raise OSError("greys of more than 8 bits")
            if min(image.size) < LEAST_SIDE:
                raise OSError(f"only {image.width} x {image.height} pixels")
            image.draft("RGB", (2 * SHORT_SIDE, 2 * SHORT_SIDE))
            photo = ImageOps.exif_transpose(image).convert("RGB")
    except _UNREADABLE as error:
        raise ImageError(
            f"{path}: cannot be trained on ({error}); remove it or save it as an 8-bit RGB file"
        ) from error
    return at_most_short_side(photo)


def at_most_short_side(photo: Image.Image) -> Image.Image:
    """Average a photo down to a short side of `SHORT_SIDE` pixels; smaller ones stay."""
    scale = SHORT_SIDE / min(photo.size)
    if scale >= 1.0:
        return photo
    size = (round(photo.width * scale), round(photo.height * scale))
    return photo.resize(size, Image.Resampling.BOX)


def centre_square(photo: Image.Image, size: int) -> NDArray[np.float32]:
    """Return the area-averaged centre square, sRGB-encoded float32 (size, size, 3) in 0..1."""
    side = min(photo.size)
    left, top = (photo.width - side) / 2, (photo.height - side) / 2
    box = (left, top, left + side, top + side)
    return _pixels(photo.resize((size, size), Image.Resampling.BOX, box))


def random_view(
    photo: Image.Image,
    rng: np.random.Generator,
    size: int,
    sides: tuple[float, float],
    largest_angle: float = 0.0,
) -> NDArray[np.float32]:
    """Cut a random square, turn it a little, mirror it half the time.

    Args:
        photo: an RGB picture.
        rng: the source of chance.
        size: side of the result in pixels.
        sides: least and greatest side of the square as parts of the photo's short side.
        largest_angle: greatest turn, in degrees.

    Returns:
        sRGB-encoded float32 (size, size, 3) in 0..1.
    """
    short = min(photo.size)
    side = max(float(LEAST_SIDE), short * np.exp(rng.uniform(np.log(sides[0]), np.log(sides[1]))))
    left = rng.uniform(0.0, photo.width - side)
    top = rng.uniform(0.0, photo.height - side)
    box = (left, top, left + side, top + side)
    angle = rng.uniform(-largest_angle, largest_angle)
    if largest_angle > 0.0 and rng.uniform() < 0.5:
        # The square inside the turned square: cut so much more that no corner stays empty.
        turn = np.deg2rad(abs(angle))
        large = int(np.ceil(size * (np.cos(turn) + np.sin(turn))))
        view = photo.resize((large, large), Image.Resampling.BILINEAR, box)
        view = view.rotate(angle, Image.Resampling.BILINEAR)
        edge = (large - size) // 2
        view = view.crop((edge, edge, edge + size, edge + size))
    else:
        view = photo.resize((size, size), Image.Resampling.BILINEAR, box)
    if rng.uniform() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _pixels(view)


def to_8_bits(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to the steps of an 8-bit file, as a damaged photo reaches us."""
    return (np.rint(pixels * 255.0) / 255.0).astype(np.float32)


def _pixels(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, dtype=np.float32) / 255.0


class PhotoPool:
    """All photos of the training groups, in memory, drawn by the groups' shares."""

    def __init__(self, groups: Sequence[Group], workers: int = 2) -> None:
        shares = np.array([group.share for group in groups])
        self._shares = shares / shares.sum()
        with ThreadPoolExecutor(workers) as pool:
            self._groups = [list(pool.map(load_photo, group.paths)) for group in groups]

    def draw(self, rng: np.random.Generator) -> Image.Image:
        """Return one photo: a group by its share, then any of its photos."""
        group = self._groups[int(rng.choice(len(self._groups), p=self._shares))]
        return group[int(rng.integers(len(group)))]


def batches(
    make_batch: Callable[[np.random.Generator], T], seed: int, first_step: int, last_step: int
) -> Iterator[T]:
    """Make the batches of steps `first_step`..`last_step` - 1 one ahead, in a thread.

    Each step has its own generator, seeded with (seed, step), so that a resumed run sees the same
    batches as one that was never interrupted.
    """
    return made_ahead(
        lambda step: make_batch(np.random.default_rng((seed, step))), first_step, last_step
    )


def made_ahead(make: Callable[[int], T], first_step: int, last_step: int) -> Iterator[T]:
    """Make what steps `first_step`..`last_step` - 1 need one ahead, in a thread."""
    with ThreadPoolExecutor(1) as thread:
        ahead = None
        for step in range(first_step, last_step):
            current = ahead or thread.submit(make, step)
            ahead = thread.submit(make, step + 1) if step + 1 < last_step else None
            yield current.result()
