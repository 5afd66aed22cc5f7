"""Densify on measured fields: how good it is without any truth but the rest of the acquisition."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stormcell.learning.annapalm_inference import DensifyInferenceSettings, DensifyResult, densify_image, sum_cells
from stormcell.learning.annapalm_pairs import split_frames
from stormcell.metrics.densification import best_smoothed_score, structure_of, truth_score
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.learning.annapalm_model import DensifyModel
    from stormcell.learning.annapalm_pairs import EventField

_FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
_FOREGROUND_EVENTS = 0.3


@dataclass(frozen=True)
class MeasuredSplit:
    """A measured field cut in time.

    Parameters
    ----------
    counts, target : ndarray
        Shape (Y, X): events of the input and of the other frames.
    share : float
        Share of the events that the input holds.
    ratio : float
        Frames of the target per frame of the input.
    """

    counts: NDArray[np.float32]
    target: NDArray[np.float32]
    share: float
    ratio: float


@dataclass(frozen=True)
class MeasuredScore:
    """Scores of a measured field against the rest of its own acquisition.

    Parameters
    ----------
    score, best_smoothed : float
        Correlation of the network's picture, and of the best-smoothed rendering of the same input, with the target,
        both at 20 nm blur within the target's structure and 200 nm round it. The target is noisy: 1 is out of reach.
    coverage_90 : float
        Share of the cells of 40 nm with structure whose count lies in the 90 % interval.
    """

    score: float
    best_smoothed: float
    coverage_90: float


def split_field(field: EventField, share: float, seed: int) -> MeasuredSplit:
    """Cut a field in time: one block of frames that holds about a share of the events, and the rest but guard gaps.

    Parameters
    ----------
    field : EventField
        Linked events.
    share : float
        Share of the events in the input.
    seed : int
        Decides where the block begins.

    Returns
    -------
    MeasuredSplit
        Counts on pixels of 20 nm.
    """
    # Blinking is uneven in time: the block is chosen by events, from frames renumbered so that each holds as many.
    order = np.sort(field.frame)
    n = len(order)
    rng = np.random.default_rng([seed, 21])
    take = max(1, round(share * n))
    first = int(rng.integers(0, n - take + 1))
    start, stop = int(order[first]), int(order[first + take - 1]) + 1
    guard = field.guard_frames
    inside = (field.frame >= start) & (field.frame < stop)
    rest = (field.frame < start - guard) | (field.frame >= stop + guard)
    n_rest = max(0, start - guard) + max(0, field.n_frames - stop - guard)
    counts, target = (histogram_of(field, rows) for rows in (inside, rest))
    return MeasuredSplit(counts, target, float(inside.mean()), n_rest / (stop - start))


def histogram_of(field: EventField, rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Count events on pixels of 20 nm.

    Parameters
    ----------
    field : EventField
        The field.
    rows : ndarray of bool
        Shape (N,): which events.

    Returns
    -------
    ndarray of float32
        Shape (Y, X).
    """
    shape = [max(1, math.ceil(length / SR_PIXEL_SIZE_NM - 1e-6)) for length in field.extent_nm]
    limits = [[0.0, side * SR_PIXEL_SIZE_NM] for side in shape]
    image, _, _ = np.histogram2d(field.y_nm[rows], field.x_nm[rows], bins=shape, range=limits)
    return image.astype(np.float32)


def score_measured(
    model: DensifyModel, field: EventField, share: float, seed: int, factors: Sequence[float] = (1.0,)
) -> tuple[MeasuredScore, list[float]]:
    """Score a network on a field it has not seen.

    Parameters
    ----------
    model : DensifyModel
        The network.
    field : EventField
        Held out.
    share : float
        Share of the events in the input.
    seed : int
        Decides where the input lies.
    factors : sequence of float
        Factors on the dispersion to try.

    Returns
    -------
    tuple
        Scores, and the coverage at each factor.
    """
    split = split_field(field, share, seed)
    settings = DensifyInferenceSettings(structure=STRUCTURE_LABELS[field.label])
    drawn = densify_image(model, split.counts, field.widefield, settings)
    inside = structure_of(split.target, SR_PIXEL_SIZE_NM)
    scores = [
        truth_score(drawn.rate, split.target, inside, SR_PIXEL_SIZE_NM),
        best_smoothed_score(split.counts, split.target, inside, SR_PIXEL_SIZE_NM),
    ]
    # The acquisition is uneven in time: its events, not its frames, are the exposure.
    ratio = float(split.target.sum() / max(split.counts.sum(), 1.0))
    covered = [_coverage(drawn, np.float32(factor), ratio, split.target) for factor in factors]
    return MeasuredScore(scores[0], scores[1], _coverage(drawn, np.float32(1), ratio, split.target)), covered


