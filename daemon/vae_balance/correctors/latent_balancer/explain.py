"""One illustrated sheet of how a look was learned: the six steps of the algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_balance.color.lut import Lut3D
from vae_balance.correctors.latent_balancer.learn import BalancedLook, Round
from vae_balance.errors import OptionError
from vae_balance.files import atomic_write
from vae_balance.looks.color_map import bin_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import Axes3D

Colors = NDArray[np.float32]

# Inches; the sheet is WIDTH wide and as high as its rows.
WIDTH = 16.0
MARGIN = 0.3
GAP = 0.22
HEADING = 1.15
DPI = 120
# Longest side of a picture on the sheet, in pixels.
_PICTURE = 900

_PAPER, _CARD, _EDGE = "#f4f1ec", "#ffffff", "#e2dcd2"
_INK, _FAINT, _ACCENT = "#23211f", "#7b756c", "#b5482a"
_CHANNELS = ("#c8372d", "#2f8f4e", "#2f62c0")


@dataclass(frozen=True)
class _Card:
    """A white rectangle of the sheet; all lengths in inches, from its upper left corner."""

    figure: Figure
    left: float
    top: float
    width: float
    height: float

    def axes(self, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
        """Return axes at that place of the card."""
        page = float(self.figure.get_figheight())
        low = page - self.top - top - height
        box = ((self.left + left) / WIDTH, low / page, width / WIDTH, height / page)
        axes: Axes = self.figure.add_axes(box, **options)
        return axes

    def text(self, left: float, top: float, text: str, **options: Any) -> None:
        """Write text, its upper left corner at that place of the card."""
        page = float(self.figure.get_figheight())
        style = {"fontsize": 10, "color": _FAINT, "va": "top", **options}
        x, y = (self.left + left) / WIDTH, 1.0 - (self.top + top) / page
        self.figure.text(x, y, text, **style)

    def label(self, left: float, top: float, text: str, size: float = 9.5) -> None:
        """Write the name of a picture, centered, its lower edge at `top`."""
        self.text(left, top, text, fontsize=size, color=_INK, ha="center", va="bottom")

    def caption(self, top: float, text: str) -> None:
        """Write the sentences that explain the card."""
        self.text(0.25, top, text, fontsize=9.5, linespacing=1.4)


def explain_sheet(
    look: BalancedLook,
    before: NDArray[Any],
    after: NDArray[Any],
    path: Path,
    overwrite: bool = False,
    proxy: str = "centre",
) -> None:
    """Write a PNG that shows how the look was learned: the six steps, and any further rounds.

    Args:
        look: as learned; of a roll, its first photo is shown.
        before: the photo, sRGB-encoded (H, W, 3 or 4), uint8, uint16 or floats of 0..1; it may
            be small.
        after: the photo with the look applied, of the same form.
        path: the PNG.
        overwrite: replace a file that is there.
        proxy: the part of the photo that was looked at, as in `make_proxy`.

    Raises:
        OptionError: matplotlib is not installed.
        OutputExistsError: there is a file and `overwrite` is false.
    """
    try:
        import matplotlib.figure  # noqa: F401 (only to know that it is there)
    except ModuleNotFoundError as error:
        raise OptionError(
            "an explaining sheet needs matplotlib: pip install 'vae-balance[explain]'"
        ) from error
    with atomic_write(path, overwrite) as temporary:
        figure = _draw_sheet(look, _thumbnail(before), _thumbnail(after), proxy)
        figure.savefig(temporary, format="png", facecolor=_PAPER)


def _draw_sheet(
    look: BalancedLook, photo: NDArray[np.uint8], result: NDArray[np.uint8], proxy: str
) -> Figure:
    from matplotlib.figure import Figure

    rows = [3.9, 4.45, 4.75] + ([2.55] if len(look.rounds) > 1 else [])
    tops = [HEADING + sum(rows[:i]) + GAP * i for i in range(len(rows))]
    figure = Figure((WIDTH, tops[-1] + rows[-1] + MARGIN), DPI)
    figure.set_facecolor(_PAPER)
    all_of_it = WIDTH - 2 * MARGIN
    wide, narrow = 9.9, all_of_it - GAP - 9.9
    first = look.rounds[0]

    def card(row: int, left: float, width: float, number: str, title: str) -> _Card:
        return _card(figure, MARGIN + left, tops[row], width, rows[row], number, title)

    _draw_heading(figure, look)
    _draw_photo(card(0, 0.0, narrow, "1", "Photo and proxy"), photo, first, proxy)
    _draw_moments(card(0, narrow + GAP, wide, "2", "Latent balance"), first)
    _draw_decoded(card(1, 0.0, narrow, "3", "Decode both"), first)
    _draw_color_map(card(1, narrow + GAP, wide, "4", "Color map"), first)
    _draw_result(card(2, 0.0, wide, "5", "Result"), photo, result)
    _draw_lut(card(2, wide + GAP, narrow, "6", "LUT cube"), look.lut)
    if len(look.rounds) > 1:
        _draw_rounds(card(3, 0.0, all_of_it, "+", "Further rounds"), look.rounds)
    return figure


def _card(
    figure: Figure, left: float, top: float, width: float, height: float, number: str, title: str
) -> _Card:
    from matplotlib.patches import FancyBboxPatch

    page = float(figure.get_figheight())
    box = FancyBboxPatch(
        (left, page - top - height),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.1",
        transform=figure.dpi_scale_trans,
        facecolor=_CARD,
        edgecolor=_EDGE,
        zorder=-1,  # under the axes
    )
    figure.add_artist(box)
    card = _Card(figure, left, top, width, height)
    badge = {"boxstyle": "circle,pad=0.28", "facecolor": _ACCENT, "edgecolor": "none"}
    card.text(
        0.34,
        0.35,
        number,
        fontsize=12,
        weight="bold",
        color="white",
        ha="center",
        va="center",
        bbox=badge,
    )
    card.text(0.62, 0.36, title, fontsize=14, weight="bold", color=_INK, va="center")
    return card


def _draw_heading(figure: Figure, look: BalancedLook) -> None:
    options, size = look.options, look.lut.size
    rounds = len(look.rounds)
    facts = [
        f"{rounds} round{'s' if rounds > 1 else ''}",
        f"strength {options.strength:g}",
        f"LUT {size} x {size} x {size}",
        "means decoded" if options.seed is None else f"samples of seed {options.seed} decoded",
    ]
    page = _Card(figure, MARGIN, 0.0, WIDTH, 1.0)
    page.text(0.05, 0.28, "How this photo was balanced", fontsize=24, weight="bold", color=_INK)
    page.text(0.05, 0.75, "   ·   ".join(facts), fontsize=11)


def _draw_photo(card: _Card, photo: NDArray[np.uint8], first: Round, proxy: str) -> None:
    width, height = _fit(photo, 2.6, 2.35)
    side, middle = 1.6, 0.8 + 2.35 / 2
    left = (card.width - width - side - 0.6) / 2
    axes = card.axes(left, middle - height / 2, width, height)
    _show(axes, photo)
    if proxy == "centre":
        _outline_centre_square(axes, photo)
    _show(card.axes(left + width + 0.6, middle - side / 2, side, side), _codes(first.proxies[0]))
    _arrow(card, left + width + 0.1, middle, left + width + 0.5)
    card.caption(
        3.35,
        "Only a small copy of the photo, 224 x 224 pixels, is ever\nlooked at. "
        "The photo itself waits for step 5.",
    )


def _draw_moments(card: _Card, first: Round) -> None:
    side, left, top = 1.02, 0.95, 1.05
    for channel in range(8):
        before, after = first.moments[0, channel], first.balanced[0, channel]
        low, high = np.percentile(np.stack([before, after]), (1, 99))
        colors = "viridis" if channel < 4 else "cividis"
        x = left + channel * (side + 0.06) + (0.12 if channel >= 4 else 0.0)
        for row, values in enumerate((before, after)):
            axes = card.axes(x, top + row * (side + 0.06), side, side)
            axes.imshow(values, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
            _bare(axes)
        name = f"mean {channel + 1}" if channel < 4 else f"log-variance {channel - 3}"
        card.text(x + side / 2, top - 0.08, name, fontsize=8.5, ha="center", va="bottom")
    for row, name in enumerate(("photo", "balanced")):
        y = top + row * (side + 0.06) + side / 2
        card.text(left - 0.1, y, name, ha="right", va="center", fontsize=9.5, color=_INK)
    card.caption(
        3.35,
        "The VAE encodes the proxy as 8 channels of 28 x 28 moments. The latent "
        "balancer moves them to where\nthe same photo would lie undamaged. Each pair of channels "
        "shares one scale.",
    )


def _draw_decoded(card: _Card, first: Round) -> None:
    side = 2.3
    places = ((0.25, "distorted subimage", first.distorted), (2.73, "fixed subimage", first.fixed))
    for left, name, pixels in places:
        _show(card.axes(left, 0.98, side, side), _codes(pixels[0]))
        card.label(left + side / 2, 0.9, name)
    card.caption(
        3.55,
        "Both sets of moments are decoded. The subimages are soft,\nbut soft in the "
        "same way: they line up pixel for pixel and\ndiffer in color alone.",
    )


def _draw_color_map(card: _Card, first: Round) -> None:
    colors, targets, weights = bin_colors(
        first.distorted[0].reshape(-1, 3), first.fixed[0].reshape(-1, 3)
    )
    sizes = 9.0 + 315.0 * np.sqrt(weights)
    for left, name, points in ((0.1, "colors found", colors), (3.3, "where they go", targets)):
        axes = _cube_axes(card, left, 0.62, 3.2, 3.0)
        axes.scatter(
            *points.T,
            c=np.clip(points, 0, 1),
            s=sizes,
            depthshade=False,
            edgecolors="#00000040",
            linewidths=0.3,
        )
        card.label(left + 1.6, 0.78, name)
    _draw_greys(card.axes(7.2, 0.98, 2.45, 2.35), first)
    card.label(8.42, 0.9, "what happens to greys")
    card.caption(
        3.75,
        "A network of a few hundred numbers learns on the spot which color becomes "
        "which. It is one\nsmooth function from color to color: it knows nothing "
        "of places in the photo.",
    )


def _draw_greys(axes: Axes, first: Round) -> None:
    greys = np.linspace(0.0, 1.0, 65, dtype=np.float32)
    mapped = first.color_map(np.repeat(greys[:, None], 3, axis=1))
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=0.8, linestyle=(0, (2, 3)))
    for channel, color in enumerate(_CHANNELS):
        axes.plot(greys, mapped[:, channel], color=color, linewidth=1.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(min(0.0, float(mapped.min())), max(1.0, float(mapped.max())))
    axes.set_xticks((0, 0.5, 1))
    axes.set_yticks((0, 0.5, 1))
    axes.tick_params(colors=_FAINT, labelsize=8, length=2)
    axes.set_xlabel("grey in", fontsize=8.5, color=_FAINT, labelpad=1)
    axes.set_ylabel("red, green, blue out", fontsize=8.5, color=_FAINT, labelpad=1)
    for spine in axes.spines.values():
        spine.set_color(_EDGE)


def _draw_lut(card: _Card, lut: Lut3D) -> None:
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    axes = _cube_axes(card, 0.55, 0.5, 4.3, 3.4)
    quads, colors = _lut_faces(lut)
    axes.add_collection3d(
        Poly3DCollection(list(quads), facecolors=colors, edgecolors="white", linewidths=0.25)
    )
    for edge in _cube_edges():
        axes.plot(*edge.T, color=_FAINT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=10)
    card.caption(
        3.93,
        "All rounds and the strength, baked into one table from\ncolor to color. It "
        "bends the cube of all colors (dotted: unbent);\nany photo and any program can use it.",
    )


def _draw_result(card: _Card, photo: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
    width, height = _fit(photo, 4.4, 3.1)
    left, top = (card.width - 2 * width - 0.6) / 2, 0.98 + (3.1 - height) / 2
    for x, name, pixels in ((left, "before", photo), (left + width + 0.6, "after", result)):
        _show(card.axes(x, top, width, height), pixels)
        card.label(x + width / 2, top - 0.08, name)
    _arrow(card, left + width + 0.1, top + height / 2, left + width + 0.5)
    card.caption(
        4.3,
        "The color map is applied once to every pixel of the photo, at its full size "
        "and depth, by way of the LUT.",
    )


def _draw_rounds(card: _Card, rounds: tuple[Round, ...]) -> None:
    card.text(
        2.75,
        0.36,
        "Every round looks at the proxy as the rounds before it left it, and learns "
        "one more color map. All of them together are the LUT.",
        fontsize=9.5,
        va="center",
    )
    last = np.clip(rounds[-1].color_map(rounds[-1].proxies), 0.0, 1.0)
    proxies = [learned.proxies[0] for learned in rounds] + [last[0]]
    step = min(1.75, (card.width - 0.5) / len(proxies))
    side = step - 0.3
    for number, pixels in enumerate(proxies):
        left = 0.25 + number * step
        _show(card.axes(left, 0.7, side, side), _codes(pixels))
        name = "proxy" if number == 0 else f"after round {number}"
        card.label(left + side / 2, 0.89 + side, name, 8.5)
        if number:
            change = float(np.abs(pixels - proxies[number - 1]).mean())
            label = f"moved {100 * change:.1f} %"
            card.text(left + side / 2, 0.92 + side, label, ha="center", fontsize=8)
            _arrow(card, left - 0.25, 0.7 + side / 2, left - 0.05)


def _cube_axes(card: _Card, left: float, top: float, width: float, height: float) -> Axes3D:
    """Return 3D axes of the color cube, red to the right, green into the page, blue up."""
    axes: Any = card.axes(left, top, width, height, projection="3d", computed_zorder=True)
    axes.set_proj_type("persp", focal_length=0.9)
    axes.view_init(elev=22, azim=-58)
    axes.set_box_aspect((1, 1, 1), zoom=1.02)
    axes.patch.set_alpha(0.0)
    for axis, name, color in zip("xyz", ("red", "green", "blue"), _CHANNELS, strict=True):
        getattr(axes, f"set_{axis}lim")(0, 1)
        getattr(axes, f"set_{axis}ticks")((0, 0.5, 1), labels=())
        getattr(axes, f"set_{axis}label")(name, fontsize=8.5, color=color, labelpad=-12)
        pane = getattr(axes, f"{axis}axis")
        pane.set_pane_color("#faf8f5")
        pane.line.set_color(_EDGE)
        pane.set_tick_params(color=_EDGE)
        pane._axinfo["grid"].update(color=_EDGE, linewidth=0.6)
    cube: Axes3D = axes
    return cube


def _lut_faces(lut: Lut3D, cells: int = 12) -> tuple[Colors, Colors]:
    """Return the bent surface of the color cube: quads (K, 4, 3) and their colors (K, 3)."""
    steps = np.linspace(0.0, 1.0, cells + 1, dtype=np.float32)
    u, v = np.meshgrid(steps, steps, indexing="ij")
    corners = []
    for axis in range(3):
        for end in (0.0, 1.0):
            face = np.insert(np.stack([u, v], axis=-1), axis, end, axis=-1)
            quads = [face[:-1, :-1], face[1:, :-1], face[1:, 1:], face[:-1, 1:]]
            corners.append(np.stack(quads, axis=2).reshape(-1, 4, 3))
    mapped = np.clip(lut(np.concatenate(corners)), 0.0, 1.0)
    return mapped, mapped.mean(axis=1)


def _cube_edges() -> list[NDArray[np.float64]]:
    """Return the 12 edges of the unit cube, each (2, 3)."""
    corners = np.array(list(np.ndindex(2, 2, 2)), dtype=np.float64)
    return [
        np.stack([start, end])
        for i, start in enumerate(corners)
        for end in corners[i + 1 :]
        if np.abs(start - end).sum() == 1.0
    ]


def _fit(pixels: NDArray[np.uint8], width: float, height: float) -> tuple[float, float]:
    """Return width and height, in inches, of the picture when it fills the given space."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    return pixels.shape[1] * scale, pixels.shape[0] * scale


