"""Training a latent balancer: losses with known values, its cases, small runs from a cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vae_balance.color.lab import srgb_to_lab
from vae_balance.color.lut import Lut3D
from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer import train_balancer as trainer
from vae_balance.correctors.latent_balancer.balancer_cases import (
    KINDS,
    NAMES,
    UNDAMAGED,
    FrozenNetworks,
    batch_of,
    draw_view,
    flipped_batch,
    watched_photos,
    watched_view,
    weighted_damage,
)
from vae_balance.correctors.latent_balancer.balancer_loss import (
    LossWeights,
    Thumbnail,
    balancer_loss,
    errors_of,
    gaussian_kl,
    smooth_map,
)
from vae_balance.correctors.latent_balancer.color_statistics import color_statistics
from vae_balance.correctors.latent_balancer.fused_network import (
    Answer,
    FusedBalancerConfig,
    FusedLatentBalancer,
)
from vae_balance.correctors.latent_balancer.train_balancer import (
    BalancerTraining,
    blurred,
    score_balancer,
    train_balancer,
)
from vae_balance.errors import ModelError, OptionError
from vae_balance.luts.cube import write_cube
from vae_balance.luts.hald import write_hald
from vae_balance.training import case_cache
from vae_balance.training.case_cache import CaseBatches, read_shard
from vae_balance.training.checkpoint import read_log
from vae_balance.training.damage import Damage, random_damage, undamaged
from vae_balance.training.loop import Row
from vae_balance.training.pairs import View
from vae_balance.training.photos import PhotoPool, read_split
from vae_balance.training.user_luts import damage_source

SMALL = FusedBalancerConfig(
    palette=16, context=32, token=16, token_blocks=1, attention=2, gazes=2, fine=16, fine_blocks=1
)


def save_photos(folder: Path, count: int, seed: int) -> None:
    """Write small soft pictures of the user's own."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 80), Image.Resampling.BICUBIC).save(folder / f"{i}.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 22 photos, of which two are watched."""
    folder = tmp_path_factory.mktemp("photos")
    save_photos(folder / "mine", 22, 0)
    return folder


@pytest.fixture(scope="module")
def networks(random_model: Path) -> FrozenNetworks:
    return FrozenNetworks.load(random_model / "vae", "cpu")


