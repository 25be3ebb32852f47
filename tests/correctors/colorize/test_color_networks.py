"""The networks that colorize: what goes in and out, and what each loss teaches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vae_balance.color.lab import lab_to_srgb, srgb_to_lab
from vae_balance.correctors.classifier import load_classifier
from vae_balance.correctors.colorize.cases import Batch, Views
from vae_balance.correctors.colorize.color_head import ColorHead, color_classes
from vae_balance.correctors.colorize.cross_channel import CrossChannel, CrossChannelConfig
from vae_balance.correctors.colorize.losses import (
    CLASSES,
    LOSSES,
    Classes,
    Loss,
    class_frequency,
    class_shares,
)
from vae_balance.correctors.colorize.networks import (
    DESIGNS,
    AnyColorizer,
    colorizer_type,
    corrector_of,
    new_colorizer,
)
from vae_balance.correctors.colorize.seen import Seen

ALL_LOSSES = (*LOSSES, CLASSES)


def seen(count: int = 2, size: int = 64) -> Seen:
    """Return what is seen of noise; a classifier's features have any values here."""
    chance = torch.Generator().manual_seed(4)

    def noise(channels: int, part: int) -> Tensor:
        return torch.randn(count, channels, size // part, size // part, generator=chance)

    return Seen(
        lightness=torch.rand(count, 1, size, size, generator=chance),
        fine=noise(40, 8),
        middle=noise(112, 16),
        deep=noise(320, 32),
        answer=torch.randn(count, 1280, generator=chance),
    )


def batch(color: tuple[float, float] = (20.0, -10.0)) -> Batch:
    """Return two cases whose colors are one, but for the sign on one half."""
    chroma = torch.tensor(color)[None, :, None, None].repeat(2, 1, 16, 16)
    chroma[..., 8:] *= -1.0
    return Batch(seen(), chroma)


def loss_named(name: str) -> Loss:
    if name != CLASSES:
        return LOSSES[name]
    centres = color_classes()
    return Classes(centres, torch.full((len(centres),), 1.0 / len(centres)))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("classes", [False, True])
def test_a_and_b_come_out_at_a_quarter_of_the_size(design: str, classes: bool) -> None:
    torch.manual_seed(0)
    network = new_colorizer(design, classes).eval()
    for size in (64, 96):
        given = seen(1, size)
        answer = network(given)
        assert answer.shape == (1, 2, size // 4, size // 4)
        assert answer.abs().max() <= 110.0
        other = network(replace(given, lightness=1.0 - given.lightness))
        assert (answer - other).abs().max() > 1e-6


@pytest.mark.parametrize(("design", "heeds"), [("autoencoder", ()), ("fusion", ("answer",))])
def test_a_design_heeds_what_it_is_told_by(design: str, heeds: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    network = new_colorizer(design, False).eval()
    given = seen(1)
    for name in ("fine", "middle", "deep", "answer"):
        moved = replace(given, **{name: getattr(given, name) + 1.0})
        changed = (network(moved) - network(given)).abs().max() > 0.0
        assert bool(changed) == (name in heeds), name


@pytest.mark.parametrize("name", ALL_LOSSES)
def test_each_loss_teaches_the_colors(name: str) -> None:
    torch.manual_seed(0)
    network = new_colorizer("cross-channel", name == CLASSES)
    cases, loss = batch(), loss_named(name)
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(80):
        optimizer.zero_grad()
        value, row = loss(network, cases)
        value.backward()
        optimizer.step()
    assert list(row) == [name]
    answer = network.eval()(cases.seen)
    error = (answer - cases.chroma).square().sum(dim=1).sqrt()
    assert error.mean() < 8.0  # of 22


def test_pairs_tell_differences_and_little_of_the_mean() -> None:
    cases = batch()

    def given(answer: Tensor) -> AnyColorizer:
        return lambda _: answer  # type: ignore[return-value]

    pairwise = LOSSES["pairwise"]
    exact, moved, flat = (
        pairwise(given(answer), cases)[1]["pairwise"]
        for answer in (cases.chroma, cases.chroma + 7.0, torch.zeros_like(cases.chroma))
    )
    assert exact == pytest.approx(0.0, abs=1e-6)
    assert moved == pytest.approx(0.0, abs=1e-6)
    assert flat > 0.05
    assert pairwise(given(cases.chroma + 7.0), cases)[0] > 0.0


def test_huber_minds_great_errors_less_than_l2() -> None:
    cases = batch()

    def ratio(name: str) -> float:
        small, great = (
            LOSSES[name](lambda _, by=by: cases.chroma + by, cases)[0].item()  # type: ignore[arg-type]
            for by in (10.0, 40.0)
        )
        return great / small

    assert ratio("huber") < ratio("l2") / 2.0


@pytest.mark.parametrize(("design", "largest"), [("autoencoder", 128.0), ("fusion", 110.0)])
def test_one_color_lies_within_what_its_design_answers(design: str, largest: float) -> None:
    network = new_colorizer(design, classes=False).eval()
    with torch.no_grad():
        nn.init.constant_(network.head.last.bias, 20.0)  # type: ignore[arg-type]
        answer = network(seen(1))
    torch.testing.assert_close(answer, torch.full_like(answer, largest))


def test_classes_are_colors_that_srgb_has() -> None:
    centres = color_classes()
    assert 240 < len(centres) < 320  # Zhang et al. count 313, with a wider gamut
    assert torch.unique(centres, dim=0).shape == centres.shape
    lightness = torch.linspace(2.0, 98.0, 49)
    for a, b in centres[::9].tolist():
        near = torch.stack([lightness, torch.full((49,), a), torch.full((49,), b)])[None]
        there = srgb_to_lab(lab_to_srgb(near))
        assert (there - near).square().sum(dim=1).min().sqrt() < 7.5


def test_colors_belong_to_the_classes_near_them() -> None:
    centres = color_classes()
    shares = class_shares(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), centres)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
    mean = shares @ centres
    torch.testing.assert_close(mean, torch.tensor([[0.0, 0.0], [4.0, 0.0]]), atol=0.7, rtol=0.0)
    assert class_frequency(torch.zeros(100, 2), centres).sum() == pytest.approx(1.0, abs=1e-4)


def test_rare_colors_count_more() -> None:
    centres = color_classes()
    frequency = torch.full((len(centres),), 1e-4)
    grey = int((centres.abs().sum(dim=1) == 0).nonzero())
    frequency[grey] = 1.0 - 1e-4 * (len(centres) - 1)
    weights = Classes(centres, frequency).weights
    assert weights[grey] < weights.median() / 20.0
    assert (weights * frequency).sum() == pytest.approx(1.0, abs=1e-4)


def test_the_annealed_mean_lies_nearer_to_the_likeliest_color() -> None:
    head = ColorHead(4, True)
    centres = color_classes()
    red, blue = (
        (centres - torch.tensor(c)).square().sum(dim=1).argmin()
        for c in ((50.0, 30.0), (0.0, -40.0))
    )
    with torch.no_grad():
        assert head.last.bias is not None
        head.last.weight.zero_()
        head.last.bias.fill_(-30.0)
        head.last.bias[red], head.last.bias[blue] = 0.7, 0.0
        features = torch.zeros(1, 4, 2, 2)
        plain, annealed = (head(features, t)[0, :, 0, 0] for t in (1.0, 0.38))
    to_red = [(answer - centres[red]).norm() for answer in (annealed, plain)]
    assert to_red[0] < 0.5 * to_red[1]


@pytest.mark.parametrize("design", DESIGNS)
def test_a_network_survives_its_file(design: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = new_colorizer(design, True).eval()
    network.save_folder(tmp_path)
    again = colorizer_type(corrector_of(design)).load_folder(tmp_path)
    torch.testing.assert_close(again(seen()), network(seen()), atol=0.3, rtol=0.0)


@pytest.mark.parametrize("design", DESIGNS)
def test_the_classifier_is_shown_three_equal_channels_at_first(design: str) -> None:
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    shown = new_colorizer(design, False).shown(grey)
    torch.testing.assert_close(shown, grey.expand(-1, 3, -1, -1))


def test_only_the_cross_channel_design_has_a_convolution_in_front() -> None:
    fronts = {design: hasattr(new_colorizer(design, False), "front") for design in DESIGNS}
    assert fronts == {"autoencoder": False, "fusion": False, "cross-channel": True}


def test_views_have_a_gradient_for_the_convolution_as_far_as_they_are_to() -> None:
    """And what is seen of each is the same with a gradient as without."""
    network, classifier = CrossChannel().eval(), load_classifier()
    lightness = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    chroma = torch.zeros(2, 2, 16, 16)
    batches = [
        Views(lightness, chroma).seen_by(classifier, network.shown, learning) for learning in (1, 2)
    ]
    for name in Seen.names():
        one, other = (getattr(batch.seen, name) for batch in batches)
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    gradients = []
    for batch in batches:
        network.zero_grad()
        network(batch.seen)[1].square().sum().backward()
        gradients.append([parameter.grad for parameter in network.front.parameters()])
    assert all(gradient is not None and not gradient.any() for gradient in gradients[0])
    assert all(gradient is not None and gradient.any() for gradient in gradients[1])
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_any_size_goes_through_the_convolution_and_the_classifier() -> None:
    network = CrossChannel(CrossChannelConfig(classes=True)).eval()
    classifier = load_classifier()
    with torch.no_grad():
        for height, width in ((64, 96), (160, 32)):
            lightness = torch.rand(1, 1, height, width)
            answer = network(Seen.of_lightness(lightness, classifier, network.shown))
            assert answer.shape == (1, 2, height // 4, width // 4)


def test_what_is_seen_depends_on_the_lightness_only() -> None:
    """Grey, and what has the same lightness in color, are one to the networks."""
    classifier = load_classifier()
    lab = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    lab[:, 0] = 35.0 + 30.0 * lab[:, 0]
    lab[:, 1:] = 20.0 * (lab[:, 1:] - 0.5)
    grey = lab.clone()
    grey[:, 1:] = 0.0
    first, second = (Seen.of(lab_to_srgb(colors), classifier) for colors in (lab, grey))
    for name in Seen.names():
        one, other = getattr(first, name), getattr(second, name)
        torch.testing.assert_close(one, other, atol=0.02 * other.abs().max().item(), rtol=0.0)
    assert first.deep.shape == (1, 320, 2, 2)
