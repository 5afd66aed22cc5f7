"""Confidence of a match between two images, by resampling blocks of pixels.

Neighbouring pixels err together, so that whole blocks are drawn; their sums are enough to match again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.assessment.linear_match import match_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.assessment.rsf_fit import Blur, RsfFit

_STEPS = (0.9, 0.95, 1.0, 1.05, 1.1)


@dataclass(frozen=True)
class Resampling:
    """How blocks are drawn.

    Parameters
    ----------
    n_resamplings : int
        How often.
    block_px : int
        Side of a block in pixels.
    seed : int
        Seed of the drawing.
    """

    n_resamplings: int
    block_px: int
    seed: int


def bootstrap_match(
    blur: Blur,
    fit: RsfFit,
    reference: NDArray[Any],
    resampling: Resampling,
) -> dict[str, tuple[float, float]]:
    """Give 90 % intervals of the match.

    Parameters
    ----------
    blur : Blur
        Gives blurred values at neighbouring widths.
    fit : RsfFit
        The fit to judge.
    reference : ndarray
        Wide-field pixels.
    resampling : Resampling
        How to draw.

    Returns
    -------
    dict
        Intervals of rsp, rse, alpha, beta and rsf_sigma_px (not where the width was held); empty with fewer than
        8 blocks. The width of each resampling is the vertex of a parabola through 5 widths within 10 %.
    """
    labels = _blocks(reference.shape, resampling.block_px)
    is_held = fit.held
    steps = (1.0,) if is_held else _STEPS
    centre = float(np.mean(reference))
    sums = []
    for step in steps:
        values = fit.values if step == 1.0 else blur.values((fit.sigma_px[0] * step, fit.sigma_px[1] * step))
        sums.append(_block_sums(values, reference.astype(np.float64) - centre, labels))
    table = np.stack(sums)
    n_blocks = table.shape[1]
    if n_blocks < 8:
        return {}
    rng = np.random.default_rng(resampling.seed)
    draws: dict[str, list[float]] = {"rsp": [], "rse": [], "alpha": [], "beta": [], "rsf_sigma_px": []}
    for weight in rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=resampling.n_resamplings):
        matches = [match_sums(weight @ one) for one in table]
        middle = matches[len(steps) // 2]
        draws["rsp"].append(middle.rsp)
        draws["rse"].append(middle.rse)
        draws["alpha"].append(middle.alpha)
        draws["beta"].append(middle.beta + centre)
        if not is_held:
            sigma = float(np.sqrt(fit.sigma_px[0] * fit.sigma_px[1]))
            draws["rsf_sigma_px"].append(sigma * _vertex([match.rse**2 for match in matches]))
    return {
        name: (float(np.percentile(values, 5)), float(np.percentile(values, 95)))
        for name, values in draws.items()
        if values
    }


def _blocks(shape: tuple[int, ...], block_px: int) -> NDArray[np.int64]:
    rows, columns = (np.arange(side) // block_px for side in shape)
    labels: NDArray[np.int64] = rows[:, None] * (int(columns[-1]) + 1) + columns[None, :]
    return labels


def _block_sums(
    values: NDArray[Any], reference: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shape (blocks, 6) as `match_sums` takes them."""
    block, b, r = labels.ravel(), values.ravel().astype(np.float64), reference.ravel()
    columns = [np.bincount(block, weights=w) for w in (np.ones_like(b), b, r, b * b, b * r, r * r)]
    table: NDArray[np.float64] = np.stack(columns, axis=1).astype(np.float64)
    return table


def _vertex(costs: list[float]) -> float:
    """Place of the minimum of the parabola through the costs, within the range of steps."""
    curvature, slope, _ = np.polyfit(np.log(_STEPS), costs, 2)
    if curvature <= 0:
        return _STEPS[0] if slope > 0 else _STEPS[-1]
    return float(np.exp(np.clip(-slope / (2 * curvature), np.log(_STEPS[0]), np.log(_STEPS[-1]))))
