#!/usr/bin/env python2
"""VAE Balance for GIMP 2.10: gives photographs their colors back.

Three entries of the menus Filters > Color and Colors: "VAE Balance..." learns a look from a layer
and applies it, "VAE LUT..." applies a look that is there already, "Colorize Photo..." gives a grey
photo colors. The work is done by a daemon of VAE Balance on this computer, which is started when it
is needed.
"""

from __future__ import absolute_import

import os
import sys
import traceback

import gimp
import gimpenums
import gimpfu

from grayscale import give_colors, is_grayscale
from layers import Image, Layer, as_native, as_path, as_unicode
from vae_balance_gimp import balancing, texts
from vae_balance_gimp.arguments import (
    APPLIED_STRENGTH,
    BOOLEAN,
    COLORIZING,
    FIRST,
    INTEGER,
    LAST,
    TEXT,
    look_of,
)
from vae_balance_gimp.settings import LAYER, LUT_ONLY, NEW_LAYER, REPLACE, SELECTION, Settings
from vae_balance_gimp.texts import N_, UserError, _

BALANCE = "plug-in-vae-balance"
APPLY = "plug-in-vae-balance-apply-lut"
COLORIZE = "plug-in-vae-balance-colorize"
_FILE, _LAST = "file", "last"
_MENU = "<Image>/Filters/Color"
# GIMP sorts a menu by name. A submenu that plug-ins have made keeps a place above all entries. Its
# name is Menus, as is that of the place in Filters that has "Color" in it. "VAE Balance..." stands
# there, not below "Colorize Photo...", so that Return opens it.
_TOP = "<Image>/Filters/Menus/Color/Menus"
_OUTPUTS = ((N_(u"Replace the layer\u2019s pixels"), REPLACE), (N_("New layer above"), NEW_LAYER))
_BALANCE_OUTPUTS = _OUTPUTS + ((N_("LUT file only"), LUT_ONLY),)
_SOURCES = ((N_("Whole layer"), LAYER), (N_("Selection"), SELECTION))
_run_mode = [gimpenums.RUN_NONINTERACTIVE]  # of this call, of which gimpfu does not tell
_LOOKS = ((N_("LUT file"), _FILE), (N_("Look learned last"), _LAST))


def register_all():
    """Tell GIMP of both procedures."""
    texts.use_languages()
    _register(
        BALANCE,
        N_("VAE _Balance..."),
        N_("Give a photo its colors back"),
        [_option(argument) for argument in FIRST]
        + [
            _choice("learn-from", _("Learn _from"), LAYER, _SOURCES),
            _choice("output", _("Res_ult"), REPLACE, _BALANCE_OUTPUTS),
            _value(gimpfu.PF_FILENAME, "lut-file", _("LUT fil_e"), ""),
        ]
        + [_option(argument) for argument in LAST],
        balance,
        menu=_TOP,
    )
    _register(
        APPLY,
        N_("VAE _LUT..."),
        N_("Apply a LUT file, or the look learned last"),
        [
            _choice("source", _("Loo_k"), _FILE, _LOOKS),
            _value(gimpfu.PF_FILE, "lut-file", _("LUT fil_e"), ""),
            _option(APPLIED_STRENGTH),
            _choice("output", _("Res_ult"), REPLACE, _OUTPUTS),
        ],
        apply_lut,
        menu=_TOP,
    )
    _register(
        COLORIZE,
        N_("Colori_ze Photo..."),
        N_("Give a grey photo colors"),
        [_option(argument) for argument in COLORIZING]
        + [_choice("output", _("Res_ult"), REPLACE, _OUTPUTS)],
        colorize,
        images="RGB*, GRAY*",
    )


def balance(image, drawable, *values):
    """Learn a look from a layer and apply it, or write it as a LUT file.

    Args:
        image: a `gimp.Image`.
        drawable: the selected layer.
        *values: of the arguments `FIRST`; learn-from ("layer" or "selection"); output ("replace",
            "new-layer" or "lut"); lut-file (path of a LUT file to write, "" for none); of `LAST`.

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    learn_from, output, lut_file = values[len(FIRST) : -len(LAST)]
    options = values[: len(FIRST)] + values[-len(LAST) :]
    look = dict(zip((argument.name for argument in FIRST + LAST), options))
    settings = Settings(
        learn_from=_chosen("learn-from", learn_from, _SOURCES),
        output=_chosen("output", output, _BALANCE_OUTPUTS),
        lut_file=as_path(lut_file) or None,
        **look_of(lambda name: as_unicode(look[name]))
    )
    # Whoever sits before the screen is told; a script would take the file for the look.
    settings.average_lut = _run_mode[0] != gimpenums.RUN_NONINTERACTIVE
    progress = _Progress(_("VAE Balance..."))
    notes = balancing.balance(Image(image), [Layer(drawable)], settings, _last_look(), progress)
    _tell(notes)


def apply_lut(image, drawable, source, lut_file, strength, output):
    """Apply a LUT file, or the look learned last, to a layer.

    Args:
        image: a `gimp.Image`.
        drawable: the selected layer.
        source: "file" or "last".
        lut_file: path of a .cube file or a Hald picture; not looked at if `source` is "last".
        strength: 0.0 to 1.5.
        output: "replace" or "new-layer".

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    if _chosen("source", source, _LOOKS) == _LAST:
        path = _last_look()
        if not os.path.exists(path):
            raise UserError(_("No look has been learned yet: choose a LUT file."))
    else:
        path = as_path(lut_file)
        if not path:
            raise UserError(_("Choose the LUT file to apply."))
    output = _chosen("output", output, _OUTPUTS)
    progress = _Progress(_("Apply LUT..."))
    notes = balancing.apply_lut(Image(image), [Layer(drawable)], path, strength, output, progress)
    _tell(notes)


