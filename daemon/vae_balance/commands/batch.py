"""`vae-balance batch`: a folder of photos, by the daemon or on a cluster, resumable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_balance.commands import options
from vae_balance.commands.console import INTERRUPTED, Console, interruption, require_extra
from vae_balance.errors import (
    BalanceError,
    ImageError,
    OptionError,
    OutputExistsError,
    error_of,
)
from vae_balance.files import make_folder, real_path
from vae_balance_protocol.options import JOBS, LEARNING, TONE, TREATING

if TYPE_CHECKING:
    from vae_balance.batch.dask_runner import Cluster
    from vae_balance.batch.plan import Folders, Planned
    from vae_balance.batch.report import Line, Report
    from vae_balance.correctors.corrector import Wants
    from vae_balance.models.store import ModelInfo
    from vae_balance_protocol.client import Client

_SHEET_NAME = "contact-sheet.jpg"
_MOST_ON_A_SHEET = 4000  # photos, where nobody asks for one: a hundred pages


@click.command()
@click.argument("in_dir", type=options.PATH)
@click.argument("out_dir", type=options.PATH)
@click.option("--recursive", "-r", is_flag=True, help="Look into the folders of IN_DIR, too.")
@click.option(
    "--roll", is_flag=True, help="Learn one look from all photos: a roll shares its fault."
)
@options.any_look
@click.option(
    "--lut-dir",
    "--cube-dir",
    "cube_dir",
    type=options.PATH,
    metavar="DIR",
    help="Folder for looks: scan.tif.cube of scan.tif, or roll.cube with --roll.",
)
@options.option(JOBS)
@click.option(
    "--report",
    type=options.PATH,
    metavar="FILE.jsonl",
    help="What became of each photo, one JSON line each; a later run goes on from it.  "
    "[default: vae-balance-report.jsonl in OUT_DIR]",
)
@click.option(
    "--contact-sheet",
    type=options.PATH,
    metavar="FILE",
    help=f"All photos before and after, .jpg or .png.  [default: {_SHEET_NAME} in OUT_DIR]",
)
@click.option("--no-contact-sheet", is_flag=True, help="Make none.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Have workers of a Dask cluster do it: tcp://HOST:8786, tls://HOST:8786, or local for "
    "processes on this computer. See docs/archive.md.",
)
@click.option(
    "--tls-ca-file", type=options.PATH, metavar="FILE", help="Of tls://: whom to trust, PEM."
)
@click.option(
    "--tls-cert", type=options.PATH, metavar="FILE", help="Of tls://: our certificate, PEM."
)
@click.option(
    "--tls-key",
    type=options.PATH,
    metavar="FILE",
    help="Of tls://: its key, where it has a file of its own.",
)
@options.force
@options.as_json
@options.quiet
def batch(
    in_dir: Path,
    out_dir: Path,
    recursive: bool,
    roll: bool,
    look: dict[str, Any],
    cube_dir: Path | None,
    jobs: int,
    report: Path | None,
    contact_sheet: Path | None,
    no_contact_sheet: bool,
    scheduler: str | None,
    tls_ca_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Balance all photos of IN_DIR; they keep their names in OUT_DIR.

    The daemon does the work, and is started if there is none; with --scheduler a Dask cluster does
    it. The same command again, after Ctrl-C for instance, does what is new or changed and skips the
    rest.

    \b
    vae-balance batch scans balanced --recursive
    vae-balance batch roll-12 balanced --roll --lut-dir looks
    vae-balance batch archive balanced --recursive --scheduler tcp://10.0.0.1:8786
    """
    from vae_balance.batch.plan import Folders, check_targets, find_photos, plan_photos, settings_of
    from vae_balance.batch.report import REPORT_NAME, held_report
    from vae_balance.correctors.registry import options_of, wants_of
    from vae_balance.models.store import find_model
    from vae_balance.pipeline import check_roll, check_seed
    from vae_balance_protocol.messages import PROXIES

    if no_contact_sheet and contact_sheet is not None:
        raise click.UsageError("give either --contact-sheet FILE or --no-contact-sheet")
    cluster = _cluster(scheduler, tls_ca_file, tls_cert, tls_key)
    folders = Folders(real_path(in_dir), real_path(out_dir), cube_dir and real_path(cube_dir))
    if folders.targets == folders.sources:
        raise OptionError(f"{out_dir}: is the folder of the photos: choose another one")
    found = find_photos(folders.sources, recursive, folders.targets)
    check_targets(found.photos, folders.targets)
    sheet = None
    if contact_sheet is not None or not (no_contact_sheet or len(found.photos) > _MOST_ON_A_SHEET):
        sheet = real_path(contact_sheet or out_dir / _SHEET_NAME)
        _check_sheet(sheet, folders, found.photos, force)
    info = find_model(look["model"])
    wants = wants_of(info)
    console = Console(quiet)
    if roll and wants.colors == "grey":
        console.tell(f"model {info.name} colors each photo by itself: --roll changes nothing")
        roll = False
    if roll:
        check_roll(wants, info.name)
    check_seed(look["seed"], options_of(info), info.name)
    chosen = {row.name: look[row.name] for row in (*LEARNING, TONE, *TREATING)}
    together = [folders.sources / photo for photo in found.photos] if roll else []
    settings = settings_of(chosen, look["proxy"] or wants.part, info, together)
    make_folder(folders.targets)
    held = held_report(real_path(report or out_dir / REPORT_NAME))
    report_file = click.get_current_context().with_resource(held)

    if found.passed_over:
        console.tell(f"{in_dir}: passed over, as no photos by their names: {found.told()}")
    if len(together) > PROXIES:
        console.note(f"the look of the roll is learned from {PROXIES} photos, evenly picked")
    results = _Results(len(found.photos), force or roll, console, as_json or sheet is not None)
    planned = results.passed(plan_photos(found.photos, folders, roll, settings, report_file))
    fields = {**look, "roll": roll, "jobs": jobs, "model": _for_others(look["model"], info)}
    work = _Work(planned, folders, fields, force, settings, report_file, results, console)
    if cluster is None:
        work.ask_the_daemon()
    else:
        work.ask_the_cluster(cluster, info, wants)
    pages: list[Path] = []
    if sheet is not None:
        with console.going_on(sheet):
            pages = _make_sheet(results, sheet, folders, force, console)
    elif not no_contact_sheet:
        text = "no contact sheet of more than {} photos, unless --contact-sheet asks for it"
        console.note(text.format(_MOST_ON_A_SHEET))
    if as_json:
        document = {
            "photos": results.to_json(),
            "passed_over": dict(found.passed_over),
            "report": str(report_file.path),
            "contact_sheet": [str(page) for page in pages],
        }
        click.echo(json.dumps(document, indent=2))
    console.note(f"{results} -> {out_dir}")
    console.end()


