"""LUTs of the film world give what OpenColorIO gives, and harm nobody where they are broken."""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PyOpenColorIO
import pytest
from opencolorio_files import opencolorio_applies

from vae_balance.color.lut import ColorLut, Lut3D, apply_lut
from vae_balance.color.lut_chain import LutChain
from vae_balance.errors import BalanceError, LutError, OptionError
from vae_balance.luts import rehearsal
from vae_balance.luts.files import SUFFIXES, read_lut
from vae_balance.luts.opencolorio import MAX_BYTES, parse_with_opencolorio

SIZE = 5


def look(colors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """A look with nothing symmetric about it, inside 0..1."""
    red, green, blue = np.moveaxis(colors, -1, 0)
    return np.stack(
        [0.8 * red**0.7 + 0.1 * green, 0.9 * green**1.3, 1 - 0.6 * blue - 0.3 * red], axis=-1
    )


def nodes(fastest: str) -> npt.NDArray[np.floating[Any]]:
    """The colors that the look gives at the nodes, (125, 3), in the order of a file."""
    table = look(np.stack(np.meshgrid(*[np.linspace(0, 1, SIZE)] * 3, indexing="ij"), axis=-1))
    return (table if fastest == "blue" else table.transpose(2, 1, 0, 3)).reshape(-1, 3)


def rows(values: npt.NDArray[Any], form: str = "%.6f") -> str:
    return "".join(" ".join(form % x for x in row) + "\n" for row in values)


def curve(count: int = 17) -> npt.NDArray[np.floating[Any]]:
    steps = np.linspace(0, 1, count)
    return np.stack([steps**0.5, steps**2, 1 - 0.5 * steps], axis=-1)


def flame_3dl() -> str:
    return "0 256 512 768 1023\n" + rows(np.rint(nodes("blue") * 4095), "%d")


def csp() -> str:
    # A prelut that spreads -0.5..2 over the curve.
    prelut = 3 * "2\n-0.5 2.0\n0.0 1.0\n"
    return (
        f"CSPLUTV100\n1D\n\nBEGIN METADATA\nby hand\nEND METADATA\n\n{prelut}\n17\n{rows(curve())}"
    )


def csp_3d() -> str:
    prelut = 3 * "3\n0.0 0.2 1.0\n0.0 0.6 1.0\n"
    return f"CSPLUTV100\n3D\n\n{prelut}\n{SIZE} {SIZE} {SIZE}\n{rows(nodes('red'))}"


def process_list(body: str, attributes: str = 'compCLFversion="3.0"') -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<ProcessList {attributes} id="by-hand" name="Über">\n{body}</ProcessList>\n'
    )


def depths(name: str, inside: str, more: str = "") -> str:
    return f'<{name} inBitDepth="32f" outBitDepth="32f" {more}>\n{inside}</{name}>\n'


def clf() -> str:
    matrix = depths("Matrix", '<Array dim="3 3">\n0.9 0.1 0 0 1 0 0.2 0 0.8\n</Array>\n')
    curves = depths("LUT1D", f'<Array dim="17 3">\n{rows(curve())}</Array>\n')
    cube = depths("LUT3D", f'<Array dim="{SIZE} {SIZE} {SIZE} 3">\n{rows(nodes("blue"))}</Array>\n')
    return process_list("<Description>by hand</Description>\n" + matrix + curves + cube)


def clf_trilinear() -> str:
    cube = f'<Array dim="{SIZE} {SIZE} {SIZE} 3">\n{rows(nodes("blue"))}</Array>\n'
    return process_list(depths("LUT3D", cube, 'interpolation="trilinear"'))


def ctf() -> str:
    log = depths(
        "Log",
        '<LogParams base="10" linSideSlope="5" linSideOffset="0.05" logSideSlope="0.3" '
        'logSideOffset="0.4"/>\n',
        'style="linToLog"',
    )
    inverse = depths("InverseLUT1D", f'<Array dim="17 1">\n{rows(curve()[:, 1:2])}</Array>\n')
    cdl = depths(
        "ASC_CDL",
        "<SOPNode><Slope>1.1 0.9 1</Slope><Offset>0.02 0 -0.03</Offset>"
        "<Power>1.2 1 0.9</Power></SOPNode>\n",
        'style="Fwd"',
    )
    return process_list(cdl + log + inverse, 'version="2.0"')


def color_correction() -> str:
    return (
        '<ColorCorrection id="warm">\n<SOPNode><Slope>1.2 1 0.8</Slope>'
        "<Offset>0.01 0 -0.02</Offset><Power>0.9 1 1.1</Power></SOPNode>\n"
        "<SatNode><Saturation>0.8</Saturation></SatNode>\n</ColorCorrection>\n"
    )


