"""The two dialogs: a preview, and below it the controls of a procedure's arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gimp, GimpUi, Gtk

from controls import LutFile, Rows
from layers import Image, Layer
from presets import Presets
from preview import Preview, ProxyOf, Wanted
from vae_balance_gimp import work
from vae_balance_gimp.arguments import WORD
from vae_balance_gimp.balancing import (
    advice_on_nothing,
    learn_picture,
    note_on_average,
    nothing_to_correct,
)
from vae_balance_gimp.checks import check_layers
from vae_balance_gimp.settings import (
    LAYER,
    LUT_ONLY,
    NEW_LAYER,
    REPLACE,
    SELECTION,
    Settings,
)
from vae_balance_gimp.texts import UserError, _
from vae_balance_protocol.options import COLOR_MODEL, DROP, KEEP, MODEL, MOST_ITERATIONS

# A change of these asks for no other look.
_NOT_LEARNED = ("output", "lut-file", "lut-size", "run-mode")
_TOGGLE_KEYS = (Gdk.KEY_b, Gdk.KEY_B)
_RETURN_KEYS = (Gdk.KEY_Return, Gdk.KEY_KP_Enter, Gdk.KEY_ISO_Enter)


def ask_balance(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    layers: list[Layer],
    settings_of: Callable[[Gimp.ProcedureConfig], Settings],
) -> bool:
    """Let the user choose how to balance; return whether to do it.

    Args:
        procedure: whose arguments the controls are.
        config: the arguments, which the controls change.
        layers: what is selected; the preview shows the first.
        settings_of: returns the settings that the arguments stand for.
    """
    layer = layers[0]
    image = Image(layer.drawable.get_image())

    def wanted() -> Wanted:
        settings = settings_of(config)
        settings.check_values()
        settings.check_source(image.has_selection)

        def find(client: work.Client, proxy: ProxyOf, progress: Any) -> work.Look:
            part = work.wanted_part(client, settings.look["model"])
            made, area = proxy(settings.learn_from, part)
            return work.learn(client, made, settings, "", progress, area)

        return Wanted(find)

    def check() -> None:
        settings = settings_of(config)
        settings.check(len(layers), image.has_selection)
        check_layers(image, layers, settings.output)

    def advise(look: work.Look) -> tuple[str, bool]:
        writes_file = settings_of(config).lut_file is not None
        if writes_file and look.is_for_its_picture:
            return note_on_average(), True
        if not look.changes_nothing or len(layers) > 1 or writes_file:
            return "", True
        if look.origin["strength"] == 0.0:
            return nothing_to_correct(layer.name, look), False
        return advice_on_nothing(look), False

    dialog = _Dialog(procedure, config, _("VAE Balance"), _("_Balance"), check, advise)
    models = _Models(config)
    preview = Preview(
        layer, wanted, partial(config.get_property, "output"), partial(learn_picture, layer),
        models.set_known, dialog.show_look,
    )  # fmt: skip
    rows = Rows(procedure, config)
    # Strength leads; what else the table of options has is for those who look for it.
    rows.add_scale("strength", 2)
    rows.add_buttons("output", _outputs(LUT_ONLY))
    lut_file = LutFile(config, True, layer.name)
    more = Rows(procedure, config)
    rows.add_titled(_("_Preset"), Presets(config), tip=_("Values that belong together"))
    rows.add_list("learn-from", [(LAYER, _("Whole layer")), (SELECTION, _("Selection"))])
    more.add_list("iterations", _counts(), _("_Iterations"))
    more.add("model", models)
    more.add("lut-file", lut_file, lut_file.entry)
    more.add_number("lut-size")
    dialog.fill(preview, rows, more)
    config.connect("notify::output", lambda *_changed: dialog.unfold(config))
    dialog.unfold(config)
    return dialog.ask()


def ask_colorize(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    layers: list[Layer],
    settings_of: Callable[[Gimp.ProcedureConfig], Settings],
    note: str,
) -> bool:
    """Let the user choose how to colorize; return whether to do it.

    Args:
        procedure: whose arguments the controls are.
        config: the arguments, which the controls change.
        layers: what is selected; the preview shows the first.
        settings_of: returns the settings that the arguments stand for.
        note: what happens beside; "" for nothing.
    """
    layer = layers[0]
    image = Image(layer.drawable.get_image())

    def wanted() -> Wanted:
        settings = settings_of(config)
        settings.check_values()

        def find(client: work.Client, proxy: ProxyOf, progress: Any) -> work.Look:
            part = work.wanted_part(client, settings.look["model"])
            made, area = proxy(LAYER, part)
            return work.learn(client, made, settings, "", progress, area)

        return Wanted(find)

    def check() -> None:
        settings = settings_of(config)
        settings.check(len(layers), image.has_selection)
        check_layers(image, layers, settings.output)

    dialog = _Dialog(procedure, config, _("Colorize Photo"), _("Colori_ze"), check)
    models = _Models(config, COLOR_MODEL.default)
    preview = Preview(
        layer, wanted, partial(config.get_property, "output"), partial(learn_picture, layer),
        models.set_known, dialog.show_look, "grey",
    )  # fmt: skip
    rows = Rows(procedure, config)
    rows.add_scale("strength", 2)
    rows.add_buttons("output", _outputs())
    rows.add_list("tone", [(DROP, _("Drop")), (KEEP, _("Keep"))])
    rows.add("model", models)
    rows.add_switch("any-colors")
    dialog.fill(preview, rows, note=note)
    return dialog.ask()


def ask_apply(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    layers: list[Layer],
    path_of: Callable[[Gimp.ProcedureConfig], str],
) -> bool:
    """Let the user choose a LUT to apply; return whether to do it.

    Args:
        procedure: whose arguments the controls are.
        config: the arguments, which the controls change.
        layers: what is selected; the preview shows the first.
        path_of: returns the LUT file that the arguments stand for, or raises UserError.
    """
    layer = layers[0]
    image = Image(layer.drawable.get_image())

    def wanted() -> Wanted:
        path, strength = path_of(config), config.get_property("strength")

        def find(client: work.Client, _proxy: Any, _progress: Any) -> work.Look:
            return work.load(client, path, strength)

        return Wanted(find, strength)

    def check() -> None:
        path_of(config)
        check_layers(image, layers, config.get_property("output"))

    dialog = _Dialog(procedure, config, _("Apply LUT"), _("_Apply"), check)
    preview = Preview(
        layer, wanted, partial(config.get_property, "output"), partial(learn_picture, layer),
        on_look=dialog.show_look,
    )  # fmt: skip
    rows = Rows(procedure, config)
    rows.add_buttons("source", [("file", _("LUT file")), ("last", _("Look learned last"))])
    lut_file = LutFile(config, False)
    rows.add("lut-file", lut_file, lut_file.entry, wide=True)
    rows.add_scale("strength", 2)
    rows.add_buttons("output", _outputs())

    def show_source(*_changed: Any) -> None:
        lut_file.set_sensitive(config.get_property("source") == "file")

    config.connect("notify::source", show_source)
    show_source()
    dialog.fill(preview, rows)
    return dialog.ask()


def _counts() -> list[tuple[str, str]]:
    """Return numbers of iterations; the first is as many as the picture needs."""
    counts = [(str(WORD), _("Automatic"))]
    return counts + [(str(count), str(count)) for count in range(1, MOST_ITERATIONS + 1)]


def _outputs(*more: str) -> list[tuple[str, str]]:
    texts = {
        REPLACE: _("Replace the layer\u2019s pixels"),
        NEW_LAYER: _("New layer above"),
        LUT_ONLY: _("LUT file only"),
    }
    return [(output, texts[output]) for output in (REPLACE, NEW_LAYER, *more)]


def _indent(widget: Gtk.Widget) -> None:
    """Begin and end a row where the buttons below it do."""
    widget.set_margin_start(12)
    widget.set_margin_end(12)


def _buttons_for_values(content: Gtk.Box) -> list[Gtk.ButtonBox]:
    """Return GIMP's rows of buttons that save and load values."""
    return [child for child in content.get_children() if isinstance(child, Gtk.ButtonBox)]


