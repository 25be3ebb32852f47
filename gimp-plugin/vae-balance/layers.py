"""Which layers can be balanced, their pixels in strips, and where the result goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp

from canvas import is_covering, is_pass_through, is_rendered, render, visible_filters
from vae_balance_gimp.checks import changed_error, is_inside
from vae_balance_gimp.strips import cut, is_opaque, keep_selected
from vae_balance_gimp.texts import UserError, _
from vae_balance_protocol.messages import ITEM_BYTES

PARASITE = "vae-balance"
# GIMP stores these as the protocol sends them; all others travel as floats.
_DTYPES = {
    Gimp.Precision.U8_NON_LINEAR: "u8",
    Gimp.Precision.U16_NON_LINEAR: "u16",
    Gimp.Precision.HALF_NON_LINEAR: "f16",
}
# GIMP merges in single floats, which would round the alpha of these.
_FINER_THAN_FLOAT = (
    Gimp.Precision.U32_LINEAR,
    Gimp.Precision.U32_NON_LINEAR,
    Gimp.Precision.U32_PERCEPTUAL,
)
_BABL_TYPES = {"u8": "u8", "u16": "u16", "f16": "half", "f32": "float"}


class Image:
    """An image, see `vae_balance_gimp.balancing`."""

    def __init__(self, image: Gimp.Image) -> None:
        """Take one of GIMP's."""
        self._image = image
        self.name = image.get_name()
        self.has_colors = image.get_base_type() == Gimp.ImageBaseType.RGB

    @property
    def has_selection(self) -> bool:
        """Whether a part of the image is selected."""
        return not Gimp.Selection.is_empty(self._image)

    def holds(self, layer: Layer) -> bool:
        """Tell whether a layer is one of this image."""
        return layer.drawable.get_image() == self._image

    @contextmanager
    def undo_group(self) -> Iterator[None]:
        """Make one step to undo of what happens within."""
        self._image.undo_group_start()
        try:
            yield
        finally:
            self._image.undo_group_end()


class Layer:
    """A layer, or what else may be selected, see `vae_balance_gimp.balancing`.

    Attributes:
        drawable: GIMP's own; of a layer mask, which is selected when its layer was just clicked
            on, the layer.
    """

    def __init__(self, drawable: Gimp.Drawable) -> None:
        """Take one of GIMP's."""
        if drawable.is_layer_mask():
            drawable = Gimp.Layer.from_mask(drawable)
        self.drawable = drawable
        self._rendered: Gimp.Layer | None = None
        self.name = drawable.get_name()
        self.is_channel = not drawable.is_layer()
        self.is_group = drawable.is_group()
        self.is_drawn_by_gimp = _is_drawn_by_gimp(drawable)
        self.is_floating = not self.is_channel and drawable.is_floating_sel()
        below = drawable.get_image().floating_sel_attached_to() if self.is_floating else None
        self.is_of_a_mask = below is not None and not below.is_layer()

    @property
    def has_filters(self) -> bool:
        """Whether the canvas shows the layer with non-destructive filters."""
        return bool(visible_filters(self.drawable))

    def locked_item(self) -> str | None:
        """Return the name of what locks the pixels, the layer or a group that it is in."""
        item: Gimp.Item | None = self.drawable
        while item is not None:
            if item.get_lock_content():
                return item.get_name()
            item = item.get_parent()
        return None

    def selected_area(self) -> tuple[int, int, int, int] | None:
        """Return x, y, width, height, in the layer, of what is selected of it; None if nothing."""
        return _selected_area(self.drawable)

    def pixels(self, area: tuple[int, int, int, int] | None, selected_only: bool) -> LayerPixels:
        """Return the pixels of an area or, if it is None, of all of the layer."""
        return LayerPixels(self.shown(), area, selected_only)

    def result(self, area: tuple[int, int, int, int], new_layer: bool) -> Result:
        """Return a place for new pixels of an area."""
        is_merged = self.has_filters and not (self.is_group or self.is_drawn_by_gimp)
        kind: type[Result] = MergedLayer if self.has_filters else Replaced
        if new_layer:
            kind = MergedCopy if is_merged else NewLayer
        return kind(self.drawable, self.shown(), area)

    def shown(self) -> Gimp.Layer:
        """Return a layer of GIMP's with the pixels that the canvas shows."""
        if self.is_channel or not self.drawable.is_valid() or not is_rendered(self.drawable):
            return self.drawable
        if self._rendered is None or not self._rendered.is_valid():
            self._rendered = render(self.drawable)
        return self._rendered

    def close(self) -> None:
        """Give back what it took to see the pixels."""
        if self._rendered is not None and self._rendered.is_valid():
            self._rendered.delete()
        self._rendered = None


