"""A tour of the plug-in in a real window; runs inside a root, leaves screenshots in /io/shots.

    python3 tour.py [LANGUAGE]    # en_US, which is the default, or another one of TITLES
    python3 tour.py several       # /io/several.xcf, of which two layers are selected
    python3 tour.py sound         # /io/sound.png, in which there is nothing to correct
    python3 tour.py grey          # /io/grey.png, a grayscale image, gets colors
    python3 tour.py color         # /io/sound.png is refused colors that it has, until it is forced
    python3 tour.py lit           # /io/lit.png, which two lights have lit
    python3 tour.py pictures      # takes those of docs/; `screenshots.py` calls it
    python3 tour.py light-2       # the dialog in a light or dark theme, at a scale of 1 or 2

Opens a photo, cancels at work, chooses the menu entry again, switches to before and after, moves
iterations, waits for the preview, resets the values, zooms, presses Return where it cannot and
where it can balance, undoes, repeats, shows the filter again, and applies the look learned last.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from window import Window, until

sys.path.append(f"{os.environ['GIMP3_DIRECTORY']}/plug-ins/vae-balance")
from vae_balance_protocol import DaemonError
from vae_balance_protocol.client import Client

SHOTS = "/io/shots"
# The letters of the entries, the same in all languages that are looked at.
BALANCE, LUT, COLORIZE = "b", "l", "z"
# Rows of the preview.
PREVIEW = 290
# A place in the line below it, which says what was found.
LINE = (60, 356)
# What must fit into a small laptop's screen, beside its bars.
MOST_WIDTH, MOST_HEIGHT = 1366, 690
# What GTK or Python says on standard error of the plug-in's own code.
_DEFECT = re.compile(r"vae-balance\.py:\d+\): \w+-CRITICAL|^Traceback")
TITLES = {"en_US": ("VAE Balance", "Apply LUT"), "de_DE": ("VAE Balance", "LUT anwenden")}
# What the line says of the tour's photo, which has a cast.
FOUND = {
    "en_US": re.compile(r"Found: \S+ cast of \d+.*; \d+ % sure\."),
    "de_DE": re.compile(r"Gefunden: \S+stich von \d+.*; zu \d+ % sicher\."),
}


def open_entry(window: Window, letter: str, title: str, shot: str = "") -> str:
    """Choose an entry of Filters > Color, which is the menu's last; return its dialog."""
    window.focus(window.main)
    window.key("alt+r", "Up", "Right", pause=0.8)
    if shot:
        window.shot(f"{SHOTS}/{shot}.png")
    # On the submenu, Return is for the first of its entries.
    window.key("Return" if letter == BALANCE else letter)
    dialog = window.wait_for(f"^{title}$")
    window.tool("windowmove", dialog, 420, 60)
    return dialog


def press(window: Window, dialog: str, key: str, title: str) -> None:
    """End a dialog by its button's key."""
    window.focus(dialog)
    window.key(key)
    window.wait_gone(f"^{title}$")


def preview(window: Window, dialog: str, old: bytes = b"", still: float = 1.5) -> bytes:
    """Wait until the dialog shows another preview than the old one; return it."""
    return window.wait_new_picture(dialog, PREVIEW, lambda: running() == [], old, still)


def wait_for_learning() -> None:
    """Wait until the daemon learns a look."""
    until(lambda: "learn" in (running() or []), 30, "the daemon to learn")


def running() -> list[str] | None:
    """Return what the daemon does for its clients; None if it is not there."""
    try:
        with Client.connect("tour", start=False) as client:
            status = client.status()
    except DaemonError:
        return None
    return [job["verb"] for job in status["running"]] + ["queued"] * status["queued"]


def check_found(window: Window, dialog: str, language: str = "en_US") -> None:
    """Read what was found in the photo, and check that it says so."""
    told = window.read(dialog, *LINE)
    assert FOUND[language].fullmatch(told), told


def check_size(window: Window, dialog: str) -> None:
    """Check that a small screen has room for the dialog."""
    width, height = window.size(dialog)
    assert width <= MOST_WIDTH, width
    assert height <= MOST_HEIGHT, height


