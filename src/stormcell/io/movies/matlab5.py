"""Movies as MATLAB arrays, .mat up to version 7 (the format before HDF5; one variable holds at most 2 GB)."""

from __future__ import annotations

import struct
import threading
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import FrameStack
from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import native, refuse_truncated
from stormcell.io.movies.matlab_axes import choose_variable, time_axis
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.quantities import file_notes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_NUMERIC = {
    "double": "float64",
    "single": "float32",
    **{name: name for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")},
}
_DAMAGE = (ValueError, TypeError, LookupError, OSError, zlib.error, struct.error, NotImplementedError)
_HEADER_BYTES = 128


class _MatlabArray:
    """Loader of one variable, read whole at the first frame asked for: the format keeps it as one (packed) piece."""

    def __init__(self, path: Path, variable: str, time: int) -> None:
        self._path = path
        self._variable = variable
        self._time = time
        self._lock = threading.Lock()
        self._frames: NDArray[Any] | None = None

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with self._lock:
            if self._frames is None:
                self._frames = self._read()
            frames = self._frames
        return np.array(frames[start:stop], order="C")

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_variable": self._variable, "_time": self._time}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_path"], state["_variable"], state["_time"])  # type: ignore[misc]

    def _read(self) -> NDArray[Any]:
        from scipy.io import loadmat

        try:
            # mat_dtype: MATLAB packs doubles that are whole numbers as integers; they come back as what they were
            content = loadmat(self._path, variable_names=[self._variable], mat_dtype=True)
            array = np.asarray(content[self._variable])
        except _DAMAGE as error:
            raise FormatError(_damaged(self._path, error)) from None
        if array.dtype.kind not in "uif":
            msg = f"expected real numbers in {self._variable} of {self._path}, got {array.dtype}; save plain numbers"
            raise FormatError(msg)
        return native(array.transpose(2, 0, 1) if self._time == 2 else array)


def open_matlab5(path: Path) -> FrameStack:
    """Open an array of an older MATLAB file as a movie.

    Parameters
    ----------
    path : Path
        A .mat file saved with -v6 or -v7.

    Returns
    -------
    FrameStack
        The file is read whole when the first frame is asked for.

    Raises
    ------
    FormatError
        The file is truncated or holds no numeric array with three axes.
    """
    from scipy.io import whosmat

    _refuse_cut(path)
    try:
        variables = whosmat(path)
    except _DAMAGE as error:
        raise FormatError(_damaged(path, error)) from None
    classes = {name: kind for name, _, kind in variables}
    shapes = {name: tuple(map(int, shape)) for name, shape, kind in variables if kind in _NUMERIC}
    variable, note = choose_variable(shapes, path)
    first, second, third = shapes[variable]
    time, reason = time_axis((first, second, third))
    shape = (third, first, second) if time == 2 else (first, second, third)
    dtype = np.dtype(_NUMERIC[classes[variable]])
    notes = file_notes("MATLAB array", f"variable {variable}, read whole", shape[0], [reason, *filter(None, [note])])
    return FrameStack(_MatlabArray(path, variable, time), shape, dtype, notes, path.name, str(path))


def _refuse_cut(path: Path) -> None:
    """Follow the lengths of the top-level elements to the end of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        order = "<" if head[126:128] == b"IM" else ">"
        position = _HEADER_BYTES
        while position < size:
            refuse_truncated(path, position + 8, size, "its next variable")
            file.seek(position)
            _, n_bytes = struct.unpack(order + "II", file.read(8))
            position += 8 + n_bytes
            refuse_truncated(path, position, size, "its variables")
    refuse_truncated(path, _HEADER_BYTES + 8, size, "its first variable")


def _damaged(path: object, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"expected a MATLAB array in {path}, but the file is damaged ({reason:.120}); save it again"


MATLAB_5 = MovieFormat(
    "MATLAB array (up to v7)",
    lambda _path, head: head.startswith(b"MATLAB 5.0 MAT-file") and head[126:128] in {b"IM", b"MI"},
    open_matlab5,
)
