"""The plug-in of GIMP 2.10 in a real Python 2.7, with stand-ins for GIMP and the daemon."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_daemon import HANDLERS, FakeDaemon, Reply, result
from old_pythons import UnobtainableError, obtain
from plugin_folder import install

HERE = Path(__file__).parent
DTYPES = {"u8": np.uint8, "u16": np.uint16, "f16": np.float16, "f32": np.float32}
# These have tests of their own.
SPECIAL = (
    "profiles", "selections", "death", "death_before_there_is_a_new_layer", "german",
)  # fmt: skip
CHECKS = re.findall(r"^def check_(\w+)", (HERE / "drive_210.py").read_text(encoding="utf-8"), re.M)


@pytest.fixture(scope="module")
def python27() -> str:
    """Return a real Python 2.7, Debian's or this computer's."""
    try:
        return str(obtain()["python2.7"])
    except UnobtainableError as error:
        found = shutil.which("python2.7")
        if found is None:
            pytest.skip(f"no Python 2.7: {error}")
        return found


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Return a daemon that turns colors over, whatever their type, and leaves alpha alone."""
    fake = FakeDaemon(tmp_path / "Zustände")
    fake.handlers["apply"] = turn_over
    yield fake
    fake.stop()


def turn_over(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    dtype: np.dtype[Any] = np.dtype(DTYPES[header["dtype"]])
    pixels = np.frombuffer(frames[0], dtype).reshape(-1, header["channels"]).copy()
    full = 1 if dtype.kind == "f" else np.iinfo(dtype).max
    pixels[:, :3] = full - pixels[:, :3]
    return result(pixels.tobytes(), look=header["look"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the installed plug-in, in the folder of somebody whose name is not ASCII."""
    plug_ins = tmp_path / "Jörg" / "plug-ins"
    return install("2.10", plug_ins)


def drive(name: str, python27: str, folder: Path, daemon: FakeDaemon, **variables: str) -> None:
    """Run one check in Python 2.7."""
    environ = {
        **daemon.environ,
        "GIMP2_DIRECTORY": str(folder.parents[1]),
        "HOME": str(folder.parents[1]),
        "LANG": "C.UTF-8",
        "LANGUAGE": "en",
        "PYTHONPATH": str(HERE / "standin_210"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "VAE_BALANCE_COMMAND": "false",
        **variables,
    }
    done = subprocess.run(
        [python27, str(HERE / "drive_210.py"), str(folder), name],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.endswith("ok\n"), done.stdout
    assert "Traceback" not in done.stdout or name == "defects"


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in SPECIAL])
def test_check(name: str, python27: str, folder: Path, daemon: FakeDaemon) -> None:
    drive(name, python27, folder, daemon)


def test_colors_go_with_the_profile_that_describes_them(
    python27: str, folder: Path, daemon: FakeDaemon
) -> None:
    drive("profiles", python27, folder, daemon)
    for verb in ("shrink", "apply"):
        profiles = [header["profile"] for header in daemon.seen if header["verb"] == verb]
        assert profiles == [None, b"own", b"built-in", b"own"]


def test_only_what_is_selected_is_learned_from(
    python27: str, folder: Path, daemon: FakeDaemon
) -> None:
    visible = []

    def look(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply] | None:
        dtype = DTYPES[header["dtype"]]
        shape = (header["rows"], header["width"], header["channels"])
        visible.append(np.frombuffer(frames[0], dtype).reshape(shape)[..., 3] > 0)
        return HANDLERS["shrink"](daemon, header, frames)

    daemon.handlers["shrink"] = look
    drive("selections", python27, folder, daemon)
    places = np.indices((300, 40)).sum(0)[60:90, 10:30] % 3 > 0
    assert len(visible) == 12
    assert all(np.array_equal(seen, places) for seen in visible)
    kinds = [header["kind"] for header in daemon.seen if header["verb"] == "shrink"]
    assert set(kinds) == {"frame"}


@pytest.mark.parametrize("name", ["death", "death_before_there_is_a_new_layer"])
def test_a_daemon_that_dies_leaves_the_image(
    name: str, python27: str, folder: Path, daemon: FakeDaemon
) -> None:
    strips = []

    def die(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply] | None:
        strips.append(header)
        daemon.stopping = True
        return None

    daemon.handlers["apply"] = die
    drive(name, python27, folder, daemon)
    assert strips


def test_messages_are_in_the_user_s_language(
    python27: str, folder: Path, daemon: FakeDaemon
) -> None:
    drive("german", python27, folder, daemon, LANGUAGE="de_AT:de")


def test_gimp_can_run_it() -> None:
    path = HERE.parents[1] / "gimp-plugin/vae-balance-2.10/vae-balance.py"
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env python2\n")
    assert os.access(path, os.X_OK)
