"""What we write as .cube every program reads alike; what others write we read, or say why not."""

from __future__ import annotations

import locale
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from opencolorio_files import opencolorio_applies
from PIL import Image, ImageFilter

from vae_balance.color.lut import ColorLut, Lut3D, apply_lut
from vae_balance.color.lut_chain import LutChain
from vae_balance.errors import BalanceError, LutError, OutputExistsError
from vae_balance.luts import cube
from vae_balance.luts.cube import format_cube, parse_cube, read_cube, write_cube

# Red inverted, green kept, blue halved.
VALID = """\
# by hand
TITLE "Old film"
LUT_3D_SIZE 2
DOMAIN_MIN 0 0 0
DOMAIN_MAX 1 1 1

1.0 0.0 0.0
0.0 0.0 0.0
1.0 1.0 0.0
0.0 1.0 0.0
1.0 0.0 0.5
0.0 0.0 0.5
1.0 1.0 0.5
0.0 1.0 0.5
"""
FIRST_ROW = 7

CURVES = """\
LUT_1D_SIZE 3
0.0 0.0 0.0
0.25 0.5 1.0
1.0 1.0 1.0
"""


def film(colors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return colors * (-1, 1, 0.5) + (1, 0, 0)


def look(size: int = 9) -> Lut3D:
    """A LUT with nothing symmetric about it, inside 0..1."""
    random = np.random.default_rng(7)
    table = random.random((size, size, size, 3)).astype(np.float32)
    return Lut3D(table, "Neon to day", ("made by VAE Balance", "1 iteration"))


def picture() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(8).integers(0, 256, (40, 50, 3), np.uint8)


def parse_any(text: str | bytes) -> ColorLut:
    return parse_cube(text if isinstance(text, bytes) else text.encode(), "film.cube")


def parse(text: str | bytes) -> Lut3D:
    lut = parse_any(text)
    assert isinstance(lut, Lut3D)
    return lut


def parse_steps(text: str) -> LutChain:
    lut = parse_any(text)
    assert isinstance(lut, LutChain)
    return lut


def mutated(old: str, new: str, text: str = VALID) -> str:
    assert old in text
    return text.replace(old, new, 1)


# Writing


def test_the_file_reads_as_the_specification_says() -> None:
    table = np.zeros((2, 2, 2, 3), np.float32)
    table[1, 0, 0] = (1, 0.25, 1 / 3)
    lut = Lut3D(table, "Old film", ("by hand", "", "twice"))
    assert format_cube(lut).decode("ascii").split("\n") == [
        "# by hand",
        "#",
        "# twice",
        'TITLE "Old film"',
        "LUT_3D_SIZE 2",
        "0.000000 0.000000 0.000000",
        "1.000000 0.250000 0.333333",
        *["0.000000 0.000000 0.000000"] * 6,
        "",
    ]


def test_red_changes_fastest_and_blue_slowest() -> None:
    rows = format_cube(Lut3D.identity(3)).decode().splitlines()[1:]
    assert rows[1] == "0.500000 0.000000 0.000000"
    assert rows[3] == "0.000000 0.500000 0.000000"
    assert rows[9] == "0.000000 0.000000 0.500000"


def test_numbers_are_those_of_the_usual_format() -> None:
    lut = look(33)
    table = lut.table.copy()
    table.reshape(-1)[:129] = np.arange(129) / 128  # exact halves among them: 0.0078125
    rows = table.transpose(2, 1, 0, 3).reshape(-1, 3).tolist()
    expected = "".join(f"{red:.6f} {green:.6f} {blue:.6f}\n" for red, green, blue in rows)
    assert format_cube(Lut3D(table)).decode().split("\n", 1)[1] == expected


def test_values_outside_are_clipped() -> None:
    table = Lut3D.identity(2).table.copy()
    table[0, 0, 0] = (-0.5, 1.5, -1e-9)
    assert format_cube(Lut3D(table)).decode().splitlines()[1] == "0.000000 1.000000 0.000000"


def test_a_lut_without_title_and_comments_has_no_empty_lines() -> None:
    assert format_cube(Lut3D.identity(2)).startswith(b"LUT_3D_SIZE 2\n0.000000 ")


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("Été à Kraków", 'TITLE "Ete a Krakow"'),
        ("日本", 'TITLE "??"'),
        ('the "best" look', "TITLE \"the 'best' look\""),
        ("two\nlines", 'TITLE "two lines"'),
        ("bell\x07 and escape\x1b[31m", 'TITLE "bell? and escape?[31m"'),
    ],
)
def test_titles_become_plain_ascii(title: str, line: str) -> None:
    assert (
        format_cube(Lut3D(Lut3D.identity(2).table, title)).decode("ascii").startswith(line + "\n")
    )


