"""docs/archive.md: its commands, as they stand there, balance the sample roll on a cluster."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dask_cluster import WAIT, start_program, stop

pytest.importorskip("distributed")

PAGE = Path(__file__).parents[2] / "docs" / "archive.md"
PORT = "8786"


def commands() -> list[str]:
    """Return what the page has typed to try it on one machine."""
    section = PAGE.read_text(encoding="utf-8").split("## Try it on one machine\n")[1]
    lines = section.split("\n## ")[0].splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, log: str) -> Iterator[None]:
    process = start_program(folder / log, command, folder)
    try:
        yield
    finally:
        stop(process)


def test_three_commands_balance_the_sample_roll(tmp_path: Path) -> None:
    port = free_port()
    programs = Path(sys.executable).parent  # where `dask` and `vae-balance` are installed
    demo, scheduler, worker, batch = (
        [str(programs / name), *rest]
        for name, *rest in (shlex.split(line.replace(PORT, port)) for line in commands())
    )
    folder = {"cwd": tmp_path, "timeout": WAIT, "check": True, "capture_output": True}
    subprocess.run(demo, **folder)  # type: ignore[call-overload]
    with running(scheduler, tmp_path, "scheduler.log"), running(worker, tmp_path, "worker.log"):
        # At once, as someone does who copies the three lines.
        done = start_program(tmp_path / "batch.log", batch, tmp_path)
        assert done.wait(WAIT) == 0, (tmp_path / "batch.log").read_text()
    names = [f"{number:02d}.png" for number in range(1, 13)]
    written = sorted(path.name for path in (tmp_path / "balanced").iterdir())
    assert written == [*names, "contact-sheet.jpg", "vae-balance-report.jsonl"]
    report = (tmp_path / "balanced" / "vae-balance-report.jsonl").read_text()
    lines = [json.loads(line) for line in report.splitlines()]
    assert {line["outcome"] for line in lines} == {"done"}
    assert len({line["look"] for line in lines}) == 1
    for name in names:
        assert (tmp_path / "balanced" / name).read_bytes() != (
            tmp_path / "demo" / "roll" / name
        ).read_bytes()
