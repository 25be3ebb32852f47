"""Evaluate a model on photos it has never seen: the quality table and the before/after sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from vae_balance.color.arrays import Colors
from vae_balance.correctors.classical import grey_world, per_channel_stretch, shades_of_grey
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.learn import BalancedLook, learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.correctors.latent_balancer.train_vae import score_vae, to_tensor
from vae_balance.evaluation.cases import (
    DAMAGES_PER_PHOTO,
    STRENGTHS,
    UNDAMAGED,
    Case,
    draw_cases,
    draw_extreme_cases,
    draw_scanned_cases,
    draw_sheet_cases,
    held_out_photos,
)
from vae_balance.evaluation.published_color_map import fit_published_color_map
from vae_balance.evaluation.quality import (
    AUTO,
    BEST,
    GREY_WORLD,
    ITERATIONS,
    NONE,
    OURS,
    OURS_BESIDE_PUBLISHED,
    PUBLISHED,
    SHADES_OF_GREY,
    STRETCH,
    Quality,
    Score,
    VaeScore,
)
from vae_balance.evaluation.sheets import Triple, before_after_sheet, damage_sheet, sheet_photos
from vae_balance.files import atomic_write
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.safe_lut import baked, safety_of

# Called with the number of cases done and of all cases, and with what is being done.
Report = Callable[[int, int, str], None]

# The published mapper takes many seconds a case: it gets every so many, enough for a comparison on
# all damage, not for one on every kind.
PUBLISHED_EVERY = 16


def evaluate(
    photos: Path,
    model: Model,
    out: Path,
    report: Report = lambda done, total, what: None,
    limit: int | None = None,
) -> Quality:
    """Score the model on the held-out photos and leave table and sheets in `out`.

    Writes quality.json, quality.md, before_after.png and damage.png, replacing those of an
    earlier run. The same photos and model give the same scores.

    Args:
        photos: folder of photos, in sub-folders by source as in `training/split.json`.
        model: what is evaluated.
        out: folder for the results, made when missing.
        report: called before every case.
        limit: at most so many photos, evenly spaced; None takes all.

    Raises:
        OptionError: there are no held-out photos in the folder.
        BalanceError: a result cannot be written.
    """
    paths = held_out_photos(photos, limit)
    out.mkdir(parents=True, exist_ok=True)
    total = len(paths) * (3 + DAMAGES_PER_PHOTO)
    scores: list[Score] = []
    clean: list[Colors] = []
    damaged: list[Colors] = []
    cases = chain(draw_cases(paths), draw_extreme_cases(paths), draw_scanned_cases(paths))
    for number, case in enumerate(cases):
        name = case.photo.relative_to(photos).as_posix()
        report(number, total, name)
        with_published = number % PUBLISHED_EVERY == 0 and case.strength in ("", *STRENGTHS)
        errors, look = measure(case, model, with_published)
        sure, rounds = look.report.confidence, len(look.rounds)
        safety = safety_of(look.lut, case.damaged)
        scores.append(Score(name, case.kind, case.strength, errors, sure, rounds, safety))
        if case.kind == UNDAMAGED:
            clean.append(case.damaged)
        elif len(damaged) < len(clean):
            damaged.append(case.damaged)
    report(total, total, "VAE and sheets")
    quality = Quality(
        f"{model.info.name} {model.info.version}",
        tuple(scores),
        _score_vae(model, clean),
        _score_vae(model, damaged),
    )
    _write_text(out / "quality.json", quality.dumps())
    _write_text(out / "quality.md", quality.table_markdown())
    before_after_sheet(_triples(photos, paths, model), out / "before_after.png")
    damage_sheet(out / "damage.png")
    return quality


def measure(
    case: Case, model: Model, with_published: bool
) -> tuple[dict[str, float], BalancedLook]:
    """Return the error of every column on one case, and the look at auto.

    Args:
        case: what is corrected.
        model: what corrects.
        with_published: measure the published mapper, too.
    """
    error = error_to(case.truth)
    errors = {
        NONE: error(case.damaged),
        GREY_WORLD: error(grey_world(case.damaged)),
        SHADES_OF_GREY: error(shades_of_grey(case.damaged)),
        STRETCH: error(per_channel_stretch(case.damaged)),
    }
    # A round does not know how many follow: the first rounds of five are those of a shorter look.
    look = learn_look([case.damaged], model, LookOptions(iterations=max(ITERATIONS)))
    maps = [learned.color_map for learned in look.rounds]
    for count in ITERATIONS:  # the LUT a user gets: what is scored is the program
        errors[OURS[count]] = error(baked(maps[:count], case.damaged)(case.damaged))
    if with_published:
        first = look.rounds[0]
        published = fit_published_color_map(first.distorted, first.fixed)
        errors[PUBLISHED] = error(published(case.damaged))
        errors[OURS_BESIDE_PUBLISHED] = errors[OURS[1]]
    auto = learn_look([case.damaged], model)
    errors[AUTO] = error(auto.lut(case.damaged))
    errors[BEST] = error(fit_color_map(case.damaged, case.truth)(case.damaged))
    return errors, auto


def error_to(truth: Colors) -> Callable[[Colors], float]:
    """Return what gives the mean CIEDE2000 of a picture to the truth; both sRGB-encoded, 0..1."""
    expected = _lab(truth)
    return lambda corrected: float(deltaE_ciede2000(expected, _lab(corrected)).mean())


def _lab(pixels: Colors) -> Colors:
    """Return L*a*b* of every second pixel both ways; a mean error needs no more."""
    lab: Colors = rgb2lab(np.clip(pixels[::2, ::2], 0.0, 1.0))
    return lab


def _score_vae(model: Model, proxies: Sequence[Colors]) -> VaeScore:
    values = score_vae(model.vae, to_tensor(proxies).to(model.device))
    return VaeScore(values["psnr"], values["color"])


def _triples(photos: Path, paths: Sequence[Path], model: Model) -> list[Triple]:
    """Balance the photos of the sheet, each with a damage of another kind, 1 iteration."""
    triples = []
    for case in draw_sheet_cases(sheet_photos(photos, paths)):
        look, error = learn_look([case.damaged], model), error_to(case.truth)
        balanced = look.lut(case.damaged)
        before, after = error(case.damaged), error(balanced)
        label = f"{case.kind}: CIEDE2000 {before:.1f} before, {after:.1f} after"
        triples.append(Triple(label, case.damaged, balanced, case.truth))
    return triples


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