def collection(name: str, space: str) -> str:
    between = "<ColorDecision>\n%s</ColorDecision>\n" if name == "ColorDecisionList" else "%s"
    inside = between % color_correction()
    return f'<?xml version="1.0"?>\n<{name} xmlns="urn:ASC:CDL:{space}">\n{inside}</{name}>\n'


def truelight() -> str:
    return (
        f"# Truelight Cube v2.0\n# iDims 3\n# oDims 3\n# width {SIZE} {SIZE} {SIZE}\n"
        f"# lutLength 17\n# InputLUT\n{rows(curve() * (SIZE - 1))}\n"
        f"# Cube\n{rows(nodes('red'))}# end\n"
    )


def itx() -> str:
    return f"LUT_3D_SIZE {SIZE}\n\n{rows(nodes('red'))}"


def iridas_look() -> str:
    numbers = struct.pack(f"<{3 * SIZE**3}f", *nodes("red").reshape(-1)).hex().upper()
    lines = "\n".join(numbers[i : i + 80] for i in range(0, len(numbers), 80))
    return (
        '<?xml version="1.0" ?>\n<look>\n<shaders>\n</shaders>\n'
        f'<LUT>\n<size>"{SIZE}"</size>\n<data>"\n{lines}"</data>\n</LUT>\n</look>\n'
    )


def discreet_lut() -> str:
    codes = np.rint(np.linspace(0, 1, 256)[:, None] ** (0.5, 1, 2) * 1023).astype(int)
    return "LUT: 3 256\n" + "".join(f"{x}\n" for x in codes.T.reshape(-1))


def houdini_lut() -> str:
    """A shaper of 17 points and a cube."""
    shaper = "".join(f"\t{x:.6f}\n" for x in np.linspace(0, 1, 17) ** 0.5)
    return (
        "Version\t\t3\nFormat\t\tany\nType\t\t3D+1D\nFrom\t\t0.000000 1.000000\n"
        "To\t\t0.000000 1.000000\nBlack\t\t0.000000\nWhite\t\t1.000000\n"
        f"Length\t\t{SIZE} 17\nLUT:\nPre {{\n{shaper}}}\n3D {{\n{rows(nodes('red'))}}}\n"
    )


def pandora(count: int = SIZE) -> str:
    codes = np.rint(nodes("blue") * 4095).astype(int)
    lines = "".join(f"{i}\t{r}\t{g}\t{b}\n" for i, (r, g, b) in enumerate(codes))
    return f"channel 3d\nin {count**3}\nout 4096\nformat lut\nvalues\tred\tgreen\tblue\n{lines}"


def spi1d() -> str:
    return f"Version 1\nFrom -0.25 1.5\nLength 17\nComponents 3\n{{\n{rows(curve())}}}\n"


def spi3d() -> str:
    table = nodes("blue")
    lines = (
        f"{i // 25} {i // 5 % 5} {i % 5} {r:.6f} {g:.6f} {b:.6f}\n"
        for i, (r, g, b) in enumerate(table)
    )
    return f"SPILUT 1.0\n3 3\n{SIZE} {SIZE} {SIZE}\n" + "".join(lines)


def spimtx() -> str:
    return "1.1 -0.1 0 1310.7\n0 0.9 0.1 0\n0.05 0 0.95 -655.35\n"


def nuke_vf() -> str:
    return (
        f"#Inventor V2.1 ascii\ngrid_size {SIZE} {SIZE} {SIZE}\n"
        "global_transform .1 0 0 0 0 .1 0 0 0 0 .1 0 0 0 0 1\n"
        f"data\n{rows(nodes('red'))}"
    )


FILES: dict[str, Callable[[], str]] = {
    "film.3dl": flame_3dl,
    "film.cc": color_correction,
    "film.ccc": lambda: collection("ColorCorrectionCollection", "v1.2"),
    "film.cdl": lambda: collection("ColorDecisionList", "v1.01"),
    "film.clf": clf,
    "trilinear.clf": clf_trilinear,
    "film.csp": csp,
    "cube.csp": csp_3d,
    "film.ctf": ctf,
    "film.cub": truelight,
    "film.itx": itx,
    "film.look": iridas_look,
    "film.lut": discreet_lut,
    "film_8to10.lut": discreet_lut,
    "houdini.lut": houdini_lut,
    "film.m3d": pandora,
    "film.mga": pandora,
    "film.spi1d": spi1d,
    "film.spi3d": spi3d,
    "film.spimtx": spimtx,
    "film.vf": nuke_vf,
}
PLAIN_CUBES = {"film.3dl", "film.itx", "film.look", "film.m3d", "film.mga", "film.spi3d"}


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Any:
    """Keep OpenColorIO's warnings, of what a file's interpolation cannot be, out of the output."""
    level = PyOpenColorIO.GetLoggingLevel()
    PyOpenColorIO.SetLoggingLevel(PyOpenColorIO.LOGGING_LEVEL_NONE)
    yield
    PyOpenColorIO.SetLoggingLevel(level)


