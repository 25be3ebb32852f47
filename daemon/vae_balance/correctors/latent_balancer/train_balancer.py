"""Train a latent balancer: damaged photographs in, moments of the undamaged ones out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from vae_balance.color.lab import ciede2000, mean_chroma, srgb_to_lab
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.asking import SECOND_OPINIONS
from vae_balance.correctors.latent_balancer.balancer_network import (
    LatentBalancer,
    LatentBalancerConfig,
)
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.correctors.latent_balancer.networks import AnyVAE, load_vae
from vae_balance.correctors.latent_balancer.train_vae import to_tensor
from vae_balance.evaluation.cases import to_8_bits
from vae_balance.models.store import ModelInfo
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.checkpoint import TrainingState, append_log, update_average
from vae_balance.training.damage import Damage, random_damage, undamaged
from vae_balance.training.loop import cosine_rate
from vae_balance.training.photos import (
    PhotoPool,
    batches,
    centre_square,
    load_photo,
    random_view,
    read_split,
)

# The VAE halves the side three times: a latent stands for 8 x 8 pixels.
REDUCTION = 8
# The folder in `out` that holds the trained network.
RESULT = "latent_balancer"


@dataclass(frozen=True)
class BalancerTraining:
    """Settings of one run; with the defaults the embedded latent balancer was finished.

    Attributes:
        photos: folder of photographs, see `photos.read_split`.
        vae: folder of the VAE whose moments are balanced.
        out: folder of the checkpoint, the log and the result (`out/latent_balancer`).
        luts: .cube files and Hald pictures of the user, drawn as further damage.
        start: folder of a latent balancer for the same VAE, to begin with in place of chance.
        steps: optimizer steps in all.
        views: undamaged views a step, and damaged copies of them.
        view: side of a view in pixels, until the last steps.
        large_steps: so many last steps see views as large as the proxies that looks are learned
            from.
        sides: least and greatest side of a view as parts of the photo's short side.
        undamaged: share of copies that stay undamaged.
        answer_weight: of the divergence and the errors of every single answer, beside the errors
            of the average of the answers, which is what a look goes by.
        kl_weight: of the divergence between predicted and true moments, per moment.
        map_weight: of the CIEDE2000 error left by the best smooth map to the predicted colors.
        color_weight: of the CIEDE2000 error of the predicted colors themselves.
        chroma_weight: of the difference in mean chroma; without it, doubt about a hue is answered
            with grey.
        variance_floor: least variance in the divergence, as a part of a channel's own variance.
    """

    photos: Path
    vae: Path
    out: Path
    luts: Path | None = None
    start: Path | None = None
    steps: int = 15000
    views: int = 8
    view: int = 112
    large_steps: int = 1500
    sides: tuple[float, float] = (0.7, 1.0)
    undamaged: float = 0.2
    learning_rate: float = 8e-4
    weight_decay: float = 0.05
    answer_weight: float = 0.5
    kl_weight: float = 1.0
    map_weight: float = 1.0
    color_weight: float = 0.3
    chroma_weight: float = 0.25
    variance_floor: float = 0.05
    average_decay: float = 0.998
    largest_angle: float = 4.0
    seed: int = 1
    device: str = "cpu"
    save_every: int = 250
    watch_every: int = 500
    watch_cases: int = 100


@dataclass(frozen=True)
class Batch:
    """Views, and what a look would ask the balancer about; sRGB-encoded, 0..1.

    Attributes:
        clean: (N, 3, S, S).
        asked: (A, N, 3, S, S): a damaged copy of every view, then the same copies as each of
            `SECOND_OPINIONS` corrects them.
    """

    clean: Tensor
    asked: Tensor


class Thumbnail(nn.Module):
    """Reads the mean color of each latent's 8 x 8 pixels from the latents, in training only.

    It stands in for the decoder, which costs far more and whose detail no color map uses.
    """

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(latent_channels, 96, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(96, 64, 1),
            nn.SiLU(),
            nn.Conv2d(64, 3, 1),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Map scaled latents (B, 4, h, w) to sRGB-encoded colors (B, 3, h, w)."""
        colors: Tensor = self.net(latents)
        return colors + 0.5


