"""Mixed light as a corrector: the latent balancer's look, and a grid of what differs from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from typing_extensions import Self

from vae_balance.color.arrays import Colors
from vae_balance.color.srgb import luma_of
from vae_balance.correctors.corrector import LookOptions, Progress, Proxy, Wants
from vae_balance.errors import OptionError
from vae_balance.looks.light_map import LightLook
from vae_balance.looks.look import Place
from vae_balance.looks.origin import Origin
from vae_balance.looks.steps import Picture, PictureStep, Step
from vae_balance.models.store import ModelInfo
from vae_balance_protocol import options as table
from vae_balance_protocol.options import Option

if TYPE_CHECKING:
    from vae_balance.correctors.latent_balancer.learn import BalancedLook
    from vae_balance.correctors.mixed_light.predictor import Predictor


@dataclass(frozen=True, eq=False)
class MixedLook(LightLook):
    """A light look, and what led to it.

    Attributes:
        proxy: (224, 224, 3) that it was learned from, sRGB-encoded, 0..1.
        balanced: the latent balancer's look, at strength 1.
    """

    proxy: Colors = field(kw_only=True)
    balanced: BalancedLook = field(kw_only=True)

    @property
    def steps(self) -> tuple[Step, ...]:
        """How the balancer's look was learned, and what the grid adds to it where."""
        before = self.balanced.lut(self.proxy)
        whole = replace(self, strength=1.0)
        after = whole.apply(self.proxy, Place.whole(self.proxy))
        added = after - before
        planes = (added[..., 0], added[..., 1], added[..., 2], luma_of(added)[..., 0])
        names = ("red", "green", "blue", "light")
        found = PictureStep(
            "Where the light differs",
            "A copy of the latent balancer, taught to ask of every place what light falls there, "
            "looks at the photo as it is and after one color function for the whole. To its "
            "answers a grid is fitted: it tells 16 x 16 places, each at 8 steps from dark to "
            "light, how their colors are to change beside that function. Each pixel takes what "
            "the places around it say to its own lightness.",
            ((Picture(before, "one function"), Picture(after, "with the grid")),),
        )
        maps = PictureStep(
            "What was added where",
            "The change that the grid makes, in red, green, blue and light, in codes of 255: "
            "yellow is where it adds the most, violet where it takes the most away.",
            (
                tuple(
                    Picture(plane, name, f"{255 * plane.min():+.0f} to {255 * plane.max():+.0f}")
                    for plane, name in zip(planes, names, strict=True)
                ),
            ),
        )
        return (*self.balanced.steps, found, maps)


class MixedLightCorrector:
    """Learns looks that differ from place to place.

    Attributes:
        info: the model.
    """

    name: ClassVar[str] = "mixed-light"
    wants: ClassVar[Wants] = Wants(part="frame", roll=False)
    options: ClassVar[tuple[Option, ...]] = table.LEARNING

    def __init__(self, info: ModelInfo, predictor: Predictor) -> None:
        self.info = info
        self._predictor = predictor

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._predictor.base.device)

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        """Load a model whose files are whole, and the one that it builds on."""
        from vae_balance.correctors.mixed_light.predictor import load_predictor

        return cls(info, load_predictor(info, device))

    def learn(
        self,
        proxies: Sequence[Proxy],
        options: LookOptions,
        progress: Progress = lambda done, total, stage: None,
    ) -> MixedLook:
        """Learn the look of one photo; see `Corrector.learn`.

        Raises:
            OptionError: there is not exactly one proxy, or one of another shape.
        """
        from vae_balance.correctors.latent_balancer.learn import learn_look

        if len(proxies) != 1:
            raise OptionError(f"{len(proxies)} photos: the light of each is learned by itself")
        base = self._predictor.base
        balanced = learn_look(proxies, base, replace(options, strength=1.0), progress)
        proxy = np.asarray(proxies[0], dtype=np.float32)
        rounds = len(balanced.rounds)
        grid = self._predictor.grid_of(proxy, balanced.lut, partial(progress, rounds, rounds))
        report = replace(
            balanced.report,
            found=balanced.report.found or bool(grid.any()),
            uneven=_unevenness(LightLook(balanced.lut, grid, balanced.origin), proxy),
        )
        heeds = {**balanced.origin.options, table.STRENGTH.name: options.strength}
        origin = Origin(self.name, self.info.name, self.info.version, heeds, report.text())
        return MixedLook(
            balanced.lut,
            grid,
            origin,
            options.strength,
            report=report,
            proxy=proxy,
            balanced=balanced,
        )


def _unevenness(look: LightLook, proxy: Colors) -> float:
    """Return by how much a look corrects a proxy differently from place to place."""
    from vae_balance.looks.report import unevenness

    if not look.grid.any():
        return 0.0
    everywhere = replace(look, grid=look.grid.mean(axis=(0, 1), keepdims=True))
    place = Place.whole(proxy)
    return unevenness(look.apply(proxy, place), everywhere.apply(proxy, place))
