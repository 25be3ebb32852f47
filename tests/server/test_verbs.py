"""What each verb answers, over a real socket, is what the same does in this process."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_process import Daemon, Peer, header
from icc import DISPLAY_P3, PROPHOTO, SRGB_CURVE, gamma_curve, icc_profile
from numpy.typing import NDArray

from vae_balance import __version__
from vae_balance.color.lut import Lut3D
from vae_balance.color.profile import apply_in_profile
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.luts.cube import format_cube, parse_cube
from vae_balance.luts.hald import format_hald, parse_hald
from vae_balance.photos.photo import Photo
from vae_balance.photos.proxy import make_proxy
from vae_balance_protocol import messages
from vae_balance_protocol.messages import RESULTS_BY_VERB, check_answer

Floats = NDArray[np.float32]
TYPES: dict[str, Any] = {
    "u8": np.uint8,
    "u16": np.uint16,
    "f16": np.float16,
    "f32": np.float32,
}
STEPS = ["encode", "balance", "decode", "map colors", "bake"]


def pixels_of(dtype: str, height: int, width: int, channels: int) -> NDArray[Any]:
    values = np.random.default_rng(5).random((height, width, channels))
    if dtype.startswith("f"):
        return (1.4 * values - 0.2).astype(TYPES[dtype])
    return np.round(values * np.iinfo(TYPES[dtype]).max).astype(TYPES[dtype])


def lut_of(peer: Peer, look: str) -> Lut3D:
    """Return a look of the daemon to six digits."""
    return parse_cube(peer.ask("export", look=look, format="cube").frames[0], "look").baked()


def import_lut(peer: Peer, lut: Lut3D) -> str:
    answer = peer.ask("import", [format_cube(lut)], format="cube", name="test.cube")
    name: str = answer.header["look"]
    return name


@pytest.fixture(scope="module")
def wavy() -> Lut3D:
    """Return a LUT that changes every color, with numbers of at most six digits."""
    lut = Lut3D.from_function(lambda colors: np.sin(1.3 * colors[:, [1, 2, 0]]) ** 2, 17)
    return parse_cube(format_cube(lut), "wavy").baked()


def test_hello_tells_who_answers_and_what_it_allows(peer: Peer, daemon: Daemon) -> None:
    told = peer.ask("hello", client="test").header
    assert told["pid"] == daemon.process.pid
    assert (told["version"], told["protocol"], told["device"]) == (__version__, 1, "cpu")
    assert "embedded" in told["models"]
    assert told["limits"] == {
        "frame_bytes": messages.FRAME_BYTES,
        "header_bytes": messages.HEADER_BYTES,
        "requests": messages.REQUESTS,
        "window_bytes": messages.WINDOW_BYTES,
        "proxies": messages.PROXIES,
    }


def test_a_look_is_that_of_learn_look(peer: Peer, proxy: Floats, model: Model) -> None:
    fields: dict[str, Any] = {"iterations": 2, "strength": 0.8, "seed": 7, "size": 9}
    folder = str(model.info.folder)
    answer = peer.ask("learn", [proxy.tobytes()], model=folder, **fields).header
    expected = learn_look([proxy], model, LookOptions(**fields)).lut
    assert answer["look"] == expected.digest()
    assert (answer["size"], answer["model"], answer["model_version"]) == (9, "random", "0")
    assert not answer["unchanged"]
    assert peer.ask("learn", [proxy.tobytes()], model=folder, strength=0).header["unchanged"]
    assert answer["device"] == "cpu"
    assert {"queued", *STEPS} <= answer["seconds"].keys()


def test_a_roll_of_8_bits_is_learned_together(peer: Peer, proxy: Floats, model: Model) -> None:
    roll = [np.round(proxy * 255).astype(np.uint8), np.full((224, 224, 3), 99, np.uint8)]
    frames = [one.tobytes() for one in roll]
    answer = peer.ask("learn", frames, model=str(model.info.folder), dtype="u8", size=5).header
    proxies = [one / np.float32(255) for one in roll]
    assert answer["look"] == learn_look(proxies, model, LookOptions(size=5)).lut.digest()


def test_every_round_is_told(peer: Peer, proxy: Floats, random_model: Path) -> None:
    request = peer.send("learn", [proxy.tobytes()], model=str(random_model), iterations=3, size=5)
    told = []
    while (answer := peer.receive()) is not None and answer.header["type"] == "progress":
        assert answer.request == request
        told.append((answer.header["stage"], answer.header["done"], answer.header["total"]))
    assert answer is not None
    assert answer.header["type"] == "result"
    rounds = [(stage, done, 3) for done in range(3) for stage in STEPS[:-1]]
    without_repeats = list(dict.fromkeys(told))
    assert without_repeats[0] == ("queued", 0, 3)
    assert [step for step in without_repeats if step[0] in STEPS] == [*rounds, ("bake", 3, 3)]


def test_proxies_that_are_no_colors_are_refused(peer: Peer, proxy: Floats) -> None:
    broken = proxy.copy()
    broken[100, 100, 1] = np.nan
    told = peer.ask("learn", [proxy.tobytes(), broken.tobytes()]).header
    assert (told["code"], told["message"]) == (
        "malformed",
        "learn: proxy 1 holds NaN or infinity",
    )


@pytest.mark.parametrize("name", ["nothing-like-that", "x" * 1000, "a/../../b", "\0", "é"])
def test_an_unknown_model_is_named(peer: Peer, proxy: Floats, name: str) -> None:
    told = peer.ask("learn", [proxy.tobytes()], model=name).header
    assert told["code"] == "model"
    assert told["message"].startswith("model ")
    assert "\n" not in told["message"]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", TYPES)
def test_strips_are_those_of_applying_in_process(
    peer: Peer, wavy: Lut3D, dtype: str, channels: int
) -> None:
    look = import_lut(peer, wavy)
    pixels = pixels_of(dtype, 50, 41, channels)
    expected = apply_in_profile(wavy, pixels, None)
    parts = []
    for first in range(0, 50, 17):
        strip = pixels[first : first + 17]
        fields = {"width": 41, "rows": len(strip), "channels": channels, "dtype": dtype}
        answer = peer.ask("apply", [strip.tobytes()], look=look, **fields)
        assert answer.header["look"] == look
        parts.append(answer.frames[0])
    assert b"".join(parts) == expected.tobytes()


@pytest.mark.parametrize("profile", [(DISPLAY_P3, SRGB_CURVE), (PROPHOTO, gamma_curve(1.0))])
def test_colors_are_those_of_their_profile(peer: Peer, wavy: Lut3D, profile: Any) -> None:
    icc = icc_profile(*profile)
    pixels = pixels_of("u16", 20, 30, 4)
    fields = {"width": 30, "rows": 20, "channels": 4, "dtype": "u16", "profile": icc}
    answer = peer.ask("apply", [pixels.tobytes()], look=import_lut(peer, wavy), **fields)
    assert answer.frames == [apply_in_profile(wavy, pixels, icc).tobytes()]


def test_strength_blends(peer: Peer, wavy: Lut3D) -> None:
    pixels = pixels_of("u8", 20, 30, 3)
    fields = {"width": 30, "rows": 20, "channels": 3, "dtype": "u8", "strength": 0.5}
    answer = peer.ask("apply", [pixels.tobytes()], look=import_lut(peer, wavy), **fields)
    assert answer.frames == [apply_in_profile(wavy.blended(0.5), pixels, None).tobytes()]


def test_an_unknown_look_is_said_to_be_one(peer: Peer) -> None:
    for verb, frames in (("apply", [b"abc"]), ("export", [])):
        fields = {"width": 1, "rows": 1, "channels": 3, "dtype": "u8", "format": "cube"}
        told = peer.ask(verb, frames, look="0" * 64, **fields).header
        assert told["code"] == "unknown-look"
        assert told["message"] == "look 000000000000... is not known here: learn it again"


def test_the_name_of_a_look_is_the_hash_of_its_numbers(peer: Peer, wavy: Lut3D) -> None:
    assert import_lut(peer, wavy) == wavy.digest()


def test_an_exported_cube_tells_where_it_comes_from(
    peer: Peer, proxy: Floats, random_model: Path
) -> None:
    fields = {"model": str(random_model), "size": 5, "title": "A layer", "strength": 0.5}
    look = peer.ask("learn", [proxy.tobytes()], **fields).header["look"]
    lut = lut_of(peer, look)
    assert lut.title == "A layer"
    assert f"sha256 of the LUT: {look}" in lut.comments
    assert {"model: random 0", "strength: 0.5", "iterations: auto, 1 learned"} <= set(lut.comments)


def test_a_hald_goes_in_and_out(peer: Peer, wavy: Lut3D) -> None:
    answer = peer.ask("import", [format_hald(wavy)], format="hald", name="wavy.png").header
    assert answer["size"] == 64
    exported = peer.ask("export", look=answer["look"], format="hald").frames[0]
    given = parse_hald(format_hald(wavy), "hald").table
    assert np.abs(parse_hald(exported, "hald").table - given).max() < 2e-5


def test_curves_go_in_as_they_are_and_out_as_a_cube(peer: Peer) -> None:
    values = np.floor(np.arange(4096) / 512) / 7
    content = "".join(f"{x:.6f}\n" for x in values)
    content = f"Version 1\nFrom 0 1\nLength 4096\nComponents 1\n{{\n{content}}}\n"
    answer = peer.ask("import", [content.encode()], format="spi1d", name="posters.spi1d").header
    assert answer["size"] is None
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)[None]
    fields = {"width": 256, "rows": 1, "channels": 3, "dtype": "u8"}
    result = peer.ask("apply", [grey.tobytes()], look=answer["look"], **fields).frames[0]
    expected = np.interp(grey / 255, np.arange(4096) / 4095, values) * 255
    assert np.abs(np.frombuffer(result, np.uint8).reshape(grey.shape) - expected).max() < 0.6
    exported = parse_cube(peer.ask("export", look=answer["look"], format="cube").frames[0], "look")
    assert exported.comments[-1].startswith("baked at 65 nodes an edge, up to ")


def test_a_large_cube_goes_in_and_out_in_parts(peer: Peer) -> None:
    lut = Lut3D.identity(90)
    whole = format_cube(lut)
    parts = [whole[i : i + 16_000_000] for i in range(0, len(whole), 16_000_000)]
    assert len(parts) == 2
    look = peer.ask("import", parts, format="cube", name="large.cube").header["look"]
    exported = peer.ask("export", look=look, format="cube").frames
    assert max(map(len, exported)) == messages.FRAME_BYTES
    assert b"".join(exported) == whole


@pytest.mark.parametrize(
    ("content", "format_", "message"),
    [
        (b"LUT_3D_SIZE 2\n0 0 zero\n", "cube", "my.cube:2: "),
        (b"", "cube", "my.cube:1: the file is empty"),
        (b"no picture", "hald", "my.cube: is not a PNG file"),
        (b"CSPLUTV100\n1D\n", "csp", "my.cube: cannot be read: "),
        (b'<ProcessList><Reference path="/a.clf"/>', "ctf", "my.cube: refers to another LUT"),
        (format_hald(Lut3D.identity(2))[:5000], "hald", "my.cube: "),
    ],
)
def test_a_broken_lut_file_is_named_as_the_client_names_it(
    peer: Peer, content: bytes, format_: str, message: str
) -> None:
    told = peer.ask("import", [content], format=format_, name="my.cube").header
    assert told["code"] == "lut"
    assert told["message"].startswith(message)
    assert "/tmp" not in told["message"]


def shrink(peer: Peer, pixels: NDArray[Any], step: int, **fields: Any) -> list[bytes]:
    """Send a picture in strips, all at once; return the frames of the last answer."""
    height, width, channels = pixels.shape
    dtype = next(name for name, kind in TYPES.items() if pixels.dtype == kind)
    whole = {"picture": "p", "width": width, "height": height, "channels": channels, **fields}
    requests = {}
    for first in range(0, height, step):
        strip = pixels[first : first + step]
        place = {"first_row": first, "rows": len(strip)}
        requests[peer.send("shrink", [strip.tobytes()], **whole, **place, dtype=dtype)] = place
    for place in requests.values():
        answer = peer.receive()
        while answer is not None and answer.header["type"] == "progress":
            answer = peer.receive()
        assert answer is not None
        assert answer.header.items() >= {("first_row", place["first_row"]), ("rows", place["rows"])}
        assert bool(answer.frames) == (place["first_row"] + place["rows"] == height)
    assert answer is not None
    return answer.frames


@pytest.mark.parametrize("kind", ["centre", "frame"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(300, 421, 4), (120, 90, 3), (500, 37, 4)])
def test_strips_make_the_proxy_of_the_whole(
    peer: Peer, shape: tuple[int, int, int], dtype: str, kind: str
) -> None:
    pixels = pixels_of(dtype, *shape)
    frames = shrink(peer, pixels, 61, kind=kind)
    made = np.frombuffer(frames[0], np.float32).reshape(224, 224, 3)
    assert np.abs(made - make_proxy(pixels, kind)).max() < 1e-6


def test_the_proxy_of_another_profile_is_srgb(peer: Peer) -> None:
    icc = icc_profile(DISPLAY_P3, SRGB_CURVE)
    pixels = pixels_of("u8", 60, 60, 3)
    frames = shrink(peer, pixels, 13, kind="frame", profile=icc)
    made = np.frombuffer(frames[0], np.float32).reshape(224, 224, 3)
    assert np.abs(made - make_proxy(Photo(pixels, icc), "frame")).max() < 1e-6


def test_status_tells_what_is_there(peer: Peer, look: str, daemon: Daemon) -> None:
    told = peer.ask("status").header
    assert (told["pid"], told["device"]) == (daemon.process.pid, "cpu")
    assert "random" in told["models"]
    assert told["looks"] >= 1
    assert told["clients"] >= 1
    assert (told["queued"], told["running"]) == (0, [])
    assert told["memory_bytes"] > 50e6
    assert Path(told["log"]) == daemon.state / "daemon.log"
    assert Path(told["log"]).stat().st_size > 0


def test_every_answer_is_as_the_protocol_has_it(peer: Peer, look: str) -> None:
    asked = {
        "hello": peer.ask("hello", client="x"),
        "status": peer.ask("status"),
        "cancel": peer.ask("cancel", request=b"none"),
        "export": peer.ask("export", look=look, format="cube"),
        "apply": peer.ask("apply", [b"abc"], look=look, width=1, rows=1, channels=3, dtype="u8"),
    }
    for verb, answer in asked.items():
        assert check_answer(verb, answer.header)["type"] == "result"
        assert answer.header.keys() == {"v", "type", *(f.name for f in RESULTS_BY_VERB[verb])}


def test_each_job_has_a_line_in_the_log(peer: Peer, look: str, daemon: Daemon) -> None:
    peer.ask("apply", [b"abcdef"], look=look, width=2, rows=1, channels=3, dtype="u8")
    daemon.wait_for(lambda: 'apply client="" width=2 rows=1 channels=3' in daemon.log())
    lines = daemon.log().splitlines()
    applied = next(line for line in lines if ' apply client="" width=2 rows=1 ' in line)
    assert applied.endswith(" done")
    assert re.search(r" s\.apply=\d+\.\d+ ", applied)
    assert " peak_mb=" in applied
    learned = next(line for line in reversed(lines) if " learn " in line)
    assert " proxies=1 iterations=auto size=33 model=random device=cpu s.queued=" in learned
    for stage in STEPS:
        assert f" s.{stage.replace(' ', '-')}=" in learned


def test_looks_are_the_same_to_the_last_bit_after_a_batch_with_its_single_threads(
    start_daemon: Callable[..., Daemon],
    photo: Callable[..., Path],
    proxy: Floats,
    tmp_path: Path,
) -> None:
    looks = []
    for photos in [[], [[str(photo("a.png")), str(tmp_path / "out.png"), None]]]:
        daemon = start_daemon("--keep-alive", "0", folder=tmp_path / str(len(photos)), threads=2)
        peer = daemon.peer()
        if photos:
            assert peer.ask("batch", photos=photos).header["done"] == 1
        looks.append(peer.ask("learn", [proxy.tobytes()]).header["look"])
    assert looks[0] == looks[1]


def test_a_batch_has_a_line_with_what_all_photos_took(
    peer: Peer, daemon: Daemon, random_model: Path, photo: Callable[..., Path], tmp_path: Path
) -> None:
    photos = [
        [str(source), str(tmp_path / "out" / source.name), None]
        for source in (photo("a.png"), photo("b.png"), tmp_path / "missing.png")
    ]
    lines = daemon.log().count(" batch client=")
    told = peer.ask("batch", photos=photos, model=str(random_model)).header
    assert (told["done"], told["failed"]) == (2, 1)
    daemon.wait_for(lambda: daemon.log().count(" batch client=") > lines)
    *_, line = (line for line in daemon.log().splitlines() if " photos=3 " in line)
    assert ' batch client="" photos=3 roll=False iterations=auto model=random ' in line
    for fact in ("device=cpu", "done=2", "failed=1"):
        assert f" {fact} " in line
    for stage in ("read", "shrink", "encode", "apply", "write"):
        assert f" all.{stage}=" in line
    assert " s.photo=" in line
    assert line.endswith(" done")


def test_the_result_does_not_depend_on_where_a_frame_lies_in_memory(
    peer: Peer, wavy: Lut3D
) -> None:
    look = import_lut(peer, wavy)
    pixels = pixels_of("f32", 1, 40, 4)
    expected = apply_in_profile(wavy, pixels, None).tobytes()
    fields = {"look": look, "width": 40, "rows": 1, "channels": 4, "dtype": "f32"}
    # Ids of several lengths shift what comes after them.
    for length in range(1, 9):
        request = b"x" * length
        peer.socket.send_multipart([request, header("apply", **fields), pixels.tobytes()])
        assert peer.end_of(request).frames == [expected]
