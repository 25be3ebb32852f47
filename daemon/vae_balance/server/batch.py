"""Balance many photos: some are read while others are learned from and others written.

Every one of `jobs` threads takes a photo all the way: read, shrink, learn, apply, write.
OpenImageIO, torch, numpy and OpenColorIO let the other threads run meanwhile. So all cores are
busy, none waits for another in the middle of a photo, and memory holds at most `jobs` photos.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vae_balance.color.lut import MOST_THREADS
from vae_balance.errors import CancelledError, ImageError, ModelError, describe
from vae_balance.files import as_private_as, atomic_write, check_new, make_folder, remove_leftovers
from vae_balance.looks.look import Look, Place
from vae_balance.looks.origin import labeled_lut
from vae_balance.luts.files import format_lut, lut_format, write_lut
from vae_balance.photos.photo import Photo, read_photo, write_photo
from vae_balance.photos.proxy import Floats, make_proxy
from vae_balance.server.warning_list import listed_warnings
from vae_balance_protocol import messages

DONE, FAILED = "done", "failed"

_PHOTO_BYTES = 512 << 20  # what reading and writing a large photo may take
_MEMORY_SHARE = 4  # use one part in so many of the computer's memory
_NICENESS = 10
_MAX_JOBS = 16  # disks do not feed more

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchPhoto:
    """A photo, where its result goes, and where its look goes if it is wanted."""

    source: Path
    target: Path
    cube: Path | None = None


@dataclass(frozen=True, eq=False)
class LearnedLook:
    """A look, on which device it was learned, and how long the stages took."""

    look: Look
    device: str
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class PhotoReport:
    """What became of a photo.

    Attributes:
        index: its place among the photos, from 0.
        outcome: "done" or "failed".
        code: of PROTOCOL.md, "" if done.
        message: one line for people, "" if done.
        look: the digest of the LUT, "" if none was learned.
        device: what it was learned on, "" if none was.
        width: pixels as they are stored, 0 if the photo could not be read.
        height: as width.
        seconds: by stage.
        warnings: one line for people each.
    """

    index: int
    outcome: str
    code: str = ""
    message: str = ""
    look: str = ""
    device: str = ""
    width: int = 0
    height: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


# Learns one look from proxies, (224, 224, 3) sRGB-encoded, 0..1; may be called by several threads.
Learn = Callable[[list[Floats]], LearnedLook]
Turn = Callable[[], AbstractContextManager[None]]


def run_batch(
    photos: Sequence[BatchPhoto],
    proxy: str,
    roll: bool,
    overwrite: bool,
    jobs: int,
    learn: Learn,
    keep_going: Callable[[], bool],
    report: Callable[[PhotoReport], None],
    turn: Turn = nullcontext,
    umask: int | None = None,
) -> tuple[int, int]:
    """Balance photos, each by a look of its own or all by one.

    A photo that cannot be read, learned from or written is reported, and the others go on. Every
    file is written whole or not at all; a cube appears together with its photo, the cube of a roll
    before the first photo. Folders of targets and cubes are made, and cleared of what a killed
    process has left in the middle of writing.

    Args:
        photos: what to balance.
        proxy: "centre" or "frame".
        roll: learn one look from all photos; from `messages.PROXIES` of them, evenly picked, if
            there are more.
        overwrite: replace targets and cubes that exist.
        jobs: photos in work, and in memory, at a time; 0 chooses by cores and memory.
        learn: blocks until the look is there; a CancelledError of its own ends the batch.
        keep_going: asked by every thread before every stage of every photo; when it says no, what
            is being written is finished, and nothing else is begun.
        report: told of every photo when it is done or failed, in the calling thread.
        turn: waits until a photo may be begun, and is held until it is done; a CancelledError of
            its own ends the batch.
        umask: of whoever wants the files, by default that of this process; photos are besides
            never open to more people than their sources.

    Returns:
        How many photos were done and how many failed; fewer than there are if `keep_going` said no.

    Raises:
        ModelError: raised by `learn`: would come with every photo.
        BalanceError: the one look of a roll cannot be learned or written.
    """
    counts = {DONE: 0, FAILED: 0}
    outputs = [output for photo in photos for output in (photo.target, photo.cube) if output]
    for folder in {output.parent for output in outputs}:
        remove_leftovers(folder)
    workers = min(jobs or sensible_jobs(), len(photos))
    threads = MOST_THREADS // workers
    batch = _Batch(photos, proxy, overwrite, learn, keep_going, turn, umask, threads)
    nice = _be_nice if len(photos) > 1 else None
    with ThreadPoolExecutor(workers, thread_name_prefix="batch", initializer=nice) as pool:
        try:
            finish = batch.roll_finisher(pool) if roll else batch.balance
            futures = [pool.submit(batch.attempt, finish, i) for i in range(len(photos))]
            for future in as_completed(futures):
                ended = future.result()
                if ended is not None:
                    counts[ended.outcome] += 1
                    report(ended)
        except CancelledError:
            pass
        except BaseException:
            batch.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return counts[DONE], counts[FAILED]


def sensible_jobs() -> int:
    """Return how many photos to have in work at a time on this computer."""
    cores = os.cpu_count() or 1
    jobs = min(cores + 1, _MAX_JOBS)  # one of them mostly waits: for the disk, or for CUDA
    if hasattr(os, "sysconf"):  # not on Windows
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        jobs = min(jobs, memory // _MEMORY_SHARE // _PHOTO_BYTES)
    return max(jobs, 1)


def _be_nice() -> None:
    """Let threads that somebody waits for go first, where threads have a niceness: on Linux."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class _Timer:
    """Adds up the seconds of the stages of a photo."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - began


# Balances the photo of a number, or raises.
_Finish = Callable[[int], PhotoReport]


class _Batch:
    """A batch while it runs; called by several threads."""

    def __init__(
        self,
        photos: Sequence[BatchPhoto],
        proxy: str,
        overwrite: bool,
        learn: Learn,
        keep_going: Callable[[], bool],
        turn: Turn,
        umask: int | None,
        threads: int,
    ) -> None:
        self._photos = photos
        self._proxy = proxy
        self._overwrite = overwrite
        self._learn = learn
        self._keep_going = keep_going
        self._turn = turn
        self._umask = umask
        self._threads = max(1, threads)  # that apply a look to one photo
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped.set()

    def attempt(self, finish: _Finish, index: int) -> PhotoReport | None:
        """Return what became of a photo; None if the batch was stopped before it was finished."""
        with listed_warnings() as warnings:
            try:
                with self._turn():
                    ended = finish(index)
            except CancelledError:
                self.stop()
                return None
            except ModelError:
                raise
            except Exception as error:
                ended = _failure(index, self._photos[index], error)
        return replace(ended, warnings=tuple(warnings))

    def balance(self, index: int) -> PhotoReport:
        """Balance a photo by a look of its own."""
        photo = self._photos[index]
        timer = _Timer()
        picture = self._read(photo, timer)
        with timer.stage("shrink"):
            proxy = make_proxy(picture, self._proxy)
        self._check()
        learned = self._learn([proxy])
        timer.seconds.update(learned.seconds)
        return self._finish(index, picture, learned, photo.cube, timer)

    def roll_finisher(self, pool: ThreadPoolExecutor) -> _Finish:
        """Learn one look from all photos, write its cube, and return what applies it to a photo."""
        cubes = list(dict.fromkeys(photo.cube for photo in self._photos if photo.cube))
        for cube in cubes:
            check_new(cube, self._overwrite)
        proxies: dict[int, Floats] = {}
        unreadable: dict[int, PhotoReport] = {}
        chosen = _evenly(len(self._photos), messages.PROXIES)
        for index, made in zip(chosen, pool.map(self._try_proxy, chosen), strict=True):
            if isinstance(made, PhotoReport):
                unreadable[index] = made
            else:
                proxies[index] = made
        learned = self._learn_roll(proxies, cubes) if proxies else None

        def finish(index: int) -> PhotoReport:
            photo = self._photos[index]
            if index in unreadable:
                return unreadable[index]
            if learned is None:
                raise ImageError(f"{photo.source}: there is no look: no photo of the roll was read")
            timer = _Timer()
            return self._finish(index, self._read(photo, timer), learned, None, timer)

        return finish

    def _learn_roll(self, proxies: dict[int, Floats], cubes: Sequence[Path]) -> LearnedLook:
        self._check()
        learned = self._learn(list(proxies.values()))
        sources = [self._photos[index].source for index in proxies]
        lut = labeled_lut(learned.look.lut, learned.look.origin, self._proxy, sources)
        with as_private_as([], self._umask):
            for cube in cubes:
                make_folder(cube.parent)
                write_lut(cube, lut, overwrite=self._overwrite)
        return learned

    def _try_proxy(self, index: int) -> Floats | PhotoReport:
        """Return the proxy of a photo, or how it failed."""
        self._check()
        photo = self._photos[index]
        try:
            with self._turn():
                return make_proxy(read_photo(photo.source), self._proxy)
        except CancelledError:
            raise
        except Exception as error:
            return _failure(index, photo, error)

    def _read(self, photo: BatchPhoto, timer: _Timer) -> Photo:
        self._check()
        check_new(photo.target, self._overwrite)
        with timer.stage("read"):
            return read_photo(photo.source)

    def _finish(
        self, index: int, picture: Photo, learned: LearnedLook, cube: Path | None, timer: _Timer
    ) -> PhotoReport:
        """Apply a look to a photo that was read, in place, and write photo and cube."""
        photo = self._photos[index]
        self._check()
        look = learned.look
        with timer.stage("apply"):
            pixels, profile = picture.pixels, picture.icc_profile
            place = Place.whole(pixels, picture.orientation)
            look.apply(pixels, place, profile, out=pixels, threads=self._threads)
        self._check()
        with (
            timer.stage("write"),
            as_private_as([photo.source], self._umask),
            self._written_cube(cube, photo, learned),
        ):
            make_folder(photo.target.parent)
            write_photo(picture, photo.target, overwrite=self._overwrite)
        height, width = picture.pixels.shape[:2]
        digest = look.digest()
        return PhotoReport(
            index, DONE, "", "", digest, learned.device, width, height, timer.seconds
        )

    @contextmanager
    def _written_cube(
        self, cube: Path | None, photo: BatchPhoto, learned: LearnedLook
    ) -> Iterator[None]:
        """Write the cube of a photo; it appears when the block has ended well."""
        if cube is None:
            yield
            return
        make_folder(cube.parent)
        file_format = lut_format(cube)
        with atomic_write(cube, self._overwrite) as temporary:
            lut = labeled_lut(learned.look.lut, learned.look.origin, self._proxy, [photo.source])
            temporary.write_bytes(format_lut(lut, file_format))
            yield

    def _check(self) -> None:
        """Raise CancelledError if the batch was told to stop."""
        if self._stopped.is_set() or not self._keep_going():
            raise CancelledError


def _failure(index: int, photo: BatchPhoto, error: Exception) -> PhotoReport:
    code, message = describe(error)
    if code == messages.INTERNAL:
        _log.error("%s: a defect", photo.source, exc_info=error)
    return PhotoReport(index, FAILED, code, message)


def _evenly(count: int, limit: int) -> list[int]:
    """Return the numbers below `count`, or `limit` of them at equal distances."""
    return np.linspace(0, count - 1, min(count, limit)).round().astype(int).tolist()