def test_a_comment_cannot_smuggle_in_a_line() -> None:
    lut = Lut3D(Lut3D.identity(2).table, comments=("one\nLUT_3D_SIZE 3\r0 0 0\u2028x",))
    heading = format_cube(lut).decode("ascii").split("LUT_3D_SIZE 2\n")[0]
    assert heading == "# one\n# LUT_3D_SIZE 3\n# 0 0 0\n# x\n"


def test_no_line_is_longer_than_the_specification_allows() -> None:
    lut = Lut3D(Lut3D.identity(2).table, "t" * 999, ("c" * 999,))
    assert max(map(len, format_cube(lut).splitlines(keepends=True))) <= 250


def test_the_locale_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = locale.setlocale(locale.LC_ALL)
    expected = format_cube(look())
    found = False
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        found = True
        try:
            written = format_cube(look())
        finally:
            locale.setlocale(locale.LC_ALL, before)
        assert written == expected
        assert (parse(written).table == parse(expected).table).all()
    assert found


@pytest.mark.parametrize("size", [2, 17, 33, 65, 129])
def test_opencolorio_reads_our_file_with_the_same_pixels(tmp_path: Path, size: int) -> None:
    lut = look(size)
    path = tmp_path / "look.cube"
    write_cube(path, lut)
    pixels = opencolorio_applies(path, picture())
    expected = apply_lut(lut, picture())
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    assert (pixels == expected).mean() > 0.999


@pytest.mark.parametrize("size", [2, 33, 65])
def test_pillow_reads_our_rows_with_the_same_pixels(tmp_path: Path, size: int) -> None:
    # Pillow interpolates trilinearly, so the LUT is one for which that makes no difference.
    lut = Lut3D.from_function(lambda c: c @ [[0.6, 0, 0.2], [0.3, 0.7, 0], [0, 0.1, 0.5]], size)
    path = tmp_path / "look.cube"
    write_cube(path, lut)
    rows = [row.split() for row in path.read_text("ascii").splitlines() if row[0] in "01"]
    table = [float(value) for row in rows for value in row]
    filtered = Image.fromarray(picture()).filter(ImageFilter.Color3DLUT(size, table))
    assert np.abs(np.asarray(filtered).astype(int) - apply_lut(lut, picture())).max() <= 1


def test_an_existing_file_is_overwritten_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "look.cube"
    write_cube(path, Lut3D.identity(2))
    with pytest.raises(OutputExistsError):
        write_cube(path, look())
    assert read_cube(path).size == 2
    write_cube(path, look(), overwrite=True)
    assert read_cube(path).size == 9


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BalanceError, match="there is no folder"):
        write_cube(tmp_path / "looks" / "look.cube", look())


# There and back


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.integers(2, 5).map(lambda size: (size, size, size, 3)),
        elements=st.floats(-2, 2, width=32),
    ),
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=60),
    st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"])), max_size=3),
)
def test_writing_and_reading_give_the_lut_again(
    table: npt.NDArray[np.float32], title: str, comments: list[str]
) -> None:
    lut = Lut3D(table, title, tuple(comments))
    again = parse(format_cube(lut))
    assert np.abs(again.table - table.clip(0, 1).astype(np.float64)).max() <= 5.5e-7
    assert again.title == " ".join(title.strip().replace('"', "'").split("\n"))
    assert again.comments == tuple(comment.strip()[:200] for comment in comments)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text('0123456789.-+eE#,\n \tLUT_3DSIZEna"', max_size=200))
