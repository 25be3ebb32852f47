"""Sentences for people, in their language."""

from __future__ import absolute_import, unicode_literals

import gettext
import os

MYPY = False
if MYPY:
    from typing import Optional, Sequence

# Native strings: Python 2 cannot join text to a path of bytes that are not ASCII.
DOMAIN = str("vae-balance")
FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), str("locale"))

_catalog = [gettext.NullTranslations()]


class UserError(Exception):
    """Something that its user can act on; the message is one sentence, translated.

    Attributes:
        message: the sentence.
        code: what PROTOCOL.md calls it, of what the daemon has refused; else "".
    """

    def __init__(self, message, code=""):
        # type: (str, str) -> None
        super(UserError, self).__init__(message)
        self.message = message
        self.code = code


def use_languages(languages=None):
    # type: (Optional[Sequence[str]]) -> None
    """Take the first catalog there is among languages, most wanted first.

    Args:
        languages: such as ["de_AT.UTF-8", "de"]; None asks the environment.
    """
    found = gettext.translation(DOMAIN, FOLDER, languages=languages, fallback=True)
    _catalog[0] = found


def _(message):
    # type: (str) -> str
    """Return a text in the user's language."""
    catalog = _catalog[0]
    translate = getattr(catalog, "ugettext", None) or catalog.gettext
    return translate(message)


def N_(message):  # noqa: N802 - gettext's name for a text that is translated later
    # type: (str) -> str
    """Mark a text for translation, unchanged."""
    return message


_NOT_STARTED = "VAE Balance's daemon could not be started: "
# What the daemon's codes mean to somebody who works in GIMP. {message} is the daemon's own line.
_SENTENCES = {
    "lost": N_("VAE Balance stopped answering: {message}. Try again; it is started anew."),
    "not-started": N_(
        "VAE Balance could not be started: {message}. "
        "\u201cvae-balance doctor\u201d in a terminal tells what is wrong and how to mend it."
    ),
    "version": N_(
        "VAE Balance and this plug-in are of different versions: {message}. "
        "Install VAE Balance again, and end what runs with \u201cvae-balance stop\u201d."
    ),
    "unknown-look": N_("VAE Balance no longer knows this look. Try again."),
    "has-colors": N_(
        "The layer has colors already, and this model is for grey photos. Take another model, or "
        "switch on \u201cColorize color photos anyway\u201d."
    ),
    "model": N_("The model cannot be used: {message}"),
    "lut": N_("The LUT cannot be used: {message}"),
    "memory": N_(
        "There is not enough memory: {message}. Close other programs or images and try again."
    ),
    "busy": N_("VAE Balance has too much to do: {message}. Try again in a moment."),
    "cancelled": N_(
        "VAE Balance was stopped in the middle of the work, so nothing was done. Try again."
    ),
    "stopping": N_("VAE Balance is just ending. Try again in a moment."),
    "internal": N_("VAE Balance has a defect: {message}. The daemon\u2019s log says more: {log}"),
}


def sentence(code, message, log=""):
    # type: (str, str, str) -> str
    """Return what to tell the user about an error of the daemon.

    Args:
        code: as PROTOCOL.md lists it.
        message: the daemon's own line, in English.
        log: where its log lies.
    """
    pattern = _SENTENCES.get(code)
    if pattern is None:
        return message
    # What the sentence says already, and the log's last lines, would be in the way.
    brief = message.partition("; its log ends:")[0].replace(_NOT_STARTED, "").rstrip(".")
    return _(pattern).format(message=brief, log=log)
