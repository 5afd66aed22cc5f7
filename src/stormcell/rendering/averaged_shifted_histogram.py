"""Averaged shifted histogram: a smoother histogram without a width to be chosen for each localization.

Histograms with wide bins, shifted against each other by one pixel, are averaged. That equals a one-pixel histogram
convolved with a triangle, which is how it is computed here.

References
----------
Scott, "Averaged shifted histograms", Ann. Statist. 13, 1024 (1985), DOI 10.1214/aos/1176349654.
As a rendering of localizations: Ovesny et al., ThunderSTORM, Bioinformatics 30, 2389 (2014),
DOI 10.1093/bioinformatics/btu202.
Differs from the papers: what a triangle would put outside the field is put back inside, so that counts are conserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import correlate1d

from stormcell.rendering.histogram import bin_rows
from stormcell.rendering.placing import Drawing, PlacedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.rendering.render_settings import RenderSettings


def render_averaged_shifted_histogram(rows: PlacedRows, settings: RenderSettings) -> Drawing:
    """Average histograms with bins of `ash_shifts` pixels, shifted by one pixel each.

    Parameters
    ----------
    rows : PlacedRows
        Localizations on the grid.
    settings : RenderSettings
        `ash_shifts` is used; 1 gives the plain histogram.

    Returns
    -------
    Drawing
        The sum of the pixels is the number of localizations inside the field.
    """
    n = settings.ash_shifts
    triangle = 1 - np.abs(np.arange(1 - n, n)) / n
    image: NDArray[Any] = bin_rows(rows)
    for axis in (0, 1):
        inside = correlate1d(np.ones(image.shape[axis]), triangle, mode="constant")
        share = image / np.expand_dims(inside.astype(image.dtype), 1 - axis)
        image = correlate1d(share, triangle, axis=axis, mode="constant")
    return Drawing(image.astype(np.float32, copy=False))
