"""The GIMP plug-ins' logic, without GIMP."""

from __future__ import annotations

import gettext
import json
import math
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_balance.looks.report import LookReport
from vae_balance.photos.proxy import make_proxy
from vae_balance_protocol import DaemonError, NotStarted, messages
from vae_balance_protocol.faults import HUES
from vae_balance_protocol.options import ANY_COLORS

PLUGINS = Path(__file__).resolve().parent.parent / "gimp-plugin"
sys.path += [str(PLUGINS), str(PLUGINS / "common")]

import catalogs  # noqa: E402
from vae_balance_gimp import balancing, strips, texts, work  # noqa: E402
from vae_balance_gimp.balancing import learn_picture  # noqa: E402
from vae_balance_gimp.findings import describe_report  # noqa: E402
from vae_balance_gimp.settings import (  # noqa: E402
    LAYER,
    LUT_ONLY,
    NEW_LAYER,
    SELECTION,
    Settings,
    check_lut_path,
    lut_format,
)
from vae_balance_gimp.texts import UserError  # noqa: E402

LOCALES = PLUGINS / "common" / "locale"
LANGUAGES = ("de", "es", "fr", "zh_CN")
PROGRAM = (PLUGINS / "vae-balance" / "vae-balance.py").read_text(encoding="utf-8")
# What each entry's help explains, by the labels of its dialog.
HELPED = {
    "plug-in-vae-balance": (
        *("Stren_gth", "Res_ult", "_Preset", "Learn _from"),
        *("_Iterations", "_Model", "LUT fil_e", "LUT si_ze"),
    ),
    "plug-in-vae-balance-apply-lut": ("Loo_k", "LUT fil_e", "Stren_gth", "Res_ult"),
    "plug-in-vae-balance-colorize": ("Stren_gth", "Res_ult", "_Tone", "_Model"),
}
NUMPY = {"u8": np.uint8, "u16": np.uint16, "f16": np.float16, "f32": np.float32}


class Daemon:
    """A client that answers by itself: a look adds 1 to every byte."""

    def __init__(self) -> None:
        self.daemon = {"version": "0.1.0", "models": ["embedded"]}
        self.asked: list[dict[str, object]] = []
        self.learned: dict[str, object] = {}  # what it answers besides
        self.error: DaemonError | None = None  # what it says of models and to exports
        self.places: list[object] = []
        self.colors = {"embedded": "color", "mixed": "color", "colorize": "grey", "both": "any"}

    def describe(self, model):
        if self.error:
            raise self.error
        return {"proxy": "frame", "colors": self.colors[model]}

    def export(self, look, format, average=False):
        if average:
            return b"average"
        if self.error:
            raise self.error
        return b"exported"

    def make_proxy(self, strips, width, height, channels, dtype, profile, kind):
        rows = [rows for _first, rows, _pixels in strips]
        self.asked.append({"rows": rows, "width": width, "height": height, "kind": kind})
        return b"proxy"

    def learn(self, proxies, on_progress, **fields):
        self.asked.append({"proxies": proxies, **fields})
        for stage, done in (("load", 0), ("encode", 0), ("encode", 1), ("bake", 2)):
            on_progress({"stage": stage, "done": done, "total": 2})
        answer = {"look": "5" * 64, "size": fields["size"], "model": fields["model"]}
        answer["unchanged"] = fields["strength"] == 0
        about = {"model_version": "1", "device": "cpu", "seconds": {}}
        return {**answer, **about, **self.learned}

    def import_lut(self, content, format, name):
        self.asked.append({"content": content, "format": format, "name": name})
        return {"look": "6" * 64, "size": None if format == "spi1d" else 2}

    def apply_strips(self, look, strips, width, channels, dtype, profile, strength, place):
        self.places.append(place)
        for first, rows, pixels in strips:
            yield first, rows, bytes(value + 1 for value in pixels)


class Picture:
    channels, dtype, profile = 3, "u8", None

    def __init__(self, width: int = 5, height: int = 4) -> None:
        self.width, self.height = width, height

    def strips(self):
        for first in range(0, self.height, 2):
            yield first, 2, bytes(2 * self.width * 3)


@pytest.fixture
def english():
    texts.use_languages(["en"])