def tour(window: Window) -> None:
    """Go through both dialogs."""
    dialog = open_entry(window, BALANCE, "VAE Balance", "menu")
    first = preview(window, dialog)
    window.shot(f"{SHOTS}/dialog.png", dialog)
    check_found(window, dialog)
    window.focus(dialog)
    window.key("b")
    before = preview(window, dialog, first)
    window.key("b")
    after = preview(window, dialog, before)
    assert after != first, "the split picture is that of after"
    window.key("alt+d", "alt+i", "Down")  # one iteration, among what is advanced
    once = preview(window, dialog, after)
    window.shot(f"{SHOTS}/iterations.png", dialog)
    window.key("alt+f", "Down")
    preview(window, dialog, once)
    window.shot(f"{SHOTS}/error.png", dialog)
    check_size(window, dialog)  # with all that it can show
    window.key("Return", pause=2.0)  # which cannot be balanced
    assert window.find("^VAE Balance$"), "the dialog has closed in spite of an error"
    window.key("Up")
    window.wait_picture(dialog, PREVIEW, once)
    window.key("alt+r", "Down", "Return")  # reset the values
    window.wait_picture(dialog, PREVIEW, after)
    window.key("alt+i", "Down")
    window.wait_picture(dialog, PREVIEW, once)
    look_closely(window, dialog, once)
    no_file(window, dialog)
    assert not window.is_changed(), "the image changed before OK"
    window.tool("windowmove", dialog, 1165, 60)
    window.shot(f"{SHOTS}/window.png")
    window.focus(dialog)
    window.key("alt+g", "Return")  # from the number, as from everywhere: balance
    window.wait_gone("^VAE Balance$")
    window.wait_changed(True)
    window.shot(f"{SHOTS}/balanced.png")

    window.focus(window.main)
    window.key("ctrl+z")
    window.wait_changed(False)
    window.key("ctrl+f")  # repeat
    window.wait_changed(True)
    window.key("ctrl+z")
    window.wait_changed(False)

    window.key("ctrl+shift+f")  # show again
    dialog = window.wait_for("^VAE Balance$")
    window.tool("windowmove", dialog, 420, 60)
    window.focus(dialog)
    preview(window, dialog)
    window.key("b", "b")
    window.wait_picture(dialog, PREVIEW, once)  # so the iterations are remembered
    press(window, dialog, "Escape", "VAE Balance")
    assert not window.is_changed(), "the image changed in spite of Cancel"

    apply_last(window)


def look_closely(window: Window, dialog: str, whole: bytes) -> None:
    """Zoom with the wheel, drag the picture, and show all of it again."""
    window.tool("mousemove", "--window", dialog, 314, 152)
    window.tool("click", "--repeat", 3, "--delay", 100, 4)
    zoomed = preview(window, dialog, whole)
    window.tool("mousedown", 1)
    window.tool("mousemove", "--window", dialog, 214, 112)
    window.tool("mouseup", 1)
    preview(window, dialog, zoomed)
    window.shot(f"{SHOTS}/zoomed.png", dialog)
    window.tool("click", "--repeat", 8, "--delay", 100, 5)
    window.wait_picture(dialog, PREVIEW, whole)
    window.tool("mousemove", 5, 995)


def no_file(window: Window, dialog: str) -> None:
    """Choose a LUT file only: without a name Return does nothing."""
    window.key("alt+u", "Right", "Right", pause=0.6)
    window.shot(f"{SHOTS}/no-file.png", dialog)
    check_size(window, dialog)
    window.key("Return", pause=2.0)
    assert window.find("^VAE Balance$"), "the dialog has closed without a LUT file"
    window.key("Left", "Left")


def apply_last(window: Window) -> None:
    """Apply the look learned last."""
    dialog = open_entry(window, LUT, "Apply LUT")
    none = preview(window, dialog)
    window.focus(dialog)
    window.key("alt+k", "Right")
    preview(window, dialog, none)
    window.shot(f"{SHOTS}/apply.png", dialog)
    press(window, dialog, "alt+a", "Apply LUT")
    window.wait_changed(True)


def pictures(window: Window) -> None:
    """Take pictures of the menu, of both dialogs, and of the window with one of them."""
    dialog = open_entry(window, BALANCE, "VAE Balance", "menu")
    preview(window, dialog, still=10.0)  # nothing but time tells that it has begun, and is over
    window.shot(f"{SHOTS}/dialog.png", dialog)
    window.tool("windowmove", "--sync", dialog, 1165, 60)
    window.shot(f"{SHOTS}/window.png")
    press(window, dialog, "alt+b", "VAE Balance")
    window.wait_changed(True)
    window.focus(window.main)
    window.key("ctrl+z")
    window.wait_changed(False)
    apply_last(window)


