"""Frames that lie one after the other in a file, uncompressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError

if TYPE_CHECKING:
    from io import FileIO

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ContiguousFrames:
    """Loader of frames stored back to back.

    Frames are read into fresh memory rather than mapped: a mapping keeps every page it has touched in the process'
    resident memory, so that going once through a 20 GB movie would look like 20 GB used, and it locks the file on
    Windows. Each call opens the file for itself, which makes it safe to call from several threads.

    Parameters
    ----------
    path : str
        The file.
    offset : int
        Byte at which the first frame starts.
    shape : tuple of int
        (T, Y, X).
    dtype : numpy dtype
        As stored, with its byte order.
    """

    path: str
    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop, shape (stop - start, Y, X), in the machine's byte order."""
        frames = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        with open_for_reading(self.path) as file:
            read_into(file, self.offset + start * frame_bytes(self.shape, self.dtype), frames)
        return native(frames)


@dataclass(frozen=True)
class ColumnMajorFrames:
    """Loader of an array (T, Y, X) stored column-major, whose every frame is spread over the whole file.

    Parameters
    ----------
    path : str
        The file.
    offset : int
        Byte at which the array starts.
    shape : tuple of int
        (T, Y, X).
    dtype : numpy dtype
        As stored, with its byte order.
    """

    path: str
    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop, shape (stop - start, Y, X), in the machine's byte order."""
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order="F")
        return native(np.array(mapped[start:stop], order="C"))


def frame_bytes(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
    """Size of one frame.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    dtype : numpy dtype
        Of the pixels.

    Returns
    -------
    int
        Bytes.
    """
    return int(shape[1]) * int(shape[2]) * dtype.itemsize


def open_for_reading(path: str) -> FileIO:
    """Open a movie file that was there before.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    FileIO
        Unbuffered, to be closed by the caller.

    Raises
    ------
    FormatError
        It cannot be opened any more.
    """
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        msg = f"expected the movie {path} to stay readable, but it is not: {error.strerror}; open it again"
        raise FormatError(msg) from None


def read_into(file: FileIO, offset: int, frames: NDArray[Any]) -> None:
    """Fill an array from a file.

    Parameters
    ----------
    file : FileIO
        An unbuffered file.
    offset : int
        Where to start, in bytes.
    frames : ndarray
        C-contiguous; its bytes are overwritten.

    Raises
    ------
    FormatError
        The file ends too early.
    """
    view = memoryview(frames.reshape(-1).view(np.uint8).data)
    file.seek(offset)
    while view:
        n_read = file.readinto(view)  # one call may return less, at most 2 GB on Linux
        if not n_read:
            msg = (
                f"expected {offset + frames.nbytes} bytes in {file.name}, but it became shorter since it was opened; "
                "copy it again"
            )
            raise FormatError(msg)
        view = view[n_read:]


def native(frames: NDArray[Any]) -> NDArray[Any]:
    """Bring freshly read frames to the machine's byte order, in place.

    Parameters
    ----------
    frames : ndarray
        Owned by the caller.

    Returns
    -------
    ndarray
        The same values.
    """
    if frames.dtype.isnative:
        return frames
    return frames.byteswap(inplace=True).view(frames.dtype.newbyteorder("="))


def refuse_truncated(path: object, needed: int, actual: int, what: str) -> None:
    """Refuse a file that ends before its data do.

    Parameters
    ----------
    path : object
        The file, for the message.
    needed, actual : int
        Bytes that the data need and that the file has.
    what : str
        What needs them, for example "300 frames of 60 x 60 uint16".

    Raises
    ------
    FormatError
        `actual` is below `needed`.
    """
    if actual < needed:
        msg = (
            f"expected {needed} bytes for {what} in {path}, but the file has {actual}: it is truncated; "
            "copy or export it again"
        )
        raise FormatError(msg)