def _is_drawn_by_gimp(layer: Gimp.Layer) -> bool:
    # Link and vector layers, and rasterizing without a loss, came with GIMP 3.2.
    kinds = [
        getattr(Gimp, kind)
        for kind in ("TextLayer", "LinkLayer", "VectorLayer")
        if hasattr(Gimp, kind)
    ]
    if not isinstance(layer, tuple(kinds)):
        return False
    rasterized = getattr(layer, "is_rasterized", None)
    return not (rasterized and rasterized())


def _selected_area(layer: Gimp.Layer) -> tuple[int, int, int, int] | None:
    if not layer.is_valid():
        return None
    top = layer
    while top.get_parent() is not None:
        top = top.get_parent()
    # GIMP would show an error of its own for a layer that is only kept to undo something.
    if top not in layer.get_image().get_layers():
        return None
    hit, *area = layer.mask_intersect()
    return tuple(area) if hit else None


class LayerPixels:
    """The pixels of a layer, or of a part of it, as `vae_balance_gimp.work` wants a picture.

    Colors stay in the image's own space, with its own tone curve.

    Attributes:
        width: pixels in a row.
        height: rows.
        channels: 3, or 4 with alpha.
        dtype: of the values, as the protocol names it.
        profile: ICC profile of the colors, None for sRGB.
    """

    def __init__(
        self,
        layer: Gimp.Layer,
        area: tuple[int, int, int, int] | None = None,
        selected_only: bool = False,
    ) -> None:
        """Take a layer.

        Args:
            layer: one of an RGB image.
            area: x, y, width, height in the layer; None is all of it.
            selected_only: whether pixels that are not selected get an alpha of 0.
        """
        image = layer.get_image()
        whole = (0, 0, layer.get_width(), layer.get_height())
        self._layer = layer
        self._x, self._y, self.width, self.height = area or whole
        self._selection = image.get_selection() if selected_only else None
        self.channels = 4 if layer.has_alpha() or selected_only else 3
        self.dtype = _DTYPES.get(image.get_precision(), "f32")
        self.profile = _profile(image)
        letters = "R'G'B'A" if self.channels == 4 else "R'G'B'"
        encoding = f"{letters} {_BABL_TYPES[self.dtype]}"
        space = Babl.format_get_space(layer.get_format())
        self._format = Babl.get_name(Babl.format_with_space(encoding, space))

    def strips(self) -> Iterator[tuple[int, int, Any]]:
        """Yield (first row, rows, bytes) from top to bottom.

        Raises:
            UserError: the layer is gone.
        """
        source = self._layer.get_buffer()
        if source is None:
            raise changed_error()
        for first, rows in cut(self.width, self.height, self.channels * ITEM_BYTES[self.dtype]):
            area = self._rectangle(first, rows)
            pixels = source.get(area, 1.0, self._format, Gegl.AbyssPolicy.NONE)
            if self._selection is not None:
                pixels = keep_selected(pixels, self._selected(area), self.dtype)
            yield first, rows, pixels

    def write(
        self,
        buffer: Gegl.Buffer,
        strips: Iterable[tuple[int, int, Any]],
        like: LayerPixels | None = None,
    ) -> None:
        """Write strips to another buffer, at the same place.

        Args:
            buffer: to write to.
            strips: (first row, rows, bytes).
            like: pixels whose form the strips have, by default these.
        """
        encoding = (like or self)._format
        for first, rows, pixels in strips:
            buffer.set(self._rectangle(first, rows), encoding, bytes(pixels))
        buffer.flush()

    def _rectangle(self, first: int, rows: int) -> Gegl.Rectangle:
        return Gegl.Rectangle.new(self._x, self._y + first, self.width, rows)

    def _selected(self, area: Gegl.Rectangle) -> bytes:
        _ok, left, top = self._layer.get_offsets()
        place = Gegl.Rectangle.new(area.x + left, area.y + top, area.width, area.height)
        return self._selection.get_buffer().get(place, 1.0, "Y u8", Gegl.AbyssPolicy.NONE)


def _profile(image: Gimp.Image) -> bytes | None:
    profile = image.get_color_profile()
    return bytes(profile.get_icc_profile()) if profile else None


