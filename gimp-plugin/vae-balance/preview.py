"""The preview of a dialog: a layer before and after, learned anew whenever a value changes.

GIMP may be asked by the main thread only, so that one reads the layer, a strip at a time when the
dialog has nothing else to do. All talk with the daemon is a worker thread's.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gi

gi.require_version("GdkPixbuf", "2.0")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
gi.require_version("Pango", "1.0")
from gi.repository import GdkPixbuf, Gegl, Gimp, GLib, Gtk, Pango

from layers import Layer, LayerPixels
from vae_balance_gimp import work
from vae_balance_gimp.texts import UserError, _

SIDE = 256  # pixels of the longer side of each picture
_CHECK, _LIGHT, _DARK = 8, 0x999999, 0x666666
_PAUSE = 150  # milliseconds after a change, within which further ones are waited for


@dataclass(frozen=True)
class Wanted:
    """A look to be shown.

    Attributes:
        find: asks the daemon for it; gets the client, a function that returns the proxy of the
            layer or the selection, and a progress.
        strength: that it is applied with.
    """

    find: Callable[[work.Client, Callable[[str], bytes], Any], work.Look]
    strength: float = 1.0


class _SupersededError(Exception):
    """Something newer is wanted, or nothing any more."""


class Preview(Gtk.Box):
    """Two pictures side by side, and a line that says what happens or what went wrong."""

    def __init__(
        self,
        layer: Layer,
        wanted: Callable[[], Wanted],
        picture_of: Callable[[str], tuple[LayerPixels, str]],
        on_models: Callable[[list[str]], None] = lambda models: None,
    ) -> None:
        """Show the layer, and begin with the first look.

        Args:
            layer: what is shown.
            wanted: returns what is to be shown now, or raises UserError.
            picture_of: returns what a look is learned from and the kind of its proxy, for "layer"
                or "selection".
            on_models: gets the names of the models that the daemon knows.
        """
        super().__init__(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        self._layer, self._wanted, self._picture_of = layer, wanted, picture_of
        self._on_models = on_models
        self._timer = 0
        self._thumbnail = _Thumbnail(layer.shown())
        self._before, self._after = Gtk.Image(), Gtk.Image()
        self._status = _Status()
        self._lay_out()
        self._before.set_from_pixbuf(self._thumbnail.before)
        self._after.set_from_pixbuf(self._thumbnail.faded)
        self._worker = _Worker(self._thumbnail, self._feed, self)
        self.connect("destroy", lambda _widget: self.stop())
        self.renew()

    def _lay_out(self) -> None:
        pictures = Gtk.Box(spacing=12, halign=Gtk.Align.CENTER)
        for picture, caption in ((self._before, _("Before")), (self._after, _("After"))):
            column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=4)
            picture.set_size_request(SIDE, self._thumbnail.before.get_height())
            label = Gtk.Label(label=caption)
            label.get_style_context().add_class("dim-label")
            column.pack_start(picture, False, False, 0)
            column.pack_start(label, False, False, 0)
            pictures.pack_start(column, False, False, 0)
        self.pack_start(pictures, False, False, 0)
        self.pack_start(self._status, False, False, 0)
        self.set_tooltip_text(
            _("The layer as it is and as it will be, in small. It is learned anew with each value.")
        )
        self.show_all()

    def renew(self) -> None:
        """Ask for a new look soon, when no further change follows."""
        if self._timer:
            GLib.source_remove(self._timer)
        self._timer = GLib.timeout_add(_PAUSE, self._ask)

    def stop(self) -> None:
        """End the worker's work; the daemon drops what it still does for it."""
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0
        self._worker.stop()

    def _ask(self) -> bool:
        self._timer = 0
        try:
            self._worker.want(self._wanted())
        except UserError as error:
            self._worker.want(None)
            self.show_error(error.message)
        return GLib.SOURCE_REMOVE

    def _feed(self, learn_from: str, job: _Reading) -> bool:
        """Begin to read the layer for the worker, strip by strip."""
        try:
            picture, kind = self._picture_of(learn_from)
        except UserError as error:
            job.fail(error)
            return GLib.SOURCE_REMOVE
        job.begin(picture, kind)
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

    def show_after(self, result: tuple[bytes, str]) -> bool:
        """Show the pixels of the thumbnail as the look has them, and what the look is."""
        pixels, description = result
        self._after.set_from_pixbuf(self._thumbnail.after(pixels))
        self._status.show_text(description)
        return GLib.SOURCE_REMOVE

    def show_error(self, message: str) -> bool:
        """Show what went wrong, in place of a result."""
        self._after.set_from_pixbuf(self._thumbnail.faded)
        self._status.show_error(message)
        return GLib.SOURCE_REMOVE

    def show_work(self, text: str) -> bool:
        """Show what happens."""
        self._status.show_text(text)
        return GLib.SOURCE_REMOVE

    def show_models(self, models: list[str]) -> bool:
        """Pass on which models there are."""
        self._on_models(models)
        return GLib.SOURCE_REMOVE


