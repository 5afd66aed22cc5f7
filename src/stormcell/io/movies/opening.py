"""The list of movie formats, and the one function that opens a movie by its content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stormcell.errors import FormatError
from stormcell.io.movies.matlab5 import MATLAB_5
from stormcell.io.movies.matlab73 import MATLAB_73
from stormcell.io.movies.numpy_array import NPY
from stormcell.io.movies.picasso_raw import PICASSO_RAW
from stormcell.io.movies.tiff import TIFF
from stormcell.io.movies.zarr_movie import ZARR
from stormcell.io.reading import content_name, first_bytes
from stormcell.io.zarr_stores import is_store

if TYPE_CHECKING:
    import os

    from stormcell.data import FrameStack
    from stormcell.io.movies.movie_format import MovieFormat

MOVIE_FORMATS: tuple[MovieFormat, ...] = (TIFF, NPY, MATLAB_5, MATLAB_73, ZARR, PICASSO_RAW)
"""All movie formats in the order in which they are tried; formats without a mark of their own come last."""


def open_movie(path: str | os.PathLike[str]) -> FrameStack:
    """Open a movie, whatever its name; frames are read when they are asked for.

    Parameters
    ----------
    path : str or PathLike
        A TIFF (plain, BigTIFF, OME, ImageJ hyperstack, Micro-Manager stack of one or several files, NDTiff), a NumPy
        array, a MATLAB array (any version from 5), an OME-Zarr store (folder or URL), or a Picasso .raw with its
        .yaml beside it.

    Returns
    -------
    FrameStack
        Frames (T, Y, X) in raw camera units. `metadata` holds what the file says of the camera and where it says it;
        besides, `file_format`, and `n_frames` with a note where the frame axis was unusual. `camera_pixel_size_nm`
        has the value None where the file gives one that cannot be right.

    Raises
    ------
    FormatError
        The path is missing, a folder, empty, truncated, damaged, or holds no grey movie of one plane and one channel.
    InputError
        The file says that its pixels are not square.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "movie.dat"
    >>> with path.open("wb") as file:
    ...     np.save(file, np.zeros((5, 4, 3), np.uint16))
    >>> open_movie(path).shape
    (5, 4, 3)
    """
    if is_store(str(path)):
        return ZARR.open_file(path if isinstance(path, str) else Path(path))
    path = Path(path)
    head = first_bytes(path, "a movie")
    found = recognise(path, head)
    if found is None:
        raise FormatError(_not_a_movie(path, head))
    return found.open_file(path)


def recognise(path: Path, head: bytes) -> MovieFormat | None:
    """Find the format of a movie from its content.

    Parameters
    ----------
    path : Path
        The file.
    head : bytes
        Its first bytes, 1 kB or more where there are as many.

    Returns
    -------
    MovieFormat or None
        None where it is no movie that we know.
    """
    return next((kind for kind in MOVIE_FORMATS if kind.recognises(path, head)), None)


def _not_a_movie(path: Path, head: bytes) -> str:
    names = ", ".join(kind.name for kind in MOVIE_FORMATS)
    content = content_name(head)
    if content == "binary data of an unknown kind":
        return (
            f"expected a movie ({names}), but {path} is {content}; a Picasso raw movie needs {path.stem}.yaml beside "
            "it, other movies export as OME-TIFF"
        )
    return f"expected a movie ({names}), but {path} is {content}; name another file, or export it as OME-TIFF"
