"""A newer program replaces an older daemon, when that is idle, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from vae_balance import __version__
from vae_balance.commands import same_version
from vae_balance.commands.console import Console
from vae_balance.errors import BalanceError
from vae_balance_protocol.client import Client


class Running:
    """Stands in for daemons: the first is of some version, and busy for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: str, busy: int = 0) -> None:
        self.version = version
        self.busy = busy
        self.said: list[str] = []
        self.busy_again = 0  # with what came just before it was told to end
        self.ends = True
        monkeypatch.setattr(Client, "connect", self._connect)
        monkeypatch.setattr(same_version, "wait_for_end", self._wait_for_end)
        monkeypatch.setattr(same_version, "_LOOK_SECONDS", 0.0)

    def _wait_for_end(self, seconds: float) -> bool:
        return self.ends and self.busy <= 0

    def _connect(self, name: str, start: bool = True, waiting: Any = None) -> Running:
        self.said.append("connect")
        return self

    @property
    def daemon(self) -> dict[str, str]:
        return {"version": self.version}

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def status(self) -> dict[str, Any]:
        self.said.append("status")
        self.busy -= 1
        return {"running": [{}] * (self.busy == 1), "queued": int(self.busy > 1)}

    def shutdown(self, when_idle: bool = False) -> None:
        self.said.append("shutdown when idle" if when_idle else "shutdown")
        self.version = __version__
        self.busy = self.busy_again


def test_the_same_version_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch, __version__)
    same_version.connect("x", Console(quiet=True))
    assert running.said == ["connect"]


def test_an_older_one_is_replaced_when_its_work_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running(monkeypatch, "0.0.9", busy=3)
    same_version.connect("x", Console(quiet=False))
    ended = ["shutdown when idle", "connect", "status", "connect"]
    assert running.said == ["connect", *3 * ["status"], *ended]
    told = f"the daemon of version 0.0.9 is replaced by {__version__} when it is idle"
    assert told in capsys.readouterr().err


def test_what_came_just_before_it_was_told_to_end_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running = Running(monkeypatch, "0.0.9", busy=1)
    running.busy_again = 3
    same_version.connect("x", Console(quiet=True))
    waiting = ["connect", "status"]
    assert running.said == [*waiting, "shutdown when idle", *3 * waiting, "connect"]


def test_one_that_does_not_end_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    Running(monkeypatch, "0.0.9").ends = False
    with pytest.raises(BalanceError, match=r"version 0\.0\.9 does not end: vae-balance stop"):
        same_version.connect("x", Console(quiet=True))


@pytest.mark.parametrize("version", ["99.0", "somebody's"])
def test_a_newer_one_is_used_and_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    running = Running(monkeypatch, version)
    same_version.connect("x", Console(quiet=False))
    assert running.said == ["connect"]
    assert f"the daemon that runs is of version {version}" in capsys.readouterr().err