class _Status(Gtk.Box):
    """A line or two of text, with a symbol before it when something is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self._symbol = Gtk.Image.new_from_icon_name("dialog-warning", Gtk.IconSize.LARGE_TOOLBAR)
        self._symbol.set_no_show_all(True)
        self._label = Gtk.Label(wrap=True, max_width_chars=62, lines=3)
        self._label.set_ellipsize(Pango.EllipsizeMode.END)
        # High enough for three lines, so that the dialog keeps its size.
        self.set_size_request(2 * SIDE, 54)
        both = Gtk.Box(spacing=9, halign=Gtk.Align.CENTER)
        both.pack_start(self._symbol, False, False, 0)
        both.pack_start(self._label, False, False, 0)
        self.pack_start(both, True, True, 0)

    def show_text(self, text: str) -> None:
        self._symbol.hide()
        self._label.set_text(text)
        self._label.set_tooltip_text(None)

    def show_error(self, text: str) -> None:
        self._symbol.show()
        self._label.set_text(text)
        self._label.set_tooltip_text(text)


class _Thumbnail:
    """A layer in small, sRGB-encoded.

    Attributes:
        width: of the thumbnail.
        height: of the thumbnail.
        pixels: RGBA, 8 bits.
        before: as a picture on a checkerboard.
        faded: the same, paler, while there is no result.
    """

    def __init__(self, layer: Gimp.Layer) -> None:
        across, down = layer.get_width(), layer.get_height()
        scale = min(SIDE / across, SIDE / down, 1.0)
        self.width, self.height = max(1, round(across * scale)), max(1, round(down * scale))
        area = Gegl.Rectangle.new(0, 0, self.width, self.height)
        clamp = Gegl.AbyssPolicy.CLAMP
        self.pixels = layer.get_buffer().get(area, scale, "R'G'B'A u8", clamp)
        self._selection = _selection(layer, scale, area)
        self.before = self._on_checks(self.pixels)
        self.faded = self.before.composite_color_simple(
            self.width, self.height, GdkPixbuf.InterpType.NEAREST, 64, _CHECK, _DARK, _DARK
        )

    def after(self, pixels: bytes) -> GdkPixbuf.Pixbuf:
        """Return a picture of new pixels where something is selected, of the old ones elsewhere."""
        new = self._on_checks(pixels)
        if self._selection is None:
            return new
        masked = bytearray(new.add_alpha(False, 0, 0, 0).get_pixels())
        masked[3::4] = self._selection
        over = self._pixbuf(bytes(masked))
        result = self.before.copy()
        over.composite(
            result, 0, 0, self.width, self.height, 0, 0, 1, 1, GdkPixbuf.InterpType.NEAREST, 255
        )
        return result

    def _on_checks(self, pixels: bytes) -> GdkPixbuf.Pixbuf:
        return self._pixbuf(pixels).composite_color_simple(
            self.width, self.height, GdkPixbuf.InterpType.NEAREST, 255, _CHECK, _LIGHT, _DARK
        )

    def _pixbuf(self, pixels: bytes) -> GdkPixbuf.Pixbuf:
        return GdkPixbuf.Pixbuf.new_from_bytes(
            GLib.Bytes.new(bytes(pixels)),
            GdkPixbuf.Colorspace.RGB, True, 8, self.width, self.height, self.width * 4,
        )  # fmt: skip


def _selection(layer: Gimp.Layer, scale: float, area: Gegl.Rectangle) -> bytes | None:
    """Return how far each pixel of the thumbnail is selected, one byte each; None: all are."""
    image = layer.get_image()
    if Gimp.Selection.is_empty(image):
        return None
    _ok, left, top = layer.get_offsets()
    place = Gegl.Rectangle.new(round(left * scale), round(top * scale), area.width, area.height)
    return image.get_selection().get_buffer().get(place, scale, "Y u8", Gegl.AbyssPolicy.NONE)


class _Reading:
    """A picture on its way from the main thread to the worker, a few strips at a time.

    It is read to its end once it has begun, whatever is wanted meanwhile: its proxy serves all
    further looks.
    """

    channels, profile = 4, None

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self.kind = "centre"
        self._is_stopped = is_stopped
        self._queue: queue.Queue[Any] = queue.Queue()

    def begin(self, picture: LayerPixels, kind: str) -> None:
        """Tell the worker what will come."""
        self.width, self.height = picture.width, picture.height
        self.channels, self.dtype, self.profile = picture.channels, picture.dtype, picture.profile
        self.kind = kind
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

    def __init__(self, thumbnail: _Thumbnail, feed: Callable[..., bool], view: Preview) -> None:
        self._thumbnail, self._feed, self._view = thumbnail, feed, view
        self._changed = threading.Condition()
        self._number = 0  # of the newest request
        self._newest: Wanted | None = None
        self._stopped = False
        self._client: work.Client | None = None
        self._proxies: dict[str, bytes] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def want(self, wanted: Wanted | None) -> None:
        with self._changed:
            self._number += 1
            self._newest = wanted
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
                number, wanted = self._number, self._newest
            if wanted is not None:
                self._show(wanted, number)
        if self._client is not None:
            self._client.close()

    def _show(self, wanted: Wanted, number: int) -> None:
        """Find a look and show it, or what went wrong, unless there is something newer."""
        try:
            with work.plain_errors():
                result = self._work(wanted, number)
        except _SupersededError:
            return
        except UserError as error:
            self._hang_up()
            self._tell(number, self._view.show_error, error.message)
        except Exception as error:
            self._hang_up()
            self._tell(number, self._view.show_error, f"{type(error).__name__}: {error}")
        else:
            self._tell(number, self._view.show_after, result)

    def _work(self, wanted: Wanted, number: int) -> tuple[bytes, str]:
        def progress(text: str, _fraction: float) -> None:
            if self._number != number:
                raise _SupersededError
            self._tell(number, self._view.show_work, text)

        client = self._connected(progress)
        look = wanted.find(client, lambda source: self._proxy(client, source), progress)
        small = self._thumbnail
        picture = _Small(small.width, small.height, small.pixels)
        strips = work.apply(client, look, picture, wanted.strength, progress)
        return b"".join(bytes(pixels) for _first, _rows, pixels in strips), look.description()

    def _connected(self, progress: Callable[[str, float], None]) -> work.Client:
        if self._client is None:
            self._client = work.connect(progress)
            models = list(self._client.daemon["models"])
            GLib.idle_add(self._view.show_models, models)
        return self._client

    def _proxy(self, client: work.Client, source: str) -> bytes:
        """Return the proxy of the layer or of the selection, which the main thread reads."""
        if source not in self._proxies:
            reading = _Reading(lambda: self._stopped)
            GLib.idle_add(self._feed, source, reading)
            reading.wait()
            self._proxies[source] = work.shrink(client, reading, reading.kind, self._quietly)
        return self._proxies[source]

    def _quietly(self, text: str, _fraction: float) -> None:
        GLib.idle_add(self._view.show_work, text)

    def _hang_up(self) -> None:
        """Begin with a new connection next time."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _tell(self, number: int, show: Callable[[Any], bool], what: Any) -> None:
        def tell() -> bool:
            if self._number == number and not self._stopped:
                show(what)
            return GLib.SOURCE_REMOVE

        GLib.idle_add(tell)


class _Small:
    """The thumbnail, as `vae_balance_gimp.work` wants a picture."""

    channels, dtype, profile = 4, "u8", None

    def __init__(self, width: int, height: int, pixels: bytes) -> None:
        self.width, self.height, self._pixels = width, height, pixels

    def strips(self) -> Iterator[tuple[int, int, bytes]]:
        yield 0, self.height, self._pixels
