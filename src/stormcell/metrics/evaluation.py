"""Localizations against the truth: everything that is reported about a table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import MissingColumnError, MissingQuantityError
from stormcell.metrics.evaluation_settings import EvaluationSettings
from stormcell.metrics.matching import Matches, finite_rows, has_depth, match_localizations, points_of
from stormcell.metrics.neighbours import count_close
from stormcell.metrics.pair_quality import PairQuality, judge_pairs
from stormcell.metrics.point_sets import rmsmd
from stormcell.metrics.scores import DetectionScore, plain, score_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data import Localizations, PixelGrid

_STREAM = 0x5CA7


@dataclass(frozen=True)
class FrameCounts:
    """Rows in each frame that has any.

    Parameters
    ----------
    frame : ndarray
        int64, shape (F,), frame indices, rising.
    n_truth, n_table : ndarray
        int64, shape (F,), emitters and localizations.
    """

    frame: NDArray[np.int64]
    n_truth: NDArray[np.int64]
    n_table: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Sum up.

        Returns
        -------
        dict
            Numbers of frames with rows in either table, without localizations though there are emitters, and the
            reverse; means of rows over the frames with rows in either.
        """
        return {
            "n_frames": len(self.frame),
            "n_frames_without_localizations": int(np.count_nonzero(self.n_table == 0)),
            "n_frames_without_emitters": int(np.count_nonzero(self.n_truth == 0)),
            "emitters_per_frame": plain(self.n_truth.mean() if len(self.frame) else np.nan),
            "localizations_per_frame": plain(self.n_table.mean() if len(self.frame) else np.nan),
        }


