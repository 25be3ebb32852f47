"""Where a look comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Origin:
    """What a look was learned with.

    Attributes:
        corrector: its name in `model.json`.
        model: what `--model` calls it.
        version: of the model.
        options: by name, those that had an influence.
        found: what was wrong with the photos, in one line; "" where that was not looked for.
    """

    corrector: str
    model: str
    version: str
    options: Mapping[str, Any] = field(default_factory=dict)
    found: str = ""


UNKNOWN = Origin("", "", "")  # of a LUT file
