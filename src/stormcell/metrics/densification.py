"""How good a dense picture drawn from few frames is: scores that do not flatter.

The truth is the noise-free rate: every emitter, labelling included, convolved with the localization error; never a
noisy rendering. Both images are blurred to 20 nm and compared by Pearson's correlation, which stands for a fit of
gain and offset, within the structure grown by 200 nm; no shift is allowed. What lies outside is judged by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, maximum_filter
from scipy.stats import rankdata

from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Image = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

BLUR_NM = 20.0
GROWN_NM = 200.0
SMOOTHINGS_NM = (0.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0, 160.0, 240.0)
"""Standard deviations among which the best-smoothed rendering is chosen."""
_STRUCTURE_LEVEL = 0.05


def structure_of(truth: Image, pixel_size_nm: float, grown_nm: float = GROWN_NM) -> Mask:
    """Mark the structure of a noise-free image, grown.

    Parameters
    ----------
    truth : ndarray
        Shape (Y, X), noise-free rate.
    pixel_size_nm : float
        Side of a pixel.
    grown_nm : float
        How far it is grown.

    Returns
    -------
    ndarray of bool
        Shape (Y, X): within reach of a pixel above 5 % of the bright structure (99th percentile of what is lit).
    """
    blurred = gaussian_filter(np.asarray(truth, np.float64), BLUR_NM / pixel_size_nm)
    lit = blurred[blurred > 1e-6 * max(float(blurred.max()), 1e-300)]
    if lit.size == 0:
        return np.zeros(truth.shape, np.bool_)
    bright = blurred > _STRUCTURE_LEVEL * np.percentile(lit, 99)
    return np.asarray(distance_transform_edt(~bright) * pixel_size_nm <= grown_nm)


def truth_score(image: Image, truth: Image, inside: Mask, pixel_size_nm: float) -> float:
    """Correlate an image with the truth.

    Parameters
    ----------
    image, truth : ndarray
        Shape (Y, X), linear intensities.
    inside : ndarray of bool
        Shape (Y, X): where they are compared.
    pixel_size_nm : float
        Side of a pixel.

    Returns
    -------
    float
        -1 to 1; 0 for an image that is constant there.
    """
    if image.shape != truth.shape:
        msg = (
            f"expected an image on the pixels of the truth {truth.shape}, got {image.shape}; do not shift or scale it"
        )
        raise InputError(msg)
    a, b = (gaussian_filter(np.asarray(i, np.float64), BLUR_NM / pixel_size_nm)[inside] for i in (image, truth))
    if a.size < 2 or np.ptp(a) <= 1e-12 * max(float(np.abs(a).max()), 1e-300) or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def best_smoothed_score(counts: Image, truth: Image, inside: Mask, pixel_size_nm: float) -> float:
    """Score the Gaussian smoothing of an image that scores best: the rendering to be beaten.

    Parameters
    ----------
    counts : ndarray
        Shape (Y, X), events per pixel.
    truth, inside, pixel_size_nm : ndarray, ndarray, float
        As for `truth_score`.

    Returns
    -------
    float
        The best score over the widths of `SMOOTHINGS_NM`.
    """
    plain = np.asarray(counts, np.float64)
    smooth = (gaussian_filter(plain, sigma / pixel_size_nm) if sigma else plain for sigma in SMOOTHINGS_NM)
    return max(truth_score(image, truth, inside, pixel_size_nm) for image in smooth)


def share_needed(score: float, shares: Sequence[float], scores: Sequence[float]) -> float:
    """Find the share of the frames at which the best-smoothed rendering reaches a score.

    Parameters
    ----------
    score : float
        To be reached.
    shares, scores : sequence of float
        Scores of the best-smoothed rendering at rising shares; noise that makes them fall is levelled.

    Returns
    -------
    float
        Between the first and the last share, interpolated in their logarithm: what lies beyond is not known.
    """
    rising = np.maximum.accumulate(np.asarray(scores, np.float64)) + 1e-12 * np.arange(len(scores))
    return float(np.exp(np.interp(score, rising, np.log(shares))))


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[[NDArray[np.float64]], float] = lambda sample: float(np.median(sample)),
    *,
    level: float = 0.95,
    n: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a statistic over fields, by resampling the fields.

    Parameters
    ----------
    values : sequence of float
        One for each field.
    statistic : callable
        Of a sample; the median by default.
    level : float
        Of the interval.
    n, seed : int
        Resamplings.

    Returns
    -------
    tuple of float
        Lower and upper end.
    """
    rng, each = np.random.default_rng(seed), np.asarray(values, np.float64)
    drawn = [statistic(each[rng.integers(0, len(each), len(each))]) for _ in range(n)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def skeleton_length_um(structure: Mask, pixel_size_nm: float, where: Mask | None = None) -> float:
    """Length of the middle lines of a structure.

    Parameters
    ----------
    structure : ndarray of bool
        Shape (Y, X).
    pixel_size_nm : float
        Side of a pixel.
    where : ndarray of bool, optional
        Count only what lies here.

    Returns
    -------
    float
        In um. Each link between neighbouring skeleton pixels counts once; a diagonal link is dropped where a straight
        way leads to the same pixel.
    """
    from skimage.morphology import skeletonize

    line = np.pad(skeletonize(structure), 1)
    if where is not None:
        line &= np.pad(where, 1)
    core, right, down = line[1:-1, 1:-1], line[1:-1, 2:], line[2:, 1:-1]
    straight = np.count_nonzero(core & right) + np.count_nonzero(core & down)
    falling = core & line[2:, 2:] & ~right & ~down
    rising = core & line[2:, :-2] & ~line[1:-1, :-2] & ~down
    links = straight + np.sqrt(2) * (np.count_nonzero(falling) + np.count_nonzero(rising))
    return float(links * pixel_size_nm / 1000)


def invented_length(
    image: Image, truth: Image, pixel_size_nm: float, *, level: float = 0.25, reach_nm: float = 100.0
) -> tuple[float, float]:
    """Length of lines drawn where there is no structure.

    Parameters
    ----------
    image, truth : ndarray
        Shape (Y, X).
    pixel_size_nm : float
        Side of a pixel.
    level : float
        Share of the bright structure (99th percentile of the structure) above which something counts as drawn.
    reach_nm : float
        Lines this close to true structure are not invented.

    Returns
    -------
    tuple of float
        Invented and true length, um. Both images are blurred to 20 nm; the image's level is that of its own pixels on
        true structure, so that gain does not matter.
    """
    smooth, true = (gaussian_filter(np.asarray(i, np.float64), BLUR_NM / pixel_size_nm) for i in (image, truth))
    near = structure_of(truth, pixel_size_nm, 0.0)
    if not near.any():
        return skeleton_length_um(smooth > level * max(float(smooth.max()), 1e-300), pixel_size_nm), 0.0
    bright, true_bright = (float(np.percentile(i[near], 99)) for i in (smooth, true))
    drawn = smooth > level * bright if bright > 0 else np.zeros(smooth.shape, np.bool_)
    far = distance_transform_edt(~near) * pixel_size_nm > reach_nm
    return (
        skeleton_length_um(drawn, pixel_size_nm, np.asarray(far)),
        skeleton_length_um(true > level * true_bright, pixel_size_nm),
    )


def share_outside(image: Image, near: Mask) -> float:
    """Share of an image's intensity that lies away from the structure.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X).
    near : ndarray of bool
        Shape (Y, X): the structure and what may lie round it.

    Returns
    -------
    float
        0 to 1; 0 for an image that is all 0.
    """
    total = float(image.sum(dtype=np.float64))
    return float(image[~near].sum(dtype=np.float64)) / total if total > 0 else 0.0


def compact_centres(
    image: Image, pixel_size_nm: float, *, sigma_nm: float = 40.0, spacing_nm: float = 120.0, level: float = 0.25
) -> NDArray[np.float64]:
    """Find the centres of rings or spots of about 100 nm.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X).
    pixel_size_nm : float
        Side of a pixel.
    sigma_nm : float
        Blur under which a ring becomes one spot.
    spacing_nm : float
        Nearer ones are one.
    level : float
        Least height, as a share of the 90th percentile of the heights.

    Returns
    -------
    ndarray
        Shape (N, 2), (y, x) in nm from the image's corner, to a fraction of a pixel.
    """
    smooth = gaussian_filter(np.asarray(image, np.float64), sigma_nm / pixel_size_nm)
    reach = max(1, round(spacing_nm / pixel_size_nm / 2))
    peaks = (smooth == maximum_filter(smooth, 2 * reach + 1)) & (smooth > 0)
    if not peaks.any():
        return np.empty((0, 2))
    rows, columns = np.nonzero(peaks & (smooth > level * np.percentile(smooth[peaks], 90)))
    padded = np.pad(smooth, 1, mode="edge")
    places = []
    for row, column in zip(rows, columns, strict=True):
        near = np.log(np.maximum(padded[row : row + 3, column : column + 3], 1e-300))
        shifts = [_vertex(near[:, 1]), _vertex(near[1, :])]
        places.append(((row + 0.5 + shifts[0]) * pixel_size_nm, (column + 0.5 + shifts[1]) * pixel_size_nm))
    return np.array(places)


def _vertex(values: Image) -> float:
    """Where a parabola through three neighbours has its top, in pixels from the middle one."""
    curvature = values[0] - 2 * values[1] + values[2]
    return float(np.clip(0.5 * (values[0] - values[2]) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0


def centre_precision_recall(
    found: NDArray[np.float64], true: NDArray[np.float64], expected: Mask, reach_nm: float = 60.0
) -> tuple[float, float]:
    """Compare centres found with true ones.

    Parameters
    ----------
    found, true : ndarray
        Shape (N, 2) and (M, 2), nm.
    expected : ndarray of bool
        Shape (M,): true ones that must be found; the others may be.
    reach_nm : float
        Largest distance.

    Returns
    -------
    tuple of float
        Precision among those found, and recall among those expected; NaN where there are none.
    """
    from scipy.optimize import linear_sum_assignment

    if not len(found) or not len(true):
        return (float("nan") if not len(found) else 0.0), (0.0 if expected.any() else float("nan"))
    distance = np.linalg.norm(found[:, None] - true[None], axis=2)
    rows, columns = linear_sum_assignment(np.minimum(distance, 2 * reach_nm))
    hit = distance[rows, columns] <= reach_nm
    recalled = np.zeros(len(true), np.bool_)
    recalled[columns[hit]] = True
    return float(hit.sum()) / len(found), float(recalled[expected].mean()) if expected.any() else float("nan")


def bridge_level(
    image: Image, ends_nm: tuple[tuple[float, float], tuple[float, float]], pixel_size_nm: float, flank_nm: float
) -> float:
    """How bright the gap between two collinear ends is against the lines beside it.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X).
    ends_nm : tuple
        (y, x) of both ends, between which there is nothing.
    pixel_size_nm : float
        Side of a pixel.
    flank_nm : float
        Length of line beyond each end that is compared with.

    Returns
    -------
    float
        Least brightness in the middle half of the gap over the mean of both flanks, at a blur of 20 nm, brightest
        within 60 nm across; above one half the gap is bridged. NaN where the flanks are dark.
    """
    smooth = gaussian_filter(np.asarray(image, np.float64), BLUR_NM / pixel_size_nm)
    first, last = (np.asarray(end, np.float64) for end in ends_nm)
    length = float(np.linalg.norm(last - first))
    along = (last - first) / length
    across = np.array([-along[1], along[0]])

    def profile(start: float, stop: float) -> NDArray[np.float64]:
        steps = np.linspace(start, stop, max(2, round(abs(stop - start) / 10)))
        offsets = np.arange(-60, 61, 10.0)
        places = first + steps[:, None, None] * along + offsets[None, :, None] * across
        pixels = places / pixel_size_nm - 0.5
        values = map_coordinates(smooth, [pixels[..., 0], pixels[..., 1]], order=1, mode="constant")
        return np.asarray(values.max(axis=1))

    beside = np.concatenate([profile(-flank_nm, -60), profile(length + 60, length + flank_nm)]).mean()
    return float(profile(0.25 * length, 0.75 * length).min() / beside) if beside > 0 else float("nan")


def ranking_area(wrong: NDArray[np.bool_], alarm: Image) -> float:
    """Area under the curve with which a value ranks wrong pixels above right ones.

    Parameters
    ----------
    wrong : ndarray of bool
        Shape (N,).
    alarm : ndarray
        Shape (N,): larger where an error is to be feared.

    Returns
    -------
    float
        1 ranks them all above, 0.5 knows nothing; NaN where all are wrong or none.
    """
    n_wrong, n_right = int(wrong.sum()), int((~wrong).sum())
    if not n_wrong or not n_right:
        return float("nan")
    ranks = rankdata(np.asarray(alarm, np.float64))
    return float((ranks[wrong].sum() - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right))
