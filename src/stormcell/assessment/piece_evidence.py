"""What the wide-field image and independent events say about the brightness of each piece of structure.

Each piece of a super-resolution image predicts a patch of light in the wide-field image and a number of localization
events. x is the share of its brightness that is really there: 1 for a piece that is right, 0 for an invention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from scipy.special import ndtr, xlogy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.assessment.segments import Pieces
    from stormcell.assessment.squirrel import ErrorMap

_REACH = 4.0
_PRIOR_SPREAD = 1.0
# Labels are not evenly spread: counts scatter more than Poisson ones, and weigh less.
_OVERDISPERSION = 2.0
_GRID = np.linspace(0.0, 2.0, 201)
_MOST_DENSE = 2000
"""Of so many pieces the whole matrix fits into 32 MB, and its blocks are cut out of it much faster."""


@dataclass(frozen=True)
class PieceEvidence:
    """Evidence on each piece.

    Parameters
    ----------
    mean : ndarray
        Shape (n,): posterior mean of x.
    wrong : ndarray
        Shape (n,): posterior probability that x is below one half.
    n_events : ndarray
        Shape (n,): events on the piece; zeros without a table.
    expected_events : ndarray
        Shape (n,): what its brightness lets expect; zeros without a table.
    """

    mean: NDArray[np.float64]
    wrong: NDArray[np.float64]
    n_events: NDArray[np.float64]
    expected_events: NDArray[np.float64]


def weigh_pieces(
    pieces: Pieces,
    pixels: NDArray[np.float32],
    comparison: ErrorMap | None,
    noise: NDArray[np.float64] | None,
    counts: NDArray[np.float64] | None,
) -> PieceEvidence:
    """Combine both kinds of evidence.

    Parameters
    ----------
    pieces : Pieces
        From `cut_structure`, n >= 1.
    pixels : ndarray
        Shape (Y, X): the image they were cut from.
    comparison : ErrorMap or None
        Its comparison with a wide-field image.
    noise : ndarray or None
        Standard deviation of each wide-field pixel; needed with a comparison. Infinite where a pixel does not count.
    counts : ndarray or None
        Shape (n,): independent events on each piece.

    Returns
    -------
    PieceEvidence
        Posterior of x on 0 to 2 under a flat prior: Gaussian from the wide-field image, Poisson from the events, each
        scaled so that the typical piece has x = 1.
    """
    log_posterior = np.zeros((pieces.n, len(_GRID)))
    if comparison is not None and noise is not None:
        estimate, spread = _widefield_shares(pieces, pixels, comparison, noise)
        log_posterior -= 0.5 * ((_GRID - estimate[:, None]) / spread[:, None]) ** 2
    observed, expected = np.zeros(pieces.n), np.zeros(pieces.n)
    if counts is not None:
        intensity = np.bincount(pieces.labels.ravel(), pixels.ravel(), pieces.n + 1)[1:].astype(np.float64)
        observed, expected = counts, intensity * _events_per_intensity(counts, intensity)
        rate = np.maximum(_GRID * expected[:, None], 1e-3)
        log_posterior += (xlogy(observed[:, None], rate) - rate) / _OVERDISPERSION
    posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    wrong = posterior[:, _GRID < 0.5].sum(axis=1)
    return PieceEvidence(posterior @ _GRID, wrong, observed, expected)


def _events_per_intensity(counts: NDArray[np.float64], intensity: NDArray[np.float64]) -> float:
    """Typical ratio; the median over intensity, so that empty inventions do not lower it."""
    ratio = counts / np.maximum(intensity, 1e-30)
    order = np.argsort(ratio)
    half = np.searchsorted(np.cumsum(intensity[order]), intensity.sum() / 2)
    median = float(ratio[order[min(int(half), len(order) - 1)]])
    return median if median > 0 else float(counts.sum() / max(intensity.sum(), 1e-30))


def _widefield_shares(
    pieces: Pieces, pixels: NDArray[np.float32], comparison: ErrorMap, noise: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joint weighted least squares of all pieces' patches of light to the residual; x and its deviation."""
    weights = sparse.diags_array(1 / noise.ravel())
    patches: Any = sparse.csc_array(weights @ _patches(pieces, pixels, comparison))
    target = (comparison.residual.pixels.astype(np.float64) / noise).ravel()
    information: Any = sparse.csr_array(patches.T @ patches)
    prior: Any = sparse.diags_array(np.full(pieces.n, _PRIOR_SPREAD**-2))
    change = np.zeros(pieces.n)
    inflation = 1.0
    for _ in range(2):
        change, _ = cg(information / inflation + prior, patches.T @ target / inflation, rtol=1e-6, maxiter=500)
        # What no change of brightness explains is error of the model: it widens all deviations.
        rest = target - patches @ change
        lit = np.asarray(abs(patches).sum(axis=1)).ravel() > 0.5
        inflation = max(1.0, float((1.4826 * np.median(np.abs(rest[lit]))) ** 2)) if lit.any() else 1.0
    spread = _local_deviation(sparse.csr_array(information / inflation + prior))
    weight = 1 / spread**2
    order = np.argsort(change)
    typical = float(change[order[np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)]])
    scale = max(1 + typical, 0.1)
    return (1 + change) / scale, spread / scale


