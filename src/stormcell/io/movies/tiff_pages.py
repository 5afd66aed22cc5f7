"""Loaders of frames that lie apart in one or several TIFF files, packed or not."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import frame_bytes, native, open_for_reading, read_into

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

    from numpy.typing import NDArray

TIFF_DAMAGE = (
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    OSError,
    struct.error,
)
"""What reading a damaged TIFF file may raise inside tifffile and its decoders."""

_MAX_THREADS = 8
_THREAD_WORTH_BYTES = 1 << 20
_SPAN_TO_DATA = 2  # strips of one frame are fetched in one read unless what lies between them outweighs them


@dataclass(frozen=True)
class PageTable:
    """Where each frame's segments (strips or tiles) lie; plain arrays, so that no page is ever searched again.

    Parameters
    ----------
    paths : tuple of str
        The files.
    file_index : ndarray
        Shape (T,), which file each frame is in.
    offsets, n_bytes : ndarray
        Shape (T, segments), where each segment starts and how long it is.
    """

    paths: tuple[str, ...]
    file_index: NDArray[np.intp]
    offsets: NDArray[np.int64]
    n_bytes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets)

    def first(self, n_frames: int) -> PageTable:
        """Keep the first frames.

        Parameters
        ----------
        n_frames : int
            How many.

        Returns
        -------
        PageTable
            The shorter table.
        """
        return PageTable(self.paths, self.file_index[:n_frames], self.offsets[:n_frames], self.n_bytes[:n_frames])

    @property
    def has_whole_frames(self) -> bool:
        """Whether the segments of every frame follow each other without a gap."""
        return bool(np.all(self.offsets[:, :-1] + self.n_bytes[:, :-1] == self.offsets[:, 1:]))


@dataclass(frozen=True)
class PlainPages:
    """Loader of uncompressed frames that lie apart, each in one piece.

    Parameters
    ----------
    table : PageTable
        Where the frames are.
    shape : tuple of int
        (T, Y, X).
    dtype : numpy dtype
        As stored, with its byte order.
    """

    table: PageTable
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop, shape (stop - start, Y, X), in the machine's byte order."""
        frames = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        starts = self.table.offsets[start:stop, 0]
        files = self.table.file_index[start:stop]
        jumps = (np.diff(starts) != frame_bytes(self.shape, self.dtype)) | (np.diff(files) != 0)
        edges = [0, *(np.flatnonzero(jumps) + 1), len(frames)]
        with _OpenFiles(self.table.paths) as opened:
            for first, last in pairwise(edges):
                if last > first:
                    read_into(opened[files[first]], int(starts[first]), frames[first:last])
        return native(frames)


@dataclass(frozen=True)
class EncodedPages:
    """Loader of compressed, tiled or packed frames, decoded by several threads.

    Parameters
    ----------
    table : PageTable
        Where the segments are.
    shape : tuple of int
        (T, Y, X).
    dtype : numpy dtype
        After decoding.
    decoders : tuple of callable
        One per file: `decode(bytes, segment_index)` as tifffile's pages offer it.
    name : str
        The movie, for messages.
    """

    table: PageTable
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    decoders: tuple[Callable[..., Any], ...]
    name: str

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop, shape (stop - start, Y, X)."""
        frames = np.zeros((max(0, stop - start), *self.shape[1:]), self.dtype)
        n_threads = min(_MAX_THREADS, os.cpu_count() or 1, len(frames))
        if n_threads < 2 or frames.nbytes < _THREAD_WORTH_BYTES:
            self._fill(frames, start)
            return frames
        edges = [len(frames) * part // n_threads for part in range(n_threads + 1)]
        # threads are made per call: a pool kept between calls would be dead in a forked process
        with ThreadPoolExecutor(n_threads) as pool:
            jobs = [pool.submit(self._fill, frames[first:last], start + first) for first, last in pairwise(edges)]
            for job in jobs:
                job.result()
        return frames

    def _fill(self, frames: NDArray[Any], start: int) -> None:
        with _OpenFiles(self.table.paths) as opened:
            for index, frame in enumerate(frames, start):
                file = self.table.file_index[index]
                try:
                    self._decode(opened[file], index, frame, self.decoders[file])
                except FormatError:
                    raise
                except TIFF_DAMAGE as error:
                    reason = " ".join(str(error).split())
                    msg = (
                        f"expected frame {index} of {self.name} to be readable, but it cannot be decoded "
                        f"({reason:.120}); copy or export the movie again"
                    )
                    raise FormatError(msg) from None

    def _decode(self, file: FileIO, index: int, frame: NDArray[Any], decode: Callable[..., Any]) -> None:
        offsets, sizes = self.table.offsets[index].tolist(), self.table.n_bytes[index].tolist()
        for segment, data in enumerate(_segments(file, offsets, sizes)):
            if not data:
                continue  # an empty segment stands for zeros
            pixels, (_, _, row, column, _), (_, height, width, _) = decode(data, segment)
            target = frame[row : row + height, column : column + width]
            target[...] = pixels[0, : target.shape[0], : target.shape[1], 0]


class _OpenFiles:
    """Files of a movie, opened when first asked for and closed together."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._files: dict[int, FileIO] = {}

    def __enter__(self) -> _OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def __getitem__(self, index: int) -> FileIO:
        if index not in self._files:
            self._files[index] = open_for_reading(self._paths[index])
        return self._files[index]


def _segments(file: FileIO, offsets: list[int], sizes: list[int]) -> list[bytes]:
    """Read the segments of one frame, in one go where they lie together."""
    begin = min(offsets)
    end = max(offset + size for offset, size in zip(offsets, sizes, strict=True))
    if end - begin > _SPAN_TO_DATA * sum(sizes):
        return [_read(file, offset, size) for offset, size in zip(offsets, sizes, strict=True)]
    span = _read(file, begin, end - begin)
    return [span[offset - begin : offset - begin + size] for offset, size in zip(offsets, sizes, strict=True)]


def _read(file: FileIO, offset: int, size: int) -> bytes:
    data = np.empty(size, np.uint8)
    read_into(file, offset, data)
    return data.tobytes()
