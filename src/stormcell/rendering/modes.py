"""From a table to a picture: the one entry for all rendering modes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stormcell import __version__
from stormcell.data import Localizations, PixelGrid, Provenance, SRImage
from stormcell.data.columns import COLUMNS
from stormcell.errors import InputError, SettingsError
from stormcell.rendering.averaged_shifted_histogram import render_averaged_shifted_histogram
from stormcell.rendering.gaussian import render_gaussian
from stormcell.rendering.histogram import render_histogram
from stormcell.rendering.placing import Drawing, PlacedRows, place_rows
from stormcell.rendering.render_settings import RenderSettings

if TYPE_CHECKING:
    from collections.abc import Callable

RENDERERS: dict[str, Callable[[PlacedRows, RenderSettings], Drawing]] = {
    "gaussian": render_gaussian,
    "histogram": render_histogram,
    "ash": render_averaged_shifted_histogram,
}
"""All rendering modes by name; each conserves counts and gives the same pixels for every number of threads."""


def render(
    table: Localizations,
    sr_pixel_size_nm: float,
    mode: str = "gaussian",
    grid: PixelGrid | None = None,
    settings: RenderSettings | None = None,
) -> SRImage:
    """Draw localizations on a super-resolution grid.

    Parameters
    ----------
    table : Localizations
        With x_nm and y_nm; mode gaussian also needs uncertainty_x_nm, or `settings.uncertainty_nm`.
    sr_pixel_size_nm : float
        Side of a pixel of the picture, > 0.
    mode : str
        One of `RENDERERS`.
    grid : PixelGrid, optional
        The field to draw, any pixel size. None takes the table's grid, or, where it has none, the smallest box
        round the rows; the provenance says which.
    settings : RenderSettings, optional
        None takes the defaults.

    Returns
    -------
    SRImage
        float32; the sum of the pixels is the number of localizations inside the field (or of their weights). An
        empty table gives zeros.

    Raises
    ------
    SettingsError
        The mode is unknown.
    MissingColumnError
        The table lacks a column.
    InputError
        The pixel size is not above 0, the picture would need more memory than allowed, or no uncertainty is usable.

    Examples
    --------
    >>> table = Localizations({"frame": [0], "x_nm": [125.0], "y_nm": [55.0]}, grid=PixelGrid(100, (1, 2)))
    >>> image = render(table, 50, mode="histogram")
    >>> image.pixels.tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """
    settings = settings or RenderSettings()
    if mode not in RENDERERS:
        msg = f"expected a rendering mode out of {', '.join(RENDERERS)}, got {mode}"
        raise SettingsError(msg)
    if not (math.isfinite(sr_pixel_size_nm) and sr_pixel_size_nm > 0):
        msg = f"expected sr_pixel_size_nm above 0, got {sr_pixel_size_nm}"
        raise InputError(msg)
    field = _field(table, sr_pixel_size_nm, grid)
    _refuse_absurd_size(field, settings.max_output_gb)
    output = field.grid.with_pixel_size(sr_pixel_size_nm)
    rows = place_rows(table, output, settings.weight_column)
    drawing = RENDERERS[mode](rows, settings)
    notes, warnings = _left_out(rows)
    provenance = Provenance(
        verb="render",
        version=__version__,
        settings={"mode": mode, "sr_pixel_size_nm": sr_pixel_size_nm, **settings.model_dump()},
        notes=(*field.notes, *notes, *drawing.notes),
        warnings=(*warnings, *drawing.warnings),
        parents=() if table.provenance is None else (table.provenance,),
    )
    return SRImage(drawing.pixels, output, _unit(settings), provenance)


class _Field(NamedTuple):
    grid: PixelGrid
    sr_shape: tuple[float, float]
    notes: tuple[str, ...]


def _field(table: Localizations, sr_pixel_size_nm: float, grid: PixelGrid | None) -> _Field:
    grid = grid or table.grid
    if grid is not None:
        height, width = grid.extent_nm
        return _Field(grid, (height / sr_pixel_size_nm, width / sr_pixel_size_nm), ())
    x, y = table["x_nm"], table["y_nm"]
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        note = "the table has no grid and no position: the picture is one empty pixel"
        return _Field(PixelGrid(sr_pixel_size_nm, (1, 1)), (1, 1), (note,))
    # whole pixels from nm zero on, so that pictures of parts of one movie have their pixels in the same places
    first, size = [], []
    for values in (y[finite], x[finite]):
        low, high = math.floor(values.min() / sr_pixel_size_nm), math.floor(values.max() / sr_pixel_size_nm)
        first.append(low)
        size.append(high - low + 1)
    grid = PixelGrid(sr_pixel_size_nm, (size[0], size[1]), (first[0] * sr_pixel_size_nm, first[1] * sr_pixel_size_nm))
    return _Field(grid, (size[0], size[1]), ("the table has no grid: the field is the box round its positions",))


def _refuse_absurd_size(field: _Field, max_output_gb: float) -> None:
    n_pixels = field.sr_shape[0] * field.sr_shape[1]
    gigabytes = n_pixels * 4 / 1e9
    if gigabytes > max_output_gb:
        height, width = (f"{side:.4g}" for side in field.sr_shape)
        msg = (
            f"expected a picture of at most {max_output_gb:g} GB, this one would have {height} x {width} pixels "
            f"({gigabytes:.3g} GB); choose a larger --sr-pixel-size-nm, a smaller field, or raise max_output_gb"
        )
        raise InputError(msg)


def _left_out(rows: PlacedRows) -> tuple[tuple[str, ...], tuple[str, ...]]:
    notes = (f"{rows.n_outside} localizations outside the field were left out",) if rows.n_outside else ()
    bad = rows.n_not_finite
    warnings = (f"{bad} localizations whose position or weight is not a number were left out",) if bad else ()
    return notes, warnings


def _unit(settings: RenderSettings) -> str:
    if settings.weight_column is None:
        return "localizations"
    column = COLUMNS.get(settings.weight_column)
    return (column.unit if column else "") or settings.weight_column
