"""Link the localizations of one burst over consecutive frames and merge them into one row.

A fluorophore that stays on for several frames gives one row per frame; counted singly these are neither independent
nor as precise as their merged position. Rows are linked frame by frame: every open burst is compared with every new
row within reach and the pairs are taken by growing distance until none is left, each burst and each row at most once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stormcell.errors import InputError
from stormcell.localization.burst_search import assign_bursts
from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations


class LinkSettings(Settings):
    """How far apart in space and time rows may lie to belong to one burst."""

    max_distance_uncertainties: float = Field(default=4.0, gt=0, le=20)
    """Largest distance between a row and its burst, in units of their combined stated uncertainty."""
    max_distance_nm: float | None = Field(default=None, gt=0)
    """Largest distance in nm; needed where the table states no uncertainty, an additional limit where it does."""
    max_gap_frames: int = Field(default=1, ge=0, le=1000)
    """Frames a fluorophore may be dark inside a burst; 0 links only directly consecutive frames."""


@dataclass(frozen=True)
class OnTimes:
    """How many frames bursts lasted.

    Parameters
    ----------
    n_detections : ndarray
        Shape (K,): 1, 2, ... K frames.
    count : ndarray
        Shape (K,): bursts with that many detections.
    mean_detections : float
        Mean number of frames per burst; NaN without bursts.
    time_constant_frames : float
        Time constant of an exponential on-time with that mean, in frames: -1 / ln(1 - 1 / mean). 0 where every burst
        lasts one frame, NaN without bursts.
    """

    n_detections: NDArray[np.int64]
    count: NDArray[np.int64]
    mean_detections: float
    time_constant_frames: float


def link_localizations(table: Localizations, settings: LinkSettings | None = None) -> Localizations:
    """Merge the rows of each burst into one.

    Parameters
    ----------
    table : Localizations
        With `frame`, `x_nm`, `y_nm`; stated uncertainties and `z_nm` are used where they are there.
    settings : LinkSettings, optional
        Limits in space and time.

    Returns
    -------
    Localizations
        One row per burst, ordered by first frame: positions weighted by 1 / uncertainty^2 (by photons where no
        uncertainty is stated), uncertainties combined, photons summed, background averaged, `frame` the first frame,
        `n_detections` the number of rows merged.

    Raises
    ------
    InputError
        No uncertainty is stated and no `max_distance_nm` given, or a position is not finite.
    """
    burst = assign_tracks(table, settings)
    return merge_tracks(table, burst)


def assign_tracks(table: Localizations, settings: LinkSettings | None = None) -> NDArray[np.int64]:
    """Tell which burst each row belongs to, without merging.

    Parameters
    ----------
    table : Localizations
        As in `link_localizations`; rows of different `channel` are never linked.
    settings : LinkSettings, optional
        Limits in space and time.

    Returns
    -------
    ndarray
        Shape (N,): 0, 1, ... in order of first frame.

    Raises
    ------
    InputError
        No uncertainty is stated and no `max_distance_nm` given, or a position is not finite.
    """
    settings = settings or LinkSettings()
    _check_positions(table)
    if not len(table):
        return np.empty(0, dtype=np.int64)
    order = np.argsort(table["frame"], kind="stable")
    positions, variances, uses_uncertainty = _positions_and_variances(table, settings)
    limit_nm = np.inf if settings.max_distance_nm is None else settings.max_distance_nm
    limit_sigma = settings.max_distance_uncertainties if uses_uncertainty else np.inf
    reach = min(limit_nm, limit_sigma * np.sqrt(2 * variances[:, :2].max()) if uses_uncertainty else np.inf)
    channel = table["channel"] if "channel" in table else np.zeros(len(table))
    burst = np.empty(len(table), dtype=np.int64)
    burst[order] = assign_bursts(
        np.ascontiguousarray(table["frame"][order]),
        np.ascontiguousarray(positions[order]),
        np.ascontiguousarray(variances[order]),
        channel[order].astype(np.int64),
        (float(limit_sigma) ** 2, float(limit_nm) ** 2, settings.max_gap_frames, max(float(reach), 1e-6)),
    )
    return burst


def on_times(linked: Localizations) -> OnTimes:
    """Count how many frames the bursts of a linked table lasted.

    Parameters
    ----------
    linked : Localizations
        With `n_detections`, as `link_localizations` returns it.

    Returns
    -------
    OnTimes
        The distribution and its exponential time constant. Frames cut bursts into whole frames, so the constant is
        that of the detections: an on-time far below one frame reads as 0.
    """
    detections = linked["n_detections"]
    if not len(detections):
        none = np.empty(0, dtype=np.int64)
        return OnTimes(none, none, float("nan"), float("nan"))
    count = np.bincount(detections)[1:]
    mean = float(detections.mean())
    constant = -1.0 / np.log1p(-1.0 / mean) if mean > 1 else 0.0
    return OnTimes(np.arange(1, len(count) + 1), count, mean, float(constant))


def merge_tracks(table: Localizations, track: NDArray[np.int64]) -> Localizations:
    """Merge the rows that carry the same track number.

    Parameters
    ----------
    table : Localizations
        Any table with `frame`, `x_nm`, `y_nm`.
    track : ndarray
        Shape (N,): 0, 1, ... without gaps.

    Returns
    -------
    Localizations
        One row per track, in the order of the numbers; how each column is merged is told in `link_localizations`.
        `track_id` is dropped.
    """
    if len(table):
        merge = _Merge(table, track)
        columns = {name: merge.column(name) for name in table.names if name not in ("track_id", "n_detections")}
        counted = table["n_detections"] if "n_detections" in table else np.ones(len(table), dtype=np.int64)
        return (
            table.take(merge.first)
            .without_columns("track_id")
            .with_columns(**columns, n_detections=merge.total(counted))
        )
    return table.without_columns("track_id").with_columns(n_detections=np.empty(0, dtype=np.int64))


def _check_positions(table: Localizations) -> None:
    for name in ("x_nm", "y_nm"):
        bad = ~np.isfinite(table[name])
        if bad.any():
            msg = (
                f"expected finite positions to link, got {int(bad.sum())} rows whose {name} is not; "
                f"remove them first (filter with '{name} == {name}')"
            )
            raise InputError(msg)


def _positions_and_variances(
    table: Localizations, settings: LinkSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Shape (N, 3) each; without z its variance is infinite, so that it never decides."""
    n = len(table)
    positions = np.zeros((n, 3))
    positions[:, 0], positions[:, 1] = table["x_nm"], table["y_nm"]
    variances = np.ones((n, 3))
    variances[:, 2] = np.inf
    stated = "uncertainty_x_nm" in table and "uncertainty_y_nm" in table
    if not stated and settings.max_distance_nm is None:
        msg = (
            "expected uncertainty_x_nm and uncertainty_y_nm to know which rows may be one burst, the table "
            "lacks them; pass --max-distance-nm (for example 50)"
        )
        raise InputError(msg)
    if stated:
        variances[:, 0] = _usable_variance(table["uncertainty_x_nm"], "uncertainty_x_nm")
        variances[:, 1] = _usable_variance(table["uncertainty_y_nm"], "uncertainty_y_nm")
        if "z_nm" in table and "uncertainty_z_nm" in table and np.isfinite(table["z_nm"]).all():
            positions[:, 2] = table["z_nm"]
            variances[:, 2] = _usable_variance(table["uncertainty_z_nm"], "uncertainty_z_nm")
    return positions, variances, stated


