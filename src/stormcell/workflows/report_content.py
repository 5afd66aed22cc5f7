"""What the report of a run says: pictures, charts, numbers, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormcell.rendering.report import Chart, Number, Picture, ReportContent
from stormcell.rendering.report_charts import ChartText, bars_svg, histogram_svg, lines_svg
from stormcell.workflows.report_facts import Flatness, pixel_flatness, verdict

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from stormcell.assessment.frc import FrcResult
    from stormcell.data.localizations import Localizations
    from stormcell.localization.drift import DriftCurve

_TIME_BINS = 100
_FRACTION_BINS = 40


def report_content(
    table: Localizations,
    numbers: dict[str, float],
    pictures: tuple[tuple[Picture, ...], tuple[Picture, ...]],
    curves: tuple[DriftCurve | None, FrcResult | None],
    notes: tuple[str, ...],
) -> ReportContent:
    """Collect what the report says about a result; the caller adds title, sources and how to repeat it.

    Parameters
    ----------
    table : Localizations
        The localizations that are in the picture.
    numbers : dict of str to float
        Numbers of the result.
    pictures : tuple
        The pictures of the whole field, and the close-ups.
    curves : tuple
        The drift that was taken out, and the ring correlation; None where there is none.
    notes : tuple of str
        Warnings in plain words.

    Returns
    -------
    ReportContent
        Ready but for title, inputs, quantities and the command.
    """
    opinion = verdict(numbers, len(notes))
    return ReportContent(
        title="",
        verdict=opinion.sentence,
        level=opinion.level,
        numbers=large_numbers(numbers),
        pictures=pictures[0],
        zooms=pictures[1],
        charts=charts(table, *curves),
        warnings=notes,
    )


def large_numbers(numbers: dict[str, float]) -> tuple[Number, ...]:
    """Choose the numbers that are printed large.

    Parameters
    ----------
    numbers : dict of str to float
        Numbers of the result.

    Returns
    -------
    tuple of Number
        With units, in reading order.
    """
    kinds = (
        ("n_localizations", "Localizations", ",.0f", ""),
        ("n_frames", "Frames", ",.0f", ""),
        ("localizations_per_um2_and_frame", "Density", ".2g", "per \u00b5m\u00b2 and frame"),
        ("median_uncertainty_nm", "Uncertainty", ".1f", "nm (median)"),
        ("median_photons", "Photons", ",.0f", "(median)"),
        ("median_background_photons", "Background", ".1f", "photons per pixel"),
        ("frc_resolution_nm", "Resolution", ".0f", "nm (FRC of two halves)"),
        ("rsp", "Agreement with wide field", ".3f", "correlation (RSP)"),
        ("rse", "Error against wide field", ".3g", "RSE, wide-field units"),
        ("rsf_sigma_nm", "Blur of the wide field", ".0f", "nm (RSF sigma)"),
        ("share_measured", "Measured", ".0%", "of the intensity"),
        ("share_inferred", "Inferred", ".0%", "of the intensity"),
        ("share_contradicted", "Contradicted", ".0%", "of the intensity"),
        ("drift_span_nm", "Drift taken out", ".0f", "nm"),
    )
    shown = (item for item in kinds if item[0] in numbers and np.isfinite(numbers[item[0]]))
    return tuple(Number(label, format(numbers[key], form), unit) for key, label, form, unit in shown)


def charts(
    table: Localizations, curve: DriftCurve | None = None, resolution: FrcResult | None = None
) -> tuple[Chart, ...]:
    """Draw the distributions of a table.

    Parameters
    ----------
    table : Localizations
        All localizations.
    curve : DriftCurve, optional
        The drift that was taken out.
    resolution : FrcResult, optional
        The ring correlation of two halves.

    Returns
    -------
    tuple of Chart
        Only those for which the table has columns; none for an empty table.
    """
    if not table.n_rows:
        return ()
    drawn = [
        *_column_chart(table, "photons", "Photons", "photons", "Light of one emitter in one frame."),
        *_uncertainty_chart(table),
        *_column_chart(table, "background_photons", "Background", "photons per pixel", "Light under the emitters."),
        _time_chart(table),
        *_fraction_charts(table),
        *([_drift_chart(curve)] if curve is not None else []),
        *([_resolution_chart(resolution)] if resolution is not None else []),
    ]
    return tuple(drawn)


def flatness_notes(table: Localizations, camera_pixel_size_nm: float) -> list[str]:
    """Warn where localizations favour places within the camera pixel.

    Parameters
    ----------
    table : Localizations
        All localizations.
    camera_pixel_size_nm : float
        Side of a camera pixel.

    Returns
    -------
    list of str
        At most one sentence.
    """
    tests = {axis: pixel_flatness(table, axis, camera_pixel_size_nm) for axis in ("x", "y")}
    uneven = [axis for axis, test in tests.items() if test is not None and not test.is_flat]
    if not uneven:
        return []
    found = " and ".join(f"{axis} (D = {_statistic(tests[axis]):.2f})" for axis in uneven)
    return [
        f"positions are not spread evenly within the camera pixel in {found}: a grid may show in the picture; a "
        "wrong PSF width, overlapping emitters or straight structure can cause it"
    ]


def _statistic(test: Flatness | None) -> float:
    return test.statistic if test is not None else 0.0


def _column_chart(table: Localizations, column: str, title: str, unit: str, caption: str) -> list[Chart]:
    if column not in table:
        return []
    middle = float(np.nanmedian(table[column]))
    text = ChartText(unit, "localizations", f"Histogram of {title.lower()}: median {_round(middle)} {unit}.")
    return [Chart(histogram_svg(table[column], text), title, f"{caption} Median {_round(middle)}.")]


def _round(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _uncertainty_chart(table: Localizations) -> list[Chart]:
    if "uncertainty_x_nm" not in table or "uncertainty_y_nm" not in table:
        return []
    both = np.sqrt((table["uncertainty_x_nm"] ** 2 + table["uncertainty_y_nm"] ** 2) / 2)
    middle = float(np.nanmedian(both))
    text = ChartText("nm, standard deviation", "localizations", f"Histogram of uncertainty: median {middle:.3g} nm.")
    return [
        Chart(
            histogram_svg(both, text, quantile=0.98),
            "Uncertainty",
            f"How well each position is known, per axis. Median {middle:.3g} nm.",
        )
    ]


def _time_chart(table: Localizations) -> Chart:
    frame = table["frame"]
    n_frames = table.n_frames or int(frame.max()) + 1
    first = min(int(frame.min()), 0) if table.n_frames else 0
    n_bins = min(_TIME_BINS, max(1, n_frames))
    counts, edges = np.histogram(frame, bins=n_bins, range=(first, max(n_frames, int(frame.max()) + 1)))
    per_frame = counts / np.diff(edges)
    text = ChartText("frame", "localizations per frame", "Localizations per frame over the course of the movie.")
    svg = bars_svg(per_frame, (float(edges[0]), float(edges[-1])), text)
    return Chart(
        svg, "Over time", f"A steep fall means bleaching. Mean {table.n_rows / max(1, n_frames):.3g} per frame."
    )


def _fraction_charts(table: Localizations) -> list[Chart]:
    if table.grid is None:
        return []
    size = table.grid.pixel_size_nm
    drawn = []
    for axis in ("x", "y"):
        fraction = np.mod(table[f"{axis}_nm"] / size, 1.0)
        counts, _ = np.histogram(fraction[np.isfinite(fraction)], bins=_FRACTION_BINS, range=(0, 1))
        test = pixel_flatness(table, axis, size)
        said = "too few to judge" if test is None else "flat" if test.is_flat else "NOT flat"
        number = "" if test is None else f" (Kolmogorov-Smirnov D = {test.statistic:.3f})"
        text = ChartText(
            "position within the camera pixel",
            "localizations",
            f"Fractional pixel positions in {axis}: {said}{number}.",
        )
        svg = bars_svg(counts, (0.0, 1.0), text, line=float(counts.mean()))
        drawn.append(
            Chart(svg, f"Position within the pixel, {axis}", f"Should follow the dashed line: {said}{number}.")
        )
    return drawn


def _drift_chart(curve: DriftCurve) -> Chart:
    text = ChartText("frame", "drift [nm]", "Drift of the sample in x and y over the course of the movie.")
    return Chart(
        lines_svg(curve.frame, {"x": curve.x_nm, "y": curve.y_nm}, text),
        "Drift",
        "How far the sample moved; it was taken out.",
    )


def _resolution_chart(found: FrcResult) -> Chart:
    said = found.note or "no crossing"
    if found.frc_resolution_nm is not None:
        said = f"they part at {found.frc_resolution_nm:.0f} nm"
        if found.interval_nm is not None:
            said += f" (90 %: {found.interval_nm[0]:.0f} to {found.interval_nm[1]:.0f})"
    text = ChartText("detail per \u00b5m", "correlation", f"Ring correlation of two halves of the movie: {said}.")
    curves: dict[str, ArrayLike] = {"FRC": found.smoothed, "limit": found.threshold}
    return Chart(
        lines_svg(found.frequency_per_nm * 1000, curves, text),
        "Resolution",
        f"Two halves of the movie agree on coarse detail (left); {said}. Errors that both halves share do not show.",
    )
