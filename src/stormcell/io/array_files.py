"""Named arrays in one .npz file: measured PSFs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError
from stormcell.io.writing import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read a file of named arrays.

    Parameters
    ----------
    path : str or Path
        An .npz file.

    Returns
    -------
    dict of str to ndarray
        Arrays by name; nothing stored in them is ever run.

    Raises
    ------
    FormatError
        The file is missing, damaged, or not of this kind.
    """
    place = Path(path)
    if not place.is_file():
        msg = f"expected an .npz file, but {path} does not exist or is a folder"
        raise FormatError(msg)
    try:
        with np.load(place, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        msg = f"expected named arrays (.npz) in {path}, but it is another kind of file or damaged; make it again"
        raise FormatError(msg) from error


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]], overwrite: bool = False) -> None:
    """Write named arrays; equal arrays give equal bytes.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    arrays : mapping of str to ndarray
        Numbers and text, no objects.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with atomic_path(path, overwrite) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
