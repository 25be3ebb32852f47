"""Balance layers, or apply a LUT to them: fetch first, write last, one undo step.

An image is any object with
    name                text
    has_colors          whether it is RGB, neither grayscale nor indexed
    has_selection       whether a part of it is selected
    holds(layer)        whether a layer is one of this image
    undo_group()        a context: what happens within is one step to undo
A layer is any object, equal to others of the same layer, with
    name                text
    is_of_a_mask, is_channel, is_group, is_drawn_by_gimp, is_floating
                        what it is if it is not a layer of pixels; the first is a floating
                        selection of a mask's
    locked_item()       the name of the item, itself or a group that it is in, whose pixels are
                        locked; or None
    selected_area()     (x, y, width, height) in the layer, outside of which nothing is selected;
                        or None if nothing of it is, or if it is gone
    pixels(area, selected_only)
                        a picture, see `work`, as the canvas shows it: all of it if the area is
                        None; with alpha 0 where nothing is selected if `selected_only`
    result(area, new_layer)
                        a place for the new pixels of an area, in the layer or in a new one above:
    close()             gives back what it took to see the pixels
A result is any object with
    pixels              the picture of the old pixels
    write(strips)       keeps the new pixels, where nobody sees them
    check_unchanged()   raises UserError if they do not fit into the image any more
    commit(origin)      puts them and the bytes of a parasite into the image
    discard()           gives back what they took
"""

from __future__ import absolute_import, division, unicode_literals

import os
from collections import deque

from vae_balance_protocol import DaemonError
from vae_balance_protocol.compat import as_text
from vae_balance_protocol.messages import LUT
from vae_balance_protocol.options import CENTRE, FRAME
from vae_balance_protocol.zmtp import clock

from . import work
from .arguments import APPLIED_STRENGTH
from .checks import changed_error, check_layers, check_visible, is_transparent
from .settings import (
    LUT_ONLY,
    NEW_LAYER,
    OUTPUTS,
    SELECTION,
    check_argument,
    check_choice,
    check_lut_path,
    lut_format,
)
from .texts import UserError, _

MYPY = False
if MYPY:
    from typing import Callable, Deque, Dict, Iterator, List, Optional, Sequence, Tuple

    from vae_balance_protocol.client import Client

    from .interfaces import Area, Image, Layer, Picture, Progress, Result, Strip
    from .settings import Settings

    LookOf = Callable[[Client, Layer, Progress], work.Look]

# What of the work on a layer each stage takes, begin and end.
_LOOKING, _LEARNING, _APPLYING = (0.0, 0.3), (0.3, 0.5), (0.5, 1.0)
# The model for pictures of more than one light.
_MIXED_LIGHT = "mixed-light"
# From so many pixels on, people want to know how long it takes.
_MANY_PIXELS = 50000000


def last_look_path(folder):
    # type: (str) -> str
    """Return where the last learned look is kept as a .cube file.

    Args:
        folder: GIMP's folder of the user.
    """
    return os.path.join(folder, "vae-balance", "last-look.cube")


def balance(image, layers, settings, last_look, progress):
    # type: (Image, Sequence[Layer], Settings, Optional[str], Progress) -> List[str]
    """Learn a look from each layer and apply it, or write it as a LUT file.

    Args:
        image: the layers' image.
        layers: what is selected.
        settings: a `Settings`: how, and where the result goes.
        last_look: path of the .cube file of the look learned last; None for looks that are none.
        progress: called with a sentence and a fraction, 0..1.

    Returns:
        Sentences for the user: what was left as it was, and why; what else was not done.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    settings.check(len(layers), image.has_selection)
    check_layers(image, layers, settings.output)
    notes = []
    said = []  # type: List[str]

    def look_of(client, layer, told):
        # type: (Client, Layer, Progress) -> work.Look
        part = work.wanted_part(client, settings.look["model"])
        picture, kind, area = learn_picture(layer, settings.learn_from, part)
        proxy = work.shrink(client, picture, kind, _part(told, *_LOOKING))
        title = "{}, {}".format(image.name, layer.name)
        look = work.learn(client, proxy, settings, title, _part(told, *_LEARNING), area)
        if settings.lut_file:
            said.extend(_write_lut(client, look, settings, settings.lut_file))
        if last_look is not None:
            notes.extend(_keep_last(client, look, last_look))
        return look

    output = None if settings.output == LUT_ONLY else settings.output
    return _work(image, layers, look_of, 1.0, output, progress) + said + notes[:1]


def apply_lut(image, layers, path, strength, output, progress):
    # type: (Image, Sequence[Layer], str, float, str, Progress) -> List[str]
    """Apply a LUT file to layers.

    Args:
        image: the layers' image.
        layers: what is selected.
        path: of a .cube file or a Hald picture.
        strength: 0.0 to 1.5.
        output: REPLACE or NEW_LAYER.
        progress: called with a sentence and a fraction, 0..1.

    Returns:
        Sentences for the user: what was left as it was, and why.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    check_argument(APPLIED_STRENGTH, strength)
    check_choice("output", output, OUTPUTS)
    check_lut_path(path)
    check_layers(image, layers, output)
    looks = []  # type: List[work.Look]

    def look_of(client, _layer, _told):
        # type: (Client, Layer, Progress) -> work.Look
        if not looks:
            looks.append(work.load(client, path, strength))
        return looks[0]

    return _work(image, layers, look_of, strength, output, progress)


