"""Have a batch done by the daemon, and keep in the report what becomes of each photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vae_balance.batch.photo_line import line_of
from vae_balance.batch.photo_news import photo_news
from vae_balance.batch.plan import Planned, Request, State
from vae_balance.batch.report import Line, Report, Stamp
from vae_balance.files import process_umask
from vae_balance_protocol import messages

if TYPE_CHECKING:
    from vae_balance_protocol.client import Client


def run_request(
    client: Client,
    request: Request,
    fields: Mapping[str, Any],
    settings: dict[str, Any],
    report: Report,
    interrupted: Callable[[], bool],
) -> Iterator[tuple[Planned, Line]]:
    """Yield every photo of a request when it is done or failed, with its line in the report.

    Photos that were done before are left out where the daemon keeps them as they are. When
    `interrupted` says yes, the daemon is told to stop, and what it has done until then is yielded.

    Args:
        client: connected to the daemon.
        request: photos.
        fields: the options of the verb `batch`.
        settings: what the results depend on, for the report.
        report: to append to.
        interrupted: asked all the time.

    Raises:
        DaemonError: the daemon refuses or is lost.
        BalanceError: the report cannot be written.
    """
    stamps = [Stamp.of(photo.source) for photo in request.photos]
    asked = {**fields, **_photos(request, bool(fields["roll"]))}
    for told in photo_news(client, asked, interrupted):
        number = told["photo"]
        photo = request.photos[number]
        if photo.state is State.DONE and told["code"] == messages.OUTPUT_EXISTS:
            continue
        line = line_of(photo, stamps[number], settings, told)
        report.append(line)
        yield photo, line


def _photos(request: Request, roll: bool) -> dict[str, Any]:
    """Return the fields that name the photos."""
    cubes = [request.cube_of(photo, roll) for photo in request.photos]
    rows = [
        [str(photo.source), str(photo.target), None if cube is None else str(cube)]
        for photo, cube in zip(request.photos, cubes, strict=True)
    ]
    return {"photos": rows, "overwrite": request.overwrite, "umask": process_umask()}
