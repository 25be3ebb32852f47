"""A daemon that has worked for long is as large as one that has just begun, and as right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from daemon_process import Daemon

from vae_balance.look import LookOptions, learn_look
from vae_balance.lut import apply_lut
from vae_balance.models.registry import Model

ROUNDS, BETWEEN, READINGS = 1000, 100, 10
WIDTH, ROWS, STRIPS = 500, 40, 4
GROWTH = 8e6  # bytes of noise; the looks alone have 60 MB in all


def test_a_thousand_looks_leave_nothing_behind(
    start_daemon: Callable[..., Daemon], model: Model
) -> None:
    daemon = start_daemon("--model", str(model.info.folder))
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (STRIPS * ROWS, WIDTH, 4), np.uint8)
    strips = [(row, ROWS, picture[row : row + ROWS].copy()) for row in range(0, len(picture), ROWS)]
    options = {"dtype": "u8", "size": 17, "model": str(model.info.folder)}
    looks = set()
    readings: list[int] = []
    memory: list[int] = []
    with daemon.client() as client:
        for number in range(ROUNDS + 1):
            proxy = np.full((224, 224, 3), rng.integers(0, 256, 3), np.uint8)
            look = client.learn([proxy], **options)["look"]
            parts = [part for *_, part in client.apply_strips(look, strips, WIDTH, 4, "u8")]
            looks.add(look)
            readings.append(client.status()["memory_bytes"])
            if number % BETWEEN == 0:
                # Buffers that the allocator keeps for a while come and go: what stays is least.
                memory.append(min(readings[-READINGS:]))
                lut = learn_look([proxy / np.float32(255)], model, LookOptions(size=17)).lut
                assert look == lut.digest()
                assert b"".join(parts) == apply_lut(lut, picture).tobytes()
    assert len(looks) > 0.9 * ROUNDS
    # After a few hundred rounds all caches are full.
    assert max(memory[6:]) - max(memory[2:4]) < GROWTH, memory
