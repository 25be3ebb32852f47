"""What runs in a worker of a Dask cluster: it reads and writes the shared file system itself.

Photos come as paths, never as pixels; looks as bytes (`looks/packed.py`). A process loads a model
once and keeps it, and learns with one thread, as a batch on the CPU does everywhere.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_balance.batch.attempt import attempt, failure, success
from vae_balance.batch.runner import PhotoReport
from vae_balance.batch.stages import Stages
from vae_balance.correctors.corrector import Corrector, LookOptions, Proxy
from vae_balance.correctors.registry import load_found
from vae_balance.errors import BalanceError, ModelError
from vae_balance.looks.packed import unpack_look
from vae_balance.models.store import description_sha256, find_model, verify_files
from vae_balance.photos.task import PhotoTask
from vae_balance.pipeline import (
    How,
    LearnedLook,
    balance_photo,
    change_photo,
    learn,
    proxy_of,
    write_look,
)

_DEVICE = "cpu"  # the same bits on every machine of a kind


@dataclass(frozen=True)
class Order:
    """What is the same for all photos of a batch.

    Attributes:
        model: its name, or the absolute path of its folder.
        model_sha256: of its description.
        options: how looks are learned.
        how: how photos are treated.
    """

    model: str
    model_sha256: str
    options: LookOptions
    how: How


@dataclass(frozen=True)
class Sight:
    """What a worker must see of the file system.

    Attributes:
        sources: the folder of the photos.
        marks: files in the folders of the results -> what is written in them.
    """

    sources: Path
    marks: dict[Path, str]


class _Kept:
    """What a process keeps from one photo to the next."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.corrector: tuple[tuple[str, str], Corrector] | None = None
        self.look: tuple[str, LearnedLook] | None = None


_kept = _Kept()


def examine(order: Order, sight: Sight) -> str:
    """Return why this process cannot do a batch; "" if it can."""
    try:
        _look_around(sight)
        _corrector(order)
    except BalanceError as error:
        return str(error)
    return ""


def balance(order: Order, index: int, task: PhotoTask) -> PhotoReport:
    """Balance a photo by a look of its own; return what became of it.

    Raises:
        ModelError: the model is gone.
    """

    def finish() -> PhotoReport:
        return success(
            index, balance_photo(task, order.how, lambda proxies: _learn(order, proxies))
        )

    return attempt(index, task.photo, finish)


def frame_proxy(order: Order, index: int, task: PhotoTask) -> bytes | PhotoReport:
    """Return the proxy of a frame of a roll, float32, or what became of the frame."""
    try:
        return proxy_of(task.photo, order.how).astype("<f4").tobytes()
    except Exception as error:
        return failure(index, task.photo, error)


def learn_roll(
    order: Order, proxies: Sequence[bytes], luts: Sequence[Path], photos: Sequence[Path]
) -> tuple[bytes, str] | PhotoReport:
    """Learn one look from the proxies of a roll and write its LUT files.

    Args:
        order: of the batch.
        proxies: as `frame_proxy` returns them.
        luts: where the look goes.
        photos: the frames that it is learned from.

    Returns:
        The look as bytes and on which device it was learned, or how that failed.

    Raises:
        ModelError: the model is gone.
    """
    try:
        learned = _learn(order, [_proxy(content) for content in proxies])
        for lut in luts:
            write_look(learned.look, lut, order.how, photos)
    except ModelError:
        raise
    except Exception as error:
        return failure(0, photos[0], error)
    return learned.look.to_bytes(), learned.device


def keep_look(name: str, content: bytes, device: str) -> None:
    """Keep the look of a roll for `change`, in the place of an earlier one."""
    _kept.look = name, LearnedLook(unpack_look(content), device)


def change(order: Order, index: int, task: PhotoTask, name: str) -> PhotoReport:
    """Change a photo by the look that was kept under a name; return what became of it."""

    def finish() -> PhotoReport:
        if _kept.look is None or _kept.look[0] != name:
            raise BalanceError(f"{task.photo}: the worker was started anew without the roll's look")
        return success(index, change_photo(task, order.how, _kept.look[1]))

    return attempt(index, task.photo, finish)


def _look_around(sight: Sight) -> None:
    """Check that this process sees the photos and may write where results go.

    Raises:
        BalanceError: it does not; the message says what is missing.
    """
    if not sight.sources.is_dir():
        raise BalanceError(f"does not see {sight.sources}: mount it there")
    for mark, content in sight.marks.items():
        try:
            seen = mark.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            seen = ""
        if seen != content:
            raise BalanceError(f"does not see {mark.parent} as this computer does: mount it there")
        trial = mark.with_name(f"{mark.name}.{secrets.token_hex(4)}")
        try:
            trial.touch()
            trial.unlink(missing_ok=True)
        except OSError as error:
            raise BalanceError(f"may not write to {mark.parent}: {error.strerror}") from error


def _corrector(order: Order) -> Corrector:
    """Return the model of a batch, loaded once.

    Raises:
        ModelError: there is none, it is another one than that of who asks, or it is damaged.
    """
    wanted = order.model, order.model_sha256
    with _kept.lock:
        if _kept.corrector is None or _kept.corrector[0] != wanted:
            info = find_model(order.model)
            digest = description_sha256(info)
            if digest != order.model_sha256:
                raise ModelError(
                    f"has another model {info.name}, of version {info.version} and checksum "
                    f"{digest[:12]}..., not {order.model_sha256[:12]}...: install the same"
                )
            verify_files(info)
            _kept.corrector = wanted, load_found(info, _DEVICE)
        return _kept.corrector[1]


def _learn(order: Order, proxies: list[Proxy]) -> LearnedLook:
    import torch

    corrector = _corrector(order)
    torch.set_num_threads(1)  # of this thread, and of those that have not worked with torch yet
    stages = Stages("")
    follow: Callable[[int, int, str], None] = lambda done, total, stage: stages.enter(stage)  # noqa: E731
    look = learn(corrector, proxies, order.options, follow)
    stages.enter("")
    stages.seconds.pop("", None)
    return LearnedLook(look, corrector.device, stages.seconds)


def _proxy(content: bytes) -> Proxy:
    side = round((len(content) / 12) ** 0.5)
    return np.frombuffer(content, "<f4").reshape(side, side, 3)
