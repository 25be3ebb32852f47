"""Full disks and read-only ones, real and small: one line tells, and no file is half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from daemon_process import TIMEOUT, Daemon, Peer
from PIL import Image

from vae_balance.commands.console import FAILED
from vae_balance.errors import BalanceError
from vae_balance.luts.cube import read_cube
from vae_balance.photos.photo import Photo, read_photo, write_photo
from vae_balance_protocol import NotStarted
from vae_balance_protocol.client import Client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts file systems of Linux")

START = Callable[..., Daemon]
NO_MODEL = ("--keep-alive", "0")
SUFFIXES = [".jpg", ".png", ".tif", ".webp"]
EVERY_SUFFIX = [*SUFFIXES, ".heic", ".avif", ".jxl", ".jp2", ".exr", ".dpx"]
KIB = 1024


class Disk:
    """A file system in memory, of few bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self.folder = folder
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))

    def read_only(self) -> None:
        self._mount("-o", "remount,ro", str(self.folder))

    def resize(self, size: int) -> None:
        self._mount("-o", f"remount,size={size}", str(self.folder))

    def fill(self, but: int = 0) -> None:
        """Fill all but so many bytes."""
        (self.folder / "filler").unlink(missing_ok=True)
        space = shutil.disk_usage(self.folder).free - but
        (self.folder / "filler").write_bytes(bytes(space))

    def files(self) -> dict[str, bytes]:
        found = [path for path in self.folder.rglob("*") if path.is_file()]
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in found
            if path.name != "filler"
        }

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments], check=True, capture_output=True)


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """Return a function that makes a small disk, `make_disk("name", 100 * KIB)`."""
    with ExitStack() as stack:

        def make(name: str, size: int) -> Disk:
            try:
                disk = Disk(tmp_path / name, size)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"this user may not mount file systems: {error}")
            stack.callback(disk.unmount)
            return disk

        yield make


