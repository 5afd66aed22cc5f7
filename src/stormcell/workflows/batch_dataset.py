"""The tables of a batch as one Parquet dataset, partitioned by field."""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING
from urllib.parse import quote

from stormcell.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

DATASET_FOLDER = "localizations.dataset"
"""In it lies field=NAME/localizations.parquet for each input."""
_TABLE = "localizations.parquet"


def add_field(folder: Path, name: str) -> None:
    """Put the table of an input into the dataset; the two names share one file where the disc can do that.

    Parameters
    ----------
    folder : Path
        Output of the batch.
    name : str
        The input's name, finished; a verb without a table adds nothing.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    table = folder / name / _TABLE
    if not table.exists():
        return
    target = folder / DATASET_FOLDER / f"field={quote(name, safe='')}" / _TABLE
    if target.exists() and _is_same(target, table):
        return
    temporary = target.with_name(f".part-{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(table, temporary)
        except OSError:  # a disc without hard links
            shutil.copy2(table, temporary)
        os.replace(temporary, target)
    except OSError as error:
        msg = f"cannot write {target}: {error.strerror}; finished inputs are kept, start again after"
        raise OutputError(msg) from None


def _is_same(first: Path, second: Path) -> bool:
    one, two = first.stat(), second.stat()
    return first.samefile(second) or (one.st_size, one.st_mtime_ns) == (two.st_size, two.st_mtime_ns)
