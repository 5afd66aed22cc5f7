"""Own fields for train annapalm: every table of a folder opened, linked, checked, and laid over its wide-field."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import DataQualityWarning, InputError, StormcellError
from stormcell.workflows.check_input import open_one
from stormcell.workflows.densify_even import widefield_levels
from stormcell.workflows.densify_folder import tables_in, widefield_of
from stormcell.workflows.densify_input import independent_events, input_of_events, place_widefield
from stormcell.workflows.densify_settings import DensifyOptions
from stormcell.workflows.opening import open_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations
    from stormcell.learning.annapalm_pairs import EventField
    from stormcell.workflows.densify_input import DensifyInput

_FEWEST_EVENTS = 300
_SPARSE_PER_UM2 = 5.0
_ON_TIMES = 10
_DRIFT_NM = 20.0
_DRIFT_SEGMENTS = 10
_COVERED = 0.5
"""Share of a pixel that the wide-field image must cover to count there."""


@dataclass(frozen=True)
class TablesRequest:
    """Where own tables lie, and what they show.

    Parameters
    ----------
    folder : Path
        Tables.
    widefield : Path or None
        Wide-field images named like them, or one for all.
    structure : str
        One of the labels that the network knows.
    pixel_size_nm : float or None
        Camera pixel, for tables that count in pixels.
    widefield_pixel_size_nm : float or None
        Pixel of the wide-field images, where their files do not say.
    register_widefield : bool
        Whether the displacement of the wide-field images is measured and undone.
    """

    folder: Path
    widefield: Path | None = None
    structure: str = "unknown"
    pixel_size_nm: float | None = None
    widefield_pixel_size_nm: float | None = None
    register_widefield: bool = True


@dataclass(frozen=True)
class OwnTables:
    """What there is to learn from.

    Parameters
    ----------
    fields : tuple of EventField
        One for each table that can be used, in the order of the names.
    checks : tuple of str
        One line for each table: what was found, where its wide-field image lay, or why it is left out.
    """

    fields: tuple[EventField, ...]
    checks: tuple[str, ...]


def own_tables(request: TablesRequest) -> OwnTables:
    """Open and check the tables of a folder.

    Parameters
    ----------
    request : TablesRequest
        Where they lie.

    Returns
    -------
    OwnTables
        Fields to learn from, and what was found of every table.

    Raises
    ------
    InputError
        None can be used, or the structure is not known.

    Warns
    -----
    DataQualityWarning
        A table is left out, drifts, or is sparse; one sentence each.
    """
    from stormcell.networks.annapalm import STRUCTURE_LABELS

    if request.structure not in STRUCTURE_LABELS:
        msg = f"expected --structure to be one of {', '.join(STRUCTURE_LABELS)}, got {request.structure}"
        raise InputError(msg)
    fields, checks = [], []
    for path in tables_in(request.folder):
        try:
            field, check = _field(path, request, STRUCTURE_LABELS.index(request.structure))
        except StormcellError as error:
            check = f"{path.name} is left out: {error}"
            _warn(check)
        else:
            fields.append(field)
        checks.append(check)
    if not fields:
        msg = f"expected tables to learn from in {request.folder}, but none can be used: {checks[0]}"
        raise InputError(msg)
    return OwnTables(tuple(fields), tuple(checks))


def _field(path: Path, request: TablesRequest, label: int) -> tuple[EventField, str]:
    from stormcell.localization.linking import LinkSettings

    table = open_table(path, request.pixel_size_nm)
    if "frame" not in table:
        msg = "it has no frames, so input and target cannot be kept apart; use a table with frames"
        raise InputError(msg)
    _say_drift(path.name, table)
    events, _ = independent_events(table, link=True, linking=LinkSettings())
    if events.n_rows < _FEWEST_EVENTS:
        msg = f"{events.n_rows} independent events are too few to learn from (at least {_FEWEST_EVENTS})"
        raise InputError(msg)
    given = _laid_over(path, request, events)
    field = _cut_from(path.name, given, events, label)
    return field, f"{path.name}: {_described(field, given)}"


def field_of_events(path: Path, request: TablesRequest, events: Localizations, label: int) -> EventField:
    """Make a field to learn from of independent events.

    Parameters
    ----------
    path : Path
        Their table; its name finds the wide-field image.
    request : TablesRequest
        Where wide-field images lie.
    events : Localizations
        Linked, with frames.
    label : int
        Index of the structure among the labels the network knows.

    Returns
    -------
    EventField
        From the field's corner.

    Warns
    -----
    DataQualityWarning
        The events are sparse.
    """
    return _cut_from(path.name, _laid_over(path, request, events), events, label)


def _cut_from(name: str, given: DensifyInput, events: Localizations, label: int) -> EventField:
    from stormcell.learning.annapalm_pairs import EventField
    from stormcell.localization.linking import on_times

    density = given.events_per_um2 or 0.0
    if density < _SPARSE_PER_UM2:
        _warn(f"{name} holds only {density:.2g} events per um^2: its targets are sparse pictures themselves")
    first = int(events["frame"].min())
    n_frames = max(events.n_frames or 0, int(events["frame"].max()) + 1) - first
    guard = int(np.clip(np.ceil(_ON_TIMES * on_times(events).mean_detections), 1, max(1, n_frames // 20)))
    origin = given.grid.origin_nm
    x_nm, y_nm = events["x_nm"] - origin[1], events["y_nm"] - origin[0]
    height, width = given.grid.extent_nm
    inside = (x_nm >= 0) & (y_nm >= 0) & (x_nm < width) & (y_nm < height)
    return EventField(
        x_nm=x_nm[inside].astype(np.float32),
        y_nm=y_nm[inside].astype(np.float32),
        frame=(events["frame"][inside] - first).astype(np.int64),
        n_frames=n_frames,
        extent_nm=(height, width),
        guard_frames=guard,
        label=label,
        widefield=_on_grid(given),
    )


def _laid_over(path: Path, request: TablesRequest, events: Localizations) -> DensifyInput:
    image = widefield_of(path, request.widefield)
    wide = None if image is None else open_one(image, request.widefield_pixel_size_nm, "--widefield-pixel-size-nm")
    given = input_of_events(events, wide, "")
    if wide is None:
        return given
    return place_widefield(given, wide, DensifyOptions().max_shift_nm, register=request.register_widefield)


def _on_grid(given: DensifyInput) -> NDArray[np.float32] | None:
    """Levels of the wide-field image on the network's pixels; NaN where it does not reach, which is not darkness."""
    levels, covered = widefield_levels(given)
    if levels is None or covered is None:
        return None
    return np.where(covered > _COVERED, levels, np.float32(np.nan))


