"""A real GIMP in a window without a screen, driven like by a hand; runs inside a root.

    window = Window("/io/photo.png"); window.key("ctrl+f"); window.shot("/io/repeated.png")

Standard library only: the root has no more.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

_GIMPRC = """\
(config-version "3.0.4")
(show-welcome-dialog no)
(check-updates no)
(restore-session no)
(save-session-info no)
(color-profile-policy keep)
(theme-color-scheme {scheme})
"""
_SIZE = (1800, 1000)
# Of what is marked with the mouse, the text.
_READ_MARKED = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
print(Gtk.Clipboard.get(Gdk.SELECTION_PRIMARY).wait_for_text() or "")
"""


class Window:
    """GIMP on an Xvfb of its own.

    Attributes:
        main: the window with the photo.
        scale: how many pixels of the screen, each way, stand for one of GIMP's.
    """

    def __init__(
        self, photo: str, language: str = "en_US", scheme: str = "dark", scale: int = 1
    ) -> None:
        """Start both, and wait until the photo's window is there.

        Args:
            photo: path of a picture to open.
            language: such as "de_DE", in which GIMP speaks.
            scheme: "dark" or "light".
            scale: 1, or 2 for a screen with very small pixels.
        """
        self.scale = scale
        self._size = (scale * _SIZE[0], scale * _SIZE[1])
        profile = Path(os.environ["GIMP3_DIRECTORY"])
        (profile / "gimprc").write_text(_GIMPRC.format(scheme=scheme))
        (profile / "sessionrc").write_text("(single-window-mode yes)\n")
        runtime = Path("/tmp/runtime")
        runtime.mkdir(mode=0o700, exist_ok=True)
        make_locale = ["localedef", "-i", language, "-f", "UTF-8", f"{language}.UTF-8"]
        subprocess.run(make_locale, check=True)
        size = "x".join(map(str, self._size))
        xvfb = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
        self._xvfb = subprocess.Popen(
            xvfb, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._xvfb.stdout is not None
        display = self._xvfb.stdout.readline().strip()  # told when it is ready
        assert display, "Xvfb did not start"
        os.environ.update(
            DISPLAY=f":{display}", GDK_BACKEND="x11", XDG_RUNTIME_DIR=str(runtime),
            LANG=f"{language}.UTF-8", GDK_SCALE=str(scale),
        )  # fmt: skip
        with Path("/tmp/gimp.err").open("w") as errors:
            self._gimp = subprocess.Popen(["gimp", "--no-splash", photo], stderr=errors)
        name = Path(photo).stem
        self.main = self.wait_for(f"{name}.*GIMP", 300)
        self.tool("windowsize", self.main, *self._size)
        self.tool("windowmove", self.main, 0, 0)
        self.tool("mousemove", 5, self._size[1] - 5)  # where no tooltip comes up
        time.sleep(2)  # until the canvas has drawn itself; nothing tells when

    def close(self) -> None:
        """End GIMP and Xvfb."""
        # Asked to end, GIMP calls exit within its signal handler, where it can wait for ever for a
        # lock that it holds itself.
        self._gimp.kill()
        self._xvfb.terminate()
        for process in (self._gimp, self._xvfb):
            process.wait(20)

    def errors(self) -> str:
        """Return what GIMP and the plug-in wrote to standard error."""
        return Path("/tmp/gimp.err").read_text()

    def tool(self, *arguments: object) -> str:
        """Run xdotool; return its output."""
        command = ["xdotool", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def find(self, name: str) -> str | None:
        """Return the window whose name matches, or None."""
        search = ["xdotool", "search", "--onlyvisible", "--name", name]
        found = subprocess.run(search, check=False, capture_output=True, text=True).stdout.split()
        return found[0] if found else None

    def wait_for(self, name: str, seconds: float = 60.0) -> str:
        """Wait for a window; return it."""
        return until(lambda: self.find(name), seconds, f"a window called {name}")

    def wait_gone(self, name: str, seconds: float = 60.0) -> None:
        """Wait until no window has that name."""
        until(lambda: not self.find(name), seconds, f"the end of the window {name}")

    def focus(self, window: str) -> None:
        """Give a window the keyboard."""
        self.tool("windowfocus", "--sync", window)
        time.sleep(0.3)

    def key(self, *keys: str, pause: float = 0.4) -> None:
        """Press keys one after another, as a hand does."""
        for key in keys:
            self.tool("key", key)
            time.sleep(pause)

    def type(self, text: str) -> None:
        """Type a text."""
        self.tool("type", "--delay", 60, text)
        time.sleep(0.3)

    def click_cancel(self) -> None:
        """Click on Cancel in the status bar, which is there as long as a plug-in works."""
        self.tool("mousemove", self._size[0] - 50, self._size[1] - 16)
        self.tool("click", 1)
        self.tool("mousemove", 5, self._size[1] - 5)

    def read(self, window: str, x: int, y: int) -> str:
        """Return the text that lies at a place of a window, which three clicks mark."""
        self.tool("mousemove", "--window", window, self.scale * x, self.scale * y)
        self.tool("click", "--repeat", 3, "--delay", 60, 1)
        command = ["python3", "-c", _READ_MARKED]
        read = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        self.tool("mousemove", 5, self._size[1] - 5)
        return read.stdout.strip()

    def size(self, window: str) -> tuple[int, int]:
        """Return width and height of a window, in GIMP's pixels."""
        place = self._place(window)
        return int(place["WIDTH"]) // self.scale, int(place["HEIGHT"]) // self.scale

    def is_changed(self) -> bool:
        """Tell whether the photo has changed since it was opened, as GIMP's title says."""
        return self.tool("getwindowname", self.main).startswith("*")

    def wait_changed(self, changed: bool, seconds: float = 60.0) -> None:
        """Wait until the photo is changed, or no longer is."""
        until(lambda: self.is_changed() == changed, seconds, f"changed: {changed}")

    def wait_new_picture(
        self,
        window: str,
        height: int,
        is_ready: Callable[[], bool],
        old: bytes = b"",
        still: float = 1.5,
    ) -> bytes:
        """Wait until the upper part of a window shows something new, and no more changes.

        Args:
            window: which.
            height: of the part, in GIMP's pixels.
            is_ready: tells whether what draws it has done its work.
            old: what an earlier call returned.
            still: seconds, within which nothing changes.
        """
        last, since = b"", 0.0

        def settled() -> bytes | None:
            nonlocal last, since
            now = self._pixels(window, height)
            if now != last or not is_ready():
                last, since = now, time.monotonic()
            is_still = time.monotonic() - since > still
            return now if is_still and now != old else None

        return until(settled, 90, "a new preview")

    def wait_picture(self, window: str, height: int, picture: bytes) -> None:
        """Wait until the upper part of a window shows what an earlier call returned."""
        until(lambda: self._pixels(window, height) == picture, 90, "an earlier preview")

    def _pixels(self, window: str, height: int) -> bytes:
        self._scrot("/tmp/part.png", {**self._place(window), "HEIGHT": str(self.scale * height)})
        return Path("/tmp/part.png").read_bytes()

    def _place(self, window: str) -> dict[str, str]:
        lines = self.tool("getwindowgeometry", "--shell", window).split()
        return dict(line.split("=") for line in lines)

    def _scrot(self, path: str, place: dict[str, str]) -> None:
        area = ",".join(place[key] for key in ("X", "Y", "WIDTH", "HEIGHT"))
        subprocess.run(["scrot", "-o", "-a", area, path], check=True)

    def shot(self, path: str, window: str | None = None) -> None:
        """Write a screenshot: of a window, or of the whole screen."""
        Path(path).unlink(missing_ok=True)
        if window is None:
            subprocess.run(["scrot", "-o", path], check=True)
            return
        self._scrot(path, self._place(window))


def until(what: Callable[[], Found | None], seconds: float, name: str) -> Found:
    """Wait for a function to return something true; return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds:g} s for {name}")
