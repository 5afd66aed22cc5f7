"""What check and resolution are given: images, stacks of images, or a table that is drawn first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.localizations import Localizations
from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError, MissingQuantityError
from stormcell.workflows.opening import PathLike, open_image, open_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormcell.data.pixel_grid import PixelGrid

FINEST_DRAWN_NM = 20.0
_MOST_PAGES = 1000


@dataclass(frozen=True)
class DrawnTable:
    """A table as an image, and the events that were kept out of it.

    Parameters
    ----------
    image : SRImage
        Of the events that were not held out.
    events : Localizations
        Those events, linked where the table states an uncertainty.
    held_out : Localizations or None
        The others.
    """

    image: SRImage
    events: Localizations
    held_out: Localizations | None


def is_a_table(source: object) -> bool:
    """Tell a table from an image.

    Parameters
    ----------
    source : object
        A path or a noun.

    Returns
    -------
    bool
        True for a table.
    """
    if isinstance(source, Localizations):
        return True
    if not isinstance(source, str | Path):
        return False
    from stormcell.io.tables import is_table

    return Path(source).is_file() and is_table(source)


def open_one(source: PathLike | SRImage, pixel_size_nm: float | None, option: str) -> SRImage:
    """Open an image whose pixel size has an option of its own.

    Parameters
    ----------
    source : path or SRImage
        The image.
    pixel_size_nm : float or None
        What the user says.
    option : str
        How that is typed, for example "--widefield-pixel-size-nm".

    Returns
    -------
    SRImage
        The image.

    Raises
    ------
    InputError
        It is no single image, or its pixel size is not known.
    """
    try:
        return open_image(source, pixel_size_nm)
    except MissingQuantityError as error:
        raise MissingQuantityError(str(error).replace("--pixel-size-nm", option)) from None


def open_pages(
    source: PathLike | SRImage | Sequence[SRImage], pixel_size_nm: float | None, option: str
) -> list[SRImage]:
    """Open an image, or all images of a stack.

    Parameters
    ----------
    source : path, SRImage or sequence of SRImage
        One image, several, or a file with pages.
    pixel_size_nm : float or None
        What the user says.
    option : str
        How that is typed.

    Returns
    -------
    list of SRImage
        At least one.

    Raises
    ------
    InputError
        There is none, it is no image, or its pixel size is not known.
    """
    if isinstance(source, SRImage):
        return [source]
    if not isinstance(source, str | Path):
        if not source:
            msg = "expected at least one super-resolution image, got none"
            raise InputError(msg)
        return list(source)
    from stormcell.io.images import count_pages, read_image

    n_pages = count_pages(source)
    if n_pages == 1:
        return [open_one(source, pixel_size_nm, option)]
    if n_pages > _MOST_PAGES:
        msg = (
            f"expected a stack of at most {_MOST_PAGES:,} super-resolution images, got {n_pages:,} in {source}; "
            "for a movie use run or localize"
        )
        raise InputError(msg)
    try:
        return [read_image(source, pixel_size_nm, page=page) for page in range(n_pages)]
    except MissingQuantityError as error:
        raise MissingQuantityError(str(error).replace("--pixel-size-nm", option)) from None


def draw_table(
    events: Localizations, field: PixelGrid, size_nm: float, held_out_share: float, seed: int
) -> DrawnTable:
    """Draw a table over the field of a wide-field image, keeping some of its events out.

    Parameters
    ----------
    events : Localizations
        Independent events.
    field : PixelGrid
        Of the wide-field image.
    size_nm : float
        Pixel to draw with.
    held_out_share : float
        Share of the events that are kept out, 0 to 0.5.
    seed : int
        Of the choice.

    Returns
    -------
    DrawnTable
        Image and both parts.

    Raises
    ------
    InputError
        No event lies in the field.
    """
    from stormcell.rendering import render
    from stormcell.rendering.render_settings import RenderSettings

    y, x = field.y_px(events["y_nm"]), field.x_px(events["x_nm"])
    inside = events.take((y >= 0) & (y < field.shape[0]) & (x >= 0) & (x < field.shape[1]))
    if not inside.n_rows:
        msg = (
            f"expected localizations within the field of the wide-field image, got none of {events.n_rows:,} there; "
            "check its pixel size and origin"
        )
        raise InputError(msg)
    is_out = np.random.default_rng(seed).random(inside.n_rows) < held_out_share
    kept = inside.take(~is_out)
    has_spread = "uncertainty_x_nm" in kept
    settings = RenderSettings() if has_spread else RenderSettings(uncertainty_nm=size_nm)
    image = render(kept, size_nm, "gaussian", grid=field, settings=settings)
    return DrawnTable(image, kept, inside.take(is_out) if held_out_share > 0 and has_spread else None)


def open_events(
    source: PathLike | Localizations, pixel_size_nm: float | None, columns: Sequence[str] | None
) -> Localizations:
    """Open a table that must hold rows.

    Parameters
    ----------
    source : path or Localizations
        The table.
    pixel_size_nm : float or None
        Camera pixel, for tables that count in pixels.
    columns : sequence of str or None
        Labels of a text table without a header line.

    Returns
    -------
    Localizations
        The table.

    Raises
    ------
    InputError
        It is no table, or empty.
    """
    table = open_table(source, pixel_size_nm, columns)
    if not table.n_rows:
        msg = "expected a table with localizations, got an empty one; there is nothing to check"
        raise InputError(msg)
    return table
