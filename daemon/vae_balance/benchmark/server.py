"""The daemon's part of the speed table: a daemon of its own, and a client of the client library."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vae_balance.benchmark.tools import (
    Photo8,
    medians,
    python_environment,
    run_python,
    sample_photo,
    seconds_of,
)
from vae_balance.color.lut import apply_lut
from vae_balance.correctors.corrector import LookOptions, Proxy
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.correctors.registry import load_corrector
from vae_balance.evaluation.targets import Target
from vae_balance.photos.proxy import make_proxy
from vae_balance.photos.strips import strips_of
from vae_balance.photos.task import PhotoTask
from vae_balance.pipeline import How, LearnedLook, balance_photo
from vae_balance_protocol import DaemonError
from vae_balance_protocol.client import Client

# The sizes that the targets speak of.
LAYER_SIZE = 24.0
HUGE_LAYER_SIZE = 100.0
SMALL_LAYER_SIZE = 2.0
BATCH_SIZE = 12.0
BATCH_PHOTOS = 100
# The batch is done in so many parts, each beside its part of the plain loop: computers that are
# shared are faster now and slower then.
_BATCH_PARTS = 5

# Into so many a huge layer is cut: 4 MB each, well below the longest frame.
_HUGE_STRIPS = 100
# What the daemon does before it can learn, without a daemon around it.
_IMPORT_AND_LOAD = (
    "import sys; from vae_balance.correctors.registry import load_corrector; "
    "load_corrector(*sys.argv[1:])"
)
_ONE_BY_ONE = (
    "import sys; from vae_balance.benchmark.server import balance_one_by_one; "
    "print(balance_one_by_one(*sys.argv[1:]))"
)


def measure_daemon(model: Model, scale: float, repeats: int) -> list[Target]:
    """Measure a daemon that holds `model`: start, strips, status, learning, a layer, a batch.

    Args:
        model: the networks.
        scale: of the sizes in megapixels and of the number of photos in the batch.
        repeats: runs of which the median is taken; the batch runs once.
    """
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            **python_environment(),
            "VAE_BALANCE_STATE": folder,
            "VAE_BALANCE_MODEL": str(model.info.folder),
            "VAE_BALANCE_DEVICE": str(model.device),
        }
        rows = [_measure_start(model, environ, repeats)]
        with _daemon(model, environ) as client:
            client.learn([_proxy().tobytes()], model=str(model.info.folder))  # warm from here on
            rows += [
                _measure_strips(model, client, LAYER_SIZE * scale, repeats),
                _measure_status(model, client, environ, HUGE_LAYER_SIZE * scale),
                _measure_learning(model, client, repeats),
                _measure_layer(model, client, SMALL_LAYER_SIZE * scale, repeats),
                _measure_command(model, environ, SMALL_LAYER_SIZE * scale, repeats),
                _measure_batch(
                    model, client, BATCH_SIZE * scale, max(2, round(BATCH_PHOTOS * min(1.0, scale)))
                ),
            ]
    return rows


@contextmanager
def _daemon(model: Model, environ: dict[str, str]) -> Iterator[Client]:
    """Start a daemon, yield a client when the model is loaded, and stop it."""
    with Client.connect(
        "benchmark", [sys.executable, "-m", "vae_balance"], environ=environ
    ) as client:
        try:
            while not client.status()["models"]:
                time.sleep(0.005)
            yield client
        finally:
            with suppress(DaemonError):  # what went wrong is told, not that it is gone
                client.shutdown()
    connection_file = Path(environ["VAE_BALANCE_STATE"], "daemon.json")
    while connection_file.exists():  # it ends a moment after its answer
        time.sleep(0.005)


def _measure_start(model: Model, environ: dict[str, str], repeats: int) -> Target:
    def start() -> float:
        began = time.perf_counter()
        with _daemon(model, environ):
            return time.perf_counter() - began

    load = partial(run_python, ["-c", _IMPORT_AND_LOAD, str(model.info.folder), str(model.device)])
    times = [(start(), seconds_of(load)) for _ in range(repeats)]
    ready, bare = (statistics.median(column) for column in zip(*times, strict=True))
    return Target(
        "daemon: start until the model is loaded / importing and loading in a bare process",
        ready / bare,
        1.5,
        detail=f"{ready:.2f} / {bare:.2f} s",
    )


def _measure_strips(model: Model, client: Client, megapixels: float, repeats: int) -> Target:
    """Send a layer with alpha through the socket and back, and apply the same look in process."""
    layer = _layer(megapixels)
    lut = learn_look([_proxy()], model).lut
    look = client.learn([_proxy().tobytes()], model=str(model.info.folder))["look"]
    strips, in_process = medians(
        [lambda: _balanced(client, look, layer), lambda: apply_lut(lut, layer)], repeats
    )
    return Target(
        f"daemon: {megapixels:g} megapixels of 8-bit RGBA through the socket in strips / applying "
        "in process",
        strips / in_process,
        2.0,
        detail=f"{strips:.3f} / {in_process:.3f} s",
    )


def _measure_status(
    model: Model, client: Client, environ: dict[str, str], megapixels: float
) -> Target:
    """Ask for the status again and again while another client has a huge layer applied."""
    look = client.learn([_proxy().tobytes()], model=str(model.info.folder))["look"]
    strip = _layer(megapixels / _HUGE_STRIPS)
    height, width = strip.shape[:2]
    strips = ((number * height, height, strip.data) for number in range(_HUGE_STRIPS))

    def apply() -> None:
        with Client.connect("benchmark", start=False, environ=environ) as other:
            for _ in other.apply_strips(look, strips, width, 4, "u8"):
                pass

    slowest = 0.0
    with ThreadPoolExecutor(1) as thread:
        applied = thread.submit(apply)
        while not applied.done():
            slowest = max(slowest, seconds_of(client.status))
        applied.result()
    return Target(
        f"daemon: slowest answer to `status` while {megapixels:g} megapixels are applied",
        1e3 * slowest,
        50.0,
        "ms",
    )


def _measure_learning(model: Model, client: Client, repeats: int) -> Target:
    """Compare what a client waits for `learn` with what the daemon says its stages took."""
    proxy = _proxy().tobytes()

    def overhead() -> float:
        began = time.perf_counter()
        answer = client.learn([proxy], model=str(model.info.folder))
        return time.perf_counter() - began - sum(answer["seconds"].values())

    overheads = [overhead() for _ in range(1 + 2 * repeats)]
    return Target(
        "daemon: learning a look, beyond its stages", 1e3 * statistics.median(overheads), 10.0, "ms"
    )


def _measure_layer(model: Model, client: Client, megapixels: float, repeats: int) -> Target:
    """Do what a plug-in does with a layer: shrink it, learn one round, apply."""
    layer = _layer(megapixels)
    height, width = layer.shape[:2]

    def correct() -> None:
        proxy = client.make_proxy(strips_of(layer), width, height, 4, "u8")
        look = client.learn([proxy], model=str(model.info.folder))["look"]
        _balanced(client, look, layer)

    return Target(
        f"daemon: a {megapixels:g}-megapixel layer balanced end to end, 1 iteration",
        medians([correct], repeats)[0],
        0.5,
        "s",
    )


def _measure_command(
    model: Model, environ: dict[str, str], megapixels: float, repeats: int
) -> Target:
    """Run `vae-balance balance` of a JPEG, with the daemon and in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        photo, output = str(Path(folder, "photo.jpg")), str(Path(folder, "balanced.jpg"))
        Image.fromarray(sample_photo(megapixels)).save(photo, quality=92)
        network = ["--model", str(model.info.folder), "--device", str(model.device)]
        command = ["-m", "vae_balance", "balance", photo, "-o", output, "--force", *network]
        asked, alone = (
            partial(run_python, [*command, "--daemon", choice], environ)
            for choice in ("auto", "never")
        )
        with_daemon, without = medians([asked, alone], repeats)
    return Target(
        f"daemon: `vae-balance balance` of a {megapixels:g}-megapixel JPEG, from start to file",
        with_daemon,
        0.6,
        "s",
        detail=f"{without:.2f} s without",
    )