def test_whatever_the_file_holds_it_is_read_or_refused_in_one_line(content: bytes | str) -> None:
    try:
        parse_any(content)
    except LutError as error:
        assert re.match(r"film\.cube:\d+: ", str(error))
        assert len(str(error).splitlines()) == 1


# Reading what others write


def test_a_plain_file_is_taken_over_as_it_is() -> None:
    lut = parse(VALID)
    assert lut.size == 2
    assert (lut.title, lut.comments) == ("Old film", ("by hand",))
    assert lut.table[1, 0, 0].tolist() == [0, 0, 0]
    assert lut.table[0, 1, 0].tolist() == [1, 1, 0]
    assert lut.table[0, 0, 1].tolist() == [1, 0, 0.5]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(VALID.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(VALID.replace("\n", "\r"), id="CR"),
        pytest.param("\ufeff" + VALID, id="byte order mark"),
        pytest.param(VALID.replace(" ", "\t").replace("Old\tfilm", "Old film"), id="tabs"),
        pytest.param(VALID.replace("\n", "  \n\n").replace("\n1", "\n  1"), id="blanks"),
        pytest.param(VALID.rstrip(), id="no end of line"),
        pytest.param(VALID.replace("0.0", "0").replace("1.0", "1"), id="integers"),
        pytest.param(VALID.replace("0.5", "5.0e-1").replace("0.0", "+0E+00"), id="exponents"),
        pytest.param(VALID.replace("0.5", ".5").replace("1.0", "1."), id="bare points"),
        pytest.param(VALID.replace("LUT_3D_SIZE", "lut_3d_size"), id="lower case"),
        pytest.param(mutated("1.0 1.0 0.5", "1.0 1.0 0.5  # grey"), id="comment behind a row"),
        pytest.param(mutated('"Old film"', "Old film"), id="title without quotes"),
        pytest.param(
            mutated("DOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n", "LUT_3D_INPUT_RANGE 0.0 1.0\n"),
            id="Resolve's range",
        ),
        pytest.param(mutated("DOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n", ""), id="no domain"),
    ],
)
def test_what_programs_write_differently_means_the_same(text: str) -> None:
    lut = parse(text)
    assert (lut.table == parse(VALID).table).all()
    assert lut.title == "Old film"


def test_comments_are_read_wherever_they_are() -> None:
    lut = parse(VALID.replace("\n", "\n# note\n"))
    assert (lut.table == parse(VALID).table).all()
    assert lut.comments == ("by hand", *["note"] * VALID.count("\n"))


def test_a_title_may_hold_a_number_sign_and_quotes() -> None:
    assert parse(mutated("Old film", 'Film #3 "warm"')).title == 'Film #3 "warm"'


def test_values_outside_are_kept() -> None:
    lut = parse(mutated("0.0 1.0 0.5", "-0.25 1.5 0.5"))
    assert lut.table[1, 1, 1].tolist() == [-0.25, 1.5, 0.5]


def colors_inside() -> npt.NDArray[np.float64]:
    return np.random.default_rng(9).random((500, 3))


@pytest.mark.parametrize(
    "keywords", ["DOMAIN_MIN -1 -1 -1\nDOMAIN_MAX 3 3 3\n", "LUT_3D_INPUT_RANGE -1 3\n"]
)
def test_a_wider_domain_is_honored(keywords: str) -> None:
    lut = parse_steps(mutated("DOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n", keywords))
    colors = 4 * colors_inside() - 1  # all of them known to the table, though beyond 0..1
    assert lut(colors) == pytest.approx(film(colors_inside()), abs=1e-5)


def test_a_narrower_domain_ends_flat() -> None:
    lut = parse_steps(
        mutated("DOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1", "DOMAIN_MIN .25 0 0\nDOMAIN_MAX .75 1 1")
    )
    colors = colors_inside()
    stretched = ((colors - (0.25, 0, 0)) / (0.5, 1, 1)).clip(0, 1)
    assert lut(colors) == pytest.approx(film(stretched), abs=1e-5)


