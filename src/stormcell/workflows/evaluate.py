"""evaluate: compare a table with the truth."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.errors import DataQualityWarning
from stormcell.metrics.evaluation_settings import EvaluationSettings
from stormcell.workflows.opening import PathLike, open_table
from stormcell.workflows.options import build_settings
from stormcell.workflows.table_settings import TableSettings

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations
    from stormcell.metrics import Evaluation


class EvaluateVerbSettings(TableSettings):
    """How a table is scored."""

    evaluation: EvaluationSettings = EvaluationSettings()
    """Tolerances and rules."""

    truth_frame_shift: int = 0
    """Added to every frame number of the truth, where it counts from another frame than the table."""


def evaluate(
    table: PathLike | Localizations,
    truth: PathLike | Localizations,
    settings: EvaluateVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Evaluation:
    """Compare a table with the truth by the rules of the localization challenge.

    Parameters
    ----------
    table : path or Localizations
        What was found.
    truth : path or Localizations
        Where the emitters really are.
    settings : EvaluateVerbSettings, optional
        Tolerances and rules; or give them as options, for example `tolerance_nm=100`.
    output : path, optional
        Write the scores there as JSON, and a plot beside it as .png.
    overwrite : bool
        Whether existing files may be replaced.
    **options : object
        Fields of the settings.

    Returns
    -------
    Evaluation
        Jaccard, precision, recall, errors, efficiency; the same for random points; how true the uncertainties are.

    Raises
    ------
    InputError
        A file is no table, or lacks a column.

    Warns
    -----
    DataQualityWarning
        The two have no frame in common.
    """
    from stormcell.metrics import evaluate_localizations

    wanted = build_settings(EvaluateVerbSettings, settings, options)
    paths = _prepare(output, overwrite)
    found, true = (open_table(item, wanted.pixel_size_nm, _columns_for(item, wanted)) for item in (table, truth))
    true = _in_frames_of(found, true, wanted.truth_frame_shift)
    score = evaluate_localizations(found, true, wanted.evaluation)
    if output is not None:
        from stormcell.io.documents import write_json
        from stormcell.io.writing import write_bytes

        write_json(paths[0], score.to_dict(), overwrite)
        write_bytes(paths[1], _plot(score), overwrite)
    return score


def plot_path(output: PathLike) -> Path:
    """Name the plot that goes with a file of scores.

    Parameters
    ----------
    output : path
        The JSON file.

    Returns
    -------
    Path
        Beside it, ending in .png.
    """
    return Path(output).with_suffix(".png")


def _columns_for(table: PathLike | Localizations, wanted: EvaluateVerbSettings) -> tuple[str, ...] | None:
    """Give the names only to a file that does not speak for itself: the other one may have a header."""
    from stormcell.io.tables import is_table

    if wanted.columns is None or not isinstance(table, str | Path) or is_table(table):
        return None
    return wanted.columns


def _in_frames_of(found: Localizations, true: Localizations, shift: int) -> Localizations:
    """Shift the truth in time, and say where it then shares no frame with what was found."""
    import numpy as np

    if "frame" not in found or "frame" not in true or not (found.n_rows and true.n_rows):
        return true
    if shift:
        moved = true["frame"] + shift
        kept = moved >= 0
        true = true.take(kept).with_columns(frame=moved[kept])
        if true.n_frames is not None:
            true = true.with_context(n_frames=max(1, true.n_frames + shift))
    if not np.intersect1d(found["frame"], true["frame"]).size:
        ranges = [f"{item['frame'].min()} to {item['frame'].max()}" for item in (found, true) if item.n_rows]
        sentence = (
            f"table and truth have no frame in common (counted from 0: {' and '.join(ranges)}), so nothing can be "
            "paired; if they count from different frames, give --truth-frame-shift"
        )
        warnings.warn(sentence, DataQualityWarning, stacklevel=3)
    return true


def _prepare(output: PathLike | None, overwrite: bool) -> tuple[Path, Path]:
    from stormcell.errors import OutputError
    from stormcell.io.writing import check_writable

    if output is None:
        return Path(), Path()
    if Path(output).suffix.lower() != ".json":
        msg = f"expected a name ending in .json for the scores, got {Path(output).name}; choose one"
        raise OutputError(msg)
    paths = (Path(output), plot_path(output))
    for path in paths:
        check_writable(path, overwrite)
    return paths


def _plot(score: Evaluation) -> bytes:
    """Draw the scores against the tolerance, with those of random points."""
    from stormcell.rendering.plots import Curve, plot_curves

    levels = sorted((score, *score.further), key=lambda item: item.tolerance_nm)
    chance = sorted(score.random, key=lambda item: item.tolerance_nm)
    tolerance = [item.tolerance_nm for item in levels]
    curves = [Curve(tolerance, [getattr(item, name) for item in levels], name) for name in _SHOWN]
    curves.append(Curve(tolerance, [item.jaccard for item in chance], "jaccard of random points"))
    return plot_curves(curves, "tolerance [nm]", "score", y_limits=(0, 1))


_SHOWN = ("jaccard", "precision", "recall")
