"""check: how far a super-resolution image can be trusted, by a wide-field image of the same field."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.errors import DataQualityWarning, InputError
from stormcell.workflows.check_input import (
    FINEST_DRAWN_NM,
    draw_table,
    is_a_table,
    open_events,
    open_one,
    open_pages,
)
from stormcell.workflows.check_outputs import check_files, write_check
from stormcell.workflows.check_settings import CheckVerbSettings
from stormcell.workflows.checking import Checked, Evidence, check_image, linked_events
from stormcell.workflows.opening import PathLike, fingerprint
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_folder
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stormcell.data.localizations import Localizations
    from stormcell.data.provenance import Provenance
    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.progress import Progress

    Known = Mapping[str, PathLike | SRImage | Localizations | None]


@dataclass(frozen=True)
class CheckResult:
    """What check found.

    Parameters
    ----------
    checked : tuple of Checked
        One for each super-resolution image.
    fused : SRImage or None
        The images fused by their error maps.
    fused_check : Checked or None
        The same check of the fused image.
    provenance : Provenance
        How it was made.
    outputs : tuple of Path
        Files written.
    """

    checked: tuple[Checked, ...]
    fused: SRImage | None
    fused_check: Checked | None
    provenance: Provenance
    outputs: tuple[Path, ...] = ()

    @property
    def numbers(self) -> dict[str, Any]:
        """Numbers of the first image; with several, `images` holds those of each, `fused` those of the fused one."""
        each = [one.numbers for one in self.checked]
        found = dict(each[0])
        if len(each) > 1:
            found["images"] = each
        if self.fused_check is not None:
            found["fused"] = self.fused_check.numbers
        return found


@with_remote_places
def check(
    image: PathLike | SRImage | Localizations | Sequence[SRImage],
    widefield: PathLike | SRImage | None = None,
    settings: CheckVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    known: Known | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> CheckResult:
    """Check how far a super-resolution image can be trusted, by a wide-field image of the same field.

    Parameters
    ----------
    image : path, SRImage, Localizations or sequence of SRImage
        An image, a stack of images, or a table, which is drawn first.
    widefield : path or SRImage
        The conventional image of the same field.
    settings : CheckVerbSettings, optional
        How; or give fields as options.
    output : path, optional
        A folder for error maps, classes, check.json and report.html; None writes nothing.
    overwrite : bool
        Whether existing files may be replaced.
    known : mapping, optional
        What else is known, by name: `table` (localizations the image rests on), `prior_share` (image, 0 to 1),
        `uncertainty` (standard deviation of every pixel), `rsf` (measured RSF).
    progress : callable, optional
        Told of the stages.
    **options : object
        Fields of the settings by name, also of nested ones.

    Returns
    -------
    CheckResult
        Error maps, classes, corrected images, numbers.

    Raises
    ------
    InputError
        There is no wide-field image, or the two cannot be compared.
    """
    wanted = build_settings(CheckVerbSettings, settings, options)
    if widefield is None:
        msg = (
            "expected a wide-field image to check against (--widefield), got none: a table or an image alone holds "
            "nothing independent that could contradict it; for a movie, run compares with the movie's own mean frame"
        )
        raise InputError(msg)
    known = dict(known or {})
    with collect_warnings() as messages:
        wide = open_one(widefield, wanted.widefield_pixel_size_nm, "--widefield-pixel-size-nm")
        pairs = _pairs(image, wide, wanted, known)
        if output is not None:
            prepare_folder(output, check_files(len(pairs), suppress=wanted.suppress, fuse=wanted.fuse), overwrite)
        checked = []
        for number, (picture, evidence) in enumerate(pairs, start=1):
            begin_stage(progress, "Comparing" if len(pairs) == 1 else f"Comparing image {number} of {len(pairs)}")
            checked.append(check_image(picture, wide, wanted.resolved(), evidence))
        fused, fused_check = _fused(checked, wide, wanted)
        _say_what_illumination_means(wanted)
    files = [item for item in (image, *wanted.also, widefield, *known.values()) if item is not None]
    inputs = tuple(file for item in files for file in fingerprint(item))
    record = make_record("check", wanted, inputs=inputs, notes=checked[0].notes).with_warnings(*messages)
    result = CheckResult(tuple(checked), fused, fused_check, record)
    if output is None:
        return result
    begin_stage(progress, "Writing")
    return replace(result, outputs=write_check(result, wanted, Path(output), overwrite))


def _pairs(image: Any, wide: SRImage, wanted: CheckVerbSettings, known: Known) -> list[tuple[SRImage, Evidence]]:
    """Every image that is to be judged, with its evidence."""
    if is_a_table(image) or wanted.columns is not None:
        if wanted.also or known.get("table") is not None:
            msg = "expected one table alone, got further images or tables beside it; check them one by one"
            raise InputError(msg)
        return [_drawn(image, wide, wanted, known)]
    pictures = open_pages(image, wanted.sr_pixel_size_nm, "--sr-pixel-size-nm")
    for further in wanted.also:
        pictures += open_pages(further, wanted.sr_pixel_size_nm, "--sr-pixel-size-nm")
    evidence = _evidence(wanted, known)
    return [(picture, evidence) for picture in pictures]


def _drawn(table: Any, wide: SRImage, wanted: CheckVerbSettings, known: Known) -> tuple[SRImage, Evidence]:
    rows = open_events(table, wanted.pixel_size_nm, wanted.columns)
    if "uncertainty_x_nm" in rows:
        rows = linked_events(rows, wanted.checking.linking)
    size = wanted.sr_pixel_size_nm or min(wide.sr_pixel_size_nm / 5, FINEST_DRAWN_NM)
    drawn = draw_table(rows, wide.grid, size, wanted.held_out_share, wanted.checking.comparison.seed)
    evidence = replace(_evidence(wanted, known), events=drawn.events, held_out=drawn.held_out, is_drawing=True)
    return drawn.image, evidence


def _evidence(wanted: CheckVerbSettings, known: Known) -> Evidence:
    strange = set(known) - {"table", "prior_share", "uncertainty", "rsf"}
    if strange:
        msg = f"expected table, prior_share, uncertainty or rsf as what is known, got {', '.join(sorted(strange))}"
        raise InputError(msg)
    table, rsf = known.get("table"), known.get("rsf")
    maps = {
        name: open_one(known[name], wanted.sr_pixel_size_nm, "--sr-pixel-size-nm")  # type: ignore[arg-type]
        for name in ("prior_share", "uncertainty")
        if known.get(name) is not None
    }
    rows = open_events(table, wanted.pixel_size_nm, wanted.columns) if table is not None else None  # type: ignore[arg-type]
    measured = open_one(rsf, wanted.rsf_pixel_size_nm, "--rsf-pixel-size-nm") if rsf is not None else None  # type: ignore[arg-type]
    return Evidence(
        events=rows,
        prior_share=maps.get("prior_share"),
        standard_deviation=maps.get("uncertainty"),
        rsf=measured,
    )


def _fused(
    checked: Sequence[Checked], wide: SRImage, wanted: CheckVerbSettings
) -> tuple[SRImage | None, Checked | None]:
    if not wanted.fuse:
        return None, None
    from stormcell.assessment.fusion import fuse

    fused = fuse([one.comparison for one in checked])
    # Fused images carry the offset of the wide field, which is no structure.
    level = replace(fused, pixels=fused.pixels - fused.pixels.min())
    return fused, check_image(level, wide, wanted.resolved())


def _say_what_illumination_means(wanted: CheckVerbSettings) -> None:
    if wanted.illumination == "epi":
        sentence = (
            "the wide-field image was lit throughout (epi): light from out of focus shows as error here although the "
            "super-resolution image may be right"
        )
        warnings.warn(sentence, DataQualityWarning, stacklevel=3)
