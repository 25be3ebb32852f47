"""The plug-in in a real GIMP 2.10 with its Python-Fu, with the real daemon.

`python_fu_210.py` builds the GIMP, which takes minutes the first time; `test_plugin_210.py` is the
part that needs no GIMP.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import python_fu_210
import tifffile
from daemon_outside import daemon_on_demand
from gimp_in_root import Gimp
from icc import ADOBE_RGB, gamma_curve, icc_profile
from lit_photo import lit_photo
from pictures import picture
from plugin_folder import install
from suites import GIMP_2_10

from vae_balance_protocol import NotStarted
from vae_balance_protocol.client import Client

pytestmark = GIMP_2_10

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CASES = re.findall(r"^def (case_\w+)", (HERE / "cases_210.py").read_text(encoding="utf-8"), re.M)
CASES += [
    f"case_precision_{kind}_{curve}"
    for kind in ("u8", "u16", "u32", "half", "float", "double")
    for curve in ("linear", "gamma")
]
PHOTOS = ("photo.png", "wide.png", "deep.png", "adobe.tif", "linear.tif")


class Gimp210(Gimp):
    """A GIMP 2.10 to run."""

    def script(self, text: str) -> str:
        """Run Script-Fu; return what was printed."""
        return self.run("gimp-console-2.10", "-id", "-b", text, "-b", "(gimp-quit 1)")


@pytest.fixture(scope="module")
def gimp(
    root_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gimp210]:
    """Return a GIMP with the plug-in, and with a daemon as soon as that asks for one."""
    root = root_of(python_fu_210.SUITE)
    io = tmp_path_factory.mktemp("io")
    plug_ins = io / "profile" / "plug-ins"
    # GIMP takes a folder's file of the same name.
    install("2.10", plug_ins)
    cases = plug_ins / "cases_210" / "cases_210.py"
    cases.parent.mkdir()
    shutil.copy(HERE / "cases_210.py", cases)
    cases.chmod(0o755)
    write_photos(io)
    with daemon_on_demand(io):
        yield Gimp210(root, io, "GIMP2_DIRECTORY")


@pytest.fixture(scope="module")
def results(gimp: Gimp210) -> dict[str, dict[str, Any]]:
    """Run all cases in one GIMP; return what each raised, expected to be said, and what was."""
    output = gimp.script("(python-fu-vae-balance-cases RUN-NONINTERACTIVE)")
    path = gimp.io / "results.json"
    assert path.exists(), output
    found: dict[str, dict[str, Any]] = json.loads(path.read_text())
    assert sorted(found) == sorted(CASES), output
    for name, text in re.findall(r"^== (case_\w+)\n(.*?)(?=^== )", output, re.M | re.S):
        found[name]["output"] = text
    return found


@pytest.mark.parametrize("case", CASES)
def test_in_gimp(results: dict[str, dict[str, Any]], case: str) -> None:
    result = results[case]
    assert not result["error"], f"{result['error']}\n{result['output']}"
    assert "Traceback" not in result["output"], result["output"]
    place = 0
    for words in result["said"]:
        place = result["output"].find(words, place)
        assert place >= 0, f"not said: {words}\n{result['output']}"


@pytest.fixture(scope="module")
def by_command(gimp: Gimp210) -> Path:
    """Return a folder with the photos as the command line balances them."""
    folder = gimp.io / "by-command"
    options = ["--iterations", "2", "--strength", "0.9", "--device", "cpu"]
    photos = [str(gimp.io / name) for name in PHOTOS]
    command = [sys.executable, "-m", "vae_balance", "balance", *photos, "--out-dir", str(folder)]
    subprocess.run([*command, *options], check=True)
    return folder


@pytest.mark.parametrize("name", PHOTOS)
def test_gimp_and_the_command_line_give_the_same_pixels(
    gimp: Gimp210, results: dict[str, dict[str, Any]], by_command: Path, name: str
) -> None:
    assert not results["case_photos_of_each_kind_are_balanced_as_the_command_line_does"]["error"]
    wanted, got = read(by_command / name), read(gimp.io / f"gimp-{name}")
    assert np.abs(wanted - read(gimp.io / name)).max() > 0.05
    assert np.abs(wanted - got).max() <= 1 / 255 + 1e-9


def test_the_examples_of_the_documentation_run(gimp: Gimp210) -> None:
    text = (PROJECT / "docs/gimp-2.10.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S)
    assert [language for language, _text in examples] == ["scheme", "sh"]
    for name in ("scan.png", "next.png"):
        shutil.copy(gimp.io / "photo.png", gimp.io / name)
    scans = gimp.io / "scans"
    scans.mkdir()
    shutil.copy(gimp.io / "photo.png", scans / "one.png")
    shutil.copy(gimp.io / "wide.png", scans / "two.png")
    for language, example in examples:
        here = example.replace("/home/me/", "/io/")
        output = gimp.script(here) if language == "scheme" else gimp.run("sh", "-c", here)
        made = [gimp.io / "balanced.png", *scans.glob("*-balanced.png")]
        made = [path for path in made if path.exists()]
        assert len(made) == (1 if language == "scheme" else 2), output
        for path in made:
            source = scans / path.name.replace("-balanced", "")
            before = source if path.parent == scans else gimp.io / "photo.png"
            assert np.abs(read(path) - read(before)).max() > 0.05
            path.unlink()


def test_a_daemon_killed_half_way_leaves_the_image_as_it_was(gimp: Gimp210) -> None:
    environ = {**os.environ, "VAE_BALANCE_STATE": str(gimp.io / "state")}
    killed = threading.Event()
    over = threading.Event()

    def kill() -> None:
        while not killed.is_set() and not over.wait(0.01):
            with suppress(NotStarted), Client.connect("kill", start=False, environ=environ) as c:
                while not killed.is_set() and not over.wait(0.01):
                    if any(job["verb"] == "learn" for job in c.status()["running"]):
                        os.kill(c.daemon["pid"], 9)
                        killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    output = gimp.script(_KILLED)
    over.set()
    killer.join()
    assert killed.is_set(), output
    assert "stopped answering" in output
    assert "Traceback" not in output
    assert np.array_equal(read(gimp.io / "killed.png"), read(gimp.io / "photo.png"))


_KILLED = """
(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "/io/photo.png" "photo.png")))
       (layer (car (gimp-image-get-active-layer image))))
  (catch ()
    (plug-in-vae-balance RUN-NONINTERACTIVE image layer
                         10 1.0 "embedded" "layer" "replace" "" 33))
  (gimp-file-save RUN-NONINTERACTIVE image layer "/io/killed.png" "killed.png"))
