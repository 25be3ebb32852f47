"""Train a local balancer: cases made once, then training from them.

photos -> blended damage -> cases -> local balancer -> colors -> grid fitted to them -> error
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_balance.color.lab import mean_chroma, srgb_to_lab
from vae_balance.correctors.classifier_weights import SHA256
from vae_balance.correctors.latent_balancer import asking
from vae_balance.correctors.latent_balancer.balancer_cases import (
    NAMES,
    UNDAMAGED,
    batch_of,
    flipped_batch,
    photos_checksum,
    watched_photos,
)
from vae_balance.correctors.latent_balancer.balancer_loss import (
    Batch,
    Thumbnail,
    errors_of,
    misjudged,
    smooth_map,
    weighed,
)
from vae_balance.correctors.latent_balancer.fused_network import Answer, FusedLatentBalancer
from vae_balance.correctors.latent_balancer.train_balancer import blurred, fit_thumbnail
from vae_balance.correctors.mixed_light.cases import (
    CASES_A_PHOTO,
    KINDS,
    VERSION,
    WATCHED_PHOTOS,
    BlendedCases,
    WatchedCases,
)
from vae_balance.correctors.mixed_light.grid_fit import GridFit, fit_grid
from vae_balance.correctors.mixed_light.network import LocalBalancer, LocalBalancerConfig
from vae_balance.correctors.mixed_light.predictor import GAIN, NETWORK
from vae_balance.correctors.mixed_light.slicing import interpolation, slice_grid
from vae_balance.errors import ModelError
from vae_balance.models.catalog import LATENT_BALANCER_FOLDER, VAE_FOLDER
from vae_balance.models.checksum import sha256_of
from vae_balance.models.folder import WEIGHTS_NAME
from vae_balance.models.store import find_model
from vae_balance.training.blended_damage import BLENDED_KINDS
from vae_balance.training.case_cache import CaseBatches, CaseCache, Fields, Making, read_shards
from vae_balance.training.loop import LoopSettings, Report, Row, Watch, cosine_rate, train
from vae_balance.training.optimizer import decaying_optimizer
from vae_balance.training.photos import split_to_train

# How the score weighs cases of one function and undamaged ones beside blended damage.
_SCORE = {"watch_blended": 1.0, "watch_one_function": 0.4, "watch_undamaged": 0.2}
_WATCHED_TOGETHER = 64
# What is fitted in training: fewer nodes than in a look, to few colors.
_FIT = GridFit(places=7, levels=4, luma_reach=0.2)


@dataclass(frozen=True)
class LocalWeights:
    """How much each part of the loss counts.

    Attributes:
        left: the CIEDE2000 error that the grid fitted to the predicted colors leaves.
        color: the CIEDE2000 error of the predicted colors themselves.
        chroma: the difference in mean chroma; without it, doubt about a hue is answered with grey.
        judge: the error of the errors that the balancer expects, in logarithms.
        undamaged: a case without damage, beside one with damage: sound photos stay sound.
    """

    left: float = 1.0
    color: float = 0.3
    chroma: float = 0.25
    judge: float = 0.5
    undamaged: float = 1.5


@dataclass(frozen=True)
class LocalTraining:
    """Settings of one run; further ones as in `BalancerTraining`.

    Attributes:
        photos: folder of photographs, see `photos.read_split`.
        model: name or folder of the model whose VAE and latent balancer it begins with.
        out: folder of the checkpoint, the log and the result (`out/local_balancer`).
        cache: folder of cases, some 110 kB each; those that are missing are made.
        cases: damaged and undamaged views to train on.
        steps: optimizer steps.
        batch: cases a step.
        learning_rate: the peak.
    """

    photos: Path
    model: str
    out: Path
    cache: Path
    cases: int = 30_720
    steps: int = 6000
    batch: int = 48
    learning_rate: float = 5e-4
    weight_decay: float = 0.1
    weights: LocalWeights = field(default_factory=LocalWeights)
    network: LocalBalancerConfig = field(default_factory=LocalBalancerConfig)
    feature_noise: float = 0.7
    blindness: float = 0.2
    statistics_noise: float = 0.05
    average_decay: float = 0.998
    clip: float = 5.0
    window: int = 24
    processes: int = 2
    seed: int = 1
    device: str = "cpu"
    save_every: int = 250
    watch_every: int = 500

    def loop(self) -> LoopSettings:
        """Return what the loop needs of these settings."""
        return LoopSettings.of(self, lambda step: cosine_rate(step, self.steps, self.learning_rate))


def train_mixed_light(
    config: LocalTraining, report: Report, making: Making = lambda what, made, total: None
) -> LocalBalancer:
    """Train, or go on training, and leave the best averaged network in `config.out`.

    Args:
        config: settings; cases in `config.cache` are used, and an existing
            `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the parts of the loss now and then.
        making: told how many cases are made.

    Raises:
        ModelError: there is no such model, or its balancer is not told what the classifier sees.
        OptionError: the cases in `config.cache` were made with another VAE, or the like.
        BalanceError: cases cannot be made or written.
    """
    folder = find_model(config.model).folder
    network = begin_network(config, folder)
    cache = CaseCache(config.cache, made_by(config.photos, folder / VAE_FOLDER))
    cache.open()
    place = (config.photos, folder / VAE_FOLDER, config.device)
    watched = CASES_A_PHOTO * len(watched_photos(split_to_train(config.photos), WATCHED_PHOTOS))
    watch_shards = cache.fill(
        "watch", watched, WatchedCases(*place), config.processes, making, "watched cases"
    )
    shards = cache.fill("train", config.cases, BlendedCases(*place), config.processes, making)
    thumbnail = fit_thumbnail(cache.folder / "thumbnail", shards, config.device, config.seed)

    def finish(fields: Fields, rng: np.random.Generator) -> Batch:
        return flipped_batch(fields, rng, config.device)

    def loss_of(batch: Batch, _: torch.Generator) -> tuple[Tensor, Row]:
        return local_loss(network, thumbnail, blurred(batch, network, config), config.weights)

    return train(
        network,
        decaying_optimizer(network, config.weight_decay),
        CaseBatches(shards, NAMES, finish, config.batch, config.seed, config.window),
        loss_of,
        lambda average: average.save_folder(config.out / NETWORK),
        config.loop(),
        report,
        _watch(watch_shards, folder, thumbnail, config.device),
    )


def made_by(photos: Path, vae: Path) -> dict[str, str]:
    """Return what the cases are made with, for `CaseCache`."""
    return {
        "version of the cases": VERSION,
        "VAE": sha256_of(vae / WEIGHTS_NAME),
        "classifier": SHA256,
        "folder of photos": photos_checksum(photos),
    }


def begin_network(config: LocalTraining, folder: Path) -> LocalBalancer:
    """Return a network with the weights of the balancer of a model's folder.

    Raises:
        ModelError: there is none, or the balancer is not told what the classifier sees.
    """
    if not (folder / LATENT_BALANCER_FOLDER).is_dir():
        raise ModelError(f"model {config.model}: has no latent balancer to begin with")
    start = FusedLatentBalancer.load_folder(folder / LATENT_BALANCER_FOLDER)
    torch.manual_seed(config.seed)
    sizes = {**asdict(config.network), **asdict(start.config), "base": config.model}
    network = LocalBalancer(LocalBalancerConfig(**sizes))
    network.load_state_dict({**network.state_dict(), **start.state_dict()})
    return network.to(config.device).train()


def fitted_colors(seen: Tensor, predicted: Tensor, how: GridFit = _FIT) -> Tensor:
    """Return colors (B, 3, s, s) changed by the grid fitted to them and what they are to become."""
    nodes = interpolation(seen.shape[2], how.places).to(seen)
    return slice_grid(fit_grid(seen, predicted, how), seen, nodes, nodes)


def local_loss(
    network: LocalBalancer, thumbnail: Thumbnail, batch: Batch, weights: LocalWeights
) -> tuple[Tensor, Row]:
    """Return the loss of the network on a batch, and its parts for the log."""
    wanted = srgb_to_lab(batch.chosen(batch.after))
    with torch.autocast(batch.given.device.type, torch.bfloat16):
        answer = network(batch.given, batch.features, batch.statistics, batch.corner)
    seen, predicted = thumbnail(batch.chosen(batch.given)), thumbnail(answer.moments.float())
    own = fitted_colors(seen, predicted).clamp(0.0, 1.0)
    left = errors_of(own, wanted)
    fault = errors_of(batch.chosen(batch.before), wanted)
    parts = {
        "left": left,
        "color": errors_of(predicted, wanted),
        "chroma": (mean_chroma(srgb_to_lab(own)) - mean_chroma(wanted)).abs().flatten(),
        "judge": misjudged(answer, fault, left),
    }
    return weighed(parts, weights, batch.undamaged)


@torch.no_grad()
def score_local(
    network: LocalBalancer,
    base: FusedLatentBalancer,
    thumbnail: Thumbnail,
    watched: Fields,
    device: str,
) -> Row:
    """Return mean CIEDE2000 errors over watched cases, by what befell them.

    Each is asked about once. Beside the errors of the network's answers, of which as much is taken
    as it expects to gain by them, stand those that one look for the whole photo leaves (`_base`).
    """
    cells: dict[str, list[NDArray[np.float32]]] = {"": [], "_base": []}
    for first in range(0, len(watched["kind"]), _WATCHED_TOGETHER):
        few = {name: watched[name][first : first + _WATCHED_TOGETHER] for name in NAMES}
        batch = batch_of(few, device)
        wanted = srgb_to_lab(batch.after)
        told = (batch.given, batch.features, batch.statistics)
        seen, answer, other = thumbnail(batch.given), network(*told), base(*told)
        look = _taken(other, asking.GAIN, smooth_map(seen, thumbnail(other.moments)), seen)
        own = _taken(answer, GAIN, fitted_colors(seen, thumbnail(answer.moments)), look)
        for name, colors in (("", own), ("_base", look)):
            cells[name].append(errors_of(batch.before + colors - seen, wanted).cpu().numpy())
    errors = {name: np.concatenate(parts) for name, parts in cells.items()}
    blended = np.isin(watched["kind"], [KINDS.index(kind) for kind in BLENDED_KINDS])
    none = watched["kind"] == KINDS.index(UNDAMAGED)
    groups = {"blended": blended, "one_function": ~(blended | none), "undamaged": none}
    return {
        f"watch_{group}{suffix}": float(values[chosen].mean())
        for group, chosen in groups.items()
        for suffix, values in errors.items()
        if chosen.any()
    }


def _taken(answer: Answer, gain: asking.Fade, colors: Tensor, instead: Tensor) -> Tensor:
    """Return as much of `colors` as an answer expects to gain by them, `instead` for the rest."""
    shares = torch.from_numpy(gain.shares((answer.fault - answer.doubt).float().cpu().numpy()))
    return torch.lerp(instead, colors, shares.to(colors)[:, None, None, None])


def _watch(
    shards: list[Path], folder: Path, thumbnail: Thumbnail, device: str
) -> Watch[LocalBalancer] | None:
    """Return what measures and scores a network, None where there are no photos to watch."""
    if not shards:
        return None
    watched = read_shards(shards, NAMES)
    base = FusedLatentBalancer.load_folder(folder / LATENT_BALANCER_FOLDER).to(device)

    def score(row: Row) -> float:
        return math.fsum(weight * row.get(name, 0.0) for name, weight in _SCORE.items())

    return Watch(lambda network: score_local(network, base, thumbnail, watched, device), score)
