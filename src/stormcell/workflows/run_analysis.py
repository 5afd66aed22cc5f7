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
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.report_content import flatness_notes
from stormcell.workflows.report_facts import result_numbers
from stormcell.workflows.run_result import RunResult
from stormcell.workflows.survey import Survey

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.localization.drift import DriftCurve
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_settings import RunVerbSettings
    from stormcell.workflows.stopwatch import Stopwatch

SR_PIXELS_PER_CAMERA_PIXEL = 8
DOUBTFUL_FLAGS = ("not_converged", "position_at_bound", "sigma_at_bound")


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
    table, psf_sigma = localize_surveyed(survey, context, settings.localization, progress)
    watch.lap("localize")
    table, curve = _without_drift(table, settings, progress)
    watch.lap("drift")
    sr_pixel_size_nm = settings.sr_pixel_size_nm or context.camera_pixel_size_nm / SR_PIXELS_PER_CAMERA_PIXEL
    grid = stack.grid(context.camera_pixel_size_nm)
    drawn = rows_to_draw(table, settings)
    image = render(drawn, sr_pixel_size_nm, settings.mode, grid=grid, settings=settings.rendering)
    for sentence in image.provenance.warnings if image.provenance is not None else ():
        warnings.warn(sentence, StormcellWarning, stacklevel=2)
    watch.lap("render")
    begin_stage(progress, "Comparing with the wide field")
    widefield = _widefield(survey, context, settings)
    error_map, agreement = _compare(image, widefield)
    watch.lap("error_map")
    height, width = grid.extent_nm
    numbers = result_numbers(table, height * width / 1e6) | agreement
    numbers["n_drawn"] = float(drawn.n_rows)
    if curve is not None:
        numbers["drift_span_nm"] = math.hypot(float(np.ptp(curve.x_nm)), float(np.ptp(curve.y_nm)))
    for sentence in flatness_notes(drawn, context.camera_pixel_size_nm):
        warnings.warn(sentence, StormcellWarning, stacklevel=2)
    return RunResult(table, image, widefield, error_map, curve, numbers, (*context.quantities, psf_sigma))


def rows_to_draw(table: Localizations, settings: RunVerbSettings) -> Localizations:
    """Choose the rows that go into the picture.

    Parameters
    ----------
    table : Localizations
        All rows.
    settings : RunVerbSettings
        `where`, `draw_doubtful`, `merge_bursts`.

    Returns
    -------
    Localizations
        Rows to draw.
    """
    if not settings.draw_doubtful and "flags" in table:
        table = table.take((table["flags"] & mask_of(DOUBTFUL_FLAGS)) == 0)
    if settings.where is not None:
        from stormcell.localization.filtering import filter_localizations

        table = filter_localizations(table, settings.where)
    if settings.merge_bursts and table.n_rows:
        from stormcell.localization.linking import link_localizations

        table = link_localizations(table, settings.linking)
    return table


def _without_drift(
    table: Localizations, settings: RunVerbSettings, progress: Progress | None
) -> tuple[Localizations, DriftCurve | None]:
    from stormcell.localization.drift import TooLittleStructureError, correct_drift, estimate_drift

    if not settings.correct_drift or not table.n_rows:
        return table, None
    try:
        curve = estimate_drift(table, settings.drift, begin_stage(progress, "Correlating"))
    except TooLittleStructureError as error:
        warnings.warn(f"drift was not corrected: {error}", StormcellWarning, stacklevel=3)
        return table, None
    return correct_drift(table, curve), curve


def _widefield(survey: Survey, context: MovieContext, settings: RunVerbSettings) -> SRImage:
    if settings.widefield is not None:
        return open_image(settings.widefield, settings.widefield_pixel_size_nm)
    return SRImage(survey.mean_image(), survey.stack.grid(context.camera_pixel_size_nm), "mean ADU")


def _compare(image: SRImage, widefield: SRImage) -> tuple[SRImage | None, dict[str, float]]:
    """Compute the error map and its numbers; an empty picture has none."""
    from stormcell.assessment.squirrel import error_map
    from stormcell.errors import InputError

    if not image.pixels.any():
        return None, {}
    try:
        found = error_map(image, widefield)
    except InputError as error:
        warnings.warn(f"no error map was made: {error}", StormcellWarning, stacklevel=3)
        return None, {}
    numbers = {"rsp": found.rsp, "rse": found.rse, "rsf_sigma_nm": found.rsf_sigma_nm}
    return found.error, {name: float(value) for name, value in numbers.items()}
