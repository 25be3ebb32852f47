"""Grayscale images that get colors: worked on in a copy in RGB, until the colors are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp

from canvas import find_twin
from layers import PARASITE, Image, Layer, LayerPixels
from vae_balance_gimp.checks import changed_error, check_layers
from vae_balance_gimp.settings import LUT_ONLY, NEW_LAYER


def is_grayscale(image: Gimp.Image) -> bool:
    """Tell whether an image has no place for colors."""
    return image.get_base_type() == Gimp.ImageBaseType.GRAY


@contextmanager
def copy_in_color(image: Gimp.Image, layers: list[Layer]) -> Iterator[tuple[Image, list[Layer]]]:
    """Give a copy of a grayscale image in RGB and the twins of layers, for a while.

    Raises:
        UserError: what is given are no layers of the image that can have colors.
    """
    check_layers(Image(image), layers, LUT_ONLY, becomes_rgb=True)
    copy = image.duplicate()
    try:
        copy.undo_disable()
        copy.convert_rgb()
        yield Image(copy), [Layer(find_twin(layer.drawable, copy)) for layer in layers]
    finally:
        copy.delete()


def give_colors(
    image: Gimp.Image,
    layers: list[Layer],
    copy: Image,
    twins: list[Layer],
    colorize: Callable[[Image, list[Layer], str], list[str]],
    output: str,
) -> list[str]:
    """Colorize layers of a grayscale image, which becomes RGB: one step to undo.

    Args:
        image: the image, which stays as it is if nothing gets colors.
        layers: of it.
        copy: of the image, in RGB.
        twins: of the layers, in the copy.
        colorize: gives layers colors and puts them where an output says; returns what the user is
            to be told.
        output: REPLACE or NEW_LAYER.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    check_layers(copy, twins, output)
    # All of a layer gets colors there; what of it changes is the selection's affair here.
    Gimp.Selection.none(twins[0].drawable.get_image())
    for twin in twins:
        twin.drawable.detach_parasite(PARASITE)  # of an earlier result
    known = [each for twin in twins for each in _beside(twin.drawable)]
    notes = colorize(copy, twins, output)
    if not is_grayscale(image) or not all(layer.drawable.is_valid() for layer in layers):
        raise changed_error()
    check_layers(Image(image), layers, output, becomes_rgb=True)
    is_new = output == NEW_LAYER
    found = [_above(twin.drawable, known) if is_new else twin.drawable for twin in twins]
    colored = [
        (layer, result)
        for layer, result in zip(layers, found, strict=True)
        if result is not None and result.get_parasite(PARASITE) and layer.selected_area()
    ]  # all others were left as they were, which the user is told
    if not colored:
        return notes
    with Image(image).undo_group():
        image.convert_rgb()
        for layer, result in colored:
            _take_over(layer, result, is_new)
    return notes


def _beside(layer: Gimp.Layer) -> list[Gimp.Layer]:
    """Return the layers of the stack that a layer is in, from top to bottom."""
    parent = layer.get_parent()
    layers: list[Gimp.Layer] = (
        layer.get_image().get_layers() if parent is None else parent.get_children()
    )
    return layers


def _above(layer: Gimp.Layer, known: list[Gimp.Layer]) -> Gimp.Layer | None:
    """Return the layer directly above another one, or None if it is known or there is none."""
    place = layer.get_image().get_item_position(layer)
    above = _beside(layer)[place - 1] if place else None
    return None if above in known else above


def _take_over(layer: Layer, colored: Gimp.Layer, is_new: bool) -> None:
    """Give a layer, or a new one above it, the pixels of one of the copy at the same place."""
    x, y, width, height = layer.selected_area()
    _ok, left, top = layer.drawable.get_offsets()
    _ok, colored_left, colored_top = colored.get_offsets()  # filters may have made it larger
    result = layer.result((x, y, width, height), is_new)
    place = (x + left - colored_left, y + top - colored_top, width, height)
    pixels = LayerPixels(colored, place)
    result.write(pixels.strips(), pixels)  # which may have got an alpha by a filter
    result.commit(bytes(colored.get_parasite(PARASITE).get_data()))
    layer.close()
