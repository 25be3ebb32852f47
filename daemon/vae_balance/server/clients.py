"""A client that is connected: what it has asked for, and what it has not read yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from vae_balance.server.connection import Connection
from vae_balance.server.jobs import Job
from vae_balance.server.pictures import Pictures
from vae_balance_protocol import DaemonError, Malformed
from vae_balance_protocol.messages import BUSY, MALFORMED, REQUESTS, WINDOW_BYTES


@dataclass(eq=False)
class Client:
    """A connection that was let in.

    Attributes:
        identity: that no other has.
        connection: by which it came.
        name: that it gave itself.
        jobs: what it asked for and was not answered yet, by request id.
        unfinished_bytes: that it has sent for them.
        held: whether it is too slow to be worked for.
        pictures: of which strips have come.
    """

    identity: int
    connection: Connection
    name: str = ""
    jobs: dict[bytes, Job] = field(default_factory=dict)
    unfinished_bytes: int = 0
    held: bool = False
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
        if self.unfinished_bytes + job.size > WINDOW_BYTES:
            raise DaemonError(
                BUSY,
                f"{job.size} bytes of data, and {self.unfinished_bytes} are unfinished: at most "
                f"{WINDOW_BYTES} in all",
            )
        self.jobs[job.request] = job
        self.unfinished_bytes += job.size

    def release(self, job: Job) -> None:
        """Count a job no more."""
        del self.jobs[job.request]
        self.unfinished_bytes -= job.size
