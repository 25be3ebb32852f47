"""What one client does, or does not do, costs the others nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import zmq
from daemon_process import TIMEOUT, Daemon, Peer, ServerThread, header, wait_for
from numpy.typing import NDArray

import vae_balance.correctors.latent_balancer.learn
from vae_balance.color.lut import Lut3D
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.learn import rounds_of
from vae_balance.looks.look import Look
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import UNKNOWN
from vae_balance.luts.cube import format_cube
from vae_balance.server import learner, router
from vae_balance.server.jobs import Job
from vae_balance_protocol.messages import FRAME_BYTES, REQUESTS, WINDOW_BYTES

PROXY = bytes(224 * 224 * 3)
# Ten times what is promised: these machines may be busy with other things.
STATUS_SECONDS = 0.5


class Gate:
    """Stands in for learning: holds every look up until it is opened."""

    def __init__(self) -> None:
        self.begun: list[int] = []  # iterations, by which requests are told apart
        self.done = 0  # rounds, as each look tells
        self.open = threading.Semaphore(0)

    def __call__(self, proxies: Any, model: Any, options: LookOptions, progress: Any) -> Look:
        rounds = rounds_of(options.iterations, model)
        self.begun.append(rounds)
        while not self.open.acquire(timeout=0.02):
            progress(self.done, rounds, "encode")
        return LutLook(Lut3D.identity(2), UNKNOWN)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setattr(vae_balance.correctors.latent_balancer.learn, "learn_look", made)
    return made


@pytest.fixture
def connect(server: ServerThread) -> Iterator[Callable[..., Peer]]:
    """Return a function that connects another peer to the server of this process."""
    peers: list[Peer] = []

    def make(**options: Any) -> Peer:
        peers.append(server.peer(**options))
        return peers[-1]

    yield make
    for connected in peers:
        connected.close()


def learn(peer: Peer, iterations: int = 1) -> bytes:
    return peer.send("learn", [PROXY], dtype="u8", iterations=iterations)


def unfinished(peer: Peer) -> int:
    """Return how many requests of all clients have arrived and are not answered."""
    told = peer.ask("status").header
    return len(told["running"]) + len(told["waiting"])


def import_identity(peer: Peer) -> str:
    answer = peer.ask("import", [format_cube(Lut3D.identity(2))], format="cube", name="identity")
    name: str = answer.header["look"]
    return name


def shape_of(strip: bytes) -> dict[str, Any]:
    return {"width": 1024, "rows": len(strip) // 4096, "channels": 4, "dtype": "u8"}


def test_clients_learn_in_turn(connect: Callable[..., Peer], gate: Gate) -> None:
    greedy, modest = connect(), connect()
    many = [learn(greedy, iterations) for iterations in (1, 2, 3)]
    wait_for(lambda: gate.begun == [1])
    wait_for(lambda: unfinished(modest) == 3)
    one = learn(modest, 10)
    assert modest.ask("status").header["queued"] == 3
    gate.open.release(4)
    for request in many:
        assert greedy.end_of(request).header["type"] == "result"
    assert modest.end_of(one).header["type"] == "result"
    assert gate.begun == [1, 2, 10, 3] or gate.begun == [1, 10, 2, 3]


def test_a_single_look_does_not_wait_for_a_roll(connect: Callable[..., Peer], gate: Gate) -> None:
    rolling, modest = connect(), connect()
    roll = rolling.send("learn", [PROXY] * 36, dtype="u8", iterations=7)
    wait_for(lambda: gate.begun == [7])
    one = learn(modest, 2)
    wait_for(lambda: gate.begun == [7, 2])  # in the middle of the roll
    gate.open.release()
    assert modest.end_of(one).header["type"] == "result"
    assert rolling.ask("status").header["running"][0]["total"] == 7
    gate.open.release()
    assert rolling.end_of(roll).header["type"] == "result"


def test_a_first_round_does_not_wait_for_further_rounds(
    connect: Callable[..., Peer], gate: Gate
) -> None:
    gate.done = 1
    patient, modest = connect(), connect()
    long = learn(patient, 10)
    wait_for(lambda: gate.begun == [10])
    one = learn(modest, 1)
    wait_for(lambda: gate.begun == [10, 1])
    gate.open.release(2)
    assert modest.end_of(one).header["type"] == "result"
    assert patient.end_of(long).header["type"] == "result"


def test_looks_of_one_client_are_learned_in_their_order(
    connect: Callable[..., Peer], gate: Gate
) -> None:
    gate.done = 1
    peer = connect()
    requests = [learn(peer, iterations) for iterations in (10, 1)]
    wait_for(lambda: gate.begun == [10])
    time.sleep(0.3)
    assert gate.begun == [10]
    gate.open.release(2)
    for request in requests:
        assert peer.end_of(request).header["type"] == "result"


def test_looks_in_the_middle_of_looks_have_an_end(connect: Callable[..., Peer], gate: Gate) -> None:
    gate.done = 1
    peers = [connect() for _ in range(8)]
    requests = [learn(peer) for peer in peers]
    wait_for(lambda: len(gate.begun) == learner._MOST_NESTED + 1)
    time.sleep(0.3)
    assert len(gate.begun) == learner._MOST_NESTED + 1
    gate.open.release(len(peers))
    for peer, request in zip(peers, requests, strict=True):
        assert peer.end_of(request).header["type"] == "result"


def test_a_roll_does_not_wait_for_ever_for_single_looks(
    connect: Callable[..., Peer], gate: Gate
) -> None:
    rolling, greedy, witness = connect(), connect(), connect()
    busy = [learn(greedy, iterations) for iterations in range(1, 9)]
    roll = rolling.send("learn", [PROXY] * 36, dtype="u8", iterations=10)
    wait_for(lambda: unfinished(witness) == len(busy) + 1)
    gate.open.release(len(busy) + 1)
    assert rolling.end_of(roll).header["type"] == "result"
    for request in busy:
        greedy.end_of(request)
    assert 10 in gate.begun[:6]


def test_a_batch_gives_way_while_somebody_waits_for_a_look(
    connect: Callable[..., Peer],
    gate: Gate,
    server: ServerThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learner, "_WAY_SECONDS", TIMEOUT)
    waiting = connect()
    request = learn(waiting)
    wait_for(lambda: gate.begun == [1])
    batch_job = Job(0, b"1", [], 0, lambda job, fields: None)
    gave_way = threading.Event()

    def give_way() -> None:
        server.server._learner.give_way(batch_job)
        gave_way.set()

    threading.Thread(target=give_way).start()
    assert not gave_way.wait(0.3)
    gate.open.release()
    assert waiting.end_of(request).header["type"] == "result"
    assert gave_way.wait(TIMEOUT)


def test_strips_are_applied_while_another_client_learns(
    connect: Callable[..., Peer], gate: Gate
) -> None:
    learning, applying = connect(), connect()
    request = learn(learning)
    wait_for(lambda: gate.begun == [1])
    fields = {"width": 2, "rows": 1, "channels": 3, "dtype": "u8"}
    answer = applying.ask("apply", [b"abcdef"], look=import_identity(applying), **fields)
    assert answer.frames == [b"abcdef"]
    gate.open.release()
    assert learning.end_of(request).header["type"] == "result"


def test_status_tells_what_runs(connect: Callable[..., Peer], gate: Gate) -> None:
    peer = connect()
    requests = [learn(peer, 3), learn(peer, 4)]
    wait_for(lambda: gate.begun == [3])
    wait_for(lambda: peer.ask("status").header["running"][0]["stage"] == "encode")
    told = peer.ask("status").header
    (running,) = told["running"]
    assert running.items() >= {("verb", "learn"), ("done", 0), ("total", 3)}
    assert running["seconds"] > 0
    assert (told["queued"], told["clients"]) == (1, 1)
    gate.open.release(2)
    for request in requests:
        assert peer.end_of(request).header["type"] == "result"
    assert peer.ask("status").header["running"] == []


def test_who_waits_hears_something_every_second(connect: Callable[..., Peer], gate: Gate) -> None:
    first, second = connect(), connect()
    learn(first)
    wait_for(lambda: gate.begun == [1])
    waiting = learn(second, 5)
    for _ in range(3):
        answer = second.receive(5.0)  # what a busy machine may need for the second that is promised
        assert answer is not None
        assert answer.request == waiting
        told = {name: answer.header[name] for name in ("type", "stage", "done", "total")}
        assert told == {"type": "progress", "stage": "queued", "done": 0, "total": 5}
    gate.open.release(2)


def test_requests_beyond_the_limit_are_refused(connect: Callable[..., Peer], gate: Gate) -> None:
    peer = connect()
    for _ in range(REQUESTS):
        learn(peer)
    refused = learn(peer)
    error = peer.end_of(refused).header
    assert (error["code"], error["message"]) == (
        "busy",
        "64 requests are unfinished: wait for an answer",
    )
    wait_for(lambda: peer.ask("status").header["queued"] == REQUESTS - 1)
    gate.open.release(REQUESTS)


def test_bytes_beyond_the_limit_are_refused(connect: Callable[..., Peer], gate: Gate) -> None:
    peer = connect()
    proxies = [bytes(224 * 224 * 3 * 4)] * 100
    assert sum(map(len, proxies)) < WINDOW_BYTES
    first = peer.send("learn", proxies)
    refused = peer.ask("learn", proxies[:12]).header
    assert refused["code"] == "busy"
    assert refused["message"].startswith("7225344 bytes of data, and 60211200 are unfinished")
    gate.open.release(2)
    assert peer.end_of(first).header["type"] == "result"
    assert peer.ask("learn", proxies[:12]).header["type"] == "result"


def test_a_request_id_is_not_used_twice_at_a_time(connect: Callable[..., Peer], gate: Gate) -> None:
    peer = connect()
    request = learn(peer)
    peer.socket.send_multipart([request, header("hello", client="x")])
    error = peer.end_of(request).header
    assert error["message"] == "the request id is that of an unfinished request"
    gate.open.release()
    assert peer.end_of(request).header["type"] == "result"


def test_a_fifth_picture_has_to_wait(connect: Callable[..., Peer]) -> None:
    peer = connect()
    fields = {"width": 2, "height": 2, "channels": 3, "dtype": "u8", "kind": "frame"}
    strip = {"first_row": 0, "rows": 1, **fields}
    codes = [
        peer.ask("shrink", [bytes(6)], picture=name, **strip).header.get("code") for name in "abcde"
    ]
    assert codes == [None, None, None, None, "busy"]
    last = peer.ask("shrink", [bytes(6)], picture="a", **{**strip, "first_row": 1})
    assert len(last.frames) == 1
    assert peer.ask("shrink", [bytes(6)], picture="e", **strip).header["type"] == "result"


def test_a_frame_that_is_too_long_ends_the_connection(daemon: Daemon, peer: Peer) -> None:
    with daemon.client() as witness:
        peer.ask("status")
        before = witness.status()["clients"]
        peer.socket.reconnect_ivl = -1
        peer.socket.send_multipart([b"1", header("status"), bytes(FRAME_BYTES + 1)])
        wait_for(lambda: witness.status()["clients"] == before - 1)
    assert peer.receive(0.1) is None


def test_a_client_that_is_gone_is_forgotten_with_its_pictures(
    connect: Callable[..., Peer], server: ServerThread
) -> None:
    peer, witness = connect(), connect()
    fields = {"width": 2, "height": 2, "channels": 3, "dtype": "u8", "kind": "frame"}
    peer.ask("shrink", [bytes(6)], picture="a", first_row=0, rows=1, **fields)
    assert witness.ask("status").header["clients"] == 2
    peer.close()
    wait_for(lambda: witness.ask("status").header["clients"] == 1)


def test_who_leaves_before_being_heard_is_not_remembered(
    connect: Callable[..., Peer], server: ServerThread
) -> None:
    witness, passing = connect(), connect(immediate=1)
    assert passing.socket.poll(round(1000 * TIMEOUT), zmq.POLLOUT)  # it has been let in
    gone = threading.Event()

    def wait() -> None:
        gone.wait(TIMEOUT)

    server.server._router.calls.post(wait)
    passing.socket.send_multipart([b"", header("status")])  # nobody can answer that
    passing.socket.close(linger=1000)
    passing.close()
    gone.set()
    wait_for(lambda: witness.ask("status").header["clients"] == 1)


def slow_peer(connect: Callable[..., Peer]) -> Peer:
    """Return a peer whose ZeroMQ keeps next to nothing for who does not read."""
    return connect(rcvhwm=1, rcvbuf=1 << 16)


def test_who_does_not_read_is_not_worked_for_beyond_a_limit(daemon: Daemon) -> None:
    slow, witness = daemon.peer(rcvhwm=1, rcvbuf=1 << 16), daemon.peer()
    strip = bytes(WINDOW_BYTES // 8)
    fields = {"look": import_identity(witness), **shape_of(strip)}
    before = witness.ask("status").header["memory_bytes"]
    for _ in range(64):
        slow.send("apply", [strip], **fields)
    wait_for(lambda: witness.ask("status").header["queued"] > 0)
    assert witness.ask("apply", [strip], **fields).frames == [strip]
    grown = witness.ask("status").header["memory_bytes"] - before
    slow.close()
    wait_for(lambda: witness.ask("status").header["queued"] == 0)
    witness.close()
    # Its window, what it has not read, ZeroMQ's queues in and out, and strips in threads.
    assert grown < 4 * WINDOW_BYTES


def test_who_reads_nothing_for_long_counts_as_gone(
    connect: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "_UNREAD_SECONDS", 0.5)
    slow, witness = slow_peer(connect), connect()
    strip = bytes(WINDOW_BYTES // 8)
    look = import_identity(witness)
    wait_for(lambda: witness.ask("status").header["clients"] == 2)
    for _ in range(16):
        slow.send("apply", [strip], look=look, **shape_of(strip))
    wait_for(lambda: witness.ask("status").header["clients"] == 1)
    assert witness.ask("status").header["queued"] == 0


def test_small_answers_that_nobody_reads_do_not_pile_up(connect: Callable[..., Peer]) -> None:
    slow, witness = slow_peer(connect), connect()
    before = witness.ask("status").header["memory_bytes"]
    # The system may take no more at some time, when answers fill what there is for this client.
    slow.socket.sndtimeo = 1000
    with suppress(zmq.Again):
        for number in range(20_000):
            slow.socket.send_multipart([b"%d" % number, header("export", padding="x" * 1000)])
    assert number > 1000
    assert witness.ask("status").header["memory_bytes"] - before < 100e6


def test_who_reads_slowly_gets_everything(connect: Callable[..., Peer]) -> None:
    slow = slow_peer(connect)
    strip = bytes(range(256)) * (1 << 14)
    look = import_identity(slow)
    requests = [slow.send("apply", [strip], look=look, **shape_of(strip)) for _ in range(14)]
    for request in requests:
        assert slow.end_of(request).frames == [strip]
        time.sleep(0.01)


def test_fifty_clients_at_once(daemon: Daemon) -> None:
    peers = [daemon.peer() for _ in range(50)]
    try:
        look = import_identity(peers[0])
        strips = [np.full((8, 16, 3), number, np.uint8) for number in range(50)]
        fields = {"look": look, "width": 16, "rows": 8, "channels": 3, "dtype": "u8"}
        results: list[set[bytes]] = []
        for _ in range(2):
            requests = [
                peer.send("apply", [strip.tobytes()], **fields)
                for peer, strip in zip(peers, strips, strict=True)
            ]
            answers = [peer.end_of(r) for peer, r in zip(peers, requests, strict=True)]
            results.append({answer.frames[0] for answer in answers})
        assert len(results[0]) == 50  # to every one its own
        assert results[0] == results[1]
        assert peers[0].ask("status").header["clients"] >= 50
    finally:
        for peer in peers:
            peer.close()


def check_that_status_is_quick(daemon: Daemon, peer: Peer, work: Callable[[Any], None]) -> None:
    """Ask for the status all the time while a client works.

    A machine may stall as a whole now and then: what the daemon is at fault for comes every time.
    """
    slowest = [slowest_status(daemon, peer, work)]
    while slowest[-1] >= STATUS_SECONDS and len(slowest) < 3:
        slowest.append(slowest_status(daemon, peer, work))
    assert slowest[-1] < STATUS_SECONDS, slowest


def slowest_status(daemon: Daemon, peer: Peer, work: Callable[[Any], None]) -> float:
    def run() -> None:
        with daemon.client() as client:
            work(client)

    slowest = 0.0
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run)
        while not working.done():
            began = time.monotonic()
            peer.ask("status")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.005)
        working.result()
    return slowest


@pytest.fixture
def megapixel() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (100, 10_000, 3), np.uint8)


def test_status_is_quick_while_100_megapixels_are_applied(
    daemon: Daemon, peer: Peer, look: str, megapixel: NDArray[np.uint8]
) -> None:
    def work(client: Any) -> None:
        strips = ((100 * number, 100, megapixel) for number in range(100))
        assert sum(1 for _ in client.apply_strips(look, strips, 10_000, 3, "u8")) == 100

    check_that_status_is_quick(daemon, peer, work)


def test_status_is_quick_while_100_megapixels_are_shrunk(
    daemon: Daemon, peer: Peer, megapixel: NDArray[np.uint8]
) -> None:
    def work(client: Any) -> None:
        strips = ((100 * number, 100, megapixel) for number in range(100))
        assert len(client.make_proxy(strips, 10_000, 10_000, 3, "u8")) == 224 * 224 * 12

    check_that_status_is_quick(daemon, peer, work)


def test_status_is_quick_while_looks_are_learned_and_read(daemon: Daemon, peer: Peer) -> None:
    cube = format_cube(Lut3D.identity(65))

    def work(client: Any) -> None:
        learning = client.send("learn", {"dtype": "u8", "iterations": 3}, [PROXY])
        reading = client.send("import", {"format": "cube", "name": "x"}, [cube])
        ended: set[bytes] = set()
        while ended != {learning, reading}:
            answer = client.receive(TIMEOUT)
            assert answer is not None
            assert answer.type != "error"
            if answer.type == "result":
                ended.add(answer.request)

    check_that_status_is_quick(daemon, peer, work)
