"""The preview of a dialog: the canvas before and after, learned anew whenever a value changes.

GIMP may be asked by the main thread only, so that one reads the layer, a strip at a time when the
dialog has nothing else to do. All talk with the daemon is a worker thread's.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("GdkPixbuf", "2.0")
gi.require_version("Gtk", "3.0")
gi.require_version("Pango", "1.0")
from gi.repository import Gdk, GdkPixbuf, GLib, Gtk, Pango

from layers import Layer, LayerPixels
from scene import Scene, View
from vae_balance_gimp import work
from vae_balance_gimp.changes import describe
from vae_balance_gimp.findings import describe_report
from vae_balance_gimp.texts import UserError, _
from vae_balance_protocol.messages import HAS_COLORS, LUT, MODEL

WIDTH, HEIGHT = 580, 280  # of the picture, in pixels of a screen of 96 dots an inch
_CHECK, _LIGHT, _DARK = 8, 0x999999, 0x666666
_PAUSE = 150  # milliseconds after a change, within which further ones are waited for
_GRIP = 10  # pixels on each side of the line between before and after, within which it is caught
# Refusals of the daemon that trying again does not change.
_LASTING = (HAS_COLORS, LUT, MODEL)
_BEFORE, _SPLIT, _AFTER = "before", "split", "after"


# Returns a proxy and the area that it is of: of the layer or the selection, of which part.
ProxyOf = Callable[[str, str], tuple[bytes, Any]]


@dataclass(frozen=True)
class Wanted:
    """A look to be shown.

    Attributes:
        find: asks the daemon for it; gets the client, a `ProxyOf` and a progress.
        strength: that it is applied with.
    """

    find: Callable[[work.Client, ProxyOf, Any], work.Look]
    strength: float = 1.0


class _SupersededError(Exception):
    """Something newer is wanted, or nothing any more."""


class Preview(Gtk.Box):
    """A picture to look at closely, before and after, and a line that says what happens.

    Attributes:
        error: what the line says if something is wrong, else "".
        refusal: the same, if it would be as wrong the next time.
    """

    def __init__(
        self,
        layer: Layer,
        wanted: Callable[[], Wanted],
        output: Callable[[], str],
        picture_of: Callable[[str, str], tuple[LayerPixels, str, Any]],
        on_models: Callable[[list[str]], None] = lambda models: None,
        on_look: Callable[[work.Look | None], None] = lambda look: None,
        colors: str = "color",
    ) -> None:
        """Show the canvas, and begin with the first look.

        Args:
            layer: what is balanced.
            wanted: returns what is to be shown now, or raises UserError.
            output: returns where the result goes.
            picture_of: returns what a look is learned from, for "layer" or "selection" and the part
                of it that is wanted, as `balancing.learn_picture`.
            on_models: gets the names of the models that the daemon knows for such photos.
            on_look: gets each look that is shown, None while there is none.
            colors: what photos are worked on, "color" or "grey".
        """
        super().__init__(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        self._layer, self._wanted, self._output = layer, wanted, output
        self._picture_of, self._on_models, self._on_look = picture_of, on_models, on_look
        self.error = self.refusal = ""
        self._timer = 0
        image = layer.drawable.get_image()
        self._view = View(image.get_width(), image.get_height(), WIDTH, HEIGHT)
        self._scene: Scene | None = None
        self._before: GdkPixbuf.Pixbuf | None = None
        self._after: GdkPixbuf.Pixbuf | None = None
        self._shown, self._line, self._drag = _SPLIT, 0.5, None
        self._picture, self._status = Gtk.Image(), _Status()
        self._lay_out()
        self._worker = _Worker(self._feed, self, colors)
        self.connect("destroy", lambda _widget: self.stop())
        self._look_at()
        self.renew()

    def _lay_out(self) -> None:
        self._picture.set_size_request(WIDTH, HEIGHT)
        surface = Gtk.EventBox(halign=Gtk.Align.CENTER)
        surface.add(self._picture)
        surface.add_events(
            Gdk.EventMask.SCROLL_MASK
            | Gdk.EventMask.SMOOTH_SCROLL_MASK
            | Gdk.EventMask.BUTTON_PRESS_MASK
            | Gdk.EventMask.BUTTON_RELEASE_MASK
            | Gdk.EventMask.POINTER_MOTION_MASK
        )
        surface.connect("scroll-event", self._on_scroll)
        surface.connect("button-press-event", self._on_press)
        surface.connect("motion-notify-event", self._on_motion)
        surface.connect("button-release-event", self._on_release)
        surface.set_tooltip_text(
            _("Turn the wheel to zoom, drag to move. B switches between before and after.")
        )
        self.pack_start(surface, False, False, 0)
        self.pack_start(self._make_controls(), False, False, 0)
        self.pack_start(self._status, False, False, 0)
        self.show_all()

    def _make_controls(self) -> Gtk.Box:
        row = Gtk.Box(spacing=12)
        shown = Gtk.ButtonBox(layout_style=Gtk.ButtonBoxStyle.EXPAND)
        self._buttons: dict[str, Gtk.RadioButton] = {}
        first = None
        for kind, text in ((_BEFORE, _("Before")), (_SPLIT, _("Split")), (_AFTER, _("After"))):
            button = Gtk.RadioButton.new_with_label_from_widget(first, text)
            button.set_mode(False)
            button.connect("toggled", self._on_shown, kind)
            first = first or button
            self._buttons[kind] = button
            shown.pack_start(button, True, True, 0)
        self._buttons[_SPLIT].set_active(True)
        zoom = Gtk.ButtonBox(layout_style=Gtk.ButtonBoxStyle.EXPAND)
        for icon, text, change in (
            ("zoom-out-symbolic", _("Zoom out"), lambda: self._view.zoom(0.5)),
            ("zoom-fit-best-symbolic", _("Show all"), self._view.fit),
            ("zoom-original-symbolic", _("100 %"), self._view.show_pixels),
            ("zoom-in-symbolic", _("Zoom in"), lambda: self._view.zoom(2.0)),
        ):
            button = Gtk.Button.new_from_icon_name(icon, Gtk.IconSize.BUTTON)
            button.set_tooltip_text(text)
            button.get_accessible().set_name(text)
            button.connect("clicked", lambda _button, change=change: (change(), self._look_at()))
            zoom.pack_start(button, True, True, 0)
        row.pack_start(shown, False, False, 0)
        row.pack_end(zoom, False, False, 0)
        return row

    def renew(self) -> None:
        """Ask for a new look soon, when no further change follows."""
        self.error = self.refusal = ""
        self._on_look(None)
        if self._timer:
            GLib.source_remove(self._timer)
        self._timer = GLib.timeout_add(_PAUSE, self._ask)

    def renew_place(self) -> None:
        """Show the result in another place: in the layer, or above it."""
        self._look_at()

    def toggle(self) -> None:
        """Switch between before and after."""
        self._buttons[_AFTER if self._shown == _BEFORE else _BEFORE].set_active(True)

    def stop(self) -> None:
        """End the worker's work; the daemon drops what it still does for it."""
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0
        self._worker.stop()
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def _ask(self) -> bool:
        self._timer = 0
        try:
            self._worker.want(self._wanted())
        except UserError as error:
            self._worker.want(None)
            self.show_error(error)
        return GLib.SOURCE_REMOVE

    def _look_at(self) -> None:
        """Show the part of the canvas that the view says."""
        if self._scene is not None:
            self._scene.close()
        self._scene = Scene(self._layer, self._view, self._output())
        self._before = self._pixbuf(self._scene.before)
        self._after = None
        self._draw()
        self._worker.look_at(self._scene)

    def _feed(self, learn_from: str, part: str, job: _Reading) -> bool:
        """Begin to read the layer for the worker, strip by strip."""
        try:
            picture, kind, area = self._picture_of(learn_from, part)
        except UserError as error:
            job.fail(error)
            return GLib.SOURCE_REMOVE
        job.begin(picture, kind, area)
        strips = picture.strips()

        def read() -> bool:
            if job.is_full():
                GLib.timeout_add(10, read)
                return GLib.SOURCE_REMOVE
            try:
                more = job.put(next(strips, None))
            except Exception as error:
                job.fail(error)
                more = False
            return GLib.SOURCE_CONTINUE if more else GLib.SOURCE_REMOVE

        GLib.idle_add(read)
        return GLib.SOURCE_REMOVE

    # What the worker tells

    def show_after(self, result: tuple[Scene, list[Any], work.Look]) -> bool:
        """Show a scene with new pixels of its layer, and what the look found, or what it does."""
        scene, strips, look = result
        if scene is not self._scene:
            return GLib.SOURCE_REMOVE
        try:
            pixels = scene.after(strips)
        except UserError as error:
            return self.show_error(error)
        self._after = self._pixbuf(pixels)
        self._draw()
        self.error = self.refusal = ""
        text = describe_report(look.report) or describe(scene.before, pixels)
        self._status.show_text(text, look.description())
        self._on_look(look)
        return GLib.SOURCE_REMOVE

    def show_error(self, error: UserError) -> bool:
        """Show what went wrong, in place of a result."""
        self._after = None
        self._draw()
        self.error = error.message
        self.refusal = error.message if error.code in _LASTING else ""
        self._status.show_error(error.message)
        self._on_look(None)
        return GLib.SOURCE_REMOVE

    def show_advice(self, text: str) -> None:
        """Show what there is to say of the look, behind what it found."""
        self._status.show_advice(text)

    def show_work(self, text: str) -> bool:
        """Show what happens."""
        self._status.show_text(text)
        return GLib.SOURCE_REMOVE

    def show_models(self, models: list[str]) -> bool:
        """Pass on which models there are."""
        self._on_models(models)
        return GLib.SOURCE_REMOVE

    # Drawing

    def _pixbuf(self, pixels: bytes) -> GdkPixbuf.Pixbuf:
        """Return pixels of the scene on a checkerboard, as large as they are shown."""
        assert self._scene is not None
        width, height = self._scene.width, self._scene.height
        shown_width, shown_height = self._view.shown_size
        picture = GdkPixbuf.Pixbuf.new_from_bytes(
            GLib.Bytes.new(pixels),
            GdkPixbuf.Colorspace.RGB, True, 8, width, height, width * 4,
        )  # fmt: skip
        return picture.composite_color_simple(
            shown_width, shown_height, GdkPixbuf.InterpType.NEAREST, 255, _CHECK, _LIGHT, _DARK
        )

    def _draw(self) -> None:
        before, after = self._before, self._after
        if before is None:
            return
        if after is None:  # paler, while there is no result
            width, height = before.get_width(), before.get_height()
            after = before.composite_color_simple(
                width, height, GdkPixbuf.InterpType.NEAREST, 96, _CHECK, _DARK, _DARK
            )
        if self._shown == _SPLIT:
            self._picture.set_from_pixbuf(self._both(before, after))
        else:
            self._picture.set_from_pixbuf(before if self._shown == _BEFORE else after)

    def _both(self, before: GdkPixbuf.Pixbuf, after: GdkPixbuf.Pixbuf) -> GdkPixbuf.Pixbuf:
        width, height = before.get_width(), before.get_height()
        line = min(max(round(self._line * width), 0), width)
        both = after.copy()
        if line:
            before.copy_area(0, 0, line, height, both, 0, 0)
        if 1 < line < width - 1:
            both.new_subpixbuf(line - 1, 0, 1, height).fill(0x000000FF)
            both.new_subpixbuf(line, 0, 1, height).fill(0xFFFFFFFF)
        return both

    # The mouse

    def _on_shown(self, button: Gtk.RadioButton, kind: str) -> None:
        if button.get_active():
            self._shown = kind
            self._draw()

    def _place(self, event: Any) -> tuple[float, float]:
        """Return where the pointer is in the picture, which is in the middle of its room."""
        width, height = self._view.shown_size
        return event.x - (WIDTH - width) / 2, event.y - (HEIGHT - height) / 2

    def _on_scroll(self, _widget: Gtk.Widget, event: Any) -> bool:
        found, _across, down = event.get_scroll_deltas()
        if not found:
            down = {Gdk.ScrollDirection.UP: -1, Gdk.ScrollDirection.DOWN: 1}.get(event.direction, 0)
        if down and self._view.zoom(2.0 ** (-down / 2), *self._place(event)):
            self._look_at()
        return True

    def _on_press(self, _widget: Gtk.Widget, event: Any) -> bool:
        x, y = self._place(event)
        line = self._line * self._view.shown_size[0]
        on_line = self._shown == _SPLIT and abs(x - line) <= _GRIP
        self._drag = (on_line, x, y)
        return True

    def _on_motion(self, _widget: Gtk.Widget, event: Any) -> bool:
        if self._drag is not None and self._drag[0]:
            x, _y = self._place(event)
            self._line = min(max(x / self._view.shown_size[0], 0.0), 1.0)
            self._draw()
        return True

    def _on_release(self, _widget: Gtk.Widget, event: Any) -> bool:
        if self._drag is None:
            return True
        (on_line, x, y), self._drag = self._drag, None
        new_x, new_y = self._place(event)
        if not on_line and self._view.move(x - new_x, y - new_y):
            self._look_at()
        return True


