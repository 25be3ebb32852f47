"""The two dialogs: GIMP's own controls of a procedure's arguments, below a preview."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GimpUi, GObject, Gtk

from layers import Layer
from preview import Preview, Wanted
from vae_balance_gimp import work
from vae_balance_gimp.arguments import FIRST, LAST, NUMBER, TEXT
from vae_balance_gimp.balancing import learn_picture
from vae_balance_gimp.settings import Settings
from vae_balance_gimp.texts import _

# The values of these are not seen in the preview.
_NOT_SHOWN = ("output", "lut-file", "lut-size", "run-mode")


def ask_balance(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    layer: Layer,
    settings_of: Callable[[Gimp.ProcedureConfig], Settings],
) -> bool:
    """Let the user choose how to balance; return whether to do it.

    Args:
        procedure: whose arguments the controls are.
        config: the arguments, which the controls change.
        layer: what the preview shows.
        settings_of: returns the settings that the arguments stand for.
    """

    def wanted() -> Wanted:
        settings = settings_of(config)
        settings.check_source(not Gimp.Selection.is_empty(layer.drawable.get_image()))

        def find(client: work.Client, proxy: Callable[[str], bytes], progress: Any) -> work.Look:
            return work.learn(client, proxy(settings.learn_from), settings, "", progress)

        return Wanted(find)

    dialog = GimpUi.ProcedureDialog.new(procedure, config, _("VAE Balance"))
    dialog.set_ok_label(_("_Balance"))
    models = _ModelRow(config, procedure.find_argument("model"))
    preview = Preview(layer, wanted, partial(learn_picture, layer), models.set_known)
    rows = _Rows(dialog)
    for argument in FIRST:
        if argument.kind != TEXT:
            rows.add_scale(argument.name, 2 if argument.kind == NUMBER else 0)
    rows.add_choice("learn-from")
    rows.add_choice("output")
    rows.add_argument("lut-file")
    for argument in LAST:
        rows.add_argument(argument.name)
    rows.insert(2, models.row, models.label)
    return _run(dialog, config, preview, rows)


def ask_apply(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    layer: Layer,
    path_of: Callable[[Gimp.ProcedureConfig], str],
) -> bool:
    """Let the user choose a LUT to apply; return whether to do it.

    Args:
        procedure: whose arguments the controls are.
        config: the arguments, which the controls change.
        layer: what the preview shows.
        path_of: returns the LUT file that the arguments stand for, or raises UserError.
    """

    def wanted() -> Wanted:
        path, strength = path_of(config), config.get_property("strength")

        def find(client: work.Client, _proxy: Any, _progress: Any) -> work.Look:
            return work.load(client, path, strength)

        return Wanted(find, strength)

    dialog = GimpUi.ProcedureDialog.new(procedure, config, _("Apply LUT"))
    dialog.set_ok_label(_("_Apply"))
    preview = Preview(layer, wanted, partial(learn_picture, layer))
    rows = _Rows(dialog)
    rows.add_choice("source")
    rows.add_argument("lut-file")
    rows.add_scale("strength", 2)
    rows.add_choice("output")
    dialog.set_sensitive_if_in("lut-file", None, "source", _values("file"), True)
    return _run(dialog, config, preview, rows)


def _run(dialog: Any, config: Gimp.ProcedureConfig, preview: Preview, rows: _Rows) -> bool:
    """Show the dialog, with the preview above the rows, until it is closed."""

    def changed(_config: Gimp.ProcedureConfig, spec: Any) -> None:
        if spec.name not in _NOT_SHOWN:
            preview.renew()

    handler = config.connect("notify", changed)
    dialog.get_content_area().pack_start(preview, False, False, 0)
    rows.show()
    try:
        return dialog.run()
    finally:
        config.disconnect(handler)
        preview.stop()
        dialog.destroy()


class _Rows:
    """GIMP's controls of arguments one below the other, their labels equally wide."""

    def __init__(self, dialog: Any) -> None:
        self._dialog = dialog
        self._names: list[str] = []
        self._inserted: list[tuple[int, Gtk.Widget]] = []
        self._labels = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)

    def add_scale(self, name: str, digits: int) -> None:
        """Add a slider with a number beside it."""
        entry = self._dialog.get_scale_entry(name, 1.0)
        entry.set_digits(digits)
        entry.get_spin_button().set_width_chars(5)
        self._add(name, entry.get_label())

    def add_choice(self, name: str) -> None:
        """Add a list to choose from (GIMP 3.2 would take three times the height for buttons)."""
        self.add_argument(name, Gtk.ComboBox)

    def add_argument(self, name: str, kind: Any = GObject.TYPE_NONE) -> None:
        """Add what GIMP shows for an argument by default, or another kind of control."""
        widget = self._dialog.get_widget(name, kind)
        find = getattr(widget, "get_label_widget", None) or widget.get_label
        self._add(name, find())

    def _add(self, name: str, label: Gtk.Label) -> None:
        self._names.append(name)
        self._align(label)

    def insert(self, place: int, row: Gtk.Widget, label: Gtk.Label) -> None:
        """Insert a row of our own."""
        self._inserted.append((place, row))
        self._align(label)

    def _align(self, label: Gtk.Label) -> None:
        label.set_xalign(0.0)
        self._labels.add_widget(label)

    def show(self) -> None:
        """Put all rows into the dialog."""
        box = self._dialog.fill_box("rows", self._names)
        box.set_spacing(6)
        for place, row in self._inserted:
            box.pack_start(row, False, False, 0)
            box.reorder_child(row, place)
        self._dialog.fill(["rows"])


class _ModelRow:
    """A list of models, with a last entry that asks for the folder of another one.

    Attributes:
        row: the label and the list.
        label: the label.
    """

    _FOLDER = "..."  # which no model is called

    def __init__(self, config: Gimp.ProcedureConfig, argument: GObject.ParamSpec) -> None:
        self._config = config
        self._known = ["embedded"]
        self._combo = Gtk.ComboBoxText()
        self._handler = self._combo.connect("changed", self._choose)
        self.label = Gtk.Label.new_with_mnemonic(argument.nick)
        self.label.set_mnemonic_widget(self._combo)
        self.row = Gtk.Box(spacing=6)
        self.row.set_tooltip_text(argument.blurb)
        self.row.pack_start(self.label, False, False, 0)
        self.row.pack_start(self._combo, True, True, 0)
        self.row.show_all()
        config.connect("notify::model", lambda *_changed: self._fill())
        self._fill()

    def set_known(self, models: list[str]) -> None:
        """Offer the models that the daemon knows."""
        self._known = models
        self._fill()

    def _fill(self) -> None:
        chosen = self._config.get_property("model")
        with self._combo.handler_block(self._handler):
            self._combo.remove_all()
            for model in dict.fromkeys([*self._known, chosen]):
                self._combo.append(model, model)
            self._combo.append(self._FOLDER, _("Another model\u2019s folder..."))
            self._combo.set_active_id(chosen)

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
            transient_for=self._combo.get_toplevel(),
            action=Gtk.FileChooserAction.SELECT_FOLDER,
        )
        chooser.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        chooser.add_button(_("_Open"), Gtk.ResponseType.ACCEPT)
        accepted = chooser.run() == Gtk.ResponseType.ACCEPT
        folder = chooser.get_filename() if accepted else None
        chooser.destroy()
        return folder


def _values(text: str) -> Gimp.ValueArray:
    """Return a text as what `set_sensitive_if_in` takes."""
    values = Gimp.ValueArray.new(1)
    values.append(GObject.Value(str, text))
    return values
