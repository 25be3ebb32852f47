"""A batch on a Dask cluster: workers read and write the shared file system, this process plans.

This process hands out paths as workers are free and hears what became of each photo. It reads no
photo and loads no model.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from vae_balance.batch import dask_worker, own_worker
from vae_balance.batch.attempt import failure
from vae_balance.batch.crew import Crew, Errand, GivenUpError
from vae_balance.batch.dask_worker import Order, Sight
from vae_balance.batch.outcome import DONE, FAILED
from vae_balance.batch.runner import PhotoReport, frames_to_learn_from
from vae_balance.errors import BalanceError, ImageError, OptionError, error_of
from vae_balance.files import check_new, marked, remove_leftovers
from vae_balance.photos.task import PhotoTask
from vae_balance.pipeline import How

LOCAL = "local"
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]{1,5}")
_CONNECT_SECONDS = 10.0
_WORKER_BYTES = 1 << 30  # what a worker of our own takes, with a large photo
_LOOK_NAME = "roll"
# Of a cluster of our own; others at this computer are not to look on.
_NO_WEB_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_QUIET = ("distributed", "tornado", "asyncio")
_SILENT = logging.CRITICAL + 1


@dataclass(frozen=True)
class Cluster:
    """Where the workers are.

    Attributes:
        address: of the scheduler, "tcp://HOST:PORT" or "tls://HOST:PORT"; "local" for workers of
            our own on this computer, which end with the batch.
        tls_ca_file: whom to trust, PEM; with the next two for "tls://".
        tls_cert: who we are, PEM.
        tls_key: its key, PEM; None if that is in the file of `tls_cert`.

    Raises:
        OptionError: that is no address, these do not go together, or they are no certificates.
    """

    address: str
    tls_ca_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without a network."""
        if self.address != LOCAL and not _ADDRESS.fullmatch(self.address):
            raise OptionError(
                f"scheduler {self.address!r}: must be local, tcp://HOST:PORT or tls://HOST:PORT"
            )
        files = (self.tls_ca_file, self.tls_cert, self.tls_key)
        is_secured = self.address.startswith("tls://")
        if not is_secured and any(files):
            raise OptionError(f"scheduler {self.address}: TLS is for tls://HOST:PORT")
        if is_secured and (self.tls_ca_file is None or self.tls_cert is None):
            raise OptionError(
                f"scheduler {self.address}: needs --tls-ca-file and --tls-cert, and --tls-key "
                "where the key is in a file of its own"
            )
        for path in files:
            if path is not None and not path.is_file():
                raise OptionError(f"{path}: no such file")
        if self.tls_ca_file is not None and self.tls_cert is not None:
            _check_certificates(self.tls_ca_file)
            _check_certificates(self.tls_cert)
            _check_key(self.tls_cert, self.tls_key or self.tls_cert)

    def security(self) -> Security:
        """Return what Dask has to know of certificates."""
        if self.address == LOCAL:
            return Security.temporary()
        if not self.address.startswith("tls://"):
            return Security(require_encryption=False)
        key = self.tls_key or self.tls_cert
        return Security(
            require_encryption=True,
            tls_ca_file=str(self.tls_ca_file),
            tls_client_cert=str(self.tls_cert),
            tls_client_key=str(key),
        )


