"""The client against a real ROUTER: limits, order, cancelling, connections that end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_daemon import LOOK, PROXY, TOKEN, FakeDaemon, Reply, error, result

from vae_balance_protocol import ConnectionLost, DaemonError, Malformed, NotStarted
from vae_balance_protocol import client as client_module
from vae_balance_protocol.client import Client

WIDTH, ROWS = 50, 4
STRIP_BYTES = WIDTH * ROWS * 3
Header = dict[str, Any]


@pytest.fixture
def client(daemon: FakeDaemon) -> Iterator[Client]:
    with Client.connect("tests", start=False, environ=daemon.environ) as connected:
        yield connected


def connect(daemon: FakeDaemon) -> Client:
    return Client.connect("tests", start=False, environ=daemon.environ)


def strips(count: int) -> Iterator[tuple[int, int, bytes]]:
    for index in range(count):
        yield index * ROWS, ROWS, bytes([index]) * STRIP_BYTES


def apply(client: Client, count: int) -> Iterator[tuple[int, int, bytes]]:
    return client.apply_strips(LOOK, strips(count), WIDTH, 3, "u8")


def never(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> None:
    """Handle a request by not answering."""


def verbs(daemon: FakeDaemon) -> list[str]:
    return [header["verb"] for header in daemon.seen if header["verb"] != "hello"]


def in_threes(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> None:
    """Answer strips only when three are waiting, and the last first."""
    held: list[tuple[bytes, bytes]] = daemon.__dict__.setdefault("held", [])
    held.append((list(daemon.waiting)[-1], frames[0]))
    if len(held) == 3:
        while held:
            request, frame = held.pop()
            daemon.finish(request, result(frame, look=LOOK))


def test_strips_are_on_their_way_together_and_come_back_in_order(daemon: FakeDaemon) -> None:
    daemon.handlers["apply"] = in_threes
    with connect(daemon) as client:
        assert list(apply(client, 30)) == list(strips(30))


def test_no_more_is_unfinished_than_the_daemon_allows(daemon: FakeDaemon) -> None:
    daemon.limits.update(requests=12, window_bytes=3 * STRIP_BYTES)
    daemon.handlers["apply"] = in_threes
    with connect(daemon) as client:
        assert len(list(apply(client, 30))) == 30
    assert daemon.most_unfinished["bytes"] == 3 * STRIP_BYTES
    daemon.limits.update(requests=6, window_bytes=1 << 20)
    with connect(daemon) as client:
        assert len(list(apply(client, 30))) == 30
    assert daemon.most_unfinished["requests"] == 3  # the other half is for cancelling these


def test_an_error_of_one_strip_cancels_the_others(daemon: FakeDaemon, client: Client) -> None:
    def second_fails(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> Any:
        value = frames[0][0]
        return None if value > 1 else result(frames[0], look=LOOK) if value == 0 else bad

    bad = error("memory", "too little of it")
    daemon.handlers["apply"] = second_fails
    taken = apply(client, 5)
    assert next(taken)[0] == 0
    with pytest.raises(DaemonError, match="too little of it") as raised:
        next(taken)
    assert raised.value.code == "memory"
    assert client.export(LOOK, "cube")  # and the answers to what was cancelled do no harm
    assert daemon.waiting == {}
    assert verbs(daemon) == ["apply"] * 5 + ["cancel"] * 3 + ["export"]


def test_leaving_early_cancels_what_is_on_its_way(daemon: FakeDaemon, client: Client) -> None:
    daemon.handlers["apply"] = lambda daemon, header, frames: (
        None if frames[0][0] else result(frames[0], look=LOOK)
    )
    for first_row, _, _ in apply(client, 6):
        assert first_row == 0
        break
    client.status()
    assert daemon.waiting == {}
    assert verbs(daemon) == ["apply"] * 6 + ["cancel"] * 5 + ["status"]


def test_an_exception_in_the_source_of_strips_cancels(daemon: FakeDaemon, client: Client) -> None:
    def broken() -> Iterator[tuple[int, int, bytes]]:
        yield from strips(3)
        raise OSError("the file ends")

    daemon.handlers["apply"] = never
    with pytest.raises(OSError, match="the file ends"):
        list(client.apply_strips(LOOK, broken(), WIDTH, 3, "u8"))
    client.status()
    assert daemon.waiting == {}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_an_exception_of_the_callback_cancels(
    daemon: FakeDaemon, client: Client, kind: type[BaseException]
) -> None:
    def interrupt(progress: Header) -> None:
        raise kind

    progress: list[Reply] = [("progress", {"stage": "load", "done": 0, "total": 1}, [])]
    daemon.handlers["learn"] = lambda daemon, header, frames: progress
    with pytest.raises(kind):
        client.learn([PROXY], interrupt)
    client.status()
    assert verbs(daemon) == ["learn", "cancel", "status"]
    assert daemon.waiting == {}


def test_requests_of_one_s_own_are_answered_by_their_ids(
    daemon: FakeDaemon, client: Client
) -> None:
    daemon.handlers["learn"] = never
    learning = client.send("learn", {"title": None}, [PROXY])
    exporting = client.send("export", {"look": LOOK, "format": "hald"})
    assert client.status()["looks"] == 1  # puts aside what comes before its own answer
    answer = client.receive(10)
    assert answer is not None
    assert (answer.request, answer.type, answer.frames[0]) == (exporting, "result", b"LUT_3D_")
    assert client.receive(0.05) is None
    assert client.cancel(learning)
    answer = client.receive(10)
    assert answer is not None
    assert (answer.request, answer.type, answer.header["code"]) == (learning, "error", "cancelled")


def test_the_window_is_waited_for(daemon: FakeDaemon) -> None:
    def later(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> None:
        request = list(daemon.waiting)[-1]
        daemon.after(0.1, lambda: daemon.finish(request, result(frames[0], look=LOOK)))

    daemon.limits["requests"] = 4
    daemon.handlers["apply"] = later
    strip = {"look": LOOK, "width": WIDTH, "rows": ROWS, "channels": 3, "dtype": "u8"}
    with connect(daemon) as client:
        sent = [client.send("apply", strip, [bytes(STRIP_BYTES)]) for _ in range(6)]
        answers = [client.receive(10) for _ in range(6)]
    assert [answer.request for answer in answers if answer] == sent
    assert daemon.most_unfinished["requests"] == 2


def test_what_is_too_large_is_not_sent(daemon: FakeDaemon) -> None:
    daemon.limits.update(frame_bytes=STRIP_BYTES - 1, header_bytes=300, proxies=2)
    with connect(daemon) as client:
        with pytest.raises(Malformed, match="cut the picture into smaller strips"):
            list(apply(client, 1))
        with pytest.raises(Malformed, match="the header has"):
            client.batch([("/a" * 200, "/b", None)])
        daemon.limits.update(frame_bytes=1 << 24, window_bytes=len(PROXY))
        client.hello()
        with pytest.raises(Malformed, match="1204224 bytes of data, the daemon takes 602112"):
            client.learn([PROXY] * 2)
        with pytest.raises(Malformed, match="learn: more than 2 proxies"):
            client.learn([PROXY[: 224 * 224 * 3]] * 3, dtype="u8")
        client.status()
    assert verbs(daemon) == ["status"]


def test_a_file_longer_than_a_frame_comes_in_several(daemon: FakeDaemon) -> None:
    got: list[bytes] = []

    def take(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> list[Reply]:
        got.extend(frames)
        return result(look=LOOK, size=2)

    daemon.handlers["import"] = take
    daemon.limits["frame_bytes"] = 10
    with connect(daemon) as client:
        client.import_lut(b"0123456789abc", "cube", "a.cube")
        client.import_lut(b"", "cube", "empty.cube")
    assert got == [b"0123456789", b"abc", b""]


def test_every_strip_tells_its_place(daemon: FakeDaemon, client: Client) -> None:
    place = {"width": 99, "height": 200, "left": 3, "top": 50}
    list(client.apply_strips(LOOK, strips(3), WIDTH, 3, "u8", place=place))
    places = [header["place"] for header in daemon.seen if header["verb"] == "apply"]
    assert [told["top"] for told in places] == [50, 50 + ROWS, 50 + 2 * ROWS]
    assert all({**told, "top": 50} == {**place, "orientation": 1} for told in places)
    assert client.describe("mixed")["model"] == "mixed"


def test_pictures_end_where_they_say(daemon: FakeDaemon, client: Client) -> None:
    assert client.make_proxy(strips(3), WIDTH, 3 * ROWS, 3, "u8", kind="frame") == PROXY
    with pytest.raises(DaemonError, match="the strips end at row 8 of 12") as raised:
        client.make_proxy(strips(2), WIDTH, 3 * ROWS, 3, "u8")
    assert raised.value.code == "image"
    with pytest.raises(DaemonError, match="first_row must be 4"):
        client.make_proxy(list(strips(3))[::2], WIDTH, 3 * ROWS, 3, "u8")
    with pytest.raises(DaemonError, match="the strips end at row 0 of 12"):
        client.make_proxy([], WIDTH, 3 * ROWS, 3, "u8")
    assert client.make_proxy(strips(3), WIDTH, 3 * ROWS, 3, "u8") == PROXY
    assert client.shrink(
        bytes(STRIP_BYTES),
        **{"picture": "p", "width": WIDTH, "height": ROWS, "channels": 3, "dtype": "u8"},
        **{"first_row": 0, "rows": ROWS, "kind": "centre"},
    ) == PROXY  # fmt: skip


def test_half_a_picture_is_forgotten_by_the_daemon(daemon: FakeDaemon) -> None:
    with connect(daemon) as client:
        for _ in range(10):  # a client may have 4 unfinished pictures
            with pytest.raises(DaemonError, match="the strips end"):
                client.make_proxy(strips(1), WIDTH, 3 * ROWS, 3, "u8")
    assert sum(header["verb"] == "hello" for header in daemon.seen) == 10


def test_pings_are_answered_while_waiting(tmp_path: Path) -> None:
    def later(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> None:
        request = list(daemon.waiting)[-1]
        daemon.after(2.5, lambda: daemon.finish(request, result(b"x", look=LOOK)))

    daemon = FakeDaemon(tmp_path, heartbeat_ms=150)  # disconnects who is silent for 1.5 s
    try:
        daemon.handlers["export"] = later
        with connect(daemon) as client:
            assert client.export(LOOK, "cube") == b"x"
            time.sleep(2.5)  # nobody answers now, so the daemon disconnects
            assert client.export(LOOK, "cube") == b"x"
    finally:
        daemon.stop()


def test_a_daemon_that_ended_while_idle_is_found_again(tmp_path: Path) -> None:
    first = FakeDaemon(tmp_path)
    with connect(first) as client:
        client.status()
        first.stop()
        second = FakeDaemon(tmp_path)
        client.status()
        assert verbs(second) == ["status"]
        second.stop()
        with pytest.raises(NotStarted, match="cannot connect"):
            client.status()


def test_a_daemon_that_dies_between_strips(daemon: FakeDaemon, client: Client) -> None:
    def die_at_the_third(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> Any:
        daemon.stopping = frames[0][0] == 2
        return None if daemon.stopping else result(frames[0], look=LOOK)

    daemon.handlers["apply"] = die_at_the_third
    began = time.monotonic()
    taken = []
    with pytest.raises(ConnectionLost):
        for strip in apply(client, 100):
            taken.append(strip)
    assert taken in (list(strips(count)) for count in range(3))
    assert time.monotonic() - began < 5


def test_silence_is_an_end(
    daemon: FakeDaemon, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(client_module, "_WAIT_SECONDS", 0.05)
    daemon.handlers["learn"] = never
    with pytest.raises(ConnectionLost, match="has said nothing"):
        client.learn([PROXY])


def test_who_says_something_now_and_then_is_not_silent(
    daemon: FakeDaemon, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> None:
        request = list(daemon.waiting)[-1]
        progress: list[Reply] = [("progress", {"stage": "load", "done": 0, "total": 1}, [])]
        for count in range(1, 12):
            daemon.after(0.2 * count, lambda: daemon.finish(request, progress))
        daemon.after(2.4, lambda: daemon.finish(request, result(b"x", look=LOOK)))

    monkeypatch.setattr(client_module, "SILENCE_SECONDS", 2.0)
    monkeypatch.setattr(client_module, "_WAIT_SECONDS", 0.02)
    daemon.handlers["export"] = slowly
    assert client.export(LOOK, "cube") == b"x"


GOOD = b"\x85\xa1v\x01\xa4type\xa6result\xa4look\xd9\x40" + b"a" * 64 + b"\xa4size\x21\xa1x\x01"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([b"another", GOOD], "an unknown request"),
        ([b"ID"], "an unknown request"),
        ([b"ID", b"\xc1"], "type 0xc1 cannot be in a header"),
        ([b"ID", b"\x01"], "the header is not a map"),
        ([b"ID", GOOD.replace(b"result", b"revolt")], "type must be progress, result or error"),
        ([b"ID", GOOD.replace(b"\x21", b"\xc3")], "size must be nil or an integer"),
        ([b"ID", GOOD.replace(b"\xa4size", b"\xa4Size")], "size is missing"),
        ([b"ID", b"\x81" * 20 + b"\xa1x"], "nested too deep|not a string"),
    ],
)
def test_a_broken_answer_is_no_result(
    daemon: FakeDaemon, client: Client, frames: list[bytes], message: str
) -> None:
    def answer(daemon: FakeDaemon, header: Header, _: list[bytes]) -> None:
        request = list(daemon.waiting)[-1]
        daemon.send_raw(request, *(request if frame == b"ID" else frame for frame in frames))

    daemon.handlers["import"] = answer
    with pytest.raises(ConnectionLost, match=message):
        client.import_lut(b"x", "cube", "x.cube")
    client.status()  # on a new connection


def test_an_answer_in_another_version_is_said_to_be(daemon: FakeDaemon, client: Client) -> None:
    def answer(daemon: FakeDaemon, header: Header, frames: list[bytes]) -> None:
        request = list(daemon.waiting)[-1]
        daemon.send_raw(request, request, GOOD.replace(b"v\x01", b"v\x02"))

    daemon.handlers["import"] = answer
    with pytest.raises(Malformed, match=r"another version of the protocol \(2\)") as raised:
        client.import_lut(b"x", "cube", "x.cube")
    assert raised.value.code == "version"


@pytest.mark.parametrize("frames", [(), (b"short",), (b"x" * STRIP_BYTES, b"")])
def test_a_strip_of_another_size_is_no_result(
    daemon: FakeDaemon, client: Client, frames: tuple[bytes, ...]
) -> None:
    daemon.handlers["apply"] = lambda daemon, header, _: result(*frames, look=LOOK)
    with pytest.raises(ConnectionLost, match="a strip of the same size"):
        list(apply(client, 1))


def test_a_picture_without_a_proxy_is_no_result(daemon: FakeDaemon, client: Client) -> None:
    daemon.handlers["shrink"] = lambda daemon, header, _: result(
        first_row=header["first_row"], rows=ROWS
    )
    with pytest.raises(ConnectionLost, match="has no proxy"):
        client.make_proxy(strips(2), WIDTH, 2 * ROWS, 3, "u8")


def test_an_export_without_a_file_is_no_result(daemon: FakeDaemon, client: Client) -> None:
    daemon.handlers["export"] = lambda daemon, header, _: result(look=LOOK)
    with pytest.raises(ConnectionLost, match="export without a file"):
        client.export(LOOK, "cube")


def test_a_closed_client_stays_closed(client: Client) -> None:
    client.close()
    client.close()
    with pytest.raises(ConnectionLost, match="this client is closed"):
        client.status()


def test_after_shutdown_no_call_starts_the_daemon_again(client: Client) -> None:
    client.shutdown()
    with pytest.raises(ConnectionLost, match="this client is closed"):
        client.status()


def test_arrays_are_buffers_too(daemon: FakeDaemon, client: Client) -> None:
    import numpy as np

    pixels = np.full((ROWS, WIDTH, 3), 7, np.uint8)
    ((_, _, turned),) = client.apply_strips(LOOK, [(0, ROWS, pixels.data)], WIDTH, 3, "u8")
    assert turned == bytes([248]) * STRIP_BYTES
    assert client.learn([np.zeros((224, 224, 3), np.float32).data])["look"] == LOOK


def test_an_incompatible_daemon_is_named_and_how_to_end_it(daemon: FakeDaemon) -> None:
    daemon.write_connection_file(protocol=2, version="7.0")
    with pytest.raises(DaemonError, match=r"version 7.0.*vae-balance stop") as raised:
        Client.connect("tests", command=["false"], environ=daemon.environ)
    assert raised.value.code == "version"
    daemon.write_connection_file(protocol=1)
    daemon.handlers["hello"] = lambda daemon, header, frames: error("version", "only 2")
    with pytest.raises(DaemonError, match=r"version 7.0.*vae-balance stop"):
        Client.connect("tests", command=["false"], environ=daemon.environ)


def test_a_daemon_that_is_ending_is_as_good_as_none(daemon: FakeDaemon) -> None:
    daemon.handlers["hello"] = lambda daemon, header, frames: error("stopping", "it ends")
    with pytest.raises(NotStarted, match="it ends"):
        connect(daemon)


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "tcp://0.0.0.0:5555"},
        {"endpoint": "tcp://127.0.0.1.example.org:5555"},
        {"endpoint": "tcp://localhost:5555"},
        {"endpoint": "tcp://127.0.0.1:65536"},
        {"endpoint": "tcp://127.0.0.1:0"},
        {"endpoint": "ipc:///tmp/x"},
        {"endpoint": "tcp://127.0.0.1:5555\n"},
        {"endpoint": 5555},
        {"token": "short"},
        {"token": None},
        {"pid": "me"},
        {"protocol": None},
    ],
)
def test_no_token_goes_anywhere_but_to_this_machine(
    daemon: FakeDaemon, changes: dict[str, object]
) -> None:
    daemon.write_connection_file(**changes)
    with pytest.raises(NotStarted, match=r"the connection file .*daemon.json has no") as raised:
        connect(daemon)
    assert TOKEN not in repr(raised.value) + str(raised.value)
    assert daemon.seen == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 60000, b" " * 70000])
def test_a_damaged_connection_file_is_no_daemon(daemon: FakeDaemon, content: bytes) -> None:
    (daemon.state / "daemon.json").write_bytes(content)
    with pytest.raises(NotStarted, match="is damaged"):
        connect(daemon)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_connection_file_that_is_a_pipe_is_not_waited_for(daemon: FakeDaemon) -> None:
    (daemon.state / "daemon.json").unlink()
    os.mkfifo(daemon.state / "daemon.json")
    with pytest.raises(NotStarted, match="is damaged"):
        connect(daemon)


def test_the_token_is_in_no_error(daemon: FakeDaemon, client: Client) -> None:
    daemon.stop()
    with pytest.raises(NotStarted) as raised:
        client.status()
    chain: BaseException | None = raised.value
    while chain:
        assert TOKEN not in repr(chain) + str(chain)
        chain = chain.__context__


SCRIPT = """
import signal, sys
from vae_balance_protocol.client import Client
# Where a shell has started the tests in the background, Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Client.connect("interrupted", start=False) as client:
    print("ready")
    sys.stdout.flush()
    try:
        client.learn([bytearray(602112)])
    except KeyboardInterrupt:
        print("interrupted")
        print(client.status()["looks"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to whole consoles")
def test_ctrl_c_ends_the_waiting_and_the_work(daemon: FakeDaemon, python: Path) -> None:
    daemon.handlers["learn"] = never
    shared = Path(__file__).parents[2] / "shared"
    environ = {**daemon.environ, "PYTHONPATH": str(shared), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [str(python), "-c", SCRIPT],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while "learn" not in verbs(daemon):
            time.sleep(0.01)
        began = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        assert process.communicate(timeout=10) == ("interrupted\n1\n", "")
    assert time.monotonic() - began < 5
