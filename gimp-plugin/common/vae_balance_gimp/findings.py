"""What a look found wrong with a picture, in a few words."""

from __future__ import absolute_import, division, unicode_literals

from vae_balance_protocol.faults import COLORFUL, DARK, FADED, LIGHT, UNEVEN, faults

from .texts import N_, _

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional

# How each fault is told; a translation may write {whole},{tenths}.
_WORDS = {
    UNEVEN: N_("uneven light of {size}"),
    "pink": N_("pink cast of {size}"),
    "red": N_("red cast of {size}"),
    "orange": N_("orange cast of {size}"),
    "yellow": N_("yellow cast of {size}"),
    "yellow-green": N_("yellow-green cast of {size}"),
    "green": N_("green cast of {size}"),
    "cyan": N_("cyan cast of {size}"),
    "blue": N_("blue cast of {size}"),
    "violet": N_("violet cast of {size}"),
    "magenta": N_("magenta cast of {size}"),
    DARK: N_("{whole}.{tenths} stops too dark"),
    LIGHT: N_("{whole}.{tenths} stops too light"),
    FADED: N_("faded"),
    COLORFUL: N_("too colorful"),
}


def describe_report(report):
    # type: (Optional[Dict[str, Any]]) -> str
    """Return what the report of a look tells, or "" if there is none.

    Args:
        report: as PROTOCOL.md has it in the answer of `learn`.
    """
    if report is None:
        return ""
    if not report["found"]:
        return _("Nothing was found to correct.")
    uneven = report.get("uneven", 0.0)  # of which an older daemon does not know
    found = faults(report["cast"], report["exposure"], report["saturation"], uneven)
    parts = [", ".join(_told(fault, size) for fault, size in found) or _("small differences")]
    if len(report["changes"]) > 1:
        parts.append(_("{count} rounds").format(count=len(report["changes"])))
    if report["confidence"] is not None:
        percent = "{:.0f}".format(100 * report["confidence"])
        parts.append(_("{percent} % sure").format(percent=percent))
    return _("Found: {findings}.").format(findings="; ".join(parts))


def _told(fault, size):
    # type: (str, float) -> str
    whole, tenths = "{:.1f}".format(size).split(".")
    return _(_WORDS[fault]).format(size="{:.0f}".format(size), whole=whole, tenths=tenths)
