"""From a table or an image, and a wide-field image, to what the network of densify takes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from stormcell.data.pixel_grid import PixelGrid
from stormcell.data.sr_image import SRImage
from stormcell.errors import DataQualityWarning, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations
    from stormcell.localization.linking import LinkSettings

    FloatImage = NDArray[np.float32]

NETWORK_PIXEL_SIZE_NM = 20.0
"""Pixels that densify networks count in."""
WIDEFIELD_FROM_NM = 50.0
"""An image with pixels this large, given in place of a table, is a wide-field image."""
ASSUMED_UNCERTAINTY_NM = 15.0
_ASSUMED_LINK_NM = 50.0
_RIM_NM = 100.0
_LEAST_SIDE_NM = 2000.0
_FEWEST_TO_REGISTER = 200
_FEWEST_PIXELS = 8
_OPTICAL_SIGMA_NM = 130.0


@dataclass(frozen=True)
class DensifyInput:
    """What is known of a field.

    Parameters
    ----------
    grid : PixelGrid
        Pixels of 20 nm over the field.
    counts : ndarray or None
        Shape of the grid: independent events per pixel; None where only a wide-field image is given.
    events : Localizations or None
        The linked rows; None where an image was given.
    widefield : SRImage or None
        The wide-field image on its own pixels, its origin moved to where the events say it lies.
    shift_nm : tuple of float or None
        (y, x): how far the wide-field image was displaced from the events; None where that was not measured.
    notes : tuple of str
        What was done.
    unlinked : str
        Why several rows may be one molecule's; empty where bursts were merged, or where no table was given.
    """

    grid: PixelGrid
    counts: FloatImage | None
    events: Localizations | None = None
    widefield: SRImage | None = None
    shift_nm: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    unlinked: str = ""

    @property
    def n_events(self) -> float:
        """Events in the field."""
        return 0.0 if self.counts is None else float(self.counts.sum(dtype=np.float64))

    @property
    def events_per_um2(self) -> float | None:
        """Density of events over the field; None where there are none."""
        height, width = self.grid.extent_nm
        return self.n_events / (height * width / 1e6) if self.n_events else None


def independent_events(table: Localizations, *, link: bool, linking: LinkSettings) -> tuple[Localizations, str]:
    """Make one row of each burst.

    Parameters
    ----------
    table : Localizations
        Any table with positions.
    link : bool
        Whether bursts are wanted merged.
    linking : LinkSettings
        How.

    Returns
    -------
    tuple
        Rows with finite positions, uncertainties and `n_detections`; and a sentence on what was done.

    Warns
    -----
    DataQualityWarning
        Rows are not finite, or the table states no uncertainty.
    """
    from stormcell.localization.linking import link_localizations

    finite = np.isfinite(table["x_nm"]) & np.isfinite(table["y_nm"])
    if not finite.all():
        _warn(f"{int((~finite).sum()):,} rows without a finite position were left out")
        table = table.take(finite)
    states = "uncertainty_x_nm" in table and "uncertainty_y_nm" in table
    if not states and table.n_rows:
        _warn(f"the table states no uncertainty: {ASSUMED_UNCERTAINTY_NM:g} nm is taken for every row")
    if "n_detections" in table:
        return _with_uncertainty(table), "the table is linked already"
    if "frame" not in table or not link:
        return _with_uncertainty(table.with_columns(n_detections=np.ones(table.n_rows, np.int64))), "not linked"
    if not states and linking.max_distance_nm is None:
        linking = linking.replace(max_distance_nm=_ASSUMED_LINK_NM)
    linked = link_localizations(table, linking)
    return _with_uncertainty(linked), f"{table.n_rows:,} rows were linked to {linked.n_rows:,} events"


def unlinked_because(table: Localizations, *, link: bool) -> str:
    """Say why several rows of a table may be one molecule's.

    Parameters
    ----------
    table : Localizations
        As it was given.
    link : bool
        Whether bursts are wanted merged.

    Returns
    -------
    str
        One sentence; empty where bursts are merged.
    """
    if not table.n_rows or "n_detections" in table or ("frame" in table and link):
        return ""
    why = (
        "the rows were not linked (--no-link)"
        if "frame" in table
        else "the table has no frames, so the rows of one fluorophore could not be merged"
    )
    return f"{why}: what looks like many events may be one, and the picture is surer of itself than it should be"


def _with_uncertainty(table: Localizations) -> Localizations:
    if "uncertainty_x_nm" in table and "uncertainty_y_nm" in table:
        return table
    assumed = np.full(table.n_rows, ASSUMED_UNCERTAINTY_NM)
    return table.with_columns(uncertainty_x_nm=assumed, uncertainty_y_nm=assumed)


def input_of_events(events: Localizations, widefield: SRImage | None, note: str) -> DensifyInput:
    """Count events on the pixels of the network.

    Parameters
    ----------
    events : Localizations
        One row for each event.
    widefield : SRImage or None
        Tells the field of a table that does not.
    note : str
        How the events were made.

    Returns
    -------
    DensifyInput
        Without the wide-field image yet.
    """
    from stormcell.rendering import render

    field, notes = events.grid, [note]
    if field is None and widefield is not None:
        field = widefield.grid
    elif field is None and events.n_rows:
        field = _field_round(events)
        notes.append(f"the table has no grid: the field is the box round its rows and {_RIM_NM:g} nm more")
    drawn = render(events, NETWORK_PIXEL_SIZE_NM, "histogram", grid=field)
    made = drawn.provenance
    for sentence in made.warnings if made else ():
        _warn(sentence)
    return DensifyInput(drawn.grid, drawn.pixels, events, notes=(*notes, *(made.notes if made else ())))


def _field_round(events: Localizations) -> PixelGrid:
    """Lay a field round rows without one, on whole pixels from 0 nm.

    A line that ends at the outermost row needs room; a wide rim would pass for measured emptiness beside the events.
    """
    first, size = [], []
    for values in (events["y_nm"], events["x_nm"]):
        low, high = float(values.min()) - _RIM_NM, float(values.max()) + _RIM_NM
        short = max(0.0, _LEAST_SIDE_NM - (high - low)) / 2
        start, stop = (int(np.floor(end / NETWORK_PIXEL_SIZE_NM)) for end in (low - short, high + short))
        first.append(start * NETWORK_PIXEL_SIZE_NM)
        size.append(stop - start + 1)
    return PixelGrid(NETWORK_PIXEL_SIZE_NM, (size[0], size[1]), (first[0], first[1]))


def input_of_image(image: SRImage) -> DensifyInput:
    """Take an image in place of a table.

    Parameters
    ----------
    image : SRImage
        Events per pixel; or, with pixels of 50 nm and more, a wide-field image.

    Returns
    -------
    DensifyInput
        Counts on the pixels of the network, each source pixel shared out by the area of its parts.
    """
    from stormcell.learning.annapalm_widefield import resample_by_edges

    size = image.sr_pixel_size_nm
    grid = image.grid.with_pixel_size(NETWORK_PIXEL_SIZE_NM)
    if size >= WIDEFIELD_FROM_NM:
        note = f"the image, with pixels of {size:g} nm, is taken as a wide-field image; there are no events"
        return DensifyInput(grid, None, widefield=image, notes=(note,))
    pixels = np.nan_to_num(image.pixels, nan=0.0, posinf=0.0, neginf=0.0)
    if (pixels < 0).any() or not np.isfinite(image.pixels).all():
        _warn("pixels that are negative or not a number count as empty")
        pixels = np.maximum(pixels, 0)
    if image.unit != "localizations":
        _warn(
            f"the values of the image ({image.unit}) are taken as numbers of events; densities and intervals are "
            "wrong where they are something else: give the table instead"
        )
    if abs(size - NETWORK_PIXEL_SIZE_NM) < 1e-6 * size:
        return DensifyInput(grid, np.asarray(pixels, np.float32), notes=("an image was given, not a table",))
    _warn(f"the image has pixels of {size:g} nm, the network counts on {NETWORK_PIXEL_SIZE_NM:g} nm: resampled")
    mean, covered = resample_by_edges(pixels, size, image.grid.origin_nm, 20.0, grid.shape, grid.origin_nm)
    counts = mean * covered * np.float32((NETWORK_PIXEL_SIZE_NM / size) ** 2)
    return DensifyInput(grid, counts, notes=("an image was given, not a table",))


def place_widefield(given: DensifyInput, widefield: SRImage, max_shift_nm: float, *, register: bool) -> DensifyInput:
    """Find where a wide-field image lies under the events.

    Parameters
    ----------
    given : DensifyInput
        With counts.
    widefield : SRImage
        Placed as its file says.
    max_shift_nm : float
        Largest displacement looked for.
    register : bool
        False takes the image as aligned.

    Returns
    -------
    DensifyInput
        With the wide-field image moved to the events, and its shift.

    Raises
    ------
    InputError
        The images do not show the same field.

    Warns
    -----
    DataQualityWarning
        There is too little to see the displacement by.
    """
    moved = replace(given, widefield=widefield, shift_nm=None)
    if not register or given.counts is None:
        return moved
    reason, common = _common_field(given, widefield)
    if reason:
        _warn(f"the wide-field image was not registered ({reason}); it is taken as aligned")
        return moved
    y_px, x_px = _measured_shift(given, widefield, common, max_shift_nm)
    size = widefield.sr_pixel_size_nm
    shift = (y_px * size, x_px * size)
    origin = (widefield.grid.origin_nm[0] - shift[0], widefield.grid.origin_nm[1] - shift[1])
    grid = PixelGrid(size, widefield.grid.shape, origin)
    note = f"the wide-field image lay {shift[1]:.0f} nm (x) and {shift[0]:.0f} nm (y) off the events and was moved"
    placed = SRImage(widefield.pixels, grid, widefield.unit, widefield.provenance)
    return replace(given, widefield=placed, shift_nm=shift, notes=(*given.notes, note))


def _common_field(given: DensifyInput, widefield: SRImage) -> tuple[str, tuple[slice, slice]]:
    """Wide-field pixels that lie wholly in the field of the events, or why there is nothing to compare."""
    size, slices = widefield.sr_pixel_size_nm, []
    for axis in (0, 1):
        start = given.grid.origin_nm[axis] - widefield.grid.origin_nm[axis]
        first = max(0, int(np.ceil(start / size - 1e-6)))
        last = min(widefield.grid.shape[axis], int(np.floor((start + given.grid.extent_nm[axis]) / size + 1e-6)))
        slices.append(slice(first, max(first, last)))
    common = (slices[0], slices[1])
    if min(s.stop - s.start for s in common) == 0:
        msg = (
            "expected a wide-field image of the field of the table, but the two do not overlap; "
            "check the pixel sizes and which image belongs to which table"
        )
        raise InputError(msg)
    cut = widefield.pixels[common]
    if min(cut.shape) < 2 * _FEWEST_PIXELS:
        return f"only {cut.shape[0]} x {cut.shape[1]} of its pixels lie in the field", common
    if not np.isfinite(cut).all() or not np.ptp(cut) > 0:
        return "its pixels are all the same, or not all numbers", common
    if given.n_events < _FEWEST_TO_REGISTER:
        return f"{given.n_events:,.0f} events are too few", common
    return "", common


def _measured_shift(
    given: DensifyInput, widefield: SRImage, common: tuple[slice, slice], max_shift_nm: float
) -> tuple[float, float]:
    from stormcell.learning.annapalm_widefield import overlap_shares
    from stormcell.registration.shift import RegistrationError, estimate_shift

    size = widefield.sr_pixel_size_nm
    matrices = []
    for axis in (0, 1):
        edges = widefield.grid.origin_nm[axis] + size * np.arange(common[axis].start, common[axis].stop + 1)
        source = given.grid.origin_nm[axis] + NETWORK_PIXEL_SIZE_NM * np.arange(given.grid.shape[axis] + 1)
        matrices.append(overlap_shares(edges, source).astype(np.float32))
    blurred = gaussian_filter(np.asarray(given.counts), _OPTICAL_SIGMA_NM / NETWORK_PIXEL_SIZE_NM)
    events = matrices[0] @ blurred @ matrices[1].T
    cut = widefield.pixels[common]
    limit = min(max_shift_nm / size, min(cut.shape) / 2)
    try:
        found = estimate_shift(events, cut, limit)
    except RegistrationError as error:
        msg = (
            f"the wide-field image does not fit the events: {error}; check that it is the same field, or pass "
            "--no-register-widefield to take it as aligned"
        )
        raise InputError(msg) from error
    return found.y_px, found.x_px


def _warn(sentence: str) -> None:
    warnings.warn(sentence, DataQualityWarning, stacklevel=3)
