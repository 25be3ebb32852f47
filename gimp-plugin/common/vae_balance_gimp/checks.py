"""Which layers can be balanced; what a layer is, `balancing` says."""

from __future__ import absolute_import, unicode_literals

from .settings import NEW_LAYER, REPLACE
from .strips import is_clear
from .texts import UserError, _

MYPY = False
if MYPY:
    from typing import Sequence

    from .interfaces import Area, Image, Layer, Picture


def check_layers(image, layers, output, becomes_rgb=False):
    # type: (Image, Sequence[Layer], str, bool) -> None
    """Check that what is selected can be balanced.

    Args:
        image: see `balancing`.
        layers: what is selected in it, see `balancing`.
        output: REPLACE, NEW_LAYER or LUT_ONLY.
        becomes_rgb: whether the image is made RGB on the way, and need not be.

    Raises:
        UserError: it cannot; the message says what to do.
    """
    if not layers:
        raise UserError(_("No layer is selected: select the layer to work on."))
    if not image.has_colors and not becomes_rgb:
        raise UserError(
            _("The image is grayscale or indexed: convert it first, Image > Mode > RGB.")
        )
    for layer in layers:
        _check_kind(image, layer)
        if output == REPLACE:
            _check_replaceable(layer)
        elif output == NEW_LAYER and layer.is_floating:
            raise UserError(_("No layer can be put above a floating selection: anchor it first."))
    if not any(layer.selected_area() for layer in layers):
        raise UserError(_("The selection does not touch the layer: nothing would change."))


def check_visible(layers):
    # type: (Sequence[Layer]) -> None
    """Check that there is something to see in what is selected of layers.

    Args:
        layers: as for `check_layers`, which has passed.

    Raises:
        UserError: one is transparent all over.
    """
    for layer in layers:
        area = layer.selected_area()
        if area is not None and is_transparent(layer.pixels(area, False)):
            raise UserError(
                _(
                    "\u201c{name}\u201d is transparent, so there are no colors to balance: select "
                    "the layer with the photo."
                ).format(name=layer.name)
            )


def is_transparent(picture):
    # type: (Picture) -> bool
    """Tell whether a picture, see `work`, has an alpha of 0 all over."""
    if picture.channels == 3:
        return False
    return all(is_clear(pixels, picture.dtype) for _first, _rows, pixels in picture.strips())


def changed_error():
    # type: () -> UserError
    """Return the error for what GIMP's user, who can go on working meanwhile, has changed."""
    return UserError(
        _(
            "The layer or the selection was changed while VAE Balance was at work, "
            "so nothing was done. Try again."
        )
    )


def is_inside(area, other):
    # type: (Area, Area) -> bool
    """Tell whether an area, (x, y, width, height), has no pixel outside of another one."""
    x, y, width, height = area
    left, top, across, down = other
    return left <= x and x + width <= left + across and top <= y and y + height <= top + down


def _check_kind(image, layer):
    # type: (Image, Layer) -> None
    if not image.holds(layer):
        raise UserError(
            _(
                "\u201c{name}\u201d is a layer of another image: give the image that it is in."
            ).format(name=layer.name)
        )
    if layer.is_of_a_mask:
        raise UserError(
            _(
                "The floating selection \u201c{name}\u201d is a part of a mask, which has no "
                "colors: anchor it first."
            ).format(name=layer.name)
        )
    if layer.is_channel:
        raise UserError(
            _("\u201c{name}\u201d is a channel, which has no colors: select a layer.").format(
                name=layer.name
            )
        )


def _check_replaceable(layer):
    # type: (Layer) -> None
    if layer.is_group:
        raise UserError(
            _(
                "\u201c{name}\u201d is a layer group: select the layers in it, or choose the "
                "output \u201cNew layer above\u201d."
            ).format(name=layer.name)
        )
    if layer.is_drawn_by_gimp:
        raise UserError(
            _(
                "GIMP draws the pixels of \u201c{name}\u201d itself (a text, link or vector "
                "layer): rasterize it first, or choose the output \u201cNew layer above\u201d."
            ).format(name=layer.name)
        )
    locked = layer.locked_item()
    if locked is not None:
        raise UserError(
            _(
                "The pixels of \u201c{name}\u201d are locked: unlock them in the Layers "
                "dialog, or choose the output \u201cNew layer above\u201d."
            ).format(name=locked)
        )
