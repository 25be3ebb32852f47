"""Takes the pictures of GIMP in docs/ anew, with the damaged photo of `vae-balance demo`.

    .venv/bin/python tests/gimp/screenshots.py [SUITE]    # sid, which is the default, for GIMP 3.2

Needs what `roots.py` needs, and the daemon's packages.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import roots
from daemon_outside import VARIABLES, daemon_on_demand
from PIL import Image
from plugin_folder import install

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
# Picture of tour.py -> its name in docs/, and the part to keep: left, top, right, bottom, or all.
PICTURES = {
    "menu": ("gimp-menu", (352, 0, 1140, 620)),
    "window": ("gimp-window", None),
    "dialog": ("gimp-dialog", None),
    "apply": ("gimp-apply-lut", None),
}


def main() -> None:
    """Take the pictures, or tell what GIMP and the tour said."""
    suite = sys.argv[1] if len(sys.argv) > 1 else "sid"
    root = roots.gimp_3(suite)
    with tempfile.TemporaryDirectory() as folder:
        io = Path(folder)
        install("3.0", io / "profile" / "plug-ins")
        for name in ("window.py", "tour.py"):
            shutil.copy(HERE / name, io)
        demo = [sys.executable, "-m", "vae_balance", "demo", "--out-dir", str(io / "demo")]
        subprocess.run([*demo, "--device", "cpu"], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(io / "demo/damaged.png", io / "tour.png")
        variables = {"GIMP3_DIRECTORY": "/io/profile", **VARIABLES}
        with daemon_on_demand(io):
            command = ["python3", "/io/tour.py", "pictures"]
            output = roots.output_inside(root, io, command, roots.PATIENCE, **variables)
        if "TOUR OK" not in output:
            sys.exit(output)
        for shot, (name, part) in PICTURES.items():
            with Image.open(io / f"shots/{shot}.png") as picture:
                picture.convert("RGB").crop(part).save(DOCS / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