def picture(dtype: type) -> npt.NDArray[Any]:
    """Every code of grey, and colors."""
    ramp = np.repeat(np.arange(65536, dtype=np.uint16)[:, None], 3, axis=1).reshape(256, 256, 3)
    colors = np.random.default_rng(3).integers(0, 65536, ramp.shape, np.uint16)
    codes = np.concatenate([ramp, colors])
    if dtype is np.float32:
        return (codes / 65535).astype(np.float32)
    return codes if dtype is np.uint16 else (codes >> 8).astype(np.uint8)


def write(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text(FILES[name](), "utf-8")
    return path


@cache
def read(name: str) -> ColorLut:
    return parse_with_opencolorio(FILES[name]().encode(), Path(name).suffix[1:], name)


def test_every_suffix_is_tried() -> None:
    assert {Path(name).suffix for name in FILES} == SUFFIXES - {".cube", ".png"}


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_opencolorio(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    lut = read(name)
    assert isinstance(lut, Lut3D if name in PLAIN_CUBES else LutChain)
    for dtype in (np.uint8, np.uint16, np.float32):
        pixels = picture(dtype)
        result = apply_lut(lut, pixels)
        if name != "trilinear.clf":  # of which OpenColorIO is told here to use another one
            assert (result == opencolorio_applies(path, pixels)).all()
        assert (result != pixels).mean() > 0.5


def test_a_look_is_the_look_that_was_written() -> None:
    for name in PLAIN_CUBES:
        lut = read(name)
        step = 1 / 4095 if name[-3:] in ("3dl", "m3d", "mga") else 2e-6
        grid = np.stack(np.meshgrid(*[np.linspace(0, 1, SIZE)] * 3, indexing="ij"), axis=-1)
        assert lut(grid) == pytest.approx(look(grid), abs=step)


def test_a_title_and_comments_are_kept() -> None:
    assert (read("film.clf").title, read("film.clf").comments) == ("Über", ("by hand",))
    assert read("film.clf").baked().title == "Über"
    assert (read("film.spi1d").title, read("film.spi1d").comments) == ("", ())


def test_an_interpolation_that_the_file_wants_is_used() -> None:
    color = np.array([0.1, 0.2, 0.05])  # inside one cell
    corners = look(np.stack(np.meshgrid(*[[0, 0.25]] * 3, indexing="ij"), axis=-1))
    for axis in range(3):
        share = color[axis] / 0.25
        corners = corners[0] * (1 - share) + corners[1] * share
    assert read("trilinear.clf")(color) == pytest.approx(corners, abs=1e-5)


def test_formulas_and_wide_tables_know_colors_outside(tmp_path: Path) -> None:
    pixels = (picture(np.float32) * 3 - 1)[:50]
    for name in ("film.csp", "film.spi1d", "film.spimtx", "film.vf"):
        path = write(tmp_path, name)
        assert (apply_lut(read(name), pixels) == opencolorio_applies(path, pixels)).all()


def test_a_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    path = tmp_path / "FILM.SPI1D"
    path.write_text(spi1d(), "ascii")
    assert isinstance(read_lut(path), LutChain)


def test_the_same_content_under_the_same_name_is_the_same_look(tmp_path: Path) -> None:
    first = parse_with_opencolorio(spi1d().encode(), "spi1d", "/a/film.spi1d")
    again = parse_with_opencolorio(spi1d().encode(), "spi1d", "/b/film.spi1d")
    other = spi1d().replace("0.250000", "0.250001").encode()
    assert first.digest() == again.digest()
    assert first.digest() != parse_with_opencolorio(other, "spi1d", "/a/film.spi1d").digest()


def refused(content: bytes, name: str, *parts: str) -> None:
    """Assert that a file is refused in one line that names it and has all `parts`."""
    with pytest.raises(LutError) as caught:
        parse_with_opencolorio(content, Path(name).suffix[1:], name)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message
    assert len(message) < 400
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", ["film.spi1d", "film.csp", "film.clf", "film.vf"])
def test_what_is_no_lut_is_refused(name: str) -> None:
    refused(b"once upon a time\n" * 9, name, "cannot be read")
    refused(b"", name, "empty")
    refused(bytes(range(256)) * 3, name, "cannot be read")


def test_a_file_cut_short_is_refused() -> None:
    for name in ("film.spi3d", "film.clf", "film.3dl", "film.look"):
        refused(FILES[name]()[:-300].encode(), name, "cannot be read")


def test_a_reader_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    # OpenColorIO looks for "END METADATA" for ever, and keeps what it finds.
    monkeypatch.setattr(rehearsal, "_SECONDS", 1)
    refused(b"CSPLUTV100\n1D\n\nBEGIN METADATA\nby hand\n", "film.csp", "damaged")


def test_no_more_memory_is_asked_for_than_a_lut_needs() -> None:
    table = f'<Array dim="2000000000 3">\n{rows(curve())}</Array>\n'
    refused(process_list(depths("LUT1D", table)).encode(), "film.clf")
    refused(b"Version 1\nFrom 0 1\nLength 2147483647\nComponents 3\n{\n0 0 0\n}\n", "film.spi1d")
    refused(b"SPILUT 1.0\n3 3\n50000 50000 50000\n0 0 0 0 0 0\n", "film.spi3d")


def test_nothing_of_a_file_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    matrix = depths("Matrix", '<Array dim="3 3">\n2 0 0 0 1 0 0 0 1\n</Array>\n', 'red="&#155;1m"')
    content = process_list("<Unheard>&#155;31m</Unheard>\n" + matrix, 'version="1.8" red="1"')
    PyOpenColorIO.SetLoggingLevel(PyOpenColorIO.LOGGING_LEVEL_WARNING)
    try:
        assert parse_with_opencolorio(content.encode(), "ctf", "film.ctf")([0.1] * 3)[0] > 0.15
        assert PyOpenColorIO.GetLoggingLevel() == PyOpenColorIO.LOGGING_LEVEL_WARNING
    finally:
        PyOpenColorIO.SetLoggingLevel(PyOpenColorIO.LOGGING_LEVEL_NONE)
    assert capfd.readouterr() == ("", "")


def test_a_file_of_more_than_100_megabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.spi1d"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(LutError, match=r"film\.spi1d: more than 100 MB"):
        read_lut(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe tells whether it was opened")
@pytest.mark.parametrize(
    ("suffix", "way"), [("ctf", "plain"), ("ctf", "in UTF-16"), ("3dl", "in UTF-16")]
)
def test_no_other_file_is_opened(tmp_path: Path, suffix: str, way: str) -> None:
    other = tmp_path / "other.spi1d"
    os.mkfifo(other)
    reader = threading.Thread(target=lambda: os.close(os.open(other, os.O_WRONLY)), daemon=True)
    reader.start()  # waits until somebody opens the other end
    body = f'<Reference path="{other}" inBitDepth="32f" outBitDepth="32f"/>\n'
    text = process_list(body, 'version="1.8"')
    if way == "in UTF-16":
        content = text.replace("UTF-8", "UTF-16").encode("utf-16")
    else:
        content = text.encode()
    with pytest.raises(LutError, match=r"refers to another LUT|cannot be read"):
        parse_with_opencolorio(content, suffix, f"film.{suffix}")
    assert reader.is_alive()
    os.close(os.open(other, os.O_RDONLY))
    reader.join()


def test_an_alias_is_a_reference_too() -> None:
    # OpenColorIO would leave it out without a word.
    body = '<Reference alias="currentMonitor" inBitDepth="32f" outBitDepth="32f"/>\n'
    refused(process_list(body, 'version="1.8"').encode(), "film.ctf", "refers to another LUT")


def test_numbers_that_are_not_finite_are_refused() -> None:
    for number in ("nan", "inf"):
        refused(spi1d().replace("0.250000", number).encode(), "film.spi1d")
        table = f'<Array dim="17 3">\n{rows(curve())}</Array>\n'.replace("0.250000", number)
        refused(process_list(depths("LUT1D", table)).encode(), "film.clf")


def test_colors_made_of_alpha_are_refused() -> None:
    numbers = "1 0 0 0.5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
    matrix = depths("Matrix", f'<Array dim="4 4 4">\n{numbers}</Array>\n')
    refused(process_list(matrix, 'version="1.3"').encode(), "film.ctf", "alpha")


@pytest.mark.parametrize("suffix", [".icc", ".icm", ".pf"])
def test_a_color_profile_is_no_look(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OptionError, match="is a color profile, not a LUT"):
        read_lut(tmp_path / f"display{suffix}")


def test_other_names_are_refused_with_those_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"look\.txt: not the name of a LUT.* \.spi1d"):
        read_lut(tmp_path / "look.txt")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BalanceError, match=r"gone\.clf: cannot be read: No such file"):
        read_lut(tmp_path / "gone.clf")


def test_where_no_process_can_be_started_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    refused(spi1d().encode(), "film.spi1d", "no process")


def test_a_folder_full_of_traps_is_not_where_modules_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PyOpenColorIO", "numpy", "resource", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)
    refused(b"no LUT", "film.spi1d", "cannot be read")