@given(st.integers(1, 600_000), st.integers(1, 5000), st.sampled_from([3, 4, 6, 8, 12, 16]))
def test_strips_cover_a_layer_once_and_stay_small(width, height, pixel_bytes):
    cut = strips.cut(width, height, pixel_bytes)
    rows = [row for first, count in cut for row in range(first, first + count)]
    assert rows == list(range(height))
    assert all(count <= 256 for _first, count in cut)
    largest = max(count for _first, count in cut)
    assert largest == 1 or largest * width * pixel_bytes <= messages.FRAME_BYTES // 2
    assert largest <= 64 or largest == height or largest % 64 == 0


@pytest.mark.parametrize("dtype", sorted(NUMPY))
def test_pixels_outside_of_the_selection_get_no_alpha_and_others_keep_theirs(dtype):
    rng = np.random.default_rng(1)
    full = 1 if dtype.startswith("f") else np.iinfo(NUMPY[dtype]).max
    pixels = (rng.uniform(0.1, 1.0, (50, 4)) * full).astype(NUMPY[dtype])
    selection = rng.integers(0, 256, 50).astype(np.uint8)
    kept = strips.keep_selected(pixels.tobytes(), selection.tobytes(), dtype)
    expected = pixels.copy()
    expected[selection < 128, 3] = 0
    assert bytes(kept) == expected.tobytes()


@pytest.mark.parametrize(
    ("settings", "layers", "selection", "words"),
    [
        ({"learn_from": SELECTION}, 1, False, "There is no selection"),
        ({"output": LUT_ONLY}, 1, False, "Choose the LUT file"),
        ({"lut_file": "/nowhere/at/all.cube"}, 1, False, "/nowhere/at/all.cube"),
        ({"lut_file": "look.txt"}, 1, False, "must end in .cube"),
        ({"lut_file": "look.cube", "output": NEW_LAYER}, 2, False, "one layer"),
    ],
)
def test_settings_that_do_not_go_together_are_told(english, settings, layers, selection, words):
    with pytest.raises(UserError, match=re.escape(words)):
        Settings(**settings).check(layers, selection)


@pytest.mark.parametrize("dtype", NUMPY)
def test_alpha_is_seen_to_be_all_or_nothing(dtype):
    full = 1 if dtype[0] == "f" else np.iinfo(NUMPY[dtype]).max
    pixels = np.full((5, 7, 4), full, NUMPY[dtype])
    assert strips.is_opaque(pixels.tobytes(), dtype) and not strips.is_clear(b"\1" * 160, dtype)
    pixels[..., 3] = 0
    assert strips.is_clear(pixels.tobytes(), dtype)
    assert not strips.is_opaque(pixels.tobytes(), dtype)
    least = np.nextafter(NUMPY[dtype](0), NUMPY[dtype](1)) if dtype[0] == "f" else 1
    pixels[4, 6, 3] = least
    assert not strips.is_clear(pixels.tobytes(), dtype)
    pixels[..., 3] = full
    almost = np.nextafter(NUMPY[dtype](1), NUMPY[dtype](0)) if dtype[0] == "f" else full - 1
    pixels[0, 1, 3] = almost
    assert not strips.is_opaque(pixels.tobytes(), dtype)