@pytest.fixture
def noise(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a photo of 200 x 150 pixels that no format makes small."""

    def write(name: str, seed: int = 0) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (150, 200, 3), np.uint8)
        Image.fromarray(pixels).save(path, lossless=True)
        return path

    return write


def batch(
    peer: Peer, photos: Sequence[tuple[Path, Path, Path | None]], model: Path, **fields: Any
) -> dict[int, str]:
    """Return what the daemon says of each photo, "" if it is done."""
    rows = [[str(s), str(t), cube and str(cube)] for s, t, cube in photos]
    request = peer.send("batch", photos=rows, model=str(model), jobs=1, **fields)
    told = {}
    while (answer := peer.receive()) is not None and answer.header["type"] == "progress":
        if "photo" in answer.header:  # not only told again how far it is
            told[answer.header["photo"]] = answer.header["message"]
    assert answer is not None
    assert answer.request == request
    assert answer.header["type"] == "result", answer.header
    return told


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_photo_that_does_not_fit_fails_alone(
    peer: Peer,
    make_disk: Callable[..., Disk],
    noise: Callable[..., Path],
    random_model: Path,
    tmp_path: Path,
    suffix: str,
) -> None:
    disk = make_disk("disk", 40 * KIB)
    large, small = noise(f"large{suffix}"), tmp_path / "in" / f"small{suffix}"
    Image.new("RGB", (32, 24), "orange").save(small)
    photos = [(path, disk.folder / path.name, None) for path in (large, small)]
    told = batch(peer, photos, random_model)
    assert told[1] == ""
    assert told[0].startswith(f"{disk.folder / large.name}: cannot be written: ")
    assert "free some space" in told[0] or "is the disk full?" in told[0]
    assert list(disk.files()) == [small.name]
    Image.open(disk.folder / small.name).load()

    disk.resize(1000 * KIB)
    assert batch(peer, photos[:1], random_model) == {0: ""}
    Image.open(disk.folder / large.name).load()


@pytest.mark.parametrize(
    ("suffix", "size"),
    [
        *((suffix, 60) for suffix in (".heic", ".avif", ".jxl", ".jp2", ".exr", ".dpx")),
        *((".jp2", size) for size in (4, 90, 150)),
    ],
)
def test_no_format_takes_a_full_disk_for_success(
    make_disk: Callable[..., Disk], suffix: str, size: int
) -> None:
    disk = make_disk("disk", size * KIB)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    target = disk.folder / f"photo{suffix}"
    with pytest.raises(BalanceError, match=r"free some space|is the disk full") as raised:
        write_photo(Photo(pixels), target)
    assert str(raised.value).startswith(f"{target}: cannot be written: ")
    assert disk.files() == {}


@pytest.mark.parametrize("suffix", EVERY_SUFFIX)
@pytest.mark.parametrize("side", [32, 64])
def test_the_last_bytes_of_a_photo_are_missed_where_there_is_no_room_for_them(
    make_disk: Callable[..., Disk], suffix: str, side: int
) -> None:
    """They wait in a buffer until the file is closed, which is where writers stop looking."""
    disk = make_disk("disk", 200 * KIB)
    target = disk.folder / f"photo{suffix}"
    failed = 0
    for dtype in (np.uint8, np.uint16):
        most = np.iinfo(dtype).max
        pixels = np.random.default_rng(0).integers(0, most + 1, (side, side, 3)).astype(dtype)
        for free in (0, 4, 8, 12, 16, 24):
            disk.fill(but=free * KIB)
            try:
                write_photo(Photo(pixels), target)
            except BalanceError as error:
                failed += 1
                assert str(error).startswith(f"{target}: cannot be written: ")
                assert ".vae-balance-" not in str(error)
                assert disk.files() == {}
            else:
                assert read_photo(target).pixels.shape == pixels.shape
                target.unlink()
    assert failed >= 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_cannot_be_replaced_stays_as_it_was(
    peer: Peer,
    make_disk: Callable[..., Disk],
    noise: Callable[..., Path],
    random_model: Path,
    suffix: str,
) -> None:
    disk = make_disk("disk", 400 * KIB)
    source = noise(f"photo{suffix}")
    photos = [(source, disk.folder / source.name, disk.folder / "photo.cube")]
    disk.fill(but=4 * KIB)
    (disk.folder / source.name).write_text("the old photo")
    before = disk.files()
    assert before == {source.name: b"the old photo"}
    assert batch(peer, photos, random_model, overwrite=True)[0]
    assert disk.files() == before
    disk.read_only()
    told = batch(peer, photos, random_model, overwrite=True)
    assert "Read-only file system; choose a folder that you may write to" in told[0]
    assert disk.files() == before


def test_a_cube_that_does_not_fit_takes_its_photo_along(
    peer: Peer,
    make_disk: Callable[..., Disk],
    noise: Callable[..., Path],
    random_model: Path,
    tmp_path: Path,
) -> None:
    disk, out = make_disk("disk", 100 * KIB), tmp_path / "out"
    photos = [(noise("a.png"), out / "a.png", disk.folder / "a.cube")]
    told = batch(peer, photos, random_model)
    assert told[0].startswith(f"{disk.folder / 'a.cube'}: cannot be written: No space left")
    assert disk.files() == {}
    assert not list(out.glob("*"))
    assert not list(out.glob(".*"))
    assert batch(peer, photos, random_model, size=9) == {0: ""}
    assert read_cube(disk.folder / "a.cube").size == 9


def test_a_folder_cannot_be_made_on_a_read_only_disk(
    peer: Peer, make_disk: Callable[..., Disk], noise: Callable[..., Path], random_model: Path
) -> None:
    disk = make_disk("disk", 100 * KIB)
    disk.read_only()
    folder = disk.folder / "new"
    told = batch(peer, [(noise("a.png"), folder / "a.png", None)], random_model)
    assert told[0].startswith(f"{folder}: cannot make this folder: Read-only file system")


@pytest.mark.parametrize("name", ["look.cube", "look.png"])
def test_a_look_that_does_not_fit_is_told_in_one_line(
    run: Callable[..., Result],
    make_disk: Callable[..., Disk],
    noise: Callable[..., Path],
    random_model: Path,
    name: str,
) -> None:
    disk = make_disk("disk", 400 * KIB)
    disk.fill(but=16 * KIB)
    look = disk.folder / name
    command = ("learn", noise("a.png"), "-o", look, "--model", random_model, "--device", "cpu")
    failed = run(*command)
    assert failed.exit_code == FAILED
    assert failed.stderr.startswith(f"vae-balance: {look}: cannot be written: No space left")
    assert failed.stderr.count("\n") == 1
    assert disk.files() == {}
    disk.read_only()
    failed = run(*command)
    assert failed.exit_code == FAILED
    assert "Read-only file system" in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_a_batch_goes_on_when_there_is_space_again(
    run: Callable[..., Result],
    daemon: Daemon,
    make_disk: Callable[..., Disk],
    noise: Callable[..., Path],
    random_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VAE_BALANCE_STATE", str(daemon.state))
    names = [f"{number}.png" for number in range(6)]
    for seed, name in enumerate(names):
        source = noise(name, seed)
    disk = make_disk("disk", 400 * KIB)
    command = ("batch", source.parent, disk.folder, "--model", random_model, "--jobs", 2)
    failed = run(*command, "--no-contact-sheet")
    assert failed.exit_code == FAILED
    assert "free some space" in failed.stderr or "is the disk full?" in failed.stderr
    written = [name for name in disk.files() if name in names]
    assert 1 <= len(written) < len(names)
    for name in written:
        Image.open(disk.folder / name).load()
    assert not [name for name in disk.files() if name.startswith(".vae-balance-")]

    disk.resize(4000 * KIB)
    document = json.loads(run(*command, "--json", "--no-contact-sheet").stdout)
    outcomes = {Path(one["photo"]).name: one["outcome"] for one in document["photos"]}
    assert list(outcomes) == names
    assert set(outcomes.values()) <= {"done", "skipped"}
    for name in names:
        Image.open(disk.folder / name).load()


def test_a_batch_whose_report_cannot_grow_says_where_and_goes_on_later(
    run: Callable[..., Result],
    daemon: Daemon,
    make_disk: Callable[..., Disk],
    noise: Callable[..., Path],
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VAE_BALANCE_STATE", str(daemon.state))
    source, out = noise("a.png"), tmp_path / "out"
    disk = make_disk("disk", 100 * KIB)
    report = disk.folder / "report.jsonl"
    command = ("batch", source.parent, out, "--model", random_model, "--no-contact-sheet")
    disk.fill()
    failed = run(*command, "--report", report)
    assert (failed.exit_code, failed.stderr.count("\n")) == (FAILED, 1)
    assert f"{report.parent}/.report.jsonl.begun: cannot be written: No space" in failed.stderr
    assert "free some space" in failed.stderr
    assert list(out.iterdir()) == []

    disk.fill(but=4 * KIB)  # which what was begun takes
    failed = run(*command, "--report", report)
    assert (failed.exit_code, failed.stderr.count("\n")) == (FAILED, 1)
    assert f"{report}: cannot be written: No space left on device; free some" in failed.stderr

    disk.fill(but=50 * KIB)
    result = run(*command, "--report", report, "--json")
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in out.iterdir()] == ["a.png"]
    assert [name for name in disk.files() if name != report.name] == []


def test_weights_and_checkpoints_that_do_not_fit_leave_the_last_ones(
    make_disk: Callable[..., Disk],
) -> None:
    """Else a full disk would take hours of training along."""
    import torch

    from vae_balance.correctors.latent_balancer.vae import VAE, VAEConfig
    from vae_balance.training.checkpoint import TrainingState, append_log, save_tensors

    sizes = VAEConfig(
        encoder_channels=(8, 8),
        encoder_blocks=(1, 1),
        decoder_channels=(8, 8),
        decoder_blocks=(1, 1),
    )
    vae = VAE(sizes)
    optimizer = torch.optim.SGD(vae.parameters())
    state = TrainingState(vae, vae, optimizer, torch.Generator())
    disk = make_disk("disk", 1000 * KIB)
    checkpoint, log = disk.folder / "checkpoint.pt", disk.folder / "log.jsonl"
    vae.save_folder(disk.folder / "vae")
    state.save(checkpoint)
    append_log(log, {"step": 1.0})
    before = disk.files()
    disk.fill()
    append_log(log, {"step": 2.0})  # in a block that is begun
    writes: tuple[tuple[str, Callable[[], None]], ...] = (
        ("vae/config.json", lambda: vae.save_folder(disk.folder / "vae")),
        ("checkpoint.pt", lambda: state.save(checkpoint)),
        ("more.pt", lambda: save_tensors({"a": torch.zeros(9)}, disk.folder / "more.pt")),
        ("other.jsonl", lambda: append_log(disk.folder / "other.jsonl", {"step": 1.0})),
    )
    for name, write in writes:
        with pytest.raises(BalanceError, match=f"{name}: cannot be written") as raised:
            write()
        assert "free some space" in str(raised.value)
    disk.fill(but=4 * KIB)  # enough for what is beside the weights
    with pytest.raises(BalanceError, match=r"safetensors: cannot be written: No space left"):
        vae.save_folder(disk.folder / "vae")
    assert disk.files() == {**before, "log.jsonl": log.read_bytes(), "other.jsonl": b""}
    assert VAE.load_folder(disk.folder / "vae").config == sizes


def test_a_daemon_whose_own_disk_is_full_serves_on(
    start_daemon: START, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk("disk", 200 * KIB)
    daemon = start_daemon(*NO_MODEL, "--log-level", "debug", folder=disk.folder / "daemon")
    daemon.wait_for(lambda: " version=" in daemon.log())
    disk.fill()
    cube = b"LUT_3D_SIZE 2\n" + 8 * b"0 0 0\n"
    peer = daemon.peer()
    for number in range(300):
        told = peer.ask("import", [cube], format="cube", name=f"{number}").header
        assert told["type"] == "result"
    assert shutil.disk_usage(disk.folder).free == 0
    assert daemon.end() == 0


def test_a_daemon_that_cannot_write_its_files_says_so(make_disk: Callable[..., Disk]) -> None:
    disk = make_disk("disk", 40 * KIB)
    environ = {**os.environ, "VAE_BALANCE_STATE": str(disk.folder), "VAE_BALANCE_KEEP_ALIVE": "0"}

    def serve() -> str:
        command = [sys.executable, "-m", "vae_balance", "serve"]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        assert done.returncode == FAILED
        assert done.stderr.startswith("vae-balance: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    disk.fill()
    assert "daemon.json: cannot be written: No space left" in serve()
    assert "daemon.json" not in disk.files()
    disk.read_only()
    assert "daemon.lock: cannot be written: Read-only file system" in serve()
    with pytest.raises(NotStarted):
        Client.connect("test", [sys.executable, "-m", "vae_balance"], environ=environ)
