"""The daemon for a GIMP in a root: it runs outside, where its packages are, when GIMP asks for it.

GIMP finds a command as the installer would leave it, in client.json. All that the command does is
to ask for the daemon; a thread outside starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ASK = '#!/bin/sh\necho "$@" > /io/asking.$$ && mv /io/asking.$$ /io/asked\n'
# Where the daemon's client looks for its files, as GIMP sees the folder.
VARIABLES = {"VAE_BALANCE_STATE": "/io/state", "XDG_CONFIG_HOME": "/io/config"}


@contextmanager
def daemon_on_demand(io: Path, device: str = "cpu") -> Iterator[None]:
    """Start the daemon whenever GIMP asks for one and none runs; end it with the context.

    Args:
        io: the folder that GIMP, run with VARIABLES in its environment, sees as /io.
        device: as `vae-balance serve` takes it.
    """
    settings = io / "config/vae-balance/client.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"command": ["/io/ask"]}))
    (io / "ask").write_text(_ASK)
    (io / "ask").chmod(0o755)
    state = io / "state"
    environ = {**os.environ, "VAE_BALANCE_STATE": str(state)}
    daemons: list[subprocess.Popen[bytes]] = []
    over = threading.Event()

    def serve() -> None:
        asked = io / "asked"
        while not over.wait(0.05):
            if not asked.exists():
                continue
            arguments = asked.read_text().split()
            asked.unlink()
            if not daemons or daemons[-1].poll() is not None:
                command = [sys.executable, "-m", "vae_balance", *arguments, "--device", device]
                daemons.append(subprocess.Popen(command, env=environ))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for daemon in daemons[-1:]:
            daemon.terminate()
            daemon.wait(30)
