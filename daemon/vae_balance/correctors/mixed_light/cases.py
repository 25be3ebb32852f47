"""The cases that a local balancer is trained on: damage that depends on the place, drawn afresh.

They are kept as those of a latent balancer are, see `balancer_cases.py`, with further kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vae_balance.color.arrays import Colors
from vae_balance.correctors.latent_balancer import balancer_cases
from vae_balance.correctors.latent_balancer.balancer_cases import (
    FrozenNetworks,
    watched_photos,
    weighted_damage,
)
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.blended_damage import BLENDED_KINDS, BlendedDamage, random_blended_damage
from vae_balance.training.case_cache import SHARD, CaseMaker, Fields
from vae_balance.training.damage import Damage, undamaged
from vae_balance.training.pairs import View
from vae_balance.training.photos import (
    PhotoPool,
    centre_square,
    load_photo,
    random_view,
    split_to_train,
    to_8_bits,
)
from vae_balance.training.scans import scanned

# Raise it when the same numbers would no longer make the same cases.
VERSION = "3"
KINDS = (*balancer_cases.KINDS, *BLENDED_KINDS)
_ONE_FUNCTION_SHARE, _UNDAMAGED_SHARE = 0.3, 0.1
_SCANNED_SHARE, _FRAME_SHARE = 0.5, 0.5
# Photos that are watched, and cases of each.
WATCHED_PHOTOS, CASES_A_PHOTO = 200, 3
_TRAINING_SEED, _WATCH_SEED = 1616, 61


def draw_view(pool: PhotoPool, rng: np.random.Generator) -> View:
    """Cut a view and damage it."""
    clean = to_8_bits(_cut(pool.draw(rng), rng))
    damage = _draw_damage(rng)
    given = damage(clean)
    if rng.uniform() < _SCANNED_SHARE:
        given = scanned(given, rng)
    return View(clean, to_8_bits(given), damage)


def watched_view(photos: Sequence[Path], number: int) -> View:
    """Return a case of a watched photo: two of three are blended, then one or no function."""
    turn, place = divmod(number, CASES_A_PHOTO)
    clean = to_8_bits(centre_square(load_photo(photos[turn % len(photos)]), PROXY_SIZE))
    rng = np.random.default_rng((_WATCH_SEED, number))
    damage: Damage | BlendedDamage
    if place < CASES_A_PHOTO - 1:
        damage = random_blended_damage(rng, BLENDED_KINDS[(2 * turn + place) % len(BLENDED_KINDS)])
    else:
        damage = undamaged() if turn % 2 else weighted_damage(rng)
    return View(clean, to_8_bits(damage(clean)), damage)


def _draw_damage(rng: np.random.Generator) -> Damage | BlendedDamage:
    drawn = rng.uniform()
    if drawn < _UNDAMAGED_SHARE:
        return undamaged()
    if drawn < _UNDAMAGED_SHARE + _ONE_FUNCTION_SHARE:
        return weighted_damage(rng)
    return random_blended_damage(rng)


def _cut(photo: Image.Image, rng: np.random.Generator) -> Colors:
    """Return a square of the photo, or most of it squeezed to a square, as a proxy of it is."""
    if rng.uniform() >= _FRAME_SHARE:
        return random_view(photo, rng, PROXY_SIZE, (0.6, 1.0), 4.0)
    width, height = (rng.uniform(0.75, 1.0) * side for side in photo.size)
    left, top = rng.uniform(0.0, photo.width - width), rng.uniform(0.0, photo.height - height)
    box = (left, top, left + width, top + height)
    view = photo.resize((PROXY_SIZE, PROXY_SIZE), Image.Resampling.BILINEAR, box)
    if rng.uniform() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(view, dtype=np.float32) / 255.0


@dataclass(frozen=True)
class BlendedCases:
    """Recipe of the cases to train on; see `case_cache.Recipe`.

    Attributes:
        photos: folder of photographs.
        vae: folder of the VAE whose moments are balanced.
        device: of the networks.
    """

    photos: Path
    vae: Path
    device: str

    def __call__(self) -> CaseMaker:
        """Load photos and networks, for a process that makes cases."""
        pool = PhotoPool(split_to_train(self.photos).training, 1)
        networks = FrozenNetworks.load(self.vae, self.device)

        def make(shard: int, first: int, count: int) -> Fields:
            numbers = range(first, first + count)
            chance = [np.random.default_rng((_TRAINING_SEED, shard, n)) for n in numbers]
            return networks.see([draw_view(pool, rng) for rng in chance], KINDS)

        return make


@dataclass(frozen=True)
class WatchedCases:
    """Recipe of the cases that are watched; attributes as in `BlendedCases`."""

    photos: Path
    vae: Path
    device: str

    def __call__(self) -> CaseMaker:
        """Load the networks."""
        photos = watched_photos(split_to_train(self.photos), WATCHED_PHOTOS)
        networks = FrozenNetworks.load(self.vae, self.device)

        def make(shard: int, first: int, count: int) -> Fields:
            numbers = range(shard * SHARD + first, shard * SHARD + first + count)
            return networks.see([watched_view(photos, number) for number in numbers], KINDS)

        return make
