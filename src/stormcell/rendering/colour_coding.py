"""Pictures whose brightness is the density of localizations and whose colour is time, depth or another column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps

from stormcell.errors import SettingsError
from stormcell.rendering.modes import render
from stormcell.rendering.pictures import to_rgb
from stormcell.rendering.render_settings import RenderSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data import Localizations, PixelGrid


def render_colour_coded(
    table: Localizations,
    sr_pixel_size_nm: float,
    column: str = "frame",
    mode: str = "gaussian",
    grid: PixelGrid | None = None,
    limits: tuple[float, float] | None = None,
    colormap: str = "viridis",
) -> NDArray[np.uint8]:
    """Colour each pixel by the mean of a column over the localizations drawn there.

    Parameters
    ----------
    table : Localizations
        With x_nm, y_nm, the column, and what the mode needs.
    sr_pixel_size_nm : float
        Side of a pixel, > 0.
    column : str
        What the colour means: frame, z_nm, photons, ...
    mode, grid
        As in `render`.
    limits : tuple of float, optional
        Values that get the first and the last colour; None takes the 1st and 99th percentile of the column.
    colormap : str
        A Matplotlib colour map; its colours are used at full brightness, density darkens them.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3).

    Raises
    ------
    MissingColumnError
        The table lacks the column.
    SettingsError
        The mode or the colour map is unknown.
    InputError
        As in `render`.
    """
    if colormap not in colormaps:
        msg = f"expected a Matplotlib colour map such as viridis or plasma, got {colormap}"
        raise SettingsError(msg)
    values = table[column].astype(np.float64)
    usable = np.isfinite(values)
    table, values = table.take(usable), values[usable]
    low, high = limits or _percentiles(values)
    density = render(table, sr_pixel_size_nm, mode, grid)
    total = render(table, sr_pixel_size_nm, mode, grid, RenderSettings(weight_column=column)).pixels
    mean = np.divide(total, density.pixels, out=np.full_like(total, low), where=density.pixels > 0)
    colours = colormaps[colormap](np.clip((mean - low) / (high - low), 0, 1))[..., :3]
    colours /= colours.max(axis=-1, keepdims=True)
    brightness = to_rgb(density, "gray", gamma=0.6)[..., :1] / 255
    return np.asarray(colours * brightness * 255 + 0.5, dtype=np.uint8)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    if len(values) == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (1, 99)))
    return (low, high) if high > low else (low, low + 1)
