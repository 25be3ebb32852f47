"""The messages of PROTOCOL.md as data: verbs, fields, their types and bounds; for both sides."""

from __future__ import absolute_import, unicode_literals

from . import options
from .compat import INTEGERS, TEXT
from .errors import DaemonError
from .rules import (
    AbsolutePath,
    Binary,
    Boolean,
    Choice,
    Hexadecimal,
    Integer,
    Items,
    Number,
    OneOf,
    OrNil,
    Row,
    Rule,
    Seconds,
    Text,
)

MYPY = False
if MYPY:
    from typing import Any, Dict, Sequence, Tuple

PROTOCOL = 1
USER = "vae-balance"

FRAME_BYTES = 16 * 1024 * 1024
HEADER_BYTES = 4 * 1024 * 1024
HEADER_NESTING = 4
REQUEST_ID_BYTES = 32
REQUESTS = 64
WINDOW_BYTES = 64 * 1024 * 1024
PROXIES = 400
# That are connected at a time.
CLIENTS = 64
PROXY_SIZE = 224
PROFILE_BYTES = 1024 * 1024
PICTURES = 4
PHOTOS = 10000
# With which each photo of a batch is learned from; 0 for all that the daemon has.
THREADS = Integer(0, 64)
# A file longer than a frame comes in several: the largest .cube there is has 129 nodes an edge.
FILE_FRAMES = 4
SIDE = 1000000

# What the files of LUTs that can be read end in, and what `import` calls their formats. Written are
# the first two only. The others are OpenColorIO's, called as they end.
LUT_FORMATS = {".cube": "cube", ".png": "hald"}
LUT_FORMATS.update(
    ("." + name, name)
    for name in (
        "3dl", "cc", "ccc", "cdl", "clf", "csp", "ctf", "cub", "itx", "look", "lut", "m3d", "mga",
        "spi1d", "spi3d", "spimtx", "vf",
    )
)  # fmt: skip

# Codes of errors, see PROTOCOL.md.
VERSION = "version"
MALFORMED = "malformed"
UNKNOWN_LOOK = "unknown-look"
OPTION = "option"
IMAGE = "image"
HAS_COLORS = "has-colors"
IS_GREY = "is-grey"
LUT = "lut"
MODEL = "model"
OUTPUT_EXISTS = "output-exists"
FAILED = "failed"
BUSY = "busy"
MEMORY = "memory"
CANCELLED = "cancelled"
STOPPING = "stopping"
INTERNAL = "internal"
CODES = (
    VERSION, MALFORMED, UNKNOWN_LOOK, OPTION, IMAGE, HAS_COLORS, IS_GREY, LUT, MODEL,
    OUTPUT_EXISTS, FAILED, BUSY, MEMORY, CANCELLED, STOPPING, INTERNAL,
)  # fmt: skip

PROGRESS = "progress"
RESULT = "result"
ERROR = "error"

# Bytes of a value of each type of pixels.
ITEM_BYTES = {"u8": 1, "u16": 2, "f16": 2, "f32": 4}


class Malformed(DaemonError):
    """A message is not as PROTOCOL.md has it; `code` is "malformed" or "version"."""


class Map(Rule):
    """A map with the given fields, others ignored."""

    def __init__(self, *fields):
        # type: (*Field) -> None
        self.fields = fields

    def check(self, value):
        # type: (Any) -> Dict[str, Any]
        """Return the fields, absent ones with their defaults."""
        if not isinstance(value, dict):
            raise ValueError("a map")
        try:
            return _checked(self.fields, value)
        except DaemonError as error:
            raise ValueError("a map in which %s" % error.message)


REQUIRED = object()


class Field(object):
    """A field of a header: its name, its rule, and its default if it may be left out."""

    def __init__(self, name, rule, default=REQUIRED):
        # type: (str, Rule, Any) -> None
        self.name = name
        self.rule = rule
        self.default = default


def _field(option):
    # type: (options.Option) -> Field
    return Field(option.name, option.rule, option.default)


