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
from vae_balance_gimp.settings import NEW_LAYER, REPLACE


def is_grayscale(image: Gimp.Image) -> bool:
    """Tell whether an image has no place for colors."""
    return image.get_base_type() == Gimp.ImageBaseType.GRAY


@contextmanager
def copy_in_color(image: Gimp.Image, layers: list[Layer]) -> Iterator[tuple[Image, list[Layer]]]:
    """Give a copy of a grayscale image in RGB and the twins of layers, for a while."""
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
    new_layer: bool,
) -> list[str]:
    """Colorize layers of a grayscale image, which becomes RGB: one step to undo.

    Args:
        image: the image.
        layers: of it.
        copy: of the image, in RGB.
        twins: of the layers, in the copy.
        colorize: gives layers colors, in their place where the output is REPLACE; returns what the
            user is to be told.
        new_layer: put the result into a new layer above.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    check_layers(copy, twins, NEW_LAYER if new_layer else REPLACE)
    # All of a layer gets colors there; what of it changes is the selection's affair here.
    Gimp.Selection.none(twins[0].drawable.get_image())
    notes = colorize(copy, twins, REPLACE)
    if not is_grayscale(image) or not all(layer.drawable.is_valid() for layer in layers):
        raise changed_error()
    with Image(image).undo_group():
        image.convert_rgb()
        for layer, twin in zip(layers, twins, strict=True):
            _take_over(layer, twin.drawable, new_layer)
    return notes


def _take_over(layer: Layer, twin: Gimp.Layer, new_layer: bool) -> None:
    """Give a layer, or a new one above it, the pixels of its twin, which is as large."""
    parasite, area = twin.get_parasite(PARASITE), layer.selected_area()
    if parasite is None or area is None:  # left as it was, which the user is told
        return
    result = layer.result(area, new_layer)
    result.write(LayerPixels(twin, area).strips())
    result.commit(bytes(parasite.get_data()))
    layer.close()
