"""What GIMP's canvas shows of an item: its filters, and what a pass-through group lets through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp

_COVERING = (Gimp.LayerMode.NORMAL, Gimp.LayerMode.NORMAL_LEGACY)


def visible_filters(drawable: Gimp.Drawable) -> list[Gimp.DrawableFilter]:
    """Return the non-destructive filters of a drawable that change what is seen of it."""
    return [each for each in drawable.get_filters() if each.get_visible()]


def is_pass_through(layer: Gimp.Layer) -> bool:
    """Tell whether a layer is a group whose layers blend with those below the group."""
    return layer.is_group() and layer.get_mode() == Gimp.LayerMode.PASS_THROUGH


def is_rendered(layer: Gimp.Layer) -> bool:
    """Tell whether the canvas shows other pixels than those of the layer."""
    return bool(visible_filters(layer)) or is_pass_through(layer)


def render(layer: Gimp.Layer) -> Gimp.Layer:
    """Return a new layer with what is seen of another one, as large, in the image but not on it.

    Of a pass-through group that is the picture as the group and all below it make it. Of a layer
    it is the layer alone, with its filters, but without its mask, mode and opacity.
    """
    image = layer.get_image()
    with duplicate(layer) as (copy, twin):
        _leave_alone(copy, twin)
        _ok, x, y = twin.get_offsets()
        copy.resize(twin.get_width(), twin.get_height(), -x, -y)
        return Gimp.Layer.new_from_visible(copy, image, layer.get_name())


@contextmanager
def duplicate(layer: Gimp.Layer) -> Iterator[tuple[Gimp.Image, Gimp.Layer]]:
    """Give a copy of a layer's image, for a while, and the layer's twin in it."""
    copy = layer.get_image().duplicate()
    try:
        yield copy, find_twin(layer, copy)
    finally:
        copy.delete()


def find_twin(layer: Gimp.Layer, copy: Gimp.Image) -> Gimp.Layer:
    """Return a layer's twin in a copy of its image."""
    image, places = layer.get_image(), []
    item: Gimp.Item | None = layer
    while item is not None:
        places.append(image.get_item_position(item))
        item = item.get_parent()
    twin = copy.get_layers()[places.pop()]
    while places:
        twin = twin.get_children()[places.pop()]
    return twin


def is_covering(layer: Gimp.Layer) -> bool:
    """Tell whether nothing of what lies below an opaque layer is seen through it."""
    mask = layer.get_mask()
    return (
        layer.get_mode() in _COVERING
        and layer.get_opacity() == 100.0
        and (mask is None or not layer.get_apply_mask())
        and not visible_filters(layer)
    )


def _leave_alone(image: Gimp.Image, layer: Gimp.Layer) -> None:
    """Hide all that does not belong to what is seen of a layer."""
    shows_below = is_pass_through(layer)
    if not shows_below:
        _make_plain(layer)
    item = layer
    while item is not None:
        item.set_visible(True)
        parent = item.get_parent()
        siblings = image.get_layers() if parent is None else parent.get_children()
        place = image.get_item_position(item)
        for number, sibling in enumerate(siblings):
            if number < place or (number > place and not shows_below):
                sibling.set_visible(False)
        if parent is not None and not is_pass_through(parent):
            shows_below = False
            _make_plain(parent)
            for each in visible_filters(parent):
                each.set_visible(False)
        item = parent


def _make_plain(layer: Gimp.Layer) -> None:
    layer.set_mode(Gimp.LayerMode.NORMAL)
    layer.set_opacity(100.0)
    if layer.get_mask() is not None:
        layer.set_apply_mask(False)
