"""What a look shows of how it was learned: pictures of what was seen and made, and color maps.

`--explain` draws it; see `correctors/explain.py`. A look that has something to show is `Explained`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.arrays import Colors

if TYPE_CHECKING:
    from vae_balance.looks.color_map import ColorMap


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its name.

    Attributes:
        pixels: (H, W, 3) sRGB-encoded, 0..1, or (H, W), a plane of values of any range, which is
            drawn in false colors.
        name: stands above it.
        note: stands below it.
    """

    pixels: NDArray[Any]
    name: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class PictureStep:
    """Pictures side by side.

    Attributes:
        title: of the step, a few words.
        caption: a few sentences for people who do not know the algorithm.
        rows: of as many pictures each; planes one above the other share one scale.
        row_names: one for each row, or none.
    """

    title: str
    caption: str
    rows: tuple[tuple[Picture, ...], ...]
    row_names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ColorMapStep:
    """A function from color to color.

    Attributes:
        title: as above.
        caption: as above.
        before: (..., 3) colors that were found, sRGB-encoded, 0..1.
        after: of the same shape, where they were to go.
        function: the function that was learned from both, of colors (..., 3).
    """

    title: str
    caption: str
    before: Colors
    after: Colors
    function: Callable[[Colors], Colors]


Step = PictureStep | ColorMapStep


@runtime_checkable
class Explained(Protocol):
    """A look that shows how it was learned."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps between the proxy and the look, in their order."""
        ...


class SeenRound(Protocol):
    """What is shown of a round of several."""

    @property
    def proxies(self) -> Colors:
        """The proxies (N, S, S, 3) as the round received them."""

    @property
    def color_map(self) -> ColorMap:
        """What the round learned."""


def map_step(before: Colors, after: Colors, color_map: Callable[[Colors], Colors]) -> ColorMapStep:
    """Return the step in which a color map was learned; colors as in `ColorMapStep`."""
    caption = (
        "A network of a few hundred numbers learns on the spot which color becomes which. It is "
        "one smooth function from color to color: it knows nothing of places in the photo."
    )
    return ColorMapStep("Color map", caption, before, after, color_map)


def rounds_step(rounds: Sequence[SeenRound]) -> tuple[PictureStep, ...]:
    """Return the step that shows the first proxy after each of several rounds; none for one."""
    if len(rounds) < 2:
        return ()
    last = np.clip(rounds[-1].color_map(rounds[-1].proxies), 0.0, 1.0)
    proxies = [learned.proxies[0] for learned in rounds] + [last[0]]
    pictures = [Picture(proxies[0], "proxy")]
    for number, (before, after) in enumerate(pairwise(proxies), 1):
        change = 100 * float(np.abs(after - before).mean())
        pictures.append(Picture(after, f"after round {number}", f"moved {change:.1f} %"))
    caption = (
        "Every round looks at the proxy as the rounds before it left it, and learns one more color "
        "map. All of them together are the look."
    )
    return (PictureStep("Rounds", caption, (tuple(pictures),)),)
