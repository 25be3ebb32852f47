"""`vae-balance balance` with a daemon: the same files, messages and exit codes, without torch."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from daemon_process import Daemon
from fake_daemon import FakeDaemon, Reply
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile
from pictures import picture
from PIL import Image

from vae_balance import __version__

WAIT = 120.0  # seconds, for what should take a few
PROFILE = icc_profile(DISPLAY_P3, SRGB_CURVE)
MANY = [f"{number:02d}.png" for number in range(12)]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Return a daemon that the tests of this file share."""
    running = Daemon(tmp_path_factory.mktemp("daemon"))
    yield running
    assert running.end() == 0, running.log()


@dataclass
class Outcome:
    """What a command has left: exit code, both streams, files by name, and their permissions."""

    code: int
    out: str
    err: str
    files: dict[str, bytes]
    modes: dict[str, int]

    def told(self) -> object:
        """Return all but the time it took."""
        return self.code, re.sub(r'"seconds": [\d.]+', "", self.out), self.err


@dataclass
class Command:
    """Runs `vae-balance balance` in a folder, in a process of its own."""

    folder: Path
    model: Path
    environ: dict[str, str]
    umask: int = 0o022

    def start(self, *arguments: object, **environ: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "vae_balance", "balance", *map(str, arguments)]
        if "--model" not in arguments:
            command += ["--model", str(self.model)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            umask=self.umask,
        )

    def __call__(self, *arguments: object, **environ: str) -> Outcome:
        before = set(self.folder.rglob("*"))
        process = self.start(*arguments, **environ)
        out, err = process.communicate(timeout=WAIT)
        made = [path for path in self.folder.rglob("*") if path.is_file() and path not in before]
        names = {path: str(path.relative_to(self.folder)) for path in made}
        files = {names[path]: path.read_bytes() for path in made}
        modes = {names[path]: stat.S_IMODE(path.stat().st_mode) for path in made}
        for path in made:
            path.unlink()
        return Outcome(process.returncode, out, err, files, modes)


@pytest.fixture
def command(tmp_path: Path, daemon: Daemon, random_model: Path) -> Command:
    folder = tmp_path / "photos"
    folder.mkdir()
    return Command(folder, random_model, daemon.environ)


def jpeg(folder: Path, name: str = "a.jpg", seed: int = 0) -> str:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    image = Image.fromarray(picture(90, 120, seed))
    image.save(folder / name, exif=exif, icc_profile=PROFILE, quality=93)
    return name


def tiff(folder: Path) -> str:
    pixels = picture(90, 120).astype(np.uint16) * 257
    tifffile.imwrite(folder / "b.tif", pixels, photometric="rgb", iccprofile=PROFILE)
    return "b.tif"


def png(folder: Path, name: str = "c.png", seed: int = 0) -> str:
    pixels = picture(90, 120, seed)
    alpha = np.repeat(np.arange(120, dtype=np.uint8)[None, :, None], 90, axis=0) * 2
    Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(folder / name)
    return name


def was_asked(daemon: Daemon) -> int:
    return daemon.log().count(' batch client="vae-balance balance"')


def both_ways(command: Command, daemon: Daemon, *arguments: object) -> Outcome:
    """Return the outcome, which must be the same with the daemon and without."""
    here = command(*arguments, "--daemon", "never")
    asked = was_asked(daemon)
    there = command(*arguments)
    assert there.told() == here.told()
    assert there.files == here.files
    assert there.modes == here.modes
    daemon.wait_for(lambda: was_asked(daemon) == asked + 1)
    return there


def test_photos_of_all_kinds_are_the_same_files(command: Command, daemon: Daemon) -> None:
    names = [jpeg(command.folder), tiff(command.folder), png(command.folder)]
    done = both_ways(command, daemon, *names, "--out-dir", "out", "--json")
    assert (done.code, sorted(done.files)) == (0, ["out/a.jpg", "out/b.tif", "out/c.png"])
    told = json.loads(done.out)
    assert [(one["photo"], one["output"]) for one in told] == [(n, f"out/{n}") for n in names]
    assert all(re.fullmatch("[0-9a-f]{64}", one["lut_sha256"]) for one in told)


