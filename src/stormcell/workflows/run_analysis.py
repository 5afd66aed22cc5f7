"""The stages of a run, one after the other."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.sr_image import SRImage
from stormcell.errors import StormcellWarning
from stormcell.localization.flags import mask_of
from stormcell.workflows.localize import localize_surveyed
from stormcell.workflows.opening import open_image
from stormcell.workflows.pictures import MEAN_OF_FRAMES
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.report_content import flatness_notes
from stormcell.workflows.report_facts import result_numbers
from stormcell.workflows.run_check import check_numbers, check_run
from stormcell.workflows.run_densify import densified_numbers, densify_run
from stormcell.workflows.run_resolution import measure_resolution
from stormcell.workflows.run_result import RunResult
from stormcell.workflows.survey import Survey

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.localization.drift import DriftCurve
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_settings import RunVerbSettings
    from stormcell.workflows.stopwatch import Stopwatch

SR_PIXELS_PER_CAMERA_PIXEL = 8
_LEAST_SIGNIFICANT = 2.0
FAILED_FLAGS = ("not_converged",)


def analyse(
    stack: FrameStack,
    context: MovieContext,
    settings: RunVerbSettings,
    progress: Progress | None,
    watch: Stopwatch,
) -> RunResult:
    """Localize, take the drift out, draw, compare with the wide field.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    context : MovieContext
        Its camera and pixel size.
    settings : RunVerbSettings
        How.
    progress : callable or None
        Told of stages.
    watch : Stopwatch
        Times the stages.

    Returns
    -------
    RunResult
        Without a record yet.
    """
    from stormcell.rendering import render

    survey = Survey(stack)
    found = localize_surveyed(survey, context, settings, progress)
    watch.lap("localize")
    table, curve, drift_note = _without_drift(found.table, settings, progress)
    watch.lap("drift")
    begin_stage(progress, "Drawing")
    sr_pixel_size_nm = settings.sr_pixel_size_nm or context.camera_pixel_size_nm / SR_PIXELS_PER_CAMERA_PIXEL
    grid = stack.grid(context.camera_pixel_size_nm)
    drawn = rows_to_draw(table, settings)
    image = render(drawn, sr_pixel_size_nm, settings.mode, grid=grid, settings=settings.rendering)
    for sentence in image.provenance.warnings if image.provenance is not None else ():
        warnings.warn(sentence, StormcellWarning, stacklevel=2)
    watch.lap("render")
    begin_stage(progress, "Measuring the resolution")
    resolution = measure_resolution(drawn, grid, settings.linking)
    watch.lap("resolution")
    begin_stage(progress, "Comparing with the wide field")
    widefield = _widefield(survey, context, settings)
    checked, check_notes = check_run(image, drawn, widefield, (stack, context, settings))
    watch.lap("error_map")
    densified = densify_run(drawn, widefield, settings, progress)
    watch.lap("densify")
    numbers = _numbers(table, curve, grid) | check_numbers(checked, resolution) | densified_numbers(densified)
    numbers["n_drawn"] = float(drawn.n_rows)
    for sentence in flatness_notes(drawn, context.camera_pixel_size_nm):
        warnings.warn(sentence, StormcellWarning, stacklevel=2)
    notes = (
        *found.notes,
        drift_note,
        _drawn_note(table, drawn),
        *(image.provenance.notes if image.provenance else ()),
        *check_notes,
    )
    return RunResult(
        table,
        drawn,
        image,
        widefield,
        None if checked is None else checked.comparison.error,
        curve,
        numbers,
        checked=checked,
        densified=densified,
        quantities=(*context.quantities, *found.quantities),
        notes=tuple(note for note in notes if note),
        resolution=resolution,
    )


def _numbers(table: Localizations, curve: DriftCurve | None, grid: PixelGrid) -> dict[str, float]:
    height, width = grid.extent_nm
    numbers = result_numbers(table, height * width / 1e6)
    if curve is not None:
        numbers["drift_span_nm"] = math.hypot(float(np.ptp(curve.x_nm)), float(np.ptp(curve.y_nm)))
    return numbers


def rows_to_draw(table: Localizations, settings: RunVerbSettings) -> Localizations:
    """Choose the rows that go into the picture.

    Parameters
    ----------
    table : Localizations
        All rows.
    settings : RunVerbSettings
        `where`, `draw_failed`, `merge_bursts`.

    Returns
    -------
    Localizations
        Rows to draw.
    """
    if not settings.draw_failed and "flags" in table:
        table = table.take((table["flags"] & mask_of(FAILED_FLAGS)) == 0)
    if settings.where is not None:
        from stormcell.localization.filtering import filter_localizations

        table = filter_localizations(table, settings.where)
    if settings.merge_bursts and table.n_rows:
        from stormcell.localization.linking import link_localizations

        table = link_localizations(table, settings.linking)
    return table


def is_significant(curve: DriftCurve) -> bool:
    """Tell whether a drift curve is more than its own uncertainty.

    Parameters
    ----------
    curve : DriftCurve
        Estimated from the table itself.

    Returns
    -------
    bool
        True where the movement about its mean is more than twice the stated uncertainty along either axis: below
        that, taking it out would add more error than it removes.
    """
    axes = ((curve.x_nm, curve.uncertainty_x_nm), (curve.y_nm, curve.uncertainty_y_nm))
    return any(np.std(moved) > _LEAST_SIGNIFICANT * np.median(uncertain) for moved, uncertain in axes)


def _without_drift(
    table: Localizations, settings: RunVerbSettings, progress: Progress | None
) -> tuple[Localizations, DriftCurve | None, str]:
    """Take the drift out where there is any; say so where there is none."""
    from stormcell.localization.drift import TooLittleStructureError, correct_drift, estimate_drift

    if not settings.correct_drift or not table.n_rows:
        return table, None, ""
    try:
        curve = estimate_drift(table, settings.drift, begin_stage(progress, "Correlating"))
    except TooLittleStructureError as error:
        warnings.warn(f"drift was not corrected: {error}", StormcellWarning, stacklevel=3)
        return table, None, ""
    if not is_significant(curve):
        least = float(np.median(np.hypot(curve.uncertainty_x_nm, curve.uncertainty_y_nm)))
        return table, None, f"no drift beyond its uncertainty of {least:.0f} nm was seen, so none was taken out"
    return correct_drift(table, curve), curve, ""


def _drawn_note(table: Localizations, drawn: Localizations) -> str:
    if drawn.n_rows == table.n_rows:
        return ""
    return (
        f"{drawn.n_rows:,} of {table.n_rows:,} rows are drawn: fits that failed, and what the options leave out, are "
        "in the table but not in the picture"
    )


def _widefield(survey: Survey, context: MovieContext, settings: RunVerbSettings) -> SRImage:
    if settings.widefield is not None:
        return open_image(settings.widefield, settings.widefield_pixel_size_nm)
    return SRImage(survey.mean_image(), survey.stack.grid(context.camera_pixel_size_nm), MEAN_OF_FRAMES)