_PLACE = Map(
    Field("width", Integer(1, SIDE)),
    Field("height", Integer(1, SIDE)),
    Field("left", Integer(0, SIDE - 1), 0),
    Field("top", Integer(0, SIDE - 1)),
    Field("orientation", Integer(1, 8), 1),
)
_LOOK = Field("look", Hexadecimal(64))
_WIDTH = Field("width", Integer(1, SIDE))
_ROWS = Field("rows", Integer(1, SIDE))
_CHANNELS = Field("channels", OneOf(3, 4))
_DTYPE = Field("dtype", Choice("u8", "u16", "f16", "f32"))
_PROFILE = Field("profile", OrNil(Binary(1, PROFILE_BYTES)), None)
_LEARNING = tuple(
    _field(option) for option in (options.MODEL,) + options.LEARNING + (options.TONE,)
)
_LEVEL = Field("level", Choice("debug", "info", "warning", "error"))
_PHOTO = Row(AbsolutePath(), AbsolutePath(), OrNil(AbsolutePath()))

REQUESTS_BY_VERB = {
    "hello": (Field("client", Text(100)),),
    "shrink": (
        Field("picture", Text(64)),
        _WIDTH,
        Field("height", Integer(1, SIDE)),
        _CHANNELS,
        _DTYPE,
        _PROFILE,
        Field("first_row", Integer(0, SIDE - 1)),
        _ROWS,
        Field("kind", options.PROXY_KINDS),
    ),
    "learn": _LEARNING
    + (
        _field(options.ANY_COLORS),
        Field("dtype", Choice("u8", "f32"), "f32"),
        Field("title", Text(200), ""),
    ),
    "import": (Field("format", Choice(*sorted(LUT_FORMATS.values()))), Field("name", Text(200))),
    "export": (
        _LOOK,
        Field("format", Choice("cube", "hald")),
        Field("average", Boolean(), False),
    ),
    "model": (_field(options.MODEL),),
    "apply": (
        _LOOK,
        _WIDTH,
        _ROWS,
        _CHANNELS,
        _DTYPE,
        _PROFILE,
        _field(options.APPLIED_STRENGTH),
        Field("place", OrNil(_PLACE), None),
    ),
    "batch": _LEARNING
    + (
        Field("photos", Items(_PHOTO, 1, PHOTOS)),
        Field("roll", Boolean(), False),
        Field("overwrite", Boolean(), False),
        _field(options.ANY_COLORS),
    )
    + tuple(_field(option) for option in options.TREATING)
    + (
        _field(options.JOBS),
        Field("threads", THREADS, 1),
        Field("umask", OrNil(Integer(0, 0o777)), None),
    ),
    "cancel": (Field("request", Binary(1, REQUEST_ID_BYTES)),),
    "status": (),
    "shutdown": (Field("when_idle", Boolean(), False),),
    "log": (_LEVEL,),
}  # type: Dict[str, Tuple[Field, ...]]

_COUNT = Integer(0)
_NAME = Text(1000)
_NAMES = Items(_NAME, 0, 1000)
_DONE = Field("done", _COUNT)
_TOTAL = Field("total", _COUNT)
_STAGE = Field("stage", _NAME)
_DEVICE = Field("device", _NAME)
_SIZE = Field("size", Integer(2, 1000))
_SECONDS = Field("seconds", Seconds())
_VERSION = Field("version", _NAME)
_TIME = Field("seconds", Number(0.0, 1e12))
_PID = Field("pid", _COUNT)
_MODELS = Field("models", _NAMES)

_REPORT = Map(
    Field("text", Text(500)),
    Field("found", Boolean()),
    Field("cast", Items(Number(-1e3, 1e3), 2, 2)),
    Field("exposure", Number(-1e3, 1e3)),
    Field("saturation", Number(0.0, 1e6)),
    Field("confidence", OrNil(Number(0.0, 1.0))),
    Field("changes", Items(Number(0.0, 1e6), 0, options.MOST_ITERATIONS)),
    Field("uneven", Number(0.0, 1e3), 0.0),
)

