"""The connection file: how to reach the daemon that runs, if one does."""

from __future__ import absolute_import, unicode_literals

import io
import json
import os
import re

from . import places
from .compat import TEXT, as_text
from .errors import ConnectionLost, DaemonError
from .messages import PROTOCOL, USER, VERSION
from .zmtp import Dealer

MYPY = False
if MYPY:
    from typing import Any, Dict, Mapping

    from .zmtp import Waiting

FILE_BYTES = 64 * 1024
# The daemon listens on this machine only; to nobody else is a token told.
_ENDPOINT = re.compile(r"tcp://(127\.0\.0\.1):([1-9][0-9]{0,4})\Z")
_TOKEN = re.compile(r"[0-9a-f]{64}\Z")


class Connection(object):
    """What a connection file says, checked."""

    def __init__(self, host, port, token, pid, version, protocol):
        # type: (str, int, str, int, str, int) -> None
        self.host = host
        self.port = port
        self.token = token
        self.pid = pid
        self.version = version
        self.protocol = protocol


def read_connection(environ=os.environ):
    # type: (Mapping[str, str]) -> Connection
    """Read the connection file.

    Raises:
        ConnectionLost: there is none, or it is not one; no message holds the token.
    """
    path = places.connection_file(environ)
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise ConnectionLost("the connection file %s is damaged" % as_text(path))
    try:
        with io.open(path, "rb") as file:
            data = file.read(FILE_BYTES + 1)
    except (OSError, IOError):
        raise ConnectionLost("no daemon runs")
    try:
        content = json.loads(data.decode("utf-8")) if len(data) <= FILE_BYTES else None
    except (ValueError, RuntimeError):  # too deep for the parser
        content = None
    if not isinstance(content, dict):
        raise ConnectionLost("the connection file %s is damaged" % as_text(path))
    return _checked(content, as_text(path))


def dial(environ=os.environ, timeout=10.0, waiting=None):
    # type: (Mapping[str, str], float, Waiting) -> Dealer
    """Connect to the daemon that runs.

    Args:
        environ: the environment that says where its files lie.
        timeout: seconds for it to answer.
        waiting: called each half second while it does not; the connection goes on to call it.

    Raises:
        ConnectionLost: none runs.
        DaemonError: code "version": it speaks another version of the protocol.
    """
    connection = read_connection(environ)
    user, password = USER.encode("ascii"), connection.token.encode("ascii")
    dealer = Dealer(connection.host, connection.port, user, password, timeout, waiting)
    if connection.protocol != PROTOCOL:
        dealer.close()
        raise other_version(connection.version)
    return dealer


def other_version(version):
    # type: (str) -> DaemonError
    """Return the error of a daemon that runs and is of a version that cannot be talked to."""
    return DaemonError(
        VERSION,
        "the VAE Balance daemon that runs (version %s) and this program do not understand each "
        "other: end it with 'vae-balance stop' and try again, or bring both to one version"
        % version,
    )


def _checked(content, path):
    # type: (Dict[str, Any], str) -> Connection
    endpoint, token = content.get("endpoint"), content.get("token")
    pid, protocol = content.get("pid"), content.get("protocol")
    place = _ENDPOINT.match(endpoint) if isinstance(endpoint, TEXT) else None
    if place is None or int(place.group(2)) > 65535:
        raise ConnectionLost("the connection file %s has no endpoint tcp://127.0.0.1:port" % path)
    if not isinstance(token, TEXT) or not _TOKEN.match(token):
        raise ConnectionLost("the connection file %s has no token" % path)
    if not isinstance(pid, int) or not isinstance(protocol, int):
        raise ConnectionLost("the connection file %s has no pid or protocol" % path)
    version = as_text(content.get("version"))[:100]
    return Connection(place.group(1), int(place.group(2)), token, pid, version, protocol)
