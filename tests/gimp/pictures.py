"""Takes the pictures of GIMP in docs/ anew, with the photo of `vae-balance demo`.

    .venv/bin/python tests/gimp/pictures.py [SUITE]    # sid, which is the default, for GIMP 3.2

Needs what `roots.py` needs, and the daemon's packages.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import roots
from daemon_outside import VARIABLES, daemon_on_demand
from PIL import Image
from plugin_folder import install

from vae_balance.sample import SAMPLE, cast

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
# What to keep of each picture of tour.py: left, top, right and bottom; None is all.
PARTS = {"menu": (352, 0, 1140, 620), "window": None, "dialog": None, "apply": None}
NAMES = {"apply": "apply-lut"}


def main() -> int:
    """Take the pictures; return 0."""
    suite = sys.argv[1] if len(sys.argv) > 1 else "sid"
    root = roots.gimp_3(suite)
    with tempfile.TemporaryDirectory() as folder:
        io = Path(folder)
        install("3.0", io / "profile" / "plug-ins")
        for name in ("window.py", "tour.py"):
            shutil.copy(HERE / name, io)
        with Image.open(SAMPLE) as photo:
            colors = np.asarray(photo, np.float32) / 255
        Image.fromarray(np.uint8(cast(colors) * 255 + 0.5)).save(io / "tour.png")
        variables = {"GIMP3_DIRECTORY": "/io/profile", **VARIABLES}
        with daemon_on_demand(io):
            command = ["python3", "/io/tour.py", "pictures"]
            output = roots.output_inside(root, io, command, **variables)
        if "TOUR OK" not in output:
            sys.exit(output)
        for name, part in PARTS.items():
            with Image.open(io / f"shots/{name}.png") as shot:
                kept = shot.convert("RGB").crop(part)
            kept.save(DOCS / f"gimp-{NAMES.get(name, name)}.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
