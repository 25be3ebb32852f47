"""Loss curves of a training run as a picture, and pictures in rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vae_balance.files import atomic_write
from vae_balance.training.checkpoint import read_log

# Prefix of the values that were measured on watched photos, which are never trained on.
WATCHED = "watch_"
_COLUMNS = 3
# Of rows of pictures: the side of each, what lies between them, and the line of their names.
_SIDE, _GAP, _NAMES = 112, 4, 16


def plot_losses(log: Path, picture: Path) -> None:
    """Draw every value of a loss log over the steps; watched values beside those of training.

    Args:
        log: `log.jsonl` of a run.
        picture: the PNG to write, over one of before.

    Raises:
        BalanceError: the picture cannot be written.
    """
    # A run that was killed and resumed logs the steps since its last checkpoint again.
    rows = sorted({row["step"]: row for row in read_log(log)}.values(), key=lambda row: row["step"])
    names = [name for name in {key: None for row in rows for key in row} if name != "step"]
    panels = list(dict.fromkeys(name.removeprefix(WATCHED) for name in names))
    columns = max(1, min(_COLUMNS, len(panels)))
    lines = max(1, math.ceil(len(panels) / columns))
    figure = Figure(figsize=(4.2 * columns, 3.0 * lines), layout="constrained")
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(lines, columns, place, title=panel, xlabel="step")
        for name, label, style in ((panel, "training", "-"), (WATCHED + panel, "watched", "o-")):
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=label, markersize=3)
        axes.locator_params(axis="x", nbins=5, integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_write(picture, overwrite=True) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def draw_rows(
    names: Sequence[str], rows: Sequence[Sequence[NDArray[np.float32]]], path: Path
) -> None:
    """Write pictures in rows as a JPEG, over one of before.

    Args:
        names: of the columns.
        rows: pictures (S, S, 3), sRGB-encoded; what is beyond 0..1 is clipped.
        path: the JPEG.

    Raises:
        BalanceError: it cannot be written.
    """
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (len(names) * step + _GAP, len(rows) * step + _NAMES + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        pen.text((_GAP + column * step, 2), name, "black", ImageFont.load_default(11))
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            codes = np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
            small = Image.fromarray(codes).resize((_SIDE, _SIDE), Image.Resampling.BOX)
            sheet.paste(small, (_GAP + column * step, _NAMES + row * step))
    with atomic_write(path, overwrite=True) as temporary:
        sheet.save(temporary, "JPEG", quality=88)
