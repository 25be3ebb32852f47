"""`vae-balance colorize` with its default model: grey in any form, and what is not grey."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import Result
from daemon_process import Peer, ServerThread
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from vae_balance import Balancer
from vae_balance.color.cielab import srgb_to_lab
from vae_balance.color.colorfulness import colorfulness
from vae_balance.correctors.colorize.networks import DESIGNS, corrector_of
from vae_balance.correctors.colorize.train import ColorizeTraining
from vae_balance.errors import ImageError, OptionError
from vae_balance.looks.chroma_map import made_grey
from vae_balance_protocol.options import COLOR_MODEL

Run = Callable[..., Result]
HERE = ("--daemon", "never", "--device", "cpu", "-q")


def astronaut() -> NDArray[np.uint8]:
    """Return a portrait in color, 128 x 96."""
    return np.ascontiguousarray(data.astronaut()[:384:4, ::4])


def grey() -> NDArray[np.uint8]:
    """Return it without colors, (96, 128)."""
    values = made_grey(astronaut().astype(np.float32) / np.float32(255.0))
    return np.rint(255.0 * values[..., 1]).astype(np.uint8)


def save(path: Path, pixels: NDArray[Any], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **more)
    return path


def read(path: Path) -> NDArray[Any]:
    return np.asarray(Image.open(path))


def lab(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return srgb_to_lab(pixels[..., :3].astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max))


def colorfulness_of(pixels: NDArray[Any]) -> float:
    import torch

    planes = torch.from_numpy(pixels[..., :3].astype(np.float32) / 255.0).permute(2, 0, 1)[None]
    return colorfulness(planes).item()


@pytest.mark.parametrize("kind", ["L", "grey RGB", "LA", "jpeg", "sepia"])
def test_grey_of_every_kind_gets_colors_and_keeps_its_lightness(
    run: Run, tmp_path: Path, kind: str
) -> None:
    given: NDArray[Any] = grey()
    name = "a.jpg" if kind == "jpeg" else "a.png"
    if kind == "grey RGB":
        given = np.repeat(given[..., None], 3, axis=2)
    elif kind == "LA":
        given = np.stack([given, np.full_like(given, 180)], axis=2)
    elif kind == "sepia":
        given = np.rint(given[..., None] * np.array([1.0, 0.93, 0.78])).astype(np.uint8)
    photo = save(tmp_path / name, given)
    out = tmp_path / "out.png"
    result = run("colorize", photo, "-o", out, *HERE)
    assert (result.exit_code, result.output) == (0, "")
    colored = read(out)
    assert colored.shape == (96, 128, 4 if kind == "LA" else 3)
    assert colorfulness_of(colored) > 15.0
    before = np.asarray(Image.open(photo).convert("RGB"))
    assert np.abs(lab(colored)[..., 0] - lab(before)[..., 0]).max() < 0.6
    if kind == "LA":
        assert (colored[..., 3] == 180).all()


def test_skin_is_warm(run: Run, tmp_path: Path) -> None:
    """A weak claim that a broken model does not keep: her face is neither green nor blue."""
    photo = save(tmp_path / "a.png", grey())
    assert run("colorize", photo, "-o", tmp_path / "b.png", *HERE).exit_code == 0
    face = lab(read(tmp_path / "b.png"))[22:40, 50:62, 1:].mean(axis=(0, 1))
    assert (face > 3.0).all()


def test_depth_and_profile_are_kept(run: Run, tmp_path: Path) -> None:
    deep = np.repeat((grey().astype(np.uint16) * 257)[..., None], 3, axis=2)
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    photo = tmp_path / "a.tif"
    tifffile.imwrite(photo, deep, photometric="rgb", iccprofile=profile)
    out = tmp_path / "b.tif"
    assert run("colorize", photo, "-o", out, *HERE).exit_code == 0
    with tifffile.TiffFile(out) as file:
        assert file.pages[0].tags[34675].value == profile
        colored = file.asarray()
    assert colored.dtype == np.uint16
    assert np.ptp(colored, axis=2).max() > 2000


def test_strength_scales_and_nothing_is_left_of_it_at_0(run: Run, tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", grey())
    found = []
    for strength in (0, 0.5, 1.5):
        out = tmp_path / f"{strength}.png"
        assert run("colorize", photo, "-o", out, "--strength", strength, *HERE).exit_code == 0
        found.append(colorfulness_of(read(out)))
    assert found[0] < 1.0 < 5.0 < found[1] < 0.6 * found[2]


def test_a_tone_is_dropped_unless_it_is_to_be_kept(run: Run, tmp_path: Path) -> None:
    sepia = np.rint(grey()[..., None] * np.array([1.0, 0.9, 0.7])).astype(np.uint8)
    photo, plain = save(tmp_path / "a.png", sepia), ("--strength", 0, *HERE)
    for tone in ("drop", "keep"):
        out = tmp_path / f"{tone}.png"
        assert run("colorize", photo, "-o", out, "--tone", tone, *plain).exit_code == 0
    assert np.ptp(read(tmp_path / "drop.png"), axis=2).max() <= 1
    assert np.abs(read(tmp_path / "keep.png").astype(int) - sepia).max() <= 1


def test_color_is_refused_unless_forced(run: Run, tmp_path: Path) -> None:
    photo, out = save(tmp_path / "a.png", astronaut()), tmp_path / "b.png"
    refused = run("colorize", photo, "-o", out, *HERE)
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert "a.png: has colors already" in refused.stderr and "--force" in refused.stderr
    assert not out.exists()
    assert run("colorize", photo, "-o", out, "--force", *HERE).exit_code == 0
    assert np.abs(lab(read(out))[..., 0] - lab(astronaut())[..., 0]).max() < 0.6
    assert np.abs(lab(read(out))[..., 1:] - lab(astronaut())[..., 1:]).mean() > 2.0


def test_photos_are_done_one_by_one_and_one_in_color_does_not_stop_them(
    run: Run, tmp_path: Path
) -> None:
    photos = [save(tmp_path / "in" / f"{n}.png", p) for n, p in enumerate((grey(), astronaut()))]
    photos.append(save(tmp_path / "in" / "2.png", grey()[:, ::-1].copy()))
    out = tmp_path / "out"
    result = run("colorize", *photos, "--out-dir", out, "--json", *HERE)
    assert result.exit_code == 1
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "2.png"]
    rows = json.loads(result.stdout)
    assert rows[0]["lut_sha256"] != rows[2]["lut_sha256"]
    assert "has colors already" in rows[1]["error"]


def test_a_file_that_is_there_stays(run: Run, tmp_path: Path) -> None:
    photo, out = save(tmp_path / "a.png", grey()), save(tmp_path / "b.png", grey())
    before = out.read_bytes()
    assert run("colorize", photo, "-o", out, *HERE).exit_code != 0
    assert out.read_bytes() == before


def test_the_steps_are_drawn(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("matplotlib.text.Text.set_text", lambda text, words: told.append(words))
    photo, sheet = save(tmp_path / "a.png", grey()), tmp_path / "steps.png"
    result = run("colorize", photo, "-o", tmp_path / "b.png", "--explain", sheet, *HERE)
    assert result.exit_code == 0
    assert min(read(sheet).shape[:2]) > 500
    assert "How this photo was colorized" in told


@pytest.mark.parametrize("design", DESIGNS)
def test_the_mirror_image_gets_the_mirrored_colors(design: str) -> None:
    colorizer = Balancer(corrector_of(design), "cpu")
    picture = np.repeat(grey()[..., None], 3, axis=2)[:, :64]
    colored, mirrored = colorizer.balance(picture), colorizer.balance(picture[:, ::-1].copy())
    assert np.abs(colored.astype(int) - picture).max() > 5
    np.testing.assert_allclose(mirrored[:, ::-1].astype(int), colored, atol=2)


def test_a_model_for_colors_is_refused_grey(run: Run, tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", grey())
    refused = run("colorize", photo, "-o", tmp_path / "b.png", "--model", "stretch", *HERE)
    assert refused.exit_code == 1
    assert "is grey" in refused.stderr


def test_python_does_the_same(run: Run, tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", grey())
    assert run("colorize", photo, "-o", tmp_path / "b.png", *HERE).exit_code == 0
    colorizer = Balancer(COLOR_MODEL.default, "cpu")
    np.testing.assert_array_equal(colorizer.balance(grey()), read(tmp_path / "b.png"))
    image = colorizer.balance(Image.fromarray(grey()))
    np.testing.assert_array_equal(np.asarray(image), read(tmp_path / "b.png"))
    deep = colorizer.balance(grey().astype(np.uint16) * np.uint16(257))
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257.0 - image).max() <= 0.51
    with pytest.raises(ImageError, match="has colors already"):
        colorizer.learn(astronaut())
    with pytest.raises(OptionError, match="one photo"):
        colorizer.learn([grey(), grey()])


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    server = ServerThread(tmp_path)
    connected = server.peer()
    yield connected
    connected.close()
    server.end()


def test_the_daemon_does_the_same_and_strips_are_the_whole(
    run: Run, peer: Peer, tmp_path: Path
) -> None:
    photo, forced = save(tmp_path / "a.png", grey()), save(tmp_path / "c.png", astronaut())
    for source, more in ((photo, ()), (forced, ("--force",))):
        out = tmp_path / f"here-{source.name}"
        assert run("colorize", source, "-o", out, *more, *HERE).exit_code == 0
    for source, any_colors, done in ((photo, False, 1), (forced, False, 0), (forced, True, 1)):
        rows = [[str(source), str(tmp_path / f"there-{source.name}"), None]]
        peer.send("batch", photos=rows, model=COLOR_MODEL.default, any_colors=any_colors)
        while (answer := peer.receive()) is not None and answer.header["type"] == "progress":
            pass
        assert answer is not None
        assert answer.header["done"] == done, answer.header
    for source in (photo, forced):
        there = read(tmp_path / f"there-{source.name}")
        np.testing.assert_array_equal(there, read(tmp_path / f"here-{source.name}"))


def test_the_daemon_learns_from_a_color_photo_only_if_told_to(peer: Peer) -> None:
    """As GIMP asks: it sends proxies and never a file."""
    square = Image.fromarray(astronaut()).resize((224, 224))
    proxy = (np.asarray(square, dtype=np.float32) / np.float32(255.0)).tobytes()
    for fields, kind in (({}, "error"), ({"any_colors": True}, "result")):
        peer.send("learn", [proxy], model=COLOR_MODEL.default, **fields)
        while (answer := peer.receive()) is not None and answer.header["type"] == "progress":
            pass
        assert answer is not None
        assert answer.header["type"] == kind, answer.header
        if kind == "error":
            assert answer.header["code"] == "has-colors"
            assert "has colors already" in answer.header["message"]


def test_a_folder_is_colorized_photo_by_photo_even_as_a_roll(
    run: Run, tmp_path: Path, empty_home: Path
) -> None:
    for number in range(2):
        save(tmp_path / "in" / f"{number}.png", grey()[:, :: 1 - 2 * number].copy())
    out = tmp_path / "out"
    command = ("--roll", "--model", COLOR_MODEL.default, "--no-contact-sheet")
    try:
        result = run("batch", tmp_path / "in", out, *command)
        assert result.exit_code == 0, result.output
        assert "colors each photo by itself" in result.output
        for number in range(2):
            assert colorfulness_of(read(out / f"{number}.png")) > 15.0
    finally:
        run("stop")


def test_weight_decay_of_a_training_is_an_option(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decays: list[float] = []

    def note(config: ColorizeTraining, *_: object) -> None:
        decays.append(config.weight_decay)
        raise OptionError("enough")

    monkeypatch.setattr("vae_balance.correctors.colorize.train.train_colorizer", note)
    where = ("train", "colorize", "--photos", tmp_path, "--out", tmp_path / "out")
    for given in ((), ("--weight-decay", 0.05)):
        assert "enough" in run(*where, *given).output
    assert decays == [0.1, 0.05]