def _cluster(
    scheduler: str | None, ca_file: Path | None, cert: Path | None, key: Path | None
) -> Cluster | None:
    """Return the cluster that was asked for, if one was.

    Raises:
        OptionError: the options do not go together, or Dask is not installed.
    """
    if scheduler is None:
        if ca_file or cert or key:
            raise click.UsageError("--tls-ca-file, --tls-cert and --tls-key are of --scheduler")
        return None
    require_extra("cluster")
    from vae_balance.batch.dask_runner import Cluster

    return Cluster(scheduler, ca_file, cert, key)


@dataclass(frozen=True)
class _Work:
    """A batch that was planned, and whom to ask for it.

    Attributes:
        planned: all photos of the batch, planned as they are asked for.
        fields: options of the verb `batch`.
        force: overwrite what is in the place of outputs.
        settings: what the results depend on, for the report.
    """

    planned: Iterator[Planned]
    folders: Folders
    fields: dict[str, Any]
    force: bool
    settings: dict[str, Any]
    report: Report
    results: _Results
    console: Console

    def ask_the_daemon(self) -> None:
        """Have photos done by the daemon, and keep what becomes of them.

        Raises:
            BalanceError: the daemon cannot be started, refuses or is lost.
            click.exceptions.Exit: Ctrl-C was pressed.
        """
        from vae_balance.batch.plan import outputs_of, plan_requests
        from vae_balance.batch.request import run_request

        requests = plan_requests(self.planned, self.fields["roll"], self.force)
        first = next(requests, None)
        if first is None:
            return
        with (
            _daemon(self.console) as client,
            interruption() as interrupted,
            self.console.paced_bar("balancing") as move,
            self.report.begun() as begin,
        ):
            for request in chain([first], requests):
                begin(outputs_of(request))
                self._show(move)
                ask = run_request(
                    client,
                    request,
                    self.fields,
                    self.settings,
                    self.report,
                    interrupted.is_set,
                )
                for photo, line in ask:
                    self.results.add(photo, line)
                    self._show(move)
                if interrupted.is_set():
                    self._end_interrupted()

    def ask_the_cluster(self, cluster: Cluster, info: ModelInfo, wants: Wants) -> None:
        """Have photos done by the workers of a cluster, and keep what becomes of them.

        Raises:
            BalanceError: the cluster cannot be reached, is lost, or has no worker that can do it.
            click.exceptions.Exit: Ctrl-C was pressed.
        """
        from vae_balance.batch.dask_runner import DaskRunner
        from vae_balance.batch.dask_worker import Order
        from vae_balance.batch.plan import plan_alone, plan_roll
        from vae_balance.batch.run import run_requests
        from vae_balance.correctors.corrector import LookOptions
        from vae_balance.files import process_umask
        from vae_balance.models.store import description_sha256
        from vae_balance.pipeline import How

        roll = self.fields["roll"]
        if roll:
            whole = plan_roll(list(self.planned), self.force)
            requests = iter([whole] if whole else [])
        else:
            requests = plan_alone(self.planned, self.force)
        first = next(requests, None)
        if first is None:
            return
        cubes = self.folders.cubes
        if cubes is not None:
            make_folder(cubes)
        how = How.of(self.fields, umask=process_umask(), wants=wants)
        look = LookOptions.of(self.fields)
        order = Order(self.fields["model"], description_sha256(info), look, how)
        with (
            interruption() as interrupted,
            self.console.paced_bar("balancing") as move,
            self.report.begun() as begin,
        ):
            runner = DaskRunner(
                cluster,
                order,
                self.folders.sources,
                [self.folders.targets, *([cubes] if cubes else [])],
                self.fields["jobs"],
                lambda: not interrupted.is_set(),
                self.console.tell,
            )

            def told(photo: Planned, line: Line) -> None:
                self.results.add(photo, line)
                self._show(move)

            self._show(move)
            run_requests(
                runner,
                chain([first], requests),
                how,
                roll,
                self.settings,
                self.report,
                begin,
                told,
            )
            if interrupted.is_set():
                self._end_interrupted()

    def _show(self, move: Callable[[int, int, str], None]) -> None:
        done, total = self.results.count(), self.results.total()
        move(done, total, self.results.pace.text(total - done))

    def _end_interrupted(self) -> None:
        text = f"interrupted: {self.results}; the same command goes on"
        click.echo(f"\nvae-balance: {text}", err=True)
        raise click.exceptions.Exit(INTERRUPTED)


