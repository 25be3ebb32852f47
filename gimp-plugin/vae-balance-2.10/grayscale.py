"""Grayscale images that get colors: worked on in a copy in RGB, until the colors are there."""

from __future__ import absolute_import

from contextlib import contextmanager

import gimp
import gimpenums

from layers import PARASITE, Image, Layer, LayerPixels
from vae_balance_gimp.checks import changed_error, check_layers
from vae_balance_gimp.settings import NEW_LAYER, REPLACE


def is_grayscale(image):
    """Tell whether a `gimp.Image` has no place for colors."""
    return image.base_type == gimpenums.GRAY


def give_colors(image, layer, colorize, new_layer):
    """Colorize a layer of a grayscale image, which becomes RGB: one step to undo.

    Args:
        image: a `gimp.Image`.
        layer: a `Layer` of it.
        colorize: gives a layer of an image colors, in its place where the output is REPLACE;
            returns what the user is to be told.
        new_layer: put the result into a new layer above.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    with _copy_in_color(image) as copy:
        tattoo = gimp.pdb.gimp_item_get_tattoo(layer.drawable)
        twin = gimp.pdb.gimp_image_get_layer_by_tattoo(copy, tattoo)
        if twin is None:  # no layer, which is said better by who knows why
            check_layers(Image(image), [layer], REPLACE)
        check_layers(Image(copy), [Layer(twin)], NEW_LAYER if new_layer else REPLACE)
        # All of a layer gets colors there; what of it changes is the selection's affair here.
        gimp.pdb.gimp_selection_none(copy)
        notes = colorize(Image(copy), Layer(twin), REPLACE)
        if not is_grayscale(image) or not gimp.pdb.gimp_item_is_valid(layer.drawable):
            raise changed_error()
        with Image(image).undo_group():
            gimp.pdb.gimp_image_convert_rgb(image)
            _take_over(layer, twin, new_layer)
    return notes


@contextmanager
def _copy_in_color(image):
    copy = gimp.pdb.gimp_image_duplicate(image)
    try:
        gimp.pdb.gimp_image_undo_disable(copy)
        gimp.pdb.gimp_image_convert_rgb(copy)
        yield copy
    finally:
        gimp.pdb.gimp_image_delete(copy)


def _take_over(layer, twin, new_layer):
    """Give a layer, or a new one above it, the pixels of its twin, which is as large."""
    parasite, area = twin.parasite_find(PARASITE), layer.selected_area()
    if parasite is None or area is None:  # left as it was, which the user is told
        return
    result = layer.result(area, new_layer)
    result.write(LayerPixels(twin, area).strips())
    result.commit(parasite.data)
    layer.close()
