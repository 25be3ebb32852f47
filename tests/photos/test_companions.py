"""Gain maps, videos and previews do not follow the colors: none stays that shows the old ones."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pictures import picture
from PIL import Image

from vae_balance.photos.containers import xmp
from vae_balance.photos.photo import read_photo, write_photo

XMP = "http://ns.adobe.com/xap/1.0/\0"
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
GAIN_MAP = (
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
    ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/" hdrgm:Version="1.0"',
    "<Container:Directory><rdf:Seq>"
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary"/></rdf:li>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap"'
    ' Item:Length="900"/></rdf:li></rdf:Seq></Container:Directory>',
)
APPLE_GAIN_MAP = (
    'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"',
    "<HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion>",
)
MOTION = (
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"'
    ' GCamera:MicroVideoOffset="1000" GCamera:SpecialTypeID="panorama"',
    "",
)
PREVIEW = (
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/"',
    '<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource">'
    "<xmpGImg:image>/9j/OLD</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>",
)
KINDS = {
    "gain map": (GAIN_MAP, ["hdr-gain-map", "hdrgm", "GainMap", "900"], "its gain map (HDR)"),
    "Apple's": (APPLE_GAIN_MAP, ["HDRGainMap", "65536"], "its gain map (HDR)"),
    "motion": (MOTION, ["MotionPhoto", "MicroVideo"], "its video (motion photo)"),
    "preview": (PREVIEW, ["Thumbnails", "/9j/OLD"], ""),
}


def packet(attributes: str, elements: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}><rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f' dc:source="Gr\u00fc\u00dfe" {attributes}>{elements}'
        "<dc:title>&lt;kept&gt;</dc:title>"
        '</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
    ).encode()


def jpeg(behind: bytes = b"", xmp_packet: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    extra = {"xmp": xmp_packet} if xmp_packet else {}
    Image.fromarray(picture()).save(buffer, "JPEG", **extra)
    return buffer.getvalue() + behind


@pytest.mark.parametrize("kind", KINDS)
def test_a_packet_tells_nothing_of_what_is_left_out(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts, gone, told = KINDS[kind]
    behind = b"" if kind == "preview" else jpeg()
    (tmp_path / "a.jpg").write_bytes(jpeg(behind, packet(*parts)))
    write_photo(read_photo(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    messages = [record.getMessage() for record in caplog.records]
    assert [message.startswith(f"{tmp_path / 'a.jpg'}: {told}") for message in messages] == (
        [True] if told else []
    )
    written = read_photo(tmp_path / "b.jpg").metadata.xmp
    assert written is not None
    text = written.decode()
    assert not [word for word in gone if word in text]
    assert "Gr\u00fc\u00dfe" in text
    assert "<dc:title>&lt;kept&gt;</dc:title>" in text
    assert text.startswith('<?xpacket begin="\ufeff"')
    assert text.endswith('<?xpacket end="w"?>')
    assert len((tmp_path / "b.jpg").read_bytes()) < len(jpeg()) + 2000  # nothing behind it
    if kind == "motion":
        assert 'GCamera:SpecialTypeID="panorama"' in text


def test_another_packet_keeps_its_bytes(tmp_path: Path) -> None:
    ordinary = packet("", "") + b" " * 2000
    (tmp_path / "a.jpg").write_bytes(jpeg(b"", ordinary))
    assert read_photo(tmp_path / "a.jpg").metadata.xmp == ordinary


@pytest.mark.parametrize(
    "damaged",
    [
        packet(*GAIN_MAP)[:-40],
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + packet(*GAIN_MAP),
        b"<a>" * 50_000 + b"MotionPhoto" + b"</a>" * 50_000,
        b'<?xml version="1.0" encoding="no-such"?>' + packet(*GAIN_MAP),
    ],
    ids=["cut", "entities", "deep", "encoding"],
)
def test_a_packet_that_cannot_be_cleaned_is_left_out(damaged: bytes) -> None:
    assert xmp.without_companions(damaged)[0] is None


def test_a_photo_whose_packet_is_left_out_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(b"", packet(*GAIN_MAP)[:-40]))
    assert read_photo(tmp_path / "a.jpg").metadata.xmp is None
    assert "a.jpg: its XMP is left out" in caplog.text


@pytest.mark.parametrize(
    ("behind", "told"),
    [(jpeg(), "another picture behind"), (b"SEFT" * 100, "something else behind")],
)
def test_what_no_packet_tells_of_is_told_too(
    tmp_path: Path, behind: bytes, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(behind))
    read_photo(tmp_path / "a.jpg")
    assert f"a.jpg: {told} the picture" in caplog.text