class Result:
    """New pixels of a layer, which wait until `commit`: what its kinds share.

    Attributes:
        pixels: those that they are made from.
    """

    def __init__(
        self, source: Gimp.Layer, shown: Gimp.Layer, area: tuple[int, int, int, int]
    ) -> None:
        """Prepare the place for the new pixels.

        Args:
            source: the layer.
            shown: the layer with the pixels that they are made from, itself or as large.
            area: the part of it that is made new: x, y, width, height.
        """
        self.pixels = LayerPixels(shown, area)
        self._source, self._shown, self._area = source, shown, area
        self._form = _form(source)

    def check_unchanged(self) -> None:
        """Check that the new pixels still fit into the image.

        Raises:
            UserError: the layer is gone or of another form, or pixels are selected that have not
                been made new.
        """
        now = _selected_area(self._source)
        if now is None or _form(self._source) != self._form or not is_inside(now, self._area):
            raise changed_error()

    def _finish(self, layer: Gimp.Layer, origin: bytes) -> None:
        """Take the shadow of a layer for its pixels, and attach the origin.

        Raises:
            UserError: GIMP refused.
        """
        if not _merge(layer):
            raise UserError(
                _("GIMP refused to change \u201c{name}\u201d: it may be locked.").format(
                    name=layer.get_name()
                )
            )
        layer.update(*self._area)
        flags = Gimp.PARASITE_PERSISTENT | Gimp.PARASITE_UNDOABLE
        layer.attach_parasite(Gimp.Parasite.new(PARASITE, flags, origin))


class Replaced(Result):
    """New pixels for the layer itself."""

    def write(
        self, strips: Iterable[tuple[int, int, Any]], like: LayerPixels | None = None
    ) -> None:
        """Keep the new pixels, strips as `pixels` has them, or others."""
        self.pixels.write(self._source.get_shadow_buffer(), strips, like)

    def commit(self, origin: bytes) -> None:
        """Put the new pixels into the image, within an open undo group.

        Args:
            origin: what to attach to the layer.

        Raises:
            UserError: GIMP refused.
        """
        self._finish(self._source, origin)

    def discard(self) -> None:
        """Give back what the new pixels took."""
        if self._source.is_valid():
            self._source.free_shadow()


class MergedLayer(Result):
    """New pixels for a layer with filters, which become a part of them.

    They were made from what the filters show, so these must not be applied again.
    """

    def write(
        self, strips: Iterable[tuple[int, int, Any]], like: LayerPixels | None = None
    ) -> None:
        """Keep the new pixels, as `Replaced.write`, in the place of those that are shown."""
        self.pixels.write(self._shown.get_buffer(), strips, like)

    def commit(self, origin: bytes) -> None:
        """Put the new pixels into the image, as `Replaced.commit`."""
        source = self._source
        _ok, left, top = source.get_offsets()
        source.merge_filters()  # which may make the layer larger
        _ok, new_left, new_top = source.get_offsets()
        shadow = source.get_shadow_buffer()
        if _form(source)[:2] != self._form[:2]:
            LayerPixels(source).write(shadow, LayerPixels(source).strips())
        x, y, width, height = self._area
        self._area = (x + left - new_left, y + top - new_top, width, height)
        place = LayerPixels(source, self._area)
        place.write(shadow, self.pixels.strips(), like=self.pixels)
        self._finish(source, origin)

    def discard(self) -> None:
        """Give back what the new pixels took; that are those shown, whose owner does it."""


class MergedCopy(MergedLayer):
    """New pixels for a copy of a layer with filters, above it, as large as these make it."""

    def commit(self, origin: bytes) -> None:
        """Put the new layer into the image, as `Replaced.commit`."""
        source = self._source
        self._source = _plain_copy(source)
        _insert_above(self._source, source)
        super().commit(origin)
        _hide_if_seen_through(self._source, source)


