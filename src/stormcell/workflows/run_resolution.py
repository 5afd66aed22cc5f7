"""The resolution of a run's picture, by ring correlation of two halves of the movie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stormcell.errors import InputError

if TYPE_CHECKING:
    from stormcell.assessment.frc import FrcResult
    from stormcell.data.localizations import Localizations
    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.localization.linking import LinkSettings

_FINEST_PIXEL_NM = 10.0
_MOST_PIXELS = 16_000_000


def measure_resolution(drawn: Localizations, field: PixelGrid, linking: LinkSettings) -> FrcResult | None:
    """Measure how fine the structure is on which two halves of the movie agree.

    Parameters
    ----------
    drawn : Localizations
        The rows in the picture; bursts are linked first where they are not, or their repeats would pass for detail.
    field : PixelGrid
        The field; rows outside it do not count.
    linking : LinkSettings
        How bursts are linked.

    Returns
    -------
    FrcResult or None
        None where there are too few rows.
    """
    from stormcell.assessment.frc import FrcSettings, frc_of_table
    from stormcell.localization.linking import link_localizations

    y, x = field.y_px(drawn["y_nm"]), field.x_px(drawn["x_nm"])
    inside = drawn.take((y >= 0) & (y < field.shape[0]) & (x >= 0) & (x < field.shape[1]))
    height, width = field.extent_nm
    pixel_nm = max(_FINEST_PIXEL_NM, math.sqrt(height * width / _MOST_PIXELS))
    try:
        linked = inside if "n_detections" in inside or not inside.n_rows else link_localizations(inside, linking)
        return frc_of_table(linked, FrcSettings(sr_pixel_size_nm=pixel_nm))
    except InputError:
        return None
