"""Where not to believe a densified picture: comparison with the wide-field image, label dependence, classes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError, StormcellWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from stormcell.assessment.artefacts import Artefacts
    from stormcell.assessment.squirrel import ErrorMap
    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.workflows.densify_held_out import HeldOut
    from stormcell.workflows.densify_input import DensifyInput

OTHER_LABELS = ("unknown", "microtubules", "mitochondria")
"""Labels under which the network is asked again, to see how much of the picture is owed to them."""


@dataclass(frozen=True)
class Judgement:
    """Maps that say where not to believe a picture.

    Parameters
    ----------
    comparison : ErrorMap or None
        With the wide-field image.
    consistency : SRImage or None
        Dissimilarity of wide-field image and what the picture predicts of it, times their brightness, on the pixels
        of the wide-field image.
    prior_share : SRImage or None
        Share of each pixel that changes with the label.
    artefacts : Artefacts or None
        Classes.
    support : SRImage or None
        Independent events within reach of each pixel.
    classes : SRImage or None
        The classes over the whole field; `artefacts` knows only what the wide-field image covers.
    held_out : HeldOut or None
        How well half of the events foretell the other half.
    outer : Artefacts or None
        Where the wide-field image covers only a part of the field: classes of all of it by the events alone.
    """

    comparison: ErrorMap | None = None
    consistency: SRImage | None = None
    prior_share: SRImage | None = None
    artefacts: Artefacts | None = None
    support: SRImage | None = None
    classes: SRImage | None = None
    held_out: HeldOut | None = None
    outer: Artefacts | None = None


def compare(image: SRImage, given: DensifyInput) -> tuple[ErrorMap | None, SRImage | None]:
    """Compare a picture with the wide-field image.

    Parameters
    ----------
    image : SRImage
        The picture.
    given : DensifyInput
        With the wide-field image in its place.

    Returns
    -------
    tuple
        The SQUIRREL comparison, and the map of dissimilarity; None where the two cannot be compared.
    """
    from stormcell.assessment.squirrel import SquirrelSettings, error_map

    if given.widefield is None or not image.pixels.any():
        return None, None
    how = SquirrelSettings(max_shift_px=0.0, partial_field=True, n_bootstrap=0)
    try:
        found = error_map(image, given.widefield, how)
    except InputError as error:
        warnings.warn(f"no error map was made: {error}", StormcellWarning, stacklevel=2)
        return None, None
    for sentence in found.warnings:
        warnings.warn(sentence, StormcellWarning, stacklevel=2)
    return found, _dissimilarity(found)


def _dissimilarity(found: ErrorMap) -> SRImage:
    """Error map of 2018: (1 - similarity) * (predicted + measured), both from 0 to 1."""
    import torch

    from stormcell.learning.annapalm_similarity import ms_ssim_map

    measured = found.widefield.pixels.astype(np.float32)
    predicted = measured - found.residual.pixels.astype(np.float32)
    low, high = (float(value) for value in np.percentile(measured, [1, 99.5]))
    both = [
        torch.from_numpy(np.clip((pixels - low) / max(high - low, 1e-12), 0, 1).astype(np.float32))[None, None]
        for pixels in (predicted, measured)
    ]
    with torch.inference_mode():
        dissimilar = (1 - ms_ssim_map(*both)) * (both[0] + both[1])
    return SRImage(dissimilar[0, 0].numpy(), found.widefield.grid, "dissimilarity")


def prior_share(image: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Work out how much of each pixel changes with the label the network was told.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X), under the label of the user.
    others : sequence of ndarray
        The same under other labels.

    Returns
    -------
    ndarray of float32
        Shape (Y, X): largest difference over the largest value, after a blur of one pixel; 0 to 1.
    """
    smooth = [gaussian_filter(pixels, 1.0) for pixels in (image, *others)]
    highest, lowest = np.maximum.reduce(smooth), np.minimum.reduce(smooth)
    return np.asarray(np.where(highest > 0, (highest - lowest) / np.maximum(highest, 1e-30), 0), np.float32)


