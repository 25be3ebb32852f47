"""The faults of a photo that a report's numbers mean, for the daemon's words and the plug-ins'."""

from __future__ import absolute_import, division, unicode_literals

import math

MYPY = False
if MYPY:
    from typing import List, Sequence, Tuple

DARK, LIGHT, FADED, COLORFUL, UNEVEN = "dark", "light", "faded", "colorful", "uneven"
# Hues of casts, each from its angle in CIELAB on, in degrees.
HUES = (
    (0, "pink"), (20, "red"), (50, "orange"), (75, "yellow"), (105, "yellow-green"),
    (130, "green"), (175, "cyan"), (230, "blue"), (290, "violet"), (320, "magenta"), (350, "pink"),
)  # fmt: skip
# What is too little to be told: CIELAB units, stops, parts of the saturation, and CIEDE2000.
_LEAST_CAST, _LEAST_STOPS, _LEAST_SATURATION, _LEAST_UNEVEN = 2.0, 0.15, 0.08, 0.5


def faults(cast, exposure, saturation, uneven=0.0):
    # type: (Sequence[float], float, float, float) -> List[Tuple[str, float]]
    """Return what was wrong with a photo, and by how much, as far as it is worth telling.

    Args:
        cast: the mean of a* and b* (CIELAB) that is taken away.
        exposure: by how many stops the photo gets lighter.
        saturation: by which factor its chroma grows, the cast apart.
        uneven: by how much the correction differs from place to place, mean CIEDE2000.

    Returns:
        UNEVEN and that difference, a hue of `HUES` and the size of the cast in CIELAB units, DARK
        or LIGHT and the stops, FADED or COLORFUL and the factor: at most one of each, in this
        order.
    """
    found = []  # type: List[Tuple[str, float]]
    if uneven >= _LEAST_UNEVEN:
        found.append((UNEVEN, uneven))
    size = math.hypot(*cast)
    if size >= _LEAST_CAST:
        angle = math.degrees(math.atan2(cast[1], cast[0])) % 360.0
        found.append(([name for start, name in HUES if angle >= start][-1], size))
    if abs(exposure) >= _LEAST_STOPS:
        found.append((DARK if exposure > 0 else LIGHT, abs(exposure)))
    if abs(saturation - 1.0) >= _LEAST_SATURATION:
        found.append((FADED if saturation > 1.0 else COLORFUL, saturation))
    return found
