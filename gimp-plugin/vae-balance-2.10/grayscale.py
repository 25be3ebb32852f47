"""Grayscale images that get colors: worked on in a copy in RGB, until the colors are there."""

from __future__ import absolute_import

from contextlib import contextmanager

import gimp
import gimpenums

from layers import PARASITE, Image, Layer, LayerPixels
from vae_balance_gimp.checks import changed_error, check_layers
from vae_balance_gimp.settings import NEW_LAYER


def is_grayscale(image):
    """Tell whether a `gimp.Image` has no place for colors."""
    return image.base_type == gimpenums.GRAY


def give_colors(image, layer, colorize, output):
    """Colorize a layer of a grayscale image, which becomes RGB: one step to undo.

    Args:
        image: a `gimp.Image`, which stays as it is if nothing gets colors.
        layer: a `Layer` of it.
        colorize: gives a layer of an image colors and puts them where an output says; returns what
            the user is to be told.
        output: REPLACE or NEW_LAYER.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    check_layers(Image(image), [layer], output, becomes_rgb=True)
    with _copy_in_color(image) as copy:
        tattoo = gimp.pdb.gimp_item_get_tattoo(layer.drawable)
        twin = gimp.pdb.gimp_image_get_layer_by_tattoo(copy, tattoo)
        check_layers(Image(copy), [Layer(twin)], output)
        # All of a layer gets colors there; what of it changes is the selection's affair here.
        gimp.pdb.gimp_selection_none(copy)
        if twin.parasite_find(PARASITE) is not None:  # of an earlier result
            twin.parasite_detach(PARASITE)
        known = list(_beside(twin))
        notes = colorize(Image(copy), Layer(twin), output)
        if not is_grayscale(image) or not gimp.pdb.gimp_item_is_valid(layer.drawable):
            raise changed_error()
        check_layers(Image(image), [layer], output, becomes_rgb=True)
        is_new = output == NEW_LAYER
        colored = _above(twin, known) if is_new else twin
        if colored is None or colored.parasite_find(PARASITE) is None:
            return notes  # it was left as it was, which the user is told
        with Image(image).undo_group():
            gimp.pdb.gimp_image_convert_rgb(image)
            _take_over(layer, colored, is_new)
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


def _beside(layer):
    """Return the layers of the stack that a layer is in, from top to bottom."""
    return layer.image.layers if layer.parent is None else layer.parent.children


def _above(layer, known):
    """Return the layer directly above another one, or None if it is known or there is none."""
    place = gimp.pdb.gimp_image_get_item_position(layer.image, layer)
    above = _beside(layer)[place - 1] if place else None
    return None if above in known else above


def _take_over(layer, colored, is_new):
    """Give a layer, or a new one above it, the pixels of one of the copy, which is as large."""
    area = layer.selected_area()
    result = layer.result(area, is_new)
    result.write(LayerPixels(colored, area).strips())
    result.commit(colored.parasite_find(PARASITE).data)
    layer.close()
