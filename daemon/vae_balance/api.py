"""The Python API: learn a look from pictures and apply it to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vae_balance.color.lut import ColorLut
from vae_balance.correctors.corrector import LookOptions, Progress
from vae_balance.correctors.registry import load_corrector
from vae_balance.errors import OptionError
from vae_balance.looks.given_look import GivenLook
from vae_balance.looks.look import Look, Place
from vae_balance.photos.photo import Photo
from vae_balance.photos.pixels import in_color
from vae_balance.pipeline import How, changed, check_look, learn, shown
from vae_balance_protocol.options import DEVICE, MODEL, PROXY

Picture = NDArray[Any] | Image.Image | Photo
P = TypeVar("P", NDArray[Any], Image.Image, Photo)


class Balancer:
    """Learns looks with one model, kept in memory, and applies looks.

    Pictures are numpy arrays (H, W, 3 or 4), sRGB-encoded, uint8 or uint16 of full scale, or
    float16/32 of 0..1; Pillow images of mode RGB or RGBA; or a `Photo` of `photo.read_photo`,
    whose color profile is honored. Grey ones, for models that want such, have three equal channels,
    or are arrays (H, W) or Pillow images of mode L or LA, and come back with colors.

    Args:
        model: name of a model, or the path of its folder.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ModelError: the model is missing or damaged.
        OptionError: there is no such device.
    """

    def __init__(self, model: str = MODEL.default, device: str = DEVICE.default) -> None:
        self.model = load_corrector(model, device)

    def learn(
        self,
        photos: Picture | Sequence[Picture],
        *,
        proxy: str | None = PROXY.default,
        progress: Progress = lambda done, total, stage: None,
        **options: Any,
    ) -> Look:
        """Learn one look from one picture, or from all pictures of a roll together.

        Args:
            photos: a picture, or a sequence of pictures that share one fault.
            proxy: what the model looks at: "centre" (the centre square) or "frame" (all); by
                default what it was made for.
            progress: called with rounds done, all rounds and the stage that begins.
            **options: iterations, strength, seed, size: as `LookOptions` has them.

        Raises:
            OptionError: an option is out of its range.
            ImageError: a picture is grey and the model wants colors, or the other way round.
        """
        chosen, how = LookOptions(**options), How(proxy, wants=self.model.wants)
        given = [photos] if isinstance(photos, np.ndarray | Image.Image | Photo) else photos
        roll = [_photo_of(picture) for picture in given]
        look = learn(self.model, [shown(photo, how) for photo in roll], chosen, progress)
        for photo in roll:
            check_look(look, photo, how)
        return look

    def apply(self, look: Look | ColorLut, photo: P) -> P:
        """Return a new picture of the same kind, depth and size with the look applied.

        Alpha is left alone. Floats outside 0..1 survive.

        Raises:
            OptionError: the picture has a form that cannot be balanced.
        """
        given = GivenLook(look) if isinstance(look, ColorLut) else look
        if isinstance(photo, Photo):
            return changed(photo, given)
        if isinstance(photo, Image.Image):
            mapped = Image.fromarray(_applied(given, _image_pixels(photo)))
            mapped.info = dict(photo.info)
            return mapped
        return _applied(given, in_color(photo))

    def balance(self, photo: P, **options: Any) -> P:
        """Learn a look from the picture and apply it to it; `options` are those of `learn`."""
        return self.apply(self.learn(photo, **options), photo)


def _photo_of(picture: Picture) -> Photo:
    if isinstance(picture, Photo):
        return picture
    return Photo(_image_pixels(picture) if isinstance(picture, Image.Image) else in_color(picture))


def _image_pixels(image: Image.Image) -> NDArray[Any]:
    if image.mode.startswith("I;16"):
        raise OptionError(
            f"image of mode {image.mode}: give its pixels, `numpy.asarray(image)`, as Pillow has "
            "no RGB of 16 bits"
        )
    if image.mode not in ("RGB", "RGBA", "L", "LA"):
        raise OptionError(f"image of mode {image.mode}: convert it to RGB or RGBA first")
    return in_color(np.asarray(image))


def _applied(look: Look, pixels: NDArray[Any]) -> NDArray[Any]:
    return look.apply(pixels, Place.whole(pixels))