class _Results:
    """What became of the photos of a batch; tells people of those that failed.

    Attributes:
        pace: of the photos that were done or failed in this run.

    Args:
        total: how many photos there are.
        replaces: what is in the place of outputs is overwritten, or refused for all together.
        console: where failures are told.
        keeps: remember more than numbers, for the contact sheet and `to_json`.
    """

    def __init__(self, total: int, replaces: bool, console: Console, keeps: bool) -> None:
        from vae_balance.batch.pace import Pace

        self.pace = Pace()
        self._total = total
        self._replaces = replaces
        self._console = console
        self._keeps = keeps
        self._outcomes: Counter[str] = Counter()
        self._planned: list[Planned] = []
        self._by_source: dict[Path, dict[str, Any]] = {}

    def passed(self, planned: Iterable[Planned]) -> Iterator[Planned]:
        """Pass planned photos on; what is done, or may not be done, has a result at once."""
        from vae_balance.batch.plan import State

        for photo in planned:
            if self._keeps:
                self._planned.append(photo)
            if photo.state is State.DONE:
                self._add(photo, {"outcome": "skipped"})
            elif photo.state is State.NAMELESS:
                self._fail(photo, ImageError(f"{photo.source}: its path is not Unicode: rename it"))
            elif photo.state is State.TAKEN and not self._replaces:
                advice = "is not of this batch, or was changed since; give --force to overwrite it"
                self._fail(photo, OutputExistsError(f"{photo.taken}: {advice}"))
            yield photo

    def __str__(self) -> str:
        """Count the photos by what became of them."""
        words = {"done": "done", "skipped": "done before", "failed": "failed"}
        counts = [f"{self._outcomes[o]} {word}" for o, word in words.items() if self._outcomes[o]]
        rest = self.total() - self.count()
        return ", ".join(counts + [f"{rest} to do"] * bool(rest))

    def count(self) -> int:
        """Return how many photos have a result."""
        return self._outcomes.total()

    def total(self) -> int:
        """Return how many photos there are."""
        return self._total

    def add(self, photo: Planned, line: Line) -> None:
        """Add what was told of a photo."""
        self.pace.count()
        if line.outcome == "failed":
            self._fail(photo, error_of(line.code, line.message))
            return
        result = {"outcome": "done", "lut_sha256": line.look, "device": line.device}
        self._add(photo, {**result, "seconds": line.seconds})

    def any_new(self) -> bool:
        """Tell whether a photo was done in this run."""
        return self._outcomes["done"] > 0

    def balanced(self) -> list[Planned]:
        """Return the photos whose results are there."""
        failed = {"outcome": "failed"}
        return [
            photo
            for photo in self._planned
            if self._by_source.get(photo.source, failed)["outcome"] != "failed"
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the results in the order of the photos."""
        return [
            {"photo": str(p.source), "output": str(p.target), **self._by_source[p.source]}
            for p in self._planned
        ]

    def _fail(self, photo: Planned, error: BalanceError) -> None:
        result: dict[str, Any] = {"outcome": "failed"}
        with self._console.going_on(photo.source, result):
            raise error
        self._add(photo, result)

    def _add(self, photo: Planned, result: dict[str, Any]) -> None:
        self._outcomes[result["outcome"]] += 1
        if self._keeps:
            self._by_source[photo.source] = result


def _check_sheet(sheet: Path, folders: Folders, photos: Sequence[str], force: bool) -> None:
    """Check, before any work, that the contact sheet can be where it is wanted.

    Raises:
        OptionError: it would be taken for a photo, or replace one, or has another suffix.
        OutputExistsError: something else is there, without `force`.
    """
    from vae_balance.batch.contact_sheet import check_replaceable, sheet_pages

    pages = sheet_pages(sheet, len(photos))
    targets = {folders.targets / photo for photo in photos}
    for page in pages:
        among = folders.sources in page.parents and folders.targets not in page.parents
        if among or page in targets:
            raise OptionError(
                f"{page}: a contact sheet here would be taken for a photo or replace one: "
                "give another place with --contact-sheet"
            )
        if not force:
            check_replaceable(page)


def _make_sheet(
    results: _Results, sheet: Path, folders: Folders, force: bool, console: Console
) -> list[Path]:
    """Write the contact sheet of all photos that are done, now or before."""
    from vae_balance.batch.contact_sheet import Pair, sheet_pages, write_sheet

    pairs = [
        Pair(photo.source.relative_to(folders.sources).as_posix(), photo.source, photo.target)
        for photo in results.balanced()
    ]
    pages = sheet_pages(sheet, len(pairs)) if pairs else []
    if not results.any_new() and all(page.exists() for page in pages):
        return pages
    title = f"{folders.sources.name} ({len(pairs)})"
    with console.bar("contact sheet") as move:
        return write_sheet(pairs, sheet, title, overwrite=force, progress=move)


def _for_others(model: str, info: ModelInfo) -> str:
    """Return the model as processes find it that run in other folders than this one."""
    return str(real_path(info.folder)) if Path(model) == info.folder else model


@contextmanager
def _daemon(console: Console) -> Iterator[Client]:
    """Connect to the daemon, which is started if there is none.

    Raises:
        BalanceError: it cannot be started, refuses or is lost.
    """
    from vae_balance.commands.same_version import connect
    from vae_balance_protocol import ConnectionLost, DaemonError
    from vae_balance_protocol.messages import CANCELLED, STOPPING

    try:
        with connect("vae-balance batch", console) as client:
            yield client
    except ConnectionLost as error:
        raise BalanceError(f"{error.message}; the same command goes on") from error
    except DaemonError as error:
        if error.code in (CANCELLED, STOPPING):
            raise BalanceError("the daemon was stopped; the same command goes on") from error
        raise error_of(error.code, error.message) from error