def _is_pressed_by_return(widget: Gtk.Widget | None) -> bool:
    """Tell whether the return key is for a control itself: for buttons, not for what has values."""
    is_button = isinstance(widget, Gtk.Button) and not isinstance(widget, Gtk.RadioButton)
    return is_button and widget.get_ancestor(Gtk.ComboBox) is None


class _Dialog:
    """GIMP's dialog of a procedure, whose button can be pressed when it can succeed."""

    def __init__(
        self,
        procedure: Gimp.Procedure,
        config: Gimp.ProcedureConfig,
        title: str,
        button: str,
        check: Callable[[], None],
        advise: Callable[[work.Look], tuple[str, bool]] = lambda look: ("", True),
    ) -> None:
        self._config, self._check, self._advise = config, check, advise
        self._look: work.Look | None = None
        self._more: Gtk.Expander | None = None
        self._preview: Preview | None = None
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, title)
        self._dialog.set_ok_label(button)
        self._dialog.set_default_response(Gtk.ResponseType.OK)
        self._dialog.set_resizable(False)
        icon = Path(__file__).with_name("icons") / "vae-balance.png"
        if icon.exists():
            self._dialog.set_icon_from_file(str(icon))
        self._reason = Gtk.Label(xalign=0.0, wrap=True, max_width_chars=70, no_show_all=True)
        self._reason.get_style_context().add_class("warning")
        # To be copied, but never in the way of the tab key.
        self._reason.set_selectable(True)
        self._reason.set_can_focus(False)

    def fill(self, preview: Preview, rows: Rows, more: Rows | None = None, note: str = "") -> None:
        """Put the preview, the controls, those for advanced users and a note into the dialog."""
        self._preview = preview
        # Above and below, the dialog's own border is enough: a laptop's screen is low.
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        _indent(box)
        box.pack_start(preview, False, False, 0)
        box.pack_start(rows.grid, False, False, 0)
        if more is not None:
            self._more = Gtk.Expander(label=_("A_dvanced"), use_underline=True)
            more.grid.set_margin_start(12)
            more.grid.set_margin_top(6)
            self._more.add(more.grid)
            box.pack_start(self._more, False, False, 0)
        if note:
            box.pack_start(Gtk.Label(label=note, xalign=0.0, wrap=True), False, False, 0)
        box.pack_start(self._reason, False, False, 0)
        box.show_all()
        content = self._dialog.get_content_area()
        for buttons in _buttons_for_values(content):
            if more is None:
                _indent(buttons)
            else:  # presets do what they would, and need no row
                buttons.set_no_show_all(True)
                buttons.hide()
        content.pack_start(box, False, False, 0)

    def unfold(self, config: Gimp.ProcedureConfig) -> None:
        """Show the advanced controls when one of them has to be set."""
        if self._more is not None and config.get_property("output") == LUT_ONLY:
            self._more.set_expanded(True)

    def show_look(self, look: work.Look | None) -> None:
        """Take the look that is shown."""
        self._look = look
        if self._preview is not None:
            self._renew()

    def ask(self) -> bool:
        """Show the dialog until it is closed; return whether its button was pressed."""

        def changed(_config: Gimp.ProcedureConfig, spec: Any) -> None:
            if spec.name not in _NOT_LEARNED:
                self._preview.renew()
            elif spec.name == "output":
                self._preview.renew_place()
            self._renew()

        handler = self._config.connect("notify", changed)
        self._dialog.connect("key-press-event", self._on_key)
        self._renew()
        try:
            return bool(self._dialog.run())
        finally:
            self._config.disconnect(handler)
            self._preview.stop()
            self._dialog.destroy()

    def _renew(self) -> None:
        """Tell why the button cannot be pressed, if so, and what there is to say of the look."""
        reason, is_useful = self._preview.refusal, True
        try:
            self._check()
            if self._look is not None:
                advice, is_useful = self._advise(self._look)
                self._preview.show_advice(advice)
        except UserError as error:
            reason = error.message
        self._reason.set_text(reason)
        self._reason.set_visible(reason not in ("", self._preview.error))
        self._dialog.set_response_sensitive(Gtk.ResponseType.OK, is_useful and not reason)

    def _on_key(self, dialog: Any, event: Any) -> bool:
        focus = dialog.get_focus()
        if event.keyval in _RETURN_KEYS and not _is_pressed_by_return(focus):
            button = dialog.get_widget_for_response(Gtk.ResponseType.OK)
            if button.get_sensitive():
                button.clicked()
            return True
        types_text = isinstance(focus, Gtk.Entry) and not isinstance(focus, Gtk.SpinButton)
        modifiers = Gdk.ModifierType.CONTROL_MASK | Gdk.ModifierType.MOD1_MASK
        if event.keyval in _TOGGLE_KEYS and not types_text and not event.state & modifiers:
            self._preview.toggle()
            return True
        return False


