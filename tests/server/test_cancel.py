"""What nobody wants any more is stopped within a round, a strip or a photo."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_process import TIMEOUT, Peer, ServerThread, wait_for
from numpy.typing import NDArray
from PIL import Image

import vae_balance.correctors.latent_balancer.learn
from vae_balance import pipeline
from vae_balance.color.lut import Lut3D
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.learn import rounds_of
from vae_balance.errors import CancelledError
from vae_balance.looks.look import Look
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import UNKNOWN
from vae_balance.luts.cube import format_cube
from vae_balance.photos.photo import write_photo
from vae_balance.server import verbs

Floats = NDArray[np.float32]
PROXY = bytes(224 * 224 * 3)


class EndlessLearning:
    """Stands in for learning: goes round and round until it is cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    def __call__(self, proxies: Any, model: Any, options: LookOptions, progress: Any) -> Look:
        self.begun.set()
        try:
            while True:
                progress(0, rounds_of(options.iterations, model), "encode")
                self.cancelled.wait(0.01)
        except CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> EndlessLearning:
    made = EndlessLearning()
    monkeypatch.setattr(vae_balance.correctors.latent_balancer.learn, "learn_look", made)
    return made


@pytest.fixture
def own_peer(server: ServerThread) -> Iterator[Peer]:
    connected = server.peer()
    yield connected
    connected.close()


def learn(peer: Peer) -> bytes:
    return peer.send("learn", [PROXY], dtype="u8")


def test_cancelling_ends_learning(own_peer: Peer, endless: EndlessLearning) -> None:
    request = learn(own_peer)
    assert endless.begun.wait(TIMEOUT)
    cancelling = own_peer.send("cancel", request=request)
    assert own_peer.end_of(cancelling).header["cancelled"] is True
    assert own_peer.end_of(request).header["code"] == "cancelled"
    assert endless.cancelled.is_set()
    assert own_peer.ask("status").header["running"] == []


def test_what_waits_is_cancelled_at_once(own_peer: Peer, endless: EndlessLearning) -> None:
    learn(own_peer)
    assert endless.begun.wait(TIMEOUT)
    waiting = learn(own_peer)
    own_peer.send("cancel", request=waiting)
    assert own_peer.end_of(waiting).header["code"] == "cancelled"
    assert not endless.cancelled.is_set()


def test_there_may_be_nothing_to_cancel(peer: Peer) -> None:
    assert peer.ask("cancel", request=b"nothing").header["cancelled"] is False


def test_nobody_cancels_what_another_has_asked_for(
    server: ServerThread, own_peer: Peer, endless: EndlessLearning
) -> None:
    request = learn(own_peer)
    assert endless.begun.wait(TIMEOUT)
    other = server.peer()
    assert other.ask("cancel", request=request).header["cancelled"] is False
    other.close()
    assert not endless.cancelled.is_set()


def test_a_client_that_vanishes_cancels_what_it_has_asked_for(
    server: ServerThread, own_peer: Peer, endless: EndlessLearning
) -> None:
    vanishing = server.peer()
    learn(vanishing)
    assert endless.begun.wait(TIMEOUT)
    learn(vanishing)
    vanishing.close()
    assert endless.cancelled.wait(TIMEOUT)
    wait_for(lambda: own_peer.ask("status").header["running"] == [])
    status = own_peer.ask("status").header
    assert (status["queued"], status["clients"]) == (0, 1)


