"""A client that is connected: what it has asked for, and what it has not read yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from vae_balance.server.jobs import Job
from vae_balance.server.pictures import Pictures
from vae_balance_protocol import DaemonError, Malformed
from vae_balance_protocol.messages import BUSY, MALFORMED, REQUESTS, WINDOW_BYTES


@dataclass(eq=False)
class Client:
    """A connection.

    Attributes:
        identity: that the ROUTER gave it.
        descriptor: of its socket in this process.
        name: that it gave itself.
        jobs: what it asked for and was not answered yet, by request id.
        unread: messages that ZeroMQ does not take, because the client does not read.
        unread_bytes: their length.
        held: whether it is too slow to be worked for.
        stuck_since: since when ZeroMQ takes none, by time.monotonic; None if it does.
        pictures: of which strips have come.
    """

    identity: bytes
    descriptor: int
    name: str = ""
    jobs: dict[bytes, Job] = field(default_factory=dict)
    unread: deque[list[Any]] = field(default_factory=deque)
    unread_bytes: int = 0
    held: bool = False
    stuck_since: float | None = None
    pictures: Pictures = field(default_factory=Pictures)

    def admit(self, job: Job) -> None:
        """Count a job among those of the client.

        Raises:
            DaemonError: that would be more than the client may have unfinished; code "busy".
            Malformed: another one has its request id.
        """
        if job.request in self.jobs:
            raise Malformed(MALFORMED, "the request id is that of an unfinished request")
        if len(self.jobs) >= REQUESTS:
            raise DaemonError(BUSY, f"{REQUESTS} requests are unfinished: wait for an answer")
        unfinished = sum(other.size for other in self.jobs.values())
        if unfinished + job.size > WINDOW_BYTES:
            raise DaemonError(
                BUSY,
                f"{job.size} bytes of data, and {unfinished} are unfinished: at most "
                f"{WINDOW_BYTES} in all",
            )
        self.jobs[job.request] = job
