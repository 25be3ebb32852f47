# -*- coding: utf-8 -*-
"""A few lines of GIMP 2.10's Python module, enough to run the plug-in without GIMP.

As in GIMP, text goes in and out as native strings of UTF-8, pixels as native strings, and pixel
regions hold 8 bits until somebody has asked for the precision.

Attributes:
    EVENTS: what the plug-in did, in order: tuples whose first item is a name.
"""

from __future__ import absolute_import, division

import os

import gimpenums

EVENTS = []
CALLBACKS = []
directory = os.environ["GIMP2_DIRECTORY"]
# A mask's 1, and something just below its 0.5.
_SELECTED = {
    1: (b"\xff", b"\x7f"),
    2: (b"\xff\xff", b"\xff\x7f"),
    3: (b"\xff\xff\xff\xff", b"\x00\x00\x00\x7f"),
    5: (b"\x00\x3c", b"\xff\x37"),
    6: (b"\x00\x00\x80\x3f", b"\xff\xff\xff\x3e"),
    7: (b"\x00\x00\x00\x00\x00\x00\xf0\x3f", b"\x00\x00\x00\x00\x00\x00\xdf\x3f"),
}
_ITEM_BYTES = {1: 1, 2: 2, 3: 4, 5: 2, 6: 4, 7: 8}  # by the hundreds of the precision


def main(_init, _quit, query, run):
    CALLBACKS[:] = [query, run]


def menu_register(name, path):
    EVENTS.append(("menu", _native(name), _native(path)))


def message(text):
    EVENTS.append(("message", _native(text)))


def progress_init(text):
    EVENTS.append(("progress", _native(text), 0.0))


def progress_update(fraction):
    EVENTS.append(("progress", None, fraction))


def displays_flush():
    EVENTS.append(("displays flush",))


def _native(text):
    assert type(text) is str, repr(text)
    return text


