"""resolution: the finest detail that a table or an image holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from stormcell.assessment.decorrelation import DecorrelationSettings
from stormcell.assessment.frc import FrcSettings
from stormcell.assessment.frc_map import FrcMapSettings
from stormcell.errors import InputError
from stormcell.localization.linking import LinkSettings
from stormcell.workflows.check_input import is_a_table, open_events, open_pages
from stormcell.workflows.checking import linked_events
from stormcell.workflows.opening import PathLike, fingerprint
from stormcell.workflows.options import build_settings
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.table_settings import TableSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations
    from stormcell.data.provenance import Provenance
    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.progress import Progress

Method = Literal["frc", "decorrelation", "nena"]
_MIN_QUARTER_PX = 64
_Z_90 = 1.645

SHARED_ERRORS = "errors that both halves share, such as merged neighbours or a network's habits, do not show in it"


class ResolutionVerbSettings(TableSettings):
    """How a resolution is measured."""

    replaced_fields: ClassVar[frozenset[str]] = frozenset({"frc.sr_pixel_size_nm"})

    method: Method | None = None
    """frc compares two halves of a table or two images; decorrelation looks at one image; nena reads the precision of
    single localizations from a table that was not linked. Without it frc for a table or two images, decorrelation
    for one image."""

    map: bool = False
    """Also measure frc place by place."""

    sr_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a pixel of an image [nm], where the file does not say; for a table, the pixel it is drawn with (without
    it 10 nm)."""

    max_distance_nm: Annotated[float, Field(gt=0)] = 200.0
    """nena looks at neighbours no farther away than this; about ten times the expected precision."""

    frc: FrcSettings = FrcSettings()
    """The ring correlation."""

    frc_map: FrcMapSettings = FrcMapSettings()
    """The windows of the map."""

    decorrelation: DecorrelationSettings = DecorrelationSettings()
    """The decorrelation analysis."""

    linking: LinkSettings = LinkSettings()
    """How the rows of one burst are made one event before a table is halved."""


@dataclass(frozen=True)
class ResolutionResult:
    """A resolution with its confidence and its curve.

    Parameters
    ----------
    method : str
        frc, decorrelation or nena.
    value_nm : float or None
        The resolution; for nena the precision of one localization along one axis. None where there is none.
    interval_nm : tuple of float or None
        90 % interval.
    note : str
        Why there is no number, or what it means.
    columns : dict of str to ndarray
        The curve, column by column; the first is the horizontal axis.
    map : SRImage or None
        Local resolution in nm, NaN where nothing is shared.
    numbers : dict
        Further numbers of the method.
    provenance : Provenance or None
        How it was made.
    """

    method: Method
    value_nm: float | None
    interval_nm: tuple[float, float] | None
    note: str
    columns: dict[str, NDArray[Any]]
    map: SRImage | None
    numbers: dict[str, Any]
    provenance: Provenance | None = None


