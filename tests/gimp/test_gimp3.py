"""The plug-in in a real GIMP 3, with the real daemon; `roots.py` builds the GIMP."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import roots
import tifffile
from daemon_outside import daemon_on_demand
from gimp_in_root import Gimp
from icc import ADOBE_RGB, gamma_curve, icc_profile
from lit_photo import lit_photo
from pictures import picture
from PIL import Image
from plugin_folder import install
from suites import GIMP_3_0, GIMP_3_2

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CASES = re.findall(r"^def (case_\w+)", (HERE / "cases.py").read_text(encoding="utf-8"), re.M)
CASES += [
    f"case_precision_{kind}_{curve}"
    for kind in ("u8", "u16", "u32", "half", "float", "double")
    for curve in ("linear", "non_linear", "perceptual")
]
# Balanced in GIMP, with its own name behind "gimp-", and by the command line.
PHOTOS = ("photo.png", "astronaut.png", "deep.png", "adobe.tif", "linear.tif")
# Makes a file system without room, then runs the rest of the command line.
FULL_DISK = """
mkdir -p /io/small && mount -t tmpfs -o size=64k small /io/small
cat /dev/zero > /io/small/ballast 2>/dev/null || true
exec "$@"
"""

# Writes a picture with two layers, both selected.
WRITE_LAYERS = """
from gi.repository import Gimp, Gio
def file(name): return Gio.File.new_for_path("/io/" + name)
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file("photo.png"))
image.insert_layer(image.get_layers()[0].copy(), None, 0)
image.set_selected_layers(image.get_layers())
Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file("several.xcf"), None)
"""
# Tells which of them were balanced.
READ_LAYERS = """
from gi.repository import Gimp, Gio
file = Gio.File.new_for_path("/io/several.xcf")
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
print("BALANCED", [layer.get_parasite("vae-balance") is not None for layer in image.get_layers()])
"""


@pytest.fixture(scope="module", params=[GIMP_3_0, GIMP_3_2])
def gimp(
    request: pytest.FixtureRequest,
    root_of: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gimp]:
    """Return a GIMP with the plug-in, and with a daemon as soon as that asks for one."""
    root = root_of(request.param)
    io = tmp_path_factory.mktemp("io")
    install("3.0", io / "profile" / "plug-ins")
    write_photos(io)
    with daemon_on_demand(io):
        yield Gimp(root, io, "GIMP3_DIRECTORY")


def test_nothing_outlives_a_command_in_a_root(gimp: Gimp) -> None:
    longer = "(sleep 2; touch /io/outlived) & echo started"
    assert gimp.run("sh", "-c", longer) == "started\n"
    with pytest.raises(roots.RootError, match=r"took over 0\.5 s: started"):
        roots.output_inside(gimp.root, gimp.io, ["sh", "-c", f"{longer}; wait"], seconds=0.5)
    time.sleep(2.5)
    assert not (gimp.io / "outlived").exists()


def python_in_gimp(gimp: Gimp, script: str, *before: str) -> str:
    """Run a script of /io in GIMP's Python; return what was printed."""
    run = f"exec(compile(open('/io/{script}').read(), '{script}', 'exec'))"
    console = ["gimp-console", "-id", "--batch-interpreter", "python-fu-eval", "-b", run, "--quit"]
    return gimp.run(*before, *console)


@pytest.fixture(scope="module")
def results(gimp: Gimp) -> dict[str, str]:
    """Run all cases in one GIMP; return what each raised."""
    shutil.copy(HERE / "cases.py", gimp.io)
    output = python_in_gimp(gimp, "cases.py", "sh", "-euc", FULL_DISK, "sh")
    path = gimp.io / "results.json"
    assert path.exists(), output
    found: dict[str, str] = json.loads(path.read_text())
    assert sorted(found) == sorted(CASES), output
    return found


