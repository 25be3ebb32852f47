"""The speed of archives: many photos planned, begun and resumed, and workers beside each other.

The photos are hard links to one small photo, so that there can be as many as wanted. A finished
batch is made of links to one result, with the lines that the report would have.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vae_balance.batch.photo_line import line_of
from vae_balance.batch.plan import Folders, State, plan_photos
from vae_balance.batch.report import REPORT_NAME, Line, Report, Stamp
from vae_balance.benchmark.tools import peak_memory, python_environment, run_python, sample_photo
from vae_balance.errors import BalanceError
from vae_balance.evaluation.targets import Target

# What the targets speak of.
FULL_SIZE = 24.0  # megapixels
ABOUT = """
A batch by `--scheduler` on this computer; "of a core" is processor time, which other work on the
computer does not lengthen. The photos of the first rows are hard links to one of
0.06 megapixels. Workers have one thread each; "beyond reading and writing" compares how long they
shrink, learn and apply, as all of them have one disk here. The last row is what a photo costs in
one worker alone: [archive.md](archive.md) reckons with it.
"""

_SMALL = 0.06  # megapixels
_LINKS = 20_000  # to one file; file systems have limits
_WAIT_SECONDS = 300.0
_POLL_SECONDS = 0.01
_PHOTOS_OF_A_WORKER = 6  # of one run that is timed
_PHOTO_SECONDS = 3.0  # the target for one of 24 megapixels
_STAGES = ("read", "shrink", "apply", "write")  # all others are learning
_PLAN = """
import sys
from pathlib import Path
from vae_balance.batch.plan import Folders, check_targets, find_photos, plan_photos
from vae_balance.batch.report import Report
source, target = map(Path, sys.argv[1:])
found = find_photos(source, True, target)
check_targets(found.photos, target)
report = Report(target / "report.jsonl")
planned = plan_photos(found.photos, Folders(source, target, None), False, {}, report)
assert sum(1 for photo in planned if photo.state.name == "NEW") == len(found.photos)
"""

# Called with the number of measurements done and of all, and with the one that begins.
Told = Callable[[int, int, str], None]


def benchmark_archive(
    model: str,
    photos: int,
    megapixels: float = FULL_SIZE,
    told: Told = lambda done, total, what: None,
    repeats: int = 3,
) -> list[Target]:
    """Measure what batches on a cluster cost.

    Args:
        model: its name or folder.
        photos: of the archive that is planned, begun and resumed.
        megapixels: of the photos that workers are timed with.
        told: called before every measurement.
        repeats: of what workers do beside each other, of which the median is taken.

    Raises:
        BalanceError: a program that was started failed.
    """
    workers = cores()
    steps = ["links", "planning", "beginning", "resuming", "workers"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        told(0, len(steps), steps[0])
        archive = _Archive(folder / "in", folder / "out", model)
        archive.fill(photos)
        told(1, len(steps), steps[1])
        rows = [*archive.plan(photos)]
        told(2, len(steps), steps[2])
        address = stack.enter_context(cluster(folder / "all", workers))
        rows += archive.begin(address)
        told(3, len(steps), steps[3])
        archive.finish()
        rows += archive.resume(photos, address)
        told(4, len(steps), steps[4])
        alone = stack.enter_context(cluster(folder / "one", 1))
        rows += _measure_workers(folder, model, megapixels, (alone, address), workers, repeats)
    told(len(steps), len(steps), "")
    return rows


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[str]:
    """Start a scheduler and workers with one thread each on loopback; yield its address."""
    folder.mkdir()
    file, log = folder / "scheduler.json", folder / "log"
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with ExitStack() as stack, log.open("wb") as output:
        stack.enter_context(_dask([*scheduler, "--scheduler-file", str(file)], output))
        deadline = time.monotonic() + _WAIT_SECONDS
        while not (file.exists() and file.read_text().strip().endswith("}")):
            if time.monotonic() > deadline:
                raise BalanceError(f"the scheduler does not start: {log.read_text()[-300:]}")
            time.sleep(_POLL_SECONDS)
        address: str = json.loads(file.read_text())["address"]
        options = ["--nworkers", str(workers), "--nthreads", "1", "--no-dashboard"]
        options += ["--local-directory", str(folder)]
        stack.enter_context(_dask(["worker", address, *options], output))
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=_WAIT_SECONDS)
        yield address


@contextmanager
def _dask(arguments: Sequence[str], output: Any) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        stdout=output,
        stderr=output,
        env=python_environment(),
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class _Archive:
    """Many photos, and the batch that does them.

    Attributes:
        sources: the folder of the photos.
        targets: of the results.
        model: its name or folder.
    """

    sources: Path
    targets: Path
    model: str

    def fill(self, count: int) -> None:
        """Make so many photos."""
        self.sources.mkdir()
        self.targets.mkdir()
        original = self.sources / f"{0:07d}.jpg"
        Image.fromarray(sample_photo(_SMALL)).save(original, quality=92)
        _link(original, [self.sources / f"{number:07d}.jpg" for number in range(1, count)])

    def plan(self, count: int) -> list[Target]:
        """Plan all photos in a process of its own."""
        arguments = ["-c", _PLAN, str(self.sources), str(self.targets)]
        seconds, peak, processor = _timed([sys.executable, *arguments])
        detail = f"{processor:.1f} s of a core"
        return [
            Target(f"planning {count} photos of one folder", seconds, 20.0, "s", detail=detail),
            Target(f"planning {count} photos: peak memory", peak, 300.0, "MB"),
        ]

    def begin(self, address: str) -> list[Target]:
        """Start the command twice, until a photo is done: at workers just started, and again."""
        cold = self._first_photo(address)
        before = _processor_seconds()
        warm = self._first_photo(address)
        processor = _processor_seconds() - before
        name = "start of the command until the first photo is done, at workers that have the model"
        detail = (
            f"{processor:.1f} s of a core in the command; at workers just started: {cold:.2f} s"
        )
        return [Target(name, warm, 5.0, "s", detail=detail)]

    def finish(self) -> None:
        """Bring the batch to its end: a result and a line for every photo that has none."""
        path = self.targets / REPORT_NAME
        first = Line.from_json(path.read_bytes().splitlines()[0])
        report = Report(path)
        names = sorted(entry.name for entry in os.scandir(self.sources))
        folders = Folders(self.sources, self.targets, None)
        planned = list(plan_photos(names, folders, False, first.settings, report))
        todo = [photo for photo in planned if photo.state is not State.DONE]
        for photo in todo:
            photo.target.unlink(missing_ok=True)
        _link(Path(first.target), [photo.target for photo in todo])
        for photo in todo:
            report.append(line_of(photo, Stamp.of(photo.source), first.settings, vars(first)))

    def resume(self, count: int, address: str) -> list[Target]:
        """Start the command again when all is done."""
        seconds, peak, processor = _timed(self._command(address))
        detail = f"{processor:.1f} s of a core, peak memory {peak:.0f} MB"
        name = f"resuming a finished batch of {count} photos"
        return [Target(name, seconds, 20.0, "s", detail=detail)]

    def _command(self, address: str) -> list[str]:
        command = [sys.executable, "-m", "vae_balance", "batch"]
        command += [str(self.sources), str(self.targets), "--scheduler", address]
        return [*command, "--model", self.model, "--no-contact-sheet"]

    def _first_photo(self, address: str) -> float:
        """Return the seconds from the start of the command until a photo is done; stop it then."""
        report = self.targets / REPORT_NAME
        before = report.stat().st_size if report.exists() else 0
        began = time.perf_counter()
        process = subprocess.Popen(
            self._command(address),
            stderr=subprocess.PIPE,
            env=python_environment(),
            text=True,
        )
        while not report.exists() or report.stat().st_size == before:
            if process.poll() is not None:
                assert process.stderr is not None
                raise BalanceError(f"the batch ended early: {process.stderr.read()[-300:]}")
            time.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - began
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_WAIT_SECONDS)
        return seconds


def _measure_workers(
    folder: Path,
    model: str,
    megapixels: float,
    addresses: tuple[str, str],
    workers: int,
    repeats: int,
) -> list[Target]:
    """Compare one worker with as many as there are cores, and tell what a photo costs."""
    sources = folder / "large"
    sources.mkdir()
    original = folder / "large.jpg"
    Image.fromarray(sample_photo(megapixels)).save(original, quality=92)
    for number in range(_PHOTOS_OF_A_WORKER * workers):
        shutil.copy(original, sources / f"{number:03d}.jpg")
    timed: list[list[_Timed]] = [[], []]
    for _ in range(repeats):
        for runs, address, count in zip(timed, addresses, (1, workers), strict=True):
            runs.append(_run(sources, folder / "large-out", model, address, count))
    alone = timed[0]
    computing = statistics.median(
        workers * one.computing / all_.computing for one, all_ in zip(*timed, strict=True)
    )
    whole = statistics.median(one.seconds / all_.seconds for one, all_ in zip(*timed, strict=True))
    best = [min(run.seconds for run in runs) for runs in timed]
    detail = f"all included {whole:.2f}; {best[0]:.2f} and {best[1]:.2f} s a photo at best"
    size = f"{megapixels:g} megapixels"
    stages = {
        name: statistics.median(run.stages[name] for run in alone) for name in alone[0].stages
    }
    told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in stages.items())
    return [
        Target(
            f"{workers} workers / one worker, {size}, beyond reading and writing",
            computing,
            0.9 * workers,
            at_most=False,
            detail=detail,
        ),
        Target(
            f"a JPEG of {size} in a worker",
            sum(stages.values()),
            _PHOTO_SECONDS * megapixels / FULL_SIZE,
            "s",
            detail=f"{told} s",
        ),
    ]


@dataclass(frozen=True)
class _Timed:
    """A run.

    Attributes:
        seconds: for each photo, when all workers have begun, until the last one is done.
        stages: median seconds of a photo.
    """

    seconds: float
    stages: dict[str, float]

    @property
    def computing(self) -> float:
        """Seconds of a photo beyond reading and writing."""
        return self.stages["shrink"] + self.stages["learn"] + self.stages["apply"]


def _run(sources: Path, targets: Path, model: str, address: str, workers: int) -> _Timed:
    command = ["-m", "vae_balance", "batch", str(sources), str(targets), "--model", model]
    shutil.rmtree(targets, ignore_errors=True)
    run_python([*command, "--scheduler", address, "--no-contact-sheet"])
    lines = [Line.from_json(text) for text in (targets / REPORT_NAME).read_bytes().splitlines()]
    done = sorted(Path(line.target).stat().st_mtime for line in lines)
    seconds = (done[-1] - done[workers - 1]) / (len(done) - workers)
    stages = [_stages(line.seconds) for line in lines]
    return _Timed(
        seconds, {name: statistics.median(one[name] for one in stages) for name in stages[0]}
    )


def _stages(seconds: dict[str, float]) -> dict[str, float]:
    """Return the seconds of a photo with all stages of learning as one."""
    learn = sum(value for name, value in seconds.items() if name not in _STAGES)
    return {**{name: seconds[name] for name in _STAGES[:2]}, "learn": learn} | {
        name: seconds[name] for name in _STAGES[2:]
    }


def _timed(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, its peak megabytes, and its seconds of a core."""
    began, before = time.perf_counter(), _processor_seconds()
    peak = peak_memory(command)
    return time.perf_counter() - began, peak / 1e6, _processor_seconds() - before


def _processor_seconds() -> float:
    """Return the processor time of all processes that were started here and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _link(original: Path, links: Sequence[Path]) -> None:
    """Make files that are one file on the disk, or a few where a file may have few links."""
    for first in range(0, len(links), _LINKS):
        shutil.copy2(original, links[first])
        for link in links[first + 1 : first + _LINKS]:
            link.hardlink_to(links[first])
