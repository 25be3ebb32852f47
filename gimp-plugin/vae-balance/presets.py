"""Sets of values by name: those that come with the plug-in, and the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, Gtk

from vae_balance_gimp.arguments import WORD
from vae_balance_gimp.texts import _
from vae_balance_gimp.work import write_file
from vae_balance_protocol.options import MOST_ITERATIONS, STRENGTHS

_VALUES = {
    "strength": (float, (STRENGTHS.low, STRENGTHS.high)),
    "iterations": (int, (WORD, MOST_ITERATIONS)),
}
_SAVE, _REMOVE = "\0save", "\0remove"  # which no preset is called
_MOST_CHARACTERS = 60


def presets_path() -> Path:
    """Return the file of the user's own."""
    return Path(Gimp.directory(), "vae-balance", "presets.json")


def read_presets(path: Path) -> dict[str, dict[str, Any]]:
    """Return the user's own; what is damaged is left out."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    found = {}
    for name, values in content.items() if isinstance(content, dict) else ():
        if isinstance(values, dict) and all(_is_valid(key, values.get(key)) for key in _VALUES):
            found[name[:_MOST_CHARACTERS]] = {key: values[key] for key in _VALUES}
    return found


def _is_valid(key: str, value: Any) -> bool:
    kind, (low, high) = _VALUES[key]
    is_number = isinstance(value, (int, kind)) and not isinstance(value, bool)
    return is_number and low <= value <= high


class Presets(Gtk.ComboBoxText):
    """A list of presets, with entries that save the values of the dialog and remove a preset."""

    def __init__(self, config: Gimp.ProcedureConfig) -> None:
        """Show them.

        Args:
            config: the values that a preset sets.
        """
        super().__init__()
        self._config = config
        self._own = read_presets(presets_path())
        self._handler = self.connect("changed", self._choose)
        for name in _VALUES:
            config.connect(f"notify::{name}", lambda *_changed: self._fill())
        self._fill()

    def _all(self) -> dict[str, dict[str, Any]]:
        given = {
            _("Standard"): {"strength": 1.0, "iterations": WORD},
            _("Gentle"): {"strength": 0.6, "iterations": WORD},
            _("Thorough"): {"strength": 1.0, "iterations": 3},
        }
        return given | self._own

    def _current(self) -> str | None:
        """Return the preset that the values are those of."""
        values = {name: self._config.get_property(name) for name in _VALUES}
        for name, preset in self._all().items():
            if all(abs(preset[key] - values[key]) < 0.005 for key in _VALUES):
                return name
        return None

    def _fill(self) -> None:
        with self.handler_block(self._handler):
            self.remove_all()
            for name in self._all():
                self.append(name, name)
            current = self._current()
            if current is None:
                self.append("", _("Own values"))
                self.append(_SAVE, _("Save these values..."))
            if current in self._own:
                self.append(_REMOVE, _("Remove this preset"))
            self.set_active_id(current or "")

    def _choose(self, _combo: Gtk.ComboBoxText) -> None:
        chosen = self.get_active_id()
        if chosen == _SAVE:
            name = self._ask_name()
            if name:
                values = {key: self._config.get_property(key) for key in _VALUES}
                self._keep(self._own | {name: values})
        elif chosen == _REMOVE:
            current = self._current()
            self._keep({name: own for name, own in self._own.items() if name != current})
        elif chosen:
            for key, value in self._all()[chosen].items():
                self._config.set_property(key, value)
        self._fill()

    def _keep(self, presets: dict[str, dict[str, Any]]) -> None:
        from vae_balance_gimp.texts import UserError

        path = presets_path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(presets, ensure_ascii=False, indent=1)
            write_file(str(path), text.encode("utf-8"))
        except (OSError, UserError) as error:
            self._tell(str(error))
            return
        self._own = presets

    def _tell(self, text: str) -> None:
        box = Gtk.MessageDialog(
            transient_for=self.get_toplevel(), modal=True, text=text,
            message_type=Gtk.MessageType.WARNING, buttons=Gtk.ButtonsType.CLOSE,
        )  # fmt: skip
        box.run()
        box.destroy()

    def _ask_name(self) -> str:
        box = Gtk.Dialog(title=_("Save preset"), transient_for=self.get_toplevel(), modal=True)
        box.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        box.add_button(_("_Save"), Gtk.ResponseType.OK)
        box.set_default_response(Gtk.ResponseType.OK)
        entry = Gtk.Entry(activates_default=True, max_length=_MOST_CHARACTERS, margin=12)
        entry.set_placeholder_text(_("Name"))
        box.get_content_area().pack_start(entry, False, False, 0)
        box.show_all()
        answer = box.run()
        name = entry.get_text().strip()
        box.destroy()
        return name if answer == Gtk.ResponseType.OK else ""
