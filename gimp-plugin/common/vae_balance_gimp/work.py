"""Looks learned and applied through the daemon, for a picture that comes in strips.

A picture is any object with `width`, `height`, `channels`, `dtype` and `profile`, as PROTOCOL.md
means them, and with `strips()`, which yields (first row, rows, bytes) from top to bottom.
"""

from __future__ import absolute_import, division, unicode_literals

import json
import math
import os
import tempfile
from contextlib import contextmanager

from vae_balance_protocol import DaemonError
from vae_balance_protocol.client import Client
from vae_balance_protocol.compat import as_text
from vae_balance_protocol.messages import MALFORMED, MODEL
from vae_balance_protocol.options import CENTRE
from vae_balance_protocol.places import log_file
from vae_balance_protocol.zmtp import clock

from .checks import is_inside
from .texts import N_, UserError, _, sentence

MYPY = False
if MYPY:
    from typing import Any, Dict, Iterator, List, Optional, Tuple

    from .interfaces import Area, Picture, Progress, Strip
    from .settings import Settings

# What the protocol calls the stages of learning.
_STAGES = {
    "queued": N_("Waiting for VAE Balance..."),
    "load": N_("Loading the model..."),
}


# It mostly starts in less: then nobody needs to see that time passes.
_QUICK_SECONDS = 3


class Look(object):
    """A look that the daemon knows.

    Attributes:
        name: what the daemon knows it by, 64 hex digits.
        origin: what tells where it comes from, for the parasite.
        changes_nothing: whether it leaves every color as it is.
        report: what was found wrong with the picture, as PROTOCOL.md has it; None if that is not
            known.
        area: (x, y, width, height) of the layer that it was learned from; None of a file.
    """

    def __init__(self, name, origin, changes_nothing=False, report=None, area=None):
        # type: (str, Dict[str, Any], bool, Optional[Dict[str, Any]], Optional[Area]) -> None
        self.name = name
        self.origin = origin
        self.changes_nothing = changes_nothing
        self.report = report
        self.area = area

    @property
    def is_for_its_picture(self):
        # type: () -> bool
        """Whether it depends on the place in the picture, so that no LUT can hold it."""
        return "lut_size" not in self.origin and "lut_file" not in self.origin

    def place(self, area):
        # type: (Area) -> Optional[Dict[str, int]]
        """Return where an area of the layer lies in that which it was learned from.

        Returns:
            The field `place` of PROTOCOL.md; None if that is not known, or if the area goes beyond:
            only looks that do not depend on the place can be applied then.
        """
        if self.area is None or not is_inside(area, self.area):
            return None
        left, top, width, height = self.area
        return {"width": width, "height": height, "left": area[0] - left, "top": area[1] - top}

    def description(self):
        # type: () -> str
        """Return what the look is, in a few words."""
        if "lut_file" in self.origin and "lut_size" not in self.origin:  # curves or formulas
            return self.origin["lut_file"]
        if "lut_file" in self.origin:
            return _("{lut_file}, a LUT of {lut_size} nodes").format(**self.origin)
        return _("Learned with {model} {model_version} on {device}").format(**self.origin)


def place_in_small(learned, corner, scale, area):
    # type: (Area, Tuple[float, float], Tuple[float, float], Area) -> Dict[str, int]
    """Return where an area lies in what a look was learned from, both as small as on a screen.

    Args:
        learned: the area of a layer that the look was learned from, in its pixels.
        corner: x and y of the layer's upper left corner on the screen.
        scale: pixels of the screen for one of the layer, across and down.
        area: on the screen.

    Returns:
        The field `place` of PROTOCOL.md, in pixels of the screen; what goes beyond is cut off.
    """
    place = {}  # type: Dict[str, int]
    for axis, (size, start) in enumerate((("width", "left"), ("height", "top"))):
        begin = corner[axis] + learned[axis] * scale[axis]
        place[size] = max(area[axis + 2], _rounded(learned[axis + 2] * scale[axis]))
        place[start] = min(max(_rounded(area[axis] - begin), 0), place[size] - area[axis + 2])
    return place


def _rounded(number):
    # type: (float) -> int
    return int(math.floor(number + 0.5))  # noqa: RUF046 - a float in Python 2


def connect(progress):
    # type: (Progress) -> Client
    """Return a client of the daemon, which is started if none runs.

    Args:
        progress: called with a sentence and a fraction, 0..1.
    """
    begun = clock()

    def waiting(_text):
        # type: (object) -> None
        seconds = int(clock() - begun)
        if seconds < _QUICK_SECONDS:
            progress(_("Starting VAE Balance..."), 0.0)
        else:
            progress(_("Starting VAE Balance, {seconds} s...").format(seconds=seconds), 0.0)

    return Client.connect("GIMP", waiting=waiting)


@contextmanager
def plain_errors():
    # type: () -> Iterator[None]
    """Turn what the daemon or the disk refuses into a UserError."""
    try:
        yield
    except DaemonError as error:
        raise UserError(sentence(error.code, error.message, as_text(log_file())), error.code)
    except (IOError, OSError) as error:
        place = ": {}".format(as_text(error.filename)) if error.filename else ""
        reason = as_text(error.strerror or error)
        raise UserError(
            _("A file cannot be read or written: {reason}").format(reason=reason + place)
        )


def models_for(client, colors):
    # type: (Client, str) -> List[str]
    """Return the names of the models that can do something with photos of a kind.

    What cannot be asked, such as a damaged model, is named too: who chooses it is told what is
    wrong.

    Args:
        client: from `connect`.
        colors: "color" or "grey".
    """
    names = []
    for name in client.daemon["models"]:
        try:
            wanted = client.describe(name)["colors"]
        except DaemonError as error:
            if error.code not in (MODEL, MALFORMED):
                raise
            wanted = colors
        if wanted in (colors, "any"):
            names.append(name)
    return names


