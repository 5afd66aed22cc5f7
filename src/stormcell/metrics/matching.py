"""Pairs of localizations and true emitters, frame by frame, by the rules of the 2016 localization challenge.

Among all pairs within the tolerance, those are chosen whose squared distances, and a fixed cost for every possible
pair left apart, sum to the least. With `unmatched_cost` 1 that cost is the largest squared distance a pair may have:
a pair is formed wherever it can be, but two far pairs do not replace one close one. The challenge asks for the
optimal assignment on squared distances within the tolerance and leaves that cost open. One published coding of it
fills the cost matrix with 10 times the squared tolerances (lateral plus axial) wherever a pair is too far; that
equals `unmatched_cost` 10 in 3-D and 50 in 2-D and prefers more pairs to closer ones. Where no row has two candidates
the rules do not differ.

References
----------
Sage et al., Nat. Methods 16, 387 (2019), DOI 10.1038/s41592-019-0364-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import InputError, SettingsError
from stormcell.metrics.assignment import assign
from stormcell.metrics.neighbours import Points, find_close_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data import Localizations


@dataclass(frozen=True)
class Matches:
    """Pairs of rows.

    Parameters
    ----------
    table_row, truth_row : ndarray
        int64, shape (M,), rows of the two tables; each row at most once, in the order of the table.
    distance_nm : ndarray
        float64, shape (M,), lateral distance.
    """

    table_row: NDArray[np.int64]
    truth_row: NDArray[np.int64]
    distance_nm: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.table_row)

    def take(self, pairs: NDArray[np.bool_]) -> Matches:
        """Select pairs.

        Parameters
        ----------
        pairs : ndarray
            Boolean, shape (M,).

        Returns
        -------
        Matches
            Those pairs.
        """
        return Matches(self.table_row[pairs], self.truth_row[pairs], self.distance_nm[pairs])


def match_localizations(
    table: Localizations,
    truth: Localizations,
    tolerance_nm: float = 250.0,
    axial_tolerance_nm: float = 500.0,
    unmatched_cost: float = 1.0,
) -> Matches:
    """Pair localizations with true emitters.

    Parameters
    ----------
    table : Localizations
        With frame, x_nm, y_nm. Rows whose position is not finite stay without a partner.
    truth : Localizations
        With frame, x_nm, y_nm, all finite.
    tolerance_nm : float
        Largest lateral distance of a pair, inclusive, > 0.
    axial_tolerance_nm : float
        Largest axial distance, inclusive, > 0; used, and the axial distance added to the cost, where both tables have
        z_nm.
    unmatched_cost : float
        At least 1; see the notes of this module.

    Returns
    -------
    Matches
        The best pairing, exactly; where several are equally good, one of them.

    Raises
    ------
    MissingColumnError
        A table lacks frame, x_nm or y_nm.
    SettingsError
        A tolerance is not above 0, or unmatched_cost below 1.
    InputError
        A true position is not finite, or far too many pairs are possible.

    Examples
    --------
    >>> from stormcell.data import Localizations
    >>> truth = Localizations({"frame": [0, 0], "x_nm": [0.0, 200.0], "y_nm": [0.0, 0.0]})
    >>> table = Localizations({"frame": [0, 1], "x_nm": [170.0, 0.0], "y_nm": [0.0, 0.0]})
    >>> match_localizations(table, truth).truth_row.tolist()
    [1]
    """
    if not (tolerance_nm > 0 and axial_tolerance_nm > 0 and unmatched_cost >= 1):
        msg = (
            "expected tolerances above 0 nm and an unmatched cost of at least 1, "
            f"got {tolerance_nm}, {axial_tolerance_nm} and {unmatched_cost}"
        )
        raise SettingsError(msg)
    with_depth = has_depth(table, truth)
    usable = np.flatnonzero(finite_rows(table, with_depth))
    a, b = points_of(table.take(usable), with_depth), points_of(truth, with_depth)
    if not np.isfinite(b.xyz_nm).all():
        n_bad = np.count_nonzero(~finite_rows(truth, with_depth))
        msg = f"expected finite positions in the truth, got {n_bad} rows that are not; take them out"
        raise InputError(msg)
    pairs = find_close_pairs(a, b, tolerance_nm, axial_tolerance_nm)
    dearest = tolerance_nm**2 + (axial_tolerance_nm**2 if with_depth else 0.0)
    partner = assign(pairs, unmatched_cost * dearest)
    paired = np.flatnonzero(partner >= 0)
    row_a, row_b = pairs.order_a[paired], pairs.order_b[partner[paired]]
    in_order = np.argsort(row_a)
    row_a, row_b = row_a[in_order], row_b[in_order]
    offset = a.xyz_nm[row_a, :2] - b.xyz_nm[row_b, :2]
    return Matches(usable[row_a], row_b, np.hypot(offset[:, 0], offset[:, 1]))


def has_depth(table: Localizations, truth: Localizations) -> bool:
    """Tell whether both tables have depths.

    Parameters
    ----------
    table, truth : Localizations
        The tables to be compared.

    Returns
    -------
    bool
        Whether both have z_nm.
    """
    return "z_nm" in table and "z_nm" in truth


def finite_rows(table: Localizations, with_depth: bool) -> NDArray[np.bool_]:
    """Find the rows that have a position.

    Parameters
    ----------
    table : Localizations
        With x_nm, y_nm, and z_nm where depth plays a part.
    with_depth : bool
        Whether it does.

    Returns
    -------
    ndarray
        Boolean, shape (N,).
    """
    finite: NDArray[np.bool_] = np.isfinite(table["x_nm"]) & np.isfinite(table["y_nm"])
    if with_depth:
        finite &= np.isfinite(table["z_nm"])
    return finite


def points_of(table: Localizations, with_depth: bool) -> Points:
    """Take the positions out of a table.

    Parameters
    ----------
    table : Localizations
        With frame, x_nm, y_nm, and z_nm where depth plays a part.
    with_depth : bool
        Whether it does.

    Returns
    -------
    Points
        In the order of the table.
    """
    z = table["z_nm"] if with_depth else np.zeros(table.n_rows)
    return Points(table["frame"], np.stack([table["x_nm"], table["y_nm"], z], axis=1))
