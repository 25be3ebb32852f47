"""Images and layers of GIMP 2.10 as `vae_balance_gimp.balancing` wants them.

Text that GIMP gives and takes is UTF-8; here it is Unicode.
"""

from __future__ import absolute_import, division

import struct
from array import array
from contextlib import contextmanager

import gimp
import gimpenums

from vae_balance_gimp.checks import changed_error, is_inside
from vae_balance_gimp.strips import cut, is_opaque, keep_selected
from vae_balance_gimp.texts import _
from vae_balance_protocol.messages import ITEM_BYTES

PARASITE = "vae-balance"
_PERSISTENT, _UNDOABLE = 1, 2  # GIMP_PARASITE_PERSISTENT, GIMP_PARASITE_UNDOABLE
# What pixel regions hold, by precision: the type of values, as the protocol or `array` names it.
_NATIVE = {
    gimpenums.PRECISION_U8_LINEAR: "u8",
    gimpenums.PRECISION_U8_GAMMA: "u8",
    gimpenums.PRECISION_U16_LINEAR: "u16",
    gimpenums.PRECISION_U16_GAMMA: "u16",
    gimpenums.PRECISION_U32_LINEAR: "I",
    gimpenums.PRECISION_U32_GAMMA: "I",
    gimpenums.PRECISION_HALF_LINEAR: "f16",
    gimpenums.PRECISION_HALF_GAMMA: "f16",
    gimpenums.PRECISION_FLOAT_LINEAR: "f32",
    gimpenums.PRECISION_FLOAT_GAMMA: "f32",
    gimpenums.PRECISION_DOUBLE_LINEAR: "d",
    gimpenums.PRECISION_DOUBLE_GAMMA: "d",
}
_LINEAR = (
    gimpenums.PRECISION_U8_LINEAR,
    gimpenums.PRECISION_U16_LINEAR,
    gimpenums.PRECISION_U32_LINEAR,
    gimpenums.PRECISION_HALF_LINEAR,
    gimpenums.PRECISION_FLOAT_LINEAR,
    gimpenums.PRECISION_DOUBLE_LINEAR,
)
_U32_MOST = 4294967295.0
_NORMAL = gimpenums.LAYER_MODE_NORMAL
_PASS_THROUGH = gimpenums.LAYER_MODE_PASS_THROUGH
_ITEM_BYTES = dict(ITEM_BYTES, I=4, d=8)
# The highest byte of 0.5, and all bytes of 1.0.
_HALVES = {"u8": 0x80, "u16": 0x80, "f16": 0x38, "f32": 0x3F}
_OPAQUE = {
    "u8": b"\xff",
    "u16": b"\xff\xff",
    "f16": b"\x00\x3c",
    "f32": struct.pack("<f", 1.0),
}


class Image(object):
    """An image, see `vae_balance_gimp.balancing`."""

    def __init__(self, image):
        """Take a `gimp.Image`."""
        self._image = image
        self.name = as_unicode(gimp.pdb.gimp_image_get_name(image))
        self.has_colors = image.base_type == gimpenums.RGB

    @property
    def has_selection(self):
        """Whether a part of the image is selected."""
        return not gimp.pdb.gimp_selection_is_empty(self._image)

    def holds(self, layer):
        """Tell whether a layer is one of this image."""
        return layer.drawable.image == self._image

    @contextmanager
    def undo_group(self):
        """Make one step to undo of what happens within."""
        self._image.undo_group_start()
        try:
            yield
        finally:
            self._image.undo_group_end()


