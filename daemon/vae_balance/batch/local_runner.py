"""A batch in the threads of this process: some photos are read while others are learned from.

Every one of `jobs` threads takes a photo all the way. OpenImageIO, torch, numpy and OpenColorIO let
the other threads run meanwhile. So all cores are busy, none waits for another in the middle of a
photo, and memory holds at most `jobs` photos.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vae_balance.batch.attempt import attempt, failure, success
from vae_balance.batch.outcome import DONE, FAILED
from vae_balance.batch.runner import PhotoReport, frames_to_learn_from
from vae_balance.color.lut import MOST_THREADS
from vae_balance.correctors.corrector import Proxy
from vae_balance.errors import CancelledError, ImageError
from vae_balance.files import check_new, remove_leftovers
from vae_balance.photos.task import PhotoTask
from vae_balance.pipeline import (
    How,
    Learn,
    LearnedLook,
    balance_photo,
    change_photo,
    proxy_of,
    write_look,
)

_PHOTO_BYTES = 512 << 20  # what reading and writing a large photo may take
_MEMORY_SHARE = 4  # use one part in so many of the computer's memory
_NICENESS = 10
_MAX_JOBS = 16  # disks do not feed more

# Waits until a photo may be begun, and is held until it is done.
Turn = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class LocalRunner:
    """Balances photos in threads; see `Runner`.

    Attributes:
        learn: blocks until the look is there; a CancelledError of its own ends the batch.
        jobs: photos in work, and in memory, at a time; 0 chooses by cores and memory.
        keep_going: asked by every thread before every stage of every photo; when it says no, what
            is being written is finished, and nothing else is begun.
        turn: see `Turn`; a CancelledError of its own ends the batch.
    """

    learn: Learn
    jobs: int = 0
    keep_going: Callable[[], bool] = lambda: True
    turn: Turn = nullcontext

    def run(
        self,
        photos: Iterable[PhotoTask],
        how: How,
        roll: bool,
        report: Callable[[PhotoReport], None],
    ) -> tuple[int, int]:
        """Balance photos; see `Runner.run`."""
        photos = list(photos)
        counts = {DONE: 0, FAILED: 0}
        outputs = [output for photo in photos for output in (photo.output, photo.lut) if output]
        for folder in {output.parent for output in outputs}:
            remove_leftovers(folder)
        workers = min(self.jobs or sensible_jobs(), len(photos))
        threads = max(1, MOST_THREADS // workers)
        batch = _Batch(self, photos, replace(how, threads=threads, make_folders=True))
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


# Balances the photo of a number, or raises.
_Finish = Callable[[int], PhotoReport]


class _Batch:
    """A batch while it runs; called by several threads."""

    def __init__(self, runner: LocalRunner, photos: Sequence[PhotoTask], how: How) -> None:
        self._runner = runner
        self._photos = photos
        self._how = how
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped.set()

    def attempt(self, finish: _Finish, index: int) -> PhotoReport | None:
        """Return what became of a photo; None if the batch was stopped before it was finished."""

        def in_turn() -> PhotoReport:
            with self._runner.turn():
                return finish(index)

        try:
            return attempt(index, self._photos[index].photo, in_turn)
        except CancelledError:
            self.stop()
            return None

    def balance(self, index: int) -> PhotoReport:
        """Balance a photo by a look of its own."""
        task = self._photos[index]
        return success(index, balance_photo(task, self._how, self._runner.learn, self._check))

    def roll_finisher(self, pool: ThreadPoolExecutor) -> _Finish:
        """Learn one look from all photos, write its LUT, and return what applies it to a photo."""
        luts = list(dict.fromkeys(task.lut for task in self._photos if task.lut))
        for lut in luts:
            check_new(lut, self._how.overwrite)
        proxies: dict[int, Proxy] = {}
        unreadable: dict[int, PhotoReport] = {}
        chosen = frames_to_learn_from(len(self._photos))
        for index, made in zip(chosen, pool.map(self._try_proxy, chosen), strict=True):
            if isinstance(made, PhotoReport):
                unreadable[index] = made
            else:
                proxies[index] = made
        learned = self._learn_roll(proxies, luts) if proxies else None

        def finish(index: int) -> PhotoReport:
            task = replace(self._photos[index], lut=None)
            if index in unreadable:
                return unreadable[index]
            if learned is None:
                raise ImageError(f"{task.photo}: there is no look: no photo of the roll was read")
            return success(index, change_photo(task, self._how, learned, self._check))

        return finish

    def _learn_roll(self, proxies: dict[int, Proxy], luts: Sequence[Path]) -> LearnedLook:
        self._check()
        learned = self._runner.learn(list(proxies.values()))
        photos = [self._photos[index].photo for index in proxies]
        for lut in luts:
            write_look(learned.look, lut, self._how, photos)
        return learned

    def _try_proxy(self, index: int) -> Proxy | PhotoReport:
        """Return the proxy of a photo, or how it failed."""
        self._check()
        task = self._photos[index]
        try:
            with self._runner.turn():
                return proxy_of(task.photo, self._how)
        except CancelledError:
            raise
        except Exception as error:
            return failure(index, task.photo, error)

    def _check(self) -> None:
        """Raise CancelledError if the batch was told to stop."""
        if self._stopped.is_set() or not self._runner.keep_going():
            raise CancelledError