class _Status(Gtk.Box):
    """A line of text, with a symbol before it when something is wrong; its tooltip says more."""

    def __init__(self) -> None:
        super().__init__(spacing=6)
        self._symbol = Gtk.Image.new_from_icon_name("dialog-warning", Gtk.IconSize.MENU)
        self._symbol.set_no_show_all(True)
        self._text = ""
        self._label = Gtk.Label(wrap=True, xalign=0.0, max_width_chars=70, lines=3)
        self._label.set_ellipsize(Pango.EllipsizeMode.END)
        # To be copied, into a report for instance, but never in the way of the tab key.
        self._label.set_selectable(True)
        self._label.set_can_focus(False)
        # High enough for two lines, so that the dialog mostly keeps its size.
        self.set_size_request(WIDTH, 38)
        self.pack_start(self._symbol, False, False, 0)
        self.pack_start(self._label, True, True, 0)

    def show_text(self, text: str, more: str | None = None) -> None:
        self._symbol.hide()
        self._text = text
        self._label.set_text(text)
        self._label.set_tooltip_text(more)

    def show_advice(self, text: str) -> None:
        self._label.set_text(f"{self._text} {text}".rstrip())

    def show_error(self, text: str) -> None:
        self._symbol.show()
        self._label.set_text(text)
        self._label.set_tooltip_text(text)


