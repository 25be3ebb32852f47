"""The log: a line an event, which nobody can forge or fill up, and programs can read."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import Daemon

from vae_balance.server.log import JOBS, RateLimit, named_value
from vae_balance_protocol import DaemonError

START = Callable[..., Daemon]
PROXY = bytes(224 * 224 * 3)
FORGED = "2026-01-01 00:00:00,000 ERROR forged"


def test_nothing_that_a_client_says_makes_a_line(start_daemon: START) -> None:
    daemon = start_daemon("--keep-alive", "0")
    with daemon.client(f"evil\n{FORGED}\x1b[2J") as client:
        for model in (f"no-such\n{FORGED}", f"no-such\r{FORGED}", f"no-such\u2028{FORGED}"):
            with pytest.raises(DaemonError):
                client.learn([PROXY], dtype="u8", model=model)
        with pytest.raises(DaemonError):
            client.call("import", {"format": "cube", "name": f"x\n{FORGED}"}, [b"no LUT"])
    assert daemon.end() == 0
    log = daemon.all_logs()
    assert log.count("forged") >= 5
    assert not [line for line in log.splitlines() if line.startswith(FORGED[:20])]
    assert log.replace("\n", "").isprintable()


def test_a_traceback_looks_like_no_event(start_daemon: START, tmp_path: Path) -> None:
    daemon = start_daemon("--keep-alive", "0", "--log-format", "text")
    assert daemon.end() == 0
    for line in daemon.all_logs().splitlines():
        assert line[:2] == "20" or line.startswith("    ")


def test_the_client_is_named_in_every_line_of_a_job(start_daemon: START) -> None:
    daemon = start_daemon("--keep-alive", "0")
    with daemon.client("GIMP 3") as client:
        client.hello()
    assert daemon.end() == 0
    jobs = [line for line in daemon.all_logs().splitlines() if " hello " in line]
    assert len(jobs) == 2
    assert all('hello client="GIMP 3" ' in line and " request=" in line for line in jobs)


def test_refusals_do_not_fill_it(start_daemon: START) -> None:
    daemon = start_daemon("--keep-alive", "0")
    peer = daemon.peer()
    for _ in range(3000):
        peer.send("export", look="0" * 64, format="cube")
        peer.receive()
    assert daemon.end() == 0
    assert 200 <= daemon.all_logs().count("unknown-look") < 400


def test_what_was_left_out_is_told() -> None:
    limit = RateLimit()
    record = logging.LogRecord("x", logging.INFO, "", 0, "refused", (), None)
    passed = sum(limit.filter(record) for _ in range(1000))
    assert 200 <= passed < 250
    limit._kinds = {kind: (1.0, when, n) for kind, (_, when, n) in limit._kinds.items()}
    assert limit.filter(record)
    assert record.__dict__["suppressed"] == 1000 - passed
    error = logging.LogRecord("x", logging.ERROR, "", 0, "refused", (), None)
    assert all(limit.filter(error) for _ in range(1000))
    job = logging.LogRecord(JOBS, logging.INFO, "", 0, "%s", ("x",), None)
    assert sum(limit.filter(job) for _ in range(1000)) == 1000


def test_json_has_an_object_a_line(start_daemon: START) -> None:
    daemon = start_daemon("--keep-alive", "0", "--log-format", "json")
    with daemon.client("a script") as client, pytest.raises(DaemonError):
        client.learn([PROXY], dtype="u8", model="no such\nmodel")
    assert daemon.end() == 0
    events = [json.loads(line) for line in daemon.all_logs().splitlines()]
    assert all({"time", "level", "message"} <= event.keys() for event in events)
    (learned,) = (event for event in events if event.get("verb") == "learn")
    assert learned.items() >= {("client", "a script"), ("outcome", "model"), ("proxies", 1)}


def test_the_level_is_changed_while_it_runs(start_daemon: START) -> None:
    daemon = start_daemon("--keep-alive", "0", "--log-level", "error")
    with daemon.client("quiet") as client:
        client.set_log_level("debug")
    with daemon.client("loud"):
        pass
    assert daemon.end() == 0
    assert "client='quiet' has set log_level=debug" in daemon.all_logs()
    assert "hello client=loud" in daemon.all_logs()


def test_values_are_words() -> None:
    assert named_value("model", "a b=c") == 'model="a b=c"'
    assert named_value("peak mb", 5) == "peak-mb=5"
