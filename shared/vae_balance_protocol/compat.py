"""What is not the same in Python 2 and 3."""

from __future__ import absolute_import

import sys

PYTHON_2 = sys.version_info[0] == 2

# What isinstance takes for an integer, and the type of text.
INTEGERS = (int,) if not PYTHON_2 else (int, long)  # type: ignore[name-defined]  # noqa: F821
TEXT = str if not PYTHON_2 else unicode  # type: ignore[name-defined]  # noqa: F821


def as_text(value):
    # type: (object) -> str
    """Return a value as text for people; in Python 2 paths and errors of the system are bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return TEXT(value)
