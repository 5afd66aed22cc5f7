"""From what the user named to nouns: movies cut to the wanted part, tables, images, each with its fingerprint."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data.frame_stack import FrameStack
from stormcell.data.localizations import Localizations
from stormcell.data.sr_image import SRImage
from stormcell.errors import StormcellWarning
from stormcell.workflows.movie_settings import parse_range, parse_roi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormcell.data.provenance import InputFile, Provenance
    from stormcell.workflows.movie_settings import MovieSettings

PathLike = str | Path


def open_stack(movie: PathLike | FrameStack | np.ndarray[Any, Any], settings: MovieSettings) -> FrameStack:
    """Open a movie and show only the part that the settings ask for.

    Parameters
    ----------
    movie : path, FrameStack or ndarray
        An array has shape (T, Y, X) or (Y, X) in camera units.
    settings : MovieSettings
        `frames` and `roi` choose the part.

    Returns
    -------
    FrameStack
        Lazily readable.

    Raises
    ------
    InputError
        The file is no movie, or the part lies outside it.
    """
    if isinstance(movie, FrameStack):
        stack = movie
    elif isinstance(movie, np.ndarray):
        stack = FrameStack.from_array(movie)
    else:
        from stormcell.io.movies import open_movie

        stack = open_movie(movie)
    return cut_stack(stack, settings)


def cut_stack(stack: FrameStack, settings: MovieSettings) -> FrameStack:
    """Show only the part of a movie that the settings ask for.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    settings : MovieSettings
        `frames` and `roi` choose the part.

    Returns
    -------
    FrameStack
        Lazily readable.

    Raises
    ------
    InputError
        The part lies outside the movie.
    """
    if settings.frames is not None:
        stack = stack.frames(*parse_range(settings.frames, "a:b"))
    if settings.roi is not None:
        (y0, y1), (x0, x1) = parse_roi(settings.roi)
        height, width = stack.frame_shape
        stack = stack.crop((y0, height if y1 is None else y1), (x0, width if x1 is None else x1))
    return stack


def open_table(
    table: PathLike | Localizations, pixel_size_nm: float | None = None, columns: Sequence[str] | None = None
) -> Localizations:
    """Open a localization table.

    Parameters
    ----------
    table : path or Localizations
        A table in memory is passed on.
    pixel_size_nm : float, optional
        Camera pixel, for tables that count in pixels and do not say how large those are.
    columns : sequence of str, optional
        Labels of a text table without a header line, or in place of its own.

    Returns
    -------
    Localizations
        The table.

    Raises
    ------
    InputError
        The file is no table.
    """
    if isinstance(table, Localizations):
        return table
    from stormcell.io.tables import read_table

    rows = read_table(table, camera_pixel_size_nm=pixel_size_nm, labels=columns)
    _say_what_the_reader_noticed(rows.provenance, Path(table).name)
    return rows


def open_image(image: PathLike | SRImage, pixel_size_nm: float | None = None) -> SRImage:
    """Open an image.

    Parameters
    ----------
    image : path or SRImage
        An image in memory is passed on.
    pixel_size_nm : float, optional
        Its pixel; None takes what the file says.

    Returns
    -------
    SRImage
        The image.

    Raises
    ------
    InputError
        The file is no image, or its pixel size is not known.
    """
    if isinstance(image, SRImage):
        return image
    from stormcell.io.images import read_image

    picture = read_image(image, pixel_size_nm)
    _say_what_the_reader_noticed(picture.provenance, Path(image).name)
    return picture


def _say_what_the_reader_noticed(made: Provenance | None, name: str) -> None:
    """Warn of contradictions within the file; what earlier verbs warned of was said when they ran."""
    for sentence in made.warnings if made is not None else ():
        if made is not None and (made.verb == "read" or sentence.startswith(f"{name} says")):
            warnings.warn(sentence, StormcellWarning, stacklevel=3)


def fingerprint(source: object) -> tuple[InputFile, ...]:
    """Hash the file that a result was made from.

    Parameters
    ----------
    source : object
        A path, or a noun; what lives in memory only has no file.

    Returns
    -------
    tuple of InputFile
        One entry or none.
    """
    path = source.path if isinstance(source, FrameStack) else source
    if not isinstance(path, str | Path):
        return ()
    from stormcell.io.hashing import hash_input

    return (hash_input(path),)
