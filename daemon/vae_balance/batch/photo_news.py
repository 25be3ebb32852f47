"""What the daemon tells of the photos of a batch, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vae_balance_protocol import DaemonError, messages

if TYPE_CHECKING:
    from vae_balance_protocol.client import Client

_POLL_SECONDS = 0.5  # how soon an interruption is noticed; the daemon itself tells every second


def photo_news(
    client: Client, fields: Mapping[str, Any], interrupted: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Ask the daemon for a batch; yield what it tells of each photo that is done or failed.

    When `interrupted` says yes, the daemon is told to stop, and what it has done until then is
    yielded.

    Args:
        client: connected to the daemon.
        fields: of the verb `batch`.
        interrupted: asked all the time.

    Raises:
        DaemonError: the daemon refuses or is lost.
    """
    asked = client.send("batch", dict(fields))
    cancelled = False
    while True:
        if interrupted() and not cancelled:
            client.cancel(asked)
            cancelled = True
        answer = client.receive(_POLL_SECONDS)
        if answer is None or answer.request != asked:
            continue
        if answer.type == messages.RESULT:
            return
        if answer.type == messages.ERROR:
            if cancelled and answer.header["code"] == messages.CANCELLED:
                return
            raise DaemonError(answer.header["code"], answer.header["message"])
        if "photo" in answer.header:
            yield answer.header