def test_curves_are_lines_between_their_points() -> None:
    lut = parse_steps(CURVES)
    colors = colors_inside()
    expected = [
        np.interp(colors[:, c], [0, 0.5, 1], [0, middle, 1])
        for c, middle in enumerate((0.25, 0.5, 1))
    ]
    assert lut(colors) == pytest.approx(np.stack(expected, axis=-1), abs=1e-5)


@pytest.mark.parametrize("keywords", ["DOMAIN_MAX 2 2 2\n", "LUT_1D_INPUT_RANGE 0 2\n"])
def test_the_domain_of_curves_is_honored(keywords: str) -> None:
    colors = colors_inside()
    wide = parse_steps(keywords + CURVES)(colors)
    assert wide == pytest.approx(parse_steps(CURVES)(colors / 2), abs=1e-5)


def test_curves_before_a_cube_are_applied_first() -> None:
    header, rows = VALID.split("\n\n")
    lut = parse_steps("LUT_1D_SIZE 3\n" + header + "\n" + CURVES.split("\n", 1)[1] + rows)
    assert (lut.title, lut.comments) == ("Old film", ("by hand",))
    colors = colors_inside()
    assert lut(colors) == pytest.approx(
        film(parse_steps(CURVES)(colors).astype(np.float64)), abs=1e-5
    )


def posterize() -> str:
    """Curves of 4,096 points with eight steps, which a cube of 65 nodes makes ramps of."""
    values = np.floor(np.arange(4096) / 512) / 7
    return "LUT_1D_SIZE 4096\n" + "".join(f"{x:.6f} {x:.6f} {x * x:.6f}\n" for x in values)


def shaper() -> str:
    """A cube root of 1,024 points before a cube of nine nodes."""
    curve = "".join(f"{x:.7f} {x:.7f} {x:.7f}\n" for x in np.cbrt(np.arange(1024) / 1023))
    rows = format_cube(look(9)).decode().split("LUT_3D_SIZE 9\n")[1]
    ranges = "LUT_1D_INPUT_RANGE 0 1\nLUT_3D_INPUT_RANGE 0.1 0.9\n"
    return f"LUT_1D_SIZE 1024\nLUT_3D_SIZE 9\n{ranges}{curve}{rows}"


@pytest.mark.parametrize("text", [posterize(), shaper(), mutated("0 0 0\n", "-.5 0 0.1\n")])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_curves_and_shapers_are_what_opencolorio_makes_of_them(
    tmp_path: Path, text: str, dtype: type
) -> None:
    ramp = np.repeat(np.arange(65536, dtype=np.uint16)[:, None], 3, axis=1).reshape(256, 256, 3)
    colors = np.random.default_rng(3).integers(0, 65536, ramp.shape, np.uint16)
    codes = np.concatenate([ramp, colors])
    pixels = (codes / 65535).astype(np.float32) if dtype is np.float32 else codes
    pixels = (codes >> 8).astype(np.uint8) if dtype is np.uint8 else pixels
    path = tmp_path / "film.cube"
    path.write_text(text, "ascii")
    assert (apply_lut(parse_any(text), pixels) == opencolorio_applies(path, pixels)).all()


def test_curves_of_other_numbers_are_another_look() -> None:
    names = {
        parse_any(text).digest()
        for text in (
            CURVES,
            CURVES.replace("0.5", "0.500001"),
            "DOMAIN_MAX 2 2 2\n" + CURVES,
            shaper(),
            shaper().replace("0.1 0.9", "0.1 0.8"),
        )
    }
    assert len(names) == 5
    assert parse_any("# remark\n" + CURVES).digest() in names


@pytest.mark.parametrize(
    ("title", "encoding"),
    [("Été à Kraków", "utf-8"), ("Été chaud", "latin-1"), ("胶片暖色", "gbk")],
)
def test_title_and_comments_may_be_in_the_encoding_of_a_system(title: str, encoding: str) -> None:
    text = mutated("Old film", title).replace("by hand", title)
    lut = parse_any(text.encode(encoding))
    assert (lut.title, lut.comments) == (title, (title,))
    assert lut.digest() == parse(VALID).digest()


