"""A field whose events show no structure: its density is drawn, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.sr_image import SRImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.workflows.densify_input import DensifyInput

    FloatImage = NDArray[np.float32]


def widefield_levels(given: DensifyInput) -> tuple[FloatImage | None, FloatImage | None]:
    """Bring the wide-field image onto the pixels of the network, from 0 (dark) to 1 (bright).

    Parameters
    ----------
    given : DensifyInput
        With or without a wide-field image.

    Returns
    -------
    tuple
        Shape (Y, X) each: levels, and the share of each pixel that the image covers; None without one.
    """
    from stormcell.learning.annapalm_widefield import normalise_widefield, resample_by_edges

    if given.widefield is None:
        return None, None
    size, origin = given.widefield.sr_pixel_size_nm, given.widefield.grid.origin_nm
    levels = normalise_widefield(given.widefield.pixels)
    return resample_by_edges(levels, size, origin, given.grid.pixel_size_nm, given.grid.shape, given.grid.origin_nm)


def even_picture(given: DensifyInput, share: float | None) -> tuple[SRImage, SRImage, str] | None:
    """Draw the density of a field whose events show no structure.

    Parameters
    ----------
    given : DensifyInput
        Events, wide-field image, or both.
    share : float or None
        Share of the frames of the long acquisition.

    Returns
    -------
    tuple or None
        Expected events per pixel, their standard deviation, and a sentence; None where there are no events, where
        they show structure, or where the field is too small to tell.
    """
    from stormcell.assessment.evenness import SLOW_NM, measure_evenness, slow_density

    if given.counts is None or not given.n_events:
        return None
    size = given.grid.pixel_size_nm
    wide, covered = widefield_levels(given)
    if wide is not None and covered is not None:
        wide = np.where(covered > 0.5, wide, np.nan)
    found = measure_evenness(given.counts, size, wide)
    if found.shows_structure or not all(math.isfinite(error) for error in found.error):
        return None
    if wide is not None and not found.is_even:
        return None  # too few events to tell, but the wide-field image shows what they belong to
    density = slow_density(given.counts, size)
    behind = density * np.float32(4 * math.pi * (SLOW_NM / size) ** 2)
    spread = density / np.sqrt(np.maximum(behind, 1.0))
    scale = np.float32(1.0 if share is None else 1 / share)
    why = "lie as chance strews them" if found.is_even else "are too few to tell any structure from chance"
    sentence = f"the events {why}: their density is drawn and nothing else (--no-flatten draws what the network sees)"
    drawn, uncertainty = (SRImage(pixels * scale, given.grid, "expected events") for pixels in (density, spread))
    return drawn, uncertainty, sentence
