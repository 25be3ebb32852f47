"""The table of options: whatever offers or checks an option takes it from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae_balance.correctors.corrector import LookOptions
from vae_balance.errors import OptionError
from vae_balance_protocol import Malformed, messages, options
from vae_balance_protocol.options import AUTO, ITERATIONS, LEARNING, SEED, SIZE, STRENGTH, TONE

ROOT = Path(__file__).resolve().parent.parent
ROW = """
GRAIN = Option("grain", Integer(0, 7), 3, N_("How grainy the test is"), N_("_Grain"))
LEARNING += (GRAIN,)
CROP = Option("crop", Number(0.1, 1.0), 1.0, "Keep so much of each side")
TREATING += (CROP,)
"""
FIELD = "    size: int = table.SIZE.default\n"
USE = "    grain: int = table.GRAIN.default\n"
TREATED = "    overwrite: bool = False\n"
CROP = "    crop: float = 1.0\n"
EVERYWHERE = """
import json, sys
from click.testing import CliRunner
from vae_balance.cli import main
from vae_balance.correctors.corrector import LookOptions
from vae_balance.errors import OptionError
from vae_balance.pipeline import How
from vae_balance_gimp import arguments, settings
from vae_balance_protocol import Malformed, messages

def refused(kind, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kind as error:
        return str(error)

def run(command, *more):
    return CliRunner().invoke(main, [command, "photo.jpg", "-o", "out.cube", *more])

PHOTOS = [["/a.png", "/b.png", None]]
last = arguments.LAST[-1]
print(json.dumps({
    "crop": [name for name in main.commands
             if "--crop X" in CliRunner().invoke(main, [name, "-h"]).output],
    "crop field": messages.check("batch", {"v": 1, "photos": PHOTOS, "crop": 0.5})["crop"],
    "how": How.of({"proxy": None, "crop": 0.5, "strength": 0.0}, overwrite=True).crop,
    "helps": [name for name in main.commands
              if "--grain N" in CliRunner().invoke(main, [name, "-h"]).output],
    "flag": run("learn", "--grain", "8").output,
    "verbs": [v for v, fields in messages.REQUESTS_BY_VERB.items()
              if "grain" in [field.name for field in fields]],
    "field": refused(Malformed, messages.check, "learn", {"v": 1, "grain": 8}),
    "default": messages.check("learn", {"v": 1})["grain"],
    "python": refused(OptionError, LookOptions, grain=8),
    "look": LookOptions.of(dict(iterations=1, strength=1, seed=None, size=2, grain=5)).grain,
    "argument": [last.name, last.kind, last.bounds, last.default, last.label(), last.help()],
    "sent": settings.Settings(**arguments.look_of(
        {"iterations": 0, "strength": 1.0, "model": "", "lut-size": 33, "grain": 6.0}.get
    )).learn_fields(""),
}))
"""


def test_an_option_is_a_row_and_its_use(tmp_path: Path) -> None:
    """A row and a line where looks are learned: flags, protocol, Python and GIMP have it."""
    weights = shutil.ignore_patterns("*.safetensors", "__pycache__")
    for folder in ("daemon/vae_balance", "shared", "gimp-plugin/common"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=weights)
    table = tmp_path / "shared/vae_balance_protocol/options.py"
    table.write_text(table.read_text(encoding="utf-8") + ROW, encoding="utf-8")
    for file, field, use in (
        ("correctors/corrector.py", FIELD, USE),
        ("pipeline.py", TREATED, CROP),
    ):
        path = tmp_path / "daemon/vae_balance" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(field) == 1
        path.write_text(text.replace(field, field + use), encoding="utf-8")
    folders = [str(tmp_path / folder) for folder in ("daemon", "shared", "gimp-plugin/common")]
    done = subprocess.run(
        [sys.executable, "-c", EVERYWHERE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["helps"] == told["crop"] == ["balance", "batch", "learn"]
    assert told["crop field"] == told["how"] == 0.5
    assert "8 is not in the range 0<=x<=7" in told["flag"]
    assert sorted(told["verbs"]) == ["batch", "learn"]
    assert told["field"] == "learn: grain must be an integer, 0 to 7"
    assert (told["default"], told["look"]) == (3, 5)
    assert told["python"] == "grain 8: must be an integer, 0 to 7"
    assert told["argument"] == ["grain", "integer", [0, 7], 3, "_Grain", "How grainy the test is"]
    sent = {"grain": 6, "iterations": AUTO, "model": "embedded", "size": 33}
    assert sent.items() <= told["sent"].items()


def test_every_row_of_learning_is_used() -> None:
    rows = (*LEARNING, TONE)
    assert [row.name for row in rows] == list(LookOptions.__dataclass_fields__)
    defaults = LookOptions()
    for row in rows:
        assert getattr(defaults, row.name) == row.default == row.check(row.default)


@pytest.mark.parametrize(
    ("row", "good", "bad"),
    [
        (ITERATIONS, [1, 10, AUTO, np.int64(2)], [0, 11, -1, True, 1.0, "2", "most", None, b"x"]),
        (STRENGTH, [0, 1.5, np.float32(0.5)], [-0.1, 1.6, float("nan"), float("inf"), "1", True]),
        (SEED, [None, 0, 2**63 - 1], [-1, 2**63, 0.5, "7"]),
        (SIZE, [2, 129, np.uint8(33)], [1, 130, 33.0, None]),
        (TONE, ["drop", "keep"], ["sepia", "", 1, None]),
    ],
)
def test_python_and_protocol_refuse_the_same(
    row: options.Option, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        assert getattr(LookOptions(**{row.name: value}), row.name) == value
        assert messages.check("learn", {"v": 1, row.name: value})[row.name] == value
    for value in bad:
        with pytest.raises(OptionError, match=f"^{row.name} .*: must be "):
            LookOptions(**{row.name: value})
        with pytest.raises(Malformed, match=f"{row.name} must be "):
            messages.check("learn", {"v": 1, row.name: value})


def test_numbers_of_numpy_become_those_of_python() -> None:
    how = LookOptions(iterations=np.int64(2), strength=np.float32(0.5), size=np.uint8(9))
    assert [type(value) for value in (how.iterations, how.strength, how.size)] == [int, float, int]


@pytest.mark.parametrize("value", ["auto", "2"])
def test_the_command_takes_a_number_or_auto(
    run: Callable[..., Any], photo: Callable[..., Path], random_model: Path, value: str
) -> None:
    folder = photo("a.png").parent
    more = ("--iterations", value, "--model", random_model, "--device", "cpu")
    assert run("learn", folder / "a.png", "-o", folder / "a.cube", *more).exit_code == 0
    written = (folder / "a.cube").read_text(encoding="utf-8")
    assert f"iterations: {value}" in written


@pytest.mark.parametrize("value", ["0", "11", "most", "1.5"])
def test_the_command_refuses_other_iterations(run: Callable[..., Any], value: str) -> None:
    result = run("learn", "a.png", "-o", "a.cube", "--iterations", value)
    assert result.exit_code == 2
    assert "auto" in result.stderr.splitlines()[-1]
