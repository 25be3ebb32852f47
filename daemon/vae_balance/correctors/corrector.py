"""Who learns: the interface of everything that `--model` can name.

A corrector sees proxies and gives a look (`looks/look.py`). It reads and writes no photos. A new
one is a folder or file beside this, a line in `registry.py` and a folder with a `model.json`. What
it wants is asked for before it is loaded, by commands, too, that leave the work to the daemon: the
module of one that comes with the program imports its networks in `load`, not at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from vae_balance.errors import OptionError
from vae_balance.looks.look import Look
from vae_balance.models.store import ModelInfo
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance_protocol import options as table
from vae_balance_protocol.options import Option

# (H, W, 3) float32, sRGB-encoded, 0..1, upright.
Proxy = NDArray[np.float32]
# A photo is of a single color where each channel varies by no more: two codes of 8 bits.
PLAIN = 2.5 / 255
# Proxies that go through networks together: memory stays flat for a roll, and whoever waits for the
# look of a single photo does not wait long for a step of it.
BATCH_SIZE = 2
# Called with the number of steps done and of all steps, and with the stage that begins.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class LookOptions:
    """How a look is learned; the table of options has the ranges and the defaults.

    Attributes:
        iterations: rounds, 1..10, or "auto": as many as improve the photo.
        strength: 0 leaves the photo alone, 1 corrects it, up to 1.5 goes beyond.
        seed: decode the means of the moments (None) or a sample drawn with this seed.
        size: nodes along each edge of the LUT, 2..129.
        tone: of a grey photo that was toned: "drop" it, or "keep" it below the colors.

    Raises:
        OptionError: a value is out of its range.
    """

    iterations: int | str = table.ITERATIONS.default
    strength: float = table.STRENGTH.default
    seed: int | None = table.SEED.default
    size: int = table.SIZE.default
    tone: str = table.TONE.default

    def __post_init__(self) -> None:
        """Check the values, and bring each to its one type."""
        for option in (*table.LEARNING, table.TONE):
            try:
                checked = option.check(getattr(self, option.name))
            except ValueError as error:
                raise OptionError(str(error)) from error
            object.__setattr__(self, option.name, checked)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LookOptions:
        """Return the options among values by name, such as the flags of a command."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: values[name] for name in names if name in values})


@dataclass(frozen=True)
class Wants:
    """What a corrector is shown, in proxies of 224 x 224 pixels.

    Attributes:
        part: of the photo, where the user does not say: its centre square, or the whole frame.
        colors: photos of which kind it can do something with: in color, grey ones, or both.
        roll: whether it learns one look from several photos.
    """

    part: Literal["centre", "frame"] = "centre"
    colors: Literal["color", "grey", "any"] = "color"
    roll: bool = True


class Corrector(Protocol):
    """Learns looks from proxies; loaded once, asked for many photos.

    Attributes:
        name: what `model.json` calls it.
        wants: what it is shown.
        options: rows of the table of options that it heeds; others have no influence.
        info: the model that was loaded.
        device: where it computes, "cpu", "cuda:0".
    """

    name: ClassVar[str]
    wants: ClassVar[Wants]
    options: ClassVar[tuple[Option, ...]]

    @property
    def info(self) -> ModelInfo:
        """The model that was loaded."""
        ...

    @property
    def device(self) -> str:
        """Where it computes: "cpu", "cuda:0"."""
        ...

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        """Load a model whose files are whole.

        Raises:
            ModelError: its files are not what they should be.
            OptionError: there is no such device.
        """
        ...

    def learn(
        self, proxies: Sequence[Proxy], options: LookOptions, progress: Progress = ...
    ) -> Look:
        """Learn one look from the proxy of a photo, or from those of a roll.

        The same proxies, options, model and number of threads give the same look, bit for bit.

        Raises:
            OptionError: no proxy, or one of another shape.
        """
        ...


def heeded(options: LookOptions, rows: Sequence[Option]) -> dict[str, Any]:
    """Return the values of the options that a corrector heeds, by name, for an `Origin`.

    The size is left out: the LUT has it.
    """
    return {row.name: getattr(options, row.name) for row in rows if row is not table.SIZE}


def stack_proxies(
    proxies: Sequence[Proxy], size: int = PROXY_SIZE, step: Callable[[], None] = lambda: None
) -> Proxy:
    """Return proxies (size, size, 3) as one array (N, size, size, 3).

    Args:
        proxies: of the photos that share a look.
        size: of each.
        step: called for every few of them; may raise what is to end it.

    Raises:
        OptionError: there is none, or one is of another shape.
    """
    if not len(proxies):
        raise OptionError("no photo to learn a look from: give at least one")
    for proxy in proxies:
        if proxy.shape != (size, size, 3):
            raise OptionError(f"proxy of shape {proxy.shape}: must be ({size}, {size}, 3)")
    stacked = np.empty((len(proxies), size, size, 3), np.float32)
    for few in together(stacked):
        step()
        stacked[few] = proxies[few]
    return stacked


def together(proxies: Proxy) -> Iterator[slice]:
    """Yield which of proxies (N, S, S, 3) go through the networks together."""
    for first in range(0, len(proxies), BATCH_SIZE):
        yield slice(first, first + BATCH_SIZE)


def mapped(proxies: Proxy, color_map: Callable[[Proxy], Proxy], step: Callable[[], None]) -> Proxy:
    """Return what a color map makes of proxies (N, S, S, 3); `step` is called for every few."""
    made = np.empty_like(proxies)
    for few in together(proxies):
        step()
        made[few] = np.clip(color_map(proxies[few]), 0.0, 1.0)
    return made


def is_plain(proxies: Proxy) -> NDArray[np.bool_]:
    """Return which proxies (N, S, S, 3) are of a single color, which says nothing of a fault."""
    return np.ptp(proxies, axis=(1, 2)).max(axis=-1) <= PLAIN
