"""The workers of a Dask cluster at work for a batch: each is examined, then does errand by errand.

Dask runs the processes, carries the messages and tells who comes and who is lost. Which worker gets
which errand is settled here, because a batch has to know what a worker had to do when it was lost:
that goes to another worker, and from then on each of it is done alone in its process, so that it is
clear which of it ends workers. What has ended three is given up.
"""

from __future__ import annotations

import asyncio
import pkgutil
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from distributed import Client, KilledWorker
from distributed.client import FutureCancelledError

from vae_balance import __version__
from vae_balance.errors import BalanceError

MOST_LOSSES = 3
_TICK_SECONDS = 0.25  # how soon an interruption is noticed
_CHECK_SECONDS = 10.0  # the scheduler tells who comes and goes; should it fail to, it is asked
_GRACE_SECONDS = 10.0  # for others to come when all workers that there are were left out
_TELL_SECONDS = 3.0  # before people are told that there are none
_WAIT_SECONDS = 60.0  # for workers to come when there are none


@dataclass(eq=False)
class Errand:
    """A function to call in a worker.

    Attributes:
        call: the function.
        arguments: it is called with.
        again: it is called with after the loss of a worker that may have begun it.
        number: for whoever gives the errand.
        losses: workers that were lost while they had it.
        is_repeated: it may have been begun before.
    """

    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    again: tuple[Any, ...]
    number: int = 0
    losses: int = 0
    is_repeated: bool = False


class GivenUpError(BalanceError):
    """An errand has cost too many workers."""


@dataclass(eq=False)
class _Member:
    """A worker.

    Attributes:
        address: of the worker.
        threads: errands that it does at a time; one more waits there, so that it is never idle.
        host: its computer.
        is_fit: it was examined and can do the batch.
        in_work: errands in the order in which they were sent.
        reserved: an errand to be done alone, as soon as all others are done.
        hands: coroutines, each with one errand at most.
    """

    address: str
    threads: int
    host: str = ""
    is_fit: bool = False
    in_work: list[Errand] = field(default_factory=list)
    reserved: Errand | None = None
    hands: list[asyncio.Task[None]] = field(default_factory=list)

    def __str__(self) -> str:
        """Name it for people."""
        return f"worker {self.address}" + (f" on {self.host}" if self.host else "")