def cancel(window: Window) -> None:
    """Cancel in the status bar while the daemon learns, which ends the plug-in at once."""
    dialog = open_entry(window, BALANCE, "VAE Balance")
    preview(window, dialog)
    window.focus(dialog)
    # Ten iterations; whether they look different from as many as the model chooses is its affair.
    window.key("alt+d", "alt+i", "End")
    wait_for_learning()
    until(lambda: running() == [], 30, "the preview to be learned")
    press(window, dialog, "alt+b", "VAE Balance")
    wait_for_learning()
    window.click_cancel()
    until(lambda: running() == [], 30, "the daemon to drop it")
    window.focus(window.main)
    window.shot(f"{SHOTS}/cancelled.png")
    assert not window.is_changed(), "the image changed in spite of Cancel"


def sound(window: Window) -> None:
    """Look at a photo whose colors are sound: that is said, and nothing can be balanced."""
    dialog = open_entry(window, BALANCE, "VAE Balance")
    preview(window, dialog)
    window.shot(f"{SHOTS}/sound.png", dialog)
    told = window.read(dialog, *LINE)
    assert told.startswith("Nothing was found to correct. If a part looks wrong,"), told
    assert told.endswith("choose the model \u201cmixed-light\u201d."), told
    window.focus(dialog)
    window.key("Return", pause=2.0)
    assert window.find("^VAE Balance$"), "the dialog has closed though nothing is corrected"
    press(window, dialog, "Escape", "VAE Balance")
    assert not window.is_changed(), "the image changed"


def grey(window: Window) -> None:
    """Give a grayscale image colors, and undo that in one step."""
    dialog = open_entry(window, COLORIZE, "Colorize Photo")
    first = preview(window, dialog)
    window.shot(f"{SHOTS}/colorize.png", dialog)
    window.focus(dialog)
    window.key("b")
    assert preview(window, dialog, first) != first, "before is as after"
    check_size(window, dialog)
    assert not window.is_changed(), "the image changed before OK"
    colorize_and_undo(window, dialog, "colorized")


def color(window: Window) -> None:
    """Ask for the colors of a photo that has some: nothing happens, until that is switched on."""
    dialog = open_entry(window, COLORIZE, "Colorize Photo")
    refused = preview(window, dialog)
    window.shot(f"{SHOTS}/has-colors.png", dialog)
    told = window.read(dialog, *LINE)
    assert told.startswith("The layer has colors already"), told
    assert "--" not in told and "`" not in told, told
    window.focus(dialog)
    window.key("Return", pause=2.0)
    assert window.find("^Colorize Photo$"), "the dialog has closed though nothing gets colors"
    window.key("alt+a")  # colorize color photos anyway
    preview(window, dialog, refused)
    window.shot(f"{SHOTS}/has-colors-forced.png", dialog)
    colorize_and_undo(window, dialog, "has-colors-colorized")


def colorize_and_undo(window: Window, dialog: str, shot: str) -> None:
    """Press the button of a dialog that colorizes, and take that back in one step."""
    press(window, dialog, "alt+z", "Colorize Photo")
    window.wait_changed(True)
    window.shot(f"{SHOTS}/{shot}.png")
    window.focus(window.main)
    window.key("ctrl+z")
    window.wait_changed(False)