def wanted_part(client, model):
    # type: (Client, str) -> str
    """Return what a model wants to be shown of a layer, CENTRE or FRAME.

    Args:
        client: from `connect`.
        model: its name.
    """
    try:
        return client.describe(model)["proxy"]
    except DaemonError as error:
        if error.code != MALFORMED:
            raise
        return CENTRE  # the daemon was started before an update, and does not know the question


def shrink(client, picture, kind, progress):
    # type: (Client, Picture, str, Progress) -> bytes
    """Return the proxy of a picture, 224 x 224 RGB as float bytes.

    Args:
        client: from `connect`.
        picture: see above.
        kind: CENTRE, the square in the middle, or FRAME, the whole picture.
        progress: called with a sentence and a fraction, 0..1.
    """
    text = _("Looking at the layer...")

    def watched():
        # type: () -> Iterator[Strip]
        for first, rows, pixels in picture.strips():
            progress(text, first / picture.height)
            yield first, rows, pixels

    progress(text, 0.0)
    return client.make_proxy(
        watched(),
        picture.width,
        picture.height,
        picture.channels,
        picture.dtype,
        profile=picture.profile,
        kind=kind,
    )


def learn(client, proxy, settings, title, progress, area=None):
    # type: (Client, bytes, Settings, str, Progress, Optional[Area]) -> Look
    """Learn the look of a proxy.

    Args:
        client: from `connect`.
        proxy: from `shrink`.
        settings: a `Settings`.
        title: of the LUT file.
        progress: called with a sentence and a fraction, 0..1.
        area: of the layer that the proxy was made of.
    """

    def follow(message):
        # type: (Dict[str, Any]) -> None
        stage, done, total = message["stage"], message["done"], message["total"]
        if stage in _STAGES:
            text = _(_STAGES[stage])
        else:
            text = _("Learning, round {round} of {rounds}...").format(
                round=min(done + 1, total), rounds=total
            )
        progress(text, done / max(total, 1))

    answer = client.learn([proxy], on_progress=follow, **settings.learn_fields(title))
    origin = {
        "lut_sha256": answer["look"],
        "model": answer["model"],
        "model_version": answer["model_version"],
        "device": answer["device"],
        "learned_from": settings.learn_from,
        "version": client.daemon["version"],
    }
    if answer["size"] is not None:
        origin["lut_size"] = answer["size"]
    answered = ("model", "size")
    origin.update((name, settings.look[name]) for name in settings.look if name not in answered)
    # A daemon that was started before an update does not report.
    return Look(answer["look"], origin, answer["unchanged"], answer.get("report"), area)


def load(client, path, strength):
    # type: (Client, str, float) -> Look
    """Give the daemon a LUT file.

    Args:
        client: from `connect`.
        path: of a LUT file.
        strength: that it will be applied with, for its origin.
    """
    from .settings import check_lut_path, lut_format

    check_lut_path(path)
    with open(path, "rb") as file:
        content = file.read()
    name = as_text(os.path.basename(path))
    answer = client.import_lut(content, lut_format(path), name)
    origin = {
        "lut_sha256": answer["look"],
        "lut_file": name,
        "strength": float(strength),
        "version": client.daemon["version"],
    }
    if answer["size"] is not None:
        origin["lut_size"] = answer["size"]
    return Look(answer["look"], origin)


def apply(client, look, picture, strength, progress, place=None):
    # type: (Client, Look, Picture, float, Progress, Optional[Dict[str, int]]) -> Iterator[Strip]
    """Yield (first row, rows, bytes) of the picture with the look applied, in order.

    Args:
        client: from `connect`.
        look: from `learn` or `load`.
        picture: see above.
        strength: 1.0 for a look that was learned with its strength.
        progress: called with a sentence and a fraction, 0..1.
        place: from `Look.place`, of the picture.
    """
    text = _("Applying the look...")
    progress(text, 0.0)
    strips = client.apply_strips(
        look.name,
        picture.strips(),
        picture.width,
        picture.channels,
        picture.dtype,
        profile=picture.profile,
        strength=strength,
        place=place,
    )
    for first, rows, pixels in strips:
        yield first, rows, pixels
        progress(text, (first + rows) / picture.height)


def parasite_bytes(look):
    # type: (Look) -> bytes
    """Return what is attached to a layer, JSON: where its pixels come from."""
    return json.dumps(look.origin, sort_keys=True).encode("ascii")


def write_file(path, content):
    # type: (str, bytes) -> None
    """Write a file, wholly or not at all.

    Raises:
        UserError: it cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    # In Python 2, names of bytes that are not ASCII cannot be joined to text.
    prefix = b".vae-balance-" if isinstance(folder, bytes) else ".vae-balance-"
    temporary = None
    try:
        number, temporary = tempfile.mkstemp(prefix=prefix, dir=folder)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        _replace(temporary, path)
    except (IOError, OSError) as error:
        if temporary and os.path.exists(temporary):
            os.remove(temporary)
        raise UserError(
            _("\u201c{path}\u201d cannot be written: {reason}").format(
                path=as_text(path), reason=as_text(error.strerror or error)
            )
        )


def _umask():
    # type: () -> int
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _replace(source, target):
    # type: (str, str) -> None
    if hasattr(os, "replace"):
        os.replace(source, target)
        return
    if os.name == "nt" and os.path.exists(target):  # where Python 2 does not rename onto a file
        os.remove(target)
    os.rename(source, target)
