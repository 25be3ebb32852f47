"""One illustrated sheet of how a look was learned, whichever corrector learned it.

Photo, proxy, result and LUT are drawn for every look; what lies between is what the look itself
shows (`looks/steps.py`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_balance.color.arrays import Colors
from vae_balance.color.lut import Lut3D
from vae_balance.errors import OptionError
from vae_balance.files import atomic_write
from vae_balance.looks.chroma_map import ChromaLook
from vae_balance.looks.color_map import bin_colors
from vae_balance.looks.look import Look
from vae_balance.looks.steps import ColorMapStep, Explained, Picture, PictureStep, Step
from vae_balance.photos.painting import ACCENT, CARD, EDGE, FAINT, INK, PAPER, codes_of
from vae_balance.photos.proxy import make_proxy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import Axes3D


# Inches; the sheet is WIDTH wide and as high as its rows.
WIDTH = 16.0
MARGIN = 0.3
GAP = 0.22
HEADING = 1.15
DPI = 120
# Longest side of a picture on the sheet, in pixels.
_PICTURE = 900
# Widths of cards: two stand side by side, narrow and wide in any order, or one alone.
_NARROW, _WIDE = 5.28, 9.9
_ALL = WIDTH - 2 * MARGIN
# Of a card: its title, the lines of its caption, and what is left free at its edges.
_TITLE, _LINE, _EDGE_LEFT = 0.7, 0.195, 0.25
# Least and greatest side of a picture of a step.
_LEAST_SIDE, _GREATEST_SIDE = 0.9, 2.6
_NAME = 0.22

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
        wide, high = map(float, self.figure.get_size_inches())
        low = high - self.top - top - height
        box = ((self.left + left) / wide, low / high, width / wide, height / high)
        axes: Axes = self.figure.add_axes(box, **options)
        return axes

    def text(self, left: float, top: float, text: str, **options: Any) -> None:
        """Write text, its upper left corner at that place of the card."""
        wide, high = map(float, self.figure.get_size_inches())
        style = {"fontsize": 10, "color": FAINT, "va": "top", **options}
        x, y = (self.left + left) / wide, 1.0 - (self.top + top) / high
        self.figure.text(x, y, text, **style)

    def label(self, left: float, top: float, text: str, size: float = 9.5) -> None:
        """Write the name of a picture, centered, its lower edge at `top`."""
        self.text(left, top, text, fontsize=size, color=INK, ha="center", va="bottom")

    def caption(self, text: str) -> None:
        """Write the sentences that explain the card, at its foot."""
        lines = _wrapped(text, self.width)
        top = self.height - 0.18 - _LINE * len(lines)
        self.text(_EDGE_LEFT, top, "\n".join(lines), fontsize=9.5, linespacing=1.4)


@dataclass(frozen=True)
class _Part:
    """What becomes a card.

    Attributes:
        title: of the card.
        width: that it needs, in inches; it may get more.
        height: that its content needs, without title and caption.
        caption: at its foot.
        draw: draws the content into a card, from `_TITLE` on.
    """

    title: str
    width: float
    height: float
    caption: str
    draw: Callable[[_Card], None]

    @property
    def whole_height(self) -> float:
        return _TITLE + self.height + 0.3 + _LINE * len(_wrapped(self.caption, self.width))


def explain_sheet(
    look: Look,
    before: NDArray[Any],
    after: NDArray[Any],
    path: Path,
    overwrite: bool = False,
    proxy: str = "centre",
) -> None:
    """Write a PNG that shows how the look was learned: photo, steps, result and LUT.

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
    _require_matplotlib()
    with atomic_write(path, overwrite) as temporary:
        figure = _draw_sheet(look, before, after, proxy)
        figure.savefig(temporary, format="png", facecolor=PAPER)


