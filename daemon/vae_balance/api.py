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
from vae_balance.photos.proxy import make_proxy
from vae_balance.pipeline import changed, learn
from vae_balance_protocol.options import DEVICE, MODEL, PROXY

Picture = NDArray[Any] | Image.Image | Photo
P = TypeVar("P", NDArray[Any], Image.Image, Photo)


class Balancer:
    """Learns looks with one model, kept in memory, and applies looks.

    Pictures are numpy arrays (H, W, 3 or 4), sRGB-encoded, uint8 or uint16 of full scale, or
    float16/32 of 0..1; Pillow images of mode RGB or RGBA; or a `Photo` of `photo.read_photo`,
    whose color profile is honored.

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
        proxy: str = PROXY.default,
        progress: Progress = lambda done, total, stage: None,
        **options: Any,
    ) -> Look:
        """Learn one look from one picture, or from all pictures of a roll together.

        Args:
            photos: a picture, or a sequence of pictures that share one fault.
            proxy: what the network looks at: "centre" (the centre square) or "frame" (all).
            progress: called with rounds done, all rounds and the stage that begins.
            **options: iterations, strength, seed, size: as `LookOptions` has them.

        Raises:
            OptionError: an option is out of its range.
            ImageError: a picture has no colors to balance.
        """
        how = LookOptions(**options)
        roll = [photos] if isinstance(photos, np.ndarray | Image.Image | Photo) else photos
        proxies = [make_proxy(_pixels_or_photo(photo), proxy) for photo in roll]
        return learn(self.model, proxies, how, progress)

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
            pixels = _image_pixels(photo)
            mapped = Image.fromarray(given.apply(pixels, Place.whole(pixels)))
            mapped.info = dict(photo.info)
            return mapped
        return given.apply(photo, Place.whole(photo))

    def balance(self, photo: P, **options: Any) -> P:
        """Learn a look from the picture and apply it to it; `options` are those of `learn`."""
        return self.apply(self.learn(photo, **options), photo)


def _pixels_or_photo(picture: Picture) -> NDArray[Any] | Photo:
    return _image_pixels(picture) if isinstance(picture, Image.Image) else picture


def _image_pixels(image: Image.Image) -> NDArray[Any]:
    if image.mode not in ("RGB", "RGBA"):
        raise OptionError(f"image of mode {image.mode}: convert it to RGB or RGBA first")
    return np.asarray(image)
