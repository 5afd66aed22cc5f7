"""Movies as NumPy arrays, .npy."""

from __future__ import annotations

import ast
import operator
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import FrameStack
from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import ColumnMajorFrames, ContiguousFrames, refuse_truncated
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.pixels import check_pixel_type, looks_like_rgb
from stormcell.io.movies.quantities import file_notes

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"\x93NUMPY"
_LENGTH_FIELDS = {1: "<H"}  # of format version 1; later ones use four bytes
_MAX_HEADER_BYTES = 1 << 16
_HEADER_DAMAGE = (ValueError, TypeError, LookupError, OverflowError, MemoryError, struct.error)


def open_npy(path: Path) -> FrameStack:
    """Open a NumPy array as a movie; objects are never unpickled.

    Parameters
    ----------
    path : Path
        A .npy file with an array (T, Y, X) or (Y, X).

    Returns
    -------
    FrameStack
        Read in place.

    Raises
    ------
    FormatError
        The array is not numeric, has other axes, has an empty axis, or the file is truncated.
    """
    shape, is_fortran, dtype, offset = npy_header(path)
    check_pixel_type(dtype, path)
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) == 3 and min(shape) < 1:
        msg = f"expected at least one frame and one pixel in {path}, got an array of shape {shape}; save it again"
        raise FormatError(msg)
    if len(shape) != 3:
        msg = (
            f"expected an array of shape (frames, rows, columns) in {path}, got {shape}; "
            "save one channel with three axes"
        )
        raise FormatError(msg)
    if looks_like_rgb(shape, dtype):
        msg = f"expected grey frames (T, Y, X) in {path}, got shape {shape}, a colour picture; save one channel"
        raise FormatError(msg)
    full_shape = (int(shape[0]), int(shape[1]), int(shape[2]))
    n_bytes = full_shape[0] * full_shape[1] * full_shape[2] * dtype.itemsize
    refuse_truncated(path, offset + n_bytes, path.stat().st_size, f"an array of shape {full_shape} of {dtype}")
    loader = ColumnMajorFrames if is_fortran else ContiguousFrames
    how = "stored column-major: every block touches the whole file" if is_fortran else "uncompressed, read in place"
    return FrameStack(
        loader(str(path), offset, full_shape, dtype),
        full_shape,
        dtype.newbyteorder("="),
        file_notes("NumPy array", how, full_shape[0], ()),
        path.name,
        str(path),
    )


def npy_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Read the header of a NumPy array: a literal that is never evaluated as code.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    tuple
        Shape, whether column-major, type, and the byte at which the data start.

    Raises
    ------
    FormatError
        The header is damaged.
    """
    with path.open("rb") as file:
        start = file.read(len(_MAGIC) + 2)
        field = _LENGTH_FIELDS.get(start[len(_MAGIC)] if len(start) > len(_MAGIC) else 0, "<I")
        length = file.read(struct.calcsize(field))
        try:
            n_bytes = struct.unpack(field, length)[0]
            if n_bytes > _MAX_HEADER_BYTES:
                msg = f"a header of {n_bytes} bytes"
                raise ValueError(msg)
            header = ast.literal_eval(file.read(n_bytes).decode("utf-8").strip())
            shape = tuple(operator.index(side) for side in header["shape"])
            return shape, bool(header["fortran_order"]), np.dtype(header["descr"]), file.tell()
        except (*_HEADER_DAMAGE, SyntaxError, RecursionError) as error:
            reason = " ".join(str(error).split())
            msg = f"expected a NumPy array in {path}, but its header is damaged ({reason:.120}); save it again"
            raise FormatError(msg) from None


def is_npy(path: Path) -> bool:
    """Tell whether a file is a NumPy array.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        By its first bytes.
    """
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


NPY = MovieFormat("NumPy array", lambda _path, head: head.startswith(_MAGIC), open_npy)
