"""What a look does to a picture, in a few words."""

from __future__ import absolute_import, division, unicode_literals

from .texts import N_, _

MYPY = False
if MYPY:
    from typing import List, Tuple

# How many pixels are looked at, at most; and the change, of 255, from which on one is named.
_MOST_PIXELS = 20000
_NOTABLE = 2.0
# What is named of each kind of change: when there is more of it, and when there is less.
_WORDS = (
    (N_("lighter"), N_("darker")),
    (N_("warmer"), N_("cooler")),
    (N_("greener"), N_("more magenta")),
    (N_("more colorful"), N_("less colorful")),
)


def describe(before, after):
    # type: (bytes, bytes) -> str
    """Return what has changed on average, strongest first.

    Args:
        before: a picture, RGBA of 8 bits.
        after: the same with the look.
    """
    changes = [new - old for old, new in zip(_measured(before), _measured(after))]
    named = []  # type: List[Tuple[float, str]]
    for change, (more, less) in zip(changes, _WORDS):
        if abs(change) >= _NOTABLE:
            named.append((-abs(change), _(more if change > 0 else less)))
    if not named:
        return _("The colors hardly change.")
    return _("The picture becomes {changes}.").format(
        changes=", ".join(word for _size, word in sorted(named)[:3])
    )


def _measured(pixels):
    # type: (bytes) -> Tuple[float, float, float, float]
    """Return lightness, warmth, greenness and colorfulness, in steps of 255."""
    data = bytearray(pixels)
    step = 4 * max(1, len(data) // (4 * _MOST_PIXELS))
    red, green, blue, alpha = (data[channel::step] for channel in range(4))
    count = luma = warmth = greenness = color = 0.0
    for r, g, b, a in zip(red, green, blue, alpha):
        if a:
            count += 1
            luma += 0.2126 * r + 0.7152 * g + 0.0722 * b
            warmth += (r - b) / 2
            greenness += g - (r + b) / 2
            color += max(r, g, b) - min(r, g, b)
    count = max(count, 1)
    return luma / count, warmth / count, greenness / count, color / count