class _Reading:
    """A picture on its way from the main thread to the worker, a few strips at a time.

    It is read to its end once it has begun, whatever is wanted meanwhile: its proxy serves all
    further looks.
    """

    channels, profile = 4, None

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self._is_stopped = is_stopped
        self._queue: queue.Queue[Any] = queue.Queue()

    def begin(self, picture: LayerPixels, kind: str, area: Any) -> None:
        """Tell the worker what will come."""
        self.width, self.height = picture.width, picture.height
        self.channels, self.dtype, self.profile = picture.channels, picture.dtype, picture.profile
        self.kind, self.area = kind, area
        self._queue.put(None)

    def is_full(self) -> bool:
        """Tell whether the worker has enough for now."""
        return self._queue.qsize() >= 2

    def put(self, strip: Any) -> bool:
        """Give the worker a strip, None after the last; return whether it wants more."""
        self._queue.put(strip)
        return strip is not None and not self._is_stopped()

    def fail(self, error: Exception) -> None:
        """Tell the worker that there will be nothing."""
        self._queue.put(error)

    def wait(self) -> None:
        """Wait until the attributes are known.

        Raises:
            UserError: the picture cannot be read.
            _SupersededError: nobody wants it any more.
        """
        self._take()

    def strips(self) -> Iterator[tuple[int, int, Any]]:
        """Yield what the main thread reads; raises as `wait`."""
        while (strip := self._take()) is not None:
            yield strip

    def _take(self) -> Any:
        while not self._is_stopped():
            try:
                taken = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(taken, Exception):
                raise taken
            return taken
        raise _SupersededError


