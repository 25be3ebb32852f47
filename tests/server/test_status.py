"""What operators are told: who waits for what, how much is done, and when it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from daemon_process import TIMEOUT, Daemon, ServerThread, wait_for

import vae_balance
from vae_balance.server import upgrade
from vae_balance.server.jobs import Job
from vae_balance.server.metrics import metrics_text
from vae_balance.server.tally import Tally
from vae_balance_protocol import DaemonError

START = Callable[..., Daemon]
PROXY = bytes(224 * 224 * 3)


def run(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vae_balance", *arguments],
        env=daemon.environ,
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT,
        check=False,
    )


@pytest.fixture
def idle(start_daemon: START) -> Daemon:
    """Return a daemon of the test's own, without a model."""
    return start_daemon("--keep-alive", "0")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
def test_status_is_told_where_the_log_s_name_is_not_utf_8(
    start_daemon: START, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    daemon = start_daemon("--keep-alive", "0", folder=folder)
    with daemon.client("watch") as witness:
        assert "caf\\udce9" in witness.status()["log"]


def test_status_tells_who_waits_for_what(idle: Daemon) -> None:
    with idle.client("GIMP 3") as greedy, idle.client("watch") as witness:
        requests = [
            greedy.send("learn", {"dtype": "u8", "iterations": 10}, [PROXY] * 100).hex()
            for _ in range(3)
        ]
        wait_for(lambda: witness.status()["queued"] == 2)
        told = witness.status()
        assert [job["request"] for job in told["running"] + told["waiting"]] == requests
        assert {job["client"] for job in told["running"] + told["waiting"]} == {"GIMP 3"}
        assert told["queued"] == len(told["waiting"]) == 2
        lines = run(idle, "status").stdout
        assert "running: learn for GIMP 3, " in lines
        assert "waiting: 2 learn for GIMP 3\n" in lines
        text = run(idle, "status", "--metrics").stdout
        assert 'vae_balance_requests_waiting{client="GIMP 3"} 2\n' in text
        assert 'vae_balance_requests_running{client="GIMP 3"} 1\n' in text
        greedy.close()
        wait_for(lambda: witness.status()["queued"] == 0)


def test_what_begins_while_status_is_asked_for_runs_for_no_time(server: ServerThread) -> None:
    peer = server.peer()
    peer.ask("hello", client="x")

    def begin_soon() -> None:
        (client,) = server.server._router.clients.values()
        job = Job(client.identity, b"soon", [], 0, lambda job, fields: None, verb="learn")
        job.began = time.monotonic() + TIMEOUT  # as it is when another thread is faster
        client.admit(job)

    server.server._router.calls.post(begin_soon)
    told = peer.ask("status").header
    assert [job["seconds"] for job in told["running"]] == [0.0]
    peer.close()


def test_status_tells_what_was_done(idle: Daemon) -> None:
    with idle.client("x") as client:
        with pytest.raises(DaemonError):
            client.export("0" * 64, "cube")
        with pytest.raises(DaemonError):
            client.import_lut(b"no LUT", "cube", "x")
        told = client.status()
    totals = {total["verb"]: total for total in told["totals"]}
    assert totals["hello"]["done"] == 1
    assert totals["import"]["failed"] == 1
    assert told["last_minute"]["jobs"] == 1
    assert told["peak_bytes"] >= told["memory_bytes"] > 1e7


def test_metrics_have_the_form_that_prometheus_reads(idle: Daemon) -> None:
    with idle.client('quoted "name"\\') as client:
        client.hello()
        text = metrics_text(client.status())
    sample = r'vae_balance_\w+(\{\w+="(?:[^"\\\n]|\\.)*"(,\w+="(?:[^"\\\n]|\\.)*")*\})? [-+.e\d]+'
    comment = r"# (HELP vae_balance_\w+ .+|TYPE vae_balance_\w+ (gauge|counter))"
    for line in text.splitlines():
        assert re.fullmatch(f"{sample}|{comment}", line), line
    assert 'vae_balance_requests_total{verb="hello",outcome="done"} 2\n' in text


def test_the_last_minute_is_a_minute() -> None:
    now = [100.0]
    tally = Tally(lambda: now[0])
    tally.add_job("apply", "", 0.5, pixels=7)
    now[0] += 30
    tally.add_photo(5)
    tally.add_job("apply", "cancelled", 0.1)
    assert tally.last_minute() == {"jobs": 1, "photos": 1, "pixels": 12}
    now[0] += 45
    assert tally.last_minute() == {"jobs": 0, "photos": 1, "pixels": 5}
    assert tally.totals() == [
        {"verb": "apply", "done": 1, "failed": 0, "cancelled": 1, "seconds": 0.5}
    ]


def test_stop_when_idle_lets_work_be_finished(start_daemon: START, random_model: Path) -> None:
    daemon = start_daemon("--model", str(random_model))
    with daemon.client("working") as client:
        request = client.send(
            "learn", {"dtype": "u8", "model": str(random_model), "iterations": 3}, [PROXY] * 40
        )
        stopping = subprocess.Popen(
            [sys.executable, "-m", "vae_balance", "stop", "--when-idle", "--json"],
            env=daemon.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        daemon.wait_for(lambda: "going to end when idle" in daemon.log())
        while (answer := client.receive(TIMEOUT)) is not None and answer.type == "progress":
            pass
        assert answer is not None
        assert (answer.request, answer.type) == (request, "result")
        assert client.status()["ending"] == "when idle"  # it goes on answering until then
    told, _ = stopping.communicate(timeout=TIMEOUT)
    assert json.loads(told) == {"stopped": True, "pid": daemon.process.pid}
    assert daemon.process.wait(TIMEOUT) == 0


def test_a_version_that_is_installed_instead_ends_it_when_idle(
    idle: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert upgrade.installed_instead() == ""
    file = tmp_path / "__init__.py"
    source = Path(str(vae_balance.__file__)).read_text(encoding="utf-8")
    monkeypatch.setattr(upgrade, "_FILE", file)
    assert upgrade.installed_instead() == ""  # in the middle of being replaced
    file.write_text(source)
    assert upgrade.installed_instead() == ""
    file.write_text(source.replace(f'"{vae_balance.__version__}"', '"99.0"'))
    assert upgrade.installed_instead() == "99.0"


def test_a_daemon_whose_program_was_replaced_makes_room_for_the_next(tmp_path: Path) -> None:
    copy = tmp_path / "program"
    package = Path(str(vae_balance.__file__)).parent
    copytree(package, copy / "vae_balance", ignore=ignore_patterns("__pycache__", "embedded"))
    daemon = Daemon(tmp_path, ["--keep-alive", "0"], sources=[str(copy)])
    try:
        init = copy / "vae_balance" / "__init__.py"
        init.write_text(init.read_text().replace(vae_balance.__version__, "99.0"))
        assert daemon.process.wait(TIMEOUT) == 0
        assert "going to end when idle: version 99.0 was installed" in daemon.all_logs()
        assert not (daemon.state / "daemon.json").exists()
    finally:
        daemon.end()