def test_the_time_left_is_told_of_large_layers_only(english, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(balancing, "clock", lambda: now[0])
    told = []
    few = balancing._with_time_left(lambda text, fraction: told.append(text), 49_999_999)
    many = balancing._with_time_left(lambda text, fraction: told.append(text), 50_000_000)
    for seconds, fraction in ((1.0, 0.1), (20.0, 0.5), (30.0, 0.75), (600.0, 0.8)):
        now[0] = seconds
        few("Working...", fraction)
        many("Working...", fraction)
    assert told[::2] == ["Working..."] * 4
    assert told[1::2] == [
        "Working...",
        "Working... 20 s left",
        "Working... 10 s left",
        "Working... 2 min left",
    ]


def test_settings_that_go_together_pass(tmp_path):
    Settings(learn_from=SELECTION).check(3, True)
    Settings(output=LUT_ONLY, lut_file=str(tmp_path / "LOOK.CUBE")).check(1, False)


def test_learn_fields_are_those_of_the_protocol():
    fields = Settings(iterations=3, strength=0.5, size=17).learn_fields("t" * 300)
    header = {"v": messages.PROTOCOL, **fields}
    checked = messages.check("learn", header)
    assert (checked["iterations"], checked["strength"], checked["size"]) == (3, 0.5, 17)
    assert checked["title"] == "t" * 200


def test_a_lut_file_to_read_must_be_there(english, tmp_path):
    assert lut_format("a/B.PNG") == "hald"
    assert lut_format("film.spi1d") == "spi1d"
    with pytest.raises(UserError, match=r"look\.txt.*must end in \.3dl, .*\.vf\."):
        lut_format("look.txt")
    with pytest.raises(UserError, match=r"must end in \.cube, or in \.png"):
        check_lut_path(str(tmp_path / "film.spi1d"), writing=True)
    with pytest.raises(UserError, match="There is no LUT file"):
        check_lut_path(str(tmp_path / "a.cube"))


def test_a_look_is_learned_from_the_whole_picture_and_tells_its_origin(english):
    client, told = Daemon(), []
    proxy = work.shrink(client, Picture(), "centre", lambda *what: told.append(what))
    settings = Settings(iterations=2, strength=0.25)
    look = work.learn(client, proxy, settings, "scan", lambda *what: told.append(what))
    assert client.asked[0] == {"rows": [2, 2], "width": 5, "height": 4, "kind": "centre"}
    assert client.asked[1]["proxies"] == [b"proxy"]
    origin = json.loads(work.parasite_bytes(look))
    assert origin["lut_sha256"] == look.name == "5" * 64
    assert (origin["iterations"], origin["strength"], origin["version"]) == (2, 0.25, "0.1.0")
    assert [text for text, _fraction in told] == [
        "Looking at the layer...",
        "Looking at the layer...",
        "Looking at the layer...",
        "Loading the model...",
        "Learning, round 1 of 2...",
        "Learning, round 2 of 2...",
        "Learning, round 2 of 2...",
    ]
    assert all(0 <= fraction <= 1 for _text, fraction in told)


# What a learned look reports, and what GIMP says of it.
REPORTS = [
    (LookReport(), "Nothing was found to correct."),
    (LookReport(found=True, changes=(0.5,)), "Found: small differences."),
    (
        LookReport(True, (0.5, -9.25), 0.25, 1.125, 0.8125, (8.5,)),
        "Found: blue cast of 9, 0.2 stops too dark, faded; 81 % sure.",
    ),
    (
        LookReport(True, (0.5, 0.25), confidence=0.92, uneven=12.25),
        "Found: uneven light of 12; 92 % sure.",
    ),
    (
        LookReport(True, (14.0, 0.5), -1.96, 0.5, 1.0, (8.5, 2.0, 0.5)),
        "Found: pink cast of 14, 2.0 stops too light, too colorful; 3 rounds; 100 % sure.",
    ),
]


@pytest.mark.parametrize(("report", "text"), REPORTS)
def test_what_a_look_found_is_told(english, report, text):
    client = Daemon()
    client.learned = {"report": report.to_json()}
    look = work.learn(client, b"proxy", Settings(), "scan", lambda *_what: None)
    assert describe_report(look.report) == text


@pytest.mark.parametrize("learned", [{}, {"report": None}])
def test_nothing_is_said_of_what_the_daemon_does_not_tell(learned):
    client = Daemon()
    client.learned = learned
    look = work.learn(client, b"proxy", Settings(), "scan", lambda *_what: None)
    assert describe_report(look.report) == ""


def test_every_hue_of_a_cast_has_its_name_in_every_language():
    for start, name in HUES:
        angle = math.radians(start + 1)
        cast = (20 * math.cos(angle), 20 * math.sin(angle))
        report = LookReport(found=True, cast=cast)
        assert report.text() == f"{name} cast of 20"
        texts.use_languages(["en"])
        english = describe_report(report.to_json())
        assert english == f"Found: {name} cast of 20."
        for language in LANGUAGES:
            texts.use_languages([language])
            assert "20" in describe_report(report.to_json()) != english
    texts.use_languages(["de"])
    report = LookReport(True, (0.5, -9.25), 0.5, confidence=0.8125)
    text = "Gefunden: Blaustich von 9, 0,5 Blenden zu dunkel; zu 81 % sicher."
    assert describe_report(report.to_json()) == text


@pytest.mark.parametrize("size", [(300, 227), (227, 300), (224, 224), (1, 9)])
def test_of_a_layer_only_the_square_is_read_that_its_proxy_is_made_of(size):
    width, height = size
    colors = np.random.default_rng(3).random((height, width, 3), np.float32)

    class Pixels:
        channels = 3

        def __init__(self, area):
            self.area = area or (0, 0, width, height)
            self.width, self.height = self.area[2:]

    class Layer:
        def pixels(self, area, selected_only):
            assert not selected_only
            return Pixels(area)

    picture, kind, area = learn_picture(Layer(), LAYER, "centre")
    assert area == (0, 0, width, height)
    x, y, columns, rows = picture.area
    assert columns == rows == min(size)
    square = colors[y : y + rows, x : x + columns]
    np.testing.assert_allclose(make_proxy(square, kind), make_proxy(colors, "centre"), atol=1e-6)


def test_a_model_that_wants_the_frame_is_shown_all_of_a_layer_or_of_the_selection():
    class Layer:
        name = "a layer"

        def pixels(self, area, selected_only):
            assert selected_only == (area is not None)
            return Picture(*(area[2:] if area else (50, 40)))

        def selected_area(self):
            return (5, 6, 20, 10)

    picture, kind, area = learn_picture(Layer(), LAYER, "frame")
    assert (picture.width, picture.height, kind, area) == (50, 40, "frame", (0, 0, 50, 40))
    picture, kind, area = learn_picture(Layer(), SELECTION, "centre")
    assert (picture.width, picture.height, kind, area) == (20, 10, "frame", (5, 6, 20, 10))


def test_only_models_that_can_do_something_with_a_photo_are_offered():
    client = Daemon()
    client.daemon["models"] = list(client.colors)
    assert work.models_for(client, "color") == ["embedded", "mixed", "both"]
    assert work.models_for(client, "grey") == ["colorize", "both"]
    for code in ("malformed", "model"):  # an older daemon, a model that is damaged
        client.error = DaemonError(code, "no answer")
        assert work.models_for(client, "color") == list(client.colors)
    client.error = DaemonError("lost", "it is gone")
    with pytest.raises(DaemonError, match="it is gone"):
        work.models_for(client, "color")


def test_the_part_is_asked_of_the_daemon_and_the_centre_of_an_older_one():
    client = Daemon()
    assert work.wanted_part(client, "mixed") == "frame"
    client.error = DaemonError("malformed", "verb must be one of apply, ...")
    assert work.wanted_part(client, "embedded") == "centre"
    client.error = DaemonError("model", "no such model")
    with pytest.raises(DaemonError, match="no such model"):
        work.wanted_part(client, "none")


def test_strips_tell_their_place_in_what_the_look_was_learned_from():
    look = work.Look("5" * 64, {}, area=(10, 20, 300, 200))
    place = {"width": 300, "height": 200, "left": 5, "top": 0}
    assert look.place((15, 20, 100, 200)) == place
    assert look.place((9, 20, 100, 200)) is None
    assert work.Look("6" * 64, {}).place((0, 0, 1, 1)) is None
    client = Daemon()
    list(work.apply(client, look, Picture(), 1.0, lambda *_what: None, place))
    assert client.places == [place]


@given(
    st.tuples(*[st.integers(1, 9000)] * 2),
    st.tuples(*[st.integers(-500, 500)] * 2),
    st.floats(0.01, 1.0),
    st.tuples(*[st.integers(0, 400)] * 2, *[st.integers(1, 400)] * 2),
)
def test_what_is_on_the_screen_lies_within_the_picture(size, corner, scale, area):
    place = work.place_in_small((0, 0, *size), corner, (scale, scale), area)
    assert 0 <= place["left"] <= place["width"] - area[2]
    assert 0 <= place["top"] <= place["height"] - area[3]


def test_where_a_part_on_the_screen_lies_is_that_of_the_layer_in_small():
    learned = (100, 0, 600, 400)  # of a layer at (-20, 40) of what is shown at half its size
    place = work.place_in_small(learned, (-10.0, 20.0), (0.5, 0.5), (50, 30, 100, 80))
    assert place == {"width": 300, "height": 200, "left": 10, "top": 10}
    whole = work.Look("5" * 64, {}, area=learned)
    area = (110, 20, 300, 200)
    assert work.place_in_small(learned, (0.0, 0.0), (1.0, 1.0), area) == whole.place(area)


def test_a_look_that_is_no_lut_is_described_and_not_kept(english, tmp_path):
    client = Daemon()
    client.learned = {"size": None}
    look = work.learn(client, b"proxy", Settings(), "scan", lambda *_what: None)
    assert "lut_size" not in json.loads(work.parasite_bytes(look))
    assert look.description() == "Learned with embedded 1 on cpu"
    kept = tmp_path / "vae-balance" / "last-look.cube"
    lut = work.Look("5" * 64, {"lut_size": 33})
    assert balancing._keep_last(client, lut, str(kept)) == []
    assert kept.read_bytes() == b"exported"
    kept.write_bytes(b"of another picture")
    assert balancing._keep_last(client, look, str(kept)) == []
    assert kept.read_bytes() == b"of another picture"


def test_the_average_of_a_look_leaves_as_a_lut_with_a_warning_where_someone_reads_it(
    english, tmp_path
):
    client = Daemon()
    settings, path = Settings(output=LUT_ONLY), str(tmp_path / "a.cube")
    lut = work.Look("5" * 64, {"lut_size": 33})
    assert balancing._write_lut(client, lut, settings, path) == []
    look = work.Look("5" * 64, {"model": "mixed"})
    client.error = DaemonError("lut", "model mixed: it cannot be a LUT")
    with pytest.raises(UserError, match="model \u201cmixed\u201d differs from place to place"):
        balancing._write_lut(client, look, settings, path)  # a script
    assert (tmp_path / "a.cube").read_bytes() == b"exported"
    settings.average_lut = True
    (note,) = balancing._write_lut(client, look, settings, path)
    assert "is an average" in note and "no place fully" in note
    assert (tmp_path / "a.cube").read_bytes() == b"average"


def test_a_look_comes_back_in_strips_with_progress_to_the_end():
    told = []
    look = work.Look("5" * 64, {})
    strips = list(work.apply(Daemon(), look, Picture(), 1.0, lambda *what: told.append(what)))
    assert [(first, rows, set(pixels)) for first, rows, pixels in strips] == [
        (0, 2, {1}),
        (2, 2, {1}),
    ]
    assert [fraction for _text, fraction in told] == [0, 0.5, 1]


def test_a_lut_file_is_given_to_the_daemon_with_its_name(english, tmp_path):
    path = tmp_path / "film.cube"
    path.write_bytes(b"LUT_3D_SIZE 2")
    client = Daemon()
    look = work.load(client, str(path), 0.5)
    assert client.asked == [{"content": b"LUT_3D_SIZE 2", "format": "cube", "name": "film.cube"}]
    assert look.origin["lut_file"] == "film.cube"
    assert look.description() == "film.cube, a LUT of 2 nodes"


def test_a_curve_has_no_nodes_to_tell_of(english, tmp_path):
    path = tmp_path / "film.spi1d"
    path.write_bytes(b"Version 1")
    look = work.load(Daemon(), str(path), 1.0)
    assert look.description() == "film.spi1d"
    assert "lut_size" not in look.origin


def test_a_daemon_that_is_not_started_is_told_once_with_advice(english):
    message = "VAE Balance's daemon could not be started: it ended with status 1; its log ends:\nx"
    with pytest.raises(UserError) as raised, work.plain_errors():
        raise NotStarted(message, "x")
    told = raised.value.message
    assert told.startswith("VAE Balance could not be started: it ended with status 1. ")
    assert told.count("could not be started") == 1 and "vae-balance doctor" in told
    assert "\n" not in told


@pytest.mark.parametrize("code", [*messages.CODES, "lost", "not-started", "new-one"])
def test_every_error_of_the_daemon_becomes_a_sentence(english, code):
    with pytest.raises(UserError) as raised, work.plain_errors():
        raise DaemonError(code, "something broke")
    message = raised.value.message
    assert "{" not in message
    if code not in ("unknown-look", "cancelled", "stopping", "has-colors"):
        assert "something broke" in message


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_the_refusal_of_colors_names_the_switch_of_the_dialog(english, language):
    texts.use_languages([language])
    try:
        told = texts.sentence("has-colors", "a.png: has colors already")
        label = texts._(ANY_COLORS.label)
    finally:
        texts.use_languages(["en"])
    # GIMP shows two lines, and cuts the rest off.
    assert re.sub(r"_|\(_.\)", "", label) in told[:150]


def test_a_disk_error_becomes_a_sentence(english):
    with pytest.raises(UserError, match="No space left on device"), work.plain_errors():
        raise OSError(28, "No space left on device", "swap")


def test_a_file_is_written_whole_or_not_at_all(english, tmp_path, monkeypatch):
    path = tmp_path / "look.cube"
    work.write_file(str(path), b"old")
    monkeypatch.setattr(work.os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(UserError, match=r"look\.cube.*full"):
        work.write_file(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["look.cube"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalog_has_every_text_with_its_placeholders_and_one_mnemonic(language):
    with (LOCALES / language / "LC_MESSAGES" / "vae-balance.mo").open("rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog
    wanted = set(catalogs.texts())
    assert len(wanted) > 50
    assert wanted == set(catalog) - {""}
    for text in wanted:
        translated = catalog[text]
        assert translated
        fields = re.findall(r"\{\w+\}", text)
        assert sorted(re.findall(r"\{\w+\}", translated)) == sorted(fields), text
        if re.search(r"_\w", text) and not fields:
            assert translated.count("_") == 1, translated
        assert text.endswith("...") == translated.endswith(("...", "\u2026")), translated


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_compiled_catalog_is_that_of_its_source(language):
    folder = LOCALES / language / "LC_MESSAGES"
    with (folder / "vae-balance.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog
    assert {key: text for key, text in compiled.items() if key} == entries(
        (folder / "vae-balance.po").read_text(encoding="utf-8")
    )


def entries(po: str) -> dict[str, str]:
    """Return the texts of a .po file, the original first, without the header."""
    import ast

    found = {}
    for block in po.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        key, _, text = " ".join(lines).removeprefix("msgid ").partition(" msgstr ")
        key, text = (
            "".join(ast.literal_eval(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', side))
            for side in (key, text)
        )
        if key:
            found[key] = text
    return found


# Which texts are the labels and the button of each dialog.
DIALOGS = {
    "balance": "_Iterations|Stren_gth|_Model|Learn _from|Res_ult|LUT fil_e|LUT si_ze|_Balance"
    "|_Preset|A_dvanced",
    "apply": "Loo_k|LUT fil_e|Stren_gth|Res_ult|_Apply",
    "colorize": "Stren_gth|Res_ult|_Tone|_Model|Colori_ze",
}


@pytest.mark.parametrize("dialog", DIALOGS)
@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_every_control_of_a_dialog_has_a_key_of_its_own(language, dialog):
    texts.use_languages([language])
    try:
        labels = [texts._(text) for text in DIALOGS[dialog].split("|")]
    finally:
        texts.use_languages(["en"])
    keys = [re.search("_(.)", label).group(1).lower() for label in labels]
    assert len(set(keys)) == len(keys), labels


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_help_is_in_every_language_and_in_the_words_of_the_dialogs(language):
    """GIMP looks for LANGUAGE/gimp-help.xml, and opens the page at the place that it names."""
    folder = PLUGINS / "vae-balance" / "help" / language
    page = (folder / "index.html").read_text(encoding="utf-8")
    items = ElementTree.parse(folder / "gimp-help.xml").getroot()
    procedures = set(re.findall(r'"(plug-in-vae-balance[\w-]*)"', PROGRAM))
    assert {item.get("id") for item in items} == procedures
    texts.use_languages([language])
    try:
        for item in items:
            name, _, anchor = item.get("ref").partition("#")
            assert name == "index.html"
            section = page.partition(f'id="{anchor}"')[2].partition("<h2")[0]
            labels = HELPED[item.get("id")]
            told = ", ".join(re.findall("<dt>(.*?)</dt>", section)).lower()
            for label in labels:
                plain = re.sub(r"\(_.\)|_", "", texts._(label))
                assert plain.lower() in told, plain
    finally:
        texts.use_languages(["en"])
    assert (folder / re.search('href="(.*?)"', page).group(1)).is_file()


def test_a_user_reads_his_own_language():
    texts.use_languages(["de_AT.UTF-8", "de"])
    try:
        with pytest.raises(UserError, match="Auswahl"):
            Settings(learn_from=SELECTION).check(1, False)
    finally:
        texts.use_languages(["en"])


def test_the_plug_ins_need_nothing_but_gimp_and_the_standard_library():
    """Nothing can be installed into the Python that GIMP brings."""
    import ast

    ours = {path.stem for path in catalogs.sources()} | {"vae_balance_gimp", "vae_balance_protocol"}
    gimps = {"gi", "gimp", "gimpfu", "gimpenums", "gtk", "gobject"}
    for path in catalogs.sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                package = name.partition(".")[0]
                assert package in sys.stdlib_module_names | ours | gimps, f"{path}: {name}"


def test_starting_the_daemon_is_told(english, monkeypatch):
    told = []

    def connect(name, waiting):
        assert name == "GIMP"
        waiting("a line of the client's")

    monkeypatch.setattr(work.Client, "connect", connect)
    work.connect(lambda *what: told.append(what))
    assert told == [("Starting VAE Balance...", 0.0)]


def test_gimp_finds_the_plug_in():
    """GIMP takes a folder's file of the same name, if it may be run."""
    path = PLUGINS / "vae-balance" / "vae-balance.py"
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o111
