"""The installer's whole life beside a real GIMP 3: as a user, in a Debian, without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import roots
from suites import GIMP_3_0, GIMP_3_2
from wheels import wheels_of_checkout

from vae_balance import __version__

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]

USER, HOME = 1000, "/io/home"
INSTALLED_MB = 2200  # an environment with PyTorch, the wheels that it comes from, a checkout
VERSIONS = {"trixie": "3.0", "sid": "3.2"}
# A network with nothing but this computer; processes that stay behind are ended.
ALONE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc"]
WITH_LOOPBACK = 'ip link set lo up; exec "$@"'
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
NOT_COPIED = (".git", ".venv", "demo", "dist", "quality", "__pycache__", ".*_cache", ".hypothesis")


@pytest.fixture(scope="module", params=[GIMP_3_0, GIMP_3_2])
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Run all steps; return what each printed and left."""
    version = VERSIONS[request.param]
    try:
        roots.check_host()
    except roots.RootError as error:
        pytest.skip(f"no real GIMP here: {error}")
    if Path(sys.base_prefix) == Path("/usr"):
        pytest.skip("the system's own Python cannot be taken along into another Debian")
    io = tmp_path_factory.mktemp("io")
    try:
        root = roots.gimp_3(request.param)
        wheels = wheels_of_checkout()
        roots.check_room(io, INSTALLED_MB)
    except roots.NoRoomError as error:
        pytest.skip(f"no installation here: {error}")
    try:
        return run_steps(root, io, wheels, version)
    finally:
        shutil.rmtree(io)  # other tests need the room


def run_steps(root: Path, io: Path, wheels: Path, version: str) -> dict[str, Any]:
    """Run all steps in a root; return what each printed and left."""
    shutil.copytree(PROJECT, io / "checkout", ignore=shutil.ignore_patterns(*NOT_COPIED))
    copy_python(Path(sys.base_prefix), io / "python")
    shutil.copytree(wheels, io / "wheels", copy_function=link_or_copy)
    shutil.copy(PROJECT / "daemon/vae_balance/photos/samples/astronaut.jpg", io / "photo.png")
    shutil.copy(HERE / "beside_gimp.py", io)
    (io / "home").mkdir()
    for path in (io, io / "home"):
        os.chown(path, USER, USER)
    io.chmod(0o755)
    steps = [*AS_USER, "python3", "/io/beside_gimp.py"]
    # Where the Python that was taken along finds its own library.
    variables = {"LD_LIBRARY_PATH": "/io/python/lib", "OMP_NUM_THREADS": "1"}
    user = {"HOME": HOME, "USER": "anna", "GIMP_VERSION": version}
    inside = roots.command_inside(root, io, steps, **variables, **user)
    done = subprocess.run(
        [*ALONE, WITH_LOOPBACK, "sh", *inside],
        capture_output=True,
        text=True,
        timeout=1.5 * roots.PATIENCE,
    )
    found: dict[str, Any] = json.loads((io / "results.json").read_text())
    assert done.returncode == 0, done.stderr + json.dumps(found, indent=1)[-3000:]
    found["report"] = (io / "report.json").read_text()
    found["gimp"] = f"GIMP {version} (package or AppImage)"
    return found


def copy_python(prefix: Path, target: Path) -> None:
    """Copy a Python without what was installed into it."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name in ("site-packages", "test", "share", "include")]

    shutil.copytree(prefix, target, copy_function=link_or_copy, ignore=left_out, symlinks=True)


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another disk
        shutil.copy2(source, target)


def output(results: dict[str, Any], step: str) -> str:
    text: str = results[step]["output"]
    return text


def doctor(results: dict[str, Any], step: str) -> dict[str, dict[str, Any]]:
    """Return the doctor's lines by subject."""
    document = json.loads(output(results, step))
    return {line["subject"]: line for line in document["lines"]}


