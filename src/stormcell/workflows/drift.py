"""drift: estimate the sample drift from a table and take it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.localization.drift import DriftSettings
from stormcell.workflows.opening import PathLike, fingerprint, open_table
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_table, stem
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.table_settings import TableSettings
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations
    from stormcell.localization.drift import DriftCurve
    from stormcell.workflows.progress import Progress


class DriftVerbSettings(TableSettings):
    """How drift is found."""

    drift: DriftSettings = DriftSettings()
    """How the table is cut into pieces of time and correlated."""


@dataclass(frozen=True)
class DriftResult:
    """A table without drift, and the drift that was taken out.

    Parameters
    ----------
    table : Localizations
        Positions as if the sample had stayed where it was in the first frame.
    curve : DriftCurve
        The movement of the sample, frame by frame.
    outputs : tuple of Path
        Files written.
    """

    table: Localizations
    curve: DriftCurve
    outputs: tuple[Path, ...] = ()


@with_remote_places
def drift(
    table: PathLike | Localizations,
    settings: DriftVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> DriftResult:
    """Estimate the sample drift from a table and take it out.

    Parameters
    ----------
    table : path or Localizations
        The table.
    settings : DriftVerbSettings, optional
        How to cut and correlate.
    output : path, optional
        Write the corrected table there; the curve goes beside it as `<stem>_curve.csv` and `<stem>_curve.png`.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total).
    **options : object
        Fields of the settings.

    Returns
    -------
    DriftResult
        The corrected table and the curve.

    Raises
    ------
    InputError
        The file is no table, or holds too little structure to see drift in it.
    """
    from stormcell.localization.drift import correct_drift, estimate_drift

    wanted = build_settings(DriftVerbSettings, settings, options)
    curve_paths = _prepare(output, overwrite)
    rows = open_table(table, wanted.pixel_size_nm, wanted.columns)
    with collect_warnings() as messages:
        curve = estimate_drift(rows, wanted.drift, begin_stage(progress, "Correlating"))
        corrected = correct_drift(rows, curve)
    record = make_record("drift", wanted, inputs=fingerprint(table), parent=rows.provenance)
    corrected = corrected.with_context(provenance=record.with_warnings(*messages))
    if output is None:
        return DriftResult(corrected, curve)
    write(corrected, output, overwrite=overwrite)
    write_drift_curve(curve, curve_paths, overwrite)
    return DriftResult(corrected, curve, (Path(output), *curve_paths))


def write_drift_curve(curve: DriftCurve, paths: tuple[Path, Path], overwrite: bool) -> None:
    """Write a drift curve as a table and as a picture.

    Parameters
    ----------
    curve : DriftCurve
        The curve.
    paths : tuple of Path
        The .csv (frames counted from 0) and the .png.
    overwrite : bool
        Whether existing files may be replaced.
    """
    from stormcell.io.writing import write_bytes, write_text
    from stormcell.rendering.plots import Curve, plot_curves

    columns = (curve.frame, curve.x_nm, curve.y_nm, curve.uncertainty_x_nm, curve.uncertainty_y_nm)
    lines = ["frame,drift_x_nm,drift_y_nm,uncertainty_x_nm,uncertainty_y_nm"]
    lines += [f"{row[0]},{','.join(f'{value:.4f}' for value in row[1:])}" for row in zip(*columns, strict=True)]
    write_text(paths[0], "\n".join(lines) + "\n", overwrite)
    curves = [Curve(curve.frame, curve.x_nm, "x"), Curve(curve.frame, curve.y_nm, "y")]
    write_bytes(paths[1], plot_curves(curves, "frame", "drift [nm]"), overwrite)


def _prepare(output: PathLike | None, overwrite: bool) -> tuple[Path, Path]:
    from stormcell.io.writing import check_writable

    if output is None:
        return Path(), Path()
    prepare_table(output, overwrite)
    base = Path(output).parent / f"{stem(output)}_curve"
    paths = (base.with_name(base.name + ".csv"), base.with_name(base.name + ".png"))
    for path in paths:
        check_writable(path, overwrite)
    return paths
