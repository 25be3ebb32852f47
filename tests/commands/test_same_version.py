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
        self.ends = True
        monkeypatch.setattr(Client, "connect", self._connect)
        monkeypatch.setattr(same_version, "wait_for_end", lambda seconds: self.ends)
        monkeypatch.setattr(same_version, "_LOOK_SECONDS", 0.0)

    def _connect(self, name: str, waiting: Any) -> Running:
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


def test_the_same_version_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch, __version__)
    same_version.connect("x", Console(quiet=True))
    assert running.said == ["connect"]


def test_an_older_one_is_replaced_when_its_work_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running(monkeypatch, "0.0.9", busy=3)
    same_version.connect("x", Console(quiet=False))
    assert running.said == ["connect", *3 * ["status"], "shutdown when idle", "connect"]
    told = f"the daemon of version 0.0.9 is replaced by {__version__} when it is idle"
    assert told in capsys.readouterr().err


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
