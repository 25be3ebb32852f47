"""The cases that colorizing is trained on: what is seen of a grey view, and the colors it had.

A case takes 0.2 MB. Grey photos, toned or not, are passed over: they teach that grey is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from vae_balance.color.arrays import Colors
from vae_balance.color.lab import srgb_to_lab
from vae_balance.color.toning import toning_of
from vae_balance.correctors.classifier import Classifier, load_classifier
from vae_balance.correctors.classifier_weights import SHA256
from vae_balance.correctors.colorize.seen import Seen, Show
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.case_cache import SHARD, CaseMaker, Fields, mirror
from vae_balance.training.pairs import sizes_of
from vae_balance.training.photos import (
    Group,
    Split,
    load_photo,
    random_view,
    split_to_train,
    to_8_bits,
)

# Raise it when the same numbers would no longer make the same cases.
VERSION = "1"
# Pixels of the views to one of the a and b that are predicted, each way.
REDUCTION = 4
NAMES = (*Seen.names(), "chroma")
# Of these, what a network is trained on that sees the photo through a convolution of its own.
VIEW_NAMES = ("lightness", "chroma")
_SEED = 2016
# Views that show the whole frame, squeezed, as a look is learned from; the others are parts of it.
_WHOLE_SHARE = 0.5
_TRIES = 50
# Deviation of the logarithm of the power that a view's lightness is raised to, and the mean
# deviation of its grain: prints, plates and scans differ by more.
_TONES, _GRAIN = 0.12, 0.012


@dataclass(frozen=True)
class Batch:
    """Cases to learn from.

    Attributes:
        seen: see there.
        chroma: (B, 2, 56, 56), a* and b*, means of 4 x 4 pixels.
    """

    seen: Seen
    chroma: torch.Tensor


@dataclass(frozen=True)
class Views:
    """Grey views that nobody has looked at yet.

    Attributes:
        lightness: (B, 1, 224, 224), L* / 100.
        chroma: see `Batch`.
    """

    lightness: torch.Tensor
    chroma: torch.Tensor

    def seen_by(self, classifier: Classifier, show: Show, learning: int) -> Batch:
        """Let the classifier look at the views.

        Args:
            classifier: frozen.
            show: makes what it is shown.
            learning: so many of the views, the first ones, have a gradient for `show`, which
                costs three times what a view costs without.
        """
        parts = [Seen.of_lightness(self.lightness[:learning], classifier, show)]
        if learning < len(self.lightness):
            with torch.no_grad():
                parts.append(Seen.of_lightness(self.lightness[learning:], classifier, show))
        return Batch(Seen.joined(parts), self.chroma)


def made_by(photos: Path) -> dict[str, str]:
    """Return what the cases are made with, for `CaseCache`.

    Raises:
        OptionError: there are no photos.
    """
    split = split_to_train(photos)
    used = [*(path for group in split.training for path in group.paths), *split.watch]
    return {
        "version of the cases": VERSION,
        "classifier": SHA256,
        "folder of photos": sizes_of(used, photos),
    }


def whole_view(photo: Image.Image) -> Colors:
    """Return the whole frame, squeezed to (224, 224, 3), as a corrector is shown it."""
    small = photo.resize((PROXY_SIZE, PROXY_SIZE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255.0)


def has_color(view: Colors) -> bool:
    """Tell whether a view (H, W, 3), sRGB-encoded, 0..1, has colors that can be learned from."""
    return not toning_of(view[::2, ::2]).is_grey


def draw_view(groups: Sequence[Group], rng: np.random.Generator) -> Colors:
    """Draw a view (224, 224, 3) of a photo with colors: a group by its share, any photo of it."""
    shares = np.array([group.share for group in groups])
    for _ in range(_TRIES):
        paths = groups[int(rng.choice(len(groups), p=shares / shares.sum()))].paths
        photo = load_photo(paths[int(rng.integers(len(paths)))])
        if rng.uniform() < _WHOLE_SHARE:
            view = whole_view(photo)
        else:
            view = random_view(photo, rng, PROXY_SIZE, (0.6, 1.0), 3.0)
        if has_color(view):
            break
    return to_8_bits(view)


def watched_photos(split: Split, limit: int) -> list[Path]:
    """Return the photos with colors that are watched, at most `limit`, evenly spaced."""
    colored = [path for path in split.watch if has_color(whole_view(load_photo(path)))]
    count = min(limit, len(colored))
    return [colored[i * len(colored) // count] for i in range(count)]


@dataclass(frozen=True)
class DrawnCases:
    """Recipe of the cases to train on; see `case_cache.Recipe`."""

    photos: Path
    device: str

    def __call__(self) -> CaseMaker:
        """Load the classifier, for a process that makes cases."""
        groups = split_to_train(self.photos).training
        see = _Seeing(self.device)

        def make(shard: int, first: int, count: int) -> Fields:
            numbers = range(first, first + count)
            return see(
                [draw_view(groups, np.random.default_rng((_SEED, shard, n))) for n in numbers]
            )

        return make


@dataclass(frozen=True)
class WatchedCases:
    """Recipe of the cases that are watched."""

    photos: tuple[Path, ...]
    device: str

    def __call__(self) -> CaseMaker:
        """Load the classifier."""
        see = _Seeing(self.device)

        def make(shard: int, first: int, count: int) -> Fields:
            start = shard * SHARD + first
            paths = self.photos[start : start + count]
            return see([to_8_bits(whole_view(load_photo(path))) for path in paths])

        return make


class _Seeing:
    """Makes the fields of cases from views."""

    def __init__(self, device: str) -> None:
        self._classifier = load_classifier().to(device)
        self._device = device

    @torch.inference_mode()
    def __call__(self, views: Sequence[Colors]) -> Fields:
        pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).to(self._device)
        lab = srgb_to_lab(pixels)
        seen = Seen.of_lightness(lab[:, :1] / 100.0, self._classifier)
        kept = {name: getattr(seen, name).half() for name in Seen.names()}
        kept["chroma"] = F.avg_pool2d(lab[:, 1:], REDUCTION).half()
        kept["lightness"] = (seen.lightness * 255.0).round().to(torch.uint8)
        return {name: value.contiguous().cpu().numpy() for name, value in kept.items()}


def batch_of(kept: Fields, device: str) -> Batch:
    """Return cases, as they are kept, as a batch."""
    tensors = {name: torch.from_numpy(kept[name]).to(device).float() for name in NAMES}
    tensors["lightness"] /= 255.0
    seen = Seen(**{field.name: tensors[field.name] for field in fields(Seen)})
    return Batch(seen, tensors["chroma"])


def mirrored_batch(kept: Fields, rng: np.random.Generator, device: str) -> Batch:
    """Return cases as a batch to learn from, half of them mirrored.

    Features are mirrored as they are: those of the mirrored picture hardly differ.
    """
    which = rng.uniform(size=len(kept["chroma"])) < 0.5
    return batch_of({name: mirror(kept[name], which) for name in NAMES}, device)


def views_of(kept: Fields, device: str) -> Views:
    """Return cases, of which lightness and colors are kept, as views."""
    lightness = torch.from_numpy(kept["lightness"]).to(device).float() / 255.0
    return Views(lightness, torch.from_numpy(kept["chroma"]).to(device).float())


def varied_views(kept: Fields, rng: np.random.Generator, device: str) -> Views:
    """Return cases as views to learn from: half of them mirrored, of other tones, with grain."""
    which = rng.uniform(size=len(kept["chroma"])) < 0.5
    views = views_of({name: mirror(kept[name], which) for name in VIEW_NAMES}, device)
    shape = (len(which), 1, 1, 1)
    power = torch.from_numpy(np.exp(rng.normal(0.0, _TONES, shape)).astype(np.float32))
    deviation = rng.exponential(_GRAIN, shape) * rng.integers(0, 2, shape)
    grain = rng.standard_normal(views.lightness.shape, dtype=np.float32) * deviation
    lightness = views.lightness ** power.to(device) + torch.from_numpy(grain).float().to(device)
    return Views(lightness.clamp(0.0, 1.0), views.chroma)
