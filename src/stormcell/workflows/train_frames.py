"""Own training data that are frames with a table of true positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.learning.own_frames import OwnFrames
    from stormcell.workflows.movie_settings import MovieSettings

_MOVIES = (".tif", ".tiff", ".raw", ".npy", ".mat")
_TABLES = (".csv", ".parquet", ".hdf5", ".h5", ".txt")


def open_own_frames(folder: Path, settings: MovieSettings) -> OwnFrames:
    """Open a folder with one movie and one table of the true positions of its emitters.

    Parameters
    ----------
    folder : Path
        The folder.
    settings : MovieSettings
        Pixel size and camera of the movie, where its file does not say.

    Returns
    -------
    OwnFrames
        Both, checked to belong together.

    Raises
    ------
    InputError
        There is not one of each.
    """
    from stormcell.learning.own_frames import OwnFrames
    from stormcell.workflows.camera import resolve_movie
    from stormcell.workflows.opening import open_stack, open_table

    if not folder.is_dir():
        msg = f"expected a folder with a movie and a table of true positions, got {folder}"
        raise InputError(msg)
    movie, table = (_only(folder, endings, what) for endings, what in ((_MOVIES, "movie"), (_TABLES, "table")))
    stack = open_stack(movie, settings)
    context = resolve_movie(stack, settings)
    size = context.camera_pixel_size_nm
    return OwnFrames(stack, context.camera, size, open_table(table, size))


def _only(folder: Path, endings: tuple[str, ...], what: str) -> Path:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        msg = f"expected one {what} ({', '.join(endings)}) in {folder}, got {names}; keep one of each in it"
        raise InputError(msg)
    return found[0]