def test_the_range_of_video_is_no_affair_of_photos(tmp_path: Path) -> None:
    text = "LUT_IN_VIDEO_RANGE\nLUT_OUT_VIDEO_RANGE\n" + format_cube(look()).decode()
    text = text.replace('TITLE "Neon to day"\n', "")
    path = tmp_path / "film.cube"
    path.write_text(text, "ascii")
    pixels = picture()
    applied = apply_lut(parse(text), pixels)
    assert np.abs(applied.astype(int) - opencolorio_applies(path, pixels)).max() == 0


# Refusing what is broken


def refused(text: str | bytes, line: int, *parts: str) -> None:
    """Assert that `text` is refused for `line` in one line of text that holds all `parts`."""
    with pytest.raises(LutError) as caught:
        parse_any(text)
    message = str(caught.value)
    assert message.startswith(f"film.cube:{line}: ")
    assert "\n" not in message
    assert len(message) < 200
    for part in parts:
        assert part in message


def test_no_size() -> None:
    refused(mutated("LUT_3D_SIZE 2\n", ""), FIRST_ROW - 1, "no size above", "LUT_3D_SIZE")


def test_size_after_the_rows() -> None:
    text = mutated("LUT_3D_SIZE 2\n", "") + "LUT_3D_SIZE 2\n"
    refused(text, FIRST_ROW - 1, "no size above", "before the first row")


@pytest.mark.parametrize("size", [0, 1, 130, 256, 10**20])
def test_size_out_of_range(size: int) -> None:
    text = mutated("LUT_3D_SIZE 2", f"LUT_3D_SIZE {size}")
    refused(text, 3, f"'LUT_3D_SIZE {size}'", "2..129", "export")


@pytest.mark.parametrize("size", [1, 65537])
def test_curve_size_out_of_range(size: int) -> None:
    text = mutated("LUT_1D_SIZE 3", f"LUT_1D_SIZE {size}", CURVES)
    refused(text, 1, f"'LUT_1D_SIZE {size}'", "2..65536")


@pytest.mark.parametrize("size", ["", "2.0", "-2", "two", "2 2", "0x2", "\uff12"])
def test_size_that_is_no_whole_number(size: str) -> None:
    refused(mutated("LUT_3D_SIZE 2", f"LUT_3D_SIZE {size}"), 3, "LUT_3D_SIZE", "one whole number")


def test_size_twice() -> None:
    text = mutated("LUT_3D_SIZE 2\n", "LUT_3D_SIZE 2\nLUT_3D_SIZE 2\n")
    refused(text, 4, "'LUT_3D_SIZE 2'", "second time", "remove")


def test_keyword_among_the_rows() -> None:
    text = mutated("DOMAIN_MIN 0 0 0\n", "") + "DOMAIN_MIN 0 0 0\n"
    refused(text, 14, "'DOMAIN_MIN 0 0 0'", "after the first row", "move it")


def test_unknown_keyword() -> None:
    text = mutated("DOMAIN_MIN 0 0 0", "LUT_4D_SIZE 5")
    refused(text, 4, "unknown keyword 'LUT_4D_SIZE'", "remove the line")


def test_domain_of_two_numbers() -> None:
    refused(
        mutated("DOMAIN_MIN 0 0 0", "DOMAIN_MIN 0 0"), 4, "'DOMAIN_MIN 0 0'", "3 finite numbers"
    )


def test_range_of_three_numbers() -> None:
    text = mutated("DOMAIN_MIN 0 0 0", "LUT_3D_INPUT_RANGE 0 0 1")
    refused(text, 4, "'LUT_3D_INPUT_RANGE 0 0 1'", "2 finite numbers")


def test_domain_that_is_not_finite() -> None:
    refused(mutated("DOMAIN_MAX 1 1 1", "DOMAIN_MAX 1 1 inf"), 5, "'DOMAIN_MAX 1 1 inf'", "finite")


