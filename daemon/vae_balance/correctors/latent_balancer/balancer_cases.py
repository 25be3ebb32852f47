"""The cases that a latent balancer is trained on: damage drawn afresh, and its own first answers.

Of every case that is kept which the loss needs: the moments of the damaged and of the undamaged
view, their colors in small, and what the classifier sees in the damaged one; some 100 kB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vae_balance.color.arrays import Colors
from vae_balance.correctors.classical import per_channel_stretch, shades_of_grey
from vae_balance.correctors.classifier import Classifier, Features, load_classifier
from vae_balance.correctors.classifier_weights import SHA256
from vae_balance.correctors.latent_balancer.balancer_loss import (
    REDUCTION,
    Batch,
    Thumbnail,
    apply_smooth_map,
    fit_smooth_map,
)
from vae_balance.correctors.latent_balancer.color_statistics import color_statistics
from vae_balance.correctors.latent_balancer.fused_network import (
    FusedBalancerConfig,
    FusedLatentBalancer,
)
from vae_balance.correctors.latent_balancer.networks import AnyVAE, load_vae
from vae_balance.correctors.latent_balancer.train_vae import to_tensor
from vae_balance.models.checksum import sha256_of
from vae_balance.models.folder import WEIGHTS_NAME
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.case_cache import SHARD, CaseMaker, Fields, mirror
from vae_balance.training.damage import KIND_NAMES, Damage, random_damage, undamaged
from vae_balance.training.pairs import View, evenly_watched, sizes_of
from vae_balance.training.photos import (
    PhotoPool,
    Split,
    centre_square,
    load_photo,
    random_view,
    split_to_train,
    to_8_bits,
)
from vae_balance.training.scans import scanned
from vae_balance.training.user_luts import OWN_LUT, damage_source, lut_paths

# Raise it when the same numbers would no longer make the same cases.
VERSION = "3"
NAMES = ("given", "true", "before", "after", "pooled", "fine", "middle", "statistics", "kind")
UNDAMAGED = undamaged().kind
# The kind of what a balancer's own answer has left.
ANSWERED = "answered"
KINDS = (*KIND_NAMES, UNDAMAGED, OWN_LUT, ANSWERED)
# From this strength on damage is extreme.
EXTREME = 1.5
# How often a kind is drawn, where not once: what cameras and people do most.
_WEIGHTS = {
    "white balance": 3.5,
    "range cast": 2.5,
    "film look": 2.5,
    "exposure": 1.5,
    "app filter": 1.5,
    "mixed": 2.5,
}
_UNDAMAGED_SHARE = 0.15
_CORRECTED_SHARE = 0.2
_SECOND_ANSWER_SHARE = 0.3
_TRAINING_SEED, _WATCH_SEED = 2026, 77
_CASES_A_PHOTO = 5
_WATCHED_STRENGTHS = (0.4, 0.8, 1.2, 1.2, 0.8, 2.0)


def made_by(photos: Path, vae: Path, luts: Path | None) -> dict[str, str]:
    """Return what the cases are made with, for `CaseCache`.

    Raises:
        OptionError: there are no photos, or no LUT files in `luts`.
    """
    return {
        "version of the cases": VERSION,
        "VAE": sha256_of(vae / WEIGHTS_NAME),
        "classifier": SHA256,
        "folder of photos": photos_checksum(photos),
        "folder of LUTs": "none" if luts is None else sizes_of(lut_paths(luts), luts),
    }


def photos_checksum(folder: Path) -> str:
    """Return a checksum of the photos of a folder that are trained on or watched.

    Raises:
        OptionError: there are none.
    """
    split = split_to_train(folder)
    used = [*(path for group in split.training for path in group.paths), *split.watch]
    return sizes_of(used, folder)


def watched_photos(split: Split, limit: int = 400) -> list[Path]:
    """Return the photos that are watched, at most `limit`, evenly spaced."""
    return evenly_watched(split, limit)


def count_watched(split: Split) -> int:
    """Return the number of cases that are watched."""
    return _CASES_A_PHOTO * len(watched_photos(split))


def weighted_damage(rng: np.random.Generator) -> Damage:
    """Draw one damage, the kinds by their weights."""
    weights = np.array([_WEIGHTS.get(kind, 1.0) for kind in KIND_NAMES])
    return random_damage(rng, str(rng.choice(KIND_NAMES, p=weights / weights.sum())))


def draw_view(
    pool: PhotoPool,
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], Damage] = weighted_damage,
) -> View:
    """Cut a view and damage it: a color function, then a scan, at times a classical correction."""
    clean = to_8_bits(random_view(pool.draw(rng), rng, PROXY_SIZE, (0.6, 1.0), 4.0))
    damage = undamaged() if rng.uniform() < _UNDAMAGED_SHARE else draw(rng)
    given = damage(clean)
    if damage.kind != UNDAMAGED or rng.uniform() < 0.5:
        given = scanned(given, rng)
    if rng.uniform() < _CORRECTED_SHARE:
        given = (shades_of_grey, per_channel_stretch)[int(rng.integers(2))](given)
    return View(clean, to_8_bits(given), damage)


def watched_view(photos: Sequence[Path], number: int) -> View:
    """Return a case of a watched photo: kinds and strengths rotate, every fifth is undamaged."""
    path = photos[number // _CASES_A_PHOTO % len(photos)]
    clean = to_8_bits(centre_square(load_photo(path), PROXY_SIZE))
    if number % _CASES_A_PHOTO == _CASES_A_PHOTO - 1:
        return View(clean, clean, undamaged())
    kind = KIND_NAMES[(number - number // _CASES_A_PHOTO) % len(KIND_NAMES)]
    strength = _WATCHED_STRENGTHS[number % len(_WATCHED_STRENGTHS)]
    damage = random_damage(np.random.default_rng((_WATCH_SEED, number)), kind, strength)
    return View(clean, to_8_bits(damage(clean)), damage)


@dataclass(frozen=True, eq=False)
class FrozenNetworks:
    """What does not change while a balancer is trained."""

    vae: AnyVAE
    classifier: Classifier
    device: str

    @classmethod
    def load(cls, vae: Path, device: str) -> FrozenNetworks:
        """Read both onto a device."""
        classifier = load_classifier().to(device)
        return cls(load_vae(vae).to(device).requires_grad_(False), classifier, device)

    @torch.inference_mode()
    def see(self, views: Sequence[View], kinds: Sequence[str] = KINDS) -> Fields:
        """Return the fields of cases; `kinds` are those that their numbers stand for."""
        clean = to_tensor([view.clean for view in views]).to(self.device)
        given = to_tensor([view.given for view in views]).to(self.device)
        features = self.classifier(given)
        seen = {
            "given": self.vae.encode(given),
            "true": self.vae.encode(clean),
            "before": F.avg_pool2d(given, REDUCTION),
            "after": F.avg_pool2d(clean, REDUCTION),
            "pooled": features.pooled,
            "fine": F.avg_pool2d(features.fine, 2),
            "middle": features.middle,
            "statistics": _statistics_of([view.given for view in views]),
        }
        return {
            **{name: value.cpu().numpy().astype(np.float16) for name, value in seen.items()},
            "kind": np.array([kinds.index(view.damage.kind) for view in views], dtype=np.int16),
            "strength": np.array([view.damage.strength for view in views], dtype=np.float32),
        }

    @torch.inference_mode()
    def answer(
        self, given: Sequence[Colors], balancer: FusedLatentBalancer, thumbnail: Thumbnail
    ) -> list[Colors]:
        """Return what photos (224, 224, 3) become by the smooth maps of a balancer's answers."""
        pixels = to_tensor(given).to(self.device)
        moments = self.vae.encode(pixels)
        statistics = _statistics_of(given).to(self.device)
        answer = balancer(moments, self.classifier(pixels), statistics)
        fitted = fit_smooth_map(thumbnail(moments), thumbnail(answer.moments))
        mapped = apply_smooth_map(fitted, pixels).clamp(0.0, 1.0)
        return [to_8_bits(photo) for photo in mapped.permute(0, 2, 3, 1).cpu().numpy()]