def _coverage(drawn: DensifyResult, factor: np.float32, ratio: float, target: NDArray[np.float32]) -> float:
    low, high = DensifyResult(drawn.rate, drawn.dispersion * factor).interval(ratio)
    shown, expected = sum_cells(target), sum_cells(drawn.rate) * ratio
    foreground = expected > _FOREGROUND_EVENTS
    return float(np.mean(((shown >= low) & (shown <= high))[foreground])) if foreground.any() else float("nan")


def dispersion_factor(model: DensifyModel, fields: Sequence[EventField], share: float, seed: int) -> float:
    """Find the factor on the dispersion at which 90 % intervals hold 90 %.

    Parameters
    ----------
    model : DensifyModel
        The network.
    fields : sequence of EventField
        Neither of the training, where that can be helped, nor of the scores.
    share : float
        Share of the events in the input.
    seed : int
        Decides where inputs lie.

    Returns
    -------
    float
        0.25 to 4.
    """
    plain = replace(model, dispersion_factor=1.0)
    covered = [score_measured(plain, field, share, seed + k, _FACTORS)[1] for k, field in enumerate(fields)]
    mean = np.nanmean(np.array(covered), axis=0)
    if not np.isfinite(mean).all():
        return 1.0
    return float(np.exp(np.interp(0.9, np.maximum.accumulate(mean) + 1e-9 * np.arange(len(mean)), np.log(_FACTORS))))


def cut_field(field: EventField, fraction: float, gap_nm: float) -> tuple[EventField, EventField]:
    """Cut one field into a left and a right part with a gap between them.

    Parameters
    ----------
    field : EventField
        The only field there is.
    fraction : float
        Share of the events that goes left.
    gap_nm : float
        Width of what belongs to neither.

    Returns
    -------
    tuple of EventField
        Left and right.
    """
    height, width = field.extent_nm
    # Whole pixels, so that the wide-field can be cut with them.
    place = float(np.quantile(field.x_nm, fraction))
    left = max(1, math.floor(place / SR_PIXEL_SIZE_NM)) * SR_PIXEL_SIZE_NM
    right = math.ceil((place + gap_nm) / SR_PIXEL_SIZE_NM) * SR_PIXEL_SIZE_NM
    parts = []
    for first, last in ((0.0, left), (right, width)):
        rows = (field.x_nm >= first) & (field.x_nm < last)
        columns = slice(round(first / SR_PIXEL_SIZE_NM), math.ceil(last / SR_PIXEL_SIZE_NM - 1e-6))
        parts.append(
            replace(
                field,
                x_nm=(field.x_nm[rows] - np.float32(first)).astype(np.float32),
                y_nm=field.y_nm[rows],
                frame=field.frame[rows],
                extent_nm=(height, last - first),
                widefield=None if field.widefield is None else field.widefield[:, columns],
            )
        )
    return parts[0], parts[1]


def block_counts(field: EventField, share: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Count input and target as training draws them, without its deformations: to look at.

    Parameters
    ----------
    field : EventField
        The field.
    share : float
        Share of the frames.
    seed : int
        Decides where the block begins.

    Returns
    -------
    tuple of ndarray
        Shape (Y, X) each.
    """
    block, _, _ = split_frames(field, share, np.random.default_rng([seed, 22]))
    return histogram_of(field, block == 0), histogram_of(field, block == 1)
