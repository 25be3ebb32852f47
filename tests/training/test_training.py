"""Training a VAE: color differences with known values, small runs that are interrupted."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from vae_balance.color.lab import ciede2000, srgb_to_lab
from vae_balance.correctors.latent_balancer.train_vae import VAETraining, train_vae
from vae_balance.correctors.latent_balancer.vae import VAE
from vae_balance.errors import BalanceError, ModelError
from vae_balance.training.checkpoint import append_log, read_log, save_tensors
from vae_balance.training.loop import cosine_rate


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


def test_a_line_after_one_that_was_cut_off_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append_log(log, {"step": 1})
    with log.open("a") as torn:
        torn.write('{"st')
    append_log(log, {"step": 2})
    append_log(log, {"step": 3})
    assert [row["step"] for row in read_log(log)] == [1, 2, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(BalanceError, match=r"log.jsonl: cannot be written: No space left"):
        append_log(tmp_path / "log.jsonl", {"step": 1})


def test_a_checkpoint_that_cannot_be_written_spares_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "checkpoint.pt"
    save_tensors({"step": 1}, kept)

    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BalanceError, match=r"checkpoint.pt: cannot be written: No space left"):
        save_tensors({"step": 2}, kept)
    assert torch.load(kept, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [kept]


def test_a_damaged_checkpoint_is_refused_by_name(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match=r"checkpoint.pt: cannot resume"):
        train_vae(small_vae_run(photos, tmp_path), lambda row: None)
