"""The one place where errors become exit codes and single lines."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

import stormcell
from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE = 0
OUR_FAULT = 1
REFUSED = 2
INTERRUPTED = 130

# The library exports BadParameter but not its base, and has moved the base between versions.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def explain(error: BaseException, argv: Sequence[str]) -> tuple[str, int]:
    """Say in one line why there is no result.

    Parameters
    ----------
    error : BaseException
        What was raised.
    argv : sequence of str
        What was typed, for the log.

    Returns
    -------
    tuple of str and int
        The line and the exit code. An unexpected error is written to a log file, which the line names.
    """
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted; nothing was left half-written", INTERRUPTED
    if isinstance(error, _UsageError):
        return _usage(error), REFUSED
    if isinstance(error, InputError):
        return str(error), REFUSED
    if type(error).__name__ == "ValidationError" and hasattr(error, "errors"):
        problems = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return "; ".join(problems), REFUSED
    if isinstance(error, OSError):
        return _system(error), REFUSED
    if isinstance(error, MemoryError):
        return "not enough memory; use --frames a:b or --roi y0:y1,x0:x1 to take less at once", OUR_FAULT
    log = write_log(error, argv)
    where = f"details are in {log}; please report them" if log else "the details could not be written to a log file"
    return f"failed through a fault of its own ({type(error).__name__}: {error}); {where}", OUR_FAULT


def write_log(error: BaseException, argv: Sequence[str]) -> str | None:
    """Write what a developer needs to a file in the system's folder for temporary files.

    Parameters
    ----------
    error : BaseException
        What was raised.
    argv : sequence of str
        What was typed.

    Returns
    -------
    str or None
        Path of the log; None where it cannot be written.
    """
    lines = [
        f"stormcell {stormcell.__version__}, Python {sys.version}, {platform.platform()}",
        f"command: {list(argv)}",
        "",
        *traceback.format_exception(error),
    ]
    with (
        suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="stormcell-error-", suffix=".log", delete=False
        ) as file,
    ):
        file.write("\n".join(lines))
        return file.name
    return None


def _usage(error: Exception) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    place = context.command_path if context is not None else "stormcell"
    return f"{text.rstrip('.')}; see {place} --help"


def _system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{reason[:1].lower()}{reason[1:]}; choose another file or folder, or make it readable and writable"
