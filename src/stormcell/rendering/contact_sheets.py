"""Several pictures on one sheet, each under its title."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import InputError
from stormcell.rendering.annotations import text_mask
from stormcell.rendering.views import enlarged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_PAPER = 255
_GAP = 8


def contact_sheet(
    pictures: Sequence[tuple[str, NDArray[np.uint8]]], columns: int | None = None, cell_px: int = 320
) -> NDArray[np.uint8]:
    """Arrange titled pictures in rows.

    Parameters
    ----------
    pictures : sequence of tuple
        (title, uint8 picture of shape (Y, X, 3)); at least one. Give pictures of the size they are to be seen in
        (`draw_image` with side_px); larger ones lose whole pixels.
    columns : int, optional
        Pictures in a row; None chooses the squarest sheet.
    cell_px : int
        Side of the square each picture is fitted into by a whole factor.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3), on white.

    Raises
    ------
    InputError
        There is no picture, or one is not a picture.
    """
    if not pictures:
        msg = "expected at least one picture for a contact sheet, got none"
        raise InputError(msg)
    columns = min(len(pictures), columns or math.ceil(math.sqrt(len(pictures))))
    title_px = max(10, cell_px // 20)
    head = 2 * title_px
    rows = math.ceil(len(pictures) / columns)
    shape = (rows * (head + cell_px + _GAP) + _GAP, columns * (cell_px + _GAP) + _GAP, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for index, (title, picture) in enumerate(pictures):
        top = _GAP + (index // columns) * (head + cell_px + _GAP)
        left = _GAP + (index % columns) * (cell_px + _GAP)
        _write(sheet[top : top + head, left : left + cell_px], title, title_px)
        _place(sheet[top + head : top + head + cell_px, left : left + cell_px], picture)
    return sheet


def _write(area: NDArray[np.uint8], title: str, size_px: int) -> None:
    # one size for all titles: a mask is cut to its ink, so the baseline is found from a letter without descender
    mask = text_mask(title, size_px)
    while mask.shape[1] > area.shape[1] and size_px > 6:
        size_px -= 1
        mask = text_mask(title, size_px)
    mask = mask[: area.shape[0], : area.shape[1]]
    top = (area.shape[0] - mask.shape[0]) // 2
    target = area[top : top + mask.shape[0], : mask.shape[1]]
    target[:] = (_PAPER * (1 - mask[..., None]) + 0.5).astype(np.uint8)


def _place(cell: NDArray[np.uint8], picture: NDArray[np.uint8]) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        msg = f"expected a uint8 picture of shape (Y, X, 3), got {picture.dtype} {picture.shape}"
        raise InputError(msg)
    step = math.ceil(max(picture.shape[:2]) / cell.shape[0])
    fitted = enlarged(picture[::step, ::step], cell.shape[0])
    top, left = (cell.shape[axis] // 2 - fitted.shape[axis] // 2 for axis in (0, 1))
    cell[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