@with_remote_places
def resolution(
    source: PathLike | SRImage | Localizations | Sequence[SRImage],
    settings: ResolutionVerbSettings | None = None,
    *,
    second: PathLike | SRImage | None = None,
    output: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> ResolutionResult:
    """Measure the resolution of a table or an image.

    Parameters
    ----------
    source : path, Localizations, SRImage or sequence of SRImage
        A table, an image, or a stack of two independent images.
    settings : ResolutionVerbSettings, optional
        How; or give fields as options, for example `method="nena"`.
    second : path or SRImage, optional
        An independent image of the same field, for frc of two images.
    output : path, optional
        Write the numbers there (.json); the curve goes beside it (.csv, .png), and a map (_map.ome.tif, _map.png).
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total) with windows of a map.
    **options : object
        Fields of the settings by name, also of nested ones.

    Returns
    -------
    ResolutionResult
        Number, interval, curve, map.

    Raises
    ------
    InputError
        The method does not fit the input, or the input holds no structure.
    """
    from stormcell.workflows.resolution_outputs import prepare_resolution, write_resolution

    wanted = build_settings(ResolutionVerbSettings, settings, options)
    paths = prepare_resolution(output, wanted.map, overwrite)
    with collect_warnings() as messages:
        if is_a_table(source) or wanted.columns is not None:
            found = _of_table(open_events(source, wanted.pixel_size_nm, wanted.columns), wanted, progress)  # type: ignore[arg-type]
        else:
            images = open_pages(source, wanted.sr_pixel_size_nm, "--sr-pixel-size-nm")  # type: ignore[arg-type]
            if second is not None:
                images += open_pages(second, wanted.sr_pixel_size_nm, "--sr-pixel-size-nm")
            found = _of_images(images, wanted, progress)
    inputs = tuple(file for item in (source, second) if item is not None for file in fingerprint(item))
    record = make_record("resolution", wanted, inputs=inputs, notes=(found.note,)).with_warnings(*messages)
    result = replace(found, provenance=record)
    if paths is not None:
        write_resolution(result, paths, overwrite)
    return result


def _of_table(table: Localizations, wanted: ResolutionVerbSettings, progress: Progress | None) -> ResolutionResult:
    method = wanted.method or "frc"
    if method == "decorrelation":
        msg = "expected an image for decorrelation, got a table; render it first, or use --method frc or nena"
        raise InputError(msg)
    if method == "nena":
        if wanted.map:
            msg = "expected --map with frc only: nena gives one number for the whole table; leave --map out"
            raise InputError(msg)
        return _nena(table, wanted)
    from stormcell.assessment.frc import frc_of_table

    size = wanted.sr_pixel_size_nm or wanted.frc.sr_pixel_size_nm
    events = linked_events(table, wanted.linking)
    found = frc_of_table(events, wanted.frc.replace(sr_pixel_size_nm=size))
    numbers = {"n_rows": table.n_rows, "n_events": events.n_rows, "sr_pixel_size_nm": size}
    halves = _halves(events, wanted.frc, size) if wanted.map else None
    return _from_frc(found, halves, wanted, numbers, progress)


def _of_images(images: list[SRImage], wanted: ResolutionVerbSettings, progress: Progress | None) -> ResolutionResult:
    method = wanted.method or ("frc" if len(images) == 2 else "decorrelation")
    if method == "nena":
        msg = "expected a table for nena, got an image; use --method frc or decorrelation"
        raise InputError(msg)
    if method == "decorrelation":
        if len(images) != 1 or wanted.map:
            msg = f"expected one image and no --map for decorrelation, got {len(images)}; use --method frc for a pair"
            raise InputError(msg)
        return _decorrelation(images[0], wanted)
    if len(images) != 2:
        msg = (
            f"expected two independent images for frc (--second, or a stack of two), got {len(images)}; one image "
            "alone has a decorrelation resolution only"
        )
        raise InputError(msg)
    from stormcell.assessment.frc import frc_of_images

    found = frc_of_images(images[0], images[1], wanted.frc)
    numbers = {"sr_pixel_size_nm": images[0].sr_pixel_size_nm}
    return _from_frc(found, (images[0], images[1]) if wanted.map else None, wanted, numbers, progress)


def _from_frc(
    found: Any,
    halves: tuple[SRImage, SRImage] | None,
    wanted: ResolutionVerbSettings,
    numbers: dict[str, Any],
    progress: Progress | None,
) -> ResolutionResult:
    local = None
    if halves is not None:
        from stormcell.assessment.frc_map import frc_map

        rolling = frc_map(halves[0], halves[1], wanted.frc_map, progress)
        local = rolling.resolution
        numbers |= {"map_median_nm": rolling.median_nm, "map_share": rolling.share}
    columns = {
        "frequency_per_nm": found.frequency_per_nm,
        "frc": found.frc_curve,
        "smoothed": found.smoothed,
        "threshold": found.threshold,
    }
    note = found.note or SHARED_ERRORS
    return ResolutionResult("frc", found.frc_resolution_nm, found.interval_nm, note, columns, local, numbers)


def _nena(table: Localizations, wanted: ResolutionVerbSettings) -> ResolutionResult:
    from stormcell.assessment.nena import nena

    found = nena(table, wanted.max_distance_nm)
    columns = {"distance_nm": found.distance_nm, "count": found.count, "fitted": found.fitted}
    numbers = {"n_rows": table.n_rows, "n_pairs": found.n_pairs}
    note = "precision of one localization along one axis, bursts not joined; not yet a resolution of structure"
    return ResolutionResult("nena", found.precision_nm, found.interval_nm, note, columns, None, numbers)


def _decorrelation(image: SRImage, wanted: ResolutionVerbSettings) -> ResolutionResult:
    from stormcell.assessment.decorrelation import decorrelation

    found = decorrelation(image, wanted.decorrelation)
    note = found.note or "how fine the image is drawn, not whether that is right: sharpening makes it finer"
    columns = {"frequency_per_nm": found.frequency_per_nm, "decorrelation": found.curve}
    numbers = {"snr": found.snr, "sr_pixel_size_nm": image.sr_pixel_size_nm}
    interval = None if found.resolution_nm is None else _spread_over_quarters(image, found.resolution_nm, wanted)
    return ResolutionResult("decorrelation", found.resolution_nm, interval, note, columns, None, numbers)


def _spread_over_quarters(
    image: SRImage, value_nm: float, wanted: ResolutionVerbSettings
) -> tuple[float, float] | None:
    """Interval from the four quarters of the field, which see other noise and structure; None for small images."""
    from stormcell.assessment.decorrelation import decorrelation
    from stormcell.data.sr_image import SRImage

    height, width = (side // 2 for side in image.pixels.shape)
    if min(height, width) < _MIN_QUARTER_PX:
        return None
    numbers = []
    for rows in (slice(0, height), slice(height, 2 * height)):
        for columns in (slice(0, width), slice(width, 2 * width)):
            quarter = SRImage(image.pixels[rows, columns], image.grid.crop(rows, columns))
            if float(np.ptp(quarter.pixels)) > 0:
                numbers.append(decorrelation(quarter, wanted.decorrelation).resolution_nm)
    known = [number for number in numbers if number is not None]
    if len(known) < 3:
        return None
    # The mean of n quarters scatters less than one of them by the root of n.
    half = _Z_90 * float(np.std(known, ddof=1)) / np.sqrt(len(known))
    return float(value_nm - half), float(value_nm + half)


def _halves(events: Localizations, settings: FrcSettings, size_nm: float) -> tuple[SRImage, SRImage]:
    """Two images of alternating blocks of frames with equal numbers of events."""
    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.rendering import render

    x, y = events["x_nm"], events["y_nm"]
    low_y, low_x = (float(np.floor(v.min() / size_nm) * size_nm) for v in (y, x))
    shape = (int((y.max() - low_y) // size_nm) + 1, int((x.max() - low_x) // size_nm) + 1)
    grid = PixelGrid(size_nm, shape, (low_y, low_x))
    borders = np.unique(np.quantile(events["frame"], np.arange(1, settings.n_blocks) / settings.n_blocks))
    is_second = np.searchsorted(borders, events["frame"], side="right") % 2 == 1
    first, second = (render(events.take(rows), size_nm, "histogram", grid=grid) for rows in (~is_second, is_second))
    return first, second
