"""The network of densify at work: a whole field, or half of its events; and what it has not been trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.sr_image import SRImage
from stormcell.workflows.densify_even import widefield_levels
from stormcell.workflows.densify_held_out import FEWEST_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stormcell.learning.annapalm_inference import DensifyResult
    from stormcell.learning.annapalm_model import DensifyModel
    from stormcell.learning.model_folder import ModelCard
    from stormcell.workflows.densify_input import DensifyInput
    from stormcell.workflows.densify_settings import DensifyOptions

    FloatImage = NDArray[np.float32]


def draw(
    model: DensifyModel, given: DensifyInput, options: DensifyOptions, progress: Callable[[int, int], None] | None
) -> DensifyResult:
    """Have the network draw a field.

    Parameters
    ----------
    model : DensifyModel
        The network.
    given : DensifyInput
        Events, wide-field image, or both.
    options : DensifyOptions
        What it is told.
    progress : callable or None
        Told tiles done and tiles in all.

    Returns
    -------
    DensifyResult
        What it expects of another acquisition as long as the input.
    """
    from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image

    wide, covered = widefield_levels(given)
    how = DensifyInferenceSettings(structure=options.structure, share=options.share, tile_px=options.tile_px)
    return densify_image(model, given.counts, wide, how, widefield_covered=covered, progress=progress)


def pictures_of(predicted: DensifyResult, given: DensifyInput, ratio: float) -> tuple[SRImage, SRImage]:
    """Make pictures of what is expected.

    Parameters
    ----------
    predicted : DensifyResult
        Of another acquisition as long as the input.
    given : DensifyInput
        What it was drawn from.
    ratio : float
        Length of the acquisition that is wanted over that of the input.

    Returns
    -------
    tuple of SRImage
        Expected events per pixel and their standard deviation; relative densities where there were no events, since
        a wide-field image does not say how many there are.
    """
    scale = np.float32(ratio)
    unit = "expected events" if given.n_events else "relative density"
    rate, deviation = predicted.rate, predicted.standard_deviation
    return SRImage(rate * scale, given.grid, unit), SRImage(deviation * scale, given.grid, unit)


def half_drawer(
    model: DensifyModel, given: DensifyInput, options: DensifyOptions, window: tuple[slice, slice]
) -> Callable[[FloatImage, str], FloatImage]:
    """Make pictures of half of a window's events, which are half of the frames.

    Parameters
    ----------
    model : DensifyModel
        The network.
    given : DensifyInput
        The whole field.
    options : DensifyOptions
        What it is told.
    window : tuple of slice
        Rows and columns of the part that is drawn.

    Returns
    -------
    callable
        Takes events per pixel and a label, and gives expected events per pixel, of the shape of the window both.
    """
    from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image

    share = None if options.share is None else options.share / 2
    wide, covered = (None if image is None else image[window] for image in widefield_levels(given))

    def draw_half(counts: FloatImage, structure: str) -> FloatImage:
        how = DensifyInferenceSettings(structure=structure, share=share, tile_px=options.tile_px)
        return densify_image(model, counts, wide, how, widefield_covered=covered).rate

    return draw_half


def doubts_of(card: ModelCard, given: DensifyInput, options: DensifyOptions) -> list[str]:
    """Say in words why the network should not be trusted with an input.

    Parameters
    ----------
    card : ModelCard
        Of the network.
    given : DensifyInput
        The input.
    options : DensifyOptions
        What the network is told.

    Returns
    -------
    list of str
        One sentence for each reason; empty where all is well.
    """
    from stormcell.learning.annapalm_model import input_warnings

    doubts = input_warnings(card, _density_told(given), options.share, options.structure)
    n_events = given.n_events
    if given.counts is not None and not n_events:
        only = "" if given.widefield is None else ": only the wide-field image speaks, and the picture has no scale"
        doubts.append(f"the table is empty{only}")
    elif given.counts is not None and n_events < FEWEST_EVENTS:
        doubts.append(
            f"{n_events:.3g} event{'' if n_events == 1 else 's'} in the field: too few to draw structure from or to "
            f"judge a picture by (fewer than {FEWEST_EVENTS}); use more frames"
        )
    if given.unlinked:
        doubts.append(given.unlinked)
    return doubts


def _density_told(given: DensifyInput) -> float | None:
    """Density where there is structure: the mean over a mostly empty field says little, a few events less."""
    from stormcell.learning.annapalm_density import typical_density

    if given.counts is None or given.n_events < FEWEST_EVENTS:
        return None
    return typical_density(given.counts, given.grid.pixel_size_nm) or None
