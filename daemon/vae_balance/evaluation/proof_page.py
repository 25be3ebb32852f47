"""Measure the runs of `prove_it.py`, and tell it as a page with pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vae_balance.color.arrays import Colors
from vae_balance.color.lab import ciede2000, srgb_to_lab
from vae_balance.correctors.corrector import Corrector, LookOptions
from vae_balance.correctors.latent_balancer.learn import BalancedLook
from vae_balance.correctors.pictures import PictureLook
from vae_balance.correctors.registry import load_corrector
from vae_balance.correctors.unet.corrector import UNetCorrector
from vae_balance.evaluation.cases import (
    EXTREME,
    UNDAMAGED,
    Case,
    draw_cases,
    held_out_photos,
)
from vae_balance.evaluation.compare import compare
from vae_balance.evaluation.page import write_page
from vae_balance.evaluation.prove_it import (
    FREE,
    LATENTS,
    NAMES,
    PIXELS,
    Proof,
    Timed,
    read_run,
    trained_error,
)
from vae_balance.evaluation.quality import ALL_DAMAGE, NONE, cell_of
from vae_balance.files import atomic_write
from vae_balance.models.store import EMBEDDED, find_model
from vae_balance.photos.painting import paint_grid
from vae_balance.photos.proxy import make_proxy
from vae_balance.training.damage import random_damage
from vae_balance.training.photos import to_8_bits

ROUNDS = 10
# How many rounds the strips show.
_SHOWN = (1, 2, 3, 5, 10)
# Held-out photos that get ten rounds.
_FOLLOWED = 16
# A round that changes a photo by less than this (mean CIEDE2000) has come to rest.
RESTS = 0.5
# Damage of the four photos that come with scikit-image.
_STRIPS = (
    ("astronaut", "faded dyes", 1.2),
    ("coffee", "white balance", 1.2),
    ("chelsea", "neon", 1.0),
    ("rocket", "expired film", 1.2),
)
# Ways of going on for ten rounds.
DIRECT, BY_MAP, LATENT = "U-Net on its own picture", "U-Net by color maps", "latents"
LONG = "latents, embedded model"
_COLORS = {LATENT: "#2f62c0", LONG: "#7fa3e0", BY_MAP: "#c98a2b", DIRECT: "#c8372d"}
_RUN_COLORS = dict(zip(NAMES, ("#2f62c0", "#9db9e6", "#c8372d", "#e8a79f"), strict=True))


@dataclass(frozen=True)
class Followed:
    """Ten rounds of one way, the mean over photos.

    Attributes:
        changes: mean CIEDE2000 by which each round changes a photo.
        errors: mean CIEDE2000 to the undamaged photo after no round, one, ...
    """

    changes: tuple[float, ...]
    errors: tuple[float, ...]


# Returns a proxy after no round, after one, ... after `ROUNDS`.
Way = Callable[[Colors], list[Colors]]


def follow_map(corrector: Corrector) -> Way:
    """Return the way of a corrector: each round learns a color map, which changes the proxy."""

    def go(proxy: Colors) -> list[Colors]:
        look = corrector.learn([proxy], LookOptions(iterations=ROUNDS))
        assert isinstance(look, BalancedLook | PictureLook)
        last = look.rounds[-1]
        after = np.clip(last.color_map(last.proxies[0]), 0.0, 1.0)
        return [learned.proxies[0] for learned in look.rounds] + [after]

    return go


def follow_pixels(corrector: UNetCorrector) -> Way:
    """Return the direct way: each round is given the picture that the one before it made."""

    def go(proxy: Colors) -> list[Colors]:
        pictures = [proxy]
        for _ in range(ROUNDS):
            pictures.append(corrector.corrected(pictures[-1][None])[0])
        return pictures

    return go


def follow(way: Way, cases: Sequence[Case]) -> Followed:
    """Follow cases for ten rounds."""
    changes, errors = [], []
    for case in cases:
        pictures = [_lab(picture) for picture in way(case.damaged)]
        truth = _lab(case.truth)
        changes.append([_distance(a, b) for a, b in pairwise(pictures)])
        errors.append([_distance(picture, truth) for picture in pictures])
    return Followed(tuple(np.mean(changes, axis=0)), tuple(np.mean(errors, axis=0)))


def prove(config: Proof, page: Path, progress: Callable[[str], None]) -> None:
    """Measure the runs, and write the page and its pictures beside it.

    Args:
        config: of the runs, which are done.
        page: PAGE.md; PAGE-learning.png, PAGE-rounds.png and PAGE-strips.jpg lie beside it.
        progress: told what is being measured.

    Raises:
        BalanceError: a model cannot be loaded, or a file not written.
    """
    runs = [read_run(config.out / name, name) for name in config.names]
    progress("held-out photos")
    table = _measured(config, runs)
    progress("ten rounds")
    ways = _ways(config)
    cases = _damaged_cases(config)
    followed = {name: follow(way, cases) for name, way in ways.items()}
    progress("pictures")
    _draw_learning(runs, _beside(page, "learning.png"))
    _draw_rounds(followed, _beside(page, "rounds.png"))
    _draw_strips(ways, _beside(page, "strips.jpg"))
    parts = [
        _claims(runs, followed, config.count),
        _costs(runs, config.count),
        table,
        _regularized(config, runs),
        _rounds(followed, len(cases), page),
    ]
    command = "vae-balance train prove --photos photos --out runs/proof --page docs/prove-it.md"
    write_page(page, "Prove it: latents against pixels", command, _ABOUT, "\n\n".join(parts))


_ABOUT = """
The published claim: a photo's damage is undone far faster in the latents of a VAE than on its
pixels (220 seconds an epoch against 30), needs neither weight decay nor dropout there, and can be
done again and again, where a network on pixels flips between pictures. Here both are trained beside
each other, on views of the same photos with the same kinds of damage: a latent balancer
(`train balancer`, its first round alone) and a U-Net (`train unet`) that maps damaged pixels to
right ones at 224 x 224. Times are those of one core, without the measurements in between. Errors
are mean CIEDE2000 to the undamaged photo. The latent balancer stands on networks that were trained
before, the VAE and the classifier that tells it what is in the photo; the U-Net begins with
nothing.
"""


def _beside(page: Path, what: str) -> Path:
    return page.with_name(f"{page.stem}-{what}")


def _lab(picture: Colors) -> torch.Tensor:
    small = np.ascontiguousarray(picture[::2, ::2]).astype(np.float32)
    return srgb_to_lab(torch.from_numpy(small).permute(2, 0, 1)[None].clamp(0.0, 1.0))


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(ciede2000(one, other).mean())


def _damaged_cases(config: Proof) -> list[Case]:
    """Return one damaged case of each of some held-out photos."""
    found: dict[Path, Case] = {}
    for case in draw_cases(held_out_photos(config.photos, _FOLLOWED)):
        if case.strength:
            found[case.photo] = case
    return list(found.values())


def _ways(config: Proof) -> dict[str, Way]:
    unet = load_corrector(str(config.out / PIXELS), "cpu")
    assert isinstance(unet, UNetCorrector)
    latents = load_corrector(str(config.out / LATENTS), "cpu")
    return {
        LATENT: follow_map(latents),
        LONG: follow_map(load_corrector(EMBEDDED, "cpu")),
        BY_MAP: follow_map(unet),
        DIRECT: follow_pixels(unet),
    }


def _measured(config: Proof, runs: Sequence[Timed]) -> str:
    """Return the errors of what the runs have left, on held-out photos, as a table."""
    correctors = [load_corrector(str(config.out / run.name), "cpu") for run in runs]
    scores = compare(config.photos, correctors, config.out / "compared", limit=config.limit).scores
    columns = [NONE, *(f"{each.info.name} {each.info.version}" for each in correctors)]
    heads = [NONE, *(f"`{run.name}`, {_minutes(run.steps * run.seconds_a_step)}" for run in runs)]
    lines = [
        "## Quality",
        "",
        f"{config.limit} photos that no training has seen, each undamaged and with five damages; "
        "what a user gets who chooses the model and nothing else.",
        "",
        f"| | {' | '.join(heads)} |",
        "|---|" + "---:|" * len(columns),
    ]
    for row in (ALL_DAMAGE, EXTREME, UNDAMAGED):
        cells = [cell_of(scores, row, column) for column in columns]
        lines.append(f"| {row} | {' | '.join(f'{cell.mean:.2f}' for cell in cells if cell)} |")
    return "\n".join(lines)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


def _claims(runs: Sequence[Timed], followed: Mapping[str, Followed], count: int) -> str:
    """Return what was claimed beside what was measured, where all runs are there."""
    by_name = {run.name: run for run in runs}
    if set(by_name) < set(NAMES):
        return ""
    latents, free = by_name[LATENTS], by_name[LATENTS + FREE]
    slow, fast = (by_name[name].seconds_an_epoch(count) for name in (PIXELS, LATENTS))
    left = {run.name: run.watched[step] for run, step in _after_equal_time(runs)}
    rests = {name: _rests(way) for name, way in followed.items()}
    direct = followed[DIRECT].errors
    rows = [
        (
            "an epoch is far faster in latents",
            f"{slow:.0f} s on pixels, {fast:.0f} s in latents: {slow / fast:.1f} times "
            f"(published: 220 s and 30 s, {220 / 30:.1f} times)",
        ),
        (
            "more is learned in equal time",
            f"error left on watched photos: {left[LATENTS]:.1f} in latents, {left[PIXELS]:.1f} on "
            "pixels",
        ),
        (
            "latents need no weight decay and no dropout",
            f"least error {min(latents.watched.values()):.2f} with them, "
            f"{min(free.watched.values()):.2f} without; undamaged photos are changed by "
            f"{latents.sound[max(latents.sound)]:.2f} and {free.sound[max(free.sound)]:.2f} at the "
            "end; the gap to training is below",
        ),
        (
            "further rounds converge in latents and flip on pixels",
            f"latents rest {rests[LATENT]}, the U-Net on its own picture {rests[DIRECT]}; its "
            f"error is {direct[1]:.2f} after one round and {direct[ROUNDS]:.2f} after {ROUNDS}",
        ),
    ]
    lines = ["## Claimed and measured", "", "| claimed | measured here |", "|---|---|"]
    return "\n".join([*lines, *(f"| {claim} | {measured} |" for claim, measured in rows)])


def _costs(runs: Sequence[Timed], count: int) -> str:
    """Return what an epoch costs, and how far each run had come after equal time."""
    lines = [
        "## Time",
        "",
        f"| run | seconds for an epoch of {count:,} views | steps | views a step | time |",
        "|---|---:|---:|---:|---:|",
    ]
    for run in runs:
        seconds, whole = run.seconds_an_epoch(count), _minutes(run.steps * run.seconds_a_step)
        lines.append(f"| `{run.name}` | {seconds:.0f} | {run.steps:,} | {run.batch} | {whole} |")
    by_name = {run.name: run for run in runs}
    if {LATENTS, PIXELS} <= set(by_name):
        slow, fast = (by_name[name].seconds_an_epoch(count) for name in (PIXELS, LATENTS))
        lines += [
            "",
            f"An epoch takes {slow:.0f} s on pixels and {fast:.0f} s in latents, {slow / fast:.1f} "
            f"times as long; published: 220 to 30, {220 / 30:.1f} times. What frozen networks see "
            "of a view (moments, features of the classifier) is made once, before, and not "
            "counted; nor is the cutting and damaging of views, which are kept for both.",
        ]
    lines += [
        "",
        "![Error left on watched photos over time](prove-it-learning.png)",
        "",
        *_equal_time(runs),
    ]
    return "\n".join(lines)


def _after_equal_time(runs: Sequence[Timed]) -> list[tuple[Timed, int]]:
    """Return each run with its step, of those that were measured, after the time that all had."""
    least = min(run.steps * run.seconds_a_step for run in runs)

    def step_of(run: Timed) -> int:
        return min(run.watched, key=lambda step: abs(step * run.seconds_a_step - least))

    return [(run, step_of(run)) for run in runs]


def _equal_time(runs: Sequence[Timed]) -> list[str]:
    """Return a table of the errors on watched photos after the time that all runs had."""
    least = min(run.steps * run.seconds_a_step for run in runs)
    lines = [
        f"After {_minutes(least)}, the error left on watched photos (averaged 8 x 8):",
        "",
        "| run | damaged | undamaged |",
        "|---|---:|---:|",
    ]
    for run, step in _after_equal_time(runs):
        lines.append(f"| `{run.name}` | {run.watched[step]:.2f} | {run.sound[step]:.2f} |")
    return lines


def _regularized(config: Proof, runs: Sequence[Timed]) -> str:
    """Return what weight decay and dropout changed."""
    by_name = {run.name: run for run in runs}
    lines = [
        "## Weight decay and dropout",
        "",
        f"`{LATENTS}` and `{PIXELS}` have them (latents: noise on what the classifier tells, too), "
        f"the runs with `{FREE}` do without. The gap is the least error on watched photos less "
        "that of the same network on damaged views that it was trained on.",
        "",
        "| run | epochs | watched | trained on | gap |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in NAMES:
        if name in by_name:
            run = by_name[name]
            epochs = run.steps * run.batch / config.count
            watched, trained = min(run.watched.values()), trained_error(config, name)
            cells = f"{epochs:.1f} | {watched:.2f} | {trained:.2f} | {watched - trained:+.2f}"
            lines.append(f"| `{name}` | {cells} |")
    return "\n".join(lines)


def _rounds(followed: Mapping[str, Followed], photos: int, page: Path) -> str:
    """Return what ten rounds do."""
    lines = [
        "## Ten rounds",
        "",
        f'{photos} held-out photos, damaged, by ten rounds of each. "{DIRECT}" gives the network '
        f'the picture that it has made; "{BY_MAP}" is `--model unet`, where each round learns a '
        "color map. A way rests when a round changes a photo by less than "
        f"{RESTS:g} on average.",
        "",
        f"![Change by each round, and error after it]({_beside(page, 'rounds.png').name})",
        "",
        "| | change by round 1 | 2 | 5 | 10 | error before | after 1 | after 10 | rests |",
        "|---|" + "---:|" * 8,
    ]
    for name, way in followed.items():
        changes = " | ".join(f"{way.changes[number - 1]:.2f}" for number in (1, 2, 5, 10))
        errors = " | ".join(f"{way.errors[number]:.2f}" for number in (0, 1, 10))
        label = f"{name} {find_model(EMBEDDED).version}" if name == LONG else name
        lines.append(f"| {label} | {changes} | {errors} | {_rests(way)} |")
    shown = ", ".join(map(str, _SHOWN))
    lines += [
        "",
        f"Four photos that come with scikit-image: as they were, damaged, and after {shown} "
        f"rounds; above by {LATENT}, below by the {DIRECT}.",
        "",
        f"![Strips of pictures]({_beside(page, 'strips.jpg').name})",
    ]
    return "\n".join(lines)


def _rests(way: Followed) -> str:
    resting = [number for number, change in enumerate(way.changes, 1) if change < RESTS]
    return f"in round {resting[0]}" if resting else "never"


def _draw_learning(runs: Sequence[Timed], path: Path) -> None:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for place, title in ((1, "watched, damaged"), (2, "watched, undamaged")):
        axes = figure.add_subplot(1, 2, place, title=title, xlabel="minutes of one core")
        for run in runs:
            values = run.watched if place == 1 else run.sound
            minutes = [step * run.seconds_a_step / 60 for step in values]
            style = "--" if run.name.endswith(FREE) else "-"
            color = _RUN_COLORS[run.name]
            axes.plot(minutes, list(values.values()), style, color=color, label=run.name)
        _finish(axes, "mean CIEDE2000")
    _save(figure, path)


def _draw_rounds(followed: Mapping[str, Followed], path: Path) -> None:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    change = figure.add_subplot(1, 2, 1, title="change by each round", xlabel="round")
    error = figure.add_subplot(1, 2, 2, title="error after each round", xlabel="round")
    for name, way in followed.items():
        change.plot(range(1, ROUNDS + 1), way.changes, "o-", color=_COLORS[name], label=name)
        error.plot(range(ROUNDS + 1), way.errors, "o-", color=_COLORS[name], label=name)
    for axes in (change, error):
        _finish(axes, "mean CIEDE2000")
    _save(figure, path)


def _finish(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0.0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _draw_strips(ways: Mapping[str, Way], path: Path) -> None:
    """Write the photos as rows of pictures: each way below the other."""
    rows = []
    for photo, kind, strength in _STRIPS:
        truth = make_proxy(_free_photo(photo))
        damaged = to_8_bits(random_damage(np.random.default_rng(3), kind, strength)(truth))
        for name in (LATENT, DIRECT):
            pictures = ways[name](damaged)
            rows.append([truth, *(pictures[number] for number in (0, *_SHOWN))])
    paint_grid(("as it was", "damaged", *(f"round {n}" for n in _SHOWN)), rows, path)


def _free_photo(name: str) -> NDArray[np.uint8]:
    """Return a photo that is free of copyright and comes with scikit-image."""
    from skimage import data

    photo: NDArray[np.uint8] = getattr(data, name)()
    return photo