def test_a_dry_run_tells_each_step_and_does_none(results: dict[str, Any]) -> None:
    told = output(results, "dry run")
    assert f"would make a Python environment in {HOME}/.local/share/vae-balance" in told
    assert "would start GIMP 3." in told
    assert results["dry run"]["home"] == {HOME: "folder"}


def test_an_installation_that_was_killed_goes_on_and_ends_well(results: dict[str, Any]) -> None:
    assert results["install"]["status"] == 0, output(results, "install")
    told = output(results, "install")
    assert "All is well." in told
    assert "open a photo, then Filters > Color > VAE Balance..." in told
    assert "/io/home/.local/share/vae-balance/self-check/before-after.png, look.cube" in told
    left = results["install"]["home"]
    for name in ("before.png", "after.png", "before-after.png", "look.cube"):
        assert f"{HOME}/.local/share/vae-balance/self-check/{name}" in left
    assert f"{HOME}/.local/share/vae-balance/downloads" not in left
    assert f"{HOME}/.local/state/vae-balance/install.log" in left


def test_installing_again_changes_nothing(results: dict[str, Any]) -> None:
    def without_logs(step: str) -> dict[str, str]:
        home = results[step]["home"].items()
        return {path: digest for path, digest in home if not path.endswith(".log")}

    assert results["install again"]["status"] == 0
    assert without_logs("install again") == without_logs("install")


def test_gimp_balances_a_photo_and_starts_the_daemon_for_it(results: dict[str, Any]) -> None:
    assert "BALANCED" in output(results, "use GIMP")
    assert json.loads(output(results, "status"))["looks"] == 1


def test_the_doctor_finds_all_well_afterwards(results: dict[str, Any]) -> None:
    assert results["doctor"]["status"] == 0, output(results, "doctor")
    lines = doctor(results, "doctor")
    assert lines[results["gimp"]]["finding"].endswith("in the menu Filters > Color")
    assert lines["package"]["finding"].startswith(f"{__version__}, with all ")
    assert "/io/" not in results["report"] and "anna" not in results["report"]


def test_the_doctor_sees_that_the_plug_in_was_changed(results: dict[str, Any]) -> None:
    line = doctor(results, "changed")[results["gimp"]]
    assert results["changed"]["status"] == 1
    assert line["finding"].startswith("missing or changed") and "vae-balance.py" in line["finding"]
    assert line["mend"] == "run the installer again: python3 installer/install.py"


def test_the_doctor_sees_that_gimp_could_not_start_the_plug_in(results: dict[str, Any]) -> None:
    line = doctor(results, "broken")[results["gimp"]]
    assert line["finding"] == f"plug-in {__version__}, but GIMP could not start it"
    assert line["mend"].startswith("check what GIMP says of vae-balance.py")


def test_installing_again_mends_the_plug_in(results: dict[str, Any]) -> None:
    assert results["mend"]["status"] == 0, output(results, "mend")
    assert f"put the plug-in for {results['gimp']} into" in output(results, "mend")


def test_uninstalling_leaves_what_was_there_and_what_is_the_users(results: dict[str, Any]) -> None:
    told = output(results, "uninstall")
    assert "vae-balance stays, with what is yours: models" in told
    made = set(results["mend"]["home"])
    gone = made - set(results["uninstall"]["home"])
    gone.remove(f"{HOME}/.local/state/vae-balance/daemon.json")  # by the daemon itself
    for path in gone:  # each is told, or lies in a folder that is
        assert any(f"{place}\n" in told for place in (path, *map(str, Path(path).parents))), path
    # GIMP, which the installer started for the first time, leaves the same without us.
    left = set(results["uninstall again"]["home"])
    assert left == set(results["use GIMP alone"]["home"])
    assert "vae_balance" not in output(results, "processes")


def test_a_dry_uninstallation_changes_nothing(results: dict[str, Any]) -> None:
    told = output(results, "dry uninstall").replace("would ", "- ").splitlines()
    assert "Nothing was changed." in told
    before, after = results["mend"]["home"], results["dry uninstall"]["home"]
    assert {path: after[path] for path in before} == before