def colorize(image, drawable, *values):
    """Give a layer of a grey photo colors; a grayscale image becomes RGB.

    Args:
        image: a `gimp.Image`.
        drawable: the selected layer.
        *values: of the arguments `COLORIZING`; output ("replace" or "new-layer").

    Raises:
        UserError: it could not be done, and the image is as it was.
    """
    output = _chosen("output", values[-1], _OUTPUTS)
    look = dict(zip((argument.name for argument in COLORIZING), values[:-1]))
    options = look_of(lambda name: as_unicode(look[name]), COLORIZING)

    def work(picture, layer, output):
        settings = Settings(output=output, arguments=COLORIZING, **options)
        progress = _Progress(_("Colorize Photo..."))
        return balancing.balance(picture, [layer], settings, None, progress)

    layer = Layer(drawable)
    if is_grayscale(image):
        _tell(give_colors(image, layer, work, output))
    else:
        _tell(work(Image(image), layer, output))


def run(name, params):
    """Do what GIMP asks for; `gimpfu` shows the dialog.

    Args:
        name: of the procedure.
        params: run mode, image, drawable and, unless the run mode is interactive, the rest.
    """
    _run_mode[0] = params[0]
    if params[0] == gimpenums.RUN_WITH_LAST_VALS:
        # gimpfu fails on these when there was no interactive run before.
        last = gimpfu._get_defaults(name)
        params = (gimpenums.RUN_NONINTERACTIVE,) + tuple(params[1:3]) + tuple(last[2:])
    # A traceback on stderr is all that GIMP makes of an exception; `_guarded` has said more.
    sys.excepthook = lambda *_error: None
    return gimpfu._run(name, params)


def _register(name, label, blurb, params, function, menu=_MENU, images="RGB*, GRAY"):
    domain = (texts.DOMAIN, texts.FOLDER)  # in which GIMP finds the label and gimpfu the blurb
    layer = [
        (gimpfu.PF_IMAGE, "image", "Image", None),
        (gimpfu.PF_DRAWABLE, "drawable", "Layer", None),
    ]
    gimpfu.register(
        name, as_native(blurb), as_native(blurb), "VAE Balance",
        "VAE Balance, MIT License", "2026", as_native(label), images,
        layer + params, [], _guarded(function), menu=menu, domain=domain,
    )  # fmt: skip


def _option(argument):
    """Return an argument of the table of options."""
    name = as_native(argument.name)
    if argument.kind == TEXT:
        return _value(gimpfu.PF_STRING, name, argument.label(), argument.default)
    if argument.kind == BOOLEAN:
        return (gimpfu.PF_TOGGLE, name, as_native(argument.label()), argument.default)
    is_whole = argument.kind == INTEGER
    widget, step = (gimpfu.PF_SPINNER, 1) if is_whole else (gimpfu.PF_SLIDER, 0.05)
    bounds = argument.bounds + (step,)
    return (widget, name, as_native(argument.label()), argument.default, bounds)


def _value(kind, name, label, default):
    return (kind, name, as_native(label), as_native(default))


def _choice(name, label, default, choices):
    shown = tuple((as_native(_(text)), as_native(value)) for text, value in choices)
    return (gimpfu.PF_RADIO, name, as_native(label), as_native(default), shown)


def _chosen(name, value, choices):
    """Return one of a few values; scripts may give any."""
    known = [known for _text, known in choices]
    if as_unicode(value) not in known:
        message = u"{} is \u201c{}\u201d: it must be one of {}"
        raise UserError(message.format(name, as_unicode(value), ", ".join(known)))
    return as_unicode(value)


def _guarded(function):
    """Return a procedure's function that says in a sentence what went wrong, and then fails."""

    def guarded(*arguments):
        try:
            function(*arguments)
            return
        except UserError as error:
            message = error.message
        except Exception as error:
            traceback.print_exc()
            text = _("VAE Balance has a defect: {message}. The image is as it was.")
            message = text.format(message=u"{}: {!r}".format(type(error).__name__, error))
        gimp.message(as_native(message))
        # Which ends gimpfu's dialog; to a script it is a failure as any other exception.
        raise gimpfu.CancelError

    return guarded


def _tell(notes):
    """Show the result, and say what there is to say about it."""
    gimp.displays_flush()
    if notes:
        gimp.message(as_native(u"\n".join(notes)))


def _last_look():
    return balancing.last_look_path(as_unicode(gimp.directory))


class _Progress(object):
    """GIMP's progress bar."""

    def __init__(self, title):
        gimp.progress_init(as_native(title))
        self._text = title

    def __call__(self, text, fraction):
        if text != self._text:
            gimp.pdb.gimp_progress_set_text(as_native(text))
            self._text = text
        gimp.progress_update(fraction)


def query():
    """Tell GIMP what there is; gimpfu knows one place in the menu for each."""
    gimpfu._query()
    for name in (BALANCE, APPLY, COLORIZE):
        gimp.menu_register(name, "<Image>/Colors")


register_all()
gimp.main(None, None, query, run)
