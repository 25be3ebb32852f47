"""Run by a user in a Debian with GIMP, without a network: install, use, look, break, mend, remove.

Everything that each step printed, and what lay in the home folder after it, goes to results.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HOME = Path.home()
IO = Path("/io")
INSTALLER = [sys.executable, "/io/checkout/installer/install.py"]
OPTIONS = ["--python", "/io/python/bin/python3", "--wheels", "/io/wheels"]
ENVIRONMENT = HOME / ".local/share/vae-balance/environment"
BALANCE = HOME / ".local/bin/vae-balance"
PROFILE = HOME / ".config/GIMP" / os.environ["GIMP_VERSION"]
PLUG_IN = PROFILE / "plug-ins/vae-balance/vae-balance.py"

results: dict[str, dict[str, object]] = {}

USE = """
from gi.repository import Gimp, Gio
def file(name): return Gio.File.new_for_path("/io/" + name)
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file("photo.png"))
procedure = Gimp.get_pdb().lookup_procedure("plug-in-vae-balance")
if procedure:
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", image.get_layers())
    status = procedure.run(config).index(0)
    assert status == Gimp.PDBStatusType.SUCCESS, Gimp.get_pdb().get_last_error()
    Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file("balanced.png"), None)
print("BALANCED" if procedure else "NO SUCH PROCEDURE")
"""


def step(name: str, *command: object) -> str:
    """Run a command; note what it printed and what is in the home folder afterwards."""
    begin = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=IO,
    )
    results[name] = {
        "status": done.returncode,
        "output": done.stdout,
        "seconds": time.monotonic() - begin,
        "home": listing(),
    }
    (IO / "results.json").write_text(json.dumps(results))
    return done.stdout


def listing() -> dict[str, str]:
    """Return what is in the home folder: path -> kind or checksum; the environment is one."""
    found = {}
    for folder, folders, files in os.walk(HOME):
        here = Path(folder)
        if here == ENVIRONMENT:
            found[str(here)] = "environment"
            folders.clear()
            continue
        found[str(here)] = "folder"
        for path in map(here.joinpath, files):
            digest = "link" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = digest
    return found


def gimp(*arguments: str) -> list[str]:
    return ["gimp-console", "-id", *arguments, "--quit"]


def use_gimp() -> list[str]:
    return gimp("--batch-interpreter", "python-fu-eval", "-b", "exec(open('/io/use.py').read())")


def interrupt_installation() -> None:
    """Start the installation, and kill it when the packages are coming in."""
    with (IO / "interrupted.txt").open("w") as output:
        process = subprocess.Popen(
            [*INSTALLER, *OPTIONS], stdout=output, stderr=output, start_new_session=True
        )
        while not list(ENVIRONMENT.glob("lib/python*/site-packages/numpy")):
            assert process.poll() is None, "ended before it could be interrupted"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main() -> None:
    (IO / "use.py").write_text(USE)
    step("dry run", *INSTALLER, *OPTIONS, "--dry-run")
    interrupt_installation()
    step("install", *INSTALLER, *OPTIONS)
    step("install again", *INSTALLER, *OPTIONS)
    step("stop", BALANCE, "stop")
    step("use GIMP", *use_gimp())
    step("status", BALANCE, "status", "--json")
    step("doctor", BALANCE, "doctor", "--json", "--report", IO / "report.json")

    PLUG_IN.write_text("this is no Python\n")
    step("changed", BALANCE, "doctor", "--json")
    manifest = PLUG_IN.with_name("installed.json")
    content = json.loads(manifest.read_text())
    content["files"][PLUG_IN.name] = hashlib.sha256(PLUG_IN.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))
    step("start GIMP", *gimp())
    step("broken", BALANCE, "doctor", "--json")
    step("mend", *INSTALLER, *OPTIONS)

    (HOME / ".local/share/vae-balance/models/mine").mkdir(parents=True)
    step("dry uninstall", *INSTALLER, "--uninstall", "--dry-run")
    step("uninstall", *INSTALLER, "--uninstall")
    (HOME / ".local/share/vae-balance/models/mine").rmdir()
    (HOME / ".local/share/vae-balance/models").rmdir()
    step("uninstall again", *INSTALLER, "--uninstall")
    step("processes", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    # What GIMP makes by itself, for the same work.
    HOME.rename(f"{HOME}-used")
    HOME.mkdir()
    step("GIMP alone", *gimp("-f"))
    step("use GIMP alone", *use_gimp())


main()