def learn_picture(layer, learn_from, part):
    # type: (Layer, str, str) -> Tuple[Picture, str, Area]
    """Return what a look is learned from.

    Args:
        layer: see above.
        learn_from: LAYER or SELECTION.
        part: of the layer that the model wants to see, CENTRE or FRAME.

    Returns:
        the pixels, the kind of proxy to make of them, and of which area of the layer a look is that
        knows the place: the layer's or the selection's, also where only the middle is looked at.

    Raises:
        UserError: nothing of the layer is selected.
    """
    if learn_from != SELECTION:
        whole = layer.pixels(None, False)
        area = (0, 0, whole.width, whole.height)
        if part == FRAME:
            return whole, FRAME, area
        # Nothing else enters such a proxy, and reading and sending takes most of the time.
        centre = layer.pixels(_centre(whole.width, whole.height), False)
        picture, kind = (whole, FRAME) if is_transparent(centre) else (centre, CENTRE)
        return picture, kind, area
    selected = layer.selected_area()
    if selected is None:
        raise UserError(
            _(
                "The selection does not touch \u201c{name}\u201d, so there is nothing "
                "to learn from."
            ).format(name=layer.name)
        )
    return layer.pixels(selected, True), FRAME, selected


def _centre(width, height):
    # type: (int, int) -> Area
    """Return x, y, width, height of the largest square in the middle."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def _work(image, layers, look_of, strength, output, progress):
    # type: (Image, Sequence[Layer], LookOf, float, Optional[str], Progress) -> List[str]
    """Find the look of each layer and, if there is an output, apply it; return the notes."""
    try:
        check_visible(layers)
        return _look_and_apply(image, layers, look_of, strength, output, progress)
    finally:
        for layer in layers:
            layer.close()


def _look_and_apply(image, layers, look_of, strength, output, progress):
    # type: (Image, Sequence[Layer], LookOf, float, Optional[str], Progress) -> List[str]
    notes = []
    if output is not None:
        outside = [layer.name for layer in layers if layer.selected_area() is None]
        if outside:
            text = _("Outside of the selection, and left as it was: {names}")
            notes.append(text.format(names=", ".join(outside)))
        layers = [layer for layer in layers if layer.selected_area() is not None]
    progress = _with_time_left(progress, sum(_size(layer) for layer in layers))
    results = []
    try:
        with work.plain_errors(), work.connect(progress) as client:
            for number, layer in enumerate(layers):
                told = _part(progress, number / len(layers), (number + 1) / len(layers))
                look = look_of(client, layer, told)
                if output is None:
                    continue
                if look.changes_nothing:
                    notes.append(nothing_to_correct(layer.name, look))
                    continue
                area = layer.selected_area()
                if area is None:
                    raise changed_error()
                result = layer.result(area, output == NEW_LAYER)
                results.append((result, look))
                place = look.place(area)
                if not _fill(client, result, look, strength, place, _part(told, *_APPLYING)):
                    results.pop()[0].discard()
                    text = _("The look changes no pixel of \u201c{name}\u201d: it is as it was.")
                    notes.append(text.format(name=layer.name))
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
    return notes


def nothing_to_correct(name, look):
    # type: (str, work.Look) -> str
    """Return what to tell of a layer whose look leaves every color as it is.

    Args:
        name: of the layer.
        look: a `work.Look` that changes nothing.
    """
    if look.origin["strength"] == 0.0:
        text = _("A strength of 0 leaves \u201c{name}\u201d as it is.")
    else:
        text = _(
            "Nothing to correct in \u201c{name}\u201d: its colors look sound, so it was left as it "
            "is."
        )
        text += " " + advice_on_nothing(look)
    return text.format(name=name)


def advice_on_nothing(look):
    # type: (work.Look) -> str
    """Return what may help where a look found nothing to correct and somebody sees something."""
    text = _("If a part looks wrong, select it and learn from the selection.")
    if look.origin["model"] != _MIXED_LIGHT:
        text += " " + _("If lights of two colors meet, choose the model \u201cmixed-light\u201d.")
    return text


def note_on_average():
    # type: () -> str
    """Return what to tell of the LUT file of a look that differs from place to place."""
    return _(
        "The LUT file is an average: this look differs from place to place, and no LUT can hold "
        "that. The file corrects no place fully."
    )


def _fill(
    client,  # type: Client
    result,  # type: Result
    look,  # type: work.Look
    strength,  # type: float
    place,  # type: Optional[Dict[str, int]]
    progress,  # type: Progress
):
    # type: (...) -> bool
    """Write the new pixels to a result; return whether any differs from the old one."""
    given = _Given(result.pixels)
    changes = []  # type: List[int]

    def compared():
        # type: () -> Iterator[Strip]
        for first, rows, pixels in work.apply(client, look, given, strength, progress, place):
            if not changes and given.take() != bytes(pixels):
                changes.append(first)
                given.stop()
            yield first, rows, pixels

    result.write(compared())
    return bool(changes)


class _Given(object):
    """A picture that keeps its strips until their new pixels have come."""

    def __init__(self, picture):
        # type: (Picture) -> None
        self.width, self.height = picture.width, picture.height
        self.channels, self.dtype, self.profile = picture.channels, picture.dtype, picture.profile
        self._picture = picture
        self._kept = deque()  # type: Deque[bytes]
        self._keeps = True

    def strips(self):
        # type: () -> Iterator[Strip]
        for first, rows, pixels in self._picture.strips():
            if self._keeps:
                self._kept.append(bytes(pixels))
            yield first, rows, pixels

    def take(self):
        # type: () -> bytes
        """Return the oldest strip that is kept."""
        return self._kept.popleft()

    def stop(self):
        # type: () -> None
        """Keep no more."""
        self._keeps = False
        self._kept.clear()


def _write_lut(client, look, settings, path):
    # type: (Client, work.Look, Settings, str) -> List[str]
    """Write a look as a LUT file; return a note if that is the average over its places."""
    average = look.is_for_its_picture and settings.average_lut
    try:
        content = client.export(look.name, lut_format(path), average)
    except DaemonError as error:
        if error.code != LUT:
            raise
        text = _(
            "The look of the model \u201c{model}\u201d differs from place to place, and no LUT can "
            "hold that: choose no LUT file, or another model."
        )
        raise UserError(text.format(model=look.origin["model"]), LUT)
    work.write_file(path, content)
    return [note_on_average()] if average else []


def _keep_last(client, look, last_look):
    # type: (Client, work.Look, str) -> List[str]
    """Keep the look as the last one learned; return a note if that is impossible.

    One that is for its picture alone is not kept, and needs no note.
    """
    if look.is_for_its_picture:
        return []
    folder = os.path.dirname(last_look)
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder)
        work.write_file(last_look, client.export(look.name, "cube"))
    except UserError as error:
        reason = error.message
    except (IOError, OSError) as error:
        reason = as_text(error.strerror or error)
    else:
        return []
    text = _(
        "The look was not kept for \u201cApply LUT\u201d > \u201cLook learned last\u201d: {reason}"
    )
    return [text.format(reason=reason)]


def _size(layer):
    # type: (Layer) -> int
    """Return how many pixels of a layer there are to work on."""
    picture = layer.pixels(None, False)
    return picture.width * picture.height


def _with_time_left(progress, pixels):
    # type: (Progress, int) -> Progress
    """Return a progress that tells how long it will take, if there are many pixels."""
    if pixels < _MANY_PIXELS:
        return progress
    begun = clock()

    def told(text, fraction):
        # type: (str, float) -> None
        spent = clock() - begun
        if fraction > 0.05 and spent > 3.0:
            left = spent * (1.0 - fraction) / fraction
            text = _("{stage} {left} left").format(stage=text, left=_duration(left))
        progress(text, fraction)

    return told


def _duration(seconds):
    # type: (float) -> str
    """Return a time for people, in steps that do not flicker."""
    if seconds < 60:
        return _("{count} s").format(count=max(5, 5 * int(seconds / 5 + 0.5)))
    return _("{count} min").format(count=int(seconds / 60 + 0.5))


def _part(progress, begin, end):
    # type: (Progress, float, float) -> Progress
    """Return a progress whose 0..1 is a part of another one's."""
    return lambda text, fraction: progress(text, begin + fraction * (end - begin))