def _described(field: EventField, given: DensifyInput) -> str:
    """Say in a line what a table gives to learn from."""
    events = f"{len(field.frame):,} events in {field.n_frames:,} frames, {given.events_per_um2 or 0:.3g} per um2"
    if field.widefield is None:
        return f"{events}; no wide-field image"
    share = float(np.isfinite(field.widefield).mean())
    reach = "" if share > 1 - 1e-6 else f", which covers {share:.0%} of the field"
    if given.shift_nm is None:
        return f"{events}; wide-field image{reach} taken as aligned"
    y_nm, x_nm = given.shift_nm
    return f"{events}; wide-field image{reach} lay {x_nm:.0f} nm (x) and {y_nm:.0f} nm (y) off and was moved"


def _say_drift(name: str, table: Localizations) -> None:
    """Warn of drift, which would blur every target; a table with too little structure to tell says nothing."""
    from stormcell.localization.drift import DriftSettings, TooLittleStructureError, estimate_drift

    try:
        curve = estimate_drift(table, DriftSettings(max_segments=_DRIFT_SEGMENTS))
    except TooLittleStructureError:
        return
    span = max(float(np.ptp(curve.x_nm)), float(np.ptp(curve.y_nm)))
    doubt = max(float(np.median(curve.uncertainty_x_nm)), float(np.median(curve.uncertainty_y_nm)))
    if span > max(_DRIFT_NM, 3 * doubt):
        _warn(f"{name} drifts by {span:.0f} nm, which blurs what is learned: run stormcell drift on it first")


def _warn(sentence: str) -> None:
    warnings.warn(sentence, DataQualityWarning, stacklevel=3)