def lit(window: Window) -> None:
    """Correct a photo of two lights place by place, undo, and write the average as a LUT."""
    dialog = open_entry(window, BALANCE, "VAE Balance")
    first = preview(window, dialog)
    window.focus(dialog)
    window.key("alt+d", "alt+m", "space", "Down", "Down", "Return", pause=0.8)  # Advanced, Model
    corrected = preview(window, dialog, first)
    window.shot(f"{SHOTS}/lit.png", dialog)
    check_size(window, dialog)
    told = window.read(dialog, *LINE)
    assert re.fullmatch(r"Found: uneven light of \d+.*; \d+ % sure\.", told), told
    window.focus(dialog)
    window.key("b")
    before = preview(window, dialog, corrected)
    window.key("b")
    after = preview(window, dialog, before)
    assert after != corrected, "the split picture is that of after"
    window.key("Return")
    window.wait_gone("^VAE Balance$")
    window.wait_changed(True)
    window.shot(f"{SHOTS}/lit-balanced.png")
    until(lambda: running() == [], 30, "the end of the work")
    assert not window.find("^GIMP Message$"), "a message that nobody needs"
    window.focus(window.main)
    window.key("ctrl+z")
    window.wait_changed(False)

    dialog = open_entry(window, BALANCE, "VAE Balance")
    preview(window, dialog)
    window.focus(dialog)
    window.key("alt+u", "Right", "Right", "alt+e", pause=0.6)  # LUT file only, and which
    window.type("/io/average.cube")
    told = window.read(dialog, *LINE)
    assert "The LUT file is an average" in told, told
    window.shot(f"{SHOTS}/lit-average.png", dialog)
    check_size(window, dialog)
    press(window, dialog, "alt+b", "VAE Balance")
    until(Path("/io/average.cube").exists, 60, "the LUT file")
    assert not window.is_changed(), "the image changed"


def several(window: Window) -> None:
    """Balance the selected layers at once, undo, do it again, and save the picture."""
    dialog = open_entry(window, BALANCE, "VAE Balance")
    preview(window, dialog)
    press(window, dialog, "alt+b", "VAE Balance")
    for key, changed in (("ctrl+z", False), ("ctrl+f", True), ("ctrl+s", False)):
        window.wait_changed(not changed)
        until(lambda: running() == [], 30, "the end of the work")
        window.focus(window.main)
        window.key(key)
    window.wait_changed(False)


def look(window: Window, language: str) -> None:
    """Take a picture of the menu and of each dialog in another language."""
    # The first starts the daemon.
    for number, (letter, title) in enumerate(zip((BALANCE, LUT), TITLES[language], strict=True)):
        dialog = open_entry(window, letter, title, f"{language}-menu")
        preview(window, dialog)
        window.shot(f"{SHOTS}/{language}-{number}.png", dialog)
        if number == 0:
            check_found(window, dialog, language)
            check_size(window, dialog)
        press(window, dialog, "Escape", title)


def appearance(window: Window, kind: str) -> None:
    """Look at the dialog, with all that it can show."""
    dialog = open_entry(window, BALANCE, "VAE Balance")
    preview(window, dialog)
    window.shot(f"{SHOTS}/{kind}.png", dialog)
    check_found(window, dialog)
    window.focus(dialog)
    window.key("alt+d", pause=1.0)
    window.shot(f"{SHOTS}/{kind}-advanced.png", dialog)
    check_size(window, dialog)
    press(window, dialog, "Escape", "VAE Balance")


def main() -> None:
    """Run the tour, or look around in another language, or at several layers, or for docs/."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "en_US"
    language = kind if kind in TITLES else "en_US"
    photos = {
        "several": "several.xcf",
        "sound": "sound.png",
        "color": "sound.png",
        "grey": "grey.png",
        "lit": "lit.png",
    }
    photo = f"/io/{photos.get(kind, 'tour.png')}"
    looked_at = re.fullmatch("(light|dark)-([12])", kind)
    scheme, scale = looked_at.groups() if looked_at else ("dark", "1")
    Path(SHOTS).mkdir(exist_ok=True)
    # Each begins with the default values, whatever was chosen on another one.
    values = Path(os.environ["GIMP3_DIRECTORY"], "plug-in-settings")
    shutil.rmtree(values, ignore_errors=True)
    window = Window(photo, language, scheme, int(scale))
    try:
        if kind == "several":
            several(window)
        elif kind == "sound":
            sound(window)
        elif kind == "grey":
            grey(window)
        elif kind == "color":
            color(window)
        elif kind == "lit":
            lit(window)
        elif kind == "pictures":
            pictures(window)
        elif looked_at:
            appearance(window, kind)
        elif language == "en_US":
            cancel(window)
            tour(window)
        else:
            look(window, language)
        defects = [line for line in window.errors().splitlines() if _DEFECT.search(line)]
        assert not defects, defects
    except BaseException:
        window.shot(f"{SHOTS}/failed.png")
        print(window.errors())
        raise
    finally:
        window.close()
    print("TOUR OK")


if __name__ == "__main__":
    main()
