#!/usr/bin/env python3
"""VAE Balance for GIMP 3: gives photographs their colors back.

Three entries of the menus Filters > Color and Colors: "VAE Balance..." learns a look from a layer
and applies it, "VAE LUT..." applies a look that is there already, "Colorize Photo..." gives a grey
photo colors. The work is done by a
daemon of VAE Balance on this computer, which is started when it is needed.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, Gio, GLib, GObject

from vae_balance_gimp.arguments import (
    APPLIED_STRENGTH,
    BOOLEAN,
    COLORIZING,
    FIRST,
    INTEGER,
    LAST,
    NUMBER,
    Argument,
    look_of,
)
from vae_balance_gimp.settings import (
    LAYER,
    LUT_ONLY,
    OUTPUTS,
    REPLACE,
    Settings,
    check_argument,
    check_choice,
)
from vae_balance_gimp.texts import UserError, _, use_languages
from vae_balance_protocol.messages import LUT_FORMATS

BALANCE = "plug-in-vae-balance"
APPLY = "plug-in-vae-balance-apply-lut"
COLORIZE = "plug-in-vae-balance-colorize"
_HERE = Path(__file__).resolve().parent
_ICON = _HERE / "icons" / "vae-balance.png"
_FILE, _LAST = "file", "last"
_MENUS = ("<Image>/Filters/Color", "<Image>/Colors")
# GIMP sorts entries by path and name. To it this is a section that no menu has, which counts in
# sorting only: it brings "VAE Balance..." above "Colorize Photo...", so that Return opens it.
_TOP = "//[1]"
_BOTH = GObject.ParamFlags.READWRITE
# GIMP would silently take the default for a value out of an argument's range: we refuse it.
_ANY_INTEGER = (GLib.MININT32, GLib.MAXINT32)
_ANY_NUMBER = (-GLib.MAXDOUBLE, GLib.MAXDOUBLE)


class VaeBalance(Gimp.PlugIn):
    """The plug-in: what GIMP asks it."""

    def do_set_i18n(self, _name: str) -> bool:
        """Tell GIMP that the plug-in translates its texts itself."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Return the names of the procedures."""
        self.set_help_domain("vae-balance", Gio.File.new_for_path(str(_HERE / "help")))
        return [BALANCE, APPLY, COLORIZE]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Return a procedure with its arguments and its place in the menu."""
        use_languages(GLib.get_language_names())
        makers = {BALANCE: _balance_procedure, APPLY: _apply_procedure}
        return makers.get(name, _colorize_procedure)(self)


def _balance_procedure(plug_in: Gimp.PlugIn) -> Gimp.Procedure:
    procedure = _procedure(plug_in, BALANCE, _("VAE _Balance..."), _run_balance)
    procedure.set_documentation(
        _("Give a photo its colors back"),
        _(
            "A small network looks at a thumbnail of the layer and says what its colors should "
            "be. From that, one smooth function from color to color is learned, a look, and "
            "applied to the layer at its full size and precision. Everything happens on this "
            "computer. The arguments output and lut-file keep the look as a LUT file, too."
        ),
        BALANCE,
    )
    for argument in FIRST:
        _add(procedure, argument)
    procedure.add_string_argument(
        "learn-from", _("Learn _from"),
        _("What the networks look at, \u201clayer\u201d or \u201cselection\u201d; it is always the "
          "selected pixels that change"),
        LAYER, _BOTH,
    )  # fmt: skip
    procedure.add_string_argument(
        "output", _("Res_ult"),
        _("Where the result goes: \u201creplace\u201d, into the layer; \u201cnew-layer\u201d, "
          "above it, which hides it where it would be seen through; \u201clut\u201d, into a LUT "
          "file only"),
        REPLACE, _BOTH,
    )  # fmt: skip
    procedure.add_file_argument(
        "lut-file", _("LUT fil_e"),
        _("The look as a LUT for other programs: .cube, or .png for a Hald picture. "
          "Leave it empty for none; an existing file is overwritten"),
        Gimp.FileChooserAction.SAVE, True, None, _BOTH,
    )  # fmt: skip
    for argument in LAST:
        _add(procedure, argument)
    return procedure


def _apply_procedure(plug_in: Gimp.PlugIn) -> Gimp.Procedure:
    procedure = _procedure(plug_in, APPLY, _("VAE _LUT..."), _run_apply)
    procedure.set_documentation(
        _("Apply a LUT file, or the look learned last"),
        _(
            "Applies a LUT of sRGB colors, from a file of any program or from VAE Balance, to the "
            "layer at its full precision: the same look on the next scan."
        ),
        APPLY,
    )
    procedure.add_string_argument(
        "source", _("Loo_k"),
        _("Which look is applied: \u201cfile\u201d, of the LUT file, or \u201clast\u201d, "
          "learned last"),
        _FILE, _BOTH,
    )  # fmt: skip
    procedure.add_file_argument(
        "lut-file", _("LUT fil_e"),
        _("A LUT file ({suffixes}); a .png is a Hald picture").format(
            suffixes=", ".join(sorted(LUT_FORMATS))
        ),
        Gimp.FileChooserAction.OPEN, True, None, _BOTH,
    )  # fmt: skip
    _add(procedure, APPLIED_STRENGTH)
    procedure.add_string_argument(
        "output", _("Res_ult"),
        _("Where the result goes: \u201creplace\u201d, into the layer, or \u201cnew-layer\u201d, "
          "above it, which hides it where it would be seen through"),
        REPLACE, _BOTH,
    )  # fmt: skip
    return procedure


def _colorize_procedure(plug_in: Gimp.PlugIn) -> Gimp.Procedure:
    procedure = _procedure(plug_in, COLORIZE, _("Colori_ze Photo..."), _run_colorize)
    procedure.set_documentation(
        _("Give a grey photo colors"),
        _(
            "A small network sees the lightness of the layer and guesses what colors it had: those "
            "of skin, sky and grass mostly come out right. The lightness stays as it is. "
            "Everything happens on this computer. A grayscale image becomes RGB."
        ),
        COLORIZE,
    )
    for argument in COLORIZING:
        _add(procedure, argument)
    procedure.add_string_argument(
        "output", _("Res_ult"),
        _("Where the result goes: \u201creplace\u201d, into the layer, or \u201cnew-layer\u201d, "
          "above it, which hides it where it would be seen through"),
        REPLACE, _BOTH,
    )  # fmt: skip
    return procedure


def _procedure(
    plug_in: Gimp.PlugIn, name: str, label: str, run: Callable[..., Any]
) -> Gimp.Procedure:
    kind = Gimp.PDBProcType.PLUGIN
    procedure = Gimp.ImageProcedure.new(plug_in, name, kind, _guarded(run), None)
    # While a layer's mask is selected, which is of gray, the entries work on the layer.
    procedure.set_image_types("RGB*, GRAY*" if name == COLORIZE else "RGB*, GRAY")
    procedure.set_sensitivity_mask(
        Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES
    )
    procedure.set_menu_label(label)
    for menu in _MENUS:
        procedure.add_menu_path(menu + (_TOP if name == BALANCE else ""))
    procedure.set_attribution("VAE Balance", "VAE Balance, MIT License", "2026")
    procedure.set_icon_file(Gio.File.new_for_path(str(_ICON)))
    return procedure


def _add(procedure: Gimp.Procedure, argument: Argument) -> None:
    """Give a procedure an argument of the table of options."""
    texts = [argument.name, argument.label(), argument.help()]
    if argument.bounds is not None:
        texts[2] += " ({}\u2013{})".format(*argument.bounds)
    if argument.kind == BOOLEAN:
        procedure.add_boolean_argument(*texts, argument.default, _BOTH)
    elif argument.kind == INTEGER:
        procedure.add_int_argument(*texts, *_ANY_INTEGER, argument.default, _BOTH)
    elif argument.kind == NUMBER:
        procedure.add_double_argument(*texts, *_ANY_NUMBER, argument.default, _BOTH)
    else:
        procedure.add_string_argument(*texts, argument.default, _BOTH)


def _guarded(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a procedure's function that answers GIMP whatever happens in it."""

    def guarded(procedure: Gimp.Procedure, *arguments: Any) -> Gimp.ValueArray:
        try:
            done = run(procedure, *arguments)
        except UserError as error:
            return _failed(procedure, error.message)
        except Exception as error:
            traceback.print_exc()
            text = _("VAE Balance has a defect: {message}. The image is as it was.")
            return _failed(procedure, text.format(message=f"{type(error).__name__}: {error}"))
        status = Gimp.PDBStatusType.SUCCESS if done else Gimp.PDBStatusType.CANCEL
        return procedure.new_return_values(status, None)

    return guarded


