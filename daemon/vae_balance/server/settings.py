"""The daemon's settings: one table, read from a file, the environment and flags, in that order."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_balance.errors import OptionError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "config.toml"
VARIABLE_PREFIX = "VAE_BALANCE_"
# Variables of this prefix that are no settings: where files lie, how clients start the daemon.
OTHER_VARIABLES = frozenset({"VAE_BALANCE_STATE", "VAE_BALANCE_COMMAND"})
FOREVER = math.inf


@dataclass(frozen=True)
class DaemonSettings:
    """What can be set; `SETTINGS` has the ranges and meanings.

    Attributes:
        device: "auto", "cpu", "cuda" or "cuda:N".
        model: name or folder.
        keep_alive: seconds, `FOREVER` for no end.
        idle_exit: seconds, `FOREVER` for no end.
        looks: how many.
        jobs: threads; 0 lets the daemon choose.
        log_level: name of a level of `logging`, in lower case.
        log_format: "text" or "json".
        start_daemon: for `vae-balance balance`, not for the daemon.
    """

    device: str = "auto"
    model: str = "embedded"
    keep_alive: float = 300.0
    idle_exit: float = 1800.0
    looks: int = 64
    jobs: int = 0
    log_level: str = "info"
    start_daemon: bool = False
    log_format: str = "text"


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    Attributes:
        name: of the attribute of `DaemonSettings` and of the key in the file.
        values: what it can be, in words.
        meaning: a sentence for people.
        read: returns the value of a string or of a TOML value; ValueError if it is none.
        is_daemons: whether it is for the daemon, and an option of `vae-balance serve`.
    """

    name: str
    values: str
    meaning: str
    read: Callable[[Any], Any]
    is_daemons: bool = True

    @property
    def variable(self) -> str:
        """The environment variable."""
        return VARIABLE_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The option of `vae-balance serve`."""
        return "--" + self.name.replace("_", "-")

    @property
    def default(self) -> str:
        """The default, as one would write it."""
        value = getattr(DaemonSettings(), self.name)
        if isinstance(value, bool):
            return str(value).lower()
        return f"{value:g}" if isinstance(value, float) else str(value)


def _text(pattern: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return read


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return read


def _seconds(low: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if value == "forever":
            return FOREVER
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
        if not low <= number < FOREVER:
            raise ValueError
        return number

    return read


def _yes_or_no(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError
    return bool(value == "true")


SETTINGS = (
    Setting(
        "device",
        "auto, cpu, cuda or cuda:N",
        "Where models run; auto takes CUDA when there is one. Without a CUDA device that works "
        "and has memory left, it is the CPU, and every answer says so.",
        _text(r"auto|cpu|cuda(:\d{1,3})?"),
    ),
    Setting(
        "model",
        "a name that `vae-balance models` lists, or a model's folder",
        "The model that is loaded at the start, before anybody asks for it.",
        _text(r"[^\0]{1,1000}"),
    ),
    Setting(
        "keep_alive",
        "seconds, 0 or more, or forever",
        "How long models stay in memory unused; 0 loads them for each use.",
        _seconds(0.0),
    ),
    Setting(
        "idle_exit",
        "seconds, 1 or more, or forever",
        "How long nothing may be asked of a daemon that a client started before it ends itself.",
        _seconds(1.0),
    ),
    Setting("looks", "1 to 10000", "How many looks are kept, by last use.", _whole(1, 10000)),
    Setting(
        "jobs",
        "0 to 64",
        "Threads that apply looks, shrink pictures, and read and write LUTs; "
        "0 is one for each core, 2 to 4.",
        _whole(0, 64),
    ),
    Setting(
        "log_level",
        "debug, info, warning or error",
        "What the log tells; info has a line for each job. `vae-balance status --log-level debug` "
        "changes it while the daemon runs.",
        _text("debug|info|warning|error"),
    ),
    Setting(
        "start_daemon",
        "true or false",
        "Whether `vae-balance balance` starts the daemon if none runs: the next photo is done "
        "sooner. One that runs is used anyway.",
        _yes_or_no,
        is_daemons=False,
    ),
    Setting(
        "log_format",
        "text or json",
        "How the log tells it: json is an object a line.",
        _text("text|json"),
    ),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def read_settings(
    file: Path, environ: Mapping[str, str], flags: Mapping[str, str | None]
) -> DaemonSettings:
    """Return the settings: defaults, over which the file goes, then the environment, then flags.

    Args:
        file: a TOML file, which need not exist.
        environ: environment variables; those that begin otherwise are ignored.
        flags: setting -> what its option was given; None if it was not given.

    Raises:
        OptionError: a setting is unknown or has a value that it cannot have; the message names
            setting and source.
    """
    given = dict(_from_file(file))
    given |= _from_environment(environ)
    for name, text in flags.items():
        if text is not None:
            given[name] = _value(_BY_NAME[name], text, _BY_NAME[name].flag)
    return DaemonSettings(**given)


def settings_markdown() -> str:
    """Return the table of settings for README.md."""
    rows = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{s.name}` | {s.values} | {s.default} | {s.meaning} |" for s in SETTINGS]
    return "\n".join(rows) + "\n"


def _from_file(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OptionError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise OptionError(f"{file}: not a TOML file: {error}") from error
    for name in values:
        if name not in _BY_NAME:
            raise OptionError(f"{file}: unknown setting {name!r}; known: {', '.join(_BY_NAME)}")
    return {name: _value(_BY_NAME[name], values[name], f"{file}: {name}") for name in values}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {setting.variable: setting for setting in SETTINGS}
    given = {}
    for variable in sorted(environ):
        if not variable.startswith(VARIABLE_PREFIX) or variable in OTHER_VARIABLES:
            continue
        if variable not in known:
            raise OptionError(
                f"unknown environment variable {variable}; known: {', '.join(known)}, "
                f"{', '.join(sorted(OTHER_VARIABLES))}"
            )
        setting = known[variable]
        given[setting.name] = _value(setting, environ[variable], variable)
    return given


def _value(setting: Setting, given: Any, source: str) -> Any:
    try:
        return setting.read(given)
    except ValueError:
        raise OptionError(f"{source} is {given!r}: it must be {setting.values}") from None
