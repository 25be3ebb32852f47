"""Learning a look: the promises of the algorithm, whatever the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vae_balance.color.lut import Lut3D
from vae_balance.correctors.classical import per_channel_stretch, shades_of_grey
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer import asking
from vae_balance.correctors.latent_balancer import learn as look
from vae_balance.correctors.latent_balancer.asking import Fade
from vae_balance.correctors.latent_balancer.balancer_network import LatentBalancer
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.errors import OptionError


def proxy(seed: int = 0) -> NDArray[np.float32]:
    """Return a smooth colorful picture (224, 224, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:224, 0:224] / 223.0
    waves = [np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + i) for i in range(3)]
    return (0.5 + 0.4 * np.stack(waves, axis=-1)).astype(np.float32)


def test_the_same_proxy_and_options_give_the_same_lut_bit_for_bit(model: Model) -> None:
    first, second = (learn_look([proxy()], model, LookOptions(iterations=2)) for _ in range(2))
    assert first.lut.digest() == second.lut.digest()


def test_strength_0_changes_nothing(model: Model) -> None:
    colors = proxy()[::16, ::16]
    lut = learn_look([proxy()], model, LookOptions(strength=0.0)).lut
    np.testing.assert_allclose(lut(colors), colors, atol=1e-6)


@pytest.mark.parametrize("color", [(128, 128, 128), (255, 0, 0), (3, 3, 3), (20, 90, 200)])
@pytest.mark.parametrize("iterations", [1, 3])
def test_a_photo_of_a_single_color_is_left_alone(
    model: Model, color: tuple[int, int, int], iterations: int
) -> None:
    noise = np.random.default_rng(0).integers(-1, 2, (224, 224, 3))
    plain = ((np.array(color) + noise).clip(0, 255) / 255).astype(np.float32)
    lut = learn_look([plain], model, LookOptions(iterations, size=17)).lut
    assert lut.digest() == Lut3D.identity(17).digest()


def test_a_plain_frame_does_not_keep_a_roll_from_being_corrected(model: Model) -> None:
    plain = np.full((224, 224, 3), 0.5, np.float32)
    lut = learn_look([proxy(), plain], model, LookOptions(size=17)).lut
    assert np.abs(lut.table - Lut3D.identity(17).table).max() > 0.01


def test_strength_scales_the_change(model: Model) -> None:
    # Of a random model, whose look is drawn back where it would fold colors over one another.
    low, high, full, beyond = (
        learn_look([proxy()], model, LookOptions(strength=strength)).lut.table
        for strength in (0.05, 0.1, 1.0, 1.5)
    )
    identity = learn_look([proxy()], model, LookOptions(strength=0.0)).lut.table
    np.testing.assert_allclose(high, identity + 2.0 * (low - identity), atol=1e-5)
    assert np.abs(high - identity).max() > 0.01
    assert np.abs(full - identity).max() > np.abs(high - identity).max()
    assert beyond.min() >= 0.0 and beyond.max() <= 1.0


def test_every_round_sees_what_the_round_before_made(model: Model) -> None:
    rounds = learn_look([proxy()], model, LookOptions(iterations=3)).rounds
    assert len(rounds) == 3
    first, second = rounds[:2]
    np.testing.assert_array_equal(second.proxies, first.color_map(first.proxies))
    assert second.proxies.min() >= 0.0 and second.proxies.max() <= 1.0


def test_the_lut_is_all_rounds_one_after_the_other(model: Model) -> None:
    learned = learn_look([proxy()], model, LookOptions(iterations=3, size=5))
    expected = np.array([0.25, 0.5, 0.75], np.float32)
    for each in learned.rounds:
        expected = each.color_map(expected)
    np.testing.assert_allclose(learned.lut.table[1, 2, 3], expected, atol=1e-5)


def test_shapes_are_those_of_the_published_algorithm(model: Model) -> None:
    learned = learn_look([proxy()], model).rounds[0]
    assert learned.moments.shape == learned.balanced.shape == (1, 8, 28, 28)
    assert learned.distorted.shape == learned.fixed.shape == (1, 224, 224, 3)


def test_a_seed_decodes_a_sample_and_repeats_itself(model: Model) -> None:
    mean, sample, again, other = (
        learn_look([proxy()], model, LookOptions(seed=seed)).lut.digest()
        for seed in (None, 1, 1, 2)
    )
    assert sample == again
    assert len({mean, sample, other}) == 3


