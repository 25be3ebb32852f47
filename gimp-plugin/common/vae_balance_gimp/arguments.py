"""Arguments of the procedures that are made from the table of options."""

from __future__ import absolute_import, unicode_literals

from vae_balance_protocol import options
from vae_balance_protocol.rules import Boolean, Integer, IntegerOr, Number

from .texts import _

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, Optional, Tuple

# GIMP's whole numbers have no words beside them: this one stands for the word.
WORD = 0
BOOLEAN, INTEGER, NUMBER, TEXT = "boolean", "integer", "number", "text"


class Argument(object):
    """An argument that stands for a row of the table.

    Attributes:
        option: the row.
        name: of the argument.
        kind: BOOLEAN, INTEGER, NUMBER or TEXT.
        bounds: the lowest and the highest value; None where it is no number.
        default: the value where none is given.
    """

    def __init__(self, option, name=None):
        # type: (options.Option, Optional[str]) -> None
        rule = option.rule
        self.option = option
        self.name = name or option.name.replace("_", "-")
        self.kind, self.default = TEXT, option.default
        self.bounds = None  # type: Optional[Tuple[float, float]]
        if isinstance(rule, IntegerOr):
            self.kind, self.bounds = INTEGER, (WORD, rule.high)
            self.default = WORD if option.default == rule.word else option.default
        elif isinstance(rule, Boolean):
            self.kind = BOOLEAN
        elif isinstance(rule, (Integer, Number)):
            self.kind = INTEGER if isinstance(rule, Integer) else NUMBER
            self.bounds = (rule.low, rule.high)

    def label(self):
        # type: () -> str
        """Return what the dialog calls it, in the user's language."""
        word = getattr(self.option.rule, "word", None)
        return _(self.option.label or "") + (" ({}: {})".format(WORD, word) if word else "")

    def help(self):
        # type: () -> str
        """Return what it means, in the user's language."""
        return _(self.option.help).format(auto=WORD)

    def value(self, given):
        # type: (Any) -> Any
        """Return the value of the option that a value of GIMP's stands for."""
        if self.kind == TEXT:
            return (given or "").strip() or self.default
        if self.kind == BOOLEAN:
            return bool(given)
        number = (int if self.kind == INTEGER else float)(given)
        if isinstance(self.option.rule, IntegerOr) and number == WORD:
            return self.option.rule.word
        return number


APPLIED_STRENGTH = Argument(options.APPLIED_STRENGTH)
# In the order of the dialog. Scripts of GIMP 2.10 give arguments by place: new ones come last.
FIRST = tuple(Argument(row) for row in (options.ITERATIONS, options.STRENGTH, options.MODEL))
_NAMES = {"size": "lut-size"}
LAST = tuple(
    Argument(row, _NAMES.get(row.name))
    for row in options.LEARNING
    if row.label and row not in (options.ITERATIONS, options.STRENGTH)
)


BALANCING = FIRST + LAST
# Of the entry that gives grey photos colors.
COLORIZING = tuple(
    Argument(row) for row in options.COLORIZING + (options.COLOR_MODEL, options.ANY_COLORS)
)


def look_of(value_of, arguments=BALANCING):
    # type: (Callable[[str], Any], Tuple[Argument, ...]) -> Dict[str, Any]
    """Return the options of a look by name.

    Args:
        value_of: returns GIMP's value of an argument by its name.
        arguments: of the entry.
    """
    return {argument.option.name: argument.value(value_of(argument.name)) for argument in arguments}
