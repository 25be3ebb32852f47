"""The models in memory: loaded on demand, unloaded when nobody asks, on CUDA or the CPU."""

from __future__ import annotations

import gc
import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from vae_balance.errors import OptionError
from vae_balance.server.memory import give_back

if TYPE_CHECKING:
    from pathlib import Path

    from vae_balance.correctors.corrector import Corrector

T = TypeVar("T")

_LOADED_AT_ONCE = 2
_CUDA_AGAIN_SECONDS = 60.0
_log = logging.getLogger(__name__)


@dataclass
class _Loaded:
    model: Corrector
    used: float
    instead_of_cuda: bool


class ModelCache:
    """Models for one thread, which alone calls `use`, `idle_seconds` and `tidy`.

    Attributes:
        device: where the last model went; what was asked for until there is one.
        names: of the models in memory.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        keep_alive: seconds that an unused model stays in memory; may be infinite.
        clock: seconds of any clock.
    """

    def __init__(
        self, device: str, keep_alive: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.device = device
        self.names: tuple[str, ...] = ()
        self._wanted_device = device
        self._keep_alive = keep_alive
        self._clock = clock
        self._loaded: OrderedDict[Path, _Loaded] = OrderedDict()
        self._cpu_until = -math.inf

    def use(
        self, name: str, work: Callable[[Corrector], T], loading: Callable[[], None] = lambda: None
    ) -> tuple[T, Corrector]:
        """Return what `work` makes of a model, and the model, as it was on the device that did it.

        When CUDA fails in the middle, for want of memory for instance, the work is done again on
        the CPU, and CUDA is left alone for a minute.

        Args:
            name: a model's name or folder.
            work: what to do.
            loading: called before a model is loaded.

        Raises:
            ModelError: no such model, or its files are damaged.
        """
        model = self._get(name, loading)
        try:
            return work(model), model
        except RuntimeError as error:
            if model.device == "cpu":
                raise
            self._leave_cuda(error)
            del model  # while it is referred to, its memory is not free
        model = self._get(name, loading)
        return work(model), model

    def idle_seconds(self) -> float | None:
        """Return in how many seconds `tidy` has something to do; None for never."""
        if not self._loaded or self._keep_alive == math.inf:
            return None
        first = min(loaded.used for loaded in self._loaded.values())
        return max(0.0, first + self._keep_alive - self._clock())

    def tidy(self) -> None:
        """Unload the models that nobody has used for long enough."""
        now = self._clock()
        for folder, loaded in list(self._loaded.items()):
            unused = now - loaded.used
            if unused >= self._keep_alive:
                _log.info("unloaded model=%s unused=%.1f", loaded.model.info.name, unused)
                del self._loaded[folder], loaded
                self._give_back()

    def _get(self, name: str, loading: Callable[[], None]) -> Corrector:
        from vae_balance.models.store import find_model

        info = find_model(name)
        kept = self._loaded.get(info.folder)
        if kept is None or kept.model.info != info or self._can_do_better(kept):
            loading()
            self._loaded.pop(info.folder, None)
            while len(self._loaded) >= _LOADED_AT_ONCE:
                self._loaded.popitem(last=False)
            kept = self._load(name)
            self._loaded[info.folder] = kept
            self._give_back()
        self._loaded.move_to_end(info.folder)
        kept.used = self._clock()
        return kept.model

    def _can_do_better(self, kept: _Loaded) -> bool:
        return kept.instead_of_cuda and self._clock() >= self._cpu_until

    def _load(self, name: str) -> _Loaded:
        from vae_balance.correctors.registry import load_corrector

        began = time.perf_counter()
        avoiding = self._clock() < self._cpu_until
        try:
            model = load_corrector(name, "cpu" if avoiding else self._wanted_device)
        except (OptionError, RuntimeError) as error:
            if avoiding or self._wanted_device == "cpu":
                raise
            # There is no such device, and there will be none; or it failed, for once perhaps.
            seconds = math.inf if isinstance(error, OptionError) else _CUDA_AGAIN_SECONDS
            self._leave_cuda(error, seconds)
            avoiding = True
            model = load_corrector(name, "cpu")
        self.device = model.device
        seconds = time.perf_counter() - began
        _log.info("loaded model=%s device=%s seconds=%.3f", model.info.name, self.device, seconds)
        return _Loaded(model, self._clock(), avoiding)

    def _leave_cuda(self, error: Exception, seconds: float = _CUDA_AGAIN_SECONDS) -> None:
        reason = str(error).strip().partition("\n")[0]
        _log.warning("device=%s does not do: %s; using the CPU", self._wanted_device, reason)
        self._cpu_until = self._clock() + seconds
        self._loaded.clear()

    def _give_back(self) -> None:
        """Give memory of models that were dropped back to the system, and tell which are left."""
        self.names = tuple(loaded.model.info.name for loaded in self._loaded.values())
        torch = sys.modules.get("torch")
        gc.collect()
        give_back()
        if torch is not None and torch.cuda.is_initialized():
            with suppress(RuntimeError):  # an error of CUDA's may be the reason that we leave it
                torch.cuda.empty_cache()