@dataclass(frozen=True)
class Evaluation(DetectionScore):
    """A table's scores at the main tolerance, and what else is reported.

    Parameters
    ----------
    further : tuple of DetectionScore
        At the further tolerances, each with pairs of its own.
    random : tuple of DetectionScore
        What as many random points in each frame would score at the main and the further tolerances: the floor.
    quality : dict of str to PairQuality
        For all, isolated and crowded emitters, on pairs within `quality_tolerance_nm`.
    frames : FrameCounts
        Rows in each frame.
    rmsmd_nm : float
        Root mean square minimum distance between all found and all true positions, frames aside.
    n_not_finite : int
        Rows of the table left out because their position is not a number.
    settings : EvaluationSettings
        How it was scored.
    """

    further: tuple[DetectionScore, ...]
    random: tuple[DetectionScore, ...]
    quality: dict[str, PairQuality]
    frames: FrameCounts
    rmsmd_nm: float
    n_not_finite: int
    settings: EvaluationSettings

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain numbers.

        Returns
        -------
        dict
            Ready for JSON; None for NaN.
        """
        main = {item.name: plain(getattr(self, item.name)) for item in fields(DetectionScore)}
        return {
            **main,
            "rmsmd_nm": plain(self.rmsmd_nm),
            "further": [score.to_dict() for score in self.further],
            "random": [score.to_dict() for score in self.random],
            "quality": {name: quality.to_dict() for name, quality in self.quality.items()},
            "frames": self.frames.to_dict(),
            "n_not_finite": self.n_not_finite,
            "settings": self.settings.model_dump(mode="json"),
        }


def evaluate_localizations(
    table: Localizations,
    truth: Localizations,
    settings: EvaluationSettings | None = None,
    *,
    field: PixelGrid | None = None,
    **options: Any,
) -> Evaluation:
    """Score localizations against true emitters by the rules of the 2016 challenge.

    Parameters
    ----------
    table : Localizations
        With frame, x_nm, y_nm; z_nm, photons and uncertainties are judged where they are there. Rows whose position
        is not finite are left out and counted.
    truth : Localizations
        With frame, x_nm, y_nm.
    settings : EvaluationSettings, optional
        None takes the defaults.
    field : PixelGrid, optional
        The field of view, for the rim and the random points; None takes the grid of the truth or of the table. The
        random points lie in the box round all positions where there is none.
    **options : Any
        Settings by name, for example tolerance_nm=250, rim_nm=500.

    Returns
    -------
    Evaluation
        All frames together.

    Raises
    ------
    SettingsError
        An option is unknown or impossible.
    MissingColumnError
        A table lacks a column.
    MissingQuantityError
        A rim is asked for, but no field is known.
    InputError
        A true position is not finite.

    Examples
    --------
    >>> from stormcell.data import Localizations
    >>> truth = Localizations({"frame": [0, 1], "x_nm": [0.0, 50.0], "y_nm": [0.0, 0.0]})
    >>> table = Localizations({"frame": [0], "x_nm": [3.0], "y_nm": [4.0]})
    >>> score = evaluate_localizations(table, truth, tolerance_nm=100)
    >>> score.jaccard, score.rmse_nm
    (0.5, 5.0)
    """
    settings = (settings or EvaluationSettings()).replace(**options)
    with_depth = has_depth(table, truth)
    finite = finite_rows(table, with_depth)
    n_not_finite = int(len(finite) - np.count_nonzero(finite))
    table = table if n_not_finite == 0 else table.take(finite)
    judge = _Judge(truth, field or truth.grid or table.grid, settings)
    tolerances = (settings.tolerance_nm, *settings.further_tolerances_nm)
    pairs = {one: judge.pairs(table, one) for one in {*tolerances, settings.quality_tolerance_nm}}
    scores = [judge.score(table, tolerance, *pairs[tolerance]) for tolerance in tolerances]
    scattered = _scattered(table, truth, judge.field, settings.seed)
    main = {item.name: getattr(scores[0], item.name) for item in fields(DetectionScore)}
    return Evaluation(
        **main,
        further=tuple(scores[1:]),
        random=tuple(judge.score(scattered, one, *judge.pairs(scattered, one)) for one in tolerances),
        quality=judge.quality(table, pairs[settings.quality_tolerance_nm][0]),
        frames=_frame_counts(table, truth),
        rmsmd_nm=rmsmd(table.positions_nm, truth.positions_nm),
        n_not_finite=n_not_finite,
        settings=settings,
    )


class _Judge:
    """Pairs with one truth, and which rows count: known once, used at every tolerance."""

    def __init__(self, truth: Localizations, field: PixelGrid | None, settings: EvaluationSettings) -> None:
        self.truth, self.field, self.settings = truth, field, settings
        self.counts_in_truth = _inside_rim(truth, field, settings.rim_nm) & _significant(truth, settings)

    def pairs(self, table: Localizations, tolerance_nm: float) -> tuple[Matches, int]:
        """Pair all rows, then drop what does not count; also return how many localizations count."""
        settings = self.settings
        matches = match_localizations(
            table, self.truth, tolerance_nm, settings.axial_tolerance_nm, settings.unmatched_cost
        )
        alone = np.ones(table.n_rows, np.bool_)
        alone[matches.table_row] = False
        n_alone = np.count_nonzero(alone & _inside_rim(table, self.field, settings.rim_nm))
        kept = matches.take(self.counts_in_truth[matches.truth_row])
        return kept, len(kept) + int(n_alone)

    def score(self, table: Localizations, tolerance_nm: float, matches: Matches, n_table: int) -> DetectionScore:
        with_depth = has_depth(table, self.truth)
        found = points_of(table, with_depth).xyz_nm[matches.table_row]
        true = points_of(self.truth, with_depth).xyz_nm[matches.truth_row]
        n_truth = int(np.count_nonzero(self.counts_in_truth))
        return score_pairs(tolerance_nm, found - true, n_table, n_truth, with_depth)

    def quality(self, table: Localizations, matches: Matches) -> dict[str, PairQuality]:
        emitters = points_of(self.truth, with_depth=False)
        isolated = count_close(emitters, emitters, self.settings.isolation_nm)[matches.truth_row] == 1
        groups = {"all": np.ones(len(matches), np.bool_), "isolated": isolated, "crowded": ~isolated}
        return {name: judge_pairs(table, self.truth, matches.take(group)) for name, group in groups.items()}


def _inside_rim(table: Localizations, field: PixelGrid | None, rim_nm: float) -> NDArray[np.bool_]:
    if rim_nm == 0:
        return np.ones(table.n_rows, np.bool_)
    if field is None:
        msg = "a rim needs a field of view, but neither table has a grid; give the field, or leave rim_nm at 0"
        raise MissingQuantityError(msg)
    inside = np.ones(table.n_rows, np.bool_)
    for name, origin, extent in zip(("y_nm", "x_nm"), field.origin_nm, field.extent_nm, strict=True):
        inside &= (table[name] >= origin + rim_nm) & (table[name] <= origin + extent - rim_nm)
    return inside


def _significant(truth: Localizations, settings: EvaluationSettings) -> NDArray[np.bool_]:
    share = settings.insignificant_share
    if share is None:
        return np.ones(truth.n_rows, np.bool_)
    if "on_fraction" in truth:
        return truth["on_fraction"] >= share
    if not ("emitter_id" in truth and "photons" in truth):
        msg = "insignificant_share needs on_fraction, or emitter_id and photons, in the truth, which has neither"
        raise MissingColumnError(msg)
    # an emitter's brightest frame stands for a frame in which it was on throughout
    _, emitter = np.unique(truth["emitter_id"], return_inverse=True)
    brightest = np.zeros(emitter.max(initial=-1) + 1)
    np.maximum.at(brightest, emitter, truth["photons"])
    significant: NDArray[np.bool_] = truth["photons"] >= share * brightest[emitter]
    return significant


def _scattered(table: Localizations, truth: Localizations, field: PixelGrid | None, seed: int) -> Localizations:
    """Put as many points as the table has into each frame, anywhere in the field."""
    # a stream of its own: with the bare seed the points could be those of a simulation of the same seed
    rng = np.random.default_rng([seed, _STREAM])
    columns: dict[str, Any] = {"frame": table["frame"]}
    axes = ("x_nm", "y_nm", "z_nm") if has_depth(table, truth) else ("x_nm", "y_nm")
    for name in axes:
        known = np.concatenate([truth[name], table[name]])
        low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
        if field is not None and name != "z_nm":
            axis = ("y_nm", "x_nm").index(name)
            low, high = field.origin_nm[axis], field.origin_nm[axis] + field.extent_nm[axis]
        columns[name] = rng.uniform(low, high, table.n_rows)
    return type(table)(columns)


def _frame_counts(table: Localizations, truth: Localizations) -> FrameCounts:
    frames = np.unique(np.concatenate([table["frame"], truth["frame"]]))
    counts = (np.bincount(np.searchsorted(frames, one["frame"]), minlength=len(frames)) for one in (truth, table))
    return FrameCounts(frames, *counts)