class Crew:
    """All workers of a cluster, also those that come later.

    Args:
        client: asynchronous, connected.
        examine: returns in a worker, called with `order`, why it cannot do the batch; "" if it can.
        order: arguments of `examine`.
        jobs: errands in work at a time at most; 0 for as many as the workers have threads.
        keep_going: asked several times a second; when it says no, what workers have is finished,
            and nothing else is given to them.
        tell: tells people a line.
    """

    def __init__(
        self,
        client: Client,
        examine: Callable[..., str],
        order: tuple[Any, ...],
        jobs: int,
        keep_going: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._client = client
        scheduler: Any = client.scheduler
        self._scheduler = scheduler
        self._address: str = scheduler.address
        self._examine = examine
        self._order = order
        self._jobs = jobs
        self._keep_going = keep_going
        self._tell = tell
        self._equipment: tuple[Callable[..., None], tuple[Any, ...]] | None = None
        self._members: dict[str, _Member] = {}
        self._left_out: dict[str, str] = {}
        self._source: Iterator[Errand] = iter(())
        self._is_exhausted = True
        self._again: deque[Errand] = deque()
        self._suspects: deque[Errand] = deque()
        self._results: deque[tuple[Errand, Any]] = deque()
        self._error: BaseException | None = None
        self._is_stopped = False
        self._without_since: float | None = None
        self._is_told = False  # that workers are waited for
        self._has_results = asyncio.Event()
        self._news = asyncio.Event()  # for hands that wait; a new one after every use
        self._asked_to_check = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether errands are left undone because `keep_going` said no."""
        return self._is_stopped

    def start(self) -> None:
        """Have the workers examined that there are, and those that come from now on."""
        self._client.subscribe_topic("all", self._hear)
        self._watch = asyncio.create_task(self._watch_workers())

    async def close(self) -> None:
        """Let go of all errands, so that the cluster forgets them."""
        with suppress(KeyError):  # it was not started
            self._client.unsubscribe_topic("all")
        tasks = [hand for member in self._members.values() for hand in member.hands]
        tasks += [self._watch] if self._watch else []
        self._members.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def equip(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have a function called in every worker before its next errand; nothing is in work."""
        self._equipment = call, arguments
        for member in [member for member in self._members.values() if member.is_fit]:
            self._dismiss(member)
            self._join(member.address, member.threads)

    async def do(self, errands: Iterator[Errand]) -> AsyncIterator[tuple[Errand, Any]]:
        """Yield every errand when it is done, with what its function returned or `GivenUpError`.

        Errands are taken as there are workers for them. An exception of their iterator is raised.

        Raises:
            BalanceError: no worker can do them, or the scheduler is lost.
        """
        self._source, self._is_exhausted = errands, False
        self._without_since = None
        self._wake()
        while True:
            while self._results:
                yield self._results.popleft()
            self._look_after()
            if self._is_done():
                return
            self._has_results.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._has_results.wait(), _TICK_SECONDS)

    # What goes on beside `do`.

    def _look_after(self) -> None:
        """Raise what ends the work, and notice that it is to stop."""
        if self._error is not None:
            raise self._error
        if self._client.status != "running":
            raise self._lost_scheduler()
        if not self._is_stopped and not self._keep_going():
            # What waits at a worker may have begun while its last result is on the way: called
            # back, it would write a photo that nobody is told of.
            self._is_stopped = True
        if any(member.is_fit for member in self._members.values()):
            self._without_since = None
        elif not self._members and not self._is_stopped:
            self._wait_for_workers()

    def _wait_for_workers(self) -> None:
        now = time.monotonic()
        if self._without_since is None:
            self._without_since = now
        waited = now - self._without_since
        if self._left_out and waited > _GRACE_SECONDS:
            reason = next(iter(self._left_out.values()))
            raise BalanceError(f"{self._address}: no worker can do this: {reason}")
        if waited > _TELL_SECONDS and not self._is_told:
            self._is_told = True
            self._tell(f"{self._address}: waiting for workers")
        if waited > _WAIT_SECONDS:
            raise BalanceError(
                f"{self._address}: has no workers: start some, `dask worker {self._address}`; the "
                "same command goes on"
            )

    def _is_done(self) -> bool:
        if self._results or any(member.in_work for member in self._members.values()):
            return False
        if self._is_stopped:
            return True
        reserved = any(member.reserved for member in self._members.values())
        return self._is_exhausted and not (self._again or self._suspects or reserved)

    def _lost_scheduler(self) -> BalanceError:
        return BalanceError(f"{self._address}: the scheduler is lost; the same command goes on")

    def _wake(self) -> None:
        """Let waiting hands look for an errand again."""
        self._news.set()
        self._news = asyncio.Event()

    # Workers that come and go.

    def _hear(self, event: tuple[float, Any]) -> None:
        """Hear from the scheduler that a worker has come or is lost."""
        _, message = event
        action = message.get("action") if isinstance(message, dict) else None
        if action == "remove-worker":
            self._lose(message["worker"])
        elif action == "add-worker":
            self._asked_to_check.set()

    async def _watch_workers(self) -> None:
        while True:
            self._asked_to_check.clear()
            with suppress(OSError):  # a lost scheduler is noticed by the client
                threads = await self._scheduler.ncores()
                for address in set(self._members) | set(self._left_out):
                    if address not in threads:
                        self._lose(address)
                for address in threads:
                    if address not in self._members and address not in self._left_out:
                        self._join(address, threads[address])
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._asked_to_check.wait(), _CHECK_SECONDS)

    def _join(self, address: str, threads: int) -> None:
        member = _Member(address, threads)
        self._members[address] = member
        member.hands.append(asyncio.create_task(self._welcome(member)))

    async def _welcome(self, member: _Member) -> None:
        """Examine a worker; if it is fit, give it hands."""
        try:
            reason = await self._reason_against(member)
            if not reason and self._equipment is not None:
                call, arguments = self._equipment
                await self._call(member.address, call, *arguments)
        except FutureCancelledError:  # with the scheduler
            return
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        if reason:
            self._leave_out(member, reason)
            return
        member.is_fit = True
        member.hands = [asyncio.create_task(self._work(member)) for _ in range(member.threads + 1)]

    async def _reason_against(self, member: _Member) -> str:
        """Return why a worker cannot do the batch, "" if it can.

        Only functions that every Python has are called until the version is known.
        """
        member.host = await self._call(member.address, socket.gethostname)
        install = f"install it there: pip install 'vae-balance[cluster]=={__version__}'"
        try:
            version = await self._call(
                member.address, pkgutil.resolve_name, "vae_balance:__version__"
            )
        except ImportError:
            return f"has no VAE Balance: {install}"
        if version != __version__:
            return f"has version {version} of VAE Balance, not {__version__}: {install}"
        reason: str = await self._call(member.address, self._examine, *self._order)
        return reason

    def _leave_out(self, member: _Member, reason: str) -> None:
        """Give a worker no more errands; what it was doing goes to others, who are not blamed."""
        reason = " ".join(reason.split())
        self._left_out[member.address] = f"{member}: {reason}"
        for errand in self._dismiss(member):
            errand.is_repeated = True
            self._again.append(errand)
        self._tell(f"{member}: left out: {reason}")
        self._wake()

    def _lose(self, address: str) -> None:
        """Take note that a worker is gone; what it was doing goes to others."""
        self._left_out.pop(address, None)
        member = self._members.get(address)
        if member is None:
            return
        for errand in self._dismiss(member):
            errand.is_repeated = True
            errand.losses += 1
            if errand.losses < MOST_LOSSES:
                self._suspects.append(errand)
            else:
                self._deliver(
                    errand, GivenUpError(f"ended {MOST_LOSSES} workers, the last {member}")
                )
        if not self._is_stopped:
            self._tell(f"{member} is lost; others do what it was doing")
        self._wake()

    def _dismiss(self, member: _Member) -> list[Errand]:
        """Let go of a worker; return the errands it had, in the order in which they were sent."""
        self._members.pop(member.address, None)
        for hand in member.hands:
            if hand is not asyncio.current_task():
                hand.cancel()
        if member.reserved is not None and member.reserved not in member.in_work:
            self._suspects.appendleft(member.reserved)
        return member.in_work

    # Errands.

    async def _work(self, member: _Member) -> None:
        """Do errands in a worker, one after the other, until this coroutine is cancelled."""
        while True:
            while (errand := self._next_for(member)) is None:
                await self._news.wait()
            member.in_work.append(errand)
            arguments = errand.again if errand.is_repeated else errand.arguments
            try:
                result = await self._call(member.address, errand.call, *arguments)
            except FutureCancelledError:  # by the loss or the restart of the scheduler
                self._fail(self._lost_scheduler())
                return
            except KilledWorker:
                self._lose(member.address)
                return
            except Exception as error:  # what is wrong with a photo is a result
                self._leave_out(member, f"{type(error).__name__}: {error}")
                return
            member.in_work.remove(errand)
            if member.reserved is errand:
                member.reserved = None
            self._deliver(errand, result)
            self._wake()

    def _next_for(self, member: _Member) -> Errand | None:
        """Return what a worker is to do next; None if there is nothing for it now."""
        if self._is_stopped or self._error is not None or self._has_enough(member):
            return None
        if member.reserved is None and self._suspects:
            member.reserved = self._suspects.popleft()
        if member.reserved is not None:
            return None if member.in_work else member.reserved
        if self._again:
            return self._again.popleft()
        if self._is_exhausted:
            return None
        try:
            return next(self._source)
        except StopIteration:
            self._is_exhausted = True
            self._has_results.set()
        except Exception as error:
            self._fail(error)
        return None

    def _has_enough(self, member: _Member) -> bool:
        if not self._jobs:
            return False
        in_work = sum(len(other.in_work) for other in self._members.values())
        return in_work >= self._jobs or len(member.in_work) >= member.threads

    async def _call(self, address: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns in a worker, or raise what it raises there."""
        future = self._client.submit(call, *arguments, workers=[address], pure=False)
        try:
            return await future
        finally:
            future.release()

    def _deliver(self, errand: Errand, result: Any) -> None:
        self._results.append((errand, result))
        self._has_results.set()

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._has_results.set()
