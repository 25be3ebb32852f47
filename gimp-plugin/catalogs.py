"""Bring the catalogs of translations up to date with the sources of the plug-ins.

    python3 gimp-plugin/catalogs.py

Texts that are new come into each .po file without a translation, those that are gone are removed;
the .mo files are compiled. What is not translated is listed. Run it again after translating.
Needs GNU gettext (msgmerge, msgattrib, msgfmt).
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
_HEADER = r"""msgid ""
msgstr ""
"Project-Id-Version: vae-balance\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"
"""


def sources() -> list[Path]:
    """Return the sources of all plug-ins, and the table of options."""
    table = HERE.parent / "shared" / "vae_balance_protocol" / "options.py"
    return [*sorted(HERE.glob("*/**/*.py")), table]


def texts() -> dict[str, list[str]]:
    """Return what the sources mark for translation, _("...") or N_("..."), and in which of them."""
    found: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id in ("_", "N_") and isinstance(node.args[0], ast.Constant):
                places = found.setdefault(node.args[0].value, [])
                place = Path(os.path.relpath(path, HERE)).as_posix()
                if place not in places:
                    places.append(place)
    return found


def template() -> str:
    """Return the texts as a .pot file."""
    entries = [_HEADER]
    for text, places in sorted(texts().items()):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        entries.append(f'#: {" ".join(places)}\nmsgid "{quoted}"\nmsgstr ""\n')
    return "\n".join(entries)


def update(catalog: Path, pot: Path) -> bool:
    """Update and compile a .po file; return whether all of it is translated."""
    merge = ["msgmerge", "--quiet", "--update", "--backup=none", "--no-fuzzy-matching"]
    subprocess.run([*merge, "--no-wrap", str(catalog), str(pot)], check=True)
    kept = ["msgattrib", "--no-obsolete", "--no-wrap", "-o", str(catalog), str(catalog)]
    subprocess.run(kept, check=True)
    compiled = catalog.with_suffix(".mo")
    subprocess.run(["msgfmt", "--check-format", "-o", str(compiled), str(catalog)], check=True)
    lacking = ["msgattrib", "--untranslated", "--no-wrap", str(catalog)]
    listed = subprocess.run(lacking, check=True, capture_output=True, text=True).stdout
    _header, *entries = listed.split("\n\n") if listed else [""]
    if entries:
        print(f"{catalog}: not translated:", *entries, sep="\n")
    return not entries


def main() -> int:
    """Update all catalogs; return 1 if any lacks a translation."""
    with tempfile.TemporaryDirectory() as folder:
        pot = Path(folder, "vae-balance.pot")
        pot.write_text(template(), encoding="utf-8")
        catalogs = sorted(HERE.glob("common/locale/*/LC_MESSAGES/vae-balance.po"))
        complete = [update(catalog, pot) for catalog in catalogs]
    return 0 if all(complete) else 1


if __name__ == "__main__":
    sys.exit(main())
