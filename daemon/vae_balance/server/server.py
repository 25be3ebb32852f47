"""The daemon's server: what is done with a request, and when it all ends."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import vae_balance
from vae_balance.errors import CancelledError
from vae_balance.server import log, verbs
from vae_balance.server.clients import Client
from vae_balance.server.connection import Message
from vae_balance.server.headers import pack_header, unpack_header
from vae_balance.server.jobs import LONG, URGENT, FairQueue, Job, Task
from vae_balance.server.learner import Learner
from vae_balance.server.look_store import KeptLook, LookStore
from vae_balance.server.memory import give_back, peak_bytes, resident_bytes
from vae_balance.server.model_cache import ModelCache
from vae_balance.server.router import Router
from vae_balance.server.settings import FOREVER, DaemonSettings
from vae_balance.server.slots import Slots
from vae_balance.server.tally import Tally
from vae_balance.server.workers import Result, Workers, describe_error, task_of
from vae_balance_protocol import DaemonError, Malformed, messages
from vae_balance_protocol.options import AUTO

_BATCHES = 16  # at a time, of as many clients
_FEW_PROXIES = 2  # to learn from, for one round: somebody waits for it
_LONG_HEADER_BYTES = 64 << 10  # takes too long to read for the router's thread
_TICK_SECONDS = 0.25
_REPEAT_SECONDS = 0.75  # with a tick, less than the second that is promised
_END_SECONDS = 3.0  # for jobs to see that they are cancelled
_THREADS_SECONDS = 1.0  # for threads to end after that
# After the last work, and while there is work: until freed memory is given back to the system.
_IDLE_SECONDS, _BUSY_SECONDS = 5.0, 60.0
_DRAINED_SECONDS = 2.0  # without work, before an end that waits for that
_TOLD_JOBS = 1000  # in `status`
_LINGER_SECONDS = 0.3  # for the last answers to arrive

_log = logging.getLogger(__name__)


class Server:
    """Serves clients in the thread that calls `run`.

    Attributes:
        endpoint: where clients connect.
        on_stopping: called when the end begins and no client should come any more.

    Args:
        settings: how.
        token: the password of clients.
        log_file: path of the log, for `status`.
        by_client: whether to end when nothing was asked for `settings.idle_exit` seconds.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        token: str,
        log_file: Path,
        by_client: bool = False,
    ) -> None:
        self._settings = settings
        self._log_path = log_file
        self._idle_exit = settings.idle_exit if by_client else FOREVER
        self.on_stopping: Callable[[], None] = lambda: None
        self._looks = LookStore(settings.looks)
        self._cache = ModelCache(settings.device, settings.keep_alive)
        self._learner = Learner(self._cache, self._looks)
        self._pool = Workers("pool", settings.jobs or min(max(os.cpu_count() or 1, 2), 4))
        self._slots = Slots()
        self._batches = Workers("batch", _BATCHES)
        self._queues = (self._pool.queue, self._learner.queue, self._batches.queue)
        self._router = Router(token, self._receive, self._lose, self._pool.queue.hold)
        self.endpoint = self._router.endpoint
        self._began = self._last_asked = time.monotonic()
        self._deadline: float | None = None
        self._end_when_idle = ""  # why
        self._tally = Tally()
        self._worked = self._given_back = self._began
        self._verbs: dict[str, Callable[[Client, Job], tuple[FairQueue, Task]]] = {
            "hello": self._hello,
            "shrink": self._shrink,
            "learn": self._learn,
            "import": self._import,
            "export": self._export,
            "model": self._model,
            "apply": self._apply,
            "batch": self._batch,
        }
        self._instant_verbs: dict[str, Callable[[Client, dict[str, Any]], dict[str, Any]]] = {
            "cancel": self._cancel,
            "status": self._status,
            "shutdown": self._shut_down,
            "log": self._set_log_level,
        }

    @property
    def wakeup_fd(self) -> int:
        """What `signal.set_wakeup_fd` wants, so that a signal ends waiting."""
        return self._router.calls.wakeup_fd

    def run(self) -> bool:
        """Serve until the end; return whether everything has ended that was begun."""
        first_model = self._settings.model if self._settings.keep_alive > 0 else None
        self._learner.start(first_model)
        self._pool.start()
        self._batches.start()
        while not self._is_over():
            self._router.turn(self._turn_seconds())
            self._repeat_progress()
            self._give_memory_back()
            if self._is_drained():
                self.stop(self._end_when_idle)
            if self._idle_seconds() <= 0:
                self.stop(f"nothing was asked for {self._idle_exit:g} s")
        deadline = time.monotonic() + _THREADS_SECONDS
        ended = [part.close(deadline) for part in (self._learner, self._pool, self._batches)]
        self._router.close(_LINGER_SECONDS)
        return all(ended)

    def stop(self, reason: str) -> None:
        """Begin to end; for any thread, and for signal handlers."""
        self._router.calls.post(partial(self._begin_end, reason))

    def stop_when_idle(self, reason: str) -> None:
        """End as soon as nobody has asked for anything for a moment; for any thread."""
        self._router.calls.post(partial(self._plan_end, reason))

    def _plan_end(self, reason: str) -> None:
        if not self._end_when_idle:
            _log.info("going to end when idle: %s", reason)
            self._end_when_idle = reason

    # When

    def _turn_seconds(self) -> float:
        if self._deadline is not None:
            return 0.02
        if self._jobs():
            return _TICK_SECONDS
        if self._end_when_idle:
            return _DRAINED_SECONDS / 4
        has_worked = self._worked > self._given_back
        return min(_IDLE_SECONDS if has_worked else 60.0, self._idle_seconds())

    def _is_drained(self) -> bool:
        # Between the requests of a client there are moments in which nothing is unfinished.
        idle = time.monotonic() - self._last_asked
        return bool(self._end_when_idle) and not self._jobs() and idle > _DRAINED_SECONDS

    def _give_memory_back(self) -> None:
        """Give freed memory back, now and then while there is work, and once when it is over."""
        now = time.monotonic()
        if self._jobs():
            is_due = now - self._given_back > _BUSY_SECONDS
        else:
            is_due = now - self._worked > _IDLE_SECONDS and self._worked > self._given_back
        if is_due:
            self._given_back = now
            threading.Thread(target=give_back, name="memory", daemon=True).start()

    def _idle_seconds(self) -> float:
        """Return how long nothing more may be asked for before it is time to end."""
        if self._jobs() or self._deadline is not None:
            return FOREVER
        return max(0.0, self._last_asked + self._idle_exit - time.monotonic())

    def _begin_end(self, reason: str) -> None:
        if self._deadline is not None:
            return
        _log.info("ending: %s", reason)
        self._deadline = time.monotonic() + _END_SECONDS
        self.on_stopping()
        for job in self._jobs():
            self._end_early(job)

    def _is_over(self) -> bool:
        if self._deadline is None:
            return False
        everything_said = not self._jobs() and self._router.is_quiet
        return everything_said or time.monotonic() > self._deadline

    def _jobs(self) -> list[Job]:
        return [job for client in self._router.clients.values() for job in client.jobs.values()]

    # Requests

    def _receive(self, client: Client, message: Message) -> None:
        """Take in a message of a client: request id, header, data frames."""
        request = bytes(message.frames[0]) if message.frames else b""
        if not request:
            return
        header, data = message.frames[1:2], message.frames[2:]
        is_long = bool(header) and len(header[0]) > _LONG_HEADER_BYTES
        size = sum(map(len, data)) + (len(header[0]) if is_long else 0)
        job = Job(client.identity, request, data, size, self._tell)
        try:
            if message.dropped:
                raise DaemonError(messages.BUSY, _why_dropped(client, message))
            if not header:
                raise Malformed(messages.MALFORMED, "the header is missing")
            if is_long:
                client.admit(job)
                read = partial(self._read_long_header, job, bytes(header[0]))
                drop = partial(self._answer_error, job, CancelledError())
                self._pool.queue.put(Task(job, read, drop))
                return
            _read_header(job, bytes(header[0]))
            if job.verb in self._instant_verbs:
                self._do_at_once(client, job)
                return
            client.admit(job)
        except DaemonError as error:
            self._refuse(client, job, error)
            return
        self._begin(client, job)

    def _read_long_header(self, job: Job, header: bytes) -> None:
        """Read a header in a thread of the pool."""
        try:
            _read_header(job, header)
        except Exception as error:
            self._answer_error(job, error)
        else:
            self._router.calls.post(partial(self._begin_read, job))

    def _begin_read(self, job: Job) -> None:
        client = self._client_of(job)
        if client is None or job.cancelled:
            self._answer_error(job, CancelledError())
        elif job.verb in self._instant_verbs:
            client.release(job)
            self._do_at_once(client, job)
        else:
            self._begin(client, job)

    def _do_at_once(self, client: Client, job: Job) -> None:
        fields = self._instant_verbs[job.verb](client, job.fields)
        self._send(client, job, messages.RESULT, fields, [])

    def _begin(self, client: Client, job: Job) -> None:
        """Let a job wait for the thread that will do it, or refuse it."""
        job.facts["client"] = client.name
        if job.verb != "hello":
            self._last_asked = time.monotonic()
        try:
            if self._deadline is not None:
                raise DaemonError(messages.STOPPING, "the daemon ends: start it again")
            queue, task = self._verbs[job.verb](client, job)
        except DaemonError as error:
            client.release(job)
            self._refuse(client, job, error)
            return
        queue.put(task)

    def _refuse(self, client: Client, job: Job, error: DaemonError) -> None:
        _log.info("client=%r %s refused: %s: %s", client.name, job.verb, error.code, error.message)
        self._send(client, job, messages.ERROR, describe_error(error), [])

    def _lose(self, client: Client) -> None:
        """Stop all work for a client that is gone."""
        _log.debug("client=%r is gone", client.name)
        self._worked = time.monotonic()
        for job in list(client.jobs.values()):
            self._end_early(job)
            client.release(job)

    def _end_early(self, job: Job) -> None:
        job.cancelled = True
        for queue in self._queues:
            queue.discard(job)

    # Verbs

    def _hello(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        client.name = job.facts["client"] = job.fields["client"]
        return self._pool.queue, self._task(job, lambda job: verbs.greet(self._cache.device))

    def _shrink(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        picture = client.pictures.expect(job.fields)
        _note(job, "width", "rows", "channels", "dtype", "first_row")
        return self._pool.queue, self._task(job, picture.shrink, strand=picture)

    def _learn(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        if job.fields["iterations"] != AUTO:  # whose rounds are known when they are over
            job.total = job.fields["iterations"]
        job.facts["proxies"] = len(job.frames)
        _note(job, "iterations", "size", "model")
        self._told(job, job.state())
        rank = URGENT if len(job.frames) <= _FEW_PROXIES else LONG
        return self._learner.queue, self._task(job, self._learner.answer, rank=rank)

    def _import(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        _note(job, "format")
        return self._pool.queue, self._task(job, partial(verbs.import_look, self._looks))

    def _export(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        look = self._look_of(job)
        _note(job, "format")
        return self._pool.queue, self._task(job, partial(verbs.export_look, look))

    def _model(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        _note(job, "model")
        return self._pool.queue, self._task(job, verbs.describe_model)

    def _apply(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        look = self._look_of(job)
        _note(job, "width", "rows", "channels", "dtype")
        return self._pool.queue, self._task(job, partial(verbs.apply_look, look))

    def _batch(self, client: Client, job: Job) -> tuple[FairQueue, Task]:
        job.total = job.facts["photos"] = len(job.fields["photos"])
        _note(job, "roll", "iterations", "model")
        self._told(job, job.state())
        work = partial(verbs.balance_photos, self._learner, self._slots)
        # One batch of a client after the other; those of several clients share the places.
        return self._batches.queue, self._task(job, work, strand=client)

    def _cancel(self, client: Client, fields: dict[str, Any]) -> dict[str, Any]:
        job = client.jobs.get(fields["request"])
        if job is not None:
            self._end_early(job)
        return {"cancelled": job is not None}

    def _status(self, client: Client, fields: dict[str, Any]) -> dict[str, Any]:
        running, waiting = [], []
        for job in self._jobs():
            began = job.began  # which another thread may set now
            if began is None:
                waiting.append({**self._named(job), "seconds": _seconds_since(job.came)})
            else:
                state = {**job.state(), "seconds": _seconds_since(began)}
                running.append({**self._named(job), **state})
        now = time.monotonic()
        return {
            "version": vae_balance.__version__,
            "pid": os.getpid(),
            "uptime": now - self._began,
            "device": self._cache.device,
            "models": list(self._cache.names),
            "looks": len(self._looks),
            "clients": len(self._router.clients),
            "queued": len(waiting),
            "running": running[:_TOLD_JOBS],
            "waiting": waiting[:_TOLD_JOBS],
            "ending": self._ending(),
            "totals": self._tally.totals(),
            "last_minute": self._tally.last_minute(),
            "memory_bytes": resident_bytes(),
            "peak_bytes": peak_bytes(),
            "unread_bytes": self._router.unread_bytes,
            "log": str(self._log_path),
        }

    def _set_log_level(self, client: Client, fields: dict[str, Any]) -> dict[str, Any]:
        log.set_level(fields["level"])
        _log.warning("client=%r has set log_level=%s", client.name, fields["level"])
        return {"level": fields["level"]}

    def _named(self, job: Job) -> dict[str, Any]:
        name = self._router.clients[job.client].name
        return {"verb": job.verb, "client": name, "request": job.request.hex()}

    def _ending(self) -> str:
        if self._deadline is not None:
            return "now"
        return "when idle" if self._end_when_idle else ""

    def _shut_down(self, client: Client, fields: dict[str, Any]) -> dict[str, Any]:
        reason = f"client={client.name!r} asked for it"
        if fields["when_idle"]:
            self._plan_end(reason)
        else:
            self._begin_end(reason)
        return {}

    def _look_of(self, job: Job) -> KeptLook:
        name = job.fields["look"]
        look = self._looks.find(name)
        if look is None:
            raise DaemonError(
                messages.UNKNOWN_LOOK, f"look {name[:12]}... is not known here: learn it again"
            )
        return look

    # Answers

    def _task(
        self, job: Job, work: Callable[[Job], Result], strand: object = None, rank: int = URGENT
    ) -> Task:
        return task_of(job, work, self._answer, strand, rank)

    def _answer(self, job: Job, kind: str, fields: dict[str, Any], frames: list[Any]) -> None:
        """Answer a job; for any thread."""
        self._router.calls.post(partial(self._answered, job, kind, fields, frames))

    def _answer_error(self, job: Job, error: Exception) -> None:
        self._answer(job, messages.ERROR, describe_error(error), [])

    def _answered(self, job: Job, kind: str, fields: dict[str, Any], frames: list[Any]) -> None:
        client = self._client_of(job)
        if client is None:
            return
        client.release(job)
        self._count(job, kind, fields)
        self._last_asked = self._worked = time.monotonic()
        if job.cancelled:
            kind, fields, frames = messages.ERROR, describe_error(CancelledError()), []
        self._send(client, job, kind, fields, frames)

    def _count(self, job: Job, kind: str, fields: dict[str, Any]) -> None:
        pixels = job.fields["width"] * job.fields["rows"] if job.verb == "apply" else 0
        code = messages.CANCELLED if job.cancelled else fields.get("code", "")
        seconds = time.monotonic() - (job.began or job.came)
        self._tally.add_job(job.verb, "" if kind == messages.RESULT else code, seconds, pixels)

    def _tell(self, job: Job, fields: dict[str, Any]) -> None:
        """Pass on how far a job is; for any thread."""
        self._router.calls.post(partial(self._told, job, fields))

    def _told(self, job: Job, fields: dict[str, Any]) -> None:
        client = self._client_of(job)
        if fields.get("outcome") == "done":
            self._tally.add_photo(fields["width"] * fields["height"])
        if client is not None:
            job.told = time.monotonic()
            self._send(client, job, messages.PROGRESS, fields, [])

    def _repeat_progress(self) -> None:
        """Let every client that waits know that it is not forgotten."""
        now = time.monotonic()
        for job in self._jobs():
            client = self._client_of(job)
            if client is None or client.connection.unread_bytes:
                continue
            if now - job.told > _REPEAT_SECONDS:
                self._told(job, job.state())

    def _client_of(self, job: Job) -> Client | None:
        """Return the client that waits for a job, if it still does."""
        client = self._router.clients.get(job.client)
        return client if client is not None and client.jobs.get(job.request) is job else None

    def _send(
        self, client: Client, job: Job, kind: str, fields: dict[str, Any], frames: list[Any]
    ) -> None:
        self._router.send(client, [job.request, pack_header(kind, fields), *frames])


def _seconds_since(when: float) -> float:
    return max(0.0, time.monotonic() - when)


def _why_dropped(client: Client, message: Message) -> str:
    taken = client.unfinished_bytes
    if taken + message.size > messages.WINDOW_BYTES:
        return (
            f"{message.size} bytes, and {taken} are unfinished: at most {messages.WINDOW_BYTES} "
            "in all"
        )
    return "other clients' requests take all memory that there is for them: try again"


def _read_header(job: Job, packed: bytes) -> None:
    """Give a job its verb and fields.

    Raises:
        Malformed: header or data frames are not as PROTOCOL.md has them.
    """
    header = unpack_header(packed)
    verb = header.get("verb")
    job.fields = messages.check(verb, header)
    job.verb = str(verb)
    messages.check_frames(job.verb, job.fields, [len(data) for data in job.frames])


def _note(job: Job, *names: str) -> None:
    """Note fields for the job's line in the log."""
    job.facts |= {name: job.fields[name] for name in names}
