"""Errors that a user can act on: every message is one line and says what to do."""


class BalanceError(Exception):
    """Something asked of VAE Balance cannot be done."""


class ImageError(BalanceError):
    """A picture cannot be read, or cannot be written in the form asked for."""


class LutError(BalanceError):
    """A colour table is malformed, or its file cannot be read."""


class ModelError(BalanceError):
    """A model is missing, damaged, or not the one that was expected."""


class OptionError(BalanceError):
    """An option or argument has a value that cannot be used."""


class OutputExistsError(BalanceError):
    """The output exists already and overwriting it was not asked for."""