def _check_certificates(path: Path) -> None:
    """Check that a file has certificates.

    Raises:
        OptionError: it has none, or cannot be read.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise OptionError(f"{path}: is not a certificate in the form PEM") from error
    except OSError as error:
        raise OptionError(f"{path}: cannot be read: {error.strerror}") from error


def _check_key(cert: Path, key: Path) -> None:
    """Check that a file has the key of a certificate.

    Raises:
        OptionError: it has none that opens without a password, that of another certificate, or
            cannot be read.
    """
    try:
        # Without a password OpenSSL would ask for one in the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise OptionError(f"{key}: is not the key of the certificate {cert}") from error
        raise OptionError(
            f"{key}: has no private key in the form PEM that opens without a password"
        ) from error
    except OSError as error:
        raise OptionError(f"{key}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class DaskRunner:
    """Balances photos in the workers of a cluster; see `Runner`.

    Attributes:
        cluster: where they are.
        order: what is the same for all photos; its `how` is that of `run`.
        sources: the folder of the photos, absolute.
        targets: absolute folders that exist and that workers write below.
        jobs: photos in work at a time; 0 for as many as the workers have threads, or as this
            computer has cores where the workers are our own.
        keep_going: asked several times a second; when it says no, what is being done is finished,
            and nothing else is begun.
        tell: tells people a line about workers.
    """

    cluster: Cluster
    order: Order
    sources: Path
    targets: Sequence[Path]
    jobs: int = 0
    keep_going: Callable[[], bool] = lambda: True
    tell: Callable[[str], None] = lambda line: None

    def run(
        self,
        photos: Iterable[PhotoTask],
        how: How,
        roll: bool,
        report: Callable[[PhotoReport], None],
    ) -> tuple[int, int]:
        """Balance photos; see `Runner.run`.

        Raises:
            BalanceError: besides, the cluster cannot be reached, is lost, or has no worker that
                can do the batch.
        """
        _silence_logs()
        how = replace(how, threads=1, make_folders=True)
        with warnings.catch_warnings():
            # The proxies of a roll are large, and Dask says so.
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            return asyncio.run(self._run(photos, replace(self.order, how=how), roll, report))

    async def _run(
        self,
        photos: Iterable[PhotoTask],
        order: Order,
        roll: bool,
        report: Callable[[PhotoReport], None],
    ) -> tuple[int, int]:
        async with AsyncExitStack() as stack:
            marks = dict(stack.enter_context(marked(folder)) for folder in self.targets)
            client = await stack.enter_async_context(self._client())
            sight = Sight(self.sources, marks)
            crew = Crew(
                client,
                dask_worker.examine,
                (order, sight),
                self.jobs,
                self.keep_going,
                self.tell,
            )
            stack.push_async_callback(crew.close)
            crew.start()
            batch = _Batch(crew, order, report)
            await (batch.roll(list(photos)) if roll else batch.photos(photos))
            return batch.counts[DONE], batch.counts[FAILED]

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        """Connect to the scheduler, started here if it is to be our own.

        Raises:
            BalanceError: none answers.
        """
        async with AsyncExitStack() as stack:
            security = self.cluster.security()
            address: Any = self.cluster.address
            if address == LOCAL:
                stack.enter_context(dask.config.set(_NO_WEB_PAGES))
                address = await stack.enter_async_context(
                    LocalCluster(
                        n_workers=self.jobs or sensible_workers(),
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address="127.0.0.1:0",
                        security=security,
                        asynchronous=True,
                        silence_logs=_SILENT,
                        preload=[own_worker.__name__],
                    )
                )
            try:
                client = await stack.enter_async_context(
                    Client(
                        address,
                        asynchronous=True,
                        security=security,
                        timeout=_CONNECT_SECONDS,
                        name="vae-balance-batch",
                        set_as_default=False,
                    )
                )
            except (OSError, ValueError) as error:
                advice = "start one: dask scheduler"
                if self.cluster.tls_cert is not None:
                    advice += ", or see whether it and these certificates trust each other"
                raise BalanceError(
                    f"{address}: no scheduler answers there ({' '.join(str(error).split())}): "
                    f"{advice}"
                ) from error
            yield client


def _silence_logs() -> None:
    """Let Dask say nothing: what people have to know is told in a line."""
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in _QUIET:
            logging.getLogger(name).setLevel(_SILENT)


def sensible_workers() -> int:
    """Return how many workers of our own to have on this computer."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = cores or 1
    if hasattr(os, "sysconf"):  # not on Windows
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        workers = min(workers, memory // _WORKER_BYTES)
    return max(workers, 1)


@dataclass(eq=False)
class _Batch:
    """A batch while it runs."""

    crew: Crew
    order: Order
    report: Callable[[PhotoReport], None]
    counts: dict[str, int] = field(default_factory=lambda: {DONE: 0, FAILED: 0})
    _folders: set[Path] = field(default_factory=set)  # that were cleared
    _lost_in: set[Path] = field(default_factory=set)  # folders that a lost worker wrote to

    async def photos(self, photos: Iterable[PhotoTask]) -> None:
        """Balance photos, each by a look of its own."""
        await self._do(
            Errand(
                dask_worker.balance,
                (self.order, index, task),
                (self.order, index, replace(task, overwrite=True)),
                index,
            )
            for index, task in self._cleared(enumerate(photos))
        )

    async def roll(self, tasks: list[PhotoTask]) -> None:
        """Learn one look from all photos, have its LUT written, and apply it to them."""
        luts = list(dict.fromkeys(task.lut for task in tasks if task.lut))
        overwrite = self.order.how.overwrite or any(task.overwrite for task in tasks)
        for lut in luts:
            check_new(lut, overwrite)
        chosen = frames_to_learn_from(len(tasks))
        proxies, unreadable = await self._proxies(tasks, chosen)
        for told in unreadable.values():
            self._tell(told)
        look = None
        if proxies and not self.crew.is_stopped:
            photos = [tasks[index].photo for index in proxies]
            look = await self._learn(list(proxies.values()), luts, photos, overwrite)
        proxies.clear()
        if self.crew.is_stopped:
            return
        if look is not None:
            self.crew.equip(dask_worker.keep_look, _LOOK_NAME, *look)
        rest = [(i, replace(t, lut=None)) for i, t in enumerate(tasks) if i not in unreadable]
        if look is None:
            for index, task in rest:
                text = f"{task.photo}: there is no look: no photo of the roll was read"
                self._tell(failure(index, task.photo, ImageError(text)))
            return
        await self._do(
            Errand(
                dask_worker.change,
                (self.order, index, task, _LOOK_NAME),
                (self.order, index, replace(task, overwrite=True), _LOOK_NAME),
                index,
            )
            for index, task in self._cleared(rest)
        )

    async def _proxies(
        self, tasks: Sequence[PhotoTask], chosen: Sequence[int]
    ) -> tuple[dict[int, bytes], dict[int, PhotoReport]]:
        """Return the proxies of frames, in their order, and what became of those without one."""
        made: dict[int, bytes] = {}
        unreadable: dict[int, PhotoReport] = {}
        arguments = ((self.order, index, tasks[index]) for index in chosen)
        errands = (Errand(dask_worker.frame_proxy, all, all, all[1]) for all in arguments)
        async for errand, result in self.crew.do(errands):
            index = errand.number
            if isinstance(result, GivenUpError):
                unreadable[index] = _given_up(index, tasks[index].photo, result)
            elif isinstance(result, PhotoReport):
                unreadable[index] = result
            else:
                made[index] = result
        return {index: made[index] for index in sorted(made)}, unreadable

    async def _learn(
        self,
        proxies: Sequence[bytes],
        luts: Sequence[Path],
        photos: Sequence[Path],
        overwrite: bool,
    ) -> tuple[bytes, str] | None:
        """Return the look of a roll as bytes, and on which device it was learned.

        None if the batch is stopped before.

        Raises:
            BalanceError: it cannot be learned or written.
        """
        orders = [
            replace(self.order, how=replace(self.order.how, overwrite=replaces))
            for replaces in (overwrite, True)
        ]
        first, again = ((order, proxies, luts, photos) for order in orders)
        learned: tuple[bytes, str] | None = None
        async for _, result in self.crew.do(iter([Errand(dask_worker.learn_roll, first, again)])):
            if isinstance(result, GivenUpError):
                raise BalanceError(f"learning the look of the roll {result}")
            if isinstance(result, PhotoReport):
                raise error_of(result.code, result.message)
            learned = result
        return learned

    def _cleared(self, tasks: Iterable[tuple[int, PhotoTask]]) -> Iterator[tuple[int, PhotoTask]]:
        """Pass tasks on; clear the folders of outputs of what a killed process has left there."""
        for index, task in tasks:
            for output in filter(None, (task.output, task.lut)):
                if output.parent not in self._folders:
                    self._folders.add(output.parent)
                    remove_leftovers(output.parent)
            yield index, task

    async def _do(self, errands: Iterator[Errand]) -> None:
        """Do photos and tell what became of each."""
        try:
            async for errand, result in self.crew.do(errands):
                task: PhotoTask = errand.arguments[2]
                if errand.losses:
                    self._lost_in |= {path.parent for path in (task.output, task.lut) if path}
                if isinstance(result, GivenUpError):
                    result = _given_up(errand.number, task.photo, result)
                self._tell(result)
        finally:
            for folder in self._lost_in:
                remove_leftovers(folder)

    def _tell(self, told: PhotoReport) -> None:
        self.counts[told.outcome] += 1
        self.report(told)


def _given_up(index: int, photo: Path, reason: GivenUpError) -> PhotoReport:
    return failure(index, photo, BalanceError(f"{photo}: {reason}: left undone"))
