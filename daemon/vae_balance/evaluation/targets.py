"""A figure beside what it should be: a line of the quality and speed tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One measured figure and its target.

    Attributes:
        name: what was measured.
        figure: the value; None where it cannot be measured.
        bound: the value to reach.
        unit: of both, "" for a ratio.
        at_most: the figure must not exceed the bound; else it must not fall below.
        detail: what the figure was made from, for people.
    """

    name: str
    figure: float | None
    bound: float
    unit: str = ""
    at_most: bool = True
    detail: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure was measured and keeps to its bound."""
        if self.figure is None:
            return False
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound

    @property
    def target(self) -> str:
        """The bound in words, for instance "at most 0.2 s"."""
        return f"{'at most' if self.at_most else 'at least'} {_number(self.bound, self.unit)}"

    @property
    def measured(self) -> str:
        """The figure with its unit, and with more digits where it misses its bound by a hair."""
        if self.figure is None:
            return "not measured"
        rounded = _number(self.figure, self.unit)
        if self.reached or rounded != _number(self.bound, self.unit):
            return rounded
        return f"{self.figure:.6g} {self.unit}".rstrip()

    @property
    def verdict(self) -> str:
        """Return "reached" or "NOT reached"."""
        return "reached" if self.reached else "NOT reached"

    def to_json(self) -> dict[str, Any]:
        """Return the line as values that `json.dumps` takes."""
        return {
            "name": self.name,
            "figure": self.figure,
            "unit": self.unit,
            "target": self.target,
            "reached": self.reached,
            "detail": self.detail,
        }


def targets_markdown(rows: Sequence[Target]) -> str:
    """Return the lines as a table in Markdown."""
    lines = ["| measured | figure | target | |", "|---|---:|---:|---|"]
    for row in rows:
        name = f"{row.name} ({row.detail})" if row.detail else row.name
        lines.append(f"| {name} | {row.measured} | {row.target} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def _number(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".rstrip() if value < 1000 else f"{value:.0f} {unit}".rstrip()
