"""`vae-balance train`: train a network on a folder of photos."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console, require_extra
from vae_balance.files import atomic_write, make_folder, real_path
from vae_balance.training.allocator import keep_freed_memory

if TYPE_CHECKING:
    from vae_balance.correctors.colorize.train import ColorizeTraining
    from vae_balance.correctors.mixed_light.train import LocalTraining
    from vae_balance.training.case_cache import Making
    from vae_balance.training.pairs import PairTraining

F = TypeVar("F", bound=Callable[..., Any])


def _common(command: F) -> F:
    """Add the options of all networks, in the order of the help."""
    for option in reversed(_COMMON):
        command = option(command)
    return command


_COMMON: tuple[Callable[[Any], Any], ...] = (
    options.photo_folder,
    click.option(
        "--out",
        required=True,
        type=options.PATH,
        metavar="DIR",
        help="Folder for checkpoint, log, plot and result; a run found there goes on.",
    ),
    click.option("--steps", type=click.IntRange(1), metavar="N", help="Optimizer steps in all."),
    click.option("--batch", type=click.IntRange(1), metavar="N", help="Views of photos a step."),
    click.option("--learning-rate", type=click.FloatRange(0.0, min_open=True), metavar="X"),
    click.option("--seed", type=click.IntRange(0), metavar="N", help="Of weights and batches."),
    options.device,
    options.quiet,
)


@click.group()
def train() -> None:
    """Train a network on photos of your own.

    Needs pip install 'vae-balance[train]'. What is not given is as for the embedded model. A run
    can be stopped with Ctrl-C at any time: the same command goes on from its last checkpoint. On
    Linux with glibc the command starts itself again with MALLOC_* settings that spare it page
    faults.
    """


@train.command("vae")
@_common
def vae_command(
    photos: Path,
    out: Path,
    batch: int | None,
    device: str,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a VAE; the result is DIR/vae.

    \b
    vae-balance train vae --photos photos --out my-vae
    """
    _prepare()
    from vae_balance.correctors.latent_balancer.train_vae import VAETraining, train_vae
    from vae_balance.models.device import choose_device

    given = _given(batch=batch, **settings)
    config = VAETraining(photos, out, device=str(choose_device(device)), **given)
    _watch(lambda report: train_vae(config, report), out, config.steps, Console(quiet))