def _failed(procedure: Gimp.Procedure, message: str) -> Gimp.ValueArray:
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), message, 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


def _run_balance(
    procedure: Gimp.Procedure,
    mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    _data: Any,
) -> bool:
    from layers import Image, Layer
    from vae_balance_gimp.balancing import balance, last_look_path
    from vae_balance_gimp.checks import check_layers, check_visible

    picture, layers = Image(image), [Layer(drawable) for drawable in drawables]
    if mode == Gimp.RunMode.INTERACTIVE:
        from dialogs import ask_balance

        check_layers(picture, layers, LUT_ONLY)
        check_visible(layers)
        _begin_dialog()
        if not ask_balance(procedure, config, layers, _settings):
            return False
    last_look = last_look_path(Gimp.directory())
    progress = _Progress(_("VAE Balance..."))
    settings = _settings(config)
    # Whoever sits before the screen is told; a script would take the file for the look.
    settings.average_lut = mode != Gimp.RunMode.NONINTERACTIVE
    _tell(balance(picture, layers, settings, last_look, progress))
    return True


def _run_apply(
    procedure: Gimp.Procedure,
    mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    _data: Any,
) -> bool:
    from layers import Image, Layer
    from vae_balance_gimp.balancing import apply_lut
    from vae_balance_gimp.checks import check_layers, check_visible

    picture, layers = Image(image), [Layer(drawable) for drawable in drawables]
    if mode == Gimp.RunMode.INTERACTIVE:
        from dialogs import ask_apply

        check_layers(picture, layers, LUT_ONLY)
        check_visible(layers)
        _begin_dialog()
        if not ask_apply(procedure, config, layers, _lut_path):
            return False
    strength, output = config.get_property("strength"), config.get_property("output")
    progress = _Progress(_("Apply LUT..."))
    _tell(apply_lut(picture, layers, _lut_path(config), strength, output, progress))
    return True


