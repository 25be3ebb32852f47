"""A bundled photo, damaged and balanced through the daemon, as GIMP does it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vae_balance.doctor.finding import INSTALL_AGAIN, Finding
from vae_balance.errors import BalanceError
from vae_balance_protocol import DaemonError

if TYPE_CHECKING:
    from vae_balance.photos.photo import Photo

SUBJECT = "a photo"
BEFORE, AFTER, PAIR, LOOK = "before.png", "after.png", "before-after.png", "look.cube"


def photo_finding(folder: Path) -> Finding:
    """Balance the photo; leave it before and after, and its look, in a folder."""
    from vae_balance.color.lut import Lut3D
    from vae_balance.color.profile import apply_in_profile
    from vae_balance.files import atomic_write, make_folder
    from vae_balance.photos.photo import read_photo, write_photo
    from vae_balance.photos.sample import SAMPLE, cast, side_by_side

    try:
        make_folder(folder)
        photo = read_photo(SAMPLE)
        damaged = apply_in_profile(Lut3D.from_function(cast), photo.pixels, photo.icc_profile)
        before = replace(photo, pixels=damaged)
        start = time.monotonic()
        after, cube, device = balance(before)
        seconds = time.monotonic() - start
        write_photo(before, folder / BEFORE, overwrite=True)
        write_photo(after, folder / AFTER, overwrite=True)
        write_photo(side_by_side(before, after), folder / PAIR, overwrite=True)
        with atomic_write(folder / LOOK, overwrite=True) as temporary:
            temporary.write_bytes(cube)
    except (DaemonError, BalanceError) as error:
        finding = str(error).splitlines()[0]
        return Finding(SUBJECT, finding, "mend what is red above; if nothing is, see the log")
    if _distance(after, photo) >= _distance(before, photo):
        return Finding(SUBJECT, f"balancing made it worse: {folder / PAIR}", INSTALL_AGAIN)
    return Finding(SUBJECT, f"balanced in {seconds:.1f} s on {device}: {folder / PAIR}, {LOOK}")


def balance(photo: Photo) -> tuple[Photo, bytes, str]:
    """Learn a photo's look and apply it, through the daemon.

    Args:
        photo: of three channels of 8 bits.

    Returns:
        The balanced photo, its look as a .cube file, and the device that learned it.

    Raises:
        DaemonError: the daemon cannot be reached, or refuses.
    """
    import numpy as np

    from vae_balance.photos.strips import strips_of
    from vae_balance_protocol.client import Client

    height, width, channels = photo.pixels.shape
    form = (channels, "u8", photo.icc_profile)
    with Client.connect("vae-balance doctor") as client:
        strips = list(strips_of(photo.pixels))
        proxy = client.make_proxy(strips, width, height, *form)
        learned = client.learn([proxy], title="self-check")
        applied = client.apply_strips(learned["look"], strips, width, *form)
        pixels = b"".join(strip for _first, _rows, strip in applied)
        cube = client.export(learned["look"], "cube")
    balanced = np.frombuffer(pixels, np.uint8).reshape(height, width, channels)
    return replace(photo, pixels=balanced), cube, str(learned["device"])


def _distance(photo: Photo, other: Photo) -> float:
    """Return the mean difference of two photos of 8 bits, in steps."""
    import numpy as np

    return float(np.abs(photo.pixels.astype(np.int16) - other.pixels).mean())