class NewLayer(Result):
    """New pixels for a layer of its own, above the old one, which is hidden if it shows through."""

    def __init__(
        self, source: Gimp.Layer, shown: Gimp.Layer, area: tuple[int, int, int, int]
    ) -> None:
        """Prepare the new layer."""
        super().__init__(source, shown, area)
        self._layer = _copy(source, shown)

    def write(
        self, strips: Iterable[tuple[int, int, Any]], like: LayerPixels | None = None
    ) -> None:
        """Keep the new pixels, as `Replaced.write`."""
        self.pixels.write(self._layer.get_shadow_buffer(), strips, like)

    def commit(self, origin: bytes) -> None:
        """Put the new layer into the image, as `Replaced.commit`."""
        _insert_above(self._layer, self._source)
        self._finish(self._layer, origin)
        _hide_if_seen_through(self._layer, self._source)

    def discard(self) -> None:
        """Give back what the new pixels took."""
        if self._layer.is_valid():
            self._layer.free_shadow()
            self._layer.delete()


def _form(layer: Gimp.Layer) -> tuple[int, int, str, int]:
    encoding = Babl.get_name(layer.get_format())
    return layer.get_width(), layer.get_height(), encoding, len(visible_filters(layer))


def _is_opaque(layer: Gimp.Layer) -> bool:
    pixels = LayerPixels(layer)
    if pixels.channels == 3:
        return True
    return all(is_opaque(strip, pixels.dtype) for _first, _rows, strip in pixels.strips())


def _merge(layer: Gimp.Layer) -> bool:
    """Merge the shadow within the selection; return whether GIMP did it."""
    lock = layer.get_image().get_precision() in _FINER_THAN_FLOAT and not layer.get_lock_alpha()
    if lock:
        layer.set_lock_alpha(True)
    merged = layer.merge_shadow(True)
    if lock:
        layer.set_lock_alpha(False)
    return merged


def _copy(source: Gimp.Layer, shown: Gimp.Layer) -> Gimp.Layer:
    """Return a layer of its own with the pixels shown of another one, not yet in the image."""
    if source.is_group() or shown is not source or _is_drawn_by_gimp(source):
        return _copy_of_pixels(source, shown)
    return _plain_copy(source)


def _name_of_new(source: Gimp.Layer) -> str:
    name: str = _("{name}, balanced").format(name=source.get_name())
    return name


def _plain_copy(source: Gimp.Layer) -> Gimp.Layer:
    """Return a copy of a layer that can be changed and is seen."""
    copy = source.copy()
    copy.set_name(_name_of_new(source))
    copy.set_lock_content(False)
    copy.set_visible(True)
    return copy


def _insert_above(layer: Gimp.Layer, source: Gimp.Layer) -> None:
    image = source.get_image()
    image.insert_layer(layer, source.get_parent(), image.get_item_position(source))


def _hide_if_seen_through(layer: Gimp.Layer, source: Gimp.Layer) -> None:
    """Hide the layer that a new one was made of, if it would be seen through that."""
    if not (is_covering(layer) and _is_opaque(layer)):
        source.set_visible(False)


def _copy_of_pixels(source: Gimp.Layer, shown: Gimp.Layer) -> Gimp.Layer:
    """Return a plain layer that looks as another one does on the canvas."""
    size = source.get_width(), source.get_height()
    copy = Gimp.Layer.new(
        source.get_image(), _name_of_new(source), *size,
        source.type_with_alpha(), 100.0, Gimp.LayerMode.NORMAL,
    )  # fmt: skip
    _ok, x, y = source.get_offsets()
    copy.set_offsets(x, y)
    pixels = LayerPixels(shown)
    pixels.write(copy.get_buffer(), pixels.strips())
    if is_pass_through(source):  # then mask, mode and opacity are in what is shown
        return copy
    copy.set_opacity(source.get_opacity())
    copy.set_mode(source.get_mode())
    copy.set_blend_space(source.get_blend_space())
    copy.set_composite_space(source.get_composite_space())
    copy.set_composite_mode(source.get_composite_mode())
    mask = source.get_mask()
    if mask is not None:
        new = copy.create_mask(Gimp.AddMaskType.WHITE)
        copy.add_mask(new)
        _copy_mask(mask, new)
        copy.set_apply_mask(source.get_apply_mask())
    return copy


def _copy_mask(mask: Gimp.LayerMask, target: Gimp.LayerMask) -> None:
    old, new = mask.get_buffer(), target.get_buffer()
    encoding = Babl.get_name(mask.get_format())
    bytes_each = Babl.format_get_bytes_per_pixel(mask.get_format())
    for first, rows in cut(mask.get_width(), mask.get_height(), bytes_each):
        area = Gegl.Rectangle.new(0, first, mask.get_width(), rows)
        new.set(area, encoding, bytes(old.get(area, 1.0, encoding, Gegl.AbyssPolicy.NONE)))
    new.flush()