class _Models(Gtk.ComboBoxText):
    """A list of models, with a last entry that asks for the folder of another one."""

    _FOLDER = "..."  # which no model is called

    def __init__(self, config: Gimp.ProcedureConfig, standard: str = MODEL.default) -> None:
        super().__init__()
        self._config, self._standard = config, standard
        self._known = [standard]
        self._handler = self.connect("changed", self._choose)
        config.connect("notify::model", lambda *_changed: self._fill())
        self._fill()

    def set_known(self, models: list[str]) -> None:
        """Offer these models, and the one that is chosen."""
        self._known = models
        self._fill()

    def _fill(self) -> None:
        chosen = self._config.get_property("model")
        with self.handler_block(self._handler):
            self.remove_all()
            for model in dict.fromkeys([*self._known, chosen]):
                self.append(model, _("Standard") if model == self._standard else model)
            self.append(self._FOLDER, _("Another model\u2019s folder..."))
            self.set_active_id(chosen)

    def _choose(self, combo: Gtk.ComboBoxText) -> None:
        chosen = combo.get_active_id()
        if chosen == self._FOLDER:
            chosen = self._ask_folder() or self._config.get_property("model")
            self._config.set_property("model", chosen)
            self._fill()
        elif chosen:
            self._config.set_property("model", chosen)

    def _ask_folder(self) -> str | None:
        chooser = Gtk.FileChooserDialog(
            title=_("Folder of a model"),
            transient_for=self.get_toplevel(),
            action=Gtk.FileChooserAction.SELECT_FOLDER,
        )
        chooser.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        chooser.add_button(_("_Open"), Gtk.ResponseType.ACCEPT)
        accepted = chooser.run() == Gtk.ResponseType.ACCEPT
        folder = chooser.get_filename() if accepted else None
        chooser.destroy()
        return folder