def make_batch(
    pool: PhotoPool,
    config: BalancerTraining,
    view: int,
    draw: Callable[[np.random.Generator], Damage],
    rng: np.random.Generator,
) -> Batch:
    """Cut views of `view` pixels, damage copies of them, round to 8 bits as files are, correct."""
    views = [
        random_view(pool.draw(rng), rng, view, config.sides, config.largest_angle)
        for _ in range(config.views)
    ]
    copies = []
    for clean in views:
        damage = undamaged() if rng.uniform() < config.undamaged else draw(rng)
        copies.append(to_8_bits(damage(clean)))
    corrected = [[correct(copy) for copy in copies] for correct in SECOND_OPINIONS]
    return Batch(to_tensor(views), torch.stack([to_tensor(few) for few in (copies, *corrected)]))


def gaussian_kl(predicted: Tensor, true: Tensor, floor: Tensor) -> Tensor:
    """Return the mean over moments of KL(true || predicted), variances being at least `floor`.

    Source: Kullback and Leibler (1951), for two normal distributions of one dimension.
    """
    mean, log_variance = predicted.chunk(2, dim=1)
    true_mean, true_log_variance = true.chunk(2, dim=1)
    variance = log_variance.exp() + floor
    true_variance = true_log_variance.exp() + floor
    spread = (true_variance + (true_mean - mean).square()) / variance
    return 0.5 * (spread - 1.0 + torch.log(variance / true_variance)).mean()


def smooth_map(colors: Tensor, targets: Tensor, ridge: float = 1e-3) -> Tensor:
    """Return `colors` moved by the quadratic function that brings them nearest to `targets`.

    Only what such a function can do survives in a look, so only that is worth learning. All
    (B, 3, h, w), sRGB-encoded; gradients flow to both.
    """
    x = colors.flatten(2).transpose(1, 2) - 0.5  # (B, N, 3)
    r, g, b = x.unbind(-1)
    terms = [torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, g * b, b * r]
    features = torch.stack(terms, dim=-1)  # (B, N, 10)
    change = (targets - colors).flatten(2).transpose(1, 2)
    gram = features.transpose(1, 2) @ features / features.shape[1]
    moment = features.transpose(1, 2) @ change / features.shape[1]
    weights = torch.linalg.solve(gram + ridge * torch.eye(10).to(gram), moment)
    moved = (features @ weights).transpose(1, 2).reshape(colors.shape)
    return colors + moved


@dataclass(frozen=True)
class ColorErrors:
    """How far predicted colors are from the wanted ones; see `BalancerTraining` for each."""

    map: Tensor
    color: Tensor
    chroma: Tensor

    def weighed(self, config: BalancerTraining) -> Tensor:
        """Return the sum of the errors, each by its weight."""
        return (
            config.map_weight * self.map
            + config.color_weight * self.color
            + config.chroma_weight * self.chroma
        )


def color_errors(before: Tensor, predicted: Tensor, wanted: Tensor) -> ColorErrors:
    """Compare colors that were predicted for `before`, both (B, 3, h, w), with wanted L*a*b*."""
    mapped = srgb_to_lab(smooth_map(before, predicted).clamp(0.0, 1.0))
    chroma = (mean_chroma(mapped) - mean_chroma(wanted)).abs().mean()
    color = ciede2000(srgb_to_lab(predicted.clamp(0.0, 1.0)), wanted).mean()
    return ColorErrors(ciede2000(mapped, wanted).mean(), color, chroma)


