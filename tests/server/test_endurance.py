"""A daemon that has worked for long is as large as one that has just begun, and as right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from daemon_process import Daemon

from vae_balance.color.lut import apply_lut
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model

ROUNDS, BETWEEN = 1000, 100
WIDTH, ROWS, STRIPS = 500, 40, 4
GROWTH = 8e6  # bytes of noise; the looks alone have 60 MB in all


@pytest.mark.slow
def test_a_thousand_looks_leave_nothing_behind(
    start_daemon: Callable[..., Daemon], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    # glibc keeps one or two freed buffers of 29 MB, more or fewer from round to round. With this,
    # what has a megabyte goes back to the system at once, and what is left is in use.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(2**20))
    daemon = start_daemon("--model", str(model.info.folder))
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (STRIPS * ROWS, WIDTH, 4), np.uint8)
    strips = [(row, ROWS, picture[row : row + ROWS].copy()) for row in range(0, len(picture), ROWS)]
    options: dict[str, Any] = {"dtype": "u8", "size": 17, "model": str(model.info.folder)}
    looks = set()
    memory = []
    with daemon.client() as client:
        for number in range(ROUNDS + 1):
            # Of several colors: what is of a single one is left as it is.
            blocks = rng.integers(0, 256, (4, 4, 3), np.uint8)
            proxy = blocks.repeat(56, axis=0).repeat(56, axis=1)
            look = client.learn([proxy.tobytes()], **options)["look"]
            parts = [part for *_, part in client.apply_strips(look, strips, WIDTH, 4, "u8")]
            looks.add(look)
            if number % BETWEEN == 0:
                memory.append(client.status()["memory_bytes"])
                lut = learn_look([proxy / np.float32(255)], model, LookOptions(size=17)).lut
                assert look == lut.digest()
                assert b"".join(parts) == apply_lut(lut, picture).tobytes()
    assert len(looks) > 0.9 * ROUNDS
    # After a few hundred rounds all caches are full.
    assert max(memory[6:]) - max(memory[2:4]) < GROWTH, memory
