"""A request while it is unfinished, and the fair queue that it waits in."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from vae_balance.batch.stages import Stages
from vae_balance.errors import CancelledError

QUEUED = "queued"
# Ranks of tasks: what a person waits for, what takes long, what was left to itself.
URGENT, LONG, BATCH = range(3)
_URGENT_IN_A_ROW = 4  # before something else has its turn


@dataclass(eq=False)
class Job:
    """What one request asks for, and how far it is.

    Attributes:
        client: the identity of who asked.
        request: the id that the client gave it.
        frames: the data frames.
        size: their bytes.
        tell: passes the fields of a progress message to the client; for any thread.
        verb: "" until the header has been read.
        fields: of the header, checked, with defaults.
        cancelled: nobody wants the result any more.
        done: rounds, photos or strips done.
        total: of so many.
        began: when the work began, None while it waits; by time.monotonic.
        came: when it was asked for.
        told: when the client last heard of it.
        stages: what is being done.
        facts: for the log.
    """

    client: int
    request: bytes
    frames: list[Any]
    size: int
    tell: Callable[[Job, dict[str, Any]], None]
    verb: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    cancelled: bool = False
    done: int = 0
    total: int = 1
    began: float | None = None
    came: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    stages: Stages = field(default_factory=lambda: Stages(QUEUED))
    facts: dict[str, Any] = field(default_factory=dict)

    def progress(self, stage: str, done: int, total: int, **more: Any) -> None:
        """Tell the client that a stage begins, with `done` of `total` behind it.

        Raises:
            CancelledError: nobody wants the result any more.
        """
        self.check()
        self.report(stage, done, total, **more)

    def report(self, stage: str, done: int, total: int, **more: Any) -> None:
        """Tell the client how far the job is, even if it has cancelled the rest."""
        if stage != self.stages.current:
            self.stages.enter(stage)
        self.done, self.total = done, total
        self.tell(self, {**self.state(), **more})

    def state(self) -> dict[str, Any]:
        """Return the fields of a progress message: how far the job is."""
        return {"stage": self.stages.current, "done": self.done, "total": self.total}

    def check(self) -> None:
        """Raise CancelledError if nobody wants the result any more."""
        if self.cancelled:
            raise CancelledError


@dataclass(eq=False)
class Task:
    """Work that waits for a thread.

    Attributes:
        job: for which it is done.
        run: does it; must not raise.
        drop: is called instead of `run`, by another thread, when it is not to be done any more.
        strand: tasks of the same strand are done one after the other, in their order.
        rank: those of a lower one go first; `URGENT` is what a person waits for.
    """

    job: Job
    run: Callable[[], None]
    drop: Callable[[], None]
    strand: object = None
    rank: int = URGENT


class FairQueue:
    """Tasks that threads take by rank, in turn from each client, from each in its order.

    What is not urgent gets its turn at the latest after a few urgent tasks.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[int, deque[Task]] = OrderedDict()  # next client first
        self._busy_strands: set[object] = set()
        self._urgent_in_a_row = 0
        self._held: set[int] = set()
        self._closed = False

    def put(self, task: Task) -> None:
        """Add a task; it is dropped at once if the queue was closed."""
        with self._changed:
            if not self._closed:
                self._waiting.setdefault(task.job.client, deque()).append(task)
                self._changed.notify()
                return
        task.drop()

    def take(
        self,
        timeout: float | None = None,
        below: int | None = None,
        besides: Collection[int] = (),
    ) -> Task | None:
        """Return the next task, or None after `timeout` seconds and when the queue is closed.

        With `below`, only one of a lower rank; none of the clients `besides`.

        `finished` must be called with the task when it was done.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._closed:
                task = self._next(below, besides)
                if task is not None:
                    if task.strand is not None:
                        self._busy_strands.add(task.strand)
                    return task
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
        return None

    def finished(self, task: Task) -> None:
        """Let the next task of its strand be taken."""
        if task.strand is not None:
            with self._changed:
                self._busy_strands.discard(task.strand)
                self._changed.notify()

    def discard(self, job: Job) -> bool:
        """Drop the tasks of a job that still wait; return whether there were any."""
        with self._changed:
            waiting = self._waiting.get(job.client, deque())
            dropped = [task for task in waiting if task.job is job]
            for task in dropped:
                waiting.remove(task)
            if not waiting:
                self._waiting.pop(job.client, None)
        for task in dropped:
            task.drop()
        return bool(dropped)

    def hold(self, client: int, held: bool) -> None:
        """Take no more tasks of a client, or take them again."""
        with self._changed:
            if held:
                self._held.add(client)
            else:
                self._held.discard(client)
                self._changed.notify_all()

    def close(self) -> None:
        """Let `take` return None, for all threads and for ever; drop what still waits."""
        with self._changed:
            self._closed = True
            dropped = [task for waiting in self._waiting.values() for task in waiting]
            self._waiting.clear()
            self._changed.notify_all()
        for task in dropped:
            task.drop()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def __len__(self) -> int:
        with self._changed:
            return sum(len(waiting) for waiting in self._waiting.values())

    def has_urgent(self) -> bool:
        """Return whether an urgent task waits."""
        with self._changed:
            return any(task.rank == URGENT for tasks in self._waiting.values() for task in tasks)

    def _next(self, below: int | None, besides: Collection[int]) -> Task | None:
        ready = [task for task in self._ready() if task.job.client not in besides]
        if below is not None:
            ready = [task for task in ready if task.rank < below]
        if not ready:
            return None
        patient = [task for task in ready if task.rank != URGENT]
        if patient and below is None and self._urgent_in_a_row >= _URGENT_IN_A_ROW:
            ready = patient
        task = min(ready, key=lambda task: task.rank)  # the first of them
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if task.rank == URGENT else 0
        waiting = self._waiting[task.job.client]
        waiting.remove(task)
        if waiting:
            self._waiting.move_to_end(task.job.client)
        else:
            del self._waiting[task.job.client]
        return task

    def _ready(self) -> Iterator[Task]:
        """Yield of each client, in turn, the first task of each rank that could be done now."""
        for client, waiting in self._waiting.items():
            if client in self._held:
                continue
            ranks = set()
            for task in waiting:
                if task.rank not in ranks and (
                    task.strand is None or task.strand not in self._busy_strands
                ):
                    ranks.add(task.rank)
                    yield task
