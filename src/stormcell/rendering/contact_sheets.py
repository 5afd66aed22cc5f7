"""Several pictures on one sheet, each under its title."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import InputError
from stormcell.rendering.annotations import text_mask
from stormcell.rendering.views import fitted

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
        (title, uint8 picture of shape (Y, X, 3)); at least one. Larger ones are averaged down, smaller ones enlarged
        by a whole factor.
    columns : int, optional
        Pictures in a row; None chooses the squarest sheet.
    cell_px : int
        Longest side of each picture.

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
    cells = [(title, fitted(_checked(picture), cell_px)) for title, picture in pictures]
    lines = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(picture.shape[0] for _, picture in line) for line in lines]
    head = 2 * title_px
    shape = (sum(heights) + len(lines) * (head + _GAP) + _GAP, columns * (cell_px + _GAP) + _GAP, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    top = _GAP
    for line, height in zip(lines, heights, strict=True):
        for index, (title, picture) in enumerate(line):
            left = _GAP + index * (cell_px + _GAP)
            _write(sheet[top : top + head, left : left + cell_px], title, title_px)
            indent = left + (cell_px - picture.shape[1]) // 2
            sheet[top + head : top + head + picture.shape[0], indent : indent + picture.shape[1]] = picture
        top += head + height + _GAP
    return sheet


def _write(area: NDArray[np.uint8], title: str, size_px: int) -> None:
    mask = text_mask(title, size_px)
    while mask.shape[1] > area.shape[1] and size_px > 6:
        size_px -= 1
        mask = text_mask(title, size_px)
    mask = mask[: area.shape[0], : area.shape[1]]
    top = (area.shape[0] - mask.shape[0]) // 2
    target = area[top : top + mask.shape[0], : mask.shape[1]]
    target[:] = (_PAPER * (1 - mask[..., None]) + 0.5).astype(np.uint8)


def _checked(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        msg = f"expected a uint8 picture of shape (Y, X, 3), got {picture.dtype} {picture.shape}"
        raise InputError(msg)
    return picture
