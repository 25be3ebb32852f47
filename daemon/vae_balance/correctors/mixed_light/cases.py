"""The cases that a grid network is trained on: damage that depends on the place, drawn afresh.

Of every case that is kept which the loss needs: the photo after the latent balancer's look, the
undamaged one, and what the frozen networks see; some 170 kB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vae_balance.color.arrays import Colors
from vae_balance.correctors.latent_balancer.asking import GAIN
from vae_balance.correctors.latent_balancer.balancer_cases import (
    scanned,
    watched_photos,
    weighted_damage,
)
from vae_balance.correctors.latent_balancer.color_statistics import color_statistics
from vae_balance.correctors.latent_balancer.model import Model, load_model
from vae_balance.correctors.latent_balancer.networks import FusedBalancer
from vae_balance.correctors.latent_balancer.vae import latents_of
from vae_balance.correctors.mixed_light.seeing import see
from vae_balance.looks.color_map import fit_color_map
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.blended_damage import (
    BLENDED_KINDS,
    BlendedDamage,
    random_blended_damage,
)
from vae_balance.training.case_cache import SHARD, CaseMaker, Fields
from vae_balance.training.damage import Damage, undamaged
from vae_balance.training.photos import (
    PhotoPool,
    centre_square,
    load_photo,
    random_view,
    read_split,
    to_8_bits,
)

# Raise it when the same numbers would no longer make the same cases.
VERSION = "1"
ONE_FUNCTION, UNDAMAGED = "one function", undamaged().kind
KINDS = (*BLENDED_KINDS, ONE_FUNCTION, UNDAMAGED)
_ONE_FUNCTION_SHARE, _UNDAMAGED_SHARE = 0.17, 0.13
_SCANNED_SHARE, _FRAME_SHARE = 0.5, 0.5
# Photos that are watched, and cases of each.
WATCHED_PHOTOS, CASES_A_PHOTO = 200, 3
_TRAINING_SEED, _WATCH_SEED = 1616, 61


@dataclass(frozen=True)
class MixedView:
    """An undamaged view and what became of it; (224, 224, 3), sRGB-encoded, of 8-bit steps."""

    clean: Colors
    given: Colors
    kind: str


def draw_view(pool: PhotoPool, rng: np.random.Generator) -> MixedView:
    """Cut a view and damage it."""
    clean = to_8_bits(_cut(pool.draw(rng), rng))
    kind, damage = _draw_damage(rng)
    given = damage(clean)
    if rng.uniform() < _SCANNED_SHARE:
        given = scanned(given, rng)
    return MixedView(clean, to_8_bits(given), kind)


def watched_view(photos: Sequence[Path], number: int) -> MixedView:
    """Return a case of a watched photo: two of three are blended, then one or no function."""
    turn, place = divmod(number, CASES_A_PHOTO)
    clean = to_8_bits(centre_square(load_photo(photos[turn % len(photos)]), PROXY_SIZE))
    rng = np.random.default_rng((_WATCH_SEED, number))
    if place < CASES_A_PHOTO - 1:
        kind = BLENDED_KINDS[(2 * turn + place) % len(BLENDED_KINDS)]
        return MixedView(clean, to_8_bits(random_blended_damage(rng, kind)(clean)), kind)
    if turn % 2:
        return MixedView(clean, clean, UNDAMAGED)
    return MixedView(clean, to_8_bits(weighted_damage(rng)(clean)), ONE_FUNCTION)


def _draw_damage(rng: np.random.Generator) -> tuple[str, Damage | BlendedDamage]:
    drawn = rng.uniform()
    if drawn < _UNDAMAGED_SHARE:
        return UNDAMAGED, undamaged()
    if drawn < _UNDAMAGED_SHARE + _ONE_FUNCTION_SHARE:
        return ONE_FUNCTION, weighted_damage(rng)
    damage = random_blended_damage(rng)
    return damage.kind, damage


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


@torch.inference_mode()
def fields_of(views: Sequence[MixedView], model: Model) -> Fields:
    """Return the fields of cases: what one round of the balancer makes of them, and is seen."""
    given = np.stack([view.given for view in views])
    # Half as exact, half the time: a case is not a user's photo.
    half = torch.autocast(model.device.type, torch.bfloat16)
    with half:
        distorted, fixed, moves = _asked(given, model)
    balanced = [
        to_8_bits(np.clip(fit_color_map(before, after)(photo), 0.0, 1.0))
        for before, after, photo in zip(distorted, fixed, given, strict=True)
    ]
    with half:
        sight = see(list(given), balanced, moves, model)
    halves = {
        name: value.float().cpu().numpy().astype(np.float16)
        for name, value in vars(sight).items()
        if name != "balanced"
    }
    return {
        **halves,
        "balanced": _small(np.stack(balanced)),
        "true": _small(np.stack([view.clean for view in views])),
        "kind": np.array([KINDS.index(view.kind) for view in views], dtype=np.int16),
    }


def _asked(given: Colors, model: Model) -> tuple[Colors, Colors, Tensor]:
    """Ask the balancer once about photos (N, 224, 224, 3), not about their mirror images, too.

    Returns:
        Distorted and fixed subimages (N, 224, 224, 3), and the moves of the means of the moments
        (N, 4, 28, 28).
    """
    balancer = model.latent_balancer
    assert isinstance(balancer, FusedBalancer) and model.classifier is not None
    pixels = torch.from_numpy(given).permute(0, 3, 1, 2).contiguous().to(model.device)
    moments = model.vae.encode(pixels)
    statistics = torch.from_numpy(np.stack([color_statistics(photo) for photo in given]))
    answer = balancer(moments, model.classifier(pixels), statistics.to(model.device))
    distorted, fixed = (
        model.vae.decode(latents_of(of)).float().clamp(0.0, 1.0).permute(0, 2, 3, 1).cpu().numpy()
        for of in (moments, answer.moments)
    )
    shares = GAIN.shares((answer.fault - answer.doubt).float().cpu().numpy())
    fixed = distorted + shares[:, None, None, None] * (fixed - distorted)
    return distorted, fixed, (answer.moments - moments)[:, :4]


def _small(photos: Colors) -> NDArray[np.uint8]:
    """Return means of 2 x 2 pixels of photos (N, 224, 224, 3), as (N, 3, 112, 112) uint8."""
    count, side = len(photos), PROXY_SIZE // 2
    means = photos.reshape(count, side, 2, side, 2, 3).mean(axis=(2, 4))
    return np.rint(means.transpose(0, 3, 1, 2) * 255.0).astype(np.uint8)


@dataclass(frozen=True)
class BlendedCases:
    """Recipe of the cases to train on; see `case_cache.Recipe`.

    Attributes:
        photos: folder of photographs.
        model: name or folder of the model whose latent balancer is the base.
        device: of its networks.
    """

    photos: Path
    model: str
    device: str

    def __call__(self) -> CaseMaker:
        """Load photos and networks, for a process that makes cases."""
        pool = PhotoPool(read_split(self.photos).training, 1)
        model = load_model(self.model, self.device)

        def make(shard: int, first: int, count: int) -> Fields:
            numbers = range(first, first + count)
            chance = [np.random.default_rng((_TRAINING_SEED, shard, n)) for n in numbers]
            return fields_of([draw_view(pool, rng) for rng in chance], model)

        return make


@dataclass(frozen=True)
class WatchedCases:
    """Recipe of the cases that are watched; attributes as in `BlendedCases`."""

    photos: Path
    model: str
    device: str

    def __call__(self) -> CaseMaker:
        """Load the networks."""
        photos = watched_photos(read_split(self.photos), WATCHED_PHOTOS)
        model = load_model(self.model, self.device)

        def make(shard: int, first: int, count: int) -> Fields:
            numbers = range(shard * SHARD + first, shard * SHARD + first + count)
            return fields_of([watched_view(photos, number) for number in numbers], model)

        return make