def test_domain_that_is_empty() -> None:
    text = mutated("DOMAIN_MAX 1 1 1", "DOMAIN_MAX 1 0 1")
    refused(text, FIRST_ROW, "inputs run from", "DOMAIN_MAX")


def test_too_few_rows() -> None:
    text = mutated("0.0 1.0 0.5\n", "")
    refused(text, 13, "7 of the 8 rows of LUT_3D_SIZE 2", "cut off")


def test_too_many_rows() -> None:
    refused(
        VALID + "0.5 0.5 0.5\n", 15, "'0.5 0.5 0.5'", "one row more than the 8", "LUT_3D_SIZE 2"
    )


def test_header_without_rows() -> None:
    refused(VALID[: VALID.index("1.0 0.0")], 5, "no rows")


def test_row_of_two_numbers() -> None:
    refused(mutated("1.0 1.0 0.5", "1.0 1.0"), 13, "'1.0 1.0'", "2 numbers", "three")


def test_row_of_four_numbers() -> None:
    refused(mutated("1.0 1.0 0.5", "1.0 1.0 0.5 1"), 13, "'1.0 1.0 0.5 1'", "4 numbers", "three")


def test_decimal_comma() -> None:
    refused(mutated("1.0 1.0 0.5", "1,0 1,0 0,5"), 13, "'1,0 1,0 0,5'", "decimal comma")


def test_commas_between_numbers() -> None:
    refused(mutated("1.0 1.0 0.5", "1.0, 1.0, 0.5"), 13, "'1.0, 1.0, 0.5'", "spaces between")


@pytest.mark.parametrize("word", ["0.5x", "--1", "1.0.0", "0x1", "1_0", "½", "\uff10.\uff15"])
def test_row_with_something_else_than_numbers(word: str) -> None:
    refused(mutated("1.0 1.0 0.5", f"1.0 {word} 0.5"), 13, ascii(word)[1:-1], "not plain numbers")


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-inf", "Infinity", "1e999", "1e39"])
@pytest.mark.parametrize("row", ["{} 1.0 0.5", "1.0 1.0 {}"])
def test_row_that_is_not_finite(row: str, value: str) -> None:
    row = row.format(value)
    refused(mutated("1.0 1.0 0.5", row), 13, f"'{row}'", "not finite")


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n"])
def test_empty_file(content: bytes) -> None:
    refused(content, 1, "empty")


def test_file_of_comments() -> None:
    refused("# a\n# b\n", 2, "no rows")


def test_picture_under_the_name_of_a_cube() -> None:
    refused(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 3, "binary", "plain text")


def test_text_of_sixteen_bits() -> None:
    refused(VALID.encode("utf-16"), 1, "binary", "UTF-8")


def test_other_bytes_among_the_numbers() -> None:
    refused(mutated("1.0 0.0 0.5", "1.0\xa00.0 0.5").encode("latin-1"), 11, r"b'\xa0'", "get the")


def test_huge_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cube, "MAX_BYTES", len(VALID) - 1)
    (tmp_path / "film.cube").write_text(VALID)
    with pytest.raises(LutError, match=r"film\.cube: more than .* MB"):
        read_cube(tmp_path / "film.cube")


def test_long_content_is_shortened() -> None:
    refused(mutated("1.0 1.0 0.5", "0.5 " * 5000), 13, "'0.5 0.5 ", "...'")


def test_content_cannot_play_with_the_terminal() -> None:
    refused(mutated("1.0 1.0 0.5", "1.0 \x1b[31m 0.5"), 13, r"\x1b[31m")


@pytest.mark.parametrize("name", ["missing.cube", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(LutError, match=r"cannot be read: \w+"):
        read_cube(tmp_path / name)


def test_the_path_in_a_message_is_the_one_given(tmp_path: Path) -> None:
    path = tmp_path / "film.cube"
    path.write_text(mutated("1.0 1.0 0.5", "1.0 1.0"))
    with pytest.raises(LutError, match=re.escape(f"{path}:13: ")):
        read_cube(path)
