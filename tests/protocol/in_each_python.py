# -*- coding: utf-8 -*-
# ruff: noqa: UP009, UP010, UP018, UP020, UP031, PTH100, B905
"""What a client does with a daemon that turns colors over, in Python 2.7 and 3.

python in_each_python.py NAME    runs check_NAME
"""

from __future__ import absolute_import, print_function, unicode_literals

import io
import json
import os
import struct
import sys
import zlib

from vae_balance_protocol import ConnectionLost, DaemonError, Malformed, NotStarted, places
from vae_balance_protocol.client import Client
from vae_balance_protocol.packing import pack, unpack

LOOK = "a" * 64
ENVIRON = dict(os.environ)
WIDTH = 100


def strips(count, rows=7):
    """Yield strips of RGB pixels, each of another value."""
    for index in range(count):
        yield index * rows, rows, bytearray([index % 251]) * (WIDTH * rows * 3)


def raises(kind, function, *arguments, **named):
    """Return the error of a call that must fail."""
    try:
        function(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError("no %s" % kind.__name__)


def check_packing():
    """Every value comes back, and is packed as the msgpack library packs it."""
    with io.open(sys.argv[2], encoding="utf-8") as file:
        samples = json.load(file)
    assert len(samples) > 20
    for packed_hex in samples:
        packed = bytes(bytearray.fromhex(packed_hex))
        value = unpack(packed)
        assert pack(value) == packed, packed_hex
        assert pack({"field": [value]}) == b"\x81\xa5field\x91" + packed


def check_python_2_text():
    """Native strings are text as keys and in text fields, whatever this Python calls them."""
    assert pack({str("key"): 1}) == b"\x81\xa3key\x01"
    with connect() as client:
        assert client.learn([b"\0" * (224 * 224 * 3)], dtype=str("u8"))["look"] == LOOK


def connect():
    """Return a client of the daemon that runs."""
    return Client.connect(str("a script"), start=False)


def check_verbs():
    """Every verb says what PROTOCOL.md says."""
    with connect() as client:
        assert client.daemon["version"] == "9.9"
        assert client.daemon["limits"]["frame_bytes"] == 1 << 24
        assert client.hello() == client.daemon
        told = []
        proxy = bytearray(224 * 224 * 3 * 4)
        learned = client.learn([proxy, bytes(proxy)], told.append, iterations=2, title="Grün")
        assert learned["look"] == LOOK
        assert learned["seconds"] == {"encode": 0.5}
        assert [progress["done"] for progress in told] == [0, 1, 2]
        assert client.import_lut(b"LUT_3D_SIZE 2", "cube", "a.cube")["size"] == 2
        assert client.export(LOOK, "cube") == b"LUT_3D_SIZE 2\n"
        photos = [(os.path.abspath("a"), os.path.abspath("b"), None)] * 3
        told = []
        assert client.batch(photos, told.append, roll=True)["done"] == 3
        assert [progress["photo"] for progress in told] == [0, 1, 2]
        assert [progress["outcome"] for progress in told] == ["done"] * 3
        assert client.status()["uptime"] == 1.5
        assert client.cancel(b"no such request") is False


def check_strips():
    """Strips come back in order, with the look applied, whatever buffer they came in."""
    with connect() as client:
        sent = list(strips(40))
        kinds = (bytes, bytearray, memoryview)
        given = [(y, n, kinds[y % 3](pixels)) for y, n, pixels in sent]
        taken = list(client.apply_strips(LOOK, iter(given), WIDTH, 3, "u8"))
        assert [place[:2] for place in taken] == [place[:2] for place in sent]
        for index, (_, _, pixels) in enumerate(taken):
            assert type(pixels) is bytes
            assert pixels == bytes(bytearray([255 - index]) * (WIDTH * 7 * 3))
        proxy = client.make_proxy(iter(given), WIDTH, 280, 3, "u8")
        assert proxy == struct.pack(str("<f"), 0.5) * (224 * 224 * 3)


def check_large_strips():
    """More than the sockets hold goes both ways at once."""
    rows = 2000
    with connect() as client:
        pixels = bytes(bytearray(range(200)) * (1000 * rows * 4 // 200))
        given = ((i * rows, rows, pixels) for i in range(12))
        turned = [strip for _, _, strip in client.apply_strips(LOOK, given, 1000, 4, "u8")]
        assert len(turned) == 12
        wanted = bytes(bytearray(255 - value for value in range(200)))
        assert turned[0][:200] == turned[11][-200:] == wanted
        assert set(turned) == {turned[0]}


def check_errors():
    """The daemon's errors arrive with their codes; the connection lives on."""
    with connect() as client:
        error = raises(DaemonError, list, client.apply_strips("b" * 64, strips(9), WIDTH, 3, "u8"))
        assert (error.code, error.message) == ("unknown-look", "learn again")
        error = raises(Malformed, client.learn, [b"too short"])
        assert "150528" in str(error) or "602112" in str(error)
        error = raises(Malformed, client.learn, [bytearray(602112)], strength=2)
        assert str(error) == "learn: strength must be a number, 0 to 1.5"
        error = raises(Malformed, client.learn, [bytearray(602112)], iteration=2)
        assert str(error) == "learn: there is no field iteration"
        error = raises(Malformed, client.export, "ä", "cube")
        assert "look must be 64 hexadecimal digits" in error.message
        assert client.export(LOOK, "cube")


def check_nobody():
    """Without a daemon, and without leave to start one, this is said at once."""
    error = raises(NotStarted, connect)
    assert "no daemon runs" in str(error)


def check_refused():
    """A wrong token is refused; neither it nor the right one is told."""
    error = raises(NotStarted, connect)
    assert str(error).endswith("the daemon refused the token")


def check_lost():
    """A daemon that dies while it works is noticed at once."""
    with connect() as client:
        error = raises(ConnectionLost, client.learn, [bytearray(602112)])
        assert error.code == "lost"


def check_started():
    """A daemon is started, its output goes to the log, and it outlives its client."""
    told = []
    with Client.connect("first", waiting=told.append) as client:
        pid = client.daemon["pid"]
    assert told and told[0] == "Starting VAE Balance's daemon: 0 s"
    with Client.connect("second", start=False) as client:
        assert client.daemon["pid"] == pid
        client.shutdown()
    with io.open(places.log_file(ENVIRON)) as log:
        assert "['serve', '--by-client']" in log.read()


def check_crash():
    """A daemon that ends at once is not waited for, and its log is shown."""
    error = raises(NotStarted, Client.connect, "a script", timeout=50.0)
    first, shown = str(error).split("\n", 1)
    assert first.endswith("could not be started: it ended with status 3; its log ends:")
    assert shown.endswith("the model cannot be read")
    assert error.log == shown


def check_real_daemon():
    """A picture goes through the real daemon; what came of it is printed."""
    width, height = 90, 60
    # So dark that it is found wrong, whatever the embedded model knows.
    values = (13 + (x * 7 + x // 90 * 3) % 57 for x in range(width * height * 4))
    pixels = bytearray(values)
    pixels[3::4] = bytearray([200]) * (width * height)
    given = [(y, 20, pixels[y * width * 4 : (y + 20) * width * 4]) for y in range(0, height, 20)]
    stages = []
    with Client.connect("a script") as client:
        proxy = client.make_proxy(given, width, height, 4, "u8", kind="frame")
        assert client.describe("embedded")["proxy"] == "centre"
        learned = client.learn([proxy], lambda told: stages.append(told["stage"]), title="Grün")
        look = learned["look"]
        place = {"width": width, "height": height, "left": 0, "top": 0}
        applied = list(client.apply_strips(look, given, width, 4, "u8", place=place))
        turned = b"".join(strip for _, _, strip in applied)
        assert len(turned) == len(pixels)
        assert turned != bytes(pixels)
        assert turned[3::4] == bytes(pixels[3::4])
        (same,) = client.apply_strips(look, [(0, height, pixels)], width, 4, "u8", strength=0.0)
        assert same == (0, height, bytes(pixels))
        cube = client.export(look, "cube")
        assert b"LUT_3D_SIZE 33" in cube
        imported = client.import_lut(cube, "cube", "a.cube")
        again = client.apply_strips(imported["look"], [(0, height, pixels)], width, 4, "u8")
        ((_, _, from_cube),) = again
        assert all(-2 < a - b < 2 for a, b in zip(bytearray(from_cube), bytearray(turned)))
        error = raises(DaemonError, list, client.apply_strips(LOOK, given, width, 4, "u8"))
        assert error.code == "unknown-look"
        assert imported["look"] == look  # a file holds the numbers that are applied
        assert client.status()["looks"] == 1
    assert "encode" in stages
    assert learned["device"] and learned["model"] == "embedded"
    for result in (proxy, turned, cube):
        print("%08x" % (zlib.crc32(result) & 0xFFFFFFFF))


if __name__ == "__main__":
    globals()["check_" + sys.argv[1]]()
    print("ok")