def write_photos(folder: Path) -> None:
    """Write photos with a cast, in several kinds of files, and two LUTs."""
    from vae_balance.photos.sample import SAMPLE, cast
    from vae_balance.training.damage import random_damage

    nodes = "".join(f"{r} {g} {b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (folder / "identity.cube").write_text(f"LUT_3D_SIZE 2\n{nodes}")
    inverse = "\n".join(reversed(nodes.splitlines()))
    (folder / "inverse.cube").write_text(f"LUT_3D_SIZE 2\n{inverse}\n")
    small = in_yellow_light(picture(80, 100) / 255)
    bytes8, bytes16 = np.uint8(small * 255), np.uint16(small * 65535)
    Image.fromarray(bytes8).save(folder / "photo.png")
    with Image.open(SAMPLE) as photo:
        colors = np.asarray(photo, np.float32) / np.float32(255)
    lit_photo().save(folder / "lit.png")
    sound = Image.fromarray(np.uint8(colors * 255 + 0.5))
    sound.save(folder / "sound.png")
    sound.convert("L").save(folder / "grey.png")
    # Auto makes more than one round of it: one and ten give other pictures, which tours wait for.
    ruined = random_damage(np.random.default_rng(1), "expired film", 2.0)(colors)
    Image.fromarray(np.uint8(ruined * 255 + 0.5)).save(folder / "tour.png")
    expired = Image.fromarray(np.uint8(cast(colors) * 255 + 0.5))
    expired.crop((0, 100, 512, 420)).save(folder / "astronaut.png")
    write_png16(folder / "deep.png", bytes16)
    for name, gamma in (("adobe.tif", 2.2), ("linear.tif", 1.0)):
        profile = icc_profile(ADOBE_RGB, gamma_curve(gamma))
        tifffile.imwrite(folder / name, bytes16, photometric="rgb", iccprofile=profile)


def in_yellow_light(colors: np.ndarray) -> np.ndarray:
    """Return colors, (H, W, 3), 0..1, with a cast."""
    return np.stack([colors[..., 0] ** 0.7, colors[..., 1] * 0.9, colors[..., 2] * 0.6], -1)


def write_png16(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W, 3) of 16 bits, which Pillow cannot."""
    from vae_balance.photos.photo import Photo, write_photo

    write_photo(Photo(pixels), path)


def read(path: Path) -> np.ndarray:
    """Return the first three channels of a picture, 0..1."""
    from vae_balance.photos.photo import read_photo

    pixels = read_photo(path).pixels[..., :3]
    return pixels / np.iinfo(pixels.dtype).max


@pytest.mark.parametrize("case", CASES)
def test_in_gimp(results: dict[str, str], case: str) -> None:
    assert not results[case], results[case]


@pytest.fixture(scope="module")
def by_command(gimp: Gimp) -> Path:
    """Return a folder with the photos as the command line balances them."""
    folder = gimp.io / "by-command"
    options = ["--iterations", "2", "--strength", "0.9", "--device", "cpu"]
    photos = [str(gimp.io / name) for name in PHOTOS]
    command = [sys.executable, "-m", "vae_balance", "balance", *photos, "--out-dir", str(folder)]
    subprocess.run([*command, *options], check=True)
    return folder


@pytest.mark.parametrize("name", PHOTOS)
def test_gimp_and_the_command_line_give_the_same_pixels(
    gimp: Gimp, results: dict[str, str], by_command: Path, name: str
) -> None:
    assert not results["case_photos_of_each_kind_are_balanced_as_the_command_line_does"]
    wanted, got = read(by_command / name), read(gimp.io / f"gimp-{name}")
    assert np.abs(wanted - read(gimp.io / name)).max() > 0.05
    assert np.abs(wanted - got).max() <= 1 / 255 + 1e-9


def test_the_examples_of_the_documentation_run(gimp: Gimp) -> None:
    """They are for files in /home/me, which here is a link to /io."""
    gimp.run("ln", "-sfn", "/io", "/home/me")
    text = (PROJECT / "docs/gimp.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S)
    assert [language for language, _text in examples] == ["python", "python", "scheme", "sh"]
    for name in ("scan.png", "next.png"):
        shutil.copy(gimp.io / "photo.png", gimp.io / name)
    balanced = gimp.io / "balanced.png"
    for language, text in examples[1:]:
        (gimp.io / "example").write_text(text)
        if language == "python":
            output = python_in_gimp(gimp, "example")
        elif language == "scheme":
            scheme = ["--batch-interpreter", "plug-in-script-fu-eval", "-b", text]
            output = gimp.run("gimp-console", "-id", *scheme, "--quit")
        else:
            output = gimp.run("sh", "/io/example")
        assert balanced.exists(), output
        assert np.abs(read(balanced) - read(gimp.io / "photo.png")).max() > 0.05
        balanced.unlink()


def tour(gimp: Gimp, kind: str) -> None:
    """Go through dialogs; the screenshots stay in the test's folder, which pytest keeps."""
    for name in ("window.py", "tour.py"):
        shutil.copy(HERE / name, gimp.io)
    output = gimp.run("python3", "/io/tour.py", kind)
    assert "TOUR OK" in output, output


@pytest.mark.parametrize("language", ["en_US", "de_DE"])
def test_a_tour_through_the_dialogs(gimp: Gimp, language: str) -> None:
    tour(gimp, language)


@pytest.mark.parametrize("kind", ["light-1", "dark-2", "sound"])
def test_the_dialog_fits_and_says_what_was_found(gimp: Gimp, kind: str) -> None:
    tour(gimp, kind)


def test_a_grayscale_image_is_colorized_in_one_step_to_undo(gimp: Gimp) -> None:
    tour(gimp, "grey")


def test_a_photo_with_colors_is_colorized_if_that_is_switched_on(gimp: Gimp) -> None:
    tour(gimp, "color")


def test_mixed_light_is_chosen_seen_and_corrected_and_its_lut_is_an_average(gimp: Gimp) -> None:
    lut = gimp.io / "average.cube"
    lut.unlink(missing_ok=True)
    tour(gimp, "lit")
    assert "\n# average: over the places of a look that differs" in lut.read_text()


def test_several_layers_are_balanced_in_one_step_to_undo(gimp: Gimp) -> None:
    for name, script in (("write_layers.py", WRITE_LAYERS), ("read_layers.py", READ_LAYERS)):
        (gimp.io / name).write_text(script)
    python_in_gimp(gimp, "write_layers.py")
    tour(gimp, "several")
    assert "BALANCED [True, True]" in python_in_gimp(gimp, "read_layers.py")
