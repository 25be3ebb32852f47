"""Training: losses with known values, and whole small runs that are interrupted and resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from vae_balance.color.lab import ciede2000, srgb_to_lab
from vae_balance.color.lut import Lut3D
from vae_balance.correctors.latent_balancer.asking import SECOND_OPINIONS
from vae_balance.correctors.latent_balancer.balancer_network import LatentBalancer
from vae_balance.correctors.latent_balancer.train_balancer import (
    BalancerTraining,
    Batch,
    Thumbnail,
    balancer_loss,
    damage_source,
    gaussian_kl,
    make_batch,
    smooth_map,
    train_balancer,
)
from vae_balance.correctors.latent_balancer.train_vae import VAETraining, train_vae
from vae_balance.correctors.latent_balancer.vae import VAE
from vae_balance.errors import ModelError
from vae_balance.luts.cube import write_cube
from vae_balance.luts.hald import write_hald
from vae_balance.training.checkpoint import read_log
from vae_balance.training.damage import random_damage
from vae_balance.training.loop import cosine_rate
from vae_balance.training.photos import PhotoPool, read_split


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 22 small noisy pictures of the user's own."""
    folder = tmp_path_factory.mktemp("photos") / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(22):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 80), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder.parent


def small_vae_run(photos: Path, out: Path) -> VAETraining:
    """Return settings of a run of seconds."""
    return VAETraining(photos, out, steps=4, batch=2, view=32, save_every=2, watch_every=4)


def test_lab_agrees_with_scikit_image() -> None:
    pixels = np.random.default_rng(0).uniform(0, 1, (8, 8, 3))
    ours = srgb_to_lab(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(ours, rgb2lab(pixels), atol=0.02)


def test_ciede2000_agrees_with_scikit_image() -> None:
    rng = np.random.default_rng(1)
    wanted = rgb2lab(rng.uniform(0, 1, (8, 8, 3)))
    near, grey = wanted + rng.normal(size=wanted.shape), wanted * [1.0, 0.01, 0.01]
    for given in (rgb2lab(rng.uniform(0, 1, (8, 8, 3))), near, grey):
        labs = [torch.from_numpy(lab).permute(2, 0, 1)[None] for lab in (given, wanted)]
        # The mean of nearly opposite hues turns on what is added to chroma.
        np.testing.assert_allclose(
            ciede2000(*labs)[0], deltaE_ciede2000(given, wanted), atol=0.02, rtol=0.002
        )


@pytest.mark.parametrize("lightness", [0.0, 50.0])
def test_ciede2000_has_a_gradient_at_grey_and_where_nothing_differs(lightness: float) -> None:
    given = torch.zeros(1, 3, 2, 2).index_fill(1, torch.tensor([0]), lightness).requires_grad_()
    ciede2000(given, given.detach().clone()).sum().backward()
    assert given.grad is not None and given.grad.isfinite().all()


def test_kl_of_equal_moments_is_nothing() -> None:
    moments = torch.randn(2, 8, 4, 4)
    assert gaussian_kl(moments, moments, torch.zeros(4, 1, 1)).item() == pytest.approx(0, abs=1e-6)


def test_kl_of_known_moments() -> None:
    true = torch.zeros(1, 8, 1, 1)
    moved = torch.cat([torch.full((1, 4, 1, 1), 3.0), torch.zeros(1, 4, 1, 1)], dim=1)
    # KL(N(0, 1) || N(3, 1)) = 9 / 2.
    assert gaussian_kl(moved, true, torch.zeros(4, 1, 1)).item() == pytest.approx(4.5)


def test_the_smooth_map_reaches_what_a_quadratic_can_and_ignores_the_rest() -> None:
    colors = torch.rand(2, 3, 14, 14, generator=torch.Generator().manual_seed(0))
    curved = 0.2 + 0.5 * colors + 0.3 * colors.square()
    torch.testing.assert_close(smooth_map(colors, curved, 1e-6), curved, atol=1e-3, rtol=0)
    noise = 0.3 * torch.randn(2, 3, 14, 14, generator=torch.Generator().manual_seed(1))
    left = (smooth_map(colors, curved + noise) - curved).abs().mean()
    assert left < 0.25 * noise.abs().mean()


def test_the_learning_rate_warms_up_and_fades() -> None:
    rates = [cosine_rate(step, 1000, 1.0) for step in range(1000)]
    assert rates[0] == pytest.approx(0.005)
    assert max(rates) == rates[199] == 1.0
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_a_vae_run_that_was_interrupted_goes_on_where_it_stopped(
    photos: Path, tmp_path: Path
) -> None:
    run = small_vae_run(photos, tmp_path / "run")
    train_vae(replace(run, steps=2), lambda row: None)
    steps: list[float] = []
    train_vae(run, lambda row: steps.append(row["step"]))
    assert steps == [4]
    assert VAE.load_folder(run.out / "vae").encode(torch.rand(1, 3, 32, 32)).shape[1] == 8
    assert [row["step"] for row in read_log(run.out / "log.jsonl")] == [2, 4]
    assert "watch_psnr" in read_log(run.out / "log.jsonl")[-1]


def test_training_lowers_the_loss_of_the_vae(photos: Path, tmp_path: Path) -> None:
    run = replace(small_vae_run(photos, tmp_path), steps=120, batch=4)
    train_vae(run, lambda row: None)
    first, last = (read_log(run.out / "log.jsonl")[i]["psnr"] for i in (0, -1))
    assert last > first + 1.0


def test_a_log_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1}, {"step": 2}]


