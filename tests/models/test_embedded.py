"""The embedded model's colors: nobody makes them worse, or other, without noticing.

Other CPUs change the numbers by a hundredth at most (tried with instructions from SSE4.1 to AMX),
other weights by much more: noise of a hundredth of their spread moves colors by 0.5 to 5 of 255.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from golden import GOLDEN, PHOTOS, measure

from vae_balance import Balancer
from vae_balance.looks.labels import require_lut

RENEW = "if that is wanted, renew the numbers: .venv/bin/python tests/models/golden.py"
COLORS = 0.2  # of 255
DIFFERENCE = 0.05  # CIEDE2000

golden: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="ascii"))


@pytest.fixture(scope="module")
def embedded() -> Balancer:
    return Balancer(device="cpu")


def test_the_numbers_are_of_the_model_that_is_embedded(embedded: Balancer) -> None:
    assert golden["model"] == embedded.model.info.version, RENEW


@pytest.mark.parametrize("name", PHOTOS)
def test_the_embedded_model_s_colors_are_what_they_were(embedded: Balancer, name: str) -> None:
    made = measure(embedded, name)
    assert made["balanced"] < 0.9 * made["damaged"]
    assert made["balanced"] <= golden[name]["balanced"] + DIFFERENCE, f"worse: {RENEW}"
    colors = np.array(made["colors"])
    np.testing.assert_allclose(colors, golden[name]["colors"], rtol=0, atol=COLORS, err_msg=RENEW)


@pytest.mark.parametrize("name", PHOTOS)
def test_strength_scales_the_change_and_more_is_never_less(embedded: Balancer, name: str) -> None:
    photo, damage = PHOTOS[name]
    damaged = damage(photo() / 255.0).astype(np.float32)
    looks = {s: embedded.learn(damaged, strength=s) for s in (0.0, 0.5, 1.0, 1.25, 1.4, 1.5)}
    identity, half, full = (require_lut(looks[s]).table for s in (0.0, 0.5, 1.0))
    wanted = identity + 0.5 * (full - identity)
    # All but the nodes where a full look would fold, and is mended.
    assert (np.abs(half - wanted) < 1e-5).mean() > 0.98
    changes = [np.abs(embedded.apply(look, damaged) - damaged).mean() for look in looks.values()]
    assert (np.diff(changes) > 0.0).all()
