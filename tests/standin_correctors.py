"""Two correctors that no product has: one whose look depends on the place, one for grey photos."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import Self

from vae_balance.color.profile import from_srgb, to_srgb
from vae_balance.correctors import registry
from vae_balance.correctors.corrector import LookOptions, Progress, Proxy, Wants
from vae_balance.looks.look import Look, Place
from vae_balance.looks.origin import Origin
from vae_balance.models.store import ModelInfo, write_info
from vae_balance_protocol.options import STRENGTH, Option


@dataclass(frozen=True, eq=False)
class SlopeLook:
    """Lightens red from left to right and blue from top to bottom, of the whole upright photo."""

    level: float
    origin: Origin
    report: None = None
    lut: None = None
    changes_nothing: bool = False

    def apply(
        self,
        pixels: NDArray[Any],
        place: Place,
        profile: bytes | None = None,
        strength: float = 1.0,
        out: NDArray[Any] | None = None,
        threads: int = 1,
    ) -> NDArray[Any]:
        result = np.array(pixels) if out is None else out
        full = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
        rows = (place.top + np.arange(len(pixels)) + 0.5) / place.height
        columns = (place.left + np.arange(pixels.shape[1]) + 0.5) / place.width
        if place.orientation == 3:  # upside down
            rows, columns = 1 - rows, 1 - columns
        gains = np.zeros((*pixels.shape[:2], 3))
        gains[..., 0] += strength * self.level * columns
        gains[..., 2] += strength * self.level * rows[:, None]
        changed = from_srgb(to_srgb(pixels[..., :3] / full, profile) + gains, profile)
        result[..., :3] = np.round(changed.clip(0, 1) * full) if full > 1 else changed
        return result

    def digest(self) -> str:
        return hashlib.sha256(b"slope" + struct.pack("<d", self.level)).hexdigest()

    def to_bytes(self) -> bytes:
        return struct.pack("<d", self.level)


class Slope:
    """Learns from the brightness of the whole frame, and from one photo only."""

    name: ClassVar[str] = "slope"
    wants: ClassVar[Wants] = Wants(part="frame", roll=False)
    options: ClassVar[tuple[Option, ...]] = (STRENGTH,)
    device = "cpu"

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    @classmethod
    def load(cls, info: ModelInfo, device: str) -> Self:
        return cls(info)

    def learn(
        self, proxies: Sequence[Proxy], options: LookOptions, progress: Progress = print
    ) -> Look:
        origin = Origin(self.name, self.info.name, self.info.version)
        return SlopeLook(float(proxies[0].mean()) * options.strength, origin)


class GreySlope(Slope):
    """As `Slope`, for grey photos."""

    name: ClassVar[str] = "grey-slope"
    wants: ClassVar[Wants] = Wants(part="frame", colors="grey", roll=False)


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, str]:
    """Register both; return the folders of their models by name."""
    models = {}
    for kind in (Slope, GreySlope):
        (folder / kind.name).mkdir(parents=True)
        write_info(folder / kind.name, kind.name, "1", "MIT", "tests", corrector=kind.name)
        models[kind.name] = str(folder / kind.name)
    real = registry.corrector_type
    kinds = {kind.name: kind for kind in (Slope, GreySlope)}
    monkeypatch.setattr(registry, "corrector_type", lambda name: kinds.get(name) or real(name))
    return models