def _usable_variance(uncertainty: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Square; hopeless values are held at 3 times the 90th percentile, or one row would reach across the field."""
    good = np.isfinite(uncertainty) & (uncertainty > 0)
    if not good.any():
        msg = f"expected {name} above 0 nm in at least one row, got none"
        raise InputError(msg)
    ceiling = 3.0 * np.percentile(uncertainty[good], 90)
    usable: NDArray[np.float64] = np.where(good, np.minimum(uncertainty, ceiling), ceiling) ** 2
    return usable


_SUMMED = frozenset({"photons", "intensity_adu", "log_likelihood"})
_ROOT_SUM_SQUARED = frozenset({"uncertainty_photons", "crlb_photons"})
_MEAN_OF_INDEPENDENT = frozenset({"uncertainty_background_photons", "uncertainty_psf_sigma_nm"})
_INVERSE_VARIANCE = frozenset(
    {f"{kind}_{axis}_nm" for kind in ("uncertainty", "crlb") for axis in "xyz"},
)
_LARGEST = frozenset({"iterations", "probability", "detection_snr"})


class _Merge:
    """Group-wise sums over the rows of each track."""

    def __init__(self, table: Localizations, track: NDArray[np.int64]) -> None:
        self._table = table
        self._track = track
        self._n = int(track.max()) + 1
        # A row order in which each track's rows stand together, earliest frame first.
        self._order = np.lexsort((table["frame"], track))
        starts = np.flatnonzero(np.diff(track[self._order], prepend=-1))
        self._starts = starts
        self.first = self._order[starts]
        self._count = np.bincount(track, minlength=self._n)

    def total(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(self._track, weights=values, minlength=self._n).astype(np.float64, copy=False)

    def mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return self.total(values) / self._count

    def column(self, name: str) -> NDArray[Any]:
        values = self._table[name]
        if name in ("x_nm", "y_nm", "z_nm"):
            return self._position(name)
        if name in _SUMMED:
            return self.total(values)
        if name in _ROOT_SUM_SQUARED:
            return np.sqrt(self.total(values**2))
        if name in _MEAN_OF_INDEPENDENT:
            return np.sqrt(self.total(values**2)) / self._count
        if name in _INVERSE_VARIANCE:
            with np.errstate(divide="ignore"):
                combined: NDArray[np.float64] = 1.0 / np.sqrt(self.total(_weight(values)))
            return np.where(np.isfinite(combined), combined, np.nan)
        if name in _LARGEST:
            return np.maximum.reduceat(values[self._order], self._starts)
        if name == "flags":
            return np.bitwise_or.reduceat(values[self._order], self._starts)
        return self.mean(values) if values.dtype.kind == "f" else values[self.first]

    def _position(self, name: str) -> NDArray[np.float64]:
        values, stated = self._table[name], f"uncertainty_{name}"
        if stated in self._table:
            weight = _weight(self._table[stated])
        elif "photons" in self._table:
            photons = self._table["photons"]
            weight = np.where(np.isfinite(photons) & (photons > 0), photons, 0.0)
        else:
            weight = np.ones(len(values))
        # Sums of deviations from the first row keep the digits that a sum of large coordinates would lose.
        reference = values[self.first]
        weight = np.where(self.total(weight)[self._track] > 0, weight, 1.0)
        shift = self.total(weight * (values - reference[self._track])) / self.total(weight)
        return reference + shift


def _weight(uncertainty: NDArray[Any]) -> NDArray[np.float64]:
    good = np.isfinite(uncertainty) & (uncertainty > 0)
    return np.where(good, 1.0 / np.where(good, uncertainty, 1.0) ** 2, 0.0)
