"""Learn a look: the whole algorithm on one page.

    proxy 224x224 -> VAE encode -> moments 28x28x8 -> latent balancer -> moments' 28x28x8
                                       |                                     |
                       decode: distorted subimage               decode: fixed subimage
                                       '-- color map: MLP 3 -> hidden -> 3, MSE --'
                                                 | one a round, composed, baked
                                             look = 3D LUT

Both subimages come out of the decoder, so they line up pixel for pixel; the proxy itself does not.

Every round is a full application: it sees what the rounds so far have made of the proxy, and the
color maps are composed. With "auto", rounds go on while the balancer expects to gain by one more;
only a balancer that judges itself can tell, any other does one round then. `asking.py` tells how a
balancer is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from vae_balance.color.arrays import Colors
from vae_balance.correctors.corrector import (
    BATCH_SIZE,
    LookOptions,
    Progress,
    heeded,
    is_plain,
    mapped,
    stack_proxies,
    together,
)
from vae_balance.correctors.latent_balancer.asking import ask, goes_on
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.looks.color_map import ColorMap, fit_color_map
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import Origin
from vae_balance.looks.report import LookReport, report_on
from vae_balance.looks.safe_lut import baked
from vae_balance.looks.steps import Picture, PictureStep, Step, map_step, rounds_step
from vae_balance.models.store import FIRST_CORRECTOR
from vae_balance_protocol import options as table

# A further round that changes values by less than this on average, one code of 8 bits, is not worth
# its time.
LEAST_CHANGE = 1 / 255
# Frames of a roll that a round keeps, for those who want to look on.
SHOWN = 8


@dataclass(frozen=True, eq=False)
class Round:
    """What one round saw and made, for those who want to look on; float32 arrays.

    One row for each of N proxies: of a roll, only its first 8 frames.

    Attributes:
        proxies: (N, 224, 224, 3) sRGB-encoded, 0..1, as the round received them.
        moments: (N, 8, 28, 28) of the proxies: 4 means, 4 log-variances.
        balanced: (N, 8, 28, 28) where they were moved.
        distorted: (N, 224, 224, 3) decoded from `moments`, 0..1.
        fixed: (N, 224, 224, 3) decoded from `balanced`, 0..1, or `distorted` with as much of the
            change to that as the round takes.
        color_map: learned from `distorted` to `fixed` of all proxies, with shoulders for these.
        shares: how much of the correction each of all proxies gets, 0..1.
        doubts: by how much (mean CIEDE2000) the balancer expects to be wrong all the same, of each;
            not numbers where it does not judge itself.
    """

    proxies: Colors
    moments: Colors
    balanced: Colors
    distorted: Colors
    fixed: Colors
    color_map: ColorMap
    shares: Colors
    doubts: Colors


@dataclass(frozen=True, eq=False)
class BalancedLook(LutLook):
    """A learned color function: the LUT (strength included) and the rounds that led to it."""

    options: LookOptions
    rounds: tuple[Round, ...]
    report: LookReport = field(default_factory=LookReport, kw_only=True)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the first round saw and made, and any further rounds."""
        first = self.rounds[0]
        return (
            _moments_step(first),
            _decoded_step(first, self.options.seed),
            map_step(first.distorted[0], first.fixed[0], first.color_map),
            *rounds_step(self.rounds),
        )


def _moments_step(seen: Round) -> PictureStep:
    names = [f"mean {i}" for i in range(1, 5)] + [f"log-variance {i}" for i in range(1, 5)]
    rows = tuple(
        tuple(Picture(plane, name) for plane, name in zip(moments[0], row_names, strict=True))
        for moments, row_names in ((seen.moments, names), (seen.balanced, [""] * len(names)))
    )
    caption = (
        "The VAE encodes the proxy as 8 channels of 28 x 28 moments. The latent balancer moves "
        "them to where the same photo would lie undamaged. Each pair of channels shares one scale."
    )
    return PictureStep("Latent balance", caption, rows, ("photo", "balanced"))


