"""Fingerprints of inputs and arrays, for provenance."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import InputFile
from stormcell.io.reading import first_bytes
from stormcell.io.zarr_stores import is_store

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hash_input(path: str | Path) -> InputFile:
    """Fingerprint one input file, read in pieces so that its size does not matter.

    Parameters
    ----------
    path : str or Path
        The file. Of a movie that spans several files, or of raw frames with a YAML beside them, the named one alone;
        of a Zarr store all its files with their names, at a URL names, sizes and marks of version.

    Returns
    -------
    InputFile
        Name without folder, SHA-256 and size.

    Raises
    ------
    FormatError
        The file is missing, a folder, empty, or may not be read.
    """
    if is_store(path):
        return _hash_store(path)
    path = Path(path)
    first_bytes(path, "an input file", 1)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        n_bytes = file.tell()
    return InputFile(path.name, digest, n_bytes)


def _hash_store(place: str | Path) -> InputFile:
    digest, n_bytes = hashlib.sha256(), 0
    if "://" in str(place):
        import fsspec

        system, root = fsspec.core.url_to_fs(str(place))
        for name, told in sorted(system.find(root, detail=True).items()):
            mark = told.get("ETag") or told.get("mtime") or told.get("last_modified") or ""
            digest.update(f"{name.removeprefix(root)}\n{told['size']}\n{mark}\n".encode())
            n_bytes += int(told["size"])
        return InputFile(str(place).rstrip("/").rpartition("/")[2], digest.hexdigest(), n_bytes)
    folder = Path(place)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
            n_bytes += stream.tell()
        digest.update(f"{file.relative_to(folder).as_posix()}\n{content}\n".encode())
    return InputFile(folder.name, digest.hexdigest(), n_bytes)


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
