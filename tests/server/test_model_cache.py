"""Models come and go, and where CUDA does not do, the CPU does."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vae_balance.correctors import registry
from vae_balance.correctors.corrector import Corrector
from vae_balance.errors import ModelError, OptionError
from vae_balance.server.model_cache import ModelCache


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the devices that models were loaded to, CUDA being pretended."""
    devices: list[str] = []
    load_corrector = registry.load_corrector

    def load(name: str, device: str) -> Corrector:
        devices.append(device)
        corrector = load_corrector(name, "cpu")
        if device.startswith("cuda"):
            return SimpleNamespace(info=corrector.info, device="cuda")  # type: ignore[return-value]
        return corrector

    monkeypatch.setattr(registry, "load_corrector", load)
    return devices


def device_of(model: Corrector) -> str:
    return model.device


def test_a_model_is_loaded_once(random_model: Path, loaded: list[str], clock: Clock) -> None:
    cache = ModelCache("cpu", 300.0, clock)
    models = [cache.use(str(random_model), lambda model: model)[0] for _ in range(3)]
    assert models[0] is models[1] is models[2]
    assert (loaded, cache.names, cache.device) == (["cpu"], ("random",), "cpu")


def test_an_unused_model_is_unloaded_and_comes_back(
    random_model: Path, loaded: list[str], clock: Clock
) -> None:
    cache = ModelCache("cpu", 300.0, clock)
    assert cache.idle_seconds() is None
    cache.use(str(random_model), device_of)
    clock.now += 100.0
    cache.tidy()
    assert cache.idle_seconds() == pytest.approx(200.0)
    assert cache.names == ("random",)
    clock.now += 200.0
    cache.tidy()
    assert not cache.names
    assert cache.idle_seconds() is None
    cache.use(str(random_model), device_of)
    assert loaded == ["cpu", "cpu"]


def test_using_a_model_keeps_it(random_model: Path, loaded: list[str], clock: Clock) -> None:
    cache = ModelCache("cpu", 300.0, clock)
    for _ in range(5):
        cache.use(str(random_model), device_of)
        clock.now += 200.0
        cache.tidy()
    assert loaded == ["cpu"]


def test_forever_has_no_end(random_model: Path, loaded: list[str], clock: Clock) -> None:
    cache = ModelCache("cpu", math.inf, clock)
    cache.use(str(random_model), device_of)
    clock.now += 1e9
    cache.tidy()
    assert (cache.names, cache.idle_seconds()) == (("random",), None)


def test_zero_unloads_after_each_use(random_model: Path, loaded: list[str], clock: Clock) -> None:
    cache = ModelCache("cpu", 0.0, clock)
    cache.use(str(random_model), device_of)
    assert cache.idle_seconds() == 0.0
    cache.tidy()
    assert not cache.names


def test_unloading_gives_cuda_its_memory_back(
    random_model: Path, loaded: list[str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    cache = ModelCache("cuda", 300.0, clock)
    cache.use(str(random_model), device_of)
    emptied.clear()
    cache.tidy()
    assert not emptied
    clock.now += 300.0
    cache.tidy()
    assert emptied


def test_only_a_few_models_are_kept(
    random_model: Path, loaded: list[str], clock: Clock, tmp_path: Path
) -> None:
    cache = ModelCache("cpu", 300.0, clock)
    for number in range(4):
        folder = tmp_path / str(number)
        shutil.copytree(random_model, folder)
        cache.use(str(folder), device_of)
    assert cache.names == ("random", "random")


def test_a_model_that_was_trained_anew_is_loaded_anew(
    random_model: Path, loaded: list[str], clock: Clock, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(random_model, folder)
    cache = ModelCache("cpu", 300.0, clock)
    cache.use(str(folder), device_of)
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**description, "version": "2"}))
    _, model = cache.use(str(folder), device_of)
    assert model.info.version == "2"
    assert len(loaded) == 2


def test_a_damaged_model_is_an_error_and_no_harm_to_others(
    random_model: Path, loaded: list[str], clock: Clock, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(random_model, folder)
    weights = next(folder.glob("vae/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    cache = ModelCache("cpu", 300.0, clock)
    with pytest.raises(ModelError, match="damaged"):
        cache.use(str(folder), device_of)
    assert cache.use(str(random_model), device_of)[0] == "cpu"


def test_without_cuda_it_is_the_cpu(
    random_model: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = ModelCache("cuda", 300.0, clock)
    assert cache.use(str(random_model), device_of)[0] == "cpu"
    assert cache.device == "cpu"
    assert "device=cuda does not do: device 'cuda': torch finds no usable CUDA" in caplog.text
    assert "using the CPU" in caplog.text
    clock.now += 1e6
    caplog.clear()
    cache.use(str(random_model), device_of)
    assert not caplog.text


def failing(times: int, error: Exception) -> Callable[[Corrector], str]:
    """Return work that fails on CUDA so many times."""

    def work(model: Corrector) -> str:
        nonlocal times
        if model.device == "cuda" and times > 0:
            times -= 1
            raise error
        return model.device

    return work


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
)
def test_work_that_fails_on_cuda_is_done_on_the_cpu(
    random_model: Path,
    loaded: list[str],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    cache = ModelCache("cuda", 300.0, clock)
    work = failing(1, error)
    result, model = cache.use(str(random_model), work)
    assert (result, model.device, cache.device) == ("cpu", "cpu", "cpu")
    assert f"device=cuda does not do: {str(error).splitlines()[0]}; using the CPU" in caplog.text
    assert cache.use(str(random_model), work)[0] == "cpu"
    clock.now += 61.0
    assert cache.use(str(random_model), work)[0] == "cuda"
    assert loaded == ["cuda", "cpu", "cuda"]


def test_a_model_that_does_not_fit_on_cuda_goes_to_the_cpu(
    random_model: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, *arguments: Any, **more: Any) -> Any:
        if arguments and str(arguments[0]).startswith("cuda"):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return to(self, *arguments, **more)

    to = torch.nn.Module.to
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", full)
    cache = ModelCache("auto", 300.0, clock)
    assert cache.use(str(random_model), device_of)[0] == "cpu"


def test_an_error_of_the_cpu_is_an_error(random_model: Path, clock: Clock) -> None:
    def broken(model: Corrector) -> None:
        raise RuntimeError("broken")

    cache = ModelCache("cpu", 300.0, clock)
    with pytest.raises(RuntimeError, match="broken"):
        cache.use(str(random_model), broken)


def test_an_error_of_the_options_is_no_fault_of_cuda(
    random_model: Path, loaded: list[str], clock: Clock
) -> None:
    def refuse(model: Corrector) -> None:
        raise OptionError("strength")

    cache = ModelCache("cuda", 300.0, clock)
    with pytest.raises(OptionError):
        cache.use(str(random_model), refuse)
    assert loaded == ["cuda"]


def test_cuda_that_is_beyond_repair_is_left_all_the_same(
    random_model: Path, loaded: list[str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered")

    def fail() -> None:
        raise error

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    cache = ModelCache("cuda", 300.0, clock)
    cache.use(str(random_model), device_of)
    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    assert cache.use(str(random_model), failing(1, error))[0] == "cpu"
    clock.now += 300.0
    cache.tidy()
    assert not cache.names
