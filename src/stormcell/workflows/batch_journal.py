"""The journal of a batch, and the lock that keeps a second one from the same output."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stormcell.errors import OutputError
from stormcell.io.writing import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOURNAL_FILE = "journal.jsonl"
OUTCOME_FILE = "outcome.json"
_LOCK_FILE = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the output folder for one batch.

    Parameters
    ----------
    folder : Path
        Made where it is missing.

    Yields
    ------
    None
        While the lock is held. The system gives it up when the process ends, however it ends.

    Raises
    ------
    OutputError
        Another batch is at work there.
    """
    make_folder(folder)
    try:
        stream = (folder / _LOCK_FILE).open("a+b")
    except OSError as error:
        msg = f"cannot write to {folder}: {error.strerror}; name another folder"
        raise OutputError(msg) from None
    with stream:
        try:
            _lock(stream.fileno())
        except OSError:
            msg = f"another batch is writing to {folder}; wait until it ends, or name another folder"
            raise OutputError(msg) from None
        yield


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def note(folder: Path, **entry: Any) -> None:
    """Append one line to the journal and wait until the disc has it.

    Parameters
    ----------
    folder : Path
        Output of the batch.
    **entry : object
        What happened.

    Raises
    ------
    OutputError
        The line cannot be written.
    """
    try:
        with (folder / JOURNAL_FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        msg = f"cannot write {folder / JOURNAL_FILE}: {error.strerror}; finished inputs are kept, start again after"
        raise OutputError(msg) from None


def finished(folder: Path, name: str) -> dict[str, Any] | None:
    """Read what came of an input that is finished.

    Parameters
    ----------
    folder : Path
        Output of the batch.
    name : str
        The input's name.

    Returns
    -------
    dict or None
        None where it is not finished. A result folder gets its name only when complete, so this is the truth
        whatever was killed.
    """
    try:
        found: dict[str, Any] = json.loads((folder / name / OUTCOME_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
