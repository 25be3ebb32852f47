"""What a corrector wants is what it gets, the whole way: API, command, batch and daemon.

The correctors are stand-ins: one whose look depends on the place, and one for grey photos.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from daemon_process import Peer, ServerThread
from numpy.typing import NDArray
from pictures import picture
from PIL import Image
from standin_correctors import SlopeLook, install

from vae_balance import Balancer
from vae_balance.color.lut import Lut3D
from vae_balance.errors import HasColorsError, IsGreyError, OptionError
from vae_balance.looks.look import Place
from vae_balance.luts.cube import format_cube

Run = Callable[..., Result]
HERE = ("--daemon", "never")


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    return install(monkeypatch, tmp_path / "models")


@pytest.fixture
def peer(models: dict[str, str], tmp_path: Path) -> Iterator[Peer]:
    server = ServerThread(tmp_path)
    connected = server.peer()
    yield connected
    connected.close()
    server.end()


def grey(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    return picture(height, width)[..., 1]


def png(path: Path, pixels: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def read(path: Path) -> NDArray[Any]:
    return np.asarray(Image.open(path))


def frames_mean(pixels: NDArray[Any]) -> float:
    """Return the level that the stand-in learns, of the whole frame."""
    return float(pixels.astype(np.float64).mean()) / 255


# Python API


def test_the_part_is_what_the_corrector_wants_unless_the_user_says(models: dict[str, str]) -> None:
    pixels = np.full((60, 200, 3), (20, 40, 60), np.uint8)
    pixels[:, :50] = (200, 100, 50)
    pixels[:, 150:] = (100, 200, 50)
    look = Balancer(models["slope"]).learn(pixels)
    assert isinstance(look, SlopeLook)
    assert look.level == pytest.approx(frames_mean(pixels), abs=1e-3)
    square = Balancer(models["slope"]).learn(pixels[:, 70:130], proxy="centre")
    assert isinstance(square, SlopeLook)
    assert square.level == pytest.approx(40 / 255, abs=1e-3)


def test_a_look_of_the_place_is_not_learned_from_a_part(models: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=r"depends on the place.*--proxy frame"):
        Balancer(models["slope"]).learn(picture(40, 60), proxy="centre")


def test_a_look_of_the_place_balances_pictures(models: dict[str, str]) -> None:
    pixels = picture()
    balanced = Balancer(models["slope"]).balance(pixels)
    change = balanced.astype(int) - pixels
    assert change[:, -1, 0].mean() > change[:, 0, 0].mean() + 30
    assert change[-1, :, 2].mean() > change[0, :, 2].mean() + 30


@pytest.mark.parametrize("kind", ["array", "channels", "image", "with alpha"])
def test_grey_pictures_come_back_in_color(models: dict[str, str], kind: str) -> None:
    given: Any = {
        "array": grey(),
        "channels": np.repeat(grey()[..., None], 3, axis=2),
        "image": Image.fromarray(grey()),
        "with alpha": Image.fromarray(grey()).convert("LA"),
    }[kind]
    balanced = np.asarray(Balancer(models["grey-slope"]).balance(given))
    assert balanced.shape == (*grey().shape, 4 if kind == "with alpha" else 3)
    assert np.ptp(balanced[..., :3], axis=2).max() > 30
    np.testing.assert_array_equal(balanced[..., 1], grey())


def test_colors_are_refused_by_a_model_for_grey_and_grey_by_one_for_colors(
    models: dict[str, str],
) -> None:
    """In words that are true for whoever asks: a program has no switch and no command."""
    with pytest.raises(HasColorsError, match=r"has colors already.*: balance it with another$"):
        Balancer(models["grey-slope"]).learn(picture())
    with pytest.raises(IsGreyError, match=r"is grey, .*: colorize it$"):
        Balancer(models["slope"]).learn(grey())


def test_a_roll_is_refused_by_who_learns_from_one_photo(models: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=r"model slope: learns each look from one photo"):
        Balancer(models["slope"]).learn([picture(), picture()])


def test_a_seed_is_refused_by_who_draws_no_sample(
    models: dict[str, str],
    run: Run,
    tmp_path: Path,
) -> None:
    with pytest.raises(OptionError, match="slope draws no samples"):
        Balancer(models["slope"]).learn(picture(), seed=3)
    photos = [png(tmp_path / "in" / name, picture()) for name in ("a.png", "b.png")]
    seeded = ("--model", models["slope"], "--seed", 3)
    for command in (
        ("balance", *photos, "--out-dir", tmp_path / "out", *seeded, *HERE),
        ("balance", *photos, "--out-dir", tmp_path / "out", *seeded),
        ("learn", photos[0], "-o", tmp_path / "look.cube", *seeded),
        ("batch", tmp_path / "in", tmp_path / "out", *seeded),
    ):
        refused = run(*command)
        assert refused.exit_code == 2
        # Once, and not once a photo; before anything is done.
        assert refused.output.count("leave --seed out") == refused.output.count("\n") == 1
        assert not (tmp_path / "out").exists()


# The command


def test_balance_shows_the_frame_and_writes_what_the_api_gives(
    run: Run, models: dict[str, str], tmp_path: Path
) -> None:
    photo = png(tmp_path / "a.png", picture())
    result = run("balance", photo, "-o", tmp_path / "b.png", "--model", models["slope"], *HERE)
    assert (result.exit_code, result.output) == (0, "")
    expected = Balancer(models["slope"]).balance(picture())
    np.testing.assert_array_equal(read(tmp_path / "b.png"), expected)


def test_a_photo_that_lies_on_its_head_is_changed_as_people_see_it(
    run: Run, models: dict[str, str], tmp_path: Path
) -> None:
    upright = picture()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(upright[::-1, ::-1]).save(tmp_path / "turned.png", exif=exif)
    for name, pixels in (("turned", None), ("upright", upright)):
        path = tmp_path / f"{name}.png"
        if pixels is not None:
            png(path, pixels)
        out = tmp_path / f"{name}-out.png"
        assert run("balance", path, "-o", out, "--model", models["slope"], *HERE).exit_code == 0
    turned = read(tmp_path / "turned-out.png")[::-1, ::-1].astype(int)
    assert np.abs(turned - read(tmp_path / "upright-out.png")).max() <= 1


def test_a_grey_file_is_balanced_by_a_model_for_grey(
    run: Run, models: dict[str, str], tmp_path: Path
) -> None:
    photo = png(tmp_path / "a.png", grey())
    command = ("-o", tmp_path / "b.png", "--model", models["grey-slope"], *HERE)
    assert run("balance", photo, *command).exit_code == 0
    assert np.ptp(read(tmp_path / "b.png"), axis=2).max() > 30
    colored = png(tmp_path / "c.png", picture())
    refused = run("balance", colored, "-o", tmp_path / "d.png", *command[2:])
    assert refused.exit_code == 1
    assert "c.png: has colors already" in refused.stderr
    assert refused.stderr.endswith(", or use `vae-balance colorize --force`\n")
    assert not (tmp_path / "d.png").exists()


def test_a_grey_file_is_refused_with_a_hint(run: Run, tmp_path: Path) -> None:
    photo = png(tmp_path / "a.png", grey())
    refused = run("balance", photo, "-o", tmp_path / "b.png", "--model", "stretch", *HERE)
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert "a.png: is grey" in refused.stderr and "vae-balance colorize" in refused.stderr
    assert not (tmp_path / "b.png").exists()


def test_what_has_no_lut_writes_none_and_says_what_to_do(
    run: Run, models: dict[str, str], tmp_path: Path
) -> None:
    photo = png(tmp_path / "a.png", picture())
    lut, out = tmp_path / "a.cube", tmp_path / "b.png"
    for command in (
        ("balance", photo, "-o", out, "--lut", lut, *HERE),
        ("learn", photo, "-o", lut),
    ):
        refused = run(*command, "--model", models["slope"])
        assert refused.exit_code == 1
        assert "cannot be a LUT: balance the photo without asking for one" in refused.stderr
        assert not lut.exists() and not out.exists()


def test_a_roll_is_refused_before_any_work(
    run: Run, models: dict[str, str], tmp_path: Path
) -> None:
    photos = [png(tmp_path / "in" / name, picture()) for name in ("a.png", "b.png")]
    refused = run("learn", *photos, "-o", tmp_path / "l.cube", "--model", models["slope"])
    assert refused.exit_code == 2
    assert "learns each look from one photo" in refused.stderr
    out = tmp_path / "out"
    refused = run("batch", tmp_path / "in", out, "--roll", "--model", models["slope"])
    assert refused.exit_code == 2
    assert "learns each look from one photo" in refused.stderr
    assert not out.exists()


# The daemon


def test_the_daemon_tells_what_a_model_wants(peer: Peer, models: dict[str, str]) -> None:
    told = peer.ask("model", model=models["grey-slope"]).header
    assert (told["model"], told["proxy"]) == ("grey-slope", "frame")
    assert (told["colors"], told["roll"]) == ("grey", False)
    told = peer.ask("model").header
    assert (told["model"], told["proxy"], told["colors"]) == ("embedded", "centre", "color")
    assert peer.ask("model", model="none").header["code"] == "model"


def learned(peer: Peer, pixels: NDArray[Any], model: str) -> dict[str, Any]:
    proxy = np.full((224, 224, 3), pixels.mean() / 255, np.float32)
    header: dict[str, Any] = peer.ask("learn", [proxy.tobytes()], model=model).header
    return header


def test_strips_of_the_daemon_are_the_whole(peer: Peer, models: dict[str, str]) -> None:
    pixels = picture(90, 60)
    told = learned(peer, pixels, models["slope"])
    assert (told["size"], told["unchanged"]) == (None, False)
    look = SlopeLook(float(np.float32(pixels.mean() / 255)), None)  # type: ignore[arg-type]
    expected = look.apply(pixels, Place.whole(pixels))
    form = {"look": told["look"], "channels": 3, "dtype": "u8"}
    strips = []
    for top in (60, 0, 30):
        place = {"width": 60, "height": 90, "top": top}
        strip = pixels[top : top + 30]
        answer = peer.ask("apply", [strip.tobytes()], width=60, rows=30, place=place, **form)
        strips.append(np.frombuffer(answer.frames[0], np.uint8).reshape(strip.shape))
    np.testing.assert_array_equal(np.concatenate([strips[1], strips[2], strips[0]]), expected)
    part = np.ascontiguousarray(pixels[10:30, 20:60])
    place = {"width": 60, "height": 90, "top": 10, "left": 20}
    answer = peer.ask("apply", [part.tobytes()], width=40, rows=20, place=place, **form)
    np.testing.assert_array_equal(
        np.frombuffer(answer.frames[0], np.uint8).reshape(part.shape), expected[10:30, 20:60]
    )


def test_without_a_place_such_a_look_is_refused_and_others_are_not(
    peer: Peer, models: dict[str, str]
) -> None:
    pixels = picture(30, 60)
    told = learned(peer, pixels, models["slope"])
    form = {"width": 60, "rows": 30, "channels": 3, "dtype": "u8"}
    refused = peer.ask("apply", [pixels.tobytes()], look=told["look"], **form).header
    assert refused["code"] == "option"
    assert "depends on the place" in refused["message"]
    refused = peer.ask("export", look=told["look"], format="cube").header
    assert refused["code"] == "lut"
    assert "model slope" in refused["message"]
    cube = format_cube(Lut3D.identity(3))
    given = peer.ask("import", [cube], format="cube", name="a.cube").header["look"]
    place = {"width": 99, "height": 99, "top": 9}
    for fields in ({}, {"place": place}):
        answer = peer.ask("apply", [pixels.tobytes()], look=given, **form, **fields)
        assert answer.frames[0] == pixels.tobytes()


def test_colors_are_refused_by_the_daemon_where_grey_is_wanted(
    peer: Peer, models: dict[str, str]
) -> None:
    colored = np.zeros((224, 224, 3), np.float32)
    colored[..., 0] = 0.5
    told = peer.ask("learn", [colored.tobytes()], model=models["grey-slope"]).header
    assert (told["type"], told["code"]) == ("error", "has-colors")
    assert learned(peer, picture(), models["grey-slope"])["type"] == "result"


def test_a_batch_shows_what_is_wanted_and_tells_what_is_not(
    peer: Peer, models: dict[str, str], tmp_path: Path
) -> None:
    names = ("a.png", "b.png", "c.png")
    pixels = (picture(40, 60, 1), grey(), picture(40, 60, 2))
    sources = [png(tmp_path / "in" / n, p) for n, p in zip(names, pixels, strict=True)]
    rows = [[str(source), str(tmp_path / "out" / source.name), None] for source in sources]
    request = peer.send("batch", photos=rows, model=models["slope"])
    told = {}
    while (answer := peer.receive()) is not None and answer.header["type"] == "progress":
        if "photo" in answer.header:
            told[answer.header["photo"]] = answer.header
    assert answer is not None and answer.request == request
    assert (answer.header["done"], answer.header["failed"]) == (2, 1), json.dumps(answer.header)
    assert (told[1]["code"], "colorize" in told[1]["message"]) == ("is-grey", True)
    for number in (0, 2):
        expected = Balancer(models["slope"]).balance(pixels[number])
        np.testing.assert_array_equal(read(tmp_path / "out" / names[number]), expected)
    refused = peer.ask("batch", photos=rows, roll=True, model=models["slope"]).header
    assert refused["code"] == "option"
    assert "learns each look from one photo" in refused["message"]
