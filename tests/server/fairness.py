"""How long a look takes beside other work: alone, beside rolls, long looks, and batches.

    .venv/bin/python tests/server/fairness.py

Prints the seconds of each look, and how many times those of a look alone their median and the
slowest are. Ends with status 1 if either is more than it may be. For a quiet computer.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from daemon_process import Daemon
from PIL import Image

from vae_balance.photos.sample import SAMPLE, cast
from vae_balance_protocol.client import Client

LOOKS = 7
MOST_TIMES = 2.5
ROLLS = (36, 300)
BATCHES, PHOTOS = 4, 60
THREADS = 2


def seconds_of_looks(client: Client, proxy: bytes) -> list[float]:
    """Return how long each of a few looks took, one after the other."""
    seconds = []
    for _ in range(LOOKS):
        began = time.monotonic()
        client.learn([proxy], dtype="u8")
        seconds.append(time.monotonic() - began)
    return seconds


def beside(
    daemon: Daemon, client: Client, proxy: bytes, begin: Callable[[Client], list[bytes]]
) -> list[float]:
    """Return how long looks take while another client's work goes on."""
    with daemon.client("other") as other:
        begun = begin(other)
        while not client.status()["running"]:
            time.sleep(0.05)
        seconds = seconds_of_looks(client, proxy)
        left = client.status()
        assert left["running"] or left["queued"], "the other work was over too soon"
        for request in begun:
            other.cancel(request)
    return seconds


def roll(proxy: bytes, count: int) -> Callable[[Client], list[bytes]]:
    fields = {"dtype": "u8", "iterations": 2}
    return lambda client: [client.send("learn", fields, [proxy] * count)]


def long_looks(proxy: bytes) -> Callable[[Client], list[bytes]]:
    fields = {"dtype": "u8", "iterations": 10}
    return lambda client: [client.send("learn", fields, [proxy]) for _ in range(60)]


def batches(folder: Path) -> Callable[[Client], list[bytes]]:
    source = folder / "photo.tif"
    noise = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)
    Image.fromarray(noise).save(source)

    def begin(client: Client) -> list[bytes]:
        targets = [[folder / f"{b}-{p}.tif" for p in range(PHOTOS)] for b in range(BATCHES)]
        rows = [[[str(source), str(target), None] for target in row] for row in targets]
        return [client.send("batch", {"photos": row}) for row in rows]

    return begin


def main() -> int:
    """Measure; return 0 if nothing takes longer than it may."""
    with Image.open(SAMPLE) as photo:
        colors = np.asarray(photo.resize((224, 224)), np.float32) / np.float32(255)
    proxy = np.uint8(cast(colors) * 255 + 0.5).tobytes()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder), threads=THREADS)
        with daemon.client("a person") as client:
            seconds_of_looks(client, proxy)  # the model is loaded, all is warm
            alone = seconds_of_looks(client, proxy)
            print("alone:", *(f"{s:.2f}" for s in alone))
            others = {f"roll of {count}": roll(proxy, count) for count in ROLLS}
            others["looks of ten rounds"] = long_looks(proxy)
            others[f"{BATCHES} batches"] = batches(Path(folder))
            for name, begin in others.items():
                seconds = beside(daemon, client, proxy, begin)
                times = [figure(seconds) / figure(alone) for figure in (statistics.median, max)]
                worst = max(worst, *times)
                print(f"{name}:", *(f"{s:.2f}" for s in seconds), end=" = ")
                print("{:.1f} times alone, the slowest {:.1f} times".format(*times), flush=True)
        daemon.end()
    return 0 if worst <= MOST_TIMES else 1


if __name__ == "__main__":
    sys.exit(main())
