"""read: open a movie, a table or an image, whichever the file is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from stormcell.workflows.opening import PathLike, open_image, open_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.data.sr_image import SRImage

Kind = Literal["movie", "table", "image"]

UNKNOWN_UNIT = "as in the file"
_EXPECTED = "a movie, a localization table or an image"


def read(
    path: PathLike,
    *,
    kind: Kind | None = None,
    pixel_size_nm: float | None = None,
    columns: Sequence[str] | None = None,
) -> FrameStack | Localizations | SRImage:
    """Open a movie, a table or an image, whichever the file is.

    Parameters
    ----------
    path : path
        The file; its content decides, not its name.
    kind : {"movie", "table", "image"}, optional
        What to expect; None finds out.
    pixel_size_nm : float, optional
        Camera pixel, for tables that count in pixels, or pixel of an image that does not say.
    columns : sequence of str, optional
        Labels of a text table without a header line; the file is a table then.

    Returns
    -------
    FrameStack, Localizations or SRImage
        A movie is read frame by frame when asked for.

    Raises
    ------
    FormatError
        The file is missing, empty, damaged, or none of these.
    """
    found = kind or ("table" if columns else kind_of(path))
    if found == "table":
        return open_table(path, pixel_size_nm, columns)
    if found == "image":
        return open_image(path, pixel_size_nm)
    from stormcell.io.movies import open_movie

    return open_movie(path)


def kind_of(path: PathLike) -> Kind:
    """Find out what a file is.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    {"movie", "table", "image"}
        An image is a picture that stormcell wrote; any other TIFF is a movie, also of one frame.

    Raises
    ------
    FormatError
        The file is missing, a folder, empty, or none of these.
    """
    from stormcell.io.movies import open_movie
    from stormcell.io.reading import content_name, first_bytes
    from stormcell.io.tables import is_table, read_table
    from stormcell.io.zarr_stores import is_store

    if is_store(path):
        return "image" if open_movie(path).n_frames == 1 and _is_our_image(path) else "movie"
    head = first_bytes(path, _EXPECTED)
    if is_table(path):
        return "table"
    if content_name(head) == "text":
        read_table(path)  # refuses it and says why
    if content_name(head) == "a PNG picture":
        return "image"
    return "image" if open_movie(path).n_frames == 1 and _is_our_image(path) else "movie"


def _is_our_image(path: PathLike) -> bool:
    """Tell whether stormcell wrote this single picture; others may be a movie of one frame."""
    from stormcell.errors import MissingQuantityError
    from stormcell.io.images import read_image

    try:
        return read_image(path).unit != UNKNOWN_UNIT
    except MissingQuantityError:
        return False