def _patches(pieces: Pieces, pixels: NDArray[np.float32], comparison: ErrorMap) -> sparse.csc_array:
    """Sparse (wide-field pixels, pieces): the light each piece puts into each wide-field pixel."""
    fine, coarse = comparison.error.grid, comparison.residual.grid
    sigmas = (comparison.rsf_sigma_y_nm, comparison.rsf_sigma_x_nm)
    shifts = (comparison.shift_y_nm, comparison.shift_x_nm)
    responses = [_response(axis, fine, coarse, sigmas[axis], shifts[axis]) for axis in (0, 1)]
    reach = [int(np.ceil(_REACH * sigma / coarse.pixel_size_nm)) + 1 for sigma in sigmas]
    ratio = coarse.pixel_size_nm / fine.pixel_size_nm
    rows, values, starts = [], [], [0]
    for number, box in enumerate(ndimage.find_objects(pieces.labels), start=1):
        own = np.where(pieces.labels[box] == number, pixels[box], 0).astype(np.float64) * comparison.alpha
        spans = []
        for axis in (0, 1):
            offset = (fine.origin_nm[axis] - coarse.origin_nm[axis]) / coarse.pixel_size_nm
            first = int(box[axis].start / ratio + offset) - reach[axis]
            last = int(box[axis].stop / ratio + offset) + reach[axis] + 1
            spans.append(slice(max(first, 0), max(min(last, coarse.shape[axis]), 0)))
        patch = responses[0][spans[0], box[0]] @ own @ responses[1][spans[1], box[1]].T
        index = np.arange(spans[0].start, spans[0].stop)[:, None] * coarse.shape[1]
        rows.append((index + np.arange(spans[1].start, spans[1].stop)[None, :]).ravel())
        values.append(patch.ravel())
        starts.append(starts[-1] + patch.size)
    shape = (coarse.shape[0] * coarse.shape[1], pieces.n)
    return sparse.csc_array((np.concatenate(values), np.concatenate(rows), np.array(starts)), shape=shape)


def _response(axis: int, fine: Any, coarse: Any, sigma_nm: float, shift_nm: float) -> NDArray[np.float64]:
    """Mean over each coarse pixel of the Gaussian that a fine pixel becomes, along one axis."""
    edges = coarse.origin_nm[axis] + np.arange(coarse.shape[axis] + 1) * coarse.pixel_size_nm
    centres = fine.origin_nm[axis] + (np.arange(fine.shape[axis]) + 0.5) * fine.pixel_size_nm - shift_nm
    cumulative = ndtr((edges[:, None] - centres[None, :]) / sigma_nm)
    response: NDArray[np.float64] = np.diff(cumulative, axis=0) * fine.pixel_size_nm / coarse.pixel_size_nm
    return response


def _local_deviation(information: sparse.csr_array) -> NDArray[np.float64]:
    """Root of the diagonal of the inverse, each from the block of pieces that overlap with it."""
    n = information.shape[0]
    whole = information.toarray() if n <= _MOST_DENSE else None
    deviation = np.empty(n)
    for piece in range(n):
        block = information.indices[information.indptr[piece] : information.indptr[piece + 1]]
        dense = whole[np.ix_(block, block)] if whole is not None else information[block][:, block].toarray()
        own = int(np.flatnonzero(block == piece)[0])
        unit = np.zeros(len(block))
        unit[own] = 1.0
        deviation[piece] = np.sqrt(np.linalg.solve(dense, unit)[own])
    return deviation