def step_pictures(
    look: Look,
    before: NDArray[Any],
    after: NDArray[Any],
    paths: Callable[[int], Path],
    overwrite: bool = False,
    proxy: str = "centre",
) -> list[Path]:
    """Write every card of the sheet as a PNG of its own; return their paths.

    Args:
        look: as of `explain_sheet`, and so are the others and what is raised.
        before: the photo.
        after: the photo with the look applied.
        paths: returns the path of a card, 1 for the first.
        overwrite: replace files that are there.
        proxy: the part of the photo that was looked at.
    """
    _require_matplotlib()
    parts = _parts(look, before, after, proxy)
    written = [paths(number) for number in range(1, len(parts) + 1)]
    for number, (part, path) in enumerate(zip(parts, written, strict=True), 1):
        _save_part(part, number, path, overwrite)
    return written


def _require_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401 (only to know that it is there)
    except ModuleNotFoundError as error:
        raise OptionError(
            "an explaining sheet needs matplotlib: pip install 'vae-balance[explain]'"
        ) from error


def _parts(look: Look, before: NDArray[Any], after: NDArray[Any], proxy: str) -> list[_Part]:
    """Return the cards of a sheet; arguments as of `explain_sheet`."""
    steps = look.steps if isinstance(look, Explained) else ()
    small, result = _thumbnail(before), _thumbnail(after)
    parts = [_photo_part(small, make_proxy(before, proxy), proxy), *map(_part_of, steps)]
    parts.append(_result_part(small, result, look.lut is not None))
    if look.lut is not None:
        parts.append(_lut_part(look.lut))
    return parts


def _draw_sheet(look: Look, before: NDArray[Any], after: NDArray[Any], proxy: str) -> Figure:
    from matplotlib.figure import Figure

    rows = _in_rows(_parts(look, before, after, proxy))
    heights = [max(part.whole_height for part in row) for row in rows]
    figure = Figure((WIDTH, HEADING + sum(heights) + GAP * (len(rows) - 1) + MARGIN), DPI)
    figure.set_facecolor(PAPER)
    _draw_heading(figure, look)
    number, top = 1, HEADING
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for part in row:
            card = _card(figure, left, top, part.width, height, str(number), part.title)
            part.draw(card)
            card.caption(part.caption)
            left += part.width + GAP
            number += 1
        top += height + GAP
    return figure


