"""How well grey photos get their colors back: held-out photos in color, made grey, colorized.

A mean error alone rewards grey-brown averages, the known disease of colorizing; so the colorfulness
of the results is told beside that of the true photos.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from vae_balance.color.arrays import Colors
from vae_balance.color.cielab import srgb_to_lab
from vae_balance.color.colorfulness import colorfulness
from vae_balance.color.srgb import to_linear
from vae_balance.color.toning import toning_of
from vae_balance.correctors.corrector import Corrector, LookOptions
from vae_balance.errors import OptionError
from vae_balance.evaluation.cases import held_out_photos
from vae_balance.evaluation.evaluate import error_to
from vae_balance.evaluation.sheets import Strip, strip_sheet
from vae_balance.files import atomic_write
from vae_balance.looks.chroma_map import made_grey
from vae_balance.looks.look import Place
from vae_balance.photos.painting import codes_of
from vae_balance.photos.photo import SUFFIXES, read_photo
from vae_balance.photos.preview import preview
from vae_balance.photos.proxy import make_proxy
from vae_balance.training.photos import SHORT_SIDE, at_most_short_side, load_photo, read_split

GREY, TRUE = "grey", "true"
SHEET_PHOTOS, BLACK_AND_WHITE_PHOTOS, PLATES = 50, 24, 12
SHEET, BLACK_AND_WHITE_SHEET = "colorized.png", "black_and_white.png"
ABOUT = f"""\
Held-out photos in color are made grey and colorized. "{GREY}" is what is given. Means over the
photos: distance in a* and b* to the true photo (CIELAB), CIEDE2000 and PSNR of the whole picture,
and the colorfulness of Hasler and Suesstrunk (2003; 0 is grey, 33 moderately, 59 quite colorful),
as a number and as a part of that of the true photos. A network that answers the average of all
colors that a thing may have gets a small error and little colorfulness."""


@dataclass(frozen=True)
class ColorScore:
    """Of one result, or of the grey or true photo.

    Attributes:
        chroma_error: mean distance in a* and b*.
        ciede2000: mean.
        psnr: of sRGB-encoded values, in dB; None where nothing differs.
        colorfulness: see `colorfulness`.
    """

    chroma_error: float
    ciede2000: float
    psnr: float | None
    colorfulness: float


@dataclass(frozen=True)
class ColorComparison:
    """Scores of several models on the same photos.

    Attributes:
        columns: grey, the models by name and version, true.
        photos: name -> column -> score.
    """

    columns: tuple[str, ...]
    photos: dict[str, dict[str, ColorScore]]

    def table_markdown(self) -> str:
        """Return the means as a table in Markdown."""
        true = self._mean(TRUE, "colorfulness")
        lines = [
            f"| of {len(self.photos)} photos | error in a\\*, b\\* | CIEDE2000 | PSNR, dB | "
            "colorfulness | part of the true |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for column in self.columns:
            cells = [f"{self._mean(column, name):.1f}" for name in ("chroma_error", "ciede2000")]
            psnr = "" if column == TRUE else f"{self._mean(column, 'psnr'):.1f}"
            colors = self._mean(column, "colorfulness")
            cells += [psnr, f"{colors:.1f}", f"{colors / max(true, 1e-6):.2f}"]
            lines.append(f"| {column} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def dumps(self) -> str:
        """Return the scores as JSON."""
        values: dict[str, Any] = {
            "columns": list(self.columns),
            "photos": {
                name: {column: asdict(score) for column, score in scores.items()}
                for name, scores in self.photos.items()
            },
        }
        return json.dumps(values, indent=1) + "\n"

    def _mean(self, column: str, name: str) -> float:
        return float(np.mean([getattr(scores[column], name) for scores in self.photos.values()]))


def compare_colorizers(
    photos: Path,
    correctors: Sequence[Corrector],
    out: Path,
    report: Callable[[int, int], None] = lambda done, total: None,
    limit: int | None = None,
    black_and_white: Path | None = None,
) -> ColorComparison:
    """Score models that colorize, and leave table, scores and two sheets of pictures in `out`.

    Writes comparison.json, comparison.md, colorized.png (50 photos: true, grey, each model) and
    black_and_white.png (photos that never had colors, photos as on old plates, and a drawing).

    Args:
        photos: folder of photos, in sub-folders by source as in `training/split.json`.
        correctors: what is compared.
        out: folder for the results, made when missing.
        report: called before every photo with those done and all.
        limit: at most so many photos, evenly spaced; None takes all.
        black_and_white: folder of photos that never had colors, for the second sheet; those that
            have colors are passed over.

    Raises:
        OptionError: there are no held-out photos in color in the folder, no grey ones in
            `black_and_white`, or a model is named twice.
        ImageError: a photo cannot be read.
        BalanceError: a result cannot be written.
    """
    models = {f"{each.info.name} {each.info.version}": each for each in correctors}
    if len(models) < len(correctors):
        raise OptionError("models to compare: one is named twice")
    paths = [path for path in held_out_photos(photos, limit) if _has_color(path)]
    if not paths:
        raise OptionError(f"{photos}: none of the held-out photos has colors")
    never_in_color = [] if black_and_white is None else photos_without_colors(black_and_white)
    out.mkdir(parents=True, exist_ok=True)
    shown = {paths[i * len(paths) // SHEET_PHOTOS] for i in range(SHEET_PHOTOS)}
    scores, strips = {}, []
    for number, path in enumerate(paths):
        report(number, len(paths))
        truth = _pixels(path)
        pictures = {GREY: made_grey(truth)}
        pictures |= {name: colorized(pictures[GREY], each) for name, each in models.items()}
        pictures[TRUE] = truth
        name = path.relative_to(photos).as_posix()
        scores[name] = {column: score_of(picture, truth) for column, picture in pictures.items()}
        if path in shown:
            strips.append(Strip(name, [truth, *list(pictures.values())[:-1]]))
    report(len(paths), len(paths))
    comparison = ColorComparison((GREY, *models, TRUE), scores)
    for suffix, text in (("json", comparison.dumps()), ("md", comparison.table_markdown() + "\n")):
        with atomic_write(out / f"comparison.{suffix}", overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    strip_sheet(strips, (TRUE, GREY, *models), out / SHEET)
    strips = [
        Strip(name, [picture, *(colorized(made_grey(picture), each) for each in models.values())])
        for name, picture in _without_colors(photos, never_in_color)
    ]
    strip_sheet(strips, ("as it is", *models), out / BLACK_AND_WHITE_SHEET)
    return comparison


def colorized(photo: Colors, corrector: Corrector) -> Colors:
    """Return a grey photo (H, W, 3), sRGB-encoded, 0..1, as a model colors it."""
    look = corrector.learn([make_proxy(photo, corrector.wants.part)], LookOptions())
    return look.apply(photo, Place.whole(photo))


def score_of(picture: Colors, truth: Colors) -> ColorScore:
    """Score a picture (H, W, 3), sRGB-encoded, 0..1, beside the truth."""
    away = (srgb_to_lab(picture) - srgb_to_lab(truth))[..., 1:]
    squared = float(np.square(picture - truth).mean(dtype=np.float64))
    planes = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    return ColorScore(
        chroma_error=float(np.hypot(away[..., 0], away[..., 1]).mean()),
        ciede2000=error_to(truth)(picture),
        psnr=-10.0 * float(np.log10(squared)) if squared else None,
        colorfulness=colorfulness(planes).item(),
    )


def drawing(size: int = 256) -> Colors:
    """Return a pencil drawing (size, size, 3) that no photo is like: a house, a tree, the sun."""
    scale = size / 256.0
    picture = Image.new("L", (size, size), 248)
    pen = ImageDraw.Draw(picture)

    def line(*points: tuple[float, float], width: int = 2) -> None:
        scaled = [(x * scale, y * scale) for x, y in points]
        pen.line(scaled, fill=40, width=max(1, round(width * scale)), joint="curve")

    line((0, 200), (256, 192))
    line((60, 198), (60, 130), (100, 95), (140, 130), (140, 196))
    line((88, 198), (88, 160), (108, 160), (108, 197))
    line((200, 194), (200, 130), width=6)
    for x, y, radius in ((200, 110, 30), (180, 124, 18), (222, 124, 18)):
        corners = (x - radius, y - radius, x + radius, y + radius)
        box = [scale * corner for corner in corners]
        pen.ellipse(box, fill=190, outline=60, width=max(1, round(2 * scale)))
    pen.ellipse([20 * scale, 20 * scale, 60 * scale, 60 * scale], outline=60, width=2)
    for angle in np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False):
        x, y = np.cos(angle), np.sin(angle)
        line((40 + 25 * x, 40 + 25 * y), (40 + 36 * x, 40 + 36 * y))
    return _three_channels(picture)


def plate(photo: Colors, seed: int = 0) -> Colors:
    """Return a photo (H, W, 3), sRGB-encoded, 0..1, as an old print of an orthochromatic plate.

    Such a plate is blind to red, so that lips and brick are dark and skies white; it has grain. An
    even seed gives a neutral print, an odd one a sepia print.
    """
    exposed = to_linear(photo) @ np.array([0.02, 0.43, 0.55], dtype=np.float32)
    lightness = 0.06 + 0.88 * np.clip(exposed, 0.0, 1.0) ** 0.42
    grain = np.random.default_rng(seed).normal(0.0, 0.025, lightness.shape)
    print_ = np.clip(lightness + grain, 0.0, 1.0)[..., None]
    powers = (0.85, 1.0, 1.3) if seed % 2 else (1.0, 1.0, 1.0)
    return (print_ ** np.array(powers)).astype(np.float32)


def photos_without_colors(folder: Path) -> list[Path]:
    """Return the photos in a folder that are grey, toned or not; hidden files do not count.

    Args:
        folder: of photos in any format that is read, of any depth.

    Raises:
        OptionError: there is no such folder, or no such photo.
        ImageError: a photo cannot be read.
    """
    if not folder.is_dir():
        raise OptionError(f"{folder}: no such folder of black-and-white photos")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise OptionError(f"{folder}: holds no photos ({', '.join(sorted(SUFFIXES))})")
    grey = [path for path in paths if toning_of(_any_pixels(path)[::2, ::2]).is_grey]
    if not grey:
        raise OptionError(f"{folder}: none of its {len(paths)} photos is black-and-white")
    return grey


def _without_colors(photos: Path, given: Sequence[Path]) -> Iterator[tuple[str, Colors]]:
    """Yield photos that never had colors, as far as there are any, and photos as on old plates."""
    for path in given:
        yield path.name, _any_pixels(path)
    found = [path for path in read_split(photos).final if not _has_color(path)]
    count = min(BLACK_AND_WHITE_PHOTOS, len(found))
    for path in (found[i * len(found) // count] for i in range(count)):
        yield path.relative_to(photos).as_posix(), _pixels(path)
    colored = [path for path in held_out_photos(photos) if _has_color(path)]
    count = min(PLATES, len(colored))
    for number in range(count):
        path = colored[number * len(colored) // count]
        yield f"as a plate: {path.relative_to(photos).as_posix()}", plate(_pixels(path), number)
    # Free of copyright, and come with scikit-image.
    from skimage import data

    for name in ("camera", "moon", "coins", "clock", "page", "grass", "brick"):
        yield f"scikit-image: {name}", _three_channels(Image.fromarray(getattr(data, name)()))
    yield "a drawing", drawing()


def _has_color(path: Path) -> bool:
    return not toning_of(_pixels(path)[::2, ::2]).is_grey


def _pixels(path: Path) -> Colors:
    return np.asarray(load_photo(path), dtype=np.float32) / np.float32(255.0)


def _any_pixels(path: Path) -> Colors:
    """Return a photo of any format and depth as `_pixels` does; scans often have 16 bits."""
    photo = read_photo(path)
    reduction = max(1.0, min(photo.pixels.shape[:2]) / SHORT_SIDE)
    colors = preview(photo, round(4 * max(photo.pixels.shape[:2]) / reduction))
    image = Image.fromarray(np.ascontiguousarray(codes_of(colors)))
    return np.asarray(at_most_short_side(image), dtype=np.float32) / np.float32(255.0)


def _three_channels(picture: Image.Image) -> Colors:
    small = picture.resize((256, round(256 * picture.height / picture.width)))
    return np.asarray(small.convert("RGB"), dtype=np.float32) / np.float32(255.0)