def test_light_that_differs_from_place_to_place_is_corrected_alike(
    command: Command, daemon: Daemon
) -> None:
    names = [jpeg(command.folder), png(command.folder)]
    done = both_ways(command, daemon, *names, "--out-dir", "out", "--model", "mixed-light")
    assert (done.code, sorted(done.files)) == (0, ["out/a.jpg", "out/c.png"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--cube", "look.cube", "--seed", "7", "--proxy", "frame", "--iterations", "2"],
        ["--cube", "look.png", "--strength", "1.3", "--size", "16"],
        ["--model", "stretch", "--cube", "look.cube"],
    ],
)
def test_options_and_looks_are_the_same(
    command: Command, daemon: Daemon, options: list[str]
) -> None:
    done = both_ways(command, daemon, jpeg(command.folder), "-o", "out.jpg", "--json", *options)
    assert done.code == 0
    assert sorted(done.files) == sorted(["out.jpg", options[options.index("--cube") + 1]])


@pytest.mark.slow
def test_the_embedded_model_gives_the_same(command: Command, daemon: Daemon) -> None:
    arguments = (jpeg(command.folder), "-o", "out.jpg", "--json", "--model", "embedded")
    assert both_ways(command, daemon, *arguments).code == 0


def test_errors_of_photos_are_the_same(command: Command, daemon: Daemon) -> None:
    Path(command.folder, "text.jpg").write_text("no photo")
    Path(command.folder, "out").mkdir()
    Image.fromarray(picture()).save(command.folder / "out" / "there.png")
    names = [png(command.folder, "there.png"), "missing.png", "text.jpg", png(command.folder)]
    done = both_ways(command, daemon, *names, "--out-dir", "out", "--json")
    assert (done.code, list(done.files)) == (1, ["out/c.png"])
    assert len(done.err.splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("there.png", 4), ("missing.png", 1)])
def test_exit_codes_are_the_same(command: Command, daemon: Daemon, name: str, code: int) -> None:
    png(command.folder, "there.png")
    png(command.folder, "out.png")
    output = "out.png" if name == "there.png" else "new.png"
    assert both_ways(command, daemon, name, "-o", output).code == code


def test_warnings_about_a_photo_are_the_same(command: Command, daemon: Daemon) -> None:
    image = Image.fromarray(picture())
    image.save(command.folder / "a.png", icc_profile=b"no profile at all" * 20)
    done = both_ways(command, daemon, "a.png", "-o", "out.png")
    assert done.code == 0
    assert "profile" in done.err and str(command.folder) not in done.err


@pytest.mark.slow
@pytest.mark.parametrize(("umask", "source"), [(0o077, 0o644), (0o002, 0o664), (0o022, 0o600)])
def test_permissions_are_the_same(
    command: Command, daemon: Daemon, umask: int, source: int
) -> None:
    command.umask = umask
    png(command.folder, "a.png")
    Path(command.folder, "a.png").chmod(source)
    done = both_ways(command, daemon, "a.png", "-o", "out.png", "--cube", "a.cube")
    assert done.modes["out.png"] == 0o666 & ~umask & (source | 0o600)


@pytest.mark.slow
def test_files_that_exist_are_overwritten_if_that_is_asked_for(
    command: Command, daemon: Daemon
) -> None:
    png(command.folder, "a.png")
    png(command.folder, "out.png", seed=9)
    before = Path(command.folder, "out.png").read_bytes()
    assert command("a.png", "-o", "out.png", "--force").code == 0
    assert Path(command.folder, "out.png").read_bytes() != before


@pytest.mark.slow
def test_more_threads_learn_the_same_as_here(command: Command, daemon: Daemon) -> None:
    arguments = (jpeg(command.folder), "-o", "out.jpg", "--model", "embedded", "--json")
    here = command(*arguments, "--daemon", "never", OMP_NUM_THREADS="2")
    there = command(*arguments, OMP_NUM_THREADS="2")
    assert (there.told(), there.files) == (here.told(), here.files)


def test_neither_numpy_nor_torch_is_imported(command: Command) -> None:
    jpeg(command.folder)
    run = (
        "import sys\nfrom vae_balance.cli import main\n"
        "main(['balance', 'a.jpg', '-o', 'b.jpg', '--cube', 'b.cube', '--json', '--model',"
        f" {str(command.model)!r}], standalone_mode=False)\n"
        "heavy = {'numpy', 'torch', 'PIL', 'OpenImageIO', 'PyOpenColorIO'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", run],
        cwd=command.folder,
        env=command.environ,
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert done.returncode == 0, done.stderr
    assert Path(command.folder, "b.jpg").exists() and Path(command.folder, "b.cube").exists()