def _in_rows(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Break cards into rows; the last of each is as wide as there is room for it."""
    rows: list[list[_Part]] = []
    left = 0.0
    for part in parts:
        if not rows or part.width > left + 1e-6:
            rows.append([])
            left = _ALL
        rows[-1].append(part)
        left -= part.width + GAP
    for row in rows:
        rest = _ALL - sum(part.width + GAP for part in row[:-1])
        row[-1] = replace(row[-1], width=rest)
    return rows


def _save_part(part: _Part, number: int, path: Path, overwrite: bool) -> None:
    from matplotlib.figure import Figure

    with atomic_write(path, overwrite) as temporary:
        size = (part.width + 2 * MARGIN, part.whole_height + 2 * MARGIN)
        figure = Figure(size, DPI)
        figure.set_facecolor(PAPER)
        card = _card(figure, MARGIN, MARGIN, part.width, part.whole_height, str(number), part.title)
        part.draw(card)
        card.caption(part.caption)
        figure.savefig(temporary, format="png", facecolor=PAPER)


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
        facecolor=CARD,
        edgecolor=EDGE,
        zorder=-1,  # under the axes
    )
    figure.add_artist(box)
    card = _Card(figure, left, top, width, height)
    badge = {"boxstyle": "circle,pad=0.28", "facecolor": ACCENT, "edgecolor": "none"}
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
    card.text(0.62, 0.36, title, fontsize=14, weight="bold", color=INK, va="center")
    return card


def _draw_heading(figure: Figure, look: Look) -> None:
    origin = look.origin
    facts = [f"model {origin.model} {origin.version}"]
    facts += [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in origin.options.items()
        if value is not None
    ]
    if look.lut is not None:
        facts.append(" x ".join([f"LUT {look.lut.size}", *[str(look.lut.size)] * 2]))
    page = _Card(figure, MARGIN, 0.0, WIDTH, 1.0)
    done = "colorized" if isinstance(look, ChromaLook) else "balanced"
    page.text(0.05, 0.28, f"How this photo was {done}", fontsize=24, weight="bold", color=INK)
    page.text(0.05, 0.75, "   ·   ".join(facts), fontsize=11)


def _part_of(step: Step) -> _Part:
    return _map_part(step) if isinstance(step, ColorMapStep) else _pictures_part(step)


def _photo_part(photo: NDArray[np.uint8], seen: Colors, proxy: str) -> _Part:
    def draw(card: _Card) -> None:
        width, height = _fit(photo, 2.6, 2.35)
        side, middle = 1.6, 0.8 + 2.35 / 2
        left = (card.width - width - side - 0.6) / 2
        axes = card.axes(left, middle - height / 2, width, height)
        _show(axes, photo)
        if proxy == "centre":
            _outline_centre_square(axes, photo)
        _show(card.axes(left + width + 0.6, middle - side / 2, side, side), codes_of(seen))
        _arrow(card, left + width + 0.1, middle, left + width + 0.5)

    caption = (
        "Only a small copy of the photo, the proxy, is ever looked at. The photo itself waits for "
        "the result."
    )
    return _Part("Photo and proxy", _NARROW, 2.5, caption, draw)


def _pictures_part(step: PictureStep) -> _Part:
    """Return the card of pictures in rows, as large as there is room for."""
    columns, names = len(step.rows[0]), bool(step.row_names)
    noted = any(picture.note for row in step.rows for picture in row)
    margin = 2 * _EDGE_LEFT + (0.75 if names else 0.0)
    width = _width_for(columns, margin)
    side = min(_GREATEST_SIDE, (width - margin) / columns - 0.12, 2.7 / len(step.rows))
    if width == _ALL:
        side = (width - margin) / columns - 0.12 if columns > 5 else side
    named = any(picture.name for picture in step.rows[0])
    line = side + 0.08 + (_NAME if noted else 0.0)
    height = (_NAME if named else 0.0) + line * len(step.rows)

    def draw(card: _Card) -> None:
        step_width = side + 0.12
        left = (card.width - margin - columns * step_width) / 2 + margin - _EDGE_LEFT + 0.06
        top = _TITLE + (_NAME if named else 0.0)
        for row, pictures in enumerate(step.rows):
            y = top + row * line
            if names:
                card.text(
                    left - 0.1,
                    y + side / 2,
                    step.row_names[row],
                    ha="right",
                    va="center",
                    fontsize=9.5,
                    color=INK,
                )
            for column, picture in enumerate(pictures):
                x = left + column * step_width
                scale = _scale_of([other[column].pixels for other in step.rows])
                _draw_picture(card, x, y, side, picture, scale)

    return _Part(step.title, width, height, step.caption, draw)


def _width_for(columns: int, margin: float) -> float:
    """Return the least width of card in which so many pictures can be told apart."""
    for width in (_NARROW, _WIDE):
        if (width - margin) / columns - 0.12 >= (1.6 if width == _NARROW else _LEAST_SIDE):
            return width
    return _ALL


def _scale_of(planes: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the values that planes are drawn between, without the outermost."""
    values = np.concatenate([plane.reshape(-1) for plane in planes])
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)


