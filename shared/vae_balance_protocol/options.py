"""The one table of options: what can be chosen, its range, its default, and what it means.

The flags of the command, the checks of the protocol and of the Python API, the arguments of the
plug-ins and what all of them say about an option are made from these rows. A new option is a row in
`LEARNING` and its use where looks are learned, or a row in `TREATING` and its use in the pipeline.
"""

from __future__ import absolute_import, unicode_literals

from .rules import Boolean, Choice, Integer, IntegerOr, Number, OrNil, Text

MYPY = False
if MYPY:
    from typing import Any, Optional

    from .rules import Rule

# As many iterations as improve the photo.
AUTO = "auto"
MOST_ITERATIONS = 10
STRENGTHS = Number(0.0, 1.5)
SIZES = Integer(2, 129)  # more nodes OpenColorIO refuses
DROP, KEEP = "drop", "keep"
CENTRE, FRAME = "centre", "frame"
PROXY_KINDS = Choice(CENTRE, FRAME)


def N_(message):  # noqa: N802 - gettext's name for a text that is translated later
    # type: (str) -> str
    """Mark a text for the catalogs of the plug-ins, unchanged."""
    return message


class Option(object):
    """A row of the table.

    Attributes:
        name: as in messages, of the attribute and of the flag.
        rule: what values there are.
        default: the value where none is given.
        help: what it means, without a full stop; `{auto}` stands for how one chooses AUTO there.
        label: for dialogs, with `_` before the letter of its key; None keeps it out of them.
    """

    def __init__(self, name, rule, default, help, label=None):
        # type: (str, Rule, Any, str, Optional[str]) -> None
        self.name = name
        self.rule = rule
        self.default = default
        self.help = help
        self.label = label

    def check(self, value):
        # type: (Any) -> Any
        """Return the value in its one type.

        Raises:
            ValueError: the option cannot have it; the message says which it can have.
        """
        try:
            return self.rule.check(value)
        except ValueError as error:
            raise ValueError("%s %r: must be %s" % (self.name, value, error))


ITERATIONS = Option(
    "iterations",
    IntegerOr(1, MOST_ITERATIONS, AUTO),
    AUTO,
    N_(
        "How often the picture is looked at, where a further round corrects what the last has "
        "left; {auto}: as often as it gets better"
    ),
    N_("_Iterations"),
)
STRENGTH = Option(
    "strength",
    STRENGTHS,
    1.0,
    N_("0 leaves the picture as it is, 1 corrects it, more goes beyond"),
    N_("Stren_gth"),
)
APPLIED_STRENGTH = Option(
    "strength",
    STRENGTHS,
    1.0,
    N_("0 leaves the picture as it is, 1 applies the look, more goes beyond"),
    N_("Stren_gth"),
)
COLOR_STRENGTH = Option(
    "strength",
    STRENGTHS,
    1.0,
    N_("0 leaves the photo grey, 1 gives it the colors that were found, more makes them stronger"),
    N_("Stren_gth"),
)
SEED = Option(
    "seed",
    OrNil(Integer(0)),
    None,
    "Decode a sample of the moments, drawn with this seed, instead of their mean",
)
SIZE = Option(
    "size",
    SIZES,
    33,
    N_("Nodes along each edge of the LUT; 33 is what most programs expect"),
    N_("LUT si_ze"),
)
PROXY = Option(
    "proxy",
    OrNil(PROXY_KINDS),
    None,
    "What the model looks at: the centre square, or the whole frame squeezed; by default as it was "
    "made for",
)
TONE = Option(
    "tone",
    Choice(DROP, KEEP),
    DROP,
    N_("Of a grey photo that was toned, sepia for instance: drop the tone, or color on top of it"),
    N_("_Tone"),
)
ANY_COLORS = Option(
    "any_colors",
    Boolean(),
    False,
    N_("Colorize photos that have colors, too: by their lightness, whatever their colors are"),
    N_("Colorize color photos _anyway"),
)
MODEL = Option(
    "model",
    Text(1000),
    "embedded",
    N_("Which model looks at the picture: one that `vae-balance models` lists, or a folder"),
    N_("_Model"),
)
COLOR_MODEL = Option(
    "model",
    Text(1000),
    "colorize-cross-channel",
    N_("Which model colors the photo: one that `vae-balance models` lists, or a folder"),
    N_("_Model"),
)
DEVICE = Option("device", Text(100), "auto", "Where the networks run: auto, cpu, cuda or cuda:N")
JOBS = Option(
    "jobs",
    Integer(0, 64),
    0,
    "Photos in work, and in memory, at a time; 0 chooses by cores and memory",
)

# How a look is learned from proxies, in the order of helps and dialogs.
LEARNING = (ITERATIONS, STRENGTH, SEED, SIZE)
# How photos are treated beside, where they are files.
TREATING = (PROXY,)
# How a grey photo gets colors.
COLORIZING = (COLOR_STRENGTH, TONE)
