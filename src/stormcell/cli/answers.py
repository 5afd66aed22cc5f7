"""What a verb answers, and how it is put on the screen: sentences for people, one JSON object for machines."""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import stormcell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stormcell.cli.session import Session


@dataclass(frozen=True)
class Answer:
    """What a verb has to say when it is done."""

    sentences: tuple[str, ...] = ()
    """Plain sentences, each on its own line."""
    rows: tuple[tuple[str, str], ...] = ()
    """A small table of label and value."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """The same for machines."""
    outputs: tuple[Path, ...] = ()
    """Files written."""


def show_answer(verb: str, answer: Answer, warnings: Sequence[str], session: Session) -> None:
    """Print an answer to stdout, and the warnings to stderr (with `--json` all of it is one object on stdout).

    Parameters
    ----------
    verb : str
        Which verb answers.
    answer : Answer
        What it says.
    warnings : sequence of str
        Plain sentences.
    session : Session
        The global options.
    """
    if session.as_json:
        report = {
            "verb": verb,
            "version": stormcell.__version__,
            "result": answer.result,
            "outputs": answer.outputs,
            "warnings": warnings,
        }
        _write(sys.stdout, json.dumps(plain(report), allow_nan=False))
        return
    if not session.quiet:
        width = max((len(label) for label, _ in answer.rows), default=0)
        for label, value in answer.rows:
            _write(sys.stdout, f"{label:<{width}}  {value}")
        for sentence in answer.sentences:
            _write(sys.stdout, sentence)
    for warning in warnings:
        _write(sys.stderr, f"Note: {warning}")


def show_error(message: str, exit_code: int, as_json: bool) -> None:
    """Print one line that says why there is no result.

    Parameters
    ----------
    message : str
        What was expected, what came, what to do.
    exit_code : int
        The exit code that goes with it.
    as_json : bool
        One JSON object on stdout in place of a line on stderr.
    """
    line = " ".join(message.split())
    if as_json:
        _write(sys.stdout, json.dumps({"error": line, "exit_code": exit_code}))
    else:
        _write(sys.stderr, f"stormcell: {line}")


def plain(value: Any) -> Any:
    """Turn a result into what JSON can hold; NaN and infinity become null.

    Parameters
    ----------
    value : object
        Numbers, arrays, paths, dataclasses, mappings, sequences.

    Returns
    -------
    object
        Only dict, list, str, int, float, bool and None.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    return str(value)


def _write(stream: Any, line: str) -> None:
    try:
        stream.write(line + "\n")
        stream.flush()
    except UnicodeEncodeError:  # a console that knows no micro sign
        encoding = stream.encoding or "ascii"
        stream.write((line + "\n").encode(encoding, "replace").decode(encoding))
    except BrokenPipeError:
        # The reader has gone, for example `| head`. The work is done; what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