def _draw_picture(
    card: _Card, left: float, top: float, side: float, picture: Picture, scale: tuple[float, float]
) -> None:
    pixels = picture.pixels
    width, height = _fit(pixels, side, side)
    axes = card.axes(left + (side - width) / 2, top + (side - height) / 2, width, height)
    if pixels.ndim == 2:
        low, high = scale
        axes.imshow(pixels, cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
        _bare(axes)
    else:
        _show(axes, codes_of(pixels))
    size = 9.5 if side > 1.3 else 8.5
    if picture.name:
        card.label(left + side / 2, top - 0.05, picture.name, size)
    if picture.note:
        card.text(left + side / 2, top + side + 0.05, picture.note, ha="center", fontsize=8.5)


def _map_part(step: ColorMapStep) -> _Part:
    colors, targets, weights = bin_colors(step.before.reshape(-1, 3), step.after.reshape(-1, 3))
    sizes = 9.0 + 315.0 * np.sqrt(weights)

    def draw(card: _Card) -> None:
        shift = (card.width - _WIDE) / 2
        for left, name, points in ((0.1, "colors found", colors), (3.3, "where they go", targets)):
            axes = _cube_axes(card, shift + left, 0.62, 3.2, 3.0)
            axes.scatter(
                *points.T,
                c=np.clip(points, 0, 1),
                s=sizes,
                depthshade=False,
                edgecolors="#00000040",
                linewidths=0.3,
            )
            card.label(shift + left + 1.6, 0.78, name)
        _draw_greys(card.axes(shift + 7.2, 0.98, 2.45, 2.35), step.function)
        card.label(shift + 8.42, 0.9, "what happens to greys")

    return _Part(step.title, _WIDE, 3.0, step.caption, draw)


def _draw_greys(axes: Axes, function: Callable[[Colors], Colors]) -> None:
    greys = np.linspace(0.0, 1.0, 65, dtype=np.float32)
    mapped = function(np.repeat(greys[:, None], 3, axis=1))
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)))
    for channel, color in enumerate(_CHANNELS):
        axes.plot(greys, mapped[:, channel], color=color, linewidth=1.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(min(0.0, float(mapped.min())), max(1.0, float(mapped.max())))
    axes.set_xticks((0, 0.5, 1))
    axes.set_yticks((0, 0.5, 1))
    axes.tick_params(colors=FAINT, labelsize=8, length=2)
    axes.set_xlabel("grey in", fontsize=8.5, color=FAINT, labelpad=1)
    axes.set_ylabel("red, green, blue out", fontsize=8.5, color=FAINT, labelpad=1)
    for spine in axes.spines.values():
        spine.set_color(EDGE)


def _lut_part(lut: Lut3D) -> _Part:
    def draw(card: _Card) -> None:
        from mpl_toolkits.mplot3d.art3d import Poly3DCollection

        axes = _cube_axes(card, (card.width - 4.3) / 2, 0.5, 4.3, 3.4)
        quads, colors = _lut_faces(lut)
        axes.add_collection3d(
            Poly3DCollection(list(quads), facecolors=colors, edgecolors="white", linewidths=0.25)
        )
        for edge in _cube_edges():
            axes.plot(*edge.T, color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=10)

    caption = (
        "All of it and the strength, baked into one table from color to color. It bends the cube "
        "of all colors (dotted: unbent); any photo and any program can use it."
    )
    return _Part("LUT cube", _NARROW, 3.2, caption, draw)


def _result_part(photo: NDArray[np.uint8], result: NDArray[np.uint8], has_lut: bool) -> _Part:
    def draw(card: _Card) -> None:
        width, height = _fit(photo, 4.4, 3.1)
        left, top = (card.width - 2 * width - 0.6) / 2, 0.98 + (3.1 - height) / 2
        for x, name, pixels in ((left, "before", photo), (left + width + 0.6, "after", result)):
            _show(card.axes(x, top, width, height), pixels)
            card.label(x + width / 2, top - 0.08, name)
        _arrow(card, left + width + 0.1, top + height / 2, left + width + 0.5)

    caption = "What was learned is applied once to every pixel, at the photo's full size and depth"
    caption += ", by way of the LUT." if has_lut else "; it depends on the place in the photo."
    return _Part("Result", _WIDE, 3.4, caption, draw)


def _wrapped(text: str, width: float) -> list[str]:
    """Break a caption into lines that fit a card so many inches wide."""
    return textwrap.wrap(text, int((width - 2 * _EDGE_LEFT) * 12.2))


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
        pane.line.set_color(EDGE)
        pane.set_tick_params(color=EDGE)
        pane._axinfo["grid"].update(color=EDGE, linewidth=0.6)
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
        color=ACCENT,
        shrinkA=0,
        shrinkB=0,
        transform=card.figure.dpi_scale_trans,
    )
    card.figure.add_artist(arrow)


def _thumbnail(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the picture, without alpha, as 8 bits and no larger than the sheet can show."""
    stride = max(1, max(pixels.shape[:2]) // (2 * _PICTURE))
    small = pixels[::stride, ::stride, :3]
    full_scale = 1.0 if small.dtype.kind == "f" else float(np.iinfo(small.dtype).max)
    image = Image.fromarray(codes_of(small.astype(np.float32) / full_scale))
    image.thumbnail((_PICTURE, _PICTURE), Image.Resampling.BOX)
    return np.asarray(image)
