"""What `speed.py` measures inside GIMP; python-fu-eval runs this file."""

import json
import os
import sys
import threading
import time

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp

sys.path.insert(0, os.path.join(Gimp.directory(), "plug-ins", "vae-balance"))
from vae_balance_protocol.connection import read_connection

WIDTH, HEIGHT = 6000, 4000
TICK = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """Return (parent, processor seconds) of a process."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICK


def peak(pid):
    """Return the most MiB that a process has had so far."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def watch(started, result, over):
    """Keep the newest figures of GIMP's other child, the plug-in that runs."""
    pid = None
    while not over.wait(0.005):
        try:
            if pid is None:
                others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
                new = [other for other in others if other not in started]
                pid = next((other for other in new if stat(other)[0] == os.getppid()), None)
            else:
                result["peak"], result["cpu"] = peak(pid), stat(pid)[1]
        except (OSError, StopIteration):
            pass


def measure(name, layer):
    """Run a procedure on a layer; return its figures."""
    procedure = Gimp.get_pdb().lookup_procedure(name)
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", layer.get_image())
    config.set_core_object_array("drawables", [layer])
    daemon = read_connection(os.environ).pid if os.path.exists("/io/state/daemon.json") else None
    worked = stat(daemon)[1] if daemon else 0.0
    result, over = {}, threading.Event()
    started = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    watcher = threading.Thread(target=watch, args=(started, result, over))
    watcher.start()
    begun = time.monotonic()
    status = procedure.run(config).index(0)
    result["wall"] = time.monotonic() - begun
    over.set()
    watcher.join()
    assert status == Gimp.PDBStatusType.SUCCESS, Gimp.get_pdb().get_last_error()
    result["daemon"] = stat(daemon)[1] - worked if daemon else 0.0
    return result


def photo(kind):
    """Return a layer with noise in a few colors."""
    image = Gimp.Image.new(WIDTH, HEIGHT, Gimp.ImageBaseType.RGB)
    layer = Gimp.Layer.new(image, "L", WIDTH, HEIGHT, kind, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, None, 0)
    rows = os.urandom(WIDTH * 3 * 64)
    buffer = layer.get_buffer()
    for row in range(0, HEIGHT, 64):
        count = min(64, HEIGHT - row)
        area = Gegl.Rectangle.new(0, row, WIDTH, count)
        buffer.set(area, "R'G'B' u8", rows[: WIDTH * 3 * count])
    buffer.flush()
    return layer


def run_all():
    """Measure all, after a first run that starts the daemon and loads its model."""
    found = {}
    kinds = {"RGB": Gimp.ImageType.RGB_IMAGE, "RGBA": Gimp.ImageType.RGBA_IMAGE}
    for kind, number in kinds.items():
        layer = photo(number)
        measure("plug-in-vae-balance", layer)
        for title, name in (("strips only", "strips"), ("plug-in", "vae-balance")):
            runs = [measure(f"plug-in-{name}", layer) for _run in range(int(os.environ["RUNS"]))]
            found[f"{kind}, {title}"] = runs
        layer.get_image().delete()
    with open("/io/speed.json", "w") as file:
        json.dump(found, file)


run_all()
