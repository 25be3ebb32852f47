"""The speed table's part about sd-vae-ft-mse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from published import SMALL, make_autoencoder

from vae_balance.benchmark import stability as benchmark_model
from vae_balance.benchmark.stability import main, measure_stability, random_model
from vae_balance.correctors.latent_balancer.model import place_networks
from vae_balance.correctors.latent_balancer.published_network import (
    PublishedBalancer,
    PublishedBalancerConfig,
)
from vae_balance.correctors.latent_balancer.stability_vae import StabilityVAE
from vae_balance.models.store import ModelInfo


def test_the_networks_have_the_published_sizes() -> None:
    with torch.device("meta"):  # sizes without weights
        model = random_model("meta")
    sizes = [sum(p.numel() for p in n.parameters()) for n in (model.vae, model.latent_balancer)]
    assert sizes == [83_653_863, 26_579_720]
    assert model.vae.pixel_range == (0.0, 1.0)


def test_time_and_memory_are_those_of_this_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vae = StabilityVAE(make_autoencoder(**SMALL))
    balancer = PublishedBalancer(PublishedBalancerConfig((16, 16, 16))).eval()
    info = ModelInfo("small", Path(), "1", "MIT", "made by the tests", {})
    small = place_networks(info, vae, balancer, torch.device("cpu"))
    monkeypatch.setattr(benchmark_model, "random_model", lambda device: small)
    main("cpu")
    values = json.loads(capsys.readouterr().out)
    assert values["ours"] > 0.0
    assert values["plain"] > 0.0
    assert values["peak_bytes"] is None or values["peak_bytes"] > 100e6


def answer(ours: float, plain: float, peak: int | None) -> str:
    values = {"ours": ours, "plain": plain, "peak_bytes": peak, "parameters": 110_000_000}
    return f"a line of another library\n{json.dumps(values)}\n"


def test_the_rows_name_the_device_and_keep_to_their_targets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(benchmark_model, "run_python", lambda _: answer(2.0, 1.0, 1_500_000_000))
    time, memory = measure_stability("cuda:0")
    assert "on cuda:0" in time.name
    assert "on cuda:0" in memory.name
    assert (time.figure, time.reached, time.detail) == (2.0, False, "2.00 / 1.00 s")
    assert (memory.figure, memory.reached, memory.detail) == (1500.0, True, "110 M parameters")


def test_memory_that_cannot_be_told_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_model, "run_python", lambda _: answer(1.0, 1.0, None))
    memory = measure_stability("cpu")[1]
    assert (memory.measured, memory.reached) == ("not measured", False)