def judge(image: SRImage, given: DensifyInput, structure: str, again: Callable[[str], SRImage] | None) -> Judgement:
    """Work out where not to believe a picture.

    Parameters
    ----------
    image : SRImage
        The picture.
    given : DensifyInput
        What it was made of.
    structure : str
        The label it was made with.
    again : callable or None
        Makes the picture with another label; None leaves the classes out.

    Returns
    -------
    Judgement
        Maps.
    """
    comparison, consistency = compare(image, given)
    if again is None or not image.pixels.any():
        return Judgement(comparison, consistency)
    labels = [label for label in OTHER_LABELS if label != structure][:2]
    owed = SRImage(prior_share(image.pixels, [again(label).pixels for label in labels]), image.grid, "share")
    return _classified(image, given, comparison, consistency, owed)


def _classified(
    image: SRImage,
    given: DensifyInput,
    comparison: ErrorMap | None,
    consistency: SRImage | None,
    owed: SRImage,
) -> Judgement:
    from stormcell.assessment.artefacts import ArtefactSettings, Support, find_artefacts
    from stormcell.assessment.event_support import count_support

    support = None
    if given.events is not None:
        settings = ArtefactSettings()
        counted = count_support(given.events, image.grid, settings.n_sigma).astype(np.float32)
        support = SRImage(counted, image.grid, "events")
    if comparison is None:
        artefacts = None
        if given.events is not None:
            artefacts = find_artefacts(image, Support(events=given.events, prior_share=owed))
        return Judgement(None, None, owed, artefacts, support, _classes_of(artefacts))
    # The wide-field image was moved to the events, so a rim of the field may lie outside it.
    window = window_of(image.grid, comparison.error.grid)
    inner, inner_owed = (SRImage(part.pixels[window], comparison.error.grid, part.unit) for part in (image, owed))
    known = Support(comparison, events=given.events, prior_share=inner_owed)
    artefacts = find_artefacts(inner, known)
    classes, outer = np.zeros(image.pixels.shape, np.float32), None
    if given.events is not None and inner.grid.shape != image.grid.shape:
        outer = find_artefacts(image, Support(events=given.events, prior_share=owed))
        classes = outer.classes.pixels.copy()
    classes[window] = artefacts.classes.pixels
    whole = SRImage(classes, image.grid, artefacts.classes.unit)
    return Judgement(comparison, consistency, owed, artefacts, support, whole, outer=outer)


def _classes_of(artefacts: Artefacts | None) -> SRImage | None:
    return None if artefacts is None else artefacts.classes


def window_of(outer: PixelGrid, inner: PixelGrid) -> tuple[slice, slice]:
    """Find the rows and columns of a grid that another one, cut from it, covers.

    Parameters
    ----------
    outer, inner : PixelGrid
        Of the same pixels.

    Returns
    -------
    tuple of slice
        Rows and columns.
    """
    size = outer.pixel_size_nm
    first = [round((inner.origin_nm[axis] - outer.origin_nm[axis]) / size) for axis in (0, 1)]
    return slice(first[0], first[0] + inner.shape[0]), slice(first[1], first[1] + inner.shape[1])


def without_contradicted(image: SRImage, judged: Judgement) -> SRImage:
    """Dim what the data contradict.

    Parameters
    ----------
    image : SRImage
        The picture that was judged.
    judged : Judgement
        With its classes.

    Returns
    -------
    SRImage
        The same where nothing is contradicted, or nothing is known that could contradict it.
    """
    from stormcell.assessment.artefacts import suppress

    if judged.artefacts is None:
        return image
    grid = judged.artefacts.classes.grid
    window = window_of(image.grid, grid)
    pixels = (image if judged.outer is None else suppress(image, judged.outer)).pixels.copy()
    pixels[window] = suppress(SRImage(image.pixels[window], grid, image.unit), judged.artefacts).pixels
    return SRImage(pixels, image.grid, image.unit)