class Layer(object):
    """A layer, or what else may be selected, see `vae_balance_gimp.balancing`.

    Attributes:
        drawable: GIMP's own; of a layer mask, which is selected when its layer was just clicked
            on, the layer.
    """

    def __init__(self, drawable):
        """Take a `gimp.Drawable`."""
        pdb = gimp.pdb
        if pdb.gimp_item_is_layer_mask(drawable):
            drawable = pdb.gimp_layer_from_mask(drawable)
        self.drawable = drawable
        self._rendered = None
        self.name = as_unicode(drawable.name)
        self.is_channel = not pdb.gimp_item_is_layer(drawable)
        self.is_group = bool(pdb.gimp_item_is_group(drawable))
        self.is_drawn_by_gimp = bool(pdb.gimp_item_is_text_layer(drawable))
        self.is_floating = not self.is_channel and bool(pdb.gimp_layer_is_floating_sel(drawable))
        self.is_of_a_mask = self.is_floating and not pdb.gimp_item_is_layer(
            pdb.gimp_image_floating_sel_attached_to(drawable.image)
        )

    def locked_item(self):
        """Return the name of what locks the pixels, the layer or a group that it is in."""
        item = self.drawable
        while item is not None:
            if gimp.pdb.gimp_item_get_lock_content(item):
                return as_unicode(item.name)
            item = item.parent
        return None

    def selected_area(self):
        """Return x, y, width, height of what may be selected in the layer, None for nothing."""
        return _selected_area(self.drawable)

    def pixels(self, area, selected_only):
        """Return the pixels of an area or, if it is None, of all of the layer."""
        return LayerPixels(self._shown(), area, selected_only)

    def result(self, area, new_layer):
        """Return a place for new pixels of an area."""
        return Result(self.drawable, self._shown(), area, new_layer)

    def close(self):
        """Give back what it took to see the pixels."""
        if self._rendered is not None:
            gimp.pdb.gimp_item_delete(self._rendered)
        self._rendered = None

    def _shown(self):
        """Return a layer of GIMP's with the pixels that the canvas shows."""
        valid = gimp.pdb.gimp_item_is_valid(self.drawable)
        if self.is_channel or not valid or not _is_pass_through(self.drawable):
            return self.drawable
        if self._rendered is None:
            self._rendered = _render(self.drawable)
        return self._rendered


class LayerPixels(object):
    """The pixels of a layer, or of a part of it, as `vae_balance_gimp.work` wants a picture.

    Attributes:
        width: pixels in a row.
        height: rows.
        channels: 3, or 4 with alpha.
        dtype: of the values, as the protocol names it.
        profile: ICC profile of the colors, None for sRGB.
    """

    def __init__(self, drawable, area=None, selected_only=False):
        """Take a drawable of an RGB image.

        Args:
            drawable: a `gimp.Drawable`.
            area: x, y, width, height in it; None is all of it.
            selected_only: whether pixels that are not selected get an alpha of 0.
        """
        image = drawable.image
        # Having asked for the precision makes pixel regions hold values of that precision.
        precision = image.precision
        self._drawable = drawable
        self._x, self._y, self.width, self.height = area or (0, 0, drawable.width, drawable.height)
        self._selection = image.selection if selected_only else None
        self._native = _NATIVE[precision]
        self._native_channels = 4 if drawable.has_alpha else 3
        self.channels = 4 if selected_only else self._native_channels
        self.dtype = {"I": "f32", "d": "f32"}.get(self._native, self._native)
        self.profile = _profile(image, precision in _LINEAR)

    def strips(self):
        """Yield (first row, rows, bytes) from top to bottom."""
        source = self._region(self._drawable)
        for first, rows in self._cut():
            pixels = self._read(source, self._x, self._y + first, rows)
            if self._selection is not None:
                if self._native_channels == 3:
                    pixels = _with_alpha(pixels, self.dtype)
                pixels = keep_selected(pixels, self._selected(first, rows), self.dtype)
            yield first, rows, pixels

    def write(self, target, strips, shadow):
        """Write strips of these pixels' form to a drawable of the same size, at the same place.

        Args:
            target: a `gimp.Drawable`.
            strips: (first row, rows, bytes), as the daemon gives them.
            shadow: whether they wait in its shadow, until that is merged.
        """
        region = self._region(target, shadow)
        for first, rows, pixels in strips:
            # Pixel regions take native strings only.
            data = bytes(_to_native(pixels, self._native))
            top = self._y + first
            region[self._x : self._x + self.width, top : top + rows] = data
        target.flush()

    def _cut(self):
        item = max(ITEM_BYTES[self.dtype], _ITEM_BYTES[self._native])
        return cut(self.width, self.height, self.channels * item)

    def _region(self, drawable, shadow=None):
        """Return the area in a drawable to read or, unless `shadow` is None, to write."""
        writing = shadow is not None
        area = (self._x, self._y, self.width, self.height)
        return drawable.get_pixel_rgn(*(area + (writing, bool(shadow))))

    def _read(self, region, x, y, rows):
        return _from_native(region[x : x + self.width, y : y + rows], self._native)

    def _selected(self, first, rows):
        """Return a byte for each pixel, 255 if at least half of it is selected, else 0."""
        left, top = self._drawable.offsets
        x, y = left + self._x, top + self._y + first
        region = self._selection.get_pixel_rgn(x, y, self.width, rows, False, False)
        mask = self._read(region, x, y, rows)
        half = _HALVES[self.dtype]
        highest = bytearray(mask[ITEM_BYTES[self.dtype] - 1 :: ITEM_BYTES[self.dtype]])
        return highest.translate(b"\x00" * half + b"\xff" * (256 - half))


