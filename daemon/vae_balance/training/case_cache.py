"""Cases made once and trained from many times: shards of arrays on disk.

The frozen networks of a corrector do not change while it is trained. What they make of a case (a
view of a photo and a damaged copy of it) is kept, so that a step of training costs a fraction of a
second. A cache is a folder:

    made_by.json        what the cases were made with
    train-0000/         a shard: one .npy file a field, whose first axis counts the cases
    train-0001/ ...
    watch-0000/         cases that are not trained on

A case follows from the name of its set and its number alone: a run that was interrupted makes the
same cases as one that was not.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import filelock
import numpy as np
import torch
from numpy.typing import NDArray

from vae_balance.errors import BalanceError, OptionError
from vae_balance.files import atomic_write, make_folder
from vae_balance.training.allocator import keep_freed_memory
from vae_balance.training.photos import made_ahead

T = TypeVar("T")
# Arrays by name, whose first axis counts the cases.
Fields = dict[str, NDArray[Any]]
# Called with what is made, the number made and the number to be made.
Making = Callable[[str, int, int], None]

# Cases of a shard, and of those that go through the networks together.
SHARD, BATCH_SIZE = 1024, 16
# After so many steps of training one shard takes the place of another in memory.
STEPS_A_SHARD = 24
_MADE_BY, _LOCK, _PART = "made_by.json", ".lock", ".part"


class CaseMaker(Protocol):
    """Makes cases of a set."""

    def __call__(self, shard: int, first: int, count: int) -> Fields:
        """Make `count` cases of a shard, from number `first` on."""


# Made anew in every process, which pays for photos and networks once; it must be picklable.
Recipe = Callable[[], CaseMaker]


@dataclass(frozen=True)
class CaseCache:
    """A folder of cases.

    Attributes:
        folder: where they lie; made when missing.
        made_by: what they are made with: name -> checksum or version.
    """

    folder: Path
    made_by: Mapping[str, str]

    def open(self) -> None:
        """Make the folder, or check that its cases were made with the same.

        Raises:
            OptionError: they were made with something else.
            BalanceError: the folder cannot be made or written.
        """
        make_folder(self.folder)
        path = self.folder / _MADE_BY
        if not path.exists():
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(dict(self.made_by), indent=2) + "\n", "utf-8")
        try:
            found = dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise OptionError(f"{path}: does not tell what made these cases: {error}") from error
        for name, value in self.made_by.items():
            if found.get(name) != value:
                raise OptionError(
                    f"{self.folder}: its cases were made with another {name} "
                    f"({found.get(name)!s:.12}, not {value:.12}); give another --cache DIR, or "
                    "delete this one"
                )

    def shards(self, name: str, cases: int) -> list[Path]:
        """Return the folders of the shards that hold the first `cases` cases of a set."""
        return [self._shard(name, number) for number in range(math.ceil(cases / SHARD))]

    def fill(
        self,
        name: str,
        cases: int,
        recipe: Recipe,
        processes: int,
        making: Making,
        what: str = "cases",
    ) -> list[Path]:
        """Make what is missing of the first `cases` cases of a set; return their shards.

        Args:
            name: of the set.
            cases: how many it must have.
            recipe: makes them.
            processes: that make them.
            making: told how many there are.
            what: it is told that are made.

        Raises:
            BalanceError: they cannot be made or written.
        """
        sizes = {
            number: min(SHARD, cases - number * SHARD) for number in range(math.ceil(cases / SHARD))
        }
        missing = {n: size for n, size in sizes.items() if _length(self._shard(name, n)) < size}
        if missing:
            with self._locked():
                made = sum(size for number, size in sizes.items() if number not in missing)
                jobs = [_Job(self._shard(name, n), n, size) for n, size in missing.items()]
                making(what, made, cases)
                for count in _make(jobs, recipe, min(processes, len(jobs))):
                    made += count
                    making(what, made, cases)
        return self.shards(name, cases)

    @contextmanager
    def making(
        self, name: str, first: int, count: int, recipe: Recipe
    ) -> Iterator[Callable[[Path], None]]:
        """Make whole shards of a set, from number `first` on, in a process beside the block.

        Yields a function that returns when one of them is there, which raises BalanceError if the
        process has ended without it.
        """
        shards = {number: self._shard(name, number) for number in range(first, first + count)}
        jobs = [_Job(path, n, SHARD) for n, path in shards.items() if _length(path) < SHARD]
        if not jobs:
            yield lambda shard: None
            return
        with self._locked():
            process, reader = _started(jobs, recipe)
            try:
                yield _Awaited(reader).wait_for
            finally:
                process.terminate()
                process.join()

    def _shard(self, name: str, number: int) -> Path:
        return self.folder / f"{name}-{number:04d}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with filelock.FileLock(self.folder / _LOCK, timeout=0):
                yield
        except filelock.Timeout as error:
            raise BalanceError(
                f"{self.folder}: another vae-balance makes cases here; wait for it, or give "
                "another --cache DIR"
            ) from error


def read_shard(folder: Path, names: Sequence[str]) -> Fields:
    """Read fields of a shard.

    Raises:
        BalanceError: a file is missing or broken.
    """
    try:
        return {name: np.load(folder / f"{name}.npy") for name in names}
    except (OSError, ValueError, EOFError) as error:
        raise BalanceError(
            f"{folder}: broken ({error}); delete it, and the same command makes it again"
        ) from error


def read_shards(folders: Sequence[Path], names: Sequence[str], each: int = SHARD) -> Fields:
    """Return fields of the first `each` cases of several shards, one after the other."""
    parts = [read_shard(folder, names) for folder in folders]
    return {name: np.concatenate([part[name][:each] for part in parts]) for name in names}


def write_shard(folder: Path, fields: Fields) -> None:
    """Write a shard, which appears, or replaces a shorter one, only when it is whole.

    Raises:
        BalanceError: it cannot be written.
    """
    temporary = folder.with_name(folder.name + _PART)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, array in fields.items():
            np.save(temporary / f"{name}.npy", array)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = error.strerror or "the disk is full"  # numpy's own errors only count elements
        raise BalanceError(
            f"{folder}: cannot be written: {reason}; free some space or give another --cache DIR; "
            "the same command goes on"
        ) from error


def mirror(values: NDArray[Any], which: NDArray[np.bool_]) -> NDArray[Any]:
    """Return planes (N, C, H, W) of cases, those of `which` mirrored; what has no place stays."""
    if values.ndim != 4:
        return values
    values = values.copy()
    values[which] = values[which, ..., ::-1]
    return values


@dataclass(frozen=True)
class Renewal:
    """Fresh shards that take the place of the first ones while training goes on.

    Attributes:
        shards: the fresh ones, in the order in which they are made.
        each_turn: how many come whenever all others have had their turn.
        wait_for: returns when one of them is there.
    """

    shards: Sequence[Path] = ()
    each_turn: int = 0
    wait_for: Callable[[Path], None] = lambda shard: None


NO_RENEWAL = Renewal()


class CaseBatches(Generic[T]):
    """Batches of cases, drawn from a window of shards that moves on as training does.

    Memory is bounded by the window. What a step is given follows from its number alone.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        names: Sequence[str],
        finish: Callable[[Fields, np.random.Generator], T],
        batch: int,
        seed: int,
        window: int = 24,
        steps_a_shard: int = STEPS_A_SHARD,
        renewal: Renewal = NO_RENEWAL,
    ) -> None:
        """Draw from `shards`.

        Args:
            shards: folders of shards.
            names: of the fields that are wanted.
            finish: makes what the loss takes of `batch` cases; what it draws is the step's.
            batch: cases a step.
            seed: of the order of the shards and of what is drawn.
            window: shards that are held in memory.
            steps_a_shard: after so many steps one shard takes the place of another.
            renewal: shards that take the place of others for good.
        """
        self._shards, self._names, self._finish = list(shards), names, finish
        self._batch, self._seed = batch, seed
        self._window, self._steps_a_shard = min(window, len(self._shards)), steps_a_shard
        self._renewal = renewal
        self._held: dict[Path, Fields] = {}

    def __call__(self, first_step: int, last_step: int) -> Iterator[T]:
        """Make the batches of steps `first_step`..`last_step` - 1, one ahead."""
        return made_ahead(self._make, first_step, last_step)

    def _make(self, step: int) -> T:
        rng = np.random.default_rng((self._seed, step))
        held = self._shards_at(step)
        chosen = rng.integers(len(held), size=self._batch)
        parts = []
        for place in np.unique(chosen):
            fields, count = held[place], int((chosen == place).sum())
            cases = rng.integers(len(fields[self._names[0]]), size=count)
            parts.append({name: fields[name][cases] for name in self._names})
        drawn = {name: np.concatenate([part[name] for part in parts]) for name in self._names}
        return self._finish(drawn, rng)

    def _shards_at(self, step: int) -> list[Fields]:
        """Return the window of a step, read where it is not held yet; forget what left it."""
        first = step // self._steps_a_shard
        if self._window == len(self._shards):
            wanted = self._pool(first // len(self._shards))
        else:
            wanted = [self._in_order(first + place) for place in range(self._window)]
        self._held = {path: fields for path, fields in self._held.items() if path in wanted}
        for path in wanted:
            if path not in self._held:
                if path in self._renewal.shards:
                    self._renewal.wait_for(path)
                self._held[path] = read_shard(path, self._names)
        return [self._held[path] for path in wanted]

    def _in_order(self, place: int) -> Path:
        """Return what stands there in an endless row: all shards shuffled, and shuffled again."""
        turn, index = divmod(place, len(self._shards))
        order = np.random.default_rng((self._seed, turn, 1)).permutation(len(self._shards))
        return self._pool(turn)[order[index]]

    def _pool(self, turn: int) -> list[Path]:
        """Return the shards of a turn: as many as at first, the fresh ones among them."""
        renewed = min(turn * self._renewal.each_turn, len(self._renewal.shards))
        return [*self._shards, *self._renewal.shards][renewed:][: len(self._shards)]


@dataclass(frozen=True)
class _Job:
    folder: Path
    number: int
    size: int


def _length(folder: Path) -> int:
    """Return how many cases a shard holds, 0 when there is none or it has to be made again."""
    try:
        lengths = [len(np.load(path, mmap_mode="r")) for path in folder.glob("*.npy")]
    except (OSError, ValueError, EOFError):  # broken, or a longer one is taking its place now
        return 0
    return min(lengths, default=0)


def _make(jobs: Sequence[_Job], recipe: Recipe, processes: int) -> Iterator[int]:
    """Make shards; yield the number of cases whenever some are made."""
    if processes <= 1:
        yield from _make_here(jobs, recipe)
        return
    started = [_started(jobs[number::processes], recipe) for number in range(processes)]
    try:
        yield from _told_by([reader for _, reader in started])
        for process, _ in started:
            process.join()
            if process.exitcode:
                raise BalanceError(
                    f"a process that makes cases ended ({process.exitcode}), perhaps for want of "
                    "memory; the same command goes on"
                )
    finally:
        for process, _ in started:
            process.terminate()
            process.join()


def _started(jobs: Sequence[_Job], recipe: Recipe) -> tuple[SpawnProcess, Connection]:
    """Start a process that makes shards; return it and what reads the counts that it tells."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit the threads of torch
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_make_there, args=(jobs, recipe, writer), daemon=True)
    process.start()
    writer.close()
    return process, reader


class _Awaited:
    """Shards that a process makes, which tells at the other end of a pipe how far it is."""

    def __init__(self, reader: Connection) -> None:
        self._reader = reader
        self._ended = False
        self._end: BalanceError | None = None

    def wait_for(self, shard: Path) -> None:
        """Return when a shard is there; raise what the process has ended by if it never will be."""
        while _length(shard) < SHARD:
            if self._ended:
                # Made here, not where the end was heard: that was told of the shard before.
                raise self._end or BalanceError(
                    f"{shard}: the process that makes fresh cases ended before, perhaps for want "
                    "of memory; the same command goes on"
                )
            self._listen()

    def _listen(self) -> None:
        """Wait until something is told. What ends the process comes after the shards before it."""
        try:
            self._ended = next(_told_by([self._reader]), None) is None
        except BalanceError as error:
            self._ended, self._end = True, error


def _told_by(readers: list[Any]) -> Iterator[int]:
    """Yield the counts that processes tell until all have ended; raise what one ended by."""
    while readers:
        ready: list[Any] = wait(readers)
        for reader in ready:
            try:
                told = reader.recv()
            except EOFError:
                readers.remove(reader)
                continue
            if isinstance(told, Exception):
                raise told
            yield told


def _make_here(jobs: Sequence[_Job], recipe: Recipe) -> Iterator[int]:
    maker = recipe()
    for job in jobs:
        parts = []
        for first in range(0, job.size, BATCH_SIZE):
            count = min(BATCH_SIZE, job.size - first)
            parts.append(maker(job.number, first, count))
            yield count
        write_shard(job.folder, {n: np.concatenate([part[n] for part in parts]) for n in parts[0]})


def _make_there(jobs: Sequence[_Job], recipe: Recipe, writer: Connection) -> None:
    """Make shards in a process of its own and tell of it."""
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started us
    torch.set_num_threads(1)
    with suppress(BrokenPipeError):  # who started us was killed: there is nobody to tell
        try:
            for count in _make_here(jobs, recipe):
                writer.send(count)
        except BalanceError as error:
            writer.send(error)
        except BrokenPipeError:
            raise
        except Exception:  # any other is a defect: told where somebody sees it
            writer.send(RuntimeError(traceback.format_exc()))