class Image(object):
    """An image.

    Attributes:
        chosen: the selection, {(x, y)}, None for everything.
        barely: what is selected by a little less than half, {(x, y)}; merging leaves it out.
        profile: bytes of an ICC profile, b"" for the built-in one.
        asked: whether somebody has asked for the precision.
    """

    def __init__(self, width, height, precision=gimpenums.PRECISION_U8_GAMMA):
        self.width, self.height = width, height
        self.native_precision = precision
        self.base_type = gimpenums.RGB
        self.name = "Dämmerung.png"
        self.layers = []
        self.chosen = None
        self.barely = set()
        self.profile = b""
        self.asked = False

    @property
    def precision(self):
        self.asked = True
        return self.native_precision

    @property
    def item_bytes(self):
        return _ITEM_BYTES[self.native_precision // 100]

    @property
    def selection(self):
        return Selection(self)

    def undo_group_start(self):
        EVENTS.append(("undo group start",))

    def undo_group_end(self):
        EVENTS.append(("undo group end",))


class Drawable(object):
    """A layer or what else can be selected."""

    def __init__(self, image, data, has_alpha=True, kind="layer", parent=None):
        self.image = image
        self.width, self.height = image.width, image.height
        self.offsets = (0, 0)
        self.has_alpha = has_alpha
        self.bpp = (4 if has_alpha else 3) * image.item_bytes
        self.type = gimpenums.RGBA_IMAGE if has_alpha else gimpenums.RGB_IMAGE
        self.type_with_alpha = gimpenums.RGBA_IMAGE
        self.name = "Ebene für alles"
        self.kind = kind
        self.parent = parent
        self.locked = self.lock_alpha = False
        self.visible, self.mask = True, None
        self.below = self  # what a mask or a floating selection belongs to
        self.opacity, self.mode = 100.0, 0
        self.parasites = {}
        self.data = bytearray(data)
        assert len(data) == self.width * self.height * self.bpp
        self.shadow = bytearray(len(data))

    def get_pixel_rgn(self, x, y, width, height, dirty, shadow):
        assert self.image.asked, "pixels of 8 bits"
        return PixelRegion(self, self.shadow if shadow else self.data, (x, y, width, height))

    def flush(self):
        pass

    def copy(self):
        new = Drawable(self.image, self.data, self.has_alpha)
        new.offsets, new.locked = self.offsets, self.locked
        new.opacity, new.mode, new.mask = self.opacity, self.mode, self.mask
        return new

    def set_offsets(self, x, y):
        self.offsets = (x, y)

    def merge_shadow(self, undo):
        EVENTS.append(("merge", undo))
        item = self.image.item_bytes
        colors = 3 * item if self.lock_alpha else self.bpp
        for x, y in self.selected():
            place = (y * self.width + x) * self.bpp
            self.data[place : place + colors] = self.shadow[place : place + colors]

    def free_shadow(self):
        EVENTS.append(("free shadow",))

    def update(self, *area):
        EVENTS.append(("update", area))

    def parasite_attach(self, parasite):
        EVENTS.append(("parasite",))
        self.parasites[parasite.name] = parasite

    def selected(self):
        """Return the places of selected pixels, in the layer."""
        left, top = self.offsets
        return [
            (x, y)
            for y in range(self.height)
            for x in range(self.width)
            if self.image.chosen is None or (x + left, y + top) in self.image.chosen
        ]


def Layer(image, name, width, height, _type, opacity, mode):  # noqa: N802 - it is a class in GIMP
    new = Drawable(image, bytearray(width * height * 4 * image.item_bytes))
    new.name, new.opacity, new.mode = _native(name), opacity, mode
    return new


class Selection(object):
    """The selection as a channel of the image's own precision."""

    def __init__(self, image):
        self.image = image

    def get_pixel_rgn(self, x, y, width, height, _dirty, _shadow):
        image = self.image
        one, less = _SELECTED[image.native_precision // 100]
        data = bytearray()
        for number in range(image.width * image.height):
            place = (number % image.width, number // image.width)
            chosen, barely = place in image.chosen, place in image.barely
            data += one if chosen else less if barely else b"\x00" * len(one)
        self.width, self.bpp = image.width, len(one)
        return PixelRegion(self, data, (x, y, width, height))


class PixelRegion(object):
    """Pixels of an area, addressed by their places in the drawable."""

    def __init__(self, drawable, data, area):
        self._width, self._bpp = drawable.width, drawable.bpp
        self._data, self._area = data, area

    def __getitem__(self, key):
        return b"".join(bytes(self._data[row]) for row in self._rows(key))

    def __setitem__(self, key, data):
        rows = self._rows(key)
        length = rows[0].stop - rows[0].start
        assert type(data) is bytes and len(data) == length * len(rows)
        for number, row in enumerate(rows):
            self._data[row] = data[number * length : (number + 1) * length]

    def _rows(self, key):
        columns, rows = key
        x, y, width, height = self._area
        assert x <= columns.start < columns.stop <= x + width
        assert y <= rows.start < rows.stop <= y + height
        return [
            slice(
                (row * self._width + columns.start) * self._bpp,
                (row * self._width + columns.stop) * self._bpp,
            )
            for row in range(rows.start, rows.stop)
        ]


class Parasite(object):
    def __init__(self, name, flags, data):
        self.name, self.flags, self.data = _native(name), flags, _native(data)


class _Procedures(object):
    """The procedures of GIMP that the plug-in calls."""

    def gimp_image_get_name(self, image):
        return image.name

    def gimp_selection_is_empty(self, image):
        return int(image.chosen is None)

    def gimp_item_is_layer(self, item):
        return int(item.kind not in ("mask", "channel"))

    def gimp_item_is_layer_mask(self, item):
        return int(item.kind == "mask")

    def gimp_item_is_group(self, item):
        return int(item.kind == "group")

    def gimp_item_is_text_layer(self, item):
        return int(item.kind == "text")

    def gimp_layer_is_floating_sel(self, layer):
        return int(layer.kind == "floating")

    def gimp_image_floating_sel_attached_to(self, image):
        return image.layers[0].below

    def gimp_layer_from_mask(self, mask):
        return mask.below

    def gimp_layer_get_mask(self, layer):
        return layer.mask

    def gimp_layer_get_apply_mask(self, layer):
        return int(layer.mask is not None)

    def gimp_item_set_visible(self, item, visible):
        item.visible = bool(visible)

    def gimp_item_get_lock_content(self, item):
        return int(item.locked)

    def gimp_item_set_lock_content(self, item, locked):
        item.locked = bool(locked)

    def gimp_item_is_valid(self, item):
        return int(item.kind != "deleted")

    def gimp_item_delete(self, item):
        EVENTS.append(("delete",))
        item.kind = "deleted"

    def gimp_drawable_mask_intersect(self, drawable):
        places = drawable.selected()
        if not places:
            return 0, 7, 7, 7, 7
        left, top = (min(place[axis] for place in places) for axis in (0, 1))
        right, bottom = (max(place[axis] for place in places) + 1 for axis in (0, 1))
        return 1, left, top, right - left, bottom - top

    def gimp_image_get_color_profile(self, image):
        return len(image.profile), tuple(bytearray(image.profile))

    def gimp_image_get_effective_color_profile(self, image):
        profile = bytearray(image.profile or b"built-in")
        return len(profile), tuple(profile)

    def gimp_image_get_item_position(self, image, item):
        return image.layers.index(item)

    def gimp_image_insert_layer(self, image, layer, _parent, position):
        EVENTS.append(("insert layer",))
        image.layers.insert(position, layer)

    def gimp_progress_set_text(self, text):
        EVENTS.append(("progress", _native(text), None))


pdb = _Procedures()