def _decoded_step(seen: Round, seed: int | None) -> PictureStep:
    decoded = "Both sets of moments" if seed is None else f"Samples (seed {seed}) of both moments"
    caption = (
        f"{decoded} are decoded. The subimages are soft, but soft in the same way: they line up "
        "pixel for pixel and differ in color alone."
    )
    pictures = (
        Picture(seen.distorted[0], "distorted subimage"),
        Picture(seen.fixed[0], "fixed subimage"),
    )
    return PictureStep("Decode both", caption, (pictures,))


def learn_look(
    proxies: Sequence[Colors],
    model: Model,
    options: LookOptions | None = None,
    progress: Progress = lambda done, total, stage: None,
) -> BalancedLook:
    """Learn one look from one proxy, or from all proxies of a roll together.

    The same proxies, options, model and number of threads (OMP_NUM_THREADS) give the same LUT on
    the same machine, bit for bit.

    Args:
        proxies: arrays (224, 224, 3), sRGB-encoded, 0..1.
        model: VAE and latent balancer.
        options: see `LookOptions`.
        progress: told of every stage of every round.

    Raises:
        OptionError: no proxy, or one of another shape.
    """
    options = options or LookOptions()
    most = rounds_of(options.iterations, model)
    first = current = stack_proxies(proxies, step=partial(progress, 0, most, "encode"))
    rounds: list[Round] = []
    for done in range(most):
        if rounds:
            if not rounds[-1].shares.any():  # and so it would be in every further round
                rounds.append(rounds[-1])
                continue
            current = mapped(
                current, rounds[-1].color_map, partial(progress, done - 1, most, "map colors")
            )

        report = partial(progress, done, most)
        learned = _learn_round(current, model, options, done + 1, report)
        if options.iterations == table.AUTO and rounds and not _improves(learned):
            break
        rounds.append(learned)
        if options.iterations == table.AUTO and not learned.shares.any():
            break
    maps = [learned.color_map for learned in rounds]
    bake = partial(progress, most, most, "bake")
    lut = baked(maps, first, options.size, options.strength, bake)
    heeds = heeded(options, table.LEARNING)
    if options.iterations == table.AUTO:
        heeds["iterations"] = f"{table.AUTO}, {len(rounds)} learned"
    found = report_on(first, rounds)
    origin = Origin(FIRST_CORRECTOR, model.info.name, model.info.version, heeds, found.text())
    return BalancedLook(lut, origin, options, tuple(rounds), report=found)


def rounds_of(iterations: int | str, model: Model) -> int:
    """Return how many rounds there are at most for a number of iterations or "auto"."""
    if not isinstance(iterations, str):
        return iterations
    return table.MOST_ITERATIONS if goes_on(model) else 1


def _improves(learned: Round) -> bool:
    """Tell whether a further round is worth while."""
    change = np.abs(learned.fixed - learned.distorted).mean()
    return bool(learned.shares.any() and change >= LEAST_CHANGE)


@torch.inference_mode()
def _learn_round(
    proxies: Colors,
    model: Model,
    options: LookOptions,
    number: int,
    progress: Callable[[str], None],
) -> Round:
    """Learn round `number`, 1 for the first."""
    # Filled batch by batch: to put a long roll together at once would keep others waiting.
    distorted, fixed = np.empty_like(proxies), np.empty_like(proxies)
    shown: list[tuple[torch.Tensor, torch.Tensor]] = []
    judged, plains = [], []
    for few in together(proxies):
        seen = ask(proxies[few], model, options.seed, number, progress)
        distorted[few], fixed[few] = seen.distorted, seen.fixed
        judged.append((seen.shares, seen.doubts))
        plains.append(is_plain(proxies[few]))
        if len(shown) < SHOWN // BATCH_SIZE:
            shown.append((seen.moments, seen.balanced))
    shares, doubts = (np.concatenate(values) for values in zip(*judged, strict=True))
    plain = np.concatenate(plains)
    fixed[plain], shares[plain] = distorted[plain], 0.0
    moments, balanced = (
        torch.cat(parts).float().cpu().numpy() for parts in zip(*shown, strict=True)
    )
    step = partial(progress, "map colors")
    return Round(
        proxies[:SHOWN],
        moments,
        balanced,
        distorted[:SHOWN],
        fixed[:SHOWN],
        fit_color_map(distorted, fixed, step).within(proxies, step),
        shares,
        doubts,
    )
