"""Controls of a dialog that show and set the arguments of a procedure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, Gio, Gtk

from vae_balance_gimp.arguments import FIRST, LAST
from vae_balance_gimp.settings import with_suffix
from vae_balance_gimp.texts import _
from vae_balance_protocol.messages import LUT_FORMATS

_WRITTEN = (".cube", ".png")


class Rows:
    """Labels and controls, two in a row unless they are wide."""

    def __init__(self, procedure: Gimp.Procedure, config: Gimp.ProcedureConfig) -> None:
        """Begin without any.

        Args:
            procedure: whose arguments the controls are.
            config: the arguments, which the controls change.
        """
        self.grid = Gtk.Grid(row_spacing=6, column_spacing=12)
        self._procedure, self._config = procedure, config
        self._row, self._column = 0, 0

    def add(
        self,
        name: str,
        control: Gtk.Widget,
        target: Gtk.Widget | None = None,
        wide: bool = False,
    ) -> None:
        """Add a control.

        Args:
            name: of the argument, whose text is the label.
            control: what is shown.
            target: what the label's key leads to, by default the control.
            wide: whether it takes the whole row.
        """
        argument = self._procedure.find_argument(name)
        self.add_titled(argument.nick, control, target, argument.blurb, wide)

    def add_titled(
        self,
        title: str,
        control: Gtk.Widget,
        target: Gtk.Widget | None = None,
        tip: str | None = None,
        wide: bool = False,
    ) -> None:
        """Add a control with a label of its own, as `add`, and a tooltip."""
        label = Gtk.Label(label=title, use_underline=True, xalign=0.0)
        label.set_mnemonic_widget(target or control)
        for widget in (label, control):
            widget.set_tooltip_text(tip)
        control.set_hexpand(True)
        if wide and self._column:
            self._row, self._column = self._row + 1, 0
        self.grid.attach(label, self._column, self._row, 1, 1)
        self.grid.attach(control, self._column + 1, self._row, 3 if wide else 1, 1)
        self._column += 4 if wide else 2
        if self._column == 4:
            self._row, self._column = self._row + 1, 0

    def add_scale(self, name: str, digits: int) -> None:
        """Add a slider and a number, of an argument of the table of options."""
        bounds = _bounds(name)
        step = 10.0**-digits
        adjustment = Gtk.Adjustment(
            lower=bounds[0], upper=bounds[1], step_increment=5 * step, page_increment=10 * step
        )
        scale = Gtk.Scale(adjustment=adjustment, draw_value=False, digits=digits)
        scale.add_mark(1.0, Gtk.PositionType.BOTTOM, None)
        spin = Gtk.SpinButton(adjustment=adjustment, digits=digits, activates_default=True)
        box = Gtk.Box(spacing=6)
        box.pack_start(scale, True, True, 0)
        box.pack_start(spin, False, False, 0)
        read, show = Gtk.Adjustment.get_value, adjustment.set_value
        self._bind(name, adjustment, "value-changed", read, show)
        self.add(name, box, spin, wide=True)

    def add_number(self, name: str) -> None:
        """Add a whole number, an argument of the table of options."""
        spin = Gtk.SpinButton.new_with_range(*_bounds(name), 1)
        spin.set_activates_default(True)
        spin.set_halign(Gtk.Align.START)
        self._bind(name, spin, "value-changed", Gtk.SpinButton.get_value_as_int, spin.set_value)
        self.add(name, spin)

    def add_switch(self, name: str) -> None:
        """Add what is on or off."""
        argument = self._procedure.find_argument(name)
        button = Gtk.CheckButton.new_with_mnemonic(argument.nick)
        button.set_tooltip_text(argument.blurb)
        self._bind(name, button, "toggled", Gtk.CheckButton.get_active, button.set_active)
        self._row, self._column = self._row + (self._column > 0), 0
        self.grid.attach(button, 0, self._row, 4, 1)
        self._row += 1

    def add_list(self, name: str, choices: list[tuple[str, str]], title: str | None = None) -> None:
        """Add a list to choose from: pairs of a value and its text.

        Args:
            name: of the argument.
            choices: what can be chosen.
            title: the label, by default the argument's.
        """
        combo = Gtk.ComboBoxText()
        for value, text in choices:
            combo.append(value, text)
        # Arguments that are numbers are shown by their digits.
        kind = type(self._config.get_property(name))

        def chosen(combo: Gtk.ComboBoxText) -> Any:
            value = combo.get_active_id()
            return None if value is None else kind(value)

        self._bind(name, combo, "changed", chosen, lambda value: combo.set_active_id(str(value)))
        argument = self._procedure.find_argument(name)
        self.add_titled(title or argument.nick, combo, tip=argument.blurb)

    def add_buttons(self, name: str, choices: list[tuple[str, str]]) -> None:
        """Add buttons, one of which is chosen, beside each other."""
        box = Gtk.Box(spacing=12)
        buttons: dict[str, Gtk.RadioButton] = {}
        for value, text in choices:
            first = next(iter(buttons.values()), None)
            button = Gtk.RadioButton.new_with_label_from_widget(first, text)
            box.pack_start(button, False, False, 0)
            buttons[value] = button

        def show(value: str) -> None:
            if value in buttons:
                buttons[value].set_active(True)

        for value, button in buttons.items():

            def choose(button: Gtk.RadioButton, value: str = value) -> None:
                if button.get_active():
                    self._config.set_property(name, value)

            button.connect("toggled", choose)
        self._follow(name, show)
        self.add(name, box, next(iter(buttons.values())), wide=True)

    def _bind(
        self,
        name: str,
        widget: Any,
        signal: str,
        read: Callable[[Any], Any],
        show: Callable[[Any], Any],
    ) -> None:
        """Keep a control and an argument the same."""
        self._follow(name, show)

        def changed(widget: Any) -> None:
            value = read(widget)
            if value is not None and value != self._config.get_property(name):
                self._config.set_property(name, value)

        widget.connect(signal, changed)

    def _follow(self, name: str, show: Callable[[Any], Any]) -> None:
        show(self._config.get_property(name))
        self._config.connect(
            f"notify::{name}", lambda config, _spec: show(config.get_property(name))
        )


def _bounds(name: str) -> tuple[float, float]:
    """Return the range of an argument of the table of options."""
    return next(each.bounds for each in (*FIRST, *LAST) if each.name == name and each.bounds)


class LutFile(Gtk.Box):
    """The name of a LUT file, to be typed or chosen."""

    def __init__(
        self, config: Gimp.ProcedureConfig, writing: bool, suggestion: str = "look"
    ) -> None:
        """Show the argument lut-file.

        Args:
            config: which has it.
            writing: whether the file is written, or is there already.
            suggestion: the name of a file that is written, without its suffix.
        """
        super().__init__(spacing=6)
        self._config, self._writing = config, writing
        self._suggestion = "".join(c for c in suggestion if c not in '/\\:*?"<>|').strip() or "look"
        self.entry = Gtk.Entry(activates_default=True, hexpand=True)
        if writing:
            self.entry.set_placeholder_text(_("No file"))
        choose = Gtk.Button.new_from_icon_name("document-open-symbolic", Gtk.IconSize.BUTTON)
        choose.set_tooltip_text(_("Choose a file"))
        choose.connect("clicked", self._choose)
        self.pack_start(self.entry, True, True, 0)
        self.pack_start(choose, False, False, 0)
        self._show()
        self.entry.connect("changed", self._typed)
        config.connect("notify::lut-file", lambda *_changed: self._show())

    @property
    def path(self) -> str | None:
        """The path that is shown; of a name without a folder, in the home folder."""
        text = self.entry.get_text().strip()
        if not text:
            return None
        path = str(Path.home() / Path(text).expanduser())
        return with_suffix(path) if self._writing else path

    def _show(self) -> None:
        file = self._config.get_property("lut-file")
        path = file.get_path() or file.get_uri() if file is not None else ""
        if path.startswith("//"):  # GIMP keeps values with a slash more than there was
            path = f"/{path.lstrip('/')}"
        if path != (self.path or ""):
            self.entry.set_text(path)
            self.entry.set_position(-1)

    def _typed(self, _entry: Gtk.Entry) -> None:
        file = Gio.File.new_for_path(self.path) if self.path else None
        self._config.set_property("lut-file", file)

    def _choose(self, _button: Gtk.Button) -> None:
        action = Gtk.FileChooserAction.SAVE if self._writing else Gtk.FileChooserAction.OPEN
        chooser = Gtk.FileChooserDialog(
            title=_("LUT file"), transient_for=self.get_toplevel(), modal=True, action=action
        )
        chooser.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        accept = _("_Choose") if self._writing else _("_Open")
        chooser.add_button(accept, Gtk.ResponseType.ACCEPT)
        chooser.set_default_response(Gtk.ResponseType.ACCEPT)
        chooser.set_do_overwrite_confirmation(True)
        suffixes = _WRITTEN if self._writing else sorted(LUT_FORMATS)
        luts = [f"*{each}" for suffix in suffixes for each in (suffix, suffix.upper())]
        for name, patterns in ((_("LUT files"), luts), (_("All files"), ["*"])):
            kind = Gtk.FileFilter()
            kind.set_name(name)
            for pattern in patterns:
                kind.add_pattern(pattern)
            chooser.add_filter(kind)
        path = self.path
        if path and self._writing:
            chooser.set_current_folder(str(Path(path).parent))
            chooser.set_current_name(Path(path).name)
        elif path:
            chooser.set_filename(path)
        elif self._writing:
            chooser.set_current_name(f"{self._suggestion}.cube")
        if chooser.run() == Gtk.ResponseType.ACCEPT:
            self.entry.set_text(chooser.get_filename())
        chooser.destroy()
