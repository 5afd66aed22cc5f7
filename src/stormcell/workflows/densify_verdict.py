"""How far a densified picture is to be believed: comparison with the wide-field image, classes, and a verdict."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

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

Level = Literal["empty", "supported", "mostly inferred", "doubtful"]
OTHER_LABELS = ("unknown", "microtubules", "mitochondria")
"""Labels under which the network is asked again, to see how much of the picture is owed to them."""
_MANY_CONTRADICTED = 0.1
_MANY_INFERRED = 0.5
_LITTLE_AGREEMENT = 0.6


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a picture.

    Parameters
    ----------
    level : str
        empty, supported, mostly inferred, or doubtful.
    sentences : tuple of str
        The same in words.
    numbers : dict of str to float or None
        What it rests on: shares of the intensity that are measured, inferred and contradicted, mean prior share,
        events, their density, how well the picture explains the wide-field image, and how strong its fine detail is
        against that of the events.
    """

    level: Level
    sentences: tuple[str, ...]
    numbers: dict[str, float | None] = field(default_factory=dict)


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
    """

    comparison: ErrorMap | None = None
    consistency: SRImage | None = None
    prior_share: SRImage | None = None
    artefacts: Artefacts | None = None
    support: SRImage | None = None
    classes: SRImage | None = None
    held_out: HeldOut | None = None


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
    classes = np.zeros(image.pixels.shape, np.float32)
    if given.events is not None:
        classes = find_artefacts(image, Support(events=given.events, prior_share=owed)).classes.pixels.copy()
    classes[window] = artefacts.classes.pixels
    whole = SRImage(classes, image.grid, artefacts.classes.unit)
    return Judgement(comparison, consistency, owed, artefacts, support, whole)


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
        The same where nothing is contradicted.

    Warns
    -----
    StormcellWarning
        Nothing is known that could contradict it.
    """
    from stormcell.assessment.artefacts import suppress

    if judged.artefacts is None:
        sentence = "nothing is known that could contradict the picture: not suppressed"
        warnings.warn(sentence, StormcellWarning, stacklevel=2)
        return image
    grid = judged.artefacts.classes.grid
    window = window_of(image.grid, grid)
    pixels = image.pixels.copy()
    pixels[window] = suppress(SRImage(image.pixels[window], grid, image.unit), judged.artefacts).pixels
    return SRImage(pixels, image.grid, image.unit)


def verdict(image: SRImage, given: DensifyInput, judged: Judgement, doubts: Sequence[str]) -> Verdict:
    """Say what is to be thought of a picture.

    Parameters
    ----------
    image : SRImage
        The picture.
    given : DensifyInput
        What it was made of.
    judged : Judgement
        Maps.
    doubts : sequence of str
        Where the input lies outside what the network was trained for.

    Returns
    -------
    Verdict
        In words and numbers.
    """
    if not image.pixels.any():
        return Verdict("empty", ("Nothing is drawn: there is nothing to draw it from.",), {"n_events": 0.0})
    shares = _shares(image, judged.classes)
    numbers: dict[str, float | None] = {
        "n_events": given.n_events,
        "events_per_um2": given.events_per_um2,
        "rsp": None if judged.comparison is None else judged.comparison.rsp,
        "rse": None if judged.comparison is None else judged.comparison.rse,
        "prior_share": _weighted(judged.prior_share, image),
    }
    if judged.comparison is not None:
        names = ("rsf_sigma_nm", "alpha", "beta")
        numbers |= {name: float(getattr(judged.comparison, name)) for name in names}
    numbers |= shares
    if judged.held_out is not None:
        known = judged.held_out
        numbers |= {"held_out_gain": known.gain, "held_out_score": known.score, "label_score": known.label_score}
        doubts = [*doubts, *known.doubts]
    numbers["fine_detail_gain"], is_sharpened = _fine_detail(image, given)
    sentences, level = _in_words(numbers, doubts)
    if is_sharpened:
        sentences += (
            f"Its fine detail is {numbers['fine_detail_gain']:.1f} times as strong as the events hold it: widths of "
            "lines and small gaps are the network's.",
        )
    return Verdict(level, sentences, numbers)


def _fine_detail(image: SRImage, given: DensifyInput) -> tuple[float | None, bool]:
    """Strength of fine detail in units of what the events hold, and whether that is too much; None without events."""
    from stormcell.assessment.sharpening import blur_level

    if given.events is None:
        return None, False
    try:
        found = blur_level(image, given.events)
    except InputError:
        return None, False
    return found.gain, found.is_sharpened


def _in_words(numbers: dict[str, float | None], doubts: Sequence[str]) -> tuple[tuple[str, ...], Level]:
    measured, inferred = numbers.get("measured_share"), numbers.get("inferred_share")
    contradicted, rsp = numbers.get("contradicted_share"), numbers["rsp"]
    sentences, level = [], "supported"
    if measured is not None and inferred is not None and contradicted is not None:
        sentences.append(
            f"{measured:.0%} of what is drawn is measured (three independent events or more, whatever the label), "
            f"{inferred:.0%} is inferred, {contradicted:.0%} is contradicted."
        )
        if inferred > _MANY_INFERRED:
            level = "mostly inferred"
        if contradicted > _MANY_CONTRADICTED:
            level = "doubtful"
    if rsp is not None:
        agrees = rsp >= _LITTLE_AGREEMENT
        sentences.append(
            f"The picture {'explains' if agrees else 'does not explain'} the wide-field image (RSP {rsp:.2f}), "
            "which cannot tell what is finer than it resolves."
        )
        level = level if agrees else "doubtful"
    if doubts:
        sentences.append(f"What speaks against it: {'; '.join(doubts)}.")
        level = "doubtful"
    lead = {
        "supported": "Supported by the data.",
        "mostly inferred": "Mostly inferred: a likely picture, not a measured one.",
        "doubtful": "Doubtful: do not rest a conclusion on this picture.",
    }
    return (lead[level], *sentences), level  # type: ignore[return-value] # one of the keys


def _shares(image: SRImage, classes: SRImage | None) -> dict[str, float | None]:
    """Share of the intensity above the threshold that is in each class."""
    from stormcell.assessment.artefacts import ArtefactClass

    if classes is None:
        return {}
    judged = [ArtefactClass.MEASURED, ArtefactClass.INFERRED, ArtefactClass.CONTRADICTED]
    sums = {kind: float(image.pixels[classes.pixels == kind].sum(dtype=np.float64)) for kind in judged}
    total = sum(sums.values()) or 1.0
    return {f"{kind.name.lower()}_share": value / total for kind, value in sums.items()}


def _weighted(share: SRImage | None, image: SRImage) -> float | None:
    if share is None:
        return None
    return float((share.pixels * image.pixels).sum(dtype=np.float64) / image.pixels.sum(dtype=np.float64))
