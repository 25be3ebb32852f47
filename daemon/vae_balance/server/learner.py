"""The one thread that owns the models: it learns looks, for one client after the other.

Only on the CPU, a batch learns from single photos in its own threads, which borrow the model.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vae_balance.batch.stages import Stages
from vae_balance.errors import BalanceError, CancelledError
from vae_balance.server.jobs import BATCH, LONG, URGENT, FairQueue, Job, Task
from vae_balance.server.look_store import LookStore
from vae_balance.server.model_cache import ModelCache
from vae_balance.server.workers import Result
from vae_balance_protocol import Malformed
from vae_balance_protocol.messages import MALFORMED, PROXY_SIZE

if TYPE_CHECKING:
    from vae_balance.correctors.corrector import Corrector, Progress, Proxy
    from vae_balance.looks.look import Look
    from vae_balance.pipeline import LearnedLook

T = TypeVar("T")

# A batch gives way for so long at each of its steps, and looks so often whether it may go on.
_WAY_SECONDS, _WAY_POLL_SECONDS = 2.0, 0.02
# Of the time that others took in the middle of a task: what it has for itself before the next.
_OWN_SHARE = 0.5
_MOST_NESTED = 4  # tasks, each done in the middle of the one before

# What requests need: nobody is to wait for it, nor to get it from a version installed later.
_IMPORTED_EARLY = (
    "vae_balance.batch.local_runner",
    "vae_balance.photos.strips",
    "vae_balance.luts.files",
    "vae_balance.color.profile",
)

_log = logging.getLogger(__name__)


class Learner:
    """Learns looks in a thread of its own.

    Attributes:
        queue: what waits to be learned.

    Args:
        cache: the models; nobody else may use it.
        looks: where the looks that clients ask for are kept.
    """

    def __init__(self, cache: ModelCache, looks: LookStore) -> None:
        self.queue = FairQueue()
        self._cache = cache
        self._looks = looks
        self._thread = threading.Thread(target=self._work, name="learner", daemon=True)
        self._first_model: str | None = None
        self._tasks: list[Task] = []  # being done, each in the middle of the one before
        self._next_others = 0.0  # when something more urgent may go first again

    def start(self, first_model: str | None) -> None:
        """Begin to work; load a model at once if one is named."""
        self._first_model = first_model
        self._thread.start()

    def close(self, deadline: float) -> bool:
        """Begin nothing more; return whether the thread has ended by `deadline` (monotonic)."""
        self.queue.close()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def learn(self, job: Job, proxies: Sequence[Proxy]) -> LearnedLook:
        """Return the look of one photo or a roll of a `batch` request.

        A roll, and anything on CUDA, is learned when it has its turn. On the CPU the calling thread
        learns from its photo itself if that is to be on one core: several photos beside each other
        are done sooner than one after the other on all cores. (Looks learned with other numbers of
        threads differ in the last bits.)

        Args:
            job: the request.
            proxies: (224, 224, 3) each, sRGB-encoded, 0..1.

        Raises:
            ModelError: no such model, or its files are damaged.
            CancelledError: the batch was cancelled.
        """
        from vae_balance.pipeline import LearnedLook

        turn: Future[tuple[Look | None, Corrector]] = Future()
        stages = Stages("queued")

        def follow(done: int, total: int, stage: str) -> None:
            job.check()
            stages.enter(stage)

        def follow_elsewhere(done: int, total: int, stage: str) -> None:
            self.give_way(job)
            follow(done, total, stage)

        def run() -> None:
            try:
                turn.set_result(self._learn_or_lend(job, proxies, follow))
            except Exception as error:
                turn.set_exception(error)

        drop = partial(turn.set_exception, CancelledError())
        rank = URGENT if len(job.fields["photos"]) == 1 else BATCH
        self.queue.put(Task(job, run, drop, rank=rank))
        look, corrector = turn.result()
        if look is None:
            look = _learn_in_one_thread(job, proxies, corrector, follow_elsewhere)
        stages.enter("")
        return LearnedLook(look, corrector.device, stages.seconds)

    def give_way(self, job: Job) -> None:
        """Wait a while if somebody waits for a look, in a thread that works for a batch."""
        deadline = time.monotonic() + _WAY_SECONDS
        while self._is_urgent() and not job.cancelled and time.monotonic() < deadline:
            time.sleep(_WAY_POLL_SECONDS)

    def _is_urgent(self) -> bool:
        return any(task.rank == URGENT for task in self._tasks) or self.queue.has_urgent()

    def answer(self, job: Job) -> Result:
        """Do a `learn` request, in this thread's turn."""
        from vae_balance.looks.look import report_of

        dtype = job.fields["dtype"]
        proxies = []
        for index, frame in enumerate(job.frames):
            self._let_others_go_first(has_begun=False)
            proxies.append(_proxy(frame, dtype, index))

        def follow(done: int, total: int, stage: str) -> None:
            job.progress(stage, done, total)

        look, corrector = self._learn(job, proxies, follow)
        job.stages.enter("keep")
        kept = self._looks.keep(look, job.fields["title"])
        lut = look.lut
        return {
            "look": kept.name,
            "size": lut and lut.size,
            "model": corrector.info.name,
            "model_version": corrector.info.version,
            "device": corrector.device,
            "seconds": dict(job.stages.seconds),
            "unchanged": look.changes_nothing,
            "report": report_of(look),
        }, []

    def _work(self) -> None:
        if self._first_model is not None:
            self._prepare(self._first_model)
        while not self.queue.closed:
            task = self.queue.take(self._cache.idle_seconds())
            if task is not None:
                self._do(task)
            self._cache.tidy()

    def _do(self, task: Task) -> None:
        """Do a task; between its stages, those that are more urgent."""
        self._tasks.append(task)
        try:
            task.run()
        finally:
            self._tasks.pop()
        self.queue.finished(task)

    def _let_others_go_first(self, has_begun: bool) -> None:
        """Do one task that goes before the one that this thread is in the middle of.

        Args:
            has_begun: whether a round is behind that one: who wants many waits for who wants one.
        """
        if not 0 < len(self._tasks) <= _MOST_NESTED or time.monotonic() < self._next_others:
            return
        task = self.queue.take(0.0, below=self._tasks[-1].rank)
        if task is None and has_begun:  # a client's own further looks wait for this one
            besides = {task.job.client for task in self._tasks}
            task = self.queue.take(0.0, below=LONG, besides=besides)
        if task is None:
            return
        import torch

        began = time.monotonic()
        with torch.inference_mode(False):  # in which models must not be loaded
            self._do(task)
        now = time.monotonic()
        self._next_others = now + _OWN_SHARE * (now - began)

    def _prepare(self, name: str) -> None:
        """Load a model, and what else the first client would have to wait for."""
        try:
            self._cache.use(name, lambda corrector: None)
            for module in _IMPORTED_EARLY:
                importlib.import_module(module)
        except BalanceError as error:
            _log.error("%s", error)
        except Exception:
            _log.exception("the model cannot be loaded: a defect")

    def _learn(
        self, job: Job, proxies: Sequence[Proxy], follow: Progress
    ) -> tuple[Look, Corrector]:
        follow = self._yielding(follow)

        def work(corrector: Corrector) -> Look:
            from vae_balance.pipeline import check_proxies

            if not job.fields["any_colors"]:
                check_proxies(corrector.wants, proxies)
            return _look_of(job, proxies, corrector, follow)

        return self._use(job, follow, work)

    def _yielding(self, follow: Progress) -> Progress:
        def follow_after_others(done: int, total: int, stage: str) -> None:
            self._let_others_go_first(has_begun=done > 0)
            follow(done, total, stage)

        return follow_after_others

    def _learn_or_lend(
        self, job: Job, proxies: Sequence[Proxy], follow: Progress
    ) -> tuple[Look | None, Corrector]:
        import torch

        def work(corrector: Corrector) -> Look | None:
            threads = job.fields["threads"]
            if job.fields["roll"] or corrector.device != "cpu" or threads == 0:
                return _look_of(job, proxies, corrector, self._yielding(follow))
            if threads > 1:  # which others do not learn with
                with _torch_threads(threads):
                    return _look_of(job, proxies, corrector, follow)
            # Asked once, a thread keeps its number; asked after the borrower, it would get his.
            torch.get_num_threads()
            return None

        return self._use(job, follow, work)

    def _use(
        self, job: Job, follow: Progress, work: Callable[[Corrector], T]
    ) -> tuple[T, Corrector]:
        """Return what `work` makes of the model that a request asks for, and the model."""
        done, corrector = self._cache.use(
            job.fields["model"], work, lambda: follow(0, job.total, "load")
        )
        job.facts |= {"model": corrector.info.name, "device": corrector.device}
        return done, corrector


def _look_of(job: Job, proxies: Sequence[Proxy], corrector: Corrector, follow: Progress) -> Look:
    from vae_balance.correctors.corrector import LookOptions
    from vae_balance.pipeline import learn

    return learn(corrector, proxies, LookOptions.of(job.fields), follow)


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Compute with so many threads, in this thread's work."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _learn_in_one_thread(
    job: Job, proxies: Sequence[Proxy], corrector: Corrector, follow: Progress
) -> Look:
    import torch

    torch.set_num_threads(1)  # of this thread, and of those that have not worked with torch yet
    return _look_of(job, proxies, corrector, follow)


def _proxy(frame: Any, dtype: str, index: int) -> Proxy:
    """Return the proxy (224, 224, 3), sRGB-encoded, 0..1, of a data frame."""
    import numpy as np

    values = np.frombuffer(frame, "u1" if dtype == "u8" else "<f4")
    colors = values.reshape(PROXY_SIZE, PROXY_SIZE, 3).astype(np.float32)
    if dtype == "u8":
        return colors / np.float32(255)
    if not np.isfinite(colors).all():
        raise Malformed(MALFORMED, f"learn: proxy {index} holds NaN or infinity")
    return colors.clip(0.0, 1.0)
