"""There is one daemon, it can be found, and when it ends, however it does, the next one comes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from daemon_process import TIMEOUT, Daemon, Peer, ServerThread, wait_for
from PIL import Image

import vae_balance.correctors.latent_balancer.learn
from vae_balance import __version__
from vae_balance.color.lut import Lut3D
from vae_balance.looks.look import Look
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import UNKNOWN
from vae_balance.models.store import write_info
from vae_balance.server import lifecycle
from vae_balance.server import server as server_module
from vae_balance.server.server import Server
from vae_balance.server.settings import DaemonSettings
from vae_balance_protocol.client import Client
from vae_balance_protocol.errors import ConnectionLost, NotStarted

NO_MODEL = ("--keep-alive", "0")  # torch is not imported then, and the daemon is there at once
PROXY = bytes(224 * 224 * 3)
START = Callable[..., Daemon]

posix = pytest.mark.skipif(os.name == "nt", reason="of POSIX")


def run(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `vae-balance` beside a daemon."""
    return subprocess.run(
        [sys.executable, "-m", "vae_balance", *arguments],
        env=daemon.environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_the_connection_file_is_for_the_user_alone(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    connection = daemon.connection()
    assert connection.keys() == {"endpoint", "token", "pid", "version", "protocol"}
    assert len(bytes.fromhex(connection["token"])) == 32
    assert (connection["version"], connection["protocol"]) == (__version__, 1)
    assert daemon.peer().ask("hello", client="x").header["pid"] == connection["pid"]
    if os.name != "nt":
        assert stat.S_IMODE((daemon.state / "daemon.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700


def test_every_start_has_a_token_of_its_own(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    first = daemon.connection()["token"]
    assert daemon.end() == 0
    daemon.start()
    assert daemon.connection()["token"] != first


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@posix
def test_a_signal_ends_it_cleanly(start_daemon: START, number: signal.Signals) -> None:
    daemon = start_daemon(*NO_MODEL)
    daemon.process.send_signal(number)
    assert daemon.process.wait(TIMEOUT) == 0
    assert not (daemon.state / "daemon.json").exists()
    assert f"ending: {number.name}" in daemon.log()


@posix
def test_a_signal_cancels_what_is_unfinished(
    start_daemon: START, tmp_path: Path, random_model: Path
) -> None:
    model = str(random_model)
    daemon = start_daemon("--model", model)
    peer = daemon.peer()
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    photos = []
    for number in range(30):
        source = tmp_path / f"{number}.png"
        Image.fromarray(noise).save(source, compress_level=1)
        photos.append([str(source), str(tmp_path / "out" / source.name), None])
    request = peer.send("batch", photos=photos, model=model)
    while (answer := peer.receive()) is not None and answer.header["stage"] != "photo":
        assert answer.header["type"] == "progress"
    learning = peer.send("learn", [PROXY] * 50, dtype="u8", iterations=10, model=model)
    wait_for(lambda: len(peer.ask("status").header["running"]) == 2)
    daemon.process.send_signal(signal.SIGTERM)
    ends: dict[bytes, str] = {}
    while len(ends) < 2:
        answer = peer.receive()
        assert answer is not None
        if answer.header["type"] != "progress":
            ends[answer.request] = answer.header["code"]
    assert ends == {request: "cancelled", learning: "cancelled"}
    assert daemon.process.wait(TIMEOUT) == 0
    for path in (tmp_path / "out").iterdir():
        assert path.suffix == ".png"
        assert not path.name.startswith(".")
        Image.open(path).load()


class Deaf:
    """Stands in for learning that nothing can cancel, until the test lets it end."""

    def __init__(self) -> None:
        self.begun, self.over = threading.Event(), threading.Event()

    def __call__(self, proxies: Any, model: Any, options: Any, progress: Any) -> Look:
        self.begun.set()
        assert self.over.wait(TIMEOUT)
        return LutLook(Lut3D.identity(2), UNKNOWN)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deaf]:
    made = Deaf()
    monkeypatch.setattr(vae_balance.correctors.latent_balancer.learn, "learn_look", made)
    yield made
    made.over.set()


def test_while_it_ends_new_work_is_refused(
    server: ServerThread, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_END_SECONDS", TIMEOUT)
    withdrawn = threading.Event()
    server.server.on_stopping = withdrawn.set
    peer, other = server.peer(), server.peer()
    learning = peer.send("learn", [PROXY], dtype="u8")
    assert deaf.begun.wait(TIMEOUT)
    assert peer.ask("shutdown").header["type"] == "result"
    assert withdrawn.is_set()
    refused = other.ask("hello", client="late").header
    assert (refused["code"], refused["message"]) == (
        "stopping",
        "the daemon ends: start it again",
    )
    deaf.over.set()
    assert peer.end_of(learning).header["code"] == "cancelled"
    server.thread.join(TIMEOUT)
    assert not server.thread.is_alive()
    peer.close()
    other.close()


def test_work_that_does_not_end_does_not_keep_it(
    tmp_path: Path, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_END_SECONDS", 0.2)
    monkeypatch.setattr(server_module, "_THREADS_SECONDS", 0.2)
    server = Server(DaemonSettings(device="cpu", keep_alive=0.0), "5" * 64, tmp_path / "log")
    peer = Peer({"endpoint": server.endpoint, "token": "5" * 64})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.run)
        peer.send("learn", [PROXY], dtype="u8")
        assert deaf.begun.wait(TIMEOUT)
        server.stop("the test wants it")
        assert running.result(TIMEOUT) is False  # and the process is ended without it
    peer.close()


def test_killed_and_started_again(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    peer = daemon.peer()
    peer.ask("status")
    stale = daemon.connection()
    daemon.kill()
    assert (daemon.state / "daemon.json").exists()
    assert (daemon.state / "daemon.lock").exists()
    with pytest.raises(NotStarted):
        daemon.client()
    daemon.start()
    assert daemon.connection() != stale
    with daemon.client() as client:
        assert client.daemon["pid"] == daemon.process.pid


def test_killed_in_the_middle_of_learning(start_daemon: START, random_model: Path) -> None:
    model = str(random_model)
    daemon = start_daemon("--model", model)
    with daemon.client() as client:
        fields = {"dtype": "u8", "iterations": 10, "model": model}
        client.send("learn", fields, [PROXY] * 50)
        answer = client.receive(TIMEOUT)
        while answer is not None and answer.header["stage"] != "balance":
            answer = client.receive(TIMEOUT)
        daemon.kill()
        with pytest.raises(ConnectionLost):
            while True:
                client.receive(TIMEOUT)
    daemon.start()
    with daemon.client() as client:
        assert client.learn([PROXY], dtype="u8", model=model)["device"] == "cpu"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"pid": 1}', b"[]"])
def test_a_broken_connection_file_is_no_obstacle(start_daemon: START, content: bytes) -> None:
    daemon = start_daemon(*NO_MODEL)
    assert daemon.end() == 0
    (daemon.state / "daemon.json").write_bytes(content)
    (daemon.state / "daemon.lock").write_bytes(b"4711")
    daemon.start()
    with daemon.client() as client:
        assert client.daemon["pid"] == daemon.process.pid


def test_a_second_one_leaves_the_first_alone(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    second = run(daemon, "serve", "--keep-alive", "0")
    assert second.returncode == 0
    assert second.stdout == f"a daemon runs already, pid {daemon.process.pid}\n"
    with daemon.client() as client:
        assert client.daemon["pid"] == daemon.process.pid


def test_of_those_that_start_at_the_same_instant_one_remains(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    assert daemon.end() == 0
    racers = [
        subprocess.Popen(daemon.command, env=daemon.environ, stdout=subprocess.DEVNULL)
        for _ in range(4)
    ]
    try:
        wait_for(lambda: sum(racer.poll() is None for racer in racers) == 1)
        (winner,) = (racer for racer in racers if racer.poll() is None)
        assert {racer.poll() for racer in racers} == {None, 0}
        wait_for(lambda: (daemon.state / "daemon.json").exists())
        with daemon.client() as client:
            assert client.daemon["pid"] == winner.pid
    finally:
        for racer in racers:
            racer.terminate()
            assert racer.wait(TIMEOUT) == 0


@posix
def test_one_that_starts_while_another_ends_waits_for_it(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    peer = daemon.peer(rcvhwm=1, rcvbuf=1 << 16)  # of what it does not read the end waits a while
    cube = b"LUT_3D_SIZE 2\n" + 8 * b"0 0 0\n"
    look = peer.ask("import", [cube], format="cube", name="x").header["look"]
    for _ in range(8):
        fields = {"width": 1024, "rows": 2048, "channels": 4, "dtype": "u8"}
        peer.send("apply", [bytes(8 << 20)], look=look, **fields)
    with daemon.client() as witness:
        wait_for(lambda: witness.status()["unread_bytes"] > 1 << 20)
    ending = daemon.process
    ending.send_signal(signal.SIGTERM)
    wait_for(lambda: not (daemon.state / "daemon.json").exists())
    ending.send_signal(signal.SIGSTOP)
    assert ending.poll() is None
    next_one = subprocess.Popen(daemon.command, env=daemon.environ, stdout=subprocess.DEVNULL)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            next_one.wait(2.0)
        assert not (daemon.state / "daemon.json").exists()
        ending.send_signal(signal.SIGCONT)
        assert ending.wait(TIMEOUT) == 0
        wait_for(lambda: (daemon.state / "daemon.json").exists())
        with daemon.client() as client:
            assert client.daemon["pid"] == next_one.pid
    finally:
        ending.kill()
        next_one.terminate()
        assert next_one.wait(TIMEOUT) == 0


def test_it_ends_itself_when_a_client_started_it_and_nobody_asks(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL, "--by-client", "--idle-exit", "2")
    peer = daemon.peer()
    for _ in range(3):
        assert peer.ask("status").header["type"] == "result"
    assert daemon.process.wait(TIMEOUT) == 0
    assert "ending: nothing was asked for 2 s" in daemon.log()
    assert not (daemon.state / "daemon.json").exists()


def test_work_keeps_it_alive(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL, "--by-client", "--idle-exit", "2")
    peer = daemon.peer()
    began = time.monotonic()
    while time.monotonic() - began < 2.6:
        code = peer.ask("export", look="0" * 64, format="cube").header["code"]
        assert code == "unknown-look"
        time.sleep(0.05)
    assert daemon.process.poll() is None


def test_it_does_not_end_itself_otherwise(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL, "--idle-exit", "1")
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(1.5)


def test_it_answers_before_the_model_is_there(start_daemon: START, random_model: Path) -> None:
    daemon = start_daemon("--model", str(random_model), "--device", "cuda")
    peer = daemon.peer()
    began = time.monotonic()
    told = peer.ask("hello", client="quick").header
    assert time.monotonic() - began < TIMEOUT / 3
    assert told["device"] in ("cuda", "cpu")  # as configured, until it is known
    wait_for(lambda: peer.ask("status").header["models"] == ["random"])
    assert peer.ask("status").header["device"] == "cpu"  # there is no CUDA where this runs
    learned = peer.ask("learn", [PROXY], dtype="u8", model=str(random_model)).header
    assert learned["device"] == "cpu"


def test_models_leave_when_nobody_uses_them(start_daemon: START, random_model: Path) -> None:
    daemon = start_daemon("--model", str(random_model), "--keep-alive", "0.5")
    peer = daemon.peer()
    wait_for(lambda: "loaded model=random" in daemon.log())
    wait_for(lambda: peer.ask("status").header["models"] == [])
    wait_for(lambda: "unloaded model=random" in daemon.log())
    learned = peer.ask("learn", [PROXY], dtype="u8", model=str(random_model)).header
    assert "load" in learned["seconds"]


def test_weights_that_are_damaged_are_told_to_who_asks(
    start_daemon: START, random_model: Path, tmp_path: Path
) -> None:
    whole = next(random_model.glob("vae/*.safetensors")).read_bytes()
    middle = len(whole) // 2
    damaged = {
        "cut": whole[:-100],
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
        "another": random.Random(0).randbytes(len(whole)),
    }
    for name, content in damaged.items():
        shutil.copytree(random_model, tmp_path / name)
        next((tmp_path / name).glob("vae/*.safetensors")).write_bytes(content)
    # Who has trained a model describes it, whatever came out.
    write_info(tmp_path / "another", "another", "0", "MIT", "made by the tests")
    daemon = start_daemon("--model", str(tmp_path / "cut"))
    peer = daemon.peer()
    for name in damaged:
        refused = peer.ask("learn", [PROXY], dtype="u8", model=str(tmp_path / name)).header
        assert refused["code"] == "model"
        reason = "not the weights of a VAE" if name == "another" else "damaged"
        assert reason in refused["message"]
        assert "\n" not in refused["message"]
    learned = peer.ask("learn", [PROXY], dtype="u8", model=str(random_model)).header
    assert learned["type"] == "result"


def test_looks_are_forgotten_by_last_use(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL, "--looks", "2")
    peer = daemon.peer()

    def look(red: float) -> str:
        cube = b"LUT_3D_SIZE 2\n" + b"%.1f 0 0\n" % red + 7 * b"0 0 0\n"
        name: str = peer.ask("import", [cube], format="cube", name="x").header["look"]
        return name

    first, second = look(0.1), look(0.2)
    assert peer.ask("export", look=first, format="cube").header["type"] == "result"
    look(0.3)
    assert peer.ask("export", look=first, format="cube").header["type"] == "result"
    assert peer.ask("export", look=second, format="cube").header["code"] == "unknown-look"


def test_a_setting_that_is_wrong_is_named(start_daemon: START, tmp_path: Path) -> None:
    daemon = start_daemon(*NO_MODEL)
    assert daemon.end() == 0
    config = tmp_path / "config" / "vae-balance" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('devise = "cuda"\n')
    refused = run(daemon, "serve")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"vae-balance: {config}: unknown setting 'devise'")


def test_the_file_is_read(start_daemon: START, tmp_path: Path) -> None:
    config = tmp_path / "config" / "vae-balance" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('keep_alive = 0\nlog_level = "debug"\nlooks = 7\n')
    daemon = start_daemon()
    daemon.wait_for(lambda: "looks=7" in daemon.log())
    assert "log_level='debug'" in daemon.log()


@posix
def test_a_folder_that_cannot_be_made_is_named(start_daemon: START, tmp_path: Path) -> None:
    daemon = start_daemon(*NO_MODEL)
    (tmp_path / "file").write_text("")
    daemon.environ["VAE_BALANCE_STATE"] = str(tmp_path / "file" / "state")
    refused = run(daemon, "serve")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"vae-balance: {tmp_path}/file/state: cannot make this folder")


def test_status_and_stop(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    pid = daemon.process.pid
    told = run(daemon, "status")
    assert told.returncode == 0
    assert told.stdout.startswith(f"daemon {__version__}, pid {pid}, up 0 min 0")
    assert json.loads(run(daemon, "status", "--json").stdout)["pid"] == pid
    stopped = run(daemon, "stop")
    assert (stopped.returncode, stopped.stdout) == (0, f"the daemon, pid {pid}, has ended\n")
    assert daemon.process.wait(TIMEOUT) == 0
    assert not (daemon.state / "daemon.json").exists()


def test_status_and_stop_start_nothing(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    daemon.end()
    told = run(daemon, "status")
    assert (told.returncode, told.stdout, told.stderr) == (1, "no daemon runs\n", "")
    assert json.loads(run(daemon, "status", "--json").stdout) == {
        "running": False,
        "answers": False,
        "pid": None,
    }
    stopped = run(daemon, "stop")
    assert (stopped.returncode, stopped.stdout) == (0, "no daemon runs\n")
    assert json.loads(run(daemon, "stop", "--json").stdout) == {"stopped": False, "pid": None}
    assert not (daemon.state / "daemon.json").exists()


@contextmanager
def insisting(file: Path, text: str) -> Iterator[None]:
    """Have a file say something for the block, against a daemon that writes it again."""
    over = threading.Event()
    written = file.with_name("another")

    def write() -> None:
        while True:
            written.write_text(text)
            written.replace(file)
            if over.wait(0.05):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join(TIMEOUT)


@posix
def test_stop_ends_a_daemon_of_another_version(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    other = json.dumps({**daemon.connection(), "protocol": 2})
    with insisting(daemon.state / "daemon.json", other):
        for _ in range(10):  # it may be read in the instant between two writers
            told = run(daemon, "status")
            if told.returncode:
                break
        assert told.returncode == 1
        assert "do not understand each other" in told.stderr
        stopped = run(daemon, "stop")
    assert stopped.stdout == f"the daemon, pid {daemon.process.pid}, has ended\n"
    assert daemon.process.wait(TIMEOUT) == 0


@pytest.mark.parametrize("damage", ["removed", "empty", "token", "pid", "folder"])
def test_a_damaged_connection_file_is_written_again(start_daemon: START, damage: str) -> None:
    daemon = start_daemon(*NO_MODEL)
    file = daemon.state / "daemon.json"
    right = daemon.connection()
    if damage == "removed":
        file.unlink()
    elif damage == "empty":
        file.write_text("")
    elif damage == "folder":
        daemon.state.rename(daemon.state.with_name("moved"))
        daemon.state.with_name("moved").rename(daemon.state)
        file.unlink()
    else:
        file.write_text(json.dumps({**right, damage: "0" * 64 if damage == "token" else -1}))

    def is_right() -> bool:
        try:
            return daemon.connection() == right
        except (OSError, ValueError):
            return False

    daemon.wait_for(is_right)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # The log is written by a thread of its own.
    daemon.wait_for(lambda: f"{file} was removed or changed: written again" in daemon.log())
    assert run(daemon, "status").returncode == 0


def test_a_client_finds_a_daemon_whose_connection_file_was_removed(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    (daemon.state / "daemon.json").unlink()
    with Client.connect("looking", environ=daemon.environ) as client:
        assert client.daemon["pid"] == daemon.process.pid


@posix
def test_a_daemon_that_was_stopped_in_the_middle_does_not_answer(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    pid = daemon.process.pid
    daemon.process.send_signal(signal.SIGSTOP)
    told = run(daemon, "status")
    assert told.returncode == 1
    assert told.stdout.startswith(f"the daemon, pid {pid}, runs, but does not answer: ")
    assert told.stdout.count("daemon") == 1  # said once, in spite of who says it below
    stopped = run(daemon, "stop")
    assert stopped.stdout == f"the daemon, pid {pid}, has ended\n"
    assert daemon.process.wait(TIMEOUT) == 0


@posix
def test_nobody_but_the_daemon_is_sent_a_signal(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    daemon.process.send_signal(signal.SIGSTOP)  # it writes no file again
    for pid in (-1, bystander.pid):
        (daemon.state / "daemon.json").write_text(json.dumps({**daemon.connection(), "pid": pid}))
        (daemon.state / "daemon.lock").write_text(f"{pid}\n")
        told = run(daemon, "status", "--json")
        assert json.loads(told.stdout)["pid"] == daemon.process.pid
    assert run(daemon, "stop").returncode == 0
    assert daemon.process.wait(TIMEOUT) == 0
    assert bystander.poll() is None
    bystander.communicate(b"\n", TIMEOUT)


def test_the_lock_file_names_the_daemon(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    assert (daemon.state / "daemon.lock").read_text() == f"{daemon.process.pid}\n"
    assert f"a daemon runs already, pid {daemon.process.pid}" in run(daemon, "serve").stdout
    assert (daemon.state / "daemon.lock").read_text() == f"{daemon.process.pid}\n"


@posix
def test_others_cannot_look_into_the_state_folder(start_daemon: START, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    (state / "daemon.log").touch(mode=0o644)
    daemon = start_daemon(*NO_MODEL)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    daemon.wait_for(lambda: "version=" in daemon.log())
    for path in state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_connection_file_that_is_not_its_own_is_left_alone(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    file = daemon.state / "daemon.json"
    other = json.dumps({**daemon.connection(), "token": "0" * 64})
    file.write_text(other)
    assert daemon.end() == 0
    assert file.read_text() == other


@posix
def test_a_connection_file_that_cannot_be_written_again_is_told_until_it_can(
    start_daemon: START,
) -> None:
    daemon = start_daemon(*NO_MODEL)
    file, right = daemon.state / "daemon.json", daemon.connection()
    file.unlink()
    os.mkfifo(file)
    daemon.wait_for(lambda: f"{file}: is not an ordinary file" in daemon.log())
    file.unlink()
    daemon.wait_for(lambda: daemon._published() == daemon.process.pid)
    assert daemon.connection() == right


def test_the_log_is_put_aside_when_it_is_long(start_daemon: START) -> None:
    daemon = start_daemon(*NO_MODEL)
    assert daemon.end() == 0
    (daemon.state / "daemon.log").write_text("an old line\n" * 200_000)
    for number in range(1, 4):
        (daemon.state / f"daemon.log.{number}").write_text(f"older {number}\n")
    daemon.start()
    daemon.wait_for(lambda: f"pid={daemon.process.pid}" in daemon.log())
    assert "an old line" not in daemon.log()
    assert (daemon.state / "daemon.log.1").read_text().startswith("an old line\n")
    kept = sorted(path.name for path in daemon.state.glob("daemon.log*"))
    assert kept == ["daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"]
    assert (daemon.state / "daemon.log.3").read_text() == "older 2\n"


def test_threads_that_wait_leave_the_cores_to_others(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def serve(settings: DaemonSettings, by_client: bool) -> lifecycle.ServeOutcome:
        seen.append(os.environ["OMP_WAIT_POLICY"])
        return lifecycle.ServeOutcome()

    monkeypatch.setattr(lifecycle, "serve", serve)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # a choice of the user's
    assert run("serve").exit_code == 0
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert run("serve").exit_code == 0
    assert seen == ["active", "passive"]
