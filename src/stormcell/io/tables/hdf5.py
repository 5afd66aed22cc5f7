"""The first look into HDF5 files that hold tables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py

from stormcell.errors import FormatError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    h5py.File
        The open file.

    Raises
    ------
    FormatError
        The file is truncated or damaged, found at once or while reading.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
        msg = f"expected an HDF5 table, but {path} is truncated or damaged ({_reason(error)}); copy or write it again"
        raise FormatError(msg) from None


def contents(path: Path) -> tuple[str, ...]:
    """List what lies at the top of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    tuple of str
        Names of its groups and data sets.

    Raises
    ------
    FormatError
        The file is truncated or damaged.
    """
    with open_hdf5(path) as file:
        return tuple(file)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.partition("(")[2].rstrip(")") or text
