"""What the GIMP 3 plug-in itself costs for a layer of 24 megapixels, beside GIMP's own strips.

    .venv/bin/python tests/gimp/speed.py [SUITE]    # trixie, which is the default, for GIMP 3.0

Prints a table: processor and wall seconds and peak memory of the plug-in's process, of one that
only reads and writes the layer in strips, and the seconds of the daemon's process. Takes the
median of RUNS. Needs what `roots.py` needs, and the daemon's packages.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import roots
from daemon_outside import VARIABLES, daemon_on_demand
from plugin_folder import install

HERE = Path(__file__).parent
RUNS = 5
MOST_SECONDS, MOST_MEBIBYTES = 0.8, 150


def main() -> int:
    """Measure; return 0 if the targets are reached."""
    suite = sys.argv[1] if len(sys.argv) > 1 else "trixie"
    roots.check_host()
    root = roots.gimp_3(suite)
    with tempfile.TemporaryDirectory() as folder:
        io = Path(folder)
        plug_ins = io / "profile" / "plug-ins"
        install("3.0", plug_ins)
        (plug_ins / "strips").mkdir()
        shutil.copy(HERE / "speed_strips.py", plug_ins / "strips/strips.py")
        shutil.copy(HERE / "speed_inside.py", io)
        with daemon_on_demand(io):
            run = "exec(open('/io/speed_inside.py').read())"
            console = ["gimp-console", "-id", "--batch-interpreter", "python-fu-eval"]
            command = [*console, "-b", run, "--quit"]
            variables = {"GIMP3_DIRECTORY": "/io/profile", "RUNS": str(RUNS), **VARIABLES}
            output = roots.output_inside(root, io, command, 3600, **variables)
        results = io / "speed.json"
        if not results.exists():
            sys.exit(output)
        measured: dict[str, list[dict[str, float]]] = json.loads(results.read_text())
    print("| 24-megapixel layer | CPU s | wall s | peak MiB | the daemon's CPU s |")
    print("|---|---:|---:|---:|---:|")
    rows = {}
    for name, runs in measured.items():
        rows[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        figures = [f"{rows[name][key]:.2f}" for key in ("cpu", "wall", "peak", "daemon")]
        print(f"| {name} | {' | '.join(figures)} |")
    reached = True
    for kind in ("RGB", "RGBA"):
        plug_in, strips = rows[f"{kind}, plug-in"], rows[f"{kind}, strips only"]
        more = plug_in["peak"] - strips["peak"]
        print(f"{kind}: {plug_in['cpu']:.2f} s of the plug-in (at most {MOST_SECONDS}),", end=" ")
        print(f"{more:.0f} MiB more than strips only (at most {MOST_MEBIBYTES})")
        reached &= plug_in["cpu"] <= MOST_SECONDS and more <= MOST_MEBIBYTES
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