@train.command("balancer")
@_common
@click.option(
    "--luts", type=options.PATH, metavar="DIR", help="Your own LUT files, as further damage."
)
@click.option(
    "--cache",
    type=options.PATH,
    metavar="DIR",
    help="Folder for the cases, 16 GB for 100,000.  [default: beside --out, named OUT-cases]",
)
@click.option(
    "--cases", type=click.IntRange(1), metavar="N", help="Damaged views to train on (100,000)."
)
@click.option(
    "--own",
    type=click.IntRange(0),
    metavar="N",
    help="Cases of what its own first answers leave, for a second round (30,000).",
)
@click.option(
    "--start",
    type=options.PATH,
    metavar="DIR",
    help="Begin with the weights of this latent balancer (MODEL/latent_balancer).",
)
@click.option(
    "--vae",
    default="embedded",
    show_default=True,
    metavar="NAME",
    help="A model whose VAE to use, or the folder of a VAE (DIR/vae of `train vae`).",
)
def balancer_command(
    photos: Path,
    out: Path,
    batch: int | None,
    vae: str,
    cache: Path | None,
    device: str,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a latent balancer for a VAE; DIR becomes a model for --model DIR.

    Views of the photos are damaged at random and seen by VAE and classifier once: these cases are
    kept, and training goes by them. Two thirds of the steps are a first round. Then it answers to
    damaged views itself, and trains on with what these answers leave as well.

    \b
    vae-balance train balancer --photos photos --vae my-vae/vae --out my-model
    vae-balance balance photo.jpg -o balanced.jpg --model my-model
    """
    _prepare()
    from vae_balance.correctors.latent_balancer.train_balancer import (
        BalancerTraining,
        train_balancer,
    )
    from vae_balance.models.device import choose_device
    from vae_balance.models.store import find_vae

    vae_folder = find_vae(vae)
    given = _given(batch=batch, **settings)
    cases = cache or _beside(out, "cases")
    place = str(choose_device(device))
    config = BalancerTraining(photos, vae_folder, out, cases, device=place, **given)
    console = Console(quiet)
    making = MakingLine()

    def told(what: str, made: int, total: int) -> None:
        console.line(making.describe(what, made, total, time.monotonic()))

    try:
        _watch(
            lambda report: train_balancer(config, report, told),
            out,
            config.steps,
            console,
            "goes on with the cases that are made",
        )
    finally:
        if _holds_weights(out / "latent_balancer"):
            _make_model(out, vae_folder, photos)


_pair_cache = click.option(
    "--cache",
    type=options.PATH,
    metavar="DIR",
    help="Folder for the pairs, 3 GB for 10,000.  [default: beside --out, named OUT-pairs]",
)
_pairs = click.option(
    "--pairs", type=click.IntRange(1), metavar="N", help="Damaged views to train on (8,192)."
)
_weight_decay = click.option(
    "--weight-decay", type=click.FloatRange(0.0), metavar="X", help="How weights are held back."
)


@train.command("vae-white-balance")
@_common
@_pair_cache
@_pairs
def white_balance_command(
    photos: Path, out: Path, cache: Path | None, device: str, quiet: bool, **settings: Any
) -> None:
    """Train a VAE for white balance; DIR becomes a model for --model DIR.

    Views of the photos are rendered with a wrong white balance once and kept.

    \b
    vae-balance train vae-white-balance --photos photos --out my-model
    """
    _prepare()
    from vae_balance.correctors.vae_white_balance.corrector import NETWORK
    from vae_balance.correctors.vae_white_balance.train import (
        WhiteBalanceTraining,
        train_white_balance,
    )
    from vae_balance.models.device import choose_device

    pairs = cache or _beside(out, "pairs")
    place = str(choose_device(device))
    config = WhiteBalanceTraining(photos, out, pairs, device=place, **_given(**settings))
    try:
        _watch_making(
            lambda report, making: train_white_balance(config, report, making), config, quiet
        )
    finally:
        _describe(config, NETWORK, "vae-white-balance")


@train.command("unet")
@_common
@_pair_cache
@_pairs
@_weight_decay
@click.option(
    "--dropout",
    type=click.FloatRange(0.0, 1.0, max_open=True),
    metavar="X",
    help="Share of the bottom's channels that are dropped.",
)
def unet_command(
    photos: Path,
    out: Path,
    cache: Path | None,
    dropout: float | None,
    device: str,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a U-Net on pixels; DIR becomes a model for --model DIR.

    Views of the photos are damaged at random once, as for a latent balancer, and kept.

    \b
    vae-balance train unet --photos photos --out my-model
    """
    _prepare()
    from vae_balance.correctors.unet.corrector import NETWORK
    from vae_balance.correctors.unet.network import UNetConfig
    from vae_balance.correctors.unet.train import UNetTraining, train_unet
    from vae_balance.models.device import choose_device

    pairs = cache or _beside(out, "pairs")
    network = UNetConfig(**_given(dropout=dropout))
    place = str(choose_device(device))
    config = UNetTraining(photos, out, pairs, device=place, network=network, **_given(**settings))
    try:
        _watch_making(lambda report, making: train_unet(config, report, making), config, quiet)
    finally:
        _describe(config, NETWORK, "unet")


@train.command("colorize")
@_common
@click.option(
    "--design",
    type=click.Choice(["autoencoder", "fusion", "cross-channel"]),
    default="cross-channel",
    show_default=True,
    help="The kind of network.",
)
@click.option(
    "--loss",
    type=click.Choice(["l2", "huber", "pairwise", "classes"]),
    default="classes",
    show_default=True,
    help="What it learns by.",
)
@click.option(
    "--cache",
    type=options.PATH,
    metavar="DIR",
    help="Folder for the cases, 2.5 GB.  [default: beside --out, named OUT-cases]",
)
@click.option("--cases", type=click.IntRange(1), metavar="N", help="Views to train on (12,288).")
@_weight_decay
@click.option(
    "--start",
    type=options.PATH,
    metavar="DIR",
    help="Begin with the weights of this network of the same design (MODEL/colorizer).",
)
@click.option(
    "--front-after",
    type=click.IntRange(0),
    metavar="N",
    help="Steps until the convolution in front of the classifier learns too, which is slower "
    "(1,000; cross-channel).",
)
def colorize_command(
    photos: Path, out: Path, cache: Path | None, device: str, quiet: bool, **settings: Any
) -> None:
    """Train a network that colorizes grey photos; DIR becomes a model for --model DIR.

    What the frozen classifier sees in views of the photos is kept, and training goes by that. From
    step 1,000 on the cross-channel design trains its convolution in front of the classifier, too,
    which then looks at every view anew.

    \b
    vae-balance train colorize --photos photos --out my-colors --loss l2
    vae-balance colorize grey.jpg -o colored.jpg --model my-colors
    """
    _prepare()
    from vae_balance.correctors.colorize.networks import NETWORK_FOLDER, corrector_of
    from vae_balance.correctors.colorize.train import ColorizeTraining, train_colorizer
    from vae_balance.models.device import choose_device

    cases = cache or _beside(out, "cases")
    place = str(choose_device(device))
    config = ColorizeTraining(photos, out, cases, device=place, **_given(**settings))
    try:
        _watch_making(
            lambda report, making: train_colorizer(config, report, making), config, quiet, "cases"
        )
    finally:
        _describe(config, NETWORK_FOLDER, corrector_of(config.design))


@train.command("mixed-light")
@_common
@click.option(
    "--cache",
    type=options.PATH,
    metavar="DIR",
    help="Folder for the cases, 3.5 GB.  [default: beside --out, named OUT-cases]",
)
@click.option("--cases", type=click.IntRange(1), metavar="N", help="Views to train on (30,720).")
@click.option(
    "--base",
    default="embedded",
    show_default=True,
    metavar="NAME",
    help="The model whose latent balancer it begins with, and whose look the grid is added to.",
)
def mixed_light_command(
    photos: Path,
    out: Path,
    cache: Path | None,
    base: str,
    device: str,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a network for mixed light; DIR becomes a model for --model DIR.

    A copy of the latent balancer is taught to ask of every place what light falls there. Views of
    the photos are damaged from place to place, and what the frozen networks see in them is kept;
    training goes by that.

    \b
    vae-balance train mixed-light --photos photos --out my-light
    """
    _prepare()
    from vae_balance.correctors.mixed_light.predictor import NETWORK
    from vae_balance.correctors.mixed_light.train import LocalTraining, train_mixed_light
    from vae_balance.models.device import choose_device

    cases = cache or _beside(out, "cases")
    place = str(choose_device(device))
    config = LocalTraining(photos, base, out, cases, device=place, **_given(**settings))
    try:
        _watch_making(
            lambda report, making: train_mixed_light(config, report, making), config, quiet, "cases"
        )
    finally:
        _describe(config, NETWORK, "mixed-light")


@train.command("prove")
@options.photo_folder
@click.option("--out", required=True, type=options.PATH, metavar="DIR", help="Folder for the runs.")
@click.option(
    "--cache",
    type=options.PATH,
    metavar="DIR",
    help="Folder for cases and pairs.  [default: beside --out, named OUT-cache]",
)
@click.option(
    "--views",
    type=click.IntRange(1),
    default=4096,
    show_default=True,
    metavar="N",
    help="Damaged views to train on.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0.0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="X",
    help="Of one core for each run; the U-Net that is followed gets three times as many.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=26,
    show_default=True,
    metavar="N",
    help="Measure on N held-out photos, evenly spaced.",
)
@options.page
@options.device
@options.quiet
def prove_command(
    photos: Path,
    out: Path,
    cache: Path | None,
    views: int,
    minutes: float,
    limit: int,
    page: Path | None,
    device: str,
    quiet: bool,
) -> None:
    """Train a latent balancer and a U-Net on pixels beside each other, and compare them.

    Four runs: each with and without weight decay and dropout. What is done is not done again. The
    page tells seconds an epoch, errors after equal time, and what ten rounds of each do.

    \b
    vae-balance train prove --photos photos --out runs/proof --page docs/prove-it.md
    """
    _prepare()
    from vae_balance.evaluation.proof_page import prove
    from vae_balance.evaluation.prove_it import NAMES, Proof, train_proof
    from vae_balance.models.device import choose_device
    from vae_balance.models.store import EMBEDDED, find_vae

    kept = cache or _beside(out, "cache")
    config = Proof(
        photos,
        find_vae(EMBEDDED),
        out,
        kept / "cases",
        kept / "pairs",
        minutes,
        NAMES,
        views,
        limit,
        str(choose_device(device)),
    )
    console = Console(quiet)
    making = MakingLine()

    def told(what: str, made: int, total: int) -> None:
        console.line(making.describe(what, made, total, time.monotonic()))

    def follow(row: dict[str, float]) -> None:
        console.line("  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    for run in train_proof(config, follow, told):
        console.note(f"{run.name}: {run.seconds_an_epoch(views):.3g} s for an epoch")
    prove(config, page or out / "prove-it.md", console.line)


def _beside(out: Path, what: str) -> Path:
    """Return the folder beside a run's in which what it is trained on is kept."""
    whole = real_path(out)
    return whole.with_name(f"{whole.name}-{what}")


def _watch_making(
    run: Callable[[Callable[[dict[str, float]], None], Making], object],
    config: PairTraining | ColorizeTraining | LocalTraining,
    quiet: bool,
    what: str = "pairs",
) -> None:
    """Run a training on pairs or the like, which are made first, with a live line for both."""
    console = Console(quiet)
    making = MakingLine()

    def told(what: str, made: int, total: int) -> None:
        console.line(making.describe(what, made, total, time.monotonic()))

    _watch(
        lambda report: run(report, told),
        config.out,
        config.steps,
        console,
        f"goes on with the {what} that are made",
    )


def _describe(
    config: PairTraining | ColorizeTraining | LocalTraining, result: str, corrector: str
) -> None:
    """Describe what a training on pairs has left, so that it makes a model."""
    from vae_balance.models.store import write_info

    if _holds_weights(config.out / result):
        name = real_path(config.out).name
        source = f"trained on {config.photos.name}"
        write_info(config.out, name, "1", "not stated", source, corrector)


def _holds_weights(network: Path) -> bool:
    """Tell whether training has left a network in its folder."""
    from vae_balance.models.folder import WEIGHTS_NAME

    return (network / WEIGHTS_NAME).is_file()


def _prepare() -> None:
    require_extra("train")
    keep_freed_memory()


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _watch(
    run: Callable[[Callable[[dict[str, float]], None]], object],
    out: Path,
    steps: int,
    console: Console,
    otherwise: str = "starts again",
) -> None:
    """Run a training with a live line, and plot its losses, also when it is stopped."""
    progress = TrainingLine(steps)
    try:
        run(lambda row: console.line(progress.describe(row, time.monotonic())))
    except KeyboardInterrupt:
        kept = (out / "checkpoint.pt").exists()
        then = "goes on from its last checkpoint" if kept else otherwise
        click.echo(f"\nvae-balance: stopped; the same command {then}", err=True)
        raise
    finally:
        log = out / "log.jsonl"
        if log.is_file():
            from vae_balance.training.plots import plot_losses

            plot_losses(log, out / "losses.png")
            console.note(f"losses: {out / 'losses.png'}")


@dataclass
class TrainingLine:
    """The line that tells how far a training is.

    Attributes:
        steps: of the whole run.
    """

    steps: int
    _first: tuple[float, float] | None = None
    _watched: dict[str, float] | None = None

    def describe(self, row: dict[str, float], now: float) -> str:
        """Return step, losses, speed and remaining time; `now` in seconds of any clock."""
        step = row["step"]
        self._first = self._first or (step, now)
        values = {name: value for name, value in row.items() if name != "step"}
        watched = {name: value for name, value in values.items() if name.startswith("watch")}
        self._watched = watched or self._watched or {}
        parts = [f"step {step:.0f}/{self.steps}"]
        parts += [f"{name} {value:.3g}" for name, value in (values | self._watched).items()]
        return "  ".join([*parts, *_speed(self._first, (step, now), self.steps, "steps")])


@dataclass
class MakingLine:
    """The line that tells how many cases are made."""

    _what: str = ""
    _first: tuple[float, float] = (0.0, 0.0)

    def describe(self, what: str, made: int, total: int, now: float) -> str:
        """Return how many of `what` are made, speed and remaining time; `now` as above."""
        if what != self._what:
            self._what, self._first = what, (made, now)
        speed = _speed(self._first, (made, now), total, "cases")
        return "  ".join([f"{what} {made}/{total}", *speed])


def _speed(
    first: tuple[float, float], last: tuple[float, float], total: float, unit: str
) -> list[str]:
    """Return speed and remaining time of work that was so far done at two times."""
    done, passed = last[0] - first[0], last[1] - first[1]
    if done <= 0 or passed <= 0:
        return []
    rate = done / passed
    return [f"{rate:.2g} {unit}/s", f"{_duration((total - last[0]) / rate)} left"]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _make_model(folder: Path, vae: Path, photos: Path) -> None:
    """Put the VAE beside the latent balancer and describe both, so that they make a model."""
    from vae_balance.models.store import write_info

    if real_path(vae) != real_path(folder / "vae"):
        make_folder(folder / "vae")
        for file in (path for path in vae.iterdir() if path.is_file()):
            with atomic_write(folder / "vae" / file.name, overwrite=True) as temporary:
                temporary.write_bytes(file.read_bytes())
    write_info(folder, real_path(folder).name, "1", "not stated", f"trained on {photos.name}")