def _measure_batch(model: Model, client: Client, megapixels: float, photos: int) -> Target:
    """Balance folders through the daemon, and photo by photo in one thread."""
    network = [str(model.info.folder), str(model.device)]
    batch = plain = 0.0
    for numbers in np.array_split(np.arange(photos), min(photos, _BATCH_PARTS)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name, "photos")
            plain_folder = Path(name, "plain")
            for made in (folder, plain_folder):
                made.mkdir()
            first, *others = (folder / f"photo-{number}.jpg" for number in numbers)
            Image.fromarray(sample_photo(megapixels)).save(first, quality=92)
            for other in others:
                shutil.copyfile(first, other)
            items = [
                [str(path), str(Path(name, "batch", path.name)), None] for path in folder.iterdir()
            ]
            batch += seconds_of(partial(client.batch, items, model=str(model.info.folder)))
            one_by_one = ["-c", _ONE_BY_ONE, *network, str(folder), str(plain_folder)]
            plain += float(run_python(one_by_one).split()[-1])
    return Target(
        f"daemon: {photos} photos of {megapixels:g} megapixels, one after another in one thread / "
        "batch",
        plain / batch,
        1.6,
        at_most=False,
        detail=f"{plain:.1f} / {batch:.1f} s",
    )


def balance_one_by_one(model: str, device: str, folder: str, out: str) -> float:
    """Balance the photos of a folder in a plain loop and a single thread; return the seconds."""
    torch.set_num_threads(1)
    corrector = load_corrector(model, device)
    how = How(threads=1)

    def learn_one(proxies: list[Proxy]) -> LearnedLook:
        return LearnedLook(corrector.learn(proxies, LookOptions()))

    began = time.perf_counter()
    for source in sorted(Path(folder).iterdir()):
        balance_photo(PhotoTask(source, Path(out, source.name)), how, learn_one)
    return time.perf_counter() - began


def _balanced(client: Client, look: str, layer: Photo8) -> Photo8:
    balanced = np.empty_like(layer)
    for first, rows, pixels in client.apply_strips(look, strips_of(layer), layer.shape[1], 4, "u8"):
        balanced[first : first + rows] = np.frombuffer(pixels, np.uint8).reshape(rows, -1, 4)
    return balanced


def _layer(megapixels: float) -> Photo8:
    """Return the sample photo with alpha, (H, W, 4)."""
    photo = sample_photo(megapixels)
    return np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])


def _proxy() -> NDArray[np.float32]:
    return make_proxy(sample_photo(0.5))
