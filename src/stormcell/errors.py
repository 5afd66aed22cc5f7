"""Everything stormcell raises or warns on purpose.

Faces turn an `InputError` into exit code 2 and one line; anything else is our own fault (exit code 1).
"""

from __future__ import annotations


class StormcellError(Exception):
    """Base of all errors raised on purpose."""


class InputError(StormcellError, ValueError):
    """Refused input: the message says what was expected, what came, and what to do."""


class FormatError(InputError):
    """A file is not what it should be: missing, empty, truncated, of another kind."""


class SettingsError(InputError):
    """A setting is unknown, impossible, or contradicts another one."""


class MissingQuantityError(InputError):
    """A physical quantity without which no honest number exists was neither given nor found."""


class MissingColumnError(InputError, KeyError):
    """A table lacks a column that is needed."""

    __str__ = Exception.__str__


class OutputError(InputError):
    """A result cannot be written: it exists already, no space, no permission."""


class ModelError(InputError):
    """A model folder is missing, incomplete, or its checksum does not match."""


class MissingDependencyError(InputError):
    """An optional package is needed; the message says how to install it."""


class StormcellWarning(UserWarning):
    """Base of all warnings issued on purpose."""


class NoLocalizationsWarning(StormcellWarning):
    """Nothing was found; the result is an empty table."""


class DataQualityWarning(StormcellWarning):
    """The data were usable but not clean (saturated, negative or NaN pixels, one frame)."""
