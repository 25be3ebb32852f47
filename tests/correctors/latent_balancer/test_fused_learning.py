"""Learning a look with a balancer that is fused with the classifier and judges itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_balance.color.arrays import Colors
from vae_balance.color.srgb import luma_of
from vae_balance.correctors.classifier import Classifier, Features
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.fused_network import Answer, FusedLatentBalancer
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.report import report_on
from vae_balance_protocol.options import AUTO

ONE = LookOptions(iterations=1)


class PooledColor(Classifier):
    """Stands in for the classifier: its features are a photo's mean color."""

    def forward(self, pixels: Tensor) -> Features:
        photos = len(pixels)
        pooled = torch.zeros(photos, 2464)
        pooled[:, :3] = pixels.mean(dim=(2, 3))
        return Features(pooled, torch.zeros(photos, 40, 28, 28), torch.zeros(photos, 112, 14, 14))


class Judge(FusedLatentBalancer):
    """Moves every latent by `step` and judges as it is told, from the photos' mean color."""

    def __init__(self, step: float, judge: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self._step, self._tells = step, judge

    def forward(
        self,
        moments: Tensor,
        features: Features,
        statistics: Tensor,
        corner: tuple[int, int] | None = None,
    ) -> Answer:
        moved = moments.clone()
        moved[:, :4] += self._step
        return Answer(moved, *self._tells(features.pooled[:, :3].mean(dim=1)))


def judging(model: Model, gain: Callable[[Tensor], Tensor], step: float = 0.3) -> Model:
    """Return the model with a balancer that expects `gain` and doubts by 2 CIEDE2000."""

    def judge(brightness: Tensor) -> tuple[Tensor, Tensor]:
        doubt = torch.full_like(brightness, 2.0)
        return doubt + gain(brightness), doubt

    return replace(model, latent_balancer=Judge(step, judge), classifier=PooledColor())


def expecting(model: Model, gain: float) -> Model:
    """Return the model with a balancer that expects the same gain of every photo."""
    return judging(model, lambda brightness: torch.full_like(brightness, gain))


def proxy() -> NDArray[np.float32]:
    y, x = np.mgrid[0:224, 0:224].astype(np.float32) / 223.0
    return np.stack([0.2 + 0.5 * x, 0.3 + 0.4 * y, 0.6 - 0.3 * x], axis=-1).astype(np.float32)


def test_a_photo_that_is_better_left_alone_is_left_alone(model: Model) -> None:
    look = learn_look([proxy()], expecting(model, -3.0))
    assert not look.report.found
    assert len(look.rounds) == 1
    np.testing.assert_allclose(look.lut(proxy()), proxy(), atol=1e-6)


def test_a_gain_in_between_is_taken_in_part(model: Model) -> None:
    whole, half = (
        learn_look([proxy()], expecting(model, gain), ONE).rounds[0] for gain in (1.0, 0.8)
    )
    assert whole.shares.item() == pytest.approx(1.0)
    assert half.shares.item() == pytest.approx(0.8)
    part = half.distorted + half.shares.item() * (whole.fixed - whole.distorted)
    np.testing.assert_allclose(half.fixed, part, atol=1e-5)


def test_auto_goes_on_while_it_expects_to_gain_and_not_longer(model: Model) -> None:
    unlimited = judging(model, lambda b: torch.full_like(b, 5.0), step=1.0)
    rounds = learn_look([proxy()], unlimited, LookOptions(iterations=AUTO)).rounds
    assert len(rounds) == 10
    # It is content once two rounds have changed the photo.
    brightness = [float(learned.proxies.mean()) for learned in rounds]
    change = brightness[2] - brightness[0]
    assert abs(change) > 1e-4
    bound = brightness[0] + 0.9 * change

    def gain(mean: Tensor) -> Tensor:
        done = mean >= bound if change > 0 else mean <= bound
        return torch.where(done, -5.0, 5.0)

    content = judging(model, gain, step=1.0)
    assert len(learn_look([proxy()], content, LookOptions(iterations=AUTO)).rounds) == 2


def test_a_fixed_number_of_iterations_is_kept(model: Model) -> None:
    eager = judging(model, lambda b: torch.full_like(b, 5.0), step=1.0)
    assert len(learn_look([proxy()], eager, LookOptions(iterations=3)).rounds) == 3


def asked(model: Model, gain: float, *proxies: NDArray[np.float32]) -> list[int]:
    """Return about how many pictures a balancer is asked at a time while it learns one round."""
    seen: list[int] = []

    def judge(brightness: Tensor) -> Tensor:
        seen.append(len(brightness))
        return torch.full_like(brightness, gain)

    learn_look(proxies, judging(model, judge), ONE)
    return seen


def test_the_mirrored_photo_is_asked_about_as_well(model: Model) -> None:
    assert asked(model, 0.9, proxy()) == [1, 1]
    assert asked(model, 0.9, proxy(), proxy()) == [2, 2]


def test_where_much_is_wrong_classical_corrections_are_asked_about_instead(model: Model) -> None:
    assert asked(model, 1.1, proxy()) == [1, 1, 2]
    assert asked(model, 5.0, proxy()) == [1, 2]
    assert asked(model, 5.0, proxy(), proxy()) == [2, 4]


def test_each_frame_of_a_roll_is_asked_about_as_it_would_be_alone(model: Model) -> None:
    def gain(brightness: Tensor) -> Tensor:
        return torch.where(brightness > 0.3, 5.0, 0.5)

    strict = judging(model, gain)
    dark, light = 0.3 * proxy(), proxy()
    both = learn_look([dark, light], strict, ONE).rounds[0]
    for number, frame in enumerate((dark, light)):
        alone = learn_look([frame], strict, ONE).rounds[0]
        np.testing.assert_allclose(both.balanced[number], alone.balanced[0], atol=1e-4)
        assert both.shares[number] == alone.shares[0]


def test_answers_about_classical_corrections_count_as_much_as_gain_is_expected(
    model: Model,
) -> None:
    steady, some, full = (
        learn_look([proxy()], expecting(model, gain), ONE).rounds[0].balanced[:, :4].mean()
        for gain in (0.9, 2.0, 5.0)
    )
    assert abs(full - steady) > 1e-3
    assert some - steady == pytest.approx((full - steady) / 2, rel=1e-3)


def test_the_report_tells_what_was_found(model: Model) -> None:
    report = learn_look([proxy()], expecting(model, 5.0)).report
    assert report.found
    assert report.confidence is not None
    assert 0.5 < report.confidence < 1.0
    assert len(report.changes) > 1
    assert all(change > 0.0 for change in report.changes)


def test_a_balancer_that_does_not_judge_itself_does_one_round_on_its_own(model: Model) -> None:
    look = learn_look([proxy()], model, LookOptions(iterations=AUTO))
    assert len(look.rounds) == 1
    assert look.report.confidence is None


class Learned:
    """A round that makes one picture of another."""

    def __init__(self, given: Colors, wanted: Colors) -> None:
        self.color_map = fit_color_map(given, wanted)
        self.shares = np.ones(1, np.float32)
        self.doubts = np.full(1, 2.0, np.float32)


@pytest.mark.parametrize(
    ("tint", "name"), [((1.0, 0.75, 0.5), "orange"), ((0.6, 0.8, 1.0), "blue")]
)
def test_a_cast_is_told_by_its_name(tint: tuple[float, float, float], name: str) -> None:
    tinted = (proxy() * np.array(tint, np.float32)).astype(np.float32)
    text = report_on(tinted[None], [Learned(tinted, proxy())]).text()
    assert text.startswith(f"{name} cast of ")
    assert "stops too dark" in text


def test_a_tint_over_a_photo_makes_it_neither_faded_nor_too_colorful() -> None:
    photo = 0.25 + 0.5 * proxy()
    tinted = (photo + np.array([0.12, 0.0, -0.12], np.float32)).astype(np.float32)
    told = report_on(tinted[None], [Learned(tinted, photo)])
    assert "cast" in told.text()
    assert told.saturation == pytest.approx(1.0, abs=0.08)
    grey = luma_of(photo)
    faded = (grey + 0.5 * (tinted - grey)).astype(np.float32)
    assert "faded" in report_on(faded[None], [Learned(faded, photo)]).text()
    vivid = (grey + 1.5 * (tinted - grey)).astype(np.float32)
    assert "too colorful" in report_on(vivid[None], [Learned(vivid, photo)]).text()


def test_auto_leaves_it_at_a_round_that_changes_hardly_anything(model: Model) -> None:
    eager = judging(model, lambda b: torch.full_like(b, 5.0), step=0.001)
    assert len(learn_look([proxy()], eager, LookOptions(iterations=AUTO)).rounds) == 1
