"""A Dask cluster of real processes on loopback, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WAIT = 120.0  # seconds, for what takes a few
HERE = Path(__file__).parent


def wait_for(condition: Callable[[], Any], what: str = "nothing happens") -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@dataclass
class Cluster:
    """A scheduler and workers, which end with the block of `dask_cluster`.

    Attributes:
        folder: for what they write, and for their logs.
        address: of the scheduler.
        scheduler: its process.
    """

    folder: Path
    address: str
    scheduler: subprocess.Popen[bytes]
    tls: tuple[str, ...] = ()
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(
        self, *options: str, environ: dict[str, str] | None = None, command: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start `dask worker` with one thread, and with a nanny that starts it again."""
        name = f"worker-{len(self.processes)}"
        arguments = ["worker", self.address, *self.tls, "--nthreads", "1", "--no-dashboard"]
        arguments += ["--local-directory", str(self.folder / name), *options]
        process = start_dask(
            self.folder / f"{name}.log",
            arguments,
            {"OMP_NUM_THREADS": "1", **(environ or {})},
            command,
        )
        self.processes.append(process)
        return process

    def stop_workers(self) -> None:
        """End all workers, and who would start them again."""
        for process in self.processes:
            stop(process)

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Return what a function of the scheduler returns."""
        from distributed import Client

        with self.client() as client:
            assert isinstance(client, Client)
            return client.run_on_scheduler(question)

    def client(self) -> Any:
        from distributed import Client, Security

        options = {}
        if self.tls:
            ca, cert, key = self.tls[1::2]
            options["security"] = Security(
                tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True
            )
        return Client(self.address, set_as_default=False, timeout=30, **options)

    def pids(self) -> list[int]:
        """Return the process ids of the workers proper."""
        return list(self.ask(_pids))

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers are there."""
        with self.client() as client:
            client.wait_for_workers(count, timeout=WAIT)

    def is_clean(self) -> bool:
        """Tell whether the scheduler knows of no tasks any more."""
        return bool(self.ask(_has_no_tasks))


def _pids(dask_scheduler: Any) -> list[int]:
    return [worker.pid for worker in dask_scheduler.workers.values()]


def _has_no_tasks(dask_scheduler: Any) -> bool:
    return not dask_scheduler.tasks


def start_dask(
    log: Path,
    arguments: list[str],
    environ: dict[str, str] | None = None,
    command: tuple[str, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start a program of Dask's, which can import this module."""
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    started = [*command, sys.executable, "-m", "dask", *arguments]
    return start_program(log, started, environ={"PYTHONPATH": path, **(environ or {})})


def start_program(
    log: Path, command: list[str], folder: Path | None = None, environ: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own."""
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=file,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(WAIT)


@contextmanager
def dask_cluster(folder: Path, workers: int, tls: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """Start a scheduler and workers on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "scheduler.json"
    arguments = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    arguments += ["--scheduler-file", str(told), *tls]
    if tls:
        arguments += ["--protocol", "tls"]
    with ExitStack() as stack:
        # Killed, it leaves its folder behind.
        environ = {"DASK_TEMPORARY_DIRECTORY": str(folder)}
        scheduler = start_dask(folder / "scheduler.log", arguments, environ)
        stack.callback(stop, scheduler)
        wait_for(lambda: told.exists() and told.read_text().strip().endswith("}"))
        cluster = Cluster(folder, json.loads(told.read_text())["address"], scheduler, tls)
        stack.callback(cluster.stop_workers)
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
