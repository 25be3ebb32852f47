"""Being woken by systemd: a socket at which clients knock when no daemon answers.

systemd holds the socket as long as no daemon runs, starts the daemon at a knock, and hands the
socket over. Nothing is said on it: port and token are in the connection file as always.

Source: sd_listen_fds(3), systemd.socket(5).
"""

from __future__ import annotations

import os
import socket
import threading
import time

_FIRST_DESCRIPTOR = 3
_AGAIN_SECONDS = 1.0


def listen_for_activation() -> None:
    """Take the socket over, if systemd has handed one over, and what knocks at it from now on.

    A knock that nobody took would have systemd start the daemon again as soon as it has ended.
    """
    handed_over = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "")
    if not (handed_over and count == "1"):
        return
    os.set_inheritable(_FIRST_DESCRIPTOR, False)
    listener = socket.socket(fileno=_FIRST_DESCRIPTOR)
    threading.Thread(target=_take_knocks, args=[listener], name="knocks", daemon=True).start()


def _take_knocks(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:  # there are too many open files for the moment
            time.sleep(_AGAIN_SECONDS)