def _run_colorize(
    procedure: Gimp.Procedure,
    mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    _data: Any,
) -> bool:
    from grayscale import copy_in_color, give_colors, is_grayscale
    from layers import Image, Layer

    def colorize(picture: Image, layers: list[Layer], output: str) -> list[str]:
        from vae_balance_gimp.balancing import balance

        settings = _color_settings(config)
        settings.check_values()
        settings.output = output
        return balance(picture, layers, settings, None, _Progress(_("Colorize Photo...")))

    layers = [Layer(drawable) for drawable in drawables]
    if not is_grayscale(image):
        picture = Image(image)
        if mode == Gimp.RunMode.INTERACTIVE and not _asked(procedure, config, picture, layers, ""):
            return False
        _tell(colorize(picture, layers, _color_settings(config).output))
        return True
    becomes = _("The image is grayscale: it becomes RGB, in the same step to undo.")
    with copy_in_color(image, layers) as (copy, twins):
        if mode == Gimp.RunMode.INTERACTIVE and not _asked(procedure, config, copy, twins, becomes):
            return False
        output = _color_settings(config).output
        _tell(give_colors(image, layers, copy, twins, colorize, output))
    return True


def _asked(
    procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, image: Any, layers: Any, note: str
) -> bool:
    """Ask how to colorize layers; return whether to do it."""
    from dialogs import ask_colorize
    from vae_balance_gimp.checks import check_layers, check_visible

    check_layers(image, layers, LUT_ONLY)
    check_visible(layers)
    _begin_dialog()
    return ask_colorize(procedure, config, layers, _color_settings, note)


def _color_settings(config: Gimp.ProcedureConfig) -> Settings:
    output = config.get_property("output") or ""
    check_choice("output", output, OUTPUTS)
    return Settings(
        output=output,
        arguments=COLORIZING,
        **look_of(config.get_property, COLORIZING),
    )


def _tell(notes: list[str]) -> None:
    """Show the result, and say what there is to say about it."""
    Gimp.displays_flush()
    if notes:
        Gimp.message("\n".join(notes))


def _begin_dialog() -> None:
    gi.require_version("Gtk", "3.0")
    gi.require_version("GimpUi", "3.0")
    from gi.repository import Gtk

    # GIMP's own start of dialogs would end this process, and the caller would hear nothing.
    if not Gtk.init_check([])[0]:
        raise UserError(
            _("There is no screen for a dialog: call the procedure with run mode NONINTERACTIVE.")
        )
    from gi.repository import GimpUi

    GimpUi.init("vae-balance")


def _settings(config: Gimp.ProcedureConfig) -> Settings:
    return Settings(
        learn_from=config.get_property("learn-from") or "",
        output=config.get_property("output") or "",
        lut_file=_path(config.get_property("lut-file")),
        **look_of(config.get_property),
    )


def _lut_path(config: Gimp.ProcedureConfig) -> str:
    from vae_balance_gimp.balancing import last_look_path

    source = config.get_property("source") or ""
    check_choice("source", source, (_FILE, _LAST))
    check_argument(APPLIED_STRENGTH, config.get_property("strength"))
    check_choice("output", config.get_property("output") or "", OUTPUTS)
    if source == _LAST:
        path = last_look_path(Gimp.directory())
        if not Path(path).exists():
            raise UserError(_("No look has been learned yet: choose a LUT file."))
        return path
    path = _path(config.get_property("lut-file"))
    if path is None:
        raise UserError(_("Choose the LUT file to apply."))
    return path


def _path(file: Gio.File | None) -> str | None:
    if file is None:
        return None
    path = file.get_path()
    if path is None:
        raise UserError(
            _("\u201c{uri}\u201d is not on this computer: choose a local file.").format(
                uri=file.get_uri()
            )
        )
    return path


class _Progress:
    """GIMP's progress bar."""

    def __init__(self, title: str) -> None:
        Gimp.progress_init(title)
        self._text = title

    def __call__(self, text: str, fraction: float) -> None:
        if text != self._text:
            Gimp.progress_set_text(text)
            self._text = text
        Gimp.progress_update(fraction)


Gimp.main(VaeBalance.__gtype__, sys.argv)
