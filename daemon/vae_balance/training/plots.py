"""Loss curves of a training run as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure

from vae_balance.files import atomic_write
from vae_balance.training.checkpoint import read_log

# Prefix of the values that were measured on watched photos, which are never trained on.
WATCHED = "watch_"
_COLUMNS = 3


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
