"""A movie that is still being written: the frames that are there so far."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import FrameStack
from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import ContiguousFrames, frame_bytes
from stormcell.io.movies.numpy_array import is_npy, npy_header
from stormcell.io.movies.opening import open_movie
from stormcell.io.zarr_stores import is_store

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class JoinedFrames:
    """Loader of frames that lie in several movies, one after the other.

    Parameters
    ----------
    pieces : tuple of FrameStack
        The movies.
    ends : tuple of int
        Number of frames up to the end of each.
    """

    pieces: tuple[FrameStack, ...]
    ends: tuple[int, ...]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop, shape (stop - start, Y, X)."""
        found, index = [], bisect_right(self.ends, start)
        while start < stop and index < len(self.pieces):
            first = self.ends[index] - self.pieces[index].n_frames
            last = min(stop, self.ends[index])
            found.append(self.pieces[index].read(start - first, last - first))
            start, index = last, index + 1
        return np.concatenate(found) if found else self.pieces[0].read(0, 0)


@dataclass
class GrowingMovie:
    """A movie file, or a folder of movie files in the order of their names, that somebody is writing.

    Parameters
    ----------
    place : Path
        A .npy whose header tells the final shape, a TIFF written page by page, or a folder of whole files.
    """

    place: Path
    is_complete: bool = False
    """Whether the file says how many frames there will be, and all are there."""
    _pieces: dict[str, FrameStack] = field(default_factory=dict)
    _last: FrameStack | None = None

    def poll(self) -> FrameStack | None:
        """Look how far the movie has come.

        Returns
        -------
        FrameStack or None
            The frames so far; None where there is none yet.

        Raises
        ------
        FormatError
            A piece in the folder has frames of another size or type.
        """
        if self.place.is_dir() and not is_store(self.place):
            self._last = self._joined() or self._last
        elif self.place.exists():
            self._last = self._file() or self._last
        return self._last

    def _file(self) -> FrameStack | None:
        try:
            if not is_npy(self.place):
                return open_movie(self.place)
            shape, is_fortran, dtype, offset = npy_header(self.place)
        except (FormatError, OSError):
            return None  # cut in the middle of a page: the next look finds it whole
        if is_fortran or len(shape) != 3:
            return open_movie(self.place)
        full = (int(shape[0]), int(shape[1]), int(shape[2]))
        there = min(full[0], (self.place.stat().st_size - offset) // frame_bytes(full, dtype))
        self.is_complete = there == full[0]
        if there < 1:
            return None
        load = ContiguousFrames(str(self.place), offset, full, dtype)
        return FrameStack(
            load, (int(there), *full[1:]), dtype.newbyteorder("="), {}, self.place.name, str(self.place)
        )

    def _joined(self) -> FrameStack | None:
        for path in sorted(path for path in self.place.iterdir() if not path.name.startswith(".")):
            if path.name in self._pieces or path.name.endswith((".part", ".tmp")):
                continue
            try:
                self._pieces[path.name] = open_movie(path)
            except FormatError:
                break  # still being written; what follows must wait for it
        pieces = tuple(self._pieces.values())
        if not pieces:
            return None
        first = pieces[0]
        for piece in pieces:
            if (piece.frame_shape, piece.dtype) != (first.frame_shape, first.dtype):
                msg = (
                    f"expected frames of {first.frame_shape} {first.dtype} in {self.place}, got {piece.frame_shape} "
                    f"{piece.dtype} in {piece.name}; follow a folder of one movie"
                )
                raise FormatError(msg)
        ends = tuple(int(end) for end in np.cumsum([piece.n_frames for piece in pieces]))
        shape = (ends[-1], *first.frame_shape)
        plain = replace(first, first_frame=0, last_frame=ends[-1], path=None)
        return replace(plain, load=JoinedFrames(pieces, ends), full_shape=shape, name=self.place.name)
