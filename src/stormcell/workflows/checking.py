"""Judge an image by a wide-field image and by whatever else is known: for check, for run, for densified images."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stormcell.assessment.artefacts import Artefacts, ArtefactSettings, Support, find_artefacts, suppress
from stormcell.assessment.camera_noise import noise_of_residual
from stormcell.assessment.local_error import local_error
from stormcell.assessment.sharpening import BlurLevel, blur_level
from stormcell.assessment.squirrel import ErrorMap, SquirrelSettings, error_map
from stormcell.data.sr_image import SRImage
from stormcell.errors import DataQualityWarning, InputError
from stormcell.localization.linking import LinkSettings
from stormcell.settings import Settings

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations
    from stormcell.data.pixel_grid import PixelGrid

BLIND_SPOT = (
    "a wide-field image cannot show what lies below its resolution: artificial sharpening, gaps that were filled, "
    "and structure moved by much less than its blur"
)
"""What every check has to say about itself."""

_CLASSES = ("measured", "inferred", "contradicted", "empty")


class CheckingSettings(Settings):
    """How an image is judged."""

    replaced_fields: ClassVar[frozenset[str]] = frozenset({"comparison.noise"})

    comparison: SquirrelSettings = SquirrelSettings()
    """How it is compared with the wide-field image."""

    artefacts: ArtefactSettings = ArtefactSettings()
    """Where the lines between measured, inferred and contradicted run."""

    linking: LinkSettings = LinkSettings()
    """How the rows of one burst are made one event, where the table was not linked."""


@dataclass(frozen=True)
class Evidence:
    """What is known about an image besides the wide-field image.

    Parameters
    ----------
    events : Localizations or None
        The table that the image rests on; linked first where it is not.
    held_out : Localizations or None
        Linked events that the image has never seen.
    prior_share : SRImage or None
        Share of each pixel's brightness that changes with the prior, 0 to 1, on the grid of the image.
    standard_deviation : SRImage or None
        Of each pixel, in the unit and on the grid of the image: what is less certain than it is bright counts as
        owed to the prior.
    rsf : SRImage or None
        A measured RSF to blur with in place of a Gaussian.
    is_drawing : bool
        The image is a plain drawing of the events, so that it cannot be drawn finer than they allow.
    """

    events: Localizations | None = None
    held_out: Localizations | None = None
    prior_share: SRImage | None = None
    standard_deviation: SRImage | None = None
    rsf: SRImage | None = None
    is_drawing: bool = False


@dataclass(frozen=True)
class Checked:
    """What is to be thought of an image.

    Parameters
    ----------
    image : SRImage
        The image, cut to the field it shares with the wide-field image.
    comparison : ErrorMap
        Error maps and numbers.
    z_score : SRImage
        The signed error in standard deviations of the wide-field image's noise.
    local_error : SRImage
        Local root mean square of the smoothed error: also high where structure lies in the wrong place.
    blur_level : BlurLevel or None
        How strong fine detail is against what the events hold; None where that is not known.
    artefacts : Artefacts
        Classes, and the share of the intensity in each.
    corrected : SRImage
        The image with contradicted structure taken out.
    notes : tuple of str
        What was done and what it cannot show.
    """

    image: SRImage
    comparison: ErrorMap
    z_score: SRImage
    local_error: SRImage
    blur_level: BlurLevel | None
    artefacts: Artefacts
    corrected: SRImage
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> dict[str, Any]:
        """All numbers by name, ready for JSON; `intervals` hold 90 %."""
        found = self.comparison
        names = ("rsp", "rse", "rsf_sigma_nm", "alpha", "beta", "shift_x_nm", "shift_y_nm")
        ours: dict[str, Any] = {name: float(getattr(found, name)) for name in names}
        ours |= {"rsf_sigma_x_nm": found.rsf_sigma_x_nm, "rsf_sigma_y_nm": found.rsf_sigma_y_nm}
        ours["intervals"] = {name: [float(end) for end in ends] for name, ends in found.intervals.items()}
        theirs = found.nanopyx
        parts = ("rsp", "rse", "alpha", "beta", "rsf_sigma_px")
        ours["nanopyx"] = None if theirs is None else {name: float(getattr(theirs, name)) for name in parts}
        ours["shares"] = {name: self.artefacts.shares[name] for name in _CLASSES}
        ours["blur_level"] = None if self.blur_level is None else asdict(self.blur_level)
        ours["n_pieces"] = self.artefacts.pieces.n
        ours["n_contradicted"] = int(self.artefacts.contradicted.sum())
        return ours


def check_image(
    image: SRImage,
    widefield: SRImage,
    settings: CheckingSettings | None = None,
    evidence: Evidence | None = None,
) -> Checked:
    """Judge an image by a wide-field image of the same field, and by the events it rests on where they are given.

    Parameters
    ----------
    image : SRImage
        Super-resolution image, linear.
    widefield : SRImage
        Wide-field image.
    settings : CheckingSettings, optional
        How.
    evidence : Evidence, optional
        What else is known.

    Returns
    -------
    Checked
        Error maps, classes, corrected image, numbers.

    Raises
    ------
    InputError
        The two cannot be compared: constant, not finite, of different fields, nothing in common, or the image does
        not explain the wide-field image at any blur.
    """
    settings, evidence = settings or CheckingSettings(), evidence or Evidence()
    comparison = error_map(image, widefield, settings.comparison, rsf=evidence.rsf)
    _refuse_strangers(comparison)
    for sentence in comparison.warnings:
        warnings.warn(sentence, DataQualityWarning, stacklevel=2)
    judged = cut_to(image, comparison.error.grid)
    notes = [BLIND_SPOT]
    support = Support(
        comparison=comparison,
        noise=settings.comparison.noise,
        events=_linked(evidence.events, settings.linking, notes),
        held_out=evidence.held_out,
        prior_share=_prior_share(evidence, judged),
    )
    artefacts = find_artefacts(judged, support, settings.artefacts)
    if support.events is None:
        notes.append("without a table of events nothing can be called measured: what the data allow is inferred")
    z_score = comparison.z_score or _estimated_z_score(comparison)
    if settings.comparison.noise is None:
        notes.append(
            "the noise behind the z-score was estimated from the scatter of neighbouring wide-field pixels; "
            "the camera's gain and offset would make it exact"
        )
    fineness = None if evidence.is_drawing else _blur_level(judged, support.events, notes)
    local = local_error(comparison, settings.comparison.noise)
    corrected = suppress(judged, artefacts)
    return Checked(judged, comparison, z_score, local, fineness, artefacts, corrected, tuple(notes))


def linked_events(table: Localizations, linking: LinkSettings) -> Localizations:
    """Make independent events of a table.

    Parameters
    ----------
    table : Localizations
        Rows, or events already.
    linking : LinkSettings
        How bursts are linked.

    Returns
    -------
    Localizations
        With `n_detections`.
    """
    from stormcell.localization.linking import link_localizations

    return table if "n_detections" in table or not table.n_rows else link_localizations(table, linking)


def cut_to(image: SRImage, grid: PixelGrid) -> SRImage:
    """Cut an image to a grid that is a part of its own.

    Parameters
    ----------
    image : SRImage
        The image.
    grid : PixelGrid
        Pixels of the same size and places.

    Returns
    -------
    SRImage
        The same pixels on that grid.
    """
    if image.grid == grid:
        return image
    offsets = (image.grid.y_px(grid.origin_nm[0]), image.grid.x_px(grid.origin_nm[1]))
    rows, columns = (
        slice(start, start + side) for start, side in zip((round(float(o)) for o in offsets), grid.shape, strict=True)
    )
    return SRImage(image.pixels[rows, columns], grid, image.unit, image.provenance)


def _refuse_strangers(comparison: ErrorMap) -> None:
    """Give no number that looks like an answer to a pair that has nothing in common."""
    for sentence in comparison.warnings:
        if sentence.startswith("not registered"):
            msg = f"{sentence.partition(': ')[2]} (--max-shift-px 0 compares them as they lie)"
            raise InputError(msg)
    if comparison.alpha <= 0 or comparison.rsp <= 0:
        msg = (
            "expected two images of the same field, but no blur and no positive scale makes the super-resolution "
            f"image look like the wide-field image (RSP {comparison.rsp:.2f}); check that they belong together"
        )
        raise InputError(msg)


def _linked(table: Localizations | None, linking: LinkSettings, notes: list[str]) -> Localizations | None:
    if table is None:
        return None
    if "uncertainty_x_nm" not in table or "uncertainty_y_nm" not in table:
        sentence = (
            "the table states no uncertainty, so its rows cannot support anything: classes rest on the wide field"
        )
        warnings.warn(sentence, DataQualityWarning, stacklevel=3)
        return None
    events = linked_events(table, linking)
    if events is not table:
        notes.append(
            f"{table.n_rows:,} rows were linked into {events.n_rows:,} events: rows of a burst are one event"
        )
    return events if "n_detections" in events else None


def _blur_level(image: SRImage, events: Localizations | None, notes: list[str]) -> BlurLevel | None:
    """See artificial sharpening, which no wide-field image shows."""
    if events is None:
        return None
    try:
        found = blur_level(image, events)
    except InputError as error:
        notes.append(f"whether the image was sharpened is not known: {error}")
        return None
    if found.is_sharpened:
        sentence = (
            f"detail of {found.finest_nm:.0f} nm and somewhat coarser is {found.gain:.1f} times as strong as the "
            "events hold it: the image was sharpened, or drawn finer than its localizations are certain"
        )
        warnings.warn(sentence, DataQualityWarning, stacklevel=3)
    else:
        notes.append(
            f"detail of {found.finest_nm:.0f} nm is no stronger than the events hold it: no sign of sharpening"
        )
    return found


def _prior_share(evidence: Evidence, judged: SRImage) -> SRImage | None:
    share = evidence.prior_share
    spread = evidence.standard_deviation
    if share is not None:
        share = cut_to(share, judged.grid)
    if spread is None:
        return share
    is_unsure = cut_to(spread, judged.grid).pixels > np.maximum(judged.pixels, 0)
    known = np.zeros(judged.pixels.shape, np.float32) if share is None else share.pixels
    return SRImage(np.where(is_unsure, np.float32(1), known), judged.grid, "share")


def _estimated_z_score(comparison: ErrorMap) -> SRImage:
    """Signed error over the noise that neighbouring wide-field pixels show."""
    noise = noise_of_residual(comparison.residual.pixels, comparison.widefield.pixels)
    pixels = (comparison.signed.pixels / np.float32(noise.flat[0])).astype(np.float32)
    return SRImage(pixels, comparison.signed.grid, "standard deviations")