def test_a_strip_that_is_done_but_cancelled_is_not_given_out(
    own_peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, finish = threading.Event(), threading.Event()
    apply_look = verbs.apply_look

    def slow(look: Any, job: Any) -> Any:
        begun.set()
        assert finish.wait(TIMEOUT)
        return apply_look(look, job)

    monkeypatch.setattr(verbs, "apply_look", slow)
    cube = format_cube(Lut3D.identity(2))
    look = own_peer.ask("import", [cube], format="cube", name="x").header["look"]
    fields = {"look": look, "width": 2, "rows": 1, "channels": 3, "dtype": "u8"}
    request = own_peer.send("apply", [b"abcdef"], **fields)
    assert begun.wait(TIMEOUT)
    assert own_peer.ask("cancel", request=request).header["cancelled"] is True
    finish.set()
    answer = own_peer.end_of(request)
    assert (answer.header["code"], answer.frames) == ("cancelled", [])
    assert own_peer.ask("apply", [b"abcdef"], **fields).frames == [b"abcdef"]


def test_after_a_cancelled_strip_there_is_no_proxy(
    own_peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole in the picture must not pass for the picture."""
    from vae_balance.server.pictures import Picture

    begun, finish = threading.Event(), threading.Event()
    shrink = Picture.shrink

    def slow(picture: Picture, job: Any) -> Any:
        begun.set()
        assert finish.wait(TIMEOUT)
        return shrink(picture, job)

    monkeypatch.setattr(Picture, "shrink", slow)
    fields = {"width": 2, "height": 3, "channels": 3, "dtype": "u8", "kind": "frame"}
    requests = [
        own_peer.send("shrink", [bytes(6)], picture="a", first_row=row, rows=1, **fields)
        for row in range(3)
    ]
    assert begun.wait(TIMEOUT)
    own_peer.send("cancel", request=requests[1])
    assert own_peer.end_of(requests[1]).header["code"] == "cancelled"
    finish.set()
    last = own_peer.end_of(requests[2])
    assert last.header["message"] == "shrink: another strip has ended this picture"
    assert last.frames == []


def test_real_learning_ends_within_a_round(peer: Peer, proxy: Floats) -> None:
    request = peer.send("learn", [proxy.tobytes()], iterations=10)
    while (answer := peer.receive()) is not None and answer.header["stage"] != "balance":
        assert answer.header["type"] == "progress"
    assert answer is not None
    done = answer.header["done"]
    cancelling = peer.send("cancel", request=request)
    # Rounds may go by until the daemon hears of it, and one after that.
    while (answer := peer.receive()) is not None and answer.request == request:
        assert answer.header["type"] == "progress"
        done = answer.header["done"]
    assert answer is not None
    assert (answer.request, answer.header["cancelled"]) == (cancelling, True)
    while (answer := peer.receive()) is not None and answer.header["type"] == "progress":
        assert answer.header["done"] <= done + 1
    assert answer is not None
    assert (answer.request, answer.header["code"]) == (request, "cancelled")
    again = peer.ask("learn", [proxy.tobytes()]).header
    assert again["type"] == "result"


def test_a_cancelled_batch_leaves_whole_files_only(
    peer: Peer, tmp_path: Path, random_model: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    photos = []
    for number in range(40):
        source = tmp_path / f"{number}.png"
        Image.fromarray(noise).save(source)
        photos.append([str(source), str(tmp_path / "out" / source.name), None])
    request = peer.send("batch", photos=photos, model=str(random_model), jobs=2)
    while (answer := peer.receive()) is not None and answer.header["stage"] != "photo":
        assert answer.header["type"] == "progress"
    peer.send("cancel", request=request)
    assert peer.end_of(request).header["code"] == "cancelled"
    wait_for(lambda: peer.ask("status").header["running"] == [])
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert 1 <= len(written) < 40
    for name in written:
        assert name[0] != "."
        Image.open(tmp_path / "out" / name).load()


def test_a_photo_that_was_being_written_is_told_of(
    own_peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, finish = threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> None:
        begun.set()
        assert finish.wait(TIMEOUT)
        write_photo(*arguments, **options)

    def learn(proxies: Any, model: Any, options: LookOptions, progress: Any) -> Look:
        return LutLook(Lut3D.identity(2), UNKNOWN)

    monkeypatch.setattr(pipeline, "write_photo", slow)
    monkeypatch.setattr(vae_balance.correctors.latent_balancer.learn, "learn_look", learn)
    Image.new("RGB", (9, 9), "orange").save(tmp_path / "a.png")
    photos = [[str(tmp_path / "a.png"), str(tmp_path / f"{i}.png"), None] for i in range(3)]
    request = own_peer.send("batch", photos=photos, jobs=1)
    assert begun.wait(TIMEOUT)
    assert own_peer.ask("cancel", request=request).header["cancelled"] is True
    finish.set()
    told = []
    while (answer := own_peer.receive()) is not None and answer.header.get("code") != "cancelled":
        if "photo" in answer.header:  # not only told again how far it is
            told.append((answer.header["photo"], answer.header["outcome"]))
    assert told == [(0, "done")]
    assert (tmp_path / "0.png").exists()
    assert not (tmp_path / "1.png").exists()