def balancer_loss(
    balancer: LatentBalancer,
    thumbnail: Thumbnail,
    vae: AnyVAE,
    batch: Batch,
    config: BalancerTraining,
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of balancer and thumbnail on a batch, and its parts for the log."""
    asks, copies = batch.asked.shape[:2]
    with torch.no_grad():
        pixels = torch.cat([batch.clean, batch.asked.flatten(0, 1)])
        moments = vae.encode(pixels)
        true, given = moments.split([copies, asks * copies])
        small = F.avg_pool2d(pixels, REDUCTION)
        wanted = srgb_to_lab(small[:copies])

    def scaled(moments: Tensor) -> Tensor:
        return (moments.chunk(2, dim=1)[0] - balancer.shift) / balancer.scale

    read = (thumbnail(scaled(moments)) - small).abs().mean()
    frozen = {name: value.detach() for name, value in thumbnail.named_parameters()}

    def colors_of(moments: Tensor) -> Tensor:
        colors: Tensor = functional_call(thumbnail, frozen, (scaled(moments),))
        return colors

    answers = balancer(given)
    before = colors_of(given)
    each = color_errors(before, colors_of(answers), wanted.repeat(asks, 1, 1, 1))
    average = answers.unflatten(0, (asks, copies)).mean(dim=0)
    together = color_errors(before[:copies], colors_of(average), wanted)
    floor = config.variance_floor * balancer.scale.square()
    kl = gaussian_kl(answers, true.repeat(asks, 1, 1, 1), floor)
    loss = (
        20.0 * read
        + config.answer_weight * (config.kl_weight * kl + each.weighed(config))
        + together.weighed(config)
    )
    row = {
        "kl": kl.item(),
        "map": each.map.item(),
        "color": each.color.item(),
        "chroma": each.chroma.item(),
        "read": read.item(),
        "average": together.map.item(),
    }
    return loss, row


@dataclass(frozen=True)
class WatchedCase:
    """A photo that is not trained on, and a damaged or undamaged copy; (224, 224, 3), 0..1."""

    photo: np.ndarray
    given: np.ndarray
    damaged: bool


def watched_cases(paths: tuple[Path, ...], count: int, seed: int = 11) -> list[WatchedCase]:
    """Return `count` cases over the photos, every fourth undamaged."""
    rng = np.random.default_rng(seed)
    cases = []
    for i in range(count if paths else 0):
        photo = centre_square(load_photo(paths[i * len(paths) // count]), PROXY_SIZE)
        damage = undamaged() if i % 4 == 3 else random_damage(rng)
        given = to_8_bits(damage(photo))
        cases.append(WatchedCase(photo, given, i % 4 != 3))
    return cases


def score_balancer(
    balancer: LatentBalancer, vae: AnyVAE, cases: list[WatchedCase], device: str
) -> dict[str, float]:
    """Return the mean CIEDE2000 error of whole looks, on damaged and on undamaged cases."""
    info = ModelInfo("watched", Path(), "", "", "", {})
    model = Model(info, vae, balancer, torch.device(device))
    errors: dict[bool, list[float]] = {True: [], False: []}
    for case in cases:
        look = learn_look([case.given], model, LookOptions(size=2))
        result = np.clip(look.rounds[0].color_map(case.given[::2, ::2]), 0.0, 1.0)
        result_lab, photo_lab = (
            srgb_to_lab(to_tensor([np.asarray(x)])) for x in (result, case.photo[::2, ::2])
        )
        errors[case.damaged].append(ciede2000(result_lab, photo_lab).mean().item())
    damaged, harmless = float(np.mean(errors[True])), float(np.mean(errors[False]))
    return {"watch_damaged": damaged, "watch_undamaged": harmless}


def latent_statistics(vae: AnyVAE, pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each latent channel over pixels (B, 3, S, S)."""
    with torch.no_grad():
        mean = vae.encode(pixels).chunk(2, dim=1)[0]
    return tuple(mean.mean(dim=(0, 2, 3)).tolist()), tuple(mean.std(dim=(0, 2, 3)).tolist())


def train_balancer(
    config: BalancerTraining, report: Callable[[dict[str, float]], None]
) -> LatentBalancer:
    """Train, or go on training, and leave the best averaged network in `config.out`.

    The best is the one with the least mean error on the watched photos, three quarters of them
    damaged. The last is in `checkpoint.pt` in any case.

    Args:
        config: settings; an existing `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the parts of the loss now and then.
    """
    torch.manual_seed(config.seed)
    split = read_split(config.photos)
    pool = PhotoPool(split.training)
    cases = watched_cases(split.watch, config.watch_cases)
    draw = damage_source(config.luts)
    vae = load_vae(config.vae).to(config.device).requires_grad_(False)

    def small_batch(rng: np.random.Generator) -> Batch:
        return make_batch(pool, config, config.view, draw, rng)

    def large_batch(rng: np.random.Generator) -> Batch:
        return make_batch(pool, config, PROXY_SIZE, draw, rng)

    if config.start:
        balancer = LatentBalancer.load_folder(config.start).train()
    else:
        sample = torch.cat([small_batch(np.random.default_rng(i)).asked for i in range(8)], dim=1)
        shift, scale = latent_statistics(vae, sample.flatten(0, 1).to(config.device))
        balancer = LatentBalancer(LatentBalancerConfig(mean_shift=shift, mean_scale=scale))
    balancer.to(config.device)
    average = copy.deepcopy(balancer).eval()
    thumbnail = Thumbnail(balancer.config.latent_channels).to(config.device)
    learned = nn.ModuleDict({"balancer": balancer, "thumbnail": thumbnail})
    optimizer = torch.optim.AdamW(
        learned.parameters(), betas=(0.9, 0.98), weight_decay=config.weight_decay
    )
    state = TrainingState(learned, average, optimizer, torch.Generator())
    checkpoint = config.out / "checkpoint.pt"
    config.out.mkdir(parents=True, exist_ok=True)
    if checkpoint.exists():
        state.load(checkpoint)

    first_large = max(state.step, config.steps - config.large_steps)
    parts: list[dict[str, float]] = []
    for batch in chain(
        batches(small_batch, config.seed, state.step, first_large),
        batches(large_batch, config.seed, first_large, config.steps),
    ):
        for group in optimizer.param_groups:
            group["lr"] = cosine_rate(state.step, config.steps, config.learning_rate)
        batch = Batch(batch.clean.to(config.device), batch.asked.to(config.device))
        loss, row = balancer_loss(balancer, thumbnail, vae, batch, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned.parameters(), 1.0)
        optimizer.step()
        state.step += 1
        update_average(average, balancer, state.step, config.average_decay)
        parts.append(row)
        last = state.step == config.steps
        if state.step % 50 == 0 or last:
            row = {key: float(np.mean([p[key] for p in parts])) for key in parts[0]}
            parts.clear()
            row = {"step": state.step, **row}
            if cases and (state.step % config.watch_every == 0 or last):
                row |= score_balancer(average, vae, cases, config.device)
                score = 0.75 * row["watch_damaged"] + 0.25 * row["watch_undamaged"]
                if score < state.best_score:
                    state.best_score = score
                    average.save_folder(config.out / RESULT)
            append_log(config.out / "log.jsonl", row)
            report(row)
        if state.step % config.save_every == 0 or last:
            state.save(checkpoint)
            if not cases:  # nothing to compare by: the last is the best
                average.save_folder(config.out / RESULT)
    return average


def damage_source(luts: Path | None) -> Callable[[np.random.Generator], Damage]:
    """Return what draws a damage: our own kinds, a quarter of the time one of the user's LUTs.

    Raises:
        LutError: a LUT file of the folder is malformed.
    """
    if luts is None:
        return random_damage
    from vae_balance.luts.files import SUFFIXES, read_lut

    own = [read_lut(path) for path in sorted(luts.rglob("*")) if path.suffix.lower() in SUFFIXES]

    def draw(rng: np.random.Generator) -> Damage:
        if not own or rng.uniform() > 0.25:
            return random_damage(rng)
        strength = float(rng.uniform(0.3, 1.2))
        return Damage("own LUT", strength, own[int(rng.integers(len(own)))].blended(strength))

    return draw
