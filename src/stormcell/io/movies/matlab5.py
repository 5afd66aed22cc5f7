"""Movies as MATLAB arrays, .mat of version 5 to 7, the format before HDF5.

Read here from MathWorks' published description ("MAT-File Format") rather than by scipy, which loads variables whole
and whose compiled reader can be brought down by a damaged file.
"""

from __future__ import annotations

import struct
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import FrameStack
from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import ColumnMajorFrames, ContiguousFrames, open_for_reading, refuse_truncated
from stormcell.io.movies.matlab_axes import choose_variable, time_axis
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.quantities import file_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader
    from pathlib import Path

    from numpy.typing import NDArray

_FILE_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_STORED_TYPES = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_NUMERIC_CLASSES = {
    **{6: "float64", 7: "float32", 8: "int8", 9: "uint8", 10: "int16", 11: "uint16"},
    **{12: "int32", 13: "uint32", 14: "int64", 15: "uint64"},
}
_COMPLEX, _LOGICAL = 0x0800, 0x0200
_VARIABLE_HEADER_BYTES = 4096
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class _Variable:
    """A numeric array in the file: its header, and where its values are."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    element: int  # where its element's content starts in the file
    n_bytes: int  # of that content
    values: int  # where the values start, in the file or, when compressed, in what is unpacked
    is_compressed: bool


@dataclass(frozen=True)
class _StoredFrames:
    """Loader of an uncompressed variable, read in place."""

    frames: ContiguousFrames | ColumnMajorFrames
    is_transposed: bool
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        block = self.frames(start, stop)
        return np.array(block.transpose(0, 2, 1) if self.is_transposed else block, self.dtype, order="C")


class _PackedFrames:
    """Loader of a compressed variable, unpacked whole at the first frame asked for: it is one zlib stream."""

    def __init__(self, path: str, variable: _Variable, time: int) -> None:
        self._path = path
        self._variable = variable
        self._time = time
        self._lock = threading.Lock()
        self._frames: NDArray[Any] | None = None

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with self._lock:
            if self._frames is None:
                array = _unpack(self._path, self._variable)
                self._frames = array.transpose(2, 0, 1) if self._time == 2 else array
            frames = self._frames
        return np.array(frames[start:stop], self._variable.dtype, order="C")


def open_matlab5(path: Path) -> FrameStack:
    """Open an array of an older MATLAB file as a movie.

    Parameters
    ----------
    path : Path
        A .mat file saved with -v6 (read in place) or -v7 (each variable compressed as a whole, up to 2 GB).

    Returns
    -------
    FrameStack
        Of a compressed variable, all is unpacked when the first frame is asked for, and kept.

    Raises
    ------
    FormatError
        The file is truncated, damaged, or holds no numeric array with three axes.
    """
    try:
        with path.open("rb") as file:
            variables = {variable.name: variable for variable in _variables(file, path)}
    except (struct.error, zlib.error, ValueError, LookupError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(_damaged(path, error)) from None
    name, note = choose_variable({key: item.shape for key, item in variables.items()}, path)
    variable = variables[name]
    first, second, third = variable.shape
    time, reason = time_axis((first, second, third))
    shape = (third, first, second) if time == 2 else (first, second, third)
    how = f"variable {name}, " + ("compressed, unpacked whole" if variable.is_compressed else "read in place")
    notes = file_notes("MATLAB array", how, shape[0], [reason, *filter(None, [note])])
    return FrameStack(_loader(variable, time, str(path)), shape, variable.dtype, notes, path.name, str(path))


def _loader(variable: _Variable, time: int, path: str) -> Callable[[int, int], NDArray[Any]]:
    if variable.is_compressed:
        return _PackedFrames(path, variable, time)
    first, second, third = variable.shape
    if time == 0:
        columns = ColumnMajorFrames(path, variable.values, (first, second, third), variable.stored)
        return _StoredFrames(columns, is_transposed=False, dtype=variable.dtype)
    # column-major (Y, X, T) is row-major (T, X, Y)
    frames = ContiguousFrames(path, variable.values, (third, second, first), variable.stored)
    return _StoredFrames(frames, is_transposed=True, dtype=variable.dtype)


def _variables(file: BufferedReader, path: Path) -> Iterator[_Variable]:
    """Go through the top-level elements, reading only their headers."""
    size = path.stat().st_size
    order = "<" if file.read(_FILE_HEADER_BYTES)[126:128] == b"IM" else ">"
    position = _FILE_HEADER_BYTES
    refuse_truncated(path, position + 8, size, "its first variable")
    while position < size:
        refuse_truncated(path, position + 8, size, "its next variable")
        file.seek(position)
        kind, n_bytes = struct.unpack(order + "II", file.read(8))
        position += 8
        refuse_truncated(path, position + n_bytes, size, "its variables")
        if kind in {_MATRIX, _COMPRESSED}:
            head, inside, is_compressed = file.read(min(n_bytes, _VARIABLE_HEADER_BYTES)), 0, kind == _COMPRESSED
            if is_compressed:
                head, inside = zlib.decompressobj().decompress(head, _VARIABLE_HEADER_BYTES), 8
            variable = _parse_header(head, inside, order, (position, n_bytes, is_compressed))
            if variable is not None:
                _check_length(variable, path)
                yield variable
        position += n_bytes


def _parse_header(head: bytes, start: int, order: str, element: tuple[int, int, bool]) -> _Variable | None:
    """Read class, shape and name of a matrix; None where it is not an array of real numbers."""
    _, flags, position = _part(head, start, order)
    class_and_flags = struct.unpack(order + "I", flags[:4])[0]
    _, sides, position = _part(head, position, order)
    _, name, position = _part(head, position, order)
    kind = class_and_flags & 0xFF
    if kind not in _NUMERIC_CLASSES or class_and_flags & (_COMPLEX | _LOGICAL):
        return None
    shape = tuple(int(side) for side in np.frombuffer(sides, order + "i4"))
    stored_kind, values, _ = _part_place(head, position, order)
    stored = np.dtype(order + _STORED_TYPES[stored_kind])
    offset, n_bytes, is_compressed = element
    return _Variable(
        name.decode("latin-1"),
        shape,
        np.dtype(_NUMERIC_CLASSES[kind]),
        stored,
        offset,
        n_bytes,
        values if is_compressed else offset + values,
        is_compressed,
    )


def _part(head: bytes, position: int, order: str) -> tuple[int, bytes, int]:
    """Read one part of a matrix: its type, its bytes, and where the next part starts."""
    kind, start, n_bytes = _part_place(head, position, order)
    content = head[start : start + n_bytes]
    if len(content) != n_bytes:
        msg = f"a part of {n_bytes} bytes in a variable's header"
        raise ValueError(msg)
    is_small = start == position + 4
    return kind, content, position + 8 if is_small else start + n_bytes + (-n_bytes % 8)


def _part_place(head: bytes, position: int, order: str) -> tuple[int, int, int]:
    """Find type, start and length; up to four bytes may be kept inside the tag itself."""
    kind, n_bytes = struct.unpack_from(order + "II", head, position)
    if kind >> 16:
        return kind & 0xFFFF, position + 4, kind >> 16
    return kind, position + 8, n_bytes


def _check_length(variable: _Variable, path: Path) -> None:
    """Make sure that what the shape announces fits into the element."""
    if min(variable.shape, default=0) < 1:
        return
    needed = _n_values(variable) * variable.stored.itemsize
    if not variable.is_compressed:
        end = variable.element + variable.n_bytes
        refuse_truncated(path, variable.values + needed, end, f"variable {variable.name}")
    elif needed > variable.n_bytes * 1100:  # zlib packs at most 1032 to 1
        msg = f"{needed} bytes for {variable.name} out of {variable.n_bytes} compressed ones"
        raise ValueError(msg)


def _n_values(variable: _Variable) -> int:
    count = 1
    for side in variable.shape:
        count *= side
    return count


def _unpack(path: str, variable: _Variable) -> NDArray[Any]:
    needed = variable.values + _n_values(variable) * variable.stored.itemsize
    data, left, stream = bytearray(), variable.n_bytes, zlib.decompressobj()
    try:
        with open_for_reading(path) as file:
            file.seek(variable.element)
            while left and len(data) < needed:
                packed = file.read(min(left, _READ_BYTES))
                if not packed:
                    break
                left -= len(packed)
                data += stream.decompress(packed, needed - len(data))
    except zlib.error as error:
        raise FormatError(_damaged(path, error)) from None
    if len(data) < needed:
        raise FormatError(_damaged(path, f"{len(data)} bytes unpacked of {needed}"))
    return np.ndarray(variable.shape, variable.stored, data, variable.values, order="F")


def _damaged(path: object, reason: object) -> str:
    said = " ".join(str(reason).split())
    return f"expected a MATLAB array in {path}, but the file is damaged ({said:.120}); save it again"


MATLAB_5 = MovieFormat(
    "MATLAB array (up to v7)",
    lambda _path, head: head.startswith(b"MATLAB 5.0 MAT-file") and head[126:128] in {b"IM", b"MI"},
    open_matlab5,
)