def test_what_only_this_process_can_do_is_done_here(command: Command, daemon: Daemon) -> None:
    png(command.folder, "a.png")
    asked = was_asked(daemon)
    assert command("a.png", "-o", "missing/out.png").code == 1
    assert command("a.png", "-o", "out.png", "--device", "cuda:7").code == 2
    assert command("a.png", "-o", "out.png", "--daemon", "never").code == 0
    assert was_asked(daemon) == asked
    assert command("a.png", "-o", "out.png", "--device", "cpu").code == 0
    daemon.wait_for(lambda: was_asked(daemon) == asked + 1)


# A daemon that is not well


@pytest.fixture
def alone(tmp_path: Path, random_model: Path) -> Command:
    """Return a command that no daemon runs for, in a folder with a photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    png(folder, "a.png")
    environ = {name: v for name, v in os.environ.items() if not name.startswith("VAE_BALANCE_")}
    more = {"VAE_BALANCE_STATE": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path)}
    return Command(folder, random_model, {**environ, **more})


@pytest.fixture
def fake(alone: Command) -> Iterator[FakeDaemon]:
    running = FakeDaemon(Path(alone.environ["VAE_BALANCE_STATE"]))
    running.handlers["hello"] = lambda *_: hello(__version__)
    yield running
    running.stop()


def hello(version: str) -> list[Reply]:
    limits = {"frame_bytes": 1 << 24, "header_bytes": 1 << 22, "requests": 64}
    limits |= {"window_bytes": 1 << 26, "proxies": 400}
    fields = {"version": version, "protocol": 1, "pid": 1, "device": "cpu", "models": []}
    return [("result", {**fields, "limits": limits}, [])]


def done_photo(number: int, total: int, **changes: Any) -> Reply:
    told = {"stage": "photo", "done": number + 1, "total": total, "photo": number}
    told |= {"outcome": "done", "code": "", "message": "", "look": "5" * 64, "device": "cpu"}
    told |= {"width": 1, "height": 1, "seconds": {"read": 0.5}, "warnings": []}
    return ("progress", {**told, **changes}, [])


def test_without_a_daemon_nothing_is_said_and_none_is_started(alone: Command) -> None:
    done = alone("a.png", "-o", "out.png")
    assert (done.code, done.err, list(done.files)) == (0, "", ["out.png"])
    assert not Path(alone.environ["VAE_BALANCE_STATE"]).exists()


def test_a_daemon_of_another_version_is_told_of_and_not_asked(
    alone: Command, fake: FakeDaemon
) -> None:
    fake.handlers["hello"] = lambda *_: hello("0.0.1")
    done = alone("a.png", "-o", "out.png")
    assert (done.code, list(done.files)) == (0, ["out.png"])
    assert len(done.err.splitlines()) == 1
    assert "0.0.1" in done.err and "vae-balance stop" in done.err
    assert [request["verb"] for request in fake.seen] == ["hello"]
    assert alone("a.png", "-o", "out.png", "--quiet").err == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"), [("busy", "too much to do"), ("internal", "a defect"), ("memory", "none")]
)
def test_what_the_daemon_refuses_is_done_here(
    alone: Command, fake: FakeDaemon, code: str, message: str
) -> None:
    fake.handlers["batch"] = lambda *_: [("error", {"code": code, "message": message}, [])]
    done = alone("a.png", "-o", "out.png")
    assert (done.code, list(done.files)) == (0, ["out.png"])
    assert done.err == f"vae-balance: {message}; going on without the daemon\n"


@pytest.mark.slow
def test_a_photo_that_is_too_much_for_the_daemon_is_done_here(
    alone: Command, fake: FakeDaemon
) -> None:
    failed = {"outcome": "failed", "code": "memory", "message": "not enough memory"}
    fake.handlers["batch"] = lambda *_: [
        done_photo(0, 1, **failed),
        ("result", {"done": 0, "failed": 1}, []),
    ]
    done = alone("a.png", "-o", "out.png")
    assert (done.code, list(done.files)) == (0, ["out.png"])


@pytest.mark.slow
def test_a_daemon_that_talks_nonsense_is_left(alone: Command, fake: FakeDaemon) -> None:
    fake.handlers["batch"] = lambda *_: [done_photo(0, 1, seconds="many")]
    done = alone("a.png", "-o", "out.png")
    assert (done.code, list(done.files)) == (0, ["out.png"])
    assert len(done.err.splitlines()) == 1


def test_what_a_daemon_has_done_before_it_dies_stays_and_the_rest_is_done_here(
    alone: Command, fake: FakeDaemon
) -> None:
    names = [png(alone.folder, name, seed) for seed, name in enumerate(["a.png", "b.png", "c.png"])]
    here = alone(*names, "--out-dir", "out", "--daemon", "never").files
    # The first is told of; of the second the daemon can tell no more; the third is of another.
    contents = [b"what the daemon has made", here["out/b.png"], b"of another program"]

    def batch(running: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> None:
        for (_, target, _), content in zip(header["photos"], contents, strict=True):
            Path(target).write_bytes(content)
        running.finish(running.seen[-1]["request"], [done_photo(0, 3)])
        running.after(0.2, lambda: setattr(running, "stopping", True))

    fake.handlers["batch"] = batch
    done = alone(*names, "--out-dir", "out", "--json")
    assert (done.code, [done.files[f"out/{name}"] for name in names]) == (4, contents)
    reason, refusal = done.err.splitlines()
    assert "going on without the daemon" in reason and "out/c.png: exists already" in refusal
    first, second, third = json.loads(done.out)
    assert first["lut_sha256"] == "5" * 64 != second["lut_sha256"]
    assert "error" not in second and "out/c.png" in third["error"]


@pytest.mark.slow
def test_a_daemon_that_is_killed_in_the_middle_costs_nothing(
    alone: Command, tmp_path: Path
) -> None:
    for seed, name in enumerate(MANY):
        png(alone.folder, name, seed)
    running = Daemon(tmp_path)
    process = alone.start(*MANY, "--out-dir", "out")
    running.wait_for(lambda: any((alone.folder / "out").glob("[0-9]*.png")), WAIT)
    running.kill()
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0
    assert sorted(path.name for path in (alone.folder / "out").iterdir()) == MANY
    assert len(err.splitlines()) <= 1
    there = {path.name: path.read_bytes() for path in (alone.folder / "out").iterdir()}
    here = alone(*MANY, "--out-dir", "here", "--daemon", "never")
    assert {f"here/{name}": content for name, content in there.items()} == here.files


def test_a_daemon_that_hangs_is_not_waited_for(alone: Command, tmp_path: Path) -> None:
    running = Daemon(tmp_path)
    running.process.send_signal(signal.SIGSTOP)
    try:
        done = alone("a.png", "-o", "out.png")
    finally:
        running.process.send_signal(signal.SIGCONT)
        running.end()
    assert (done.code, list(done.files)) == (0, ["out.png"])
    assert len(done.err.splitlines()) == 1 and "does not answer" in done.err


@pytest.mark.slow
def test_ctrl_c_stops_the_daemon_as_well(alone: Command, tmp_path: Path) -> None:
    for seed, name in enumerate(MANY):
        png(alone.folder, name, seed)
    running = Daemon(tmp_path)
    try:
        process = alone.start(*MANY, "--out-dir", "out", "--model", "embedded", "--iterations", 10)
        running.wait_for(lambda: any((alone.folder / "out").glob("[0-9]*.png")), WAIT)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT)
        assert (process.returncode, err.strip()) == (130, "vae-balance: interrupted")
        with running.client() as client:
            assert client.status()["running"] == []
        written = sorted((alone.folder / "out").iterdir())
        assert len(written) < len(MANY)
        time.sleep(0.5)
        assert sorted((alone.folder / "out").iterdir()) == written
    finally:
        running.end()


def test_a_daemon_is_started_where_the_settings_say_so(
    alone: Command, tmp_path: Path, end_daemon: Callable[[Path], None]
) -> None:
    settings = tmp_path / "vae-balance" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('start_daemon = true\ndevice = "cpu"\n')
    done = alone("a.png", "-o", "out.png")
    state = Path(alone.environ["VAE_BALANCE_STATE"])
    try:
        assert (done.code, done.err, list(done.files)) == (0, "", ["out.png"])
        assert (state / "daemon.json").exists()
        assert alone("a.png", "-o", "out.png").files == done.files
        log = (state / "daemon.log").read_text(encoding="utf-8")
        assert log.count(' batch client="vae-balance balance"') >= 1
    finally:
        end_daemon(state)


@pytest.mark.slow
def test_settings_that_are_wrong_start_nothing_and_say_so(alone: Command, tmp_path: Path) -> None:
    settings = tmp_path / "vae-balance" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('start_daemon = "perhaps"\n')
    done = alone("a.png", "-o", "out.png")
    assert (done.code, list(done.files)) == (0, ["out.png"])
    assert "start_daemon is 'perhaps': it must be true or false" in done.err


@pytest.fixture
def end_daemon() -> Callable[[Path], None]:
    def end(state: Path) -> None:
        environ = {**os.environ, "VAE_BALANCE_STATE": str(state)}
        command = [sys.executable, "-m", "vae_balance", "stop"]
        subprocess.run(command, env=environ, check=True, capture_output=True, timeout=WAIT)

    return end
