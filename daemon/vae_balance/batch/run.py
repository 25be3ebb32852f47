"""Have planned photos done by a runner, and keep in the report what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from vae_balance.batch.photo_line import line_of
from vae_balance.batch.plan import Planned, Request, State, outputs_of
from vae_balance.batch.report import Begin, Line, Report, Stamp
from vae_balance.batch.runner import PhotoReport, Runner
from vae_balance.photos.task import PhotoTask
from vae_balance.pipeline import How
from vae_balance_protocol import messages


def run_requests(
    runner: Runner,
    requests: Iterable[Request],
    how: How,
    roll: bool,
    settings: dict[str, Any],
    report: Report,
    begin: Begin,
    told: Callable[[Planned, Line], None],
) -> None:
    """Do the photos of requests, which are taken as there is room for them.

    Photos that were done before are left out where they are kept as they are.

    Args:
        runner: does the work.
        requests: photos; all those of a roll are one request.
        how: how they are treated.
        roll: they share one look.
        settings: what the results depend on, for the report.
        report: to append to.
        begin: remembers outputs that are being made.
        told: called with every photo when it is done or failed, and its line in the report.

    Raises:
        BalanceError: of the runner, or the report cannot be written.
    """
    in_work: dict[int, tuple[Planned, Stamp | None]] = {}

    def tasks() -> Iterator[PhotoTask]:
        number = 0
        for request in requests:
            begin(outputs_of(request))
            for photo in request.photos:
                in_work[number] = photo, Stamp.of(photo.source)
                number += 1
                cube = request.cube_of(photo, roll)
                yield PhotoTask(photo.source, photo.target, cube, request.overwrite)

    def keep(news: PhotoReport) -> None:
        photo, stamp = in_work.pop(news.index)
        if photo.state is State.DONE and news.code == messages.OUTPUT_EXISTS:
            return
        line = line_of(photo, stamp, settings, vars(news))
        report.append(line)
        told(photo, line)

    runner.run(tasks(), how, roll, keep)