class _Worker:
    """A thread that asks the daemon for the newest wanted look and no other."""

    def __init__(self, feed: Callable[..., bool], view: Preview, colors: str) -> None:
        self._feed, self._view, self._colors = feed, view, colors
        self._changed = threading.Condition()
        self._number = 0  # of the newest request
        self._newest: Wanted | None = None
        self._scene: Scene | None = None
        self._found: tuple[Wanted, work.Look] | None = None
        self._stopped = False
        self._client: work.Client | None = None
        self._proxies: dict[tuple[str, str], tuple[bytes, Any]] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def want(self, wanted: Wanted | None) -> None:
        with self._changed:
            self._number += 1
            self._newest = wanted
            self._changed.notify()

    def look_at(self, scene: Scene) -> None:
        with self._changed:
            self._number += 1
            self._scene = scene
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._number += 1
            self._changed.notify()

    def _run(self) -> None:
        number = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda seen=number: self._stopped or self._number != seen)
                if self._stopped:
                    break
                number, wanted, scene = self._number, self._newest, self._scene
            if wanted is not None and scene is not None:
                self._show(wanted, scene, number)
        if self._client is not None:
            self._client.close()

    def _show(self, wanted: Wanted, scene: Scene, number: int) -> None:
        """Find a look and show it, or what went wrong, unless there is something newer."""
        try:
            with work.plain_errors():
                result = self._work(wanted, scene, number)
        except _SupersededError:
            return
        except UserError as error:
            self._hang_up()
            self._tell(number, self._view.show_error, error)
        except Exception as error:
            self._hang_up()
            text = f"{type(error).__name__}: {error}"
            self._tell(number, self._view.show_error, UserError(text))
        else:
            self._tell(number, self._view.show_after, result)

    def _work(
        self, wanted: Wanted, scene: Scene, number: int
    ) -> tuple[Scene, list[Any], work.Look]:
        def progress(text: str, _fraction: float) -> None:
            if self._number != number:
                raise _SupersededError
            self._tell(number, self._view.show_work, text)

        client = self._connected(progress)
        if self._found is None or self._found[0] is not wanted:
            look = wanted.find(client, partial(self._proxy, client), progress)
            self._found = (wanted, look)
        look = self._found[1]
        if scene.picture is None or look.changes_nothing:
            return scene, [], look
        place = scene.place_in(look.area)
        strips = work.apply(client, look, scene.picture, wanted.strength, progress, place)
        return scene, [(first, rows, bytes(pixels)) for first, rows, pixels in strips], look

    def _connected(self, progress: Callable[[str, float], None]) -> work.Client:
        if self._client is None:
            self._client = work.connect(progress)
            models = work.models_for(self._client, self._colors)
            GLib.idle_add(self._view.show_models, models)
        return self._client

    def _proxy(self, client: work.Client, source: str, part: str) -> tuple[bytes, Any]:
        """Return the proxy of the layer or of the selection, which the main thread reads."""
        if (source, part) not in self._proxies:
            reading = _Reading(lambda: self._stopped)
            GLib.idle_add(self._feed, source, part, reading)
            reading.wait()
            proxy = work.shrink(client, reading, reading.kind, self._quietly)
            self._proxies[source, part] = proxy, reading.area
        return self._proxies[source, part]

    def _quietly(self, text: str, _fraction: float) -> None:
        GLib.idle_add(self._view.show_work, text)

    def _hang_up(self) -> None:
        """Begin with a new connection next time."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._found = None  # a daemon that is started anew does not know it

    def _tell(self, number: int, show: Callable[[Any], bool], what: Any) -> None:
        def tell() -> bool:
            if self._number == number and not self._stopped:
                show(what)
            return GLib.SOURCE_REMOVE

        GLib.idle_add(tell)
