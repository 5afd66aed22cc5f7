"""Fingerprints of inputs and arrays, for provenance."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import InputFile
from stormcell.io.reading import first_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hash_input(path: str | Path) -> InputFile:
    """Fingerprint one input file, read in pieces so that its size does not matter.

    Parameters
    ----------
    path : str or Path
        The file. Of a movie that spans several files, or of raw frames with a YAML beside them, the named one alone.

    Returns
    -------
    InputFile
        Name without folder, SHA-256 and size.

    Raises
    ------
    FormatError
        The file is missing, a folder, empty, or may not be read.
    """
    path = Path(path)
    first_bytes(path, "an input file", 1)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        n_bytes = file.tell()
    return InputFile(path.name, digest, n_bytes)


def hash_array(array: NDArray[Any]) -> str:
    """Fingerprint an array: its kind, shape and values, not how it lies in memory.

    Parameters
    ----------
    array : ndarray
        Any shape, a numeric or boolean dtype.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits, the same on machines of either byte order.
    """
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{little.dtype.kind}{little.dtype.itemsize}{array.shape}".encode())
    digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
