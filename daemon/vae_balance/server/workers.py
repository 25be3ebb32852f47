"""Threads that work off fair queues, and what becomes of a job that they do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from vae_balance.errors import CancelledError, describe
from vae_balance.server.jobs import URGENT, FairQueue, Job, Task
from vae_balance.server.log import JOBS, named_value
from vae_balance.server.memory import peak_bytes
from vae_balance.server.upgrade import installed_instead
from vae_balance_protocol import messages

# What a job gives: the fields of its result, and data frames.
Result = tuple[dict[str, Any], list[Any]]
# Called by any thread with the type of the answer, its fields and its data frames.
Answer = Callable[[Job, str, dict[str, Any], list[Any]], None]

_log = logging.getLogger(__name__)
_jobs_log = logging.getLogger(JOBS)


class Workers:
    """A queue and the threads that work it off.

    Args:
        name: of the threads.
        threads: how many.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.queue = FairQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def close(self, deadline: float) -> bool:
        """Begin nothing more; return whether all threads have ended by `deadline` (monotonic)."""
        self.queue.close()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (task := self.queue.take()) is not None:
            task.run()
            self.queue.finished(task)


def task_of(
    job: Job,
    work: Callable[[Job], Result],
    answer: Answer,
    strand: object = None,
    rank: int = URGENT,
) -> Task:
    """Return the task of doing a job and answering it."""

    def drop() -> None:
        _end(job, answer, messages.ERROR, describe_error(CancelledError()), [])

    return Task(job, lambda: perform(job, work, answer), drop, strand, rank)


def perform(job: Job, work: Callable[[Job], Result], answer: Answer) -> None:
    """Do a job, answer it and write its line into the log."""
    job.began = time.monotonic()
    try:
        job.stages.enter(job.verb)
        job.check()
        fields, frames = work(job)
        job.check()
        kind = messages.RESULT
    except Exception as error:
        kind, fields, frames = messages.ERROR, _of_upgrade(error) or describe_error(error), []
        if fields["code"] == messages.INTERNAL:
            _log.exception("%s: a defect", job.verb)
    _end(job, answer, kind, fields, frames)


def _of_upgrade(error: Exception) -> dict[str, Any]:
    """Return how a client is told that modules of two versions met; nothing of other errors."""
    if not isinstance(error, ImportError | AttributeError) or not (version := installed_instead()):
        return {}
    message = f"VAE Balance was upgraded to {version} while its daemon runs, which ends: try again"
    return {"code": messages.STOPPING, "message": message}


def describe_error(error: Exception) -> dict[str, Any]:
    """Return code and message of an error, as a client is told."""
    code, message = describe(error)
    return {"code": code, "message": message}


def _end(job: Job, answer: Answer, kind: str, fields: dict[str, Any], frames: list[Any]) -> None:
    job.stages.enter("")
    facts = {**job.facts, **{f"s.{name}": f"{s:.4f}" for name, s in job.stages.seconds.items()}}
    facts["request"] = job.request.hex()
    facts["peak_mb"] = peak_bytes() // 1_000_000
    text = " ".join(named_value(name, value) for name, value in facts.items())
    outcome = "done" if kind == messages.RESULT else fields["code"]
    failure = "" if kind == messages.RESULT else f": {fields['message']}"
    told = {"verb": job.verb, "outcome": outcome, **facts}
    _jobs_log.info("%s %s %s%s", job.verb, text, outcome, failure, extra={"facts": told})
    answer(job, kind, fields, frames)
