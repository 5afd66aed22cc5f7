"""Detection scores from pairs: counts, Jaccard, errors, efficiency."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ALPHA_LATERAL = 1.0  # 1/nm
_ALPHA_AXIAL = 0.5


@dataclass(frozen=True)
class DetectionScore:
    """How well emitters were found at one tolerance; a number that does not exist is NaN (null in JSON).

    Parameters
    ----------
    tolerance_nm : float
        Lateral tolerance of the pairs.
    tp, fp, fn : int
        Pairs, localizations without an emitter, emitters without a localization.
    jaccard, precision, recall : float
        tp / (tp + fp + fn), tp / (tp + fp), tp / (tp + fn), 0 to 1.
    rmse_nm : float
        Root mean square of the full two-dimensional distance (not per axis, which would be smaller by sqrt(2)).
    bias_x_nm, bias_y_nm, bias_z_nm : float
        Mean of found minus true position.
    efficiency : float
        100 - sqrt((100 - 100 jaccard)^2 + (alpha rmse)^2), alpha 1/nm; 0 where nothing is paired. Negative values are
        possible.
    rmse_z_nm, efficiency_z, efficiency_3d : float
        The same along z with alpha 0.5/nm, and the mean of both; NaN in two dimensions.
    """

    tolerance_nm: float
    tp: int
    fp: int
    fn: int
    jaccard: float
    precision: float
    recall: float
    rmse_nm: float
    bias_x_nm: float
    bias_y_nm: float
    efficiency: float
    bias_z_nm: float
    rmse_z_nm: float
    efficiency_z: float
    efficiency_3d: float

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain numbers.

        Returns
        -------
        dict
            Ready for JSON; None for NaN.
        """
        numbers: dict[str, Any] = plain(asdict(self))
        return numbers


def score_pairs(
    tolerance_nm: float, errors_nm: NDArray[np.float64], n_table: int, n_truth: int, with_depth: bool
) -> DetectionScore:
    """Compute the scores.

    Parameters
    ----------
    tolerance_nm : float
        Lateral tolerance of the pairs, for the record.
    errors_nm : ndarray
        Shape (M, 3), found minus true position of the M pairs; z is ignored in two dimensions.
    n_table, n_truth : int
        Localizations and emitters that count, paired or not.
    with_depth : bool
        Whether z takes part.

    Returns
    -------
    DetectionScore
        Of all frames together.
    """
    tp = len(errors_nm)
    jaccard = _ratio(tp, n_table + n_truth - tp)
    rmse_nm = _root_mean_square(np.hypot(errors_nm[:, 0], errors_nm[:, 1]))
    rmse_z_nm = _root_mean_square(errors_nm[:, 2]) if with_depth else np.nan
    bias_nm = errors_nm.mean(axis=0) if tp else np.full(3, np.nan)
    lateral = efficiency(jaccard, rmse_nm, _ALPHA_LATERAL)
    axial = efficiency(jaccard, rmse_z_nm, _ALPHA_AXIAL) if with_depth else np.nan
    return DetectionScore(
        tolerance_nm=tolerance_nm,
        tp=tp,
        fp=n_table - tp,
        fn=n_truth - tp,
        jaccard=jaccard,
        precision=_ratio(tp, n_table),
        recall=_ratio(tp, n_truth),
        rmse_nm=rmse_nm,
        bias_x_nm=float(bias_nm[0]),
        bias_y_nm=float(bias_nm[1]),
        efficiency=lateral,
        bias_z_nm=float(bias_nm[2]) if with_depth else np.nan,
        rmse_z_nm=rmse_z_nm,
        efficiency_z=axial,
        efficiency_3d=(lateral + axial) / 2,
    )


def efficiency(jaccard: float, rmse_nm: float, alpha: float) -> float:
    """Join Jaccard index and error into the challenge's one number.

    Parameters
    ----------
    jaccard : float
        0 to 1.
    rmse_nm : float
        Root mean square error; NaN where nothing is paired.
    alpha : float
        Trade-off in 1/nm: 1 laterally, 0.5 axially.

    Returns
    -------
    float
        At most 100; 0 where nothing is paired; NaN where there was nothing to find and nothing found.

    References
    ----------
    Sage et al., Nat. Methods 16, 387 (2019), DOI 10.1038/s41592-019-0364-4.
    """
    if jaccard == 0:
        return 0.0
    return float(100 - np.hypot(100 - 100 * jaccard, alpha * rmse_nm))


def plain(value: Any) -> Any:
    """Turn results into what JSON can hold.

    Parameters
    ----------
    value : Any
        Numbers, strings, sequences, mappings, NumPy arrays and scalars.

    Returns
    -------
    Any
        The same with lists, Python numbers, and None for what is not finite.
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")