@dataclass(frozen=True)
class DamagedCases:
    """Recipe of the cases to train on; see `case_cache.Recipe`."""

    photos: Path
    vae: Path
    luts: Path | None
    device: str

    def __call__(self) -> CaseMaker:
        """Load photos and networks, for a process that makes cases."""
        pool = PhotoPool(split_to_train(self.photos).training, 1)
        networks = FrozenNetworks.load(self.vae, self.device)
        draw = damage_source(self.luts, weighted_damage)

        def make(shard: int, first: int, count: int) -> Fields:
            return networks.see(
                [
                    draw_view(pool, np.random.default_rng((_TRAINING_SEED, shard, number)), draw)
                    for number in range(first, first + count)
                ]
            )

        return make


@dataclass(frozen=True)
class WatchedCases:
    """Recipe of the cases that are watched."""

    photos: Path
    vae: Path
    device: str

    def __call__(self) -> CaseMaker:
        """Load the networks."""
        photos = watched_photos(split_to_train(self.photos))
        networks = FrozenNetworks.load(self.vae, self.device)

        def make(shard: int, first: int, count: int) -> Fields:
            numbers = range(shard * SHARD + first, shard * SHARD + first + count)
            return networks.see([watched_view(photos, number) for number in numbers])

        return make


@dataclass(frozen=True)
class AnsweredCases:
    """Recipe of the cases that a balancer's own answers leave, so that round k goes on.

    Attributes:
        damaged: the recipe of what it answers to.
        balancer: file of its weights, as torch saves them.
        config: of the balancer.
        thumbnail: folder of the network that reads colors.
    """

    damaged: DamagedCases
    balancer: Path
    config: FusedBalancerConfig
    thumbnail: Path

    def __call__(self) -> CaseMaker:
        """Load photos and networks, for a process that makes cases."""
        recipe = self.damaged
        pool = PhotoPool(split_to_train(recipe.photos).training, 1)
        networks = FrozenNetworks.load(recipe.vae, recipe.device)
        draw = damage_source(recipe.luts, weighted_damage)
        balancer = FusedLatentBalancer(self.config)
        balancer.load_state_dict(torch.load(self.balancer, weights_only=True, map_location="cpu"))
        balancer.to(recipe.device).eval()
        thumbnail = Thumbnail.load_folder(self.thumbnail).to(recipe.device)

        def make(shard: int, first: int, count: int) -> Fields:
            # The fourth number keeps these draws apart from those of `DamagedCases`.
            chance = [
                np.random.default_rng((_TRAINING_SEED, shard, number, 1))
                for number in range(first, first + count)
            ]
            views = [draw_view(pool, rng, draw) for rng in chance]
            once = networks.answer([view.given for view in views], balancer, thumbnail)
            twice = networks.answer(once, balancer, thumbnail)
            again = [rng.uniform() < _SECOND_ANSWER_SHARE for rng in chance]
            return networks.see(
                [
                    View(view.clean, second if more else left, replace(view.damage, kind=ANSWERED))
                    for view, left, second, more in zip(views, once, twice, again, strict=True)
                ]
            )

        return make


