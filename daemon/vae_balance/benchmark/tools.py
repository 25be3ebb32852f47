"""What both parts of the speed table need: a photo of any size, other processes, a stopwatch."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_balance.errors import BalanceError
from vae_balance.photos.sample import SAMPLE

Photo8 = NDArray[np.uint8]

# Runs a command and prints the peak memory of that command alone, whatever this process holds.
_PEAK_MEMORY = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def sample_photo(megapixels: float) -> Photo8:
    """Return the bundled portrait like an expired slide, enlarged: (H, W, 3), 3:2, sRGB-encoded.

    The damage is strong enough for five rounds to be learned where five are asked for.
    """
    width = max(3, round((megapixels * 1e6 * 1.5) ** 0.5))
    with Image.open(SAMPLE) as image:
        portrait = image.convert("RGB").crop((0, 0, 512, 341))
    values = np.arange(256)
    curves = [np.sqrt(255.0 * values), 0.5 * values + 10, 0.42 * values + 70]
    portrait = portrait.point([round(value) for curve in curves for value in curve])
    size = (width, max(2, round(width / 1.5)))
    return np.array(portrait.resize(size, Image.Resampling.BICUBIC))


def run_python(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """Run this Python with the arguments, able to import this package; return what it prints.

    Args:
        arguments: of Python.
        environ: the environment, by default `python_environment()`.

    Raises:
        BalanceError: it failed.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        env=python_environment() if environ is None else environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BalanceError(f"python {' '.join(arguments[:3])}...: failed: {reason}")
    return done.stdout


def peak_memory(command: Sequence[str]) -> int:
    """Run a command; return the bytes that it held at most, whatever this process holds.

    Not on Windows.

    Raises:
        BalanceError: it failed.
    """
    peak = int(run_python(["-c", _PEAK_MEMORY, *command]).split()[-1])
    return peak if sys.platform == "darwin" else 1024 * peak


def python_environment() -> dict[str, str]:
    """Return the environment in which another Python can import what this one can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median time of each work in seconds; they take turns, after one warm-up."""
    for work in works:
        work()
    times = [[seconds_of(work) for work in works] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*times, strict=True)]
