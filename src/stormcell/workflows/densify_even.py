"""A field whose events show no structure, or are too few to tell: its density is drawn, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.learning.annapalm_inference import DensifyResult
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


def even_picture(given: DensifyInput) -> tuple[DensifyResult, str] | None:
    """Draw the density of a field whose events show no structure, or are too few to tell any from chance.

    Parameters
    ----------
    given : DensifyInput
        Events, wide-field image, or both.

    Returns
    -------
    tuple or None
        What is expected in another acquisition as long as the input, and a sentence; None where there are no events,
        where they show structure, where the field is too small for a single pair to be expected, or where they are
        too few to tell but a wide-field image shows what they belong to.
    """
    from stormcell.assessment.evenness import SLOW_NM, measure_evenness, slow_density
    from stormcell.learning.annapalm_inference import CELL_PX, DensifyResult

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
    dispersion = (1 / np.maximum(behind, 1.0))[::CELL_PX, ::CELL_PX]
    why = "lie as chance strews them" if found.is_even else "are too few to tell any structure from chance"
    sentence = f"the events {why}: their density is drawn and nothing else (--no-flatten draws what the network sees)"
    return DensifyResult(density, np.asarray(dispersion, np.float32)), sentence