def batch_of(fields: Fields, device: str, corner: tuple[int, int] | None = None) -> Batch:
    """Return cases, as they are kept, as a batch."""
    tensors = {name: torch.from_numpy(fields[name]).to(device).float() for name in NAMES}
    undamaged = tensors["kind"] == KINDS.index(UNDAMAGED)
    # The balancer takes means of 2 x 2 of these features, which is how they are kept.
    fine = F.interpolate(tensors["fine"], scale_factor=2.0, mode="nearest")
    return Batch(
        given=tensors["given"],
        true=tensors["true"],
        before=tensors["before"],
        after=tensors["after"],
        features=Features(tensors["pooled"], fine, tensors["middle"]),
        statistics=tensors["statistics"],
        undamaged=undamaged,
        corner=corner,
    )


def flipped_batch(fields: Fields, rng: np.random.Generator, device: str) -> Batch:
    """Return cases as a batch to learn from: half of them mirrored, one corner of every 2 x 2."""
    mirrored = rng.uniform(size=len(fields["given"])) < 0.5
    flipped = {name: mirror(fields[name], mirrored) for name in NAMES}
    return batch_of(flipped, device, (int(rng.integers(2)), int(rng.integers(2))))


def _statistics_of(photos: Sequence[Colors]) -> Tensor:
    """Return the color statistics (N, 135) of photos."""
    return torch.from_numpy(np.stack([color_statistics(photo) for photo in photos]))
