"""Own fields for train annapalm: every table of a folder opened, linked, checked, and laid over its wide-field."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import DataQualityWarning, InputError, StormcellError
from stormcell.workflows.densify_folder import tables_in, widefield_of
from stormcell.workflows.densify_input import independent_events, input_of_events, place_widefield
from stormcell.workflows.opening import open_image, open_table

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.data.localizations import Localizations
    from stormcell.learning.annapalm_pairs import EventField
    from stormcell.workflows.densify_input import DensifyInput

_FEWEST_EVENTS = 300
_SPARSE_PER_UM2 = 5.0
_ON_TIMES = 10
_DRIFT_NM = 20.0
_DRIFT_SEGMENTS = 10


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
    """

    folder: Path
    widefield: Path | None = None
    structure: str = "unknown"
    pixel_size_nm: float | None = None


def own_fields(request: TablesRequest) -> tuple[EventField, ...]:
    """Open and check the tables of a folder.

    Parameters
    ----------
    request : TablesRequest
        Where they lie.

    Returns
    -------
    tuple of EventField
        One for each table that can be used, in the order of the names.

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
    fields = []
    for path in tables_in(request.folder):
        try:
            fields.append(_field(path, request, STRUCTURE_LABELS.index(request.structure)))
        except StormcellError as error:
            _warn(f"{path.name} is left out: {error}")
    if not fields:
        msg = f"expected tables to learn from in {request.folder}, but none can be used; the notes say why"
        raise InputError(msg)
    return tuple(fields)


def _field(path: Path, request: TablesRequest, label: int) -> EventField:
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
    return field_of_events(path, request, events, label)


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
    from stormcell.learning.annapalm_pairs import EventField
    from stormcell.localization.linking import on_times

    given = _laid_over(path, request, events)
    density = given.events_per_um2 or 0.0
    if density < _SPARSE_PER_UM2:
        _warn(f"{path.name} holds only {density:.2g} events per um^2: its targets are sparse pictures themselves")
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
    wide = None if image is None else open_image(image)
    given = input_of_events(events, wide, "")
    return given if wide is None else place_widefield(given, wide, 500.0, register=True)


def _on_grid(given: DensifyInput) -> np.ndarray[tuple[int, int], np.dtype[np.float32]] | None:
    from stormcell.learning.annapalm_widefield import normalise_widefield, resample_by_edges

    if given.widefield is None:
        return None
    wide = given.widefield
    size, place = wide.sr_pixel_size_nm, wide.grid.origin_nm
    levels, _ = resample_by_edges(
        normalise_widefield(wide.pixels), size, place, 20.0, given.grid.shape, given.grid.origin_nm
    )
    return levels


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