"""


def write_photos(folder: Path) -> None:
    """Write photos with a cast, in several kinds of files, and a LUT."""
    nodes = [f"{r} {g} {b}" for b in (1, 0) for g in (1, 0) for r in (1, 0)]
    (folder / "inverse.cube").write_text("\n".join(["LUT_3D_SIZE 2", *nodes, ""]))
    lit_photo().save(folder / "lit.png")
    small = in_yellow_light(80, 100)
    write(folder / "photo.png", np.uint8(small * 255))
    write(folder / "wide.png", np.uint8(in_yellow_light(700, 300) * 255))
    write(folder / "deep.png", np.uint16(small * 65535))
    for name, gamma in (("adobe.tif", 2.2), ("linear.tif", 1.0)):
        profile = icc_profile(ADOBE_RGB, gamma_curve(gamma))
        pixels = np.uint16(small * 65535)
        tifffile.imwrite(folder / name, pixels, photometric="rgb", iccprofile=profile)


def in_yellow_light(height: int, width: int) -> np.ndarray:
    """Return colors, (H, W, 3), 0..1, with a cast."""
    colors = picture(height, width) / 255
    return np.stack([colors[..., 0] ** 0.7, colors[..., 1] * 0.9, colors[..., 2] * 0.6], -1)


def write(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W, 3) of 8 or 16 bits."""
    from vae_balance.photos.photo import Photo, write_photo

    write_photo(Photo(pixels), path)


def read(path: Path) -> np.ndarray:
    """Return the first three channels of a picture, 0..1."""
    from vae_balance.photos.photo import read_photo

    pixels = read_photo(path).pixels[..., :3]
    return pixels / np.iinfo(pixels.dtype).max