class Result(object):
    """A layer's new pixels, which wait in a shadow until `commit`."""

    def __init__(self, drawable, shown, area, new_layer):
        """Prepare the place for the new pixels.

        Args:
            drawable: the layer.
            shown: the layer with the pixels that they are made from, itself or as large.
            area: the part of it that is made new: x, y, width, height.
            new_layer: whether they go to a copy above it, which hides it if it would be seen
                through that, or into itself.
        """
        self.pixels = LayerPixels(shown, area)
        self._source, self._area, self._form = drawable, area, _form(drawable)
        self._layer = _copy(drawable, shown) if new_layer else drawable

    def write(self, strips):
        """Keep the new pixels, strips as `pixels` has them."""
        self.pixels.write(self._layer, strips, shadow=True)

    def check_unchanged(self):
        """Check that the new pixels still fit into the image.

        Raises:
            UserError: the layer is gone or of another form, or pixels are selected that have not
                been made new.
        """
        now = _selected_area(self._source)
        if now is None or _form(self._source) != self._form or not is_inside(now, self._area):
            raise changed_error()

    def commit(self, origin):
        """Put the new pixels into the image, within an open undo group.

        Args:
            origin: what to attach to the layer.
        """
        layer, source = self._layer, self._source
        if layer is not source:
            place = gimp.pdb.gimp_image_get_item_position(source.image, source)
            gimp.pdb.gimp_image_insert_layer(source.image, layer, source.parent, place)
        _merge(layer)
        layer.update(*self._area)
        # A layer's own attach_new_parasite would add a zero byte.
        layer.parasite_attach(gimp.Parasite(PARASITE, _PERSISTENT | _UNDOABLE, origin))
        if layer is not source and not _is_covering(layer):
            gimp.pdb.gimp_item_set_visible(source, False)

    def discard(self):
        """Give back what the new pixels took."""
        if gimp.pdb.gimp_item_is_valid(self._layer):
            self._layer.free_shadow()
            if self._layer is not self._source:
                gimp.pdb.gimp_item_delete(self._layer)


def as_unicode(text):
    """Return text of GIMP's."""
    return (text or b"").decode("utf-8") if isinstance(text, bytes) else text


def as_path(text):
    """Return a path of GIMP's: text, or the bytes that it is if they are not UTF-8."""
    try:
        return as_unicode(text)
    except UnicodeDecodeError:
        return text


def as_native(text):
    """Return text as GIMP takes it, in Python 2 as UTF-8."""
    return text if isinstance(text, str) else text.encode("utf-8")


def _selected_area(drawable):
    # A layer that is only kept to undo something is in no image.
    if not gimp.pdb.gimp_item_is_valid(drawable) or _top(drawable) not in drawable.image.layers:
        return None
    hit, x, y, width, height = gimp.pdb.gimp_drawable_mask_intersect(drawable)
    return (x, y, width, height) if hit else None


def _top(item):
    while item.parent is not None:
        item = item.parent
    return item


def _form(drawable):
    return drawable.width, drawable.height, drawable.type, drawable.image.precision


def _profile(image, linear):
    """Return the ICC profile of an image's native values, None for sRGB."""
    size, values = gimp.pdb.gimp_image_get_color_profile(image)
    if not size and linear:
        size, values = gimp.pdb.gimp_image_get_effective_color_profile(image)
    return bytes(bytearray(values)) if size else None


def _from_native(data, native):
    """Return values of a pixel region as the protocol has them."""
    if native == "d":
        return array("f", array("d", data)).tostring()
    if native == "I":
        return array("f", [v / _U32_MOST for v in array("I", data)]).tostring()
    return data


def _to_native(data, native):
    """Return values of the protocol as a pixel region has them."""
    if native == "d":
        return array("d", array("f", data)).tostring()
    if native == "I":
        floats = array("f", data)
        if min(floats) < 0.0 or max(floats) > 1.0:
            floats = [min(max(v, 0.0), 1.0) for v in floats]
        return array("I", [int(v * _U32_MOST + 0.5) for v in floats]).tostring()
    return data


def _with_alpha(pixels, dtype):
    """Return RGB pixels as RGBA, opaque."""
    item = ITEM_BYTES[dtype]
    pixels = bytearray(pixels)
    count = len(pixels) // (3 * item)
    result = bytearray(_OPAQUE[dtype] * (4 * count))
    for byte in range(3 * item):
        result[byte :: 4 * item] = pixels[byte :: 3 * item]
    return result


