"""What a preview shows: a part of the canvas, as it is and as it will be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp

from canvas import find_twin, visible_filters
from layers import Layer
from vae_balance_gimp.settings import NEW_LAYER
from vae_balance_gimp.work import place_in_small

_MOST_ZOOM = 16.0


class View:
    """Which part of an image is shown, and how large.

    Attributes:
        scale: pixels of the screen for one of the image.
    """

    def __init__(self, image_width: int, image_height: int, width: int, height: int) -> None:
        """Show all of an image.

        Args:
            image_width: of the image, as is `image_height`.
            image_height: see there.
            width: of the room on the screen, as is `height`.
            height: see there.
        """
        self._image, self._room = (image_width, image_height), (width, height)
        self.fit()

    def fit(self) -> None:
        """Show all of the image."""
        self.scale = self._fitting()
        self._centre = [side / 2 for side in self._image]

    def show_pixels(self) -> None:
        """Show each pixel of the image as one of the screen."""
        self.zoom(1.0 / self.scale)

    def zoom(self, factor: float, x: float | None = None, y: float | None = None) -> bool:
        """Enlarge what is at a place of the screen; return whether anything changes."""
        low, high = min(self._fitting(), 1.0), max(_MOST_ZOOM, self._fitting())
        scale = min(max(self.scale * factor, low), high)
        if scale == self.scale:
            return False
        left, top, _width, _height = self.area
        shown = self.shown_size
        places = [left, top]
        for axis, at in enumerate((x, y)):
            at = shown[axis] / 2 if at is None else at
            fixed = places[axis] + at / self.scale
            self._centre[axis] = fixed + (shown[axis] / 2 - at) / scale
        self.scale = scale
        self._keep_inside()
        return True

    def move(self, x: float, y: float) -> bool:
        """Show what lies so many pixels of the screen away; return whether anything changes."""
        old = list(self._centre)
        self._centre = [old[0] + x / self.scale, old[1] + y / self.scale]
        self._keep_inside()
        return [round(at) for at in old] != [round(at) for at in self._centre]

    @property
    def area(self) -> tuple[int, int, int, int]:
        """The part of the image: x, y, width, height."""
        sides, starts = [], []
        for axis in (0, 1):
            side = min(self._image[axis], max(1, round(self._room[axis] / self.scale)))
            start = round(self._centre[axis] - side / 2)
            starts.append(min(max(start, 0), self._image[axis] - side))
            sides.append(side)
        return (starts[0], starts[1], sides[0], sides[1])

    @property
    def shown_size(self) -> tuple[int, int]:
        """Its width and height on the screen."""
        _x, _y, width, height = self.area
        return (
            min(self._room[0], max(1, round(width * self.scale))),
            min(self._room[1], max(1, round(height * self.scale))),
        )

    def _fitting(self) -> float:
        return min(room / side for room, side in zip(self._room, self._image, strict=True)) or 1.0

    def _keep_inside(self) -> None:
        for axis in (0, 1):
            half = min(self._room[axis] / self.scale, self._image[axis]) / 2
            self._centre[axis] = min(max(self._centre[axis], half), self._image[axis] - half)


class Scene:
    """A part of an image in small, in a copy of it, in which the result is tried.

    Attributes:
        width: in pixels, as `height`.
        height: see there.
        before: what the canvas shows, sRGB-encoded RGBA of 8 bits.
        picture: the pixels of the layer there, as `vae_balance_gimp.work` wants a picture; None if
            there is nothing of it, or nothing of that is selected.
    """

    def __init__(self, layer: Layer, view: View, output: str) -> None:
        """Copy a part of the image of a layer.

        Args:
            layer: the layer whose result is tried.
            view: which part.
            output: where the result goes.
        """
        source = layer.drawable
        image = source.get_image()
        self._copy = image.duplicate()
        self._copy.undo_disable()
        twin = find_twin(source, self._copy)
        # Where the layer itself cannot take the result, it is shown as the new layer would.
        self._new_layer = output == NEW_LAYER or layer.is_group or layer.is_drawn_by_gimp
        x, y, width, height = view.area
        shown = view.shown_size
        self.width, self.height = min(width, shown[0]), min(height, shown[1])
        had_selection = not Gimp.Selection.is_empty(image)
        _show(twin)
        if visible_filters(twin) and not twin.is_group():
            twin.merge_filters()  # whose reach is in pixels of the image
        _remove_hidden(self._copy.get_layers())
        if (width, height) != (image.get_width(), image.get_height()):
            self._copy.crop(width, height, x, y)
        if (self.width, self.height) != (width, height):
            Gimp.context_push()
            Gimp.context_set_interpolation(Gimp.InterpolationType.LINEAR)
            self._copy.scale(self.width, self.height)
            Gimp.context_pop()
        self._twin = twin if twin.is_valid() else None  # cropping removes what is outside
        self.before = _seen(self._copy)
        self.picture: _Kept | None = None
        nothing_selected = had_selection and Gimp.Selection.is_empty(self._copy)
        if self._twin is None or nothing_selected:
            return
        small = Layer(self._twin)
        self._area = small.selected_area()
        self._scale = (self.width / width, self.height / height)
        corner = (source.get_offsets()[-2] - x, source.get_offsets()[-1] - y)
        self._corner = (corner[0] * self._scale[0], corner[1] * self._scale[1])
        self._offsets = tuple(self._twin.get_offsets()[-2:])
        if self._area is not None:
            self.picture = _Kept(small.pixels(self._area, False))
        small.close()

    def place_in(self, learned: Any) -> dict[str, int] | None:
        """Return the place of `picture` in an area of the layer, None if that is None.

        Args:
            learned: x, y, width and height, as large as the layer is.

        Returns:
            The field `place` of PROTOCOL.md, as large as this scene is.
        """
        if learned is None or self.picture is None or self._area is None:
            return None
        x, y, width, height = self._area
        area = (self._offsets[0] + x, self._offsets[1] + y, width, height)
        return place_in_small(learned, self._corner, self._scale, area)

    def after(self, strips: list[tuple[int, int, bytes]]) -> bytes:
        """Return what the canvas will show, as `before`, when the layer's picture becomes strips.

        Raises:
            UserError: GIMP refused.
        """
        if not strips or self._twin is None or self._area is None:
            return self.before
        trial = self._copy.duplicate()
        layer = Layer(find_twin(self._twin, trial))
        try:
            result = layer.result(self._area, self._new_layer)
            result.write(strips)
            result.commit(b"{}")
            return _seen(trial)
        finally:
            layer.close()
            trial.delete()

    def close(self) -> None:
        """Give back the copy."""
        if self._copy.is_valid():
            self._copy.delete()


class _Kept:
    """A picture that was read, as `vae_balance_gimp.work` wants one."""

    def __init__(self, picture: Any) -> None:
        self.width, self.height = picture.width, picture.height
        self.channels, self.dtype, self.profile = picture.channels, picture.dtype, picture.profile
        self._strips = [(first, rows, bytes(data)) for first, rows, data in picture.strips()]

    def strips(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the strips."""
        return iter(self._strips)


def _show(layer: Gimp.Layer) -> None:
    """Make a layer visible and free to be changed, wherever it is."""
    item = layer
    while item is not None:
        item.set_visible(True)
        item.set_lock_content(False)
        item = item.get_parent()


def _remove_hidden(layers: list[Gimp.Layer]) -> None:
    """Remove what nobody sees and what would only take time."""
    for layer in layers:
        if not layer.get_visible():
            layer.get_image().remove_layer(layer)
        elif layer.is_group():
            _remove_hidden(layer.get_children())


def _seen(image: Gimp.Image) -> bytes:
    """Return what the canvas of an image shows, sRGB-encoded RGBA of 8 bits."""
    seen = Gimp.Layer.new_from_visible(image, image, "")
    try:
        area = Gegl.Rectangle.new(0, 0, image.get_width(), image.get_height())
        pixels = seen.get_buffer().get(area, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)
        return bytes(pixels)
    finally:
        seen.delete()
