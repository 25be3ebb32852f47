"""Balance layers, or apply a LUT to them: fetch first, write last, one undo step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp

from layers import LayerPixels, Result, changed_error, check_layers, selected_area
from vae_balance_gimp import work
from vae_balance_gimp.settings import (
    LUT_ONLY,
    NEW_LAYER,
    SELECTION,
    Settings,
    check_lut_path,
    lut_format,
)
from vae_balance_gimp.texts import UserError, _

Progress = Callable[[str, float], None]
# What of the work on a layer each stage takes, begin and end.
_LOOKING, _LEARNING, _APPLYING = (0.0, 0.3), (0.3, 0.5), (0.5, 1.0)


def last_look_path() -> Path:
    """Return where the last learned look is kept as a .cube file."""
    return Path(Gimp.directory(), "vae-balance", "last-look.cube")


def balance(
    image: Gimp.Image, drawables: list[Gimp.Drawable], settings: Settings, progress: Progress
) -> list[str]:
    """Learn a look from each layer and apply it, or write it as a LUT file.

    Args:
        image: the layers' image.
        drawables: what is selected.
        settings: how, and where the result goes.
        progress: called with a sentence and a fraction, 0..1.

    Returns:
        The names of layers outside of the selection, in which nothing changed.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    settings.check(len(drawables), not Gimp.Selection.is_empty(image))
    check_layers(image, drawables, settings.output)

    def look_of(client: work.Client, layer: Gimp.Layer, told: Progress) -> work.Look:
        look = _learn(client, layer, settings, told)
        _keep(client, look, settings.lut_file)
        return look

    output = None if settings.output == LUT_ONLY else settings.output
    return _work(image, drawables, look_of, 1.0, output, progress)


def apply_lut(
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    path: str,
    strength: float,
    output: str,
    progress: Progress,
) -> list[str]:
    """Apply a LUT file to layers.

    Args:
        image: the layers' image.
        drawables: what is selected.
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
    check_layers(image, drawables, output)
    looks: list[work.Look] = []

    def look_of(client: work.Client, _layer: Gimp.Layer, _told: Progress) -> work.Look:
        if not looks:
            looks.append(work.load(client, path, strength))
        return looks[0]

    return _work(image, drawables, look_of, strength, output, progress)


def learn_picture(layer: Gimp.Layer, learn_from: str) -> tuple[LayerPixels, str]:
    """Return the pixels that a look is learned from, and the kind of proxy made of them."""
    if learn_from == SELECTION:
        area = selected_area(layer)
        if area is None:
            raise UserError(
                _(
                    "The selection does not touch \u201c{name}\u201d, so there is nothing "
                    "to learn from."
                ).format(name=layer.get_name())
            )
        return LayerPixels(layer, area, selected_only=True), "frame"
    return LayerPixels(layer), "centre"


def _work(
    image: Gimp.Image,
    layers: list[Gimp.Layer],
    look_of: Callable[[work.Client, Gimp.Layer, Progress], work.Look],
    strength: float,
    output: str | None,
    progress: Progress,
) -> list[str]:
    """Find the look of each layer and, if there is an output, apply it; return who had no part."""
    if output is not None:
        outside = [layer.get_name() for layer in layers if selected_area(layer) is None]
        layers = [layer for layer in layers if selected_area(layer) is not None]
    else:
        outside = []
    results: list[tuple[Result, work.Look]] = []
    try:
        with work.plain_errors(), work.connect(progress) as client:
            for number, layer in enumerate(layers):
                told = _part(progress, number / len(layers), (number + 1) / len(layers))
                look = look_of(client, layer, told)
                if output is None:
                    continue
                area = selected_area(layer)
                if area is None:
                    raise changed_error()
                result = Result(layer, area, output == NEW_LAYER)
                results.append((result, look))
                strips = work.apply(client, look, result.pixels, strength, _part(told, *_APPLYING))
                result.write(strips)
        if output is not None:
            # GIMP stays usable while a plug-in works.
            for result, _look in results:
                result.check_unchanged()
            check_layers(image, layers, output)
    except BaseException:
        for result, _look in results:
            result.discard()
        raise
    if not results:
        return outside
    image.undo_group_start()
    try:
        for result, look in results:
            result.commit(work.parasite_bytes(look))
    finally:
        image.undo_group_end()
    return outside


def _learn(client: work.Client, layer: Gimp.Layer, settings: Settings, told: Progress) -> work.Look:
    picture, kind = learn_picture(layer, settings.learn_from)
    proxy = work.shrink(client, picture, kind, _part(told, *_LOOKING))
    title = f"{layer.get_image().get_name()}, {layer.get_name()}"
    return work.learn(client, proxy, settings, title, _part(told, *_LEARNING))


def _keep(client: work.Client, look: work.Look, lut_file: str | None) -> None:
    """Write the LUT file, if one is wanted, and keep the look as the last one learned."""
    if lut_file:
        work.write_file(lut_file, client.export(look.name, lut_format(lut_file)))
    last = last_look_path()
    last.parent.mkdir(parents=True, exist_ok=True)
    work.write_file(str(last), client.export(look.name, "cube"))


def _part(progress: Progress, begin: float, end: float) -> Progress:
    """Return a progress whose 0..1 is a part of another one's."""
    return lambda text, fraction: progress(text, begin + fraction * (end - begin))
