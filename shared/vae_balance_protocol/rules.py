"""What a value must be: the kinds of options and of fields of messages."""

from __future__ import absolute_import, unicode_literals

import numbers
import os.path

from .compat import INTEGERS, PYTHON_2, TEXT

MYPY = False
if MYPY:
    from typing import Any, Dict, List


class Rule(object):
    """What a value must be."""

    def check(self, value):
        # type: (Any) -> Any
        """Return the value in the rule's one type; ValueError says what it must be."""
        raise NotImplementedError


class Text(Rule):
    """A string of at most `limit` characters."""

    def __init__(self, limit):
        # type: (int) -> None
        self.limit = limit

    def check(self, value):
        # type: (Any) -> str
        """Return the string; Python 2's native strings are taken for UTF-8."""
        if PYTHON_2 and isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, TEXT):
            raise ValueError("a string")
        if len(value) > self.limit:
            raise ValueError("at most %d characters" % self.limit)
        return value


class Choice(Rule):
    """One of a few strings."""

    def __init__(self, *choices):
        # type: (*str) -> None
        self.choices = choices

    def check(self, value):
        # type: (Any) -> str
        """Return the string."""
        if isinstance(value, (bytes, TEXT)):
            text = Text(100).check(value)
            if text in self.choices:
                return text
        raise ValueError("one of %s" % ", ".join(self.choices))


class Hexadecimal(Rule):
    """A string of `length` lower-case hexadecimal digits, such as a look's name."""

    def __init__(self, length):
        # type: (int) -> None
        self.length = length

    def check(self, value):
        # type: (Any) -> str
        """Return the string."""
        expected = "%d hexadecimal digits" % self.length
        try:
            text = Text(self.length).check(value)
        except ValueError:
            raise ValueError(expected)
        if len(text) != self.length or text.strip("0123456789abcdef"):
            raise ValueError(expected)
        return text


class Integer(Rule):
    """An integer, `low` to `high`."""

    def __init__(self, low, high=2**63 - 1):
        # type: (int, int) -> None
        self.low = low
        self.high = high

    def check(self, value):
        # type: (Any) -> int
        """Return the integer, of numpy's types too; a boolean is none."""
        is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not is_integer or not self.low <= value <= self.high:
            raise ValueError("an integer, %d to %d" % (self.low, self.high))
        return int(value)


class IntegerOr(Integer):
    """An integer, `low` to `high`, or one word."""

    def __init__(self, low, high, word):
        # type: (int, int, str) -> None
        super(IntegerOr, self).__init__(low, high)
        self.word = word

    def check(self, value):
        # type: (Any) -> Any
        """Return the integer or the word."""
        if isinstance(value, (bytes, TEXT)) and value in (self.word, self.word.encode("ascii")):
            return self.word
        try:
            return super(IntegerOr, self).check(value)
        except ValueError as error:
            raise ValueError("%s, or %s" % (error, self.word))


class OneOf(Rule):
    """One of a few integers."""

    def __init__(self, *choices):
        # type: (*int) -> None
        self.choices = choices

    def check(self, value):
        # type: (Any) -> int
        """Return the integer."""
        if not isinstance(value, INTEGERS) or value not in self.choices:
            raise ValueError(" or ".join(str(choice) for choice in self.choices))
        return int(value)


class Number(Rule):
    """An integer or a float, `low` to `high`."""

    def __init__(self, low, high):
        # type: (float, float) -> None
        self.low = low
        self.high = high

    def check(self, value):
        # type: (Any) -> float
        """Return the number as a float, of numpy's types too; NaN is in no range."""
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:
            raise ValueError("a number, %g to %g" % (self.low, self.high))
        return float(value)


class Boolean(Rule):
    """True or false."""

    def check(self, value):
        # type: (Any) -> bool
        """Return the boolean."""
        if not isinstance(value, bool):
            raise ValueError("a boolean")
        return value


class Binary(Rule):
    """Bytes, `low` to `high` of them."""

    def __init__(self, low, high):
        # type: (int, int) -> None
        self.low = low
        self.high = high

    def check(self, value):
        # type: (Any) -> bytes
        """Return the bytes."""
        if not isinstance(value, (bytes, bytearray)) or not self.low <= len(value) <= self.high:
            raise ValueError("binary, %d to %d bytes" % (self.low, self.high))
        return bytes(value)


class OrNil(Rule):
    """Nil, or what another rule wants."""

    def __init__(self, rule):
        # type: (Rule) -> None
        self.rule = rule

    def check(self, value):
        # type: (Any) -> Any
        """Return None or the value."""
        if value is None:
            return None
        try:
            return self.rule.check(value)
        except ValueError as error:
            raise ValueError("nil or %s" % error)


class Items(Rule):
    """An array of `low` to `high` values that one rule holds for."""

    def __init__(self, rule, low, high):
        # type: (Rule, int, int) -> None
        self.rule = rule
        self.low = low
        self.high = high

    def check(self, value):
        # type: (Any) -> List[Any]
        """Return the values as a list."""
        if not isinstance(value, (list, tuple)) or not self.low <= len(value) <= self.high:
            raise ValueError("an array of %d to %d values" % (self.low, self.high))
        checked = []
        for index, item in enumerate(value):
            try:
                checked.append(self.rule.check(item))
            except ValueError as error:
                raise ValueError("an array whose value %d is %s" % (index, error))
        return checked


class Row(Rule):
    """An array of fixed length, with a rule for each place."""

    def __init__(self, *rules):
        # type: (*Rule) -> None
        self.rules = rules

    def check(self, value):
        # type: (Any) -> List[Any]
        """Return the values as a list."""
        if not isinstance(value, (list, tuple)) or len(value) != len(self.rules):
            raise ValueError("an array of %d values" % len(self.rules))
        return [rule.check(item) for rule, item in zip(self.rules, value)]


class AbsolutePath(Rule):
    """An absolute path on this machine."""

    def check(self, value):
        # type: (Any) -> str
        """Return the path."""
        text = Text(32767).check(value)  # the longest path that any of the systems knows
        if not os.path.isabs(text) or "\0" in text:
            raise ValueError("an absolute path")
        return text


class Seconds(Rule):
    """A map of names of stages to the seconds that they took."""

    def check(self, value):
        # type: (Any) -> Dict[str, float]
        """Return the map."""
        if not isinstance(value, dict):
            raise ValueError("a map of names to seconds")
        seconds = Number(0.0, 1e9)
        return {Text(100).check(name): seconds.check(value[name]) for name in value}