def _show(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    axes.imshow(pixels, interpolation="antialiased")
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set_xticks(())
    axes.set_yticks(())
    for spine in axes.spines.values():
        spine.set_visible(False)


def _outline_centre_square(axes: Axes, photo: NDArray[np.uint8]) -> None:
    from matplotlib.patches import Rectangle

    height, width = photo.shape[:2]
    side = min(height, width)
    corner = ((width - side) / 2 - 0.5, (height - side) / 2 - 0.5)
    for color, style in (("black", "solid"), ("white", (0, (4, 3)))):
        axes.add_patch(
            Rectangle(corner, side, side, fill=False, color=color, linestyle=style, linewidth=1.2)
        )


def _arrow(card: _Card, start: float, top: float, end: float) -> None:
    """Draw a horizontal arrow on the card."""
    from matplotlib.patches import FancyArrowPatch

    y = float(card.figure.get_figheight()) - card.top - top
    arrow = FancyArrowPatch(
        (card.left + start, y),
        (card.left + end, y),
        arrowstyle="-|>",
        mutation_scale=12,
        color=_ACCENT,
        shrinkA=0,
        shrinkB=0,
        transform=card.figure.dpi_scale_trans,
    )
    card.figure.add_artist(arrow)


def _codes(pixels: Colors) -> NDArray[np.uint8]:
    return np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)


def _thumbnail(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the picture, without alpha, as 8 bits and no larger than the sheet can show."""
    stride = max(1, max(pixels.shape[:2]) // (2 * _PICTURE))
    small = pixels[::stride, ::stride, :3]
    full_scale = 1.0 if small.dtype.kind == "f" else float(np.iinfo(small.dtype).max)
    image = Image.fromarray(_codes(np.nan_to_num(small.astype(np.float32) / full_scale)))
    image.thumbnail((_PICTURE, _PICTURE), Image.Resampling.BOX)
    return np.asarray(image)