@pytest.fixture(autouse=True)
def short_training_of_thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "THUMBNAIL_STEPS", 10)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the runs of this file keep their cases."""
    return tmp_path_factory.mktemp("cases") / "cache"


@pytest.fixture
def training(photos: Path, random_model: Path, cache: Path, tmp_path: Path) -> BalancerTraining:
    """Return settings of a run of seconds."""
    return BalancerTraining(
        photos,
        random_model / "vae",
        tmp_path / "run",
        cache,
        cases=16,
        own=8,
        steps=6,
        batch=4,
        network=SMALL,
        processes=1,
        save_every=2,
        watch_every=50,
    )


def no_report(row: Row) -> None:
    pass


def test_kl_of_equal_moments_is_nothing() -> None:
    moments = torch.randn(2, 8, 4, 4)
    divergences = gaussian_kl(moments, moments, torch.zeros(4, 1, 1))
    assert divergences.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


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


def test_the_users_luts_are_drawn_as_damage(tmp_path: Path) -> None:
    write_cube(tmp_path / "green.cube", Lut3D.from_function(lambda c: c * [0.5, 1.0, 0.5], 5))
    write_hald(tmp_path / "dark.png", Lut3D.from_function(lambda c: c * 0.5, 5), level=2)
    draw = damage_source(tmp_path, random_damage)
    rng = np.random.default_rng(0)
    own = [damage for damage in (draw(rng) for _ in range(200)) if damage.kind == "own LUT"]
    assert 20 < len(own) < 80
    white = np.ones((1, 3), np.float32)
    assert {bool(damage(white)[0, 1] > 0.9) for damage in own} == {True, False}


def test_a_folder_without_luts_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"holds no LUT files .*\.cube"):
        damage_source(tmp_path, random_damage)


def test_what_cameras_do_is_drawn_more_often_than_the_rest() -> None:
    rng = np.random.default_rng(0)
    kinds = [weighted_damage(rng).kind for _ in range(1000)]
    assert kinds.count("white balance") > 2 * kinds.count("neon")
    assert set(kinds) == set(KINDS[: KINDS.index(UNDAMAGED)])


def test_views_are_damaged_undamaged_scanned_and_corrected(photos: Path) -> None:
    pool = PhotoPool(read_split(photos).training)
    halved = Damage("halved", 1.0, lambda colors: colors * np.float32(0.5))
    drawn = [draw_view(pool, np.random.default_rng(seed), lambda rng: halved) for seed in range(80)]
    assert {view.clean.shape for view in drawn} == {(224, 224, 3)}
    damaged = [view for view in drawn if view.damage.kind == "halved"]
    assert 0.75 < len(damaged) / len(drawn) < 0.95
    exact = [np.abs(view.given - 0.5 * view.clean).max() < 0.003 for view in damaged]
    assert 0.2 < np.mean(exact) < 0.6  # neither noise, nor JPEG, nor a classical correction
    bright = [view.given.mean() > 0.6 * view.clean.mean() for view in damaged]
    assert 0.05 < np.mean(bright) < 0.4  # stretched, or made grey
    again = draw_view(pool, np.random.default_rng(7), lambda rng: halved)
    np.testing.assert_array_equal(again.given, drawn[7].given)


def test_watched_cases_have_every_strength_and_undamaged_photos(photos: Path) -> None:
    watched = watched_photos(read_split(photos))
    assert len(watched) == 2
    views = [watched_view(watched, number) for number in range(10)]
    assert [view.damage.kind == UNDAMAGED for view in views] == [False] * 4 + [True] + [
        False
    ] * 4 + [True]
    assert max(view.damage.strength for view in views) == 2.0
    assert not np.array_equal(views[0].clean, views[5].clean)
    np.testing.assert_array_equal(views[3].given, watched_view(watched, 3).given)


@torch.inference_mode()
def test_a_balancer_is_told_from_the_cache_what_it_would_see(
    networks: FrozenNetworks, photos: Path
) -> None:
    pool = PhotoPool(read_split(photos).training)
    views = [draw_view(pool, np.random.default_rng(seed)) for seed in range(3)]
    fields = networks.see(views)
    assert {fields[name].dtype for name in NAMES if name != "kind"} == {np.dtype(np.float16)}
    assert sum(fields[name][0].nbytes for name in NAMES) < 110_000
    torch.manual_seed(0)
    balancer = FusedLatentBalancer(SMALL).eval()
    torch.nn.init.normal_(balancer.leave.weight)
    pixels = torch.from_numpy(np.stack([view.given for view in views])).permute(0, 3, 1, 2)
    statistics = torch.from_numpy(np.stack([color_statistics(view.given) for view in views]))
    seen = balancer(networks.vae.encode(pixels), networks.classifier(pixels), statistics)
    batch = batch_of(fields, "cpu")
    kept = balancer(batch.given, batch.features, batch.statistics)
    spread = seen.moments.std()
    assert (kept.moments - seen.moments).abs().max() < 0.05 * spread
    assert torch.allclose(batch.before, F.avg_pool2d(pixels, 8), atol=1e-3)


def test_half_of_a_batch_is_mirrored_all_fields_alike() -> None:
    ramp = np.arange(28, dtype=np.float16)[None, None, None].repeat(28, axis=2).repeat(40, axis=0)
    fields = {name: ramp.copy() for name in NAMES}
    fields["pooled"] = fields["statistics"] = np.zeros((40, 5), np.float16)
    fields["kind"] = np.arange(40) % 2 * KINDS.index(UNDAMAGED)
    batch = flipped_batch(fields, np.random.default_rng(0), "cpu")
    mirrored = batch.given[:, 0, 0, 0] == 27
    assert 10 < int(mirrored.sum()) < 30
    assert torch.equal(batch.given, batch.after)
    assert batch.undamaged.tolist() == [False, True] * 20
    assert torch.equal(batch.given, batch.true)
    assert torch.equal(batch.features.middle, batch.given)
    assert batch.corner is not None
    assert batch.chosen(batch.given).shape == (40, 1, 14, 14)


class _ColorsAsLatents(torch.nn.Module):
    """A VAE whose latents are the colors themselves."""

    def encode(self, pixels: Tensor) -> Tensor:
        colors = F.avg_pool2d(pixels, 8)
        return torch.cat([colors, torch.zeros_like(colors[:, :1]), torch.zeros_like(colors)], 1)


@pytest.fixture
def colors_as_latents() -> FrozenNetworks:
    vae: Any = _ColorsAsLatents()
    classifier: Any = lambda pixels: Features(*torch.zeros(3, len(pixels)))  # noqa: E731
    return FrozenNetworks(vae, classifier, "cpu")


def test_an_answer_that_is_right_leaves_the_undamaged_photo(
    colors_as_latents: FrozenNetworks, photos: Path
) -> None:
    pool = PhotoPool(read_split(photos).training)
    clean = draw_view(pool, np.random.default_rng(0)).clean
    given = (0.2 + 0.6 * clean - 0.1 * clean**2).astype(np.float32)
    wanted = colors_as_latents.vae.encode(torch.from_numpy(clean).permute(2, 0, 1)[None])
    balancer: Any = lambda moments, features, statistics: Answer(wanted, *torch.zeros(2, 1))  # noqa: E731
    thumbnail: Any = lambda moments: moments[:, :3]  # noqa: E731
    (left,) = colors_as_latents.answer([given], balancer, thumbnail)
    assert np.abs(given - clean).mean() > 0.05
    assert np.abs(left - clean).mean() < 0.015
    np.testing.assert_array_equal(left, np.rint(left * 255) / np.float32(255))


def test_the_judge_learns_the_errors_before_and_after(networks: FrozenNetworks) -> None:
    grey = np.full((224, 224, 3), 0.5, np.float32)
    fields = networks.see(
        [View(grey, grey * np.array([1.0, 0.8, 0.6], np.float32), weighted_damage(rng()))]
    )
    batch = batch_of(fields, "cpu")
    wanted = srgb_to_lab(batch.after)
    fault = errors_of(batch.before, wanted)

    class Judge(FusedLatentBalancer):
        told: Tensor

        def forward(self, moments: Tensor, *others: Any) -> Answer:
            return Answer(moments, self.told[:1], self.told[1:])

    judge, thumbnail = Judge(SMALL), Thumbnail()
    judge.told = torch.cat([3.0 * fault, fault])
    _, unsure = balancer_loss(judge, thumbnail, batch, LossWeights())
    judge.told = torch.cat([fault, torch.tensor([unsure["map"]])])
    _, sure = balancer_loss(judge, thumbnail, batch, LossWeights())
    assert sure["judge"] == pytest.approx(0.0, abs=1e-6)
    assert unsure["judge"] > 0.01


def test_some_cases_are_learned_without_the_classifier(
    networks: FrozenNetworks, training: BalancerTraining
) -> None:
    grey = np.full((224, 224, 3), 0.5, np.float32)
    fields = networks.see([View(grey, grey, undamaged())])
    many = batch_of({name: fields[name].repeat(200, axis=0) for name in NAMES}, "cpu")
    balancer = FusedLatentBalancer(SMALL)
    balancer.pooled_shift.fill_(3.0)
    balancer.statistics_scale.fill_(2.0)
    told = blurred(many, balancer, training)
    blind = (told.features.pooled == 3.0).all(dim=1)
    assert 20 < int(blind.sum()) < 60
    added = (told.features.pooled - many.features.pooled)[~blind]
    assert added.std().item() == pytest.approx(training.feature_noise, rel=0.02)
    assert (told.statistics - many.statistics).std().item() == pytest.approx(0.1, rel=0.05)
    still = blurred(many, balancer, replace(training, feature_noise=0, blindness=0))
    assert torch.equal(still.features.pooled, many.features.pooled)


def test_undamaged_cases_count_more(networks: FrozenNetworks) -> None:
    views = [View(c := np.full((224, 224, 3), v, np.float32), c, damage) for v, damage in kinds()]
    fields = networks.see(views)
    balancer, thumbnail = FusedLatentBalancer(SMALL).eval(), Thumbnail()

    def loss_of(cases: slice, weight: float) -> float:
        batch = batch_of({name: fields[name][cases] for name in NAMES}, "cpu")
        return balancer_loss(balancer, thumbnail, batch, LossWeights(undamaged=weight))[0].item()

    undamaged_alone, damaged_alone = loss_of(slice(0, 1), 3.0), loss_of(slice(1, 2), 3.0)
    assert undamaged_alone != pytest.approx(damaged_alone, rel=0.01)
    both = (3.0 * undamaged_alone + damaged_alone) / 4.0
    assert loss_of(slice(0, 2), 3.0) == pytest.approx(both, rel=0.01)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_run_makes_its_cases_trains_answers_and_trains_on(training: BalancerTraining) -> None:
    made: list[tuple[str, int, int]] = []
    rows: list[Row] = []
    training = replace(training, cache=training.out.with_name("cases"))
    train_balancer(training, rows.append, lambda *told: made.append(told))
    assert [row["step"] for row in rows] == [4, 6]  # the end of each round
    assert {"kl", "map", "color", "chroma", "judge", "watch_damaged", "watch_undamaged"} <= set(
        rows[-1]
    )
    assert made[-1] == ("cases of its own answers", 8, 8)
    assert {("watched cases", 10, 10), ("cases", 16, 16)} <= set(made)
    (own,) = training.cache.glob("own-*")
    assert read_shard(own, ["kind"])["kind"].tolist() == [KINDS.index("answered")] * 8
    saved = FusedLatentBalancer.load_folder(training.out / "latent_balancer")
    assert saved.config == SMALL
    assert saved.mean_scale.min() > 0.0


@pytest.mark.parametrize("stopped_at", [2, 4])
def test_a_run_that_was_interrupted_ends_as_a_whole_one(
    training: BalancerTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    whole = replace(training, out=tmp_path / "whole")
    train_balancer(whole, no_report)
    take_step = balancer_loss
    steps = iter(range(100))

    def interrupted(*arguments: Any) -> Any:
        if next(steps) == stopped_at:
            raise KeyboardInterrupt
        return take_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "balancer_loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_balancer(training, no_report)
    rows: list[Row] = []
    train_balancer(training, rows.append)
    ends = [
        torch.load(run.out / "checkpoint.pt", weights_only=True)["network"]
        for run in (whole, training)
    ]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_part_of_the_cases_is_renewed_while_training_goes_on(
    training: BalancerTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[CaseBatches[Any]] = []

    class Remembered(CaseBatches[Any]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            drawn.append(self)

    monkeypatch.setattr(trainer, "CaseBatches", Remembered)
    for module in (trainer, case_cache):
        monkeypatch.setattr(module, "SHARD", 8)
    # Four shards have had their turn after 4 x 24 steps, of 100.
    cache = training.out.with_name("renewed")
    training = replace(training, cache=cache, cases=32, renewed=0.5, steps=150, batch=1)
    train_balancer(training, no_report)
    *_, first, second = drawn
    assert [path.name for path in first._shards] == [f"train-000{n}" for n in range(4)]
    assert [path.name for path in first._held] == [f"train-000{n}" for n in range(2, 6)]
    later = [path.name for path in second._shards]
    assert later[:4] == [f"train-000{n}" for n in range(2, 6)]
    assert later[4].startswith("own-")
    fresh = [read_shard(cache / name, ["given"])["given"] for name in later[:4]]
    assert len({given.tobytes() for given in fresh}) == 4


def test_training_lowers_the_errors(training: BalancerTraining) -> None:
    run = replace(training, own=0, steps=80, batch=12, save_every=80, learning_rate=0.02)
    rows: list[Row] = []
    train_balancer(run, rows.append)
    assert rows[-1]["map"] < 0.9 * rows[0]["map"]
    assert rows[-1]["judge"] < rows[0]["judge"]
    score = 1.0 * rows[-1]["watch_damaged"]
    checkpoint = torch.load(run.out / "checkpoint.pt", weights_only=True)
    assert checkpoint["best_score"] >= score


def test_cases_of_another_vae_are_refused(training: BalancerTraining, tmp_path: Path) -> None:
    train_balancer(replace(training, own=0, steps=1), no_report)
    other = tmp_path / "vae"
    other.mkdir()
    for path in training.vae.iterdir():
        (other / path.name).write_bytes(path.read_bytes() + b" " * (path.suffix != ".json"))
    with pytest.raises(OptionError, match=r"made with another VAE .* give another --cache DIR"):
        train_balancer(replace(training, vae=other), no_report)


def test_training_begins_with_another_balancer(training: BalancerTraining, tmp_path: Path) -> None:
    torch.manual_seed(2)
    given = FusedLatentBalancer(SMALL)
    torch.nn.init.normal_(given.leave.weight)
    given.save_folder(tmp_path / "start")
    run = replace(training, own=0, steps=1, start=tmp_path / "start", learning_rate=1e-9)
    train_balancer(run, no_report)
    trained = FusedLatentBalancer.load_folder(run.out / "latent_balancer")
    torch.testing.assert_close(trained.leave.weight, given.leave.weight, atol=1e-2, rtol=1e-2)


def test_a_balancer_without_a_classifier_is_no_start(
    training: BalancerTraining, random_model: Path
) -> None:
    run = replace(training, start=random_model / "latent_balancer")
    with pytest.raises(ModelError, match="where a FusedLatentBalancer is needed"):
        train_balancer(run, no_report)


def test_the_users_luts_are_among_the_cases(training: BalancerTraining, tmp_path: Path) -> None:
    write_cube(tmp_path / "luts.cube", Lut3D.from_function(lambda c: c * [0.5, 1.0, 0.5], 5))
    run = replace(training, luts=tmp_path, cache=tmp_path / "cases", own=0, steps=1)
    train_balancer(run, no_report)
    kinds = read_shard(tmp_path / "cases" / "train-0000", ["kind"])["kind"]
    assert KINDS.index("own LUT") in kinds
    with pytest.raises(OptionError, match="made with another folder of LUTs"):
        train_balancer(replace(run, luts=None), no_report)


def test_the_score_is_of_the_colors_that_a_look_would_leave(networks: FrozenNetworks) -> None:
    views = [View(c := np.full((224, 224, 3), v, np.float32), c, damage) for v, damage in kinds()]
    fields = networks.see(views)
    row = score_balancer(FusedLatentBalancer(SMALL).eval(), Thumbnail(), fields, "cpu")
    # An untrained balancer changes nothing, and nothing was wrong.
    assert row["watch_damaged"] == pytest.approx(0.0, abs=0.05)
    assert row["watch_undamaged"] == pytest.approx(0.0, abs=0.05)
    assert "watch_extreme" not in row


def kinds() -> Iterator[tuple[float, Damage]]:
    yield 0.3, undamaged()
    yield 0.6, random_damage(rng(), "tone", 1.0)


@pytest.mark.parametrize("better", [True, False])
def test_the_mean_of_the_best_and_the_last_weights_is_kept_if_it_is_better(
    training: BalancerTraining, monkeypatch: pytest.MonkeyPatch, better: bool
) -> None:
    # Four scores: of both rounds' ends, of the best again, of the mean.
    scores = iter([5.0, 6.0, 5.0, 4.0 if better else 7.0])
    monkeypatch.setattr(
        trainer, "score_balancer", lambda *_: {"watch_damaged": next(scores)}, raising=True
    )
    saved: list[dict[str, Tensor]] = []
    save = FusedLatentBalancer.save_folder

    def noted(self: FusedLatentBalancer, folder: Path, *dtype: torch.dtype) -> None:
        saved.append({name: value.clone() for name, value in self.state_dict().items()})
        save(self, folder, *dtype)

    monkeypatch.setattr(FusedLatentBalancer, "save_folder", noted)
    last = train_balancer(training, no_report).state_dict()
    kept = FusedLatentBalancer.load_folder(training.out / "latent_balancer").state_dict()
    name = "leave.bias"
    best = saved[0][name]
    assert not torch.equal(best, last[name])
    wanted = (best + last[name]) / 2 if better else best
    torch.testing.assert_close(kept[name], wanted, atol=1e-6, rtol=1e-2)
    # The same command, given once more, changes nothing: the scores are used up.
    train_balancer(training, no_report)
    again = FusedLatentBalancer.load_folder(training.out / "latent_balancer").state_dict()
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_the_log_of_both_rounds_is_one(training: BalancerTraining) -> None:
    train_balancer(training, no_report)
    assert [row["step"] for row in read_log(training.out / "log.jsonl")] == [4, 6]