def _merge(layer):
    """Merge the shadow within the selection."""
    # GIMP merges in single floats, which would round a finer alpha.
    finer = _NATIVE[layer.image.precision] == "I"
    lock = finer and not layer.lock_alpha
    if lock:
        layer.lock_alpha = True
    layer.merge_shadow(True)
    if lock:
        layer.lock_alpha = False


def _copy(drawable, shown):
    """Return a layer of its own with the pixels shown of another one, not yet in the image."""
    pdb = gimp.pdb
    name = as_native(_(u"{name}, balanced").format(name=as_unicode(drawable.name)))
    if pdb.gimp_item_is_group(drawable) or pdb.gimp_item_is_text_layer(drawable):
        copy = _copy_of_pixels(name, drawable, shown)
    else:
        copy = drawable.copy()
        copy.name = name
        pdb.gimp_item_set_lock_content(copy, False)
    pdb.gimp_item_set_visible(copy, True)
    return copy


def _copy_of_pixels(name, drawable, shown):
    """Return a plain layer that looks as another one does on the canvas."""
    pdb = gimp.pdb
    # Mask, mode and opacity of a pass-through group are in what is shown.
    whole = _is_pass_through(drawable)
    opacity, mode = (100.0, _NORMAL) if whole else (drawable.opacity, drawable.mode)
    copy = gimp.Layer(
        drawable.image, name, drawable.width, drawable.height,
        drawable.type_with_alpha, opacity, mode,
    )  # fmt: skip
    copy.set_offsets(*drawable.offsets)
    pixels = LayerPixels(shown)
    pixels.write(copy, pixels.strips(), shadow=False)
    mask = pdb.gimp_layer_get_mask(drawable)
    if mask is not None and not whole:
        new = pdb.gimp_layer_create_mask(copy, gimpenums.ADD_WHITE_MASK)
        pdb.gimp_layer_add_mask(copy, new)
        _copy_mask(mask, new)
        pdb.gimp_layer_set_apply_mask(copy, pdb.gimp_layer_get_apply_mask(drawable))
    return copy


def _copy_mask(mask, target):
    size = (0, 0, mask.width, mask.height)
    old = mask.get_pixel_rgn(*(size + (False, False)))
    new = target.get_pixel_rgn(*(size + (True, False)))
    for first, rows in cut(mask.width, mask.height, mask.bpp):
        new[0 : mask.width, first : first + rows] = old[0 : mask.width, first : first + rows]
    target.flush()


def _is_pass_through(drawable):
    """Tell whether a layer is a group whose layers blend with those below the group."""
    return bool(gimp.pdb.gimp_item_is_group(drawable)) and drawable.mode == _PASS_THROUGH


def _is_covering(layer):
    """Tell whether nothing of what lies below a layer is seen through it."""
    if layer.mode not in (_NORMAL, gimpenums.LAYER_MODE_NORMAL_LEGACY) or layer.opacity < 100.0:
        return False
    pdb = gimp.pdb
    if pdb.gimp_layer_get_mask(layer) is not None and pdb.gimp_layer_get_apply_mask(layer):
        return False
    pixels = LayerPixels(layer)
    if pixels.channels == 3:
        return True
    return all(is_opaque(strip, pixels.dtype) for _first, _rows, strip in pixels.strips())


def _render(group):
    """Return a new layer, not in the image, with what is seen of a pass-through group.

    That is the picture as the group and all below it make it, as large as the group.
    """
    image, places, item = group.image, [], group
    while item is not None:
        places.append(gimp.pdb.gimp_image_get_item_position(image, item))
        item = item.parent
    copy = image.duplicate()
    try:
        siblings, above = copy.layers, None
        while places:
            place = places.pop()
            twin = siblings[place]
            if above is not None and above.mode != _PASS_THROUGH:
                _leave_alone(copy, above)
            for sibling in siblings[:place]:
                sibling.visible = False
            twin.visible = True
            siblings, above = getattr(twin, "children", []), twin
        x, y = twin.offsets
        copy.resize(twin.width, twin.height, -x, -y)
        return gimp.pdb.gimp_layer_new_from_visible(copy, image, group.name)
    finally:
        gimp.delete(copy)


def _leave_alone(image, group):
    """Hide all but a group, and make it a plain one."""
    group.mode, group.opacity = _NORMAL, 100.0
    if gimp.pdb.gimp_layer_get_mask(group) is not None:
        gimp.pdb.gimp_layer_set_apply_mask(group, False)
    item = group
    while item is not None:
        siblings = image.layers if item.parent is None else item.parent.children
        for sibling in siblings:
            if sibling != item:
                sibling.visible = False
        item = item.parent
