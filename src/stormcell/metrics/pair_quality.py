"""How good paired localizations are: photons, and whether the stated uncertainties are true."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from stormcell.metrics.scores import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data import Localizations
    from stormcell.metrics.matching import Matches

_QUANTITIES = {
    "x": ("x_nm", "uncertainty_x_nm"),
    "y": ("y_nm", "uncertainty_y_nm"),
    "z": ("z_nm", "uncertainty_z_nm"),
    "photons": ("photons", "uncertainty_photons"),
}
_MAD_OF_NORMAL = float(ndtri(0.75))


@dataclass(frozen=True)
class Calibration:
    """Errors divided by their stated standard deviations (z-scores).

    Parameters
    ----------
    n : int
        Pairs with a stated uncertainty above 0.
    coverage_50, coverage_68, coverage_95 : float
        Share of pairs whose error lies within the interval that should hold 50, 68 and 95 %.
    z_mean, z_std, z_robust_std : float
        Of the z-scores; 0, 1 and 1 where the uncertainties are true. The robust one is the scaled median absolute
        deviation, which outliers do not move.
    """

    n: int
    coverage_50: float
    coverage_68: float
    coverage_95: float
    z_mean: float
    z_std: float
    z_robust_std: float


@dataclass(frozen=True)
class PairQuality:
    """Quality of a group of pairs; a number that does not exist is NaN (null in JSON).

    Parameters
    ----------
    n : int
        Pairs in the group.
    rmse_nm : float
        Full two-dimensional distance, root mean square.
    photon_error_median, photon_error_mad : float
        Median of (found - true) / true photons, and the median absolute deviation from it, unscaled.
    calibration : dict of str to Calibration
        For x, y, z, photons, where the table states an uncertainty and the truth has the quantity.
    """

    n: int
    rmse_nm: float
    photon_error_median: float
    photon_error_mad: float
    calibration: dict[str, Calibration] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain numbers.

        Returns
        -------
        dict
            Ready for JSON; None for NaN.
        """
        numbers: dict[str, Any] = plain(asdict(self))
        return numbers


def judge_pairs(table: Localizations, truth: Localizations, matches: Matches) -> PairQuality:
    """Compare what is paired.

    Parameters
    ----------
    table, truth : Localizations
        The tables.
    matches : Matches
        Pairs of their rows.

    Returns
    -------
    PairQuality
        Of these pairs.
    """
    found, true = table.take(matches.table_row), truth.take(matches.truth_row)
    median, mad = _photon_error(found, true)
    calibration = {
        name: _calibrate(found[value] - true[value], found[sigma])
        for name, (value, sigma) in _QUANTITIES.items()
        if value in found and sigma in found and value in true
    }
    n = len(matches)
    rmse = float(np.sqrt(np.mean(matches.distance_nm**2))) if n else np.nan
    return PairQuality(n, rmse, median, mad, calibration)


def _photon_error(found: Localizations, true: Localizations) -> tuple[float, float]:
    if not ("photons" in found and "photons" in true):
        return np.nan, np.nan
    usable = (true["photons"] > 0) & np.isfinite(found["photons"])
    error = found["photons"][usable] / true["photons"][usable] - 1
    if len(error) == 0:
        return np.nan, np.nan
    median = float(np.median(error))
    return median, float(np.median(np.abs(error - median)))


def _calibrate(error: NDArray[np.float64], sigma: NDArray[np.float64]) -> Calibration:
    usable = (sigma > 0) & np.isfinite(sigma) & np.isfinite(error)
    z = error[usable] / sigma[usable]
    if len(z) == 0:
        return Calibration(0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan)
    half, most, nearly_all = (float(np.mean(np.abs(z) <= ndtri(0.5 + share / 2))) for share in (0.50, 0.68, 0.95))
    robust = float(np.median(np.abs(z - np.median(z)))) / _MAD_OF_NORMAL
    return Calibration(len(z), half, most, nearly_all, float(z.mean()), float(z.std()), robust)