def test_a_damaged_checkpoint_is_refused_by_name(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match=r"checkpoint.pt: cannot resume"):
        train_vae(small_vae_run(photos, tmp_path), lambda row: None)


@pytest.fixture
def balancer_run(photos: Path, random_model: Path, tmp_path: Path) -> BalancerTraining:
    """Return settings of a run of seconds."""
    return BalancerTraining(
        photos,
        random_model / "vae",
        tmp_path / "run",
        steps=4,
        views=2,
        view=32,
        large_steps=1,
        save_every=2,
        watch_every=2,
        watch_cases=4,
    )


def test_a_balancer_run_that_was_interrupted_goes_on_where_it_stopped(
    balancer_run: BalancerTraining,
) -> None:
    train_balancer(replace(balancer_run, steps=2), lambda row: None)
    steps: list[float] = []
    train_balancer(balancer_run, lambda row: steps.append(row["step"]))
    assert steps == [4]
    saved = LatentBalancer.load_folder(balancer_run.out / "latent_balancer")
    assert saved(torch.rand(1, 8, 28, 28)).shape == (1, 8, 28, 28)
    last = read_log(balancer_run.out / "log.jsonl")[-1]
    assert {"kl", "map", "average", "watch_damaged", "watch_undamaged"} <= set(last)


def test_the_last_steps_see_views_of_the_size_of_proxies(
    balancer_run: BalancerTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def loss_of(*args: Any) -> tuple[torch.Tensor, dict[str, float]]:
        sizes.append(args[3].asked.shape[-1])
        return balancer_loss(*args)

    monkeypatch.setattr(
        "vae_balance.correctors.latent_balancer.train_balancer.balancer_loss", loss_of
    )
    train_balancer(replace(balancer_run, steps=2, large_steps=0), lambda row: None)
    train_balancer(balancer_run, lambda row: None)
    assert sizes == [32, 32, 32, 224]


def test_the_balancer_is_asked_about_damaged_copies_and_corrections_of_them(
    balancer_run: BalancerTraining, photos: Path
) -> None:
    pool = PhotoPool(read_split(photos).training)
    run = replace(balancer_run, undamaged=1.0)
    batch = make_batch(pool, run, 32, random_damage, np.random.default_rng(3))
    assert batch.clean.shape == (2, 3, 32, 32)
    assert batch.asked.shape == (1 + len(SECOND_OPINIONS), 2, 3, 32, 32)
    torch.testing.assert_close(batch.asked[0], batch.clean, atol=0.003, rtol=0)
    for correct, corrected in zip(SECOND_OPINIONS, batch.asked[1:], strict=True):
        copy = batch.asked[0, 1].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(corrected[1].permute(1, 2, 0), correct(copy))


def test_the_average_of_answers_is_judged_beside_each_of_them(
    balancer_run: BalancerTraining, random_model: Path
) -> None:
    balancer = LatentBalancer.load_folder(random_model / "latent_balancer").eval()
    vae = VAE.load_folder(random_model / "vae")
    clean, given, other = torch.rand(3, 2, 3, 32, 32)

    def judge(run: BalancerTraining, *asked: torch.Tensor) -> tuple[float, dict[str, float]]:
        torch.manual_seed(0)
        batch = Batch(clean, torch.stack(asked))
        loss, row = balancer_loss(balancer, Thumbnail(4), vae, batch, run)
        return loss.item(), row

    _, alone = judge(balancer_run, given)
    _, alike = judge(balancer_run, given, given)
    _, unlike = judge(balancer_run, given, other)
    assert alone["average"] == pytest.approx(alone["map"])
    assert alike["average"] == pytest.approx(alone["map"])
    assert unlike["average"] != pytest.approx(alone["map"])
    only_average = replace(balancer_run, answer_weight=0.0, color_weight=0.0, chroma_weight=0.0)
    loss, row = judge(only_average, given, other)
    assert loss == pytest.approx(20.0 * row["read"] + row["average"], rel=1e-4)


def test_training_goes_on_from_another_latent_balancer(
    balancer_run: BalancerTraining, random_model: Path, tmp_path: Path
) -> None:
    start = random_model / "latent_balancer"
    run = replace(balancer_run, start=start, steps=1, learning_rate=1e-9)
    train_balancer(run, lambda row: None)
    moments = torch.rand(1, 8, 28, 28)
    trained, given = (LatentBalancer.load_folder(f) for f in (run.out / "latent_balancer", start))
    torch.testing.assert_close(trained(moments), given(moments), atol=1e-2, rtol=1e-2)


def test_the_users_luts_are_drawn_as_damage(tmp_path: Path) -> None:
    write_cube(tmp_path / "green.cube", Lut3D.from_function(lambda c: c * [0.5, 1.0, 0.5], 5))
    write_hald(tmp_path / "dark.png", Lut3D.from_function(lambda c: c * 0.5, 5), level=2)
    draw = damage_source(tmp_path)
    rng = np.random.default_rng(0)
    own = [damage for damage in (draw(rng) for _ in range(200)) if damage.kind == "own LUT"]
    assert 20 < len(own) < 80
    white = np.ones((1, 3), np.float32)
    assert {bool(damage(white)[0, 1] > 0.9) for damage in own} == {True, False}
