"""A few lines of GIMP 2.10's gimpfu: what it checks of procedures, and how it runs them.

Attributes:
    REGISTERED: the arguments of `register`, by the name of the procedure.
    DIALOG: what the user chooses in the dialog, in place of the defaults.
"""

from __future__ import absolute_import

import string

import gimpenums

PF_IMAGE, PF_DRAWABLE = 13, 16
PF_TOGGLE = 1000
PF_SPINNER, PF_SLIDER, PF_RADIO, PF_STRING, PF_FILENAME, PF_FILE = 1006, 1005, 1009, 4, 1012, 1008
REGISTERED = {}
DIALOG = []


class CancelError(RuntimeError):
    pass


def register(
    proc_name, blurb, help, author, copyright, date, label, imagetypes, params, results, function,
    menu=None, domain=None,
):  # fmt: skip
    letters = set(string.ascii_letters + string.digits + "_-")
    assert proc_name.startswith("plug-in-") and set(proc_name) <= letters
    for text in (proc_name, blurb, help, author, copyright, date, label, imagetypes, menu) + domain:
        assert type(text) is str, repr(text)  # GIMP takes no other
    for kind, name, description, default in [param[:4] for param in params]:
        assert type(kind) is int and set(name) <= letters
        assert type(name) is type(description) is str, repr((name, description))
        assert type(default) in (bool, int, float, str, type(None)), repr(default)
    REGISTERED[proc_name] = {"label": label, "menu": menu, "params": params, "function": function}
    REGISTERED[proc_name].update(imagetypes=imagetypes, domain=domain, blurb=blurb)


def _query():
    pass


def _get_defaults(proc_name):
    return [param[3] for param in REGISTERED[proc_name]["params"]]


def _run(proc_name, params):
    function = REGISTERED[proc_name]["function"]
    if params[0] == gimpenums.RUN_NONINTERACTIVE:
        return function(*params[1:])
    assert params[0] == gimpenums.RUN_INTERACTIVE and len(params) == 3
    try:
        return function(*(tuple(params[1:]) + tuple(DIALOG)))
    except CancelError:
        return None
