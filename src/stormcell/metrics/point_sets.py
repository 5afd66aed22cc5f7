"""Distances between whole sets of points, without pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def rmsmd(positions_nm: ArrayLike, truth_nm: ArrayLike) -> float:
    """Root mean square minimum distance between found and true positions.

    Each point of either set looks for the nearest point of the other; the squares of all these distances are
    averaged. Frames play no part: it judges the picture that the points make.

    Parameters
    ----------
    positions_nm, truth_nm : array_like
        Shapes (N, D) and (M, D), finite; D is 2 or 3.

    Returns
    -------
    float
        In nm; 0 for equal sets, NaN where one of the sets is empty.

    Raises
    ------
    InputError
        The shapes do not fit, or a position is not finite.

    References
    ----------
    Sun, Sci. Rep. 8, 17211 (2018), DOI 10.1038/s41598-018-35053-8.

    Examples
    --------
    >>> rmsmd([[0, 0], [3, 0], [0, 0]], [[0, 0]])
    1.5
    """
    found, true = (np.asarray(points, dtype=np.float64) for points in (positions_nm, truth_nm))
    if found.ndim != 2 or true.ndim != 2 or found.shape[1] != true.shape[1]:
        msg = f"expected positions of shape (N, 2) or (N, 3) in both sets, got {found.shape} and {true.shape}"
        raise InputError(msg)
    if not (np.isfinite(found).all() and np.isfinite(true).all()):
        msg = "expected finite positions, got some that are not numbers; leave those rows out"
        raise InputError(msg)
    if len(found) == 0 or len(true) == 0:
        return float("nan")
    to_true, _ = KDTree(true).query(found, workers=-1)
    to_found, _ = KDTree(found).query(true, workers=-1)
    return float(np.sqrt((np.sum(to_true**2) + np.sum(to_found**2)) / (len(found) + len(true))))
