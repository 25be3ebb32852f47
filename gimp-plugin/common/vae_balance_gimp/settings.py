"""What the user chose, checked."""

from __future__ import absolute_import, unicode_literals

import os

from vae_balance_protocol.compat import as_text
from vae_balance_protocol.messages import LUT_FORMATS

from .arguments import BALANCING
from .texts import UserError, _

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional, Sequence

    from .arguments import Argument

REPLACE, NEW_LAYER, LUT_ONLY = "replace", "new-layer", "lut"
LAYER, SELECTION = "layer", "selection"
OUTPUTS = (REPLACE, NEW_LAYER)
SOURCES = (LAYER, SELECTION)


class Settings(object):
    """How a look is learned, and where it goes.

    Attributes:
        look: options of the protocol's request `learn`, by name.
        learn_from: LAYER or SELECTION.
        output: REPLACE, NEW_LAYER or LUT_ONLY.
        lut_file: path of the .cube file to write, or None.
        average_lut: a look that differs from place to place is written there as its average, which
            is said; False refuses it.
    """

    def __init__(
        self, learn_from=LAYER, output=REPLACE, lut_file=None, arguments=BALANCING, **look
    ):
        # type: (str, str, Optional[str], Sequence[Argument], **Any) -> None
        """Take the defaults of the table of options for those of a look that are not given.

        Args:
            learn_from: see the class.
            output: see the class.
            lut_file: see the class.
            arguments: of the entry, which stand for the options of a look.
            **look: options of a look.
        """
        self._arguments = arguments
        defaults = {argument.option.name: argument.option.default for argument in arguments}
        self.look = dict(defaults, **look)
        self.learn_from = learn_from
        self.output = output
        self.lut_file = with_suffix(lut_file) if lut_file else None
        self.average_lut = False

    def check_values(self):
        # type: () -> None
        """Check that each value is one that there is; scripts may give any.

        Raises:
            UserError: one is not.
        """
        for argument in self._arguments:
            check_argument(argument, self.look[argument.option.name])
        check_choice("learn-from", self.learn_from, SOURCES)
        check_choice("output", self.output, OUTPUTS + (LUT_ONLY,))

    def check(self, layers, has_selection):
        # type: (int, bool) -> None
        """Check the settings against each other and against what is selected.

        Args:
            layers: how many layers are selected.
            has_selection: whether the image has a selection.

        Raises:
            UserError: they do not go together.
        """
        self.check_values()
        self.check_source(has_selection)
        if self.output == LUT_ONLY and not self.lut_file:
            raise UserError(_("Choose the LUT file to write."))
        if self.lut_file:
            check_lut_path(self.lut_file, writing=True)
            if layers > 1:
                raise UserError(
                    _(
                        "A LUT file holds the look of one layer, but several layers are "
                        "selected: select one, or choose no LUT file."
                    )
                )

    def check_source(self, has_selection):
        # type: (bool) -> None
        """Check that there is something to learn from.

        Raises:
            UserError: it is the selection, and there is none.
        """
        if self.learn_from == SELECTION and not has_selection:
            raise UserError(
                _(
                    "There is no selection to learn from: select a part of the picture, "
                    "or learn from the whole layer."
                )
            )

    def learn_fields(self, title):
        # type: (str) -> Dict[str, Any]
        """Return the fields of the protocol's request `learn`."""
        return dict(self.look, title=title[:200])


def check_argument(argument, value):
    # type: (Argument, Any) -> None
    """Check the value of an option.

    Args:
        argument: that stands for it.
        value: as the protocol has it.

    Raises:
        UserError: there is no such value.
    """
    try:
        argument.option.check(value)
    except ValueError as error:
        if argument.bounds is None:
            raise UserError(as_text(error))
        low, high = argument.bounds
        raise UserError(
            _("{name} is {value}: it must be {low} to {high}.").format(
                name=argument.name, value="{:g}".format(value), low=low, high=high
            )
        )


def check_choice(name, value, choices):
    # type: (str, str, Sequence[str]) -> None
    """Check that a text is one of a few.

    Args:
        name: of the argument.
        value: its value.
        choices: what it may be.

    Raises:
        UserError: it is something else.
    """
    if value not in choices:
        raise UserError(
            _("{name} is \u201c{value}\u201d: it must be one of {choices}.").format(
                name=name, value=value, choices=", ".join(choices)
            )
        )


def with_suffix(path):
    # type: (str) -> str
    """Return the path of a LUT file, with the suffix that it lacks: .cube."""
    if os.path.splitext(path)[1]:
        return path
    return path + (b".cube" if isinstance(path, bytes) else ".cube")


def lut_format(path, writing=False):
    # type: (str, bool) -> str
    """Return what the protocol calls the form of a LUT file: by its name.

    Raises:
        UserError: it is none that can be read or, if that is wanted, written.
    """
    suffix = os.path.splitext(path)[1].lower()
    if not writing and suffix not in LUT_FORMATS:
        raise UserError(
            _(
                "\u201c{name}\u201d is not the name of a LUT file: it must end in {suffixes}."
            ).format(name=as_text(os.path.basename(path)), suffixes=", ".join(sorted(LUT_FORMATS)))
        )
    if writing and suffix not in (".cube", ".png"):
        raise UserError(
            _(
                "\u201c{name}\u201d is not the name of a LUT file: it must end in .cube, "
                "or in .png for a Hald picture."
            ).format(name=as_text(os.path.basename(path)))
        )
    return LUT_FORMATS[suffix]


def check_lut_path(path, writing=False):
    # type: (str, bool) -> None
    """Check the path of a LUT file before any work begins.

    Raises:
        UserError: the name is of no LUT, or there is no such folder or file.
    """
    lut_format(path, writing)
    if not writing:
        if not os.path.isfile(path):
            raise UserError(
                _("There is no LUT file \u201c{path}\u201d.").format(path=as_text(path))
            )
        return
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        text = _("The folder of the LUT file \u201c{path}\u201d does not exist.")
    elif os.path.isdir(path):
        text = _("\u201c{path}\u201d is a folder: choose the name of a LUT file in it.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        text = _(
            "Nothing can be written to the folder of the LUT file \u201c{path}\u201d: "
            "choose another."
        )
    else:
        return
    raise UserError(text.format(path=as_text(path)))
