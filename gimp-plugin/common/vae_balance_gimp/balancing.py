"""Balance layers, or apply a LUT to them: fetch first, write last, one undo step.

An image is any object with
    name                text
    has_colors          whether it is RGB, neither grayscale nor indexed
    has_selection       whether a part of it is selected
    undo_group()        a context: what happens within is one step to undo
A layer is any object, equal to others of the same layer, with
    name                text
    is_mask, is_channel, is_group, is_drawn_by_gimp, is_floating
                        what it is if it is not a layer of pixels
    locked_item()       the name of the item, itself or a group that it is in, whose pixels are
                        locked; or None
    selected_area()     (x, y, width, height) in the layer, outside of which nothing is selected;
                        or None if nothing of it is, or if it is gone
    pixels(area, selected_only)
                        a picture, see `work`: all of it if the area is None; with alpha 0 where
                        nothing is selected if `selected_only`
    result(area, new_layer)
                        a place for the new pixels of an area, in the layer or in a new one above:
A result is any object with
    pixels              the picture of the old pixels
    write(strips)       keeps the new pixels, where nobody sees them
    check_unchanged()   raises UserError if they do not fit into the image any more
    commit(origin)      puts them and the bytes of a parasite into the image
    discard()           gives back what they took
"""

from __future__ import absolute_import, division, unicode_literals

import os

from . import work
from .checks import changed_error, check_layers
from .settings import LUT_ONLY, NEW_LAYER, SELECTION, check_lut_path, lut_format
from .texts import UserError, _

# What of the work on a layer each stage takes, begin and end.
_LOOKING, _LEARNING, _APPLYING = (0.0, 0.3), (0.3, 0.5), (0.5, 1.0)


def last_look_path(folder):
    """Return where the last learned look is kept as a .cube file.

    Args:
        folder: GIMP's folder of the user.
    """
    return os.path.join(folder, "vae-balance", "last-look.cube")


def balance(image, layers, settings, last_look, progress):
    """Learn a look from each layer and apply it, or write it as a LUT file.

    Args:
        image: the layers' image.
        layers: what is selected.
        settings: a `Settings`: how, and where the result goes.
        last_look: path of the .cube file of the look learned last.
        progress: called with a sentence and a fraction, 0..1.

    Returns:
        The names of layers outside of the selection, in which nothing changed.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    settings.check(len(layers), image.has_selection)
    check_layers(image, layers, settings.output)

    def look_of(client, layer, told):
        picture, kind = learn_picture(layer, settings.learn_from)
        proxy = work.shrink(client, picture, kind, _part(told, *_LOOKING))
        title = "{}, {}".format(image.name, layer.name)
        look = work.learn(client, proxy, settings, title, _part(told, *_LEARNING))
        _keep(client, look, settings.lut_file, last_look)
        return look

    output = None if settings.output == LUT_ONLY else settings.output
    return _work(image, layers, look_of, 1.0, output, progress)


def apply_lut(image, layers, path, strength, output, progress):
    """Apply a LUT file to layers.

    Args:
        image: the layers' image.
        layers: what is selected.
        path: of a .cube file or a Hald picture.
        strength: 0.0 to 1.5.
        output: REPLACE or NEW_LAYER.
        progress: called with a sentence and a fraction, 0..1.

    Returns:
        The names of layers outside of the selection, in which nothing changed.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    check_lut_path(path)
    check_layers(image, layers, output)
    looks = []

    def look_of(client, _layer, _told):
        if not looks:
            looks.append(work.load(client, path, strength))
        return looks[0]

    return _work(image, layers, look_of, strength, output, progress)


def learn_picture(layer, learn_from):
    """Return the pixels that a look is learned from, and the kind of proxy made of them.

    Args:
        layer: see above.
        learn_from: LAYER or SELECTION.

    Raises:
        UserError: nothing of the layer is selected.
    """
    if learn_from != SELECTION:
        whole = layer.pixels(None, False)
        # Nothing else enters such a proxy, and reading and sending takes most of the time.
        return layer.pixels(_centre(whole.width, whole.height), False), "centre"
    area = layer.selected_area()
    if area is None:
        raise UserError(
            _(
                "The selection does not touch \u201c{name}\u201d, so there is nothing "
                "to learn from."
            ).format(name=layer.name)
        )
    return layer.pixels(area, True), "frame"


def _centre(width, height):
    """Return x, y, width, height of the largest square in the middle."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def _work(image, layers, look_of, strength, output, progress):
    """Find the look of each layer and, if there is an output, apply it; return who had no part."""
    outside = []
    if output is not None:
        outside = [layer.name for layer in layers if layer.selected_area() is None]
        layers = [layer for layer in layers if layer.selected_area() is not None]
    results = []
    try:
        with work.plain_errors(), work.connect(progress) as client:
            for number, layer in enumerate(layers):
                told = _part(progress, number / len(layers), (number + 1) / len(layers))
                look = look_of(client, layer, told)
                if output is None:
                    continue
                area = layer.selected_area()
                if area is None:
                    raise changed_error()
                result = layer.result(area, output == NEW_LAYER)
                results.append((result, look))
                applying = _part(told, *_APPLYING)
                result.write(work.apply(client, look, result.pixels, strength, applying))
        if output is not None:
            # GIMP stays usable while a plug-in works.
            for result, _look in results:
                result.check_unchanged()
            check_layers(image, layers, output)
    except BaseException:
        for result, _look in results:
            result.discard()
        raise
    if results:
        with image.undo_group():
            for result, look in results:
                result.commit(work.parasite_bytes(look))
    return outside


def _keep(client, look, lut_file, last_look):
    """Write the LUT file, if one is wanted, and keep the look as the last one learned."""
    if lut_file:
        work.write_file(lut_file, client.export(look.name, lut_format(lut_file)))
    folder = os.path.dirname(last_look)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    work.write_file(last_look, client.export(look.name, "cube"))


def _part(progress, begin, end):
    """Return a progress whose 0..1 is a part of another one's."""
    return lambda text, fraction: progress(text, begin + fraction * (end - begin))