RESULTS_BY_VERB = {
    "hello": (
        _VERSION,
        Field("protocol", _COUNT),
        _PID,
        _DEVICE,
        Field(
            "limits",
            Map(
                Field("frame_bytes", Integer(1)),
                Field("header_bytes", Integer(1)),
                Field("requests", Integer(1)),
                Field("window_bytes", Integer(1)),
                Field("proxies", Integer(1)),
            ),
        ),
        _MODELS,
    ),
    "shrink": (Field("first_row", _COUNT), Field("rows", _COUNT)),
    "learn": (
        _LOOK,
        Field("size", OrNil(_SIZE.rule)),
        Field("model", _NAME),
        Field("model_version", _NAME),
        _DEVICE,
        _SECONDS,
        Field("unchanged", Boolean(), False),
        Field("report", OrNil(_REPORT), None),
    ),
    "import": (_LOOK, Field("size", OrNil(_SIZE.rule))),
    "export": (_LOOK,),
    "model": (
        Field("model", _NAME),
        Field("model_version", _NAME),
        Field("proxy", options.PROXY_KINDS),
        Field("colors", Choice("color", "grey", "any")),
        Field("roll", Boolean()),
    ),
    "apply": (_LOOK,),
    "batch": (_DONE, Field("failed", _COUNT)),
    "cancel": (Field("cancelled", Boolean()),),
    "status": (
        _VERSION,
        _PID,
        Field("uptime", Number(0.0, 1e12)),
        _DEVICE,
        _MODELS,
        Field("looks", _COUNT),
        Field("clients", _COUNT),
        Field("queued", _COUNT),
        Field(
            "running",
            Items(
                Map(
                    Field("verb", _NAME),
                    Field("client", _NAME, ""),
                    Field("request", _NAME, ""),
                    _STAGE,
                    _DONE,
                    _TOTAL,
                    _TIME,
                ),
                0,
                1000,
            ),
        ),
        Field(
            "waiting",
            Items(
                Map(Field("verb", _NAME), Field("client", _NAME), Field("request", _NAME), _TIME),
                0,
                1000,
            ),
            (),
        ),
        Field("ending", _NAME, ""),
        Field(
            "totals",
            Items(
                Map(
                    Field("verb", _NAME),
                    _DONE,
                    Field("failed", _COUNT),
                    Field("cancelled", _COUNT),
                    _TIME,
                ),
                0,
                1000,
            ),
            (),
        ),
        Field(
            "last_minute",
            Map(Field("jobs", _COUNT), Field("photos", _COUNT), Field("pixels", _COUNT)),
            {"jobs": 0, "photos": 0, "pixels": 0},
        ),
        Field("memory_bytes", _COUNT),
        Field("peak_bytes", _COUNT, 0),
        Field("unread_bytes", _COUNT, 0),
        Field("log", Text(32767)),
    ),
    "shutdown": (),
    "log": (_LEVEL,),
}  # type: Dict[str, Tuple[Field, ...]]

_PROGRESS_FIELDS = (_STAGE, _DONE, _TOTAL)
# What a progress message of `batch` tells of a photo, beside the above.
_PHOTO_FIELDS = (
    Field("photo", Integer(0, PHOTOS - 1)),
    Field("outcome", Choice("done", "failed")),
    Field("code", Text(100)),
    Field("message", Text(100000)),
    Field("look", Text(64)),
    _DEVICE,
    Field("width", _COUNT),
    Field("height", _COUNT),
    _SECONDS,
    Field("warnings", Items(Text(100000), 0, 1000), ()),
    Field("report", OrNil(_REPORT), None),
)
_ERROR_FIELDS = (Field("code", Text(100)), Field("message", Text(100000)))


def check(verb, header):
    # type: (Any, Dict[str, Any]) -> Dict[str, Any]
    """Check the header of a request.

    Args:
        verb: the header's field of that name, whatever it holds.
        header: the unpacked map.

    Returns:
        The fields of the verb in their Python types, absent ones with their defaults; nothing else.

    Raises:
        Malformed: code "version", or "malformed" with a message that names the field.
    """
    version = header.get("v")
    if not isinstance(version, INTEGERS) or isinstance(version, bool):
        raise Malformed(MALFORMED, "v must be the number of the protocol's version")
    if version != PROTOCOL:
        raise Malformed(
            VERSION, "protocol version %d is not spoken here, only %d" % (version, PROTOCOL)
        )
    if not isinstance(verb, TEXT) or verb not in REQUESTS_BY_VERB:
        raise Malformed(MALFORMED, "verb must be one of %s" % ", ".join(sorted(REQUESTS_BY_VERB)))
    try:
        fields = _checked(REQUESTS_BY_VERB[verb], header)
    except Malformed as error:
        raise Malformed(error.code, "%s: %s" % (verb, error.message))
    if verb == "shrink" and fields["first_row"] + fields["rows"] > fields["height"]:
        raise Malformed(MALFORMED, "shrink: rows must end within height")
    if verb == "apply" and fields["place"] is not None:
        _check_place(fields)
    return fields


