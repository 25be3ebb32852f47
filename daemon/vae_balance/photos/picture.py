"""A photo in memory, as it is stored: pixels, profile, orientation and metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vae_balance.color.arrays import Pixels
from vae_balance.errors import ImageError
from vae_balance.photos.containers import Metadata

_DTYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "float16", "float32"))


@dataclass
class Photo:
    """A picture as it is stored: in its own profile and orientation.

    Attributes:
        pixels: (H, W, 3) or (H, W, 4), uint8, uint16 (0..full scale), float16 or float32 (0..1,
            values outside and NaN are allowed), encoded as `icc_profile` says. Colors are never
            multiplied by alpha, the fourth channel.
        icc_profile: The embedded profile, or that of the color space that the file names; None
            means sRGB.
        orientation: 1..8 as in EXIF: how to turn the picture to see it upright.
        metadata: Passed on to the file that is written.
        file_format: By its name in `formats.py`; "" if it did not come from a file.
        compression: Its name in a TIFF or OpenEXR file; "lossless" of WebP and JPEG XL; else "".
        alpha: "associated" if a TIFF or OpenEXR file has colors multiplied by alpha: `pixels` are
            float32 then, as colors may be brighter than their alpha allows; "unspecified" if the
            fourth channel is not transparency (but a saved selection or infrared, say); else
            "unassociated".
        masks: Grey pages, (H, W), that a TIFF file has beside the picture, such as the infrared
            of a scanner; passed on to a TIFF file.
        stored_dtype: What is written, as far as the format has it, where that is not the type of
            `pixels`; None where it is.

    Raises:
        ImageError: The pixels have another shape or type, or there are none.
    """

    pixels: Pixels
    icc_profile: bytes | None = None
    orientation: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    file_format: str = ""
    compression: str = ""
    alpha: str = "unassociated"
    masks: tuple[Pixels, ...] = ()
    stored_dtype: np.dtype[Any] | None = None

    def __post_init__(self) -> None:
        """Check the pixels."""
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] not in (3, 4) or 0 in shape:
            raise ImageError(f"pixels of shape {shape}: it must be (H, W, 3) or (H, W, 4)")
        if dtype not in _DTYPES:
            names = ", ".join(str(known) for known in _DTYPES)
            raise ImageError(f"pixels of type {dtype}: convert to one of {names}")

    @property
    def depth(self) -> np.dtype[Any]:
        """The type of pixels in a file, where its format has it."""
        return self.stored_dtype or self.pixels.dtype
