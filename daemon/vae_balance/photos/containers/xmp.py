"""XMP packets: what they say of pictures and videos that a file with new colors does not have.

Formats: Adobe, XMP Specification Parts 1 and 2; Google, Ultra HDR Image Format 1.1 and Motion Photo
Format 1.0.
"""

from __future__ import annotations

from xml.dom import minidom
from xml.parsers.expat import ExpatError

GAIN_MAP, MOTION, PREVIEW = "gain map (HDR)", "video (motion photo)", "preview"

_CONTAINER = "http://ns.google.com/photos/1.0/container/"  # lists what hangs behind the picture
_ITEM = "http://ns.google.com/photos/1.0/container/item/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_BASIC = "http://ns.adobe.com/xap/1.0/"
_GAIN_MAPS = ("http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/")
_GONE = (*_GAIN_MAPS, _CONTAINER, _ITEM)  # namespaces that nothing is left of
_SEMANTICS = {"GainMap": GAIN_MAP, "MotionPhoto": MOTION}
_SIGNS = tuple(
    sign.encode() for sign in (*_GAIN_MAPS, _CONTAINER, "MotionPhoto", "MicroVideo", "Thumbnails")
)
_MAX_PARSED = 1 << 24


def without_companions(packet: bytes | None) -> tuple[bytes | None, set[str]]:
    """Return a packet without what it says of gain maps, videos and previews, and which of them.

    These lie in a photo's file beside its picture (previews within the packet itself) and do not
    follow its colors. A packet that says nothing of them keeps its bytes; one that does, but
    cannot be read, is left out.
    """
    if packet is None or not any(sign in packet for sign in _SIGNS):
        return packet, set()
    found: set[str] = set()
    try:
        if len(packet) > _MAX_PARSED or b"<!DOCTYPE" in packet:
            return None, found
        document = minidom.parseString(packet.strip(b"\0 \t\r\n"))
        _clean(document, found)
        return "".join(node.toxml() for node in document.childNodes).encode(), found
    except (ExpatError, RecursionError, UnicodeError, LookupError, ValueError):
        return None, found


def _clean(node: minidom.Document | minidom.Element, found: set[str]) -> None:
    """Remove what belongs to companions below a node, and note which they are."""
    for child in list(node.childNodes):
        if child.nodeType != child.ELEMENT_NODE:
            continue
        if child.namespaceURI == _CONTAINER:
            found |= _listed(child)
            node.removeChild(child)
        elif kind := _companion(child):
            found.add(kind)
            node.removeChild(child)
        else:
            for attribute in list(child.attributes.values()):
                if kind := _companion(attribute):
                    found.add(kind)
                    child.removeAttributeNode(attribute)
                elif attribute.prefix == "xmlns" and attribute.value in _GONE:
                    child.removeAttributeNode(attribute)
            _clean(child, found)


def _companion(node: minidom.Element | minidom.Attr) -> str:
    """Return the companion that a property belongs to, "" for any other property."""
    name = node.localName or ""
    if node.namespaceURI in _GAIN_MAPS:
        return GAIN_MAP
    if node.namespaceURI == _CAMERA and name.startswith(("MotionPhoto", "MicroVideo")):
        return MOTION
    return PREVIEW if (node.namespaceURI, name) == (_BASIC, "Thumbnails") else ""


def _listed(directory: minidom.Element) -> set[str]:
    """Return the companions that a container's directory lists."""
    items = directory.getElementsByTagNameNS(_CONTAINER, "Item")
    meanings = {item.getAttributeNS(_ITEM, "Semantic") for item in items}
    return {_SEMANTICS[meaning] for meaning in meanings & _SEMANTICS.keys()}