def test_a_roll_is_learned_from_all_its_frames(model: Model) -> None:
    alone = learn_look([proxy(0)], model).lut.digest()
    roll = learn_look([proxy(0), proxy(1)], model)
    assert roll.lut.digest() != alone
    assert roll.rounds[0].moments.shape == (2, 8, 28, 28)


def test_progress_names_every_stage_of_every_round(model: Model) -> None:
    seen: list[tuple[int, int, str]] = []
    learn_look([proxy()], model, LookOptions(iterations=2), lambda *step: seen.append(step))
    stages = ["encode", "balance", "decode", "map colors"]
    told = list(dict.fromkeys(seen))  # a stage of many photos is told again and again
    assert told == [(done, 2, s) for done in (0, 1) for s in stages] + [(2, 2, "bake")]


def test_no_step_of_a_roll_is_much_longer_than_one_of_a_photo(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for a single look waits for a step: of so many photos and pixels at the most."""
    photos, pixels = [0], [0]
    encode, bincount = model.vae.encode, np.bincount

    def counted_encode(images: torch.Tensor) -> torch.Tensor:
        photos[-1] += len(images)
        return encode(images)

    def counted_bincount(index: NDArray[np.int64], *more: Any, **named: Any) -> Any:
        pixels[-1] += len(index)
        return bincount(index, *more, **named)

    def step(done: int, total: int, stage: str) -> None:
        photos.append(0)
        pixels.append(0)

    monkeypatch.setattr(model.vae, "encode", counted_encode)
    monkeypatch.setattr(np, "bincount", counted_bincount)
    count = 50
    learn_look([proxy()] * count, model, LookOptions(iterations=2, size=5), step)
    opinions = 1 + len(asking.SECOND_OPINIONS)
    assert sum(photos) >= 2 * count
    assert max(photos) <= 4 * opinions
    assert sum(pixels) >= 2 * count * 224 * 224
    assert max(pixels) < sum(pixels) / 4


@pytest.mark.parametrize("iterations", [11, -1])
def test_iterations_out_of_range_are_refused(iterations: int) -> None:
    with pytest.raises(OptionError, match="iterations"):
        LookOptions(iterations=iterations)


@pytest.mark.parametrize("strength", [-0.1, 1.6, float("nan")])
def test_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(OptionError, match="strength"):
        LookOptions(strength=strength)


def test_no_proxy_is_refused(model: Model) -> None:
    with pytest.raises(OptionError, match="no photo"):
        learn_look([], model)


def test_a_proxy_of_another_shape_is_refused(model: Model) -> None:
    with pytest.raises(OptionError, match=r"\(100, 100, 3\)"):
        learn_look([np.zeros((100, 100, 3), np.float32)], model)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every photo pass for damaged in all rounds, however little the balancer moves it."""
    for name in ("FAULT", "LEFT"):
        monkeypatch.setattr(asking, name, Fade(-2.0, -1.0))


def answers(proxies: list[NDArray[np.float32]], model: Model) -> torch.Tensor:
    pixels = torch.from_numpy(np.stack(proxies)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return model.latent_balancer(model.vae.encode(pixels))


def three_answers(own: NDArray[np.float32], model: Model) -> NDArray[np.float32]:
    given = answers([own, shades_of_grey(own), per_channel_stretch(own)], model).numpy()
    assert np.ptp(given, axis=0).max() > 0.01
    return given.mean(axis=0)


@pytest.mark.usefixtures("faulty")
def test_the_balancer_is_asked_three_times_and_the_answers_are_averaged(model: Model) -> None:
    proxies = [proxy(0), proxy(1)]
    learned = learn_look(proxies, model).rounds[0]
    for balanced, own in zip(learned.balanced, proxies, strict=True):
        np.testing.assert_allclose(balanced, three_answers(own, model), atol=1e-4)


@pytest.mark.usefixtures("faulty")
def test_what_is_fixed_is_decoded_from_all_answers(model: Model) -> None:
    learned = learn_look([proxy()], model).rounds[0]
    with torch.inference_mode():
        expected = model.vae.decode(torch.from_numpy(learned.balanced[:, :4])).clamp(0.0, 1.0)
    np.testing.assert_allclose(learned.fixed, expected.permute(0, 2, 3, 1).numpy(), atol=1e-4)


def decoded_answers(learned: look.Round, model: Model) -> NDArray[np.float32]:
    """Return what is decoded from the answer about the proxy itself, and from `balanced`."""
    with torch.inference_mode():
        both = torch.cat([answers([learned.proxies[0]], model), torch.from_numpy(learned.balanced)])
        decoded = model.vae.decode(both[:, :4]).clamp(0.0, 1.0)
    return decoded.permute(0, 2, 3, 1).numpy()


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("number", [2, 3])
def test_a_further_round_asks_once_and_counts_as_one_opinion_among_all(
    model: Model, number: int
) -> None:
    learned = learn_look([proxy()], model, LookOptions(iterations=number)).rounds[-1]
    expected = answers([learned.proxies[0]], model).numpy()
    np.testing.assert_allclose(learned.balanced, expected, atol=1e-4)
    change = decoded_answers(learned, model)[0] - learned.distorted
    assert np.abs(change).max() > 0.01
    cast = change - (change @ np.array([0.2126, 0.7152, 0.0722]))[..., None]
    np.testing.assert_allclose(learned.fixed, learned.distorted + cast / number, atol=1e-4)


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(
    ("ends", "share"), [((1.0, 2.0), 0.0), ((0.5, 1.5), 0.5), ((0.0, 0.5), 1.0)]
)
def test_a_further_round_follows_a_large_answer_and_leaves_a_small_one(
    model: Model, monkeypatch: pytest.MonkeyPatch, ends: tuple[float, float], share: float
) -> None:
    *_, whole = learn_look([proxy()], model, LookOptions(iterations=2)).rounds
    answer = decoded_answers(whole, model)[0]
    size = float(np.abs(answer - whole.distorted[0]).mean())
    monkeypatch.setattr(asking, "LEFT", Fade(ends[0] * size + 1e-5, ends[1] * size + 1e-5))
    *_, second = learn_look([proxy()], model, LookOptions(iterations=2)).rounds
    change = whole.fixed - whole.distorted
    assert np.abs(change).max() > 0.01
    np.testing.assert_allclose(second.fixed, second.distorted + share * change, atol=1e-4)


def test_a_photo_that_would_hardly_be_moved_is_left_alone(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FAULT", "LEFT"):
        monkeypatch.setattr(asking, name, Fade(2.0, 3.0))
    learned = learn_look([proxy()], model, LookOptions(iterations=2))
    for each in learned.rounds:
        np.testing.assert_array_equal(each.fixed, each.distorted)
    np.testing.assert_allclose(learned.lut.table, Lut3D.identity(33).table, atol=1e-6)


def test_half_a_fault_is_corrected_by_half(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FAULT", Fade(0.0, 4.0))
    learned = learn_look([proxy()], model).rounds[0]
    own, average = decoded_answers(learned, model)
    share = np.abs(own - learned.distorted[0]).mean() / 4.0
    assert 0.001 < share < 0.9
    change = share * (average - learned.distorted[0])
    np.testing.assert_allclose(learned.fixed[0], learned.distorted[0] + change, atol=1e-4)


def test_a_balancer_that_knows_no_second_opinions_is_asked_once(model: Model) -> None:
    config = replace(model.latent_balancer.config, second_opinions=False)
    balancer = LatentBalancer(config).eval()
    balancer.load_state_dict(model.latent_balancer.state_dict())
    asked_once = replace(model, latent_balancer=balancer)
    for learned in learn_look([proxy()], asked_once, LookOptions(iterations=2)).rounds:
        expected = answers([learned.proxies[0]], model).numpy()
        np.testing.assert_allclose(learned.balanced, expected, atol=1e-4)


def test_of_a_long_roll_all_frames_are_learned_from_and_eight_are_kept(model: Model) -> None:
    roll = [proxy(i) for i in range(look.SHOWN + 1)]
    whole, shorter = learn_look(roll, model), learn_look(roll[:-1], model)
    assert whole.rounds[0].fixed.shape == (8, 224, 224, 3)
    np.testing.assert_allclose(whole.rounds[0].fixed, shorter.rounds[0].fixed, atol=1e-4)
    assert whole.lut.digest() != shorter.lut.digest()
