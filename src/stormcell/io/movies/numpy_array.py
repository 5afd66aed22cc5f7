"""Movies as NumPy arrays, .npy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import FrameStack
from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import ContiguousFrames, native, refuse_truncated
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.pixels import check_pixel_type, looks_like_rgb
from stormcell.io.movies.quantities import file_notes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class _FortranFrames:
    """Loader of an array stored column-major, whose frames are spread over the whole file."""

    path: str

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        array = np.lib.format.open_memmap(self.path, mode="r")
        frames = array[start:stop] if array.ndim == 3 else array[None][start:stop]
        return native(np.array(frames, order="C"))


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
    shape, is_fortran, dtype, offset = _header(path)
    check_pixel_type(dtype, path)
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or 0 in shape:
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
    contiguous = ContiguousFrames(str(path), offset, full_shape, dtype)
    how = "stored column-major: every block touches the whole file" if is_fortran else "uncompressed, read in place"
    return FrameStack(
        _FortranFrames(str(path)) if is_fortran else contiguous,
        full_shape,
        dtype.newbyteorder("="),
        file_notes("NumPy array", how, full_shape[0], ()),
        path.name,
        str(path),
    )


def _header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in readers:
                msg = f"version {version[0]}.{version[1]}"
                raise ValueError(msg)
            shape, is_fortran, dtype = readers[version](file)
            return shape, is_fortran, dtype, file.tell()
    except (ValueError, TypeError, SyntaxError, OverflowError) as error:
        reason = " ".join(str(error).split())
        msg = f"expected a NumPy array in {path}, but its header is damaged ({reason:.120}); save it again"
        raise FormatError(msg) from None


NPY = MovieFormat("NumPy array", lambda _path, head: head.startswith(b"\x93NUMPY"), open_npy)