def _check_place(fields):
    # type: (Dict[str, Any]) -> None
    """Check that pixels lie within the picture that they are said to be of."""
    place = fields["place"]
    if place["left"] + fields["width"] > place["width"]:
        raise Malformed(MALFORMED, "apply: place: columns must end within width")
    if place["top"] + fields["rows"] > place["height"]:
        raise Malformed(MALFORMED, "apply: place: rows must end within height")


def check_frames(verb, fields, lengths):
    # type: (str, Dict[str, Any], Sequence[int]) -> None
    """Check that a request has as many data frames, in bytes of `lengths`, as its fields say.

    Args:
        verb: a verb.
        fields: its checked fields.
        lengths: bytes of every data frame.

    Raises:
        Malformed: what there should be, and what there is.
    """
    if verb == "learn":
        proxy_bytes = pixel_bytes(PROXY_SIZE, PROXY_SIZE, 3, fields["dtype"])
        if not 1 <= len(lengths) <= PROXIES:
            expected = "1 to %d data frames, one a proxy" % PROXIES
            raise Malformed(MALFORMED, "learn: %d data frames: needs %s" % (len(lengths), expected))
        for index, length in enumerate(lengths):
            if length != proxy_bytes:
                raise Malformed(
                    MALFORMED,
                    "learn: proxy %d has %d bytes: needs %d" % (index, length, proxy_bytes),
                )
        return
    if verb == "import":
        if not 1 <= len(lengths) <= FILE_FRAMES:
            raise Malformed(
                MALFORMED, "import: %d data frames: needs 1 to %d" % (len(lengths), FILE_FRAMES)
            )
        return
    wanted = 1 if verb in ("shrink", "apply") else 0
    if len(lengths) != wanted:
        raise Malformed(MALFORMED, "%s: %d data frames: needs %d" % (verb, len(lengths), wanted))
    if verb in ("shrink", "apply"):
        expected_bytes = pixel_bytes(
            fields["width"], fields["rows"], fields["channels"], fields["dtype"]
        )
        if lengths[0] != expected_bytes:
            raise Malformed(
                MALFORMED,
                "%s: the data frame has %d bytes: needs %d" % (verb, lengths[0], expected_bytes),
            )


def check_answer(verb, header):
    # type: (str, Dict[str, Any]) -> Dict[str, Any]
    """Check the header of an answer, with what it has beyond this version's fields left in.

    Raises:
        Malformed: code "version", or "malformed" with a message that names the field.
    """
    version = header.get("v")
    if version != PROTOCOL:
        raise Malformed(
            VERSION,
            "the daemon speaks another version of the protocol (%.20r) than this client (%d)"
            % (version, PROTOCOL),
        )
    kind = header.get("type")
    if kind == PROGRESS:
        fields = _PROGRESS_FIELDS  # type: Tuple[Field, ...]
        if verb == "batch" and "photo" in header:
            fields += _PHOTO_FIELDS
    elif kind == ERROR:
        fields = _ERROR_FIELDS
    elif kind == RESULT:
        fields = RESULTS_BY_VERB[verb]
    else:
        raise Malformed(MALFORMED, "type must be progress, result or error")
    answer = dict(header)
    answer.update(_checked(fields, header))
    return answer


def pixel_bytes(width, rows, channels, dtype):
    # type: (int, int, int, str) -> int
    """Return the bytes of `rows` rows of pixels."""
    return width * rows * channels * ITEM_BYTES[dtype]


def _checked(fields, header):
    # type: (Sequence[Field], Dict[str, Any]) -> Dict[str, Any]
    checked = {}  # type: Dict[str, Any]
    for field in fields:
        if field.name not in header:
            if field.default is REQUIRED:
                raise Malformed(MALFORMED, "%s is missing" % field.name)
            checked[field.name] = field.default
            continue
        try:
            checked[field.name] = field.rule.check(header[field.name])
        except ValueError as error:
            raise Malformed(MALFORMED, "%s must be %s" % (field.name, error))
    return checked
