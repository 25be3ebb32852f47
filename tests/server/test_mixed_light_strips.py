"""A look that differs from place to place, applied by the daemon as GIMP asks for it: in strips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from daemon_process import Daemon

from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.registry import load_corrector
from vae_balance.looks.light_map import LightLook
from vae_balance.looks.look import Place
from vae_balance.luts.cube import parse_cube
from vae_balance_protocol import DaemonError, messages


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = Daemon(tmp_path_factory.mktemp("daemon"))
    yield running
    assert running.end() == 0, running.log()


def lit() -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], ...]:
    """Return a proxy, warm at the left and cool at the right, and a large picture of it."""
    rng = np.random.default_rng(3)
    proxy = np.repeat(np.repeat(rng.uniform(0.2, 0.8, (14, 14, 1)), 16, 0), 16, 1)
    share = np.linspace(0.0, 1.0, 224)[None, :, None]
    proxy = proxy * ((1.0 - share) * [1.1, 0.8, 0.5] + share * [0.6, 0.85, 1.15])
    clipped = proxy.clip(0.0, 1.0).astype(np.float32)
    return clipped, np.repeat(np.repeat(clipped, 2, 0), 2, 1)


def test_strips_with_their_place_are_the_look_and_no_lut(daemon: Daemon) -> None:
    proxy, picture = lit()
    look = load_corrector("mixed-light", "cpu").learn([proxy], LookOptions())
    assert isinstance(look, LightLook)
    assert look.grid.any()
    expected = look.apply(picture, Place.whole(picture))
    with daemon.client() as client:
        learned = client.learn([proxy.tobytes()], model="mixed-light", dtype="f32")
        assert learned["look"] == look.digest()
        assert not learned["unchanged"]
        made = [
            client.call(
                "apply",
                {
                    "look": learned["look"],
                    "width": 448,
                    "rows": 64,
                    "channels": 3,
                    "dtype": "f32",
                    "place": {"width": 448, "height": 448, "left": 0, "top": top},
                },
                [picture[top : top + 64].tobytes()],
            ).frames[0]
            for top in range(0, 448, 64)
        ]
        found = np.frombuffer(b"".join(made), np.float32).reshape(picture.shape)
        np.testing.assert_array_equal(found, expected)
        with pytest.raises(DaemonError) as refused:
            client.export(learned["look"], "cube")
        assert refused.value.code == messages.LUT
        average = client.export(learned["look"], "cube", average=True)
    assert b"# average: over the places" in average
    mean = parse_cube(average, "average").baked().table
    np.testing.assert_allclose(mean, look.average().table, atol=1e-5)


def test_a_photo_in_which_nothing_is_found_is_told_to_be_unchanged(daemon: Daemon) -> None:
    plain = np.full((224, 224, 3), 0.5, np.float32)
    with daemon.client() as client:
        assert client.learn([plain.tobytes()], model="mixed-light", dtype="f32")["unchanged"]
        proxy = lit()[0].tobytes()
        told = client.learn([proxy], model="mixed-light", dtype="f32", strength=0.0)
    assert told["unchanged"]
