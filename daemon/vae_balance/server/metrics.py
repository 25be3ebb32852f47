"""The daemon's status in the text form that Prometheus reads.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

_PREFIX = "vae_balance_"


def metrics_text(status: Mapping[str, Any]) -> str:
    """Return the metrics of an answer to `status`."""
    lines: list[str] = []

    def add(name: str, kind: str, meaning: str, values: Mapping[str, float]) -> None:
        lines.append(f"# HELP {_PREFIX}{name} {meaning}")
        lines.append(f"# TYPE {_PREFIX}{name} {kind}")
        lines.extend(f"{_PREFIX}{name}{labels} {value:.15g}" for labels, value in values.items())

    build = _labels(version=status["version"], device=status["device"])
    add("info", "gauge", "Version and device of the daemon.", {build: 1})
    for field, name, meaning in _GAUGES:
        add(name, "gauge", meaning, {"": float(status[field])})
    waiting = Counter(_labels(client=job["client"]) for job in status["waiting"])
    running = Counter(_labels(client=job["client"]) for job in status["running"])
    add("requests_waiting", "gauge", "Requests that wait, by client.", waiting)
    add("requests_running", "gauge", "Requests that are worked on, by client.", running)
    requests, seconds = {}, {}
    for total in status["totals"]:
        for outcome in ("done", "failed", "cancelled"):
            requests[_labels(verb=total["verb"], outcome=outcome)] = float(total[outcome])
        seconds[_labels(verb=total["verb"])] = total["seconds"]
    add("requests_total", "counter", "Requests that have ended.", requests)
    add("work_seconds_total", "counter", "Seconds that those done took.", seconds)
    lately = {_labels(kind=name): float(value) for name, value in status["last_minute"].items()}
    add("last_minute", "gauge", "Requests, photos and pixels of the last minute.", lately)
    return "\n".join(lines) + "\n"


_GAUGES = (
    ("uptime", "uptime_seconds", "Seconds since the daemon began."),
    ("memory_bytes", "memory_bytes", "Memory in use."),
    ("peak_bytes", "memory_peak_bytes", "The most memory in use so far."),
    ("unread_bytes", "unread_bytes", "Answers that clients have not read."),
    ("clients", "clients", "Clients that are connected."),
    ("looks", "looks", "Looks that are kept."),
)


def _labels(**labels: str) -> str:
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
