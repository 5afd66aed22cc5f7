"""What a run makes of a movie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.assessment.frc import FrcResult
    from stormcell.data.localizations import Localizations
    from stormcell.data.provenance import Provenance, Quantity
    from stormcell.data.sr_image import SRImage
    from stormcell.localization.drift import DriftCurve
    from stormcell.workflows.checking import Checked
    from stormcell.workflows.densify import Densified


@dataclass(frozen=True)
class RunResult:
    """Everything that a run makes of a movie.

    Parameters
    ----------
    table : Localizations
        All localizations, drift taken out.
    drawn : Localizations
        The rows that are in the picture.
    image : SRImage
        The super-resolution image.
    widefield : SRImage
        The image it was compared with.
    error_map : SRImage or None
        Where the two disagree; None where nothing was found.
    drift : DriftCurve or None
        The drift that was taken out.
    numbers : dict of str to float
        Numbers of the result.
    checked : Checked or None
        The whole comparison with the wide-field image: maps, classes, numbers.
    densified : Densified or None
        The picture that a longer acquisition would have given; None unless it was asked for.
    resolution : FrcResult or None
        The ring correlation of two halves of the movie; None where there are too few rows.
    quantities : tuple of Quantity
        Every physical value with its source.
    notes : tuple of str
        Plain sentences on what was done, which are no warnings.
    provenance : Provenance or None
        How it was made, with every physical value and its source, and the warnings.
    outputs : tuple of Path
        Files written.
    """

    table: Localizations
    drawn: Localizations
    image: SRImage
    widefield: SRImage
    error_map: SRImage | None
    drift: DriftCurve | None
    numbers: dict[str, float]
    checked: Checked | None = None
    densified: Densified | None = None
    resolution: FrcResult | None = None
    quantities: tuple[Quantity, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: Provenance | None = None
    outputs: tuple[Path, ...] = ()


def with_record(result: RunResult, record: Provenance) -> RunResult:
    """Put the same record on all parts of a result.

    Parameters
    ----------
    result : RunResult
        Table and pictures.
    record : Provenance
        How they were made.

    Returns
    -------
    RunResult
        The same with records.
    """
    error_map = replace(result.error_map, provenance=record) if result.error_map is not None else None
    return replace(
        result,
        table=result.table.with_context(provenance=record),
        image=replace(result.image, provenance=record),
        widefield=replace(result.widefield, provenance=record),
        error_map=error_map,
        provenance=record,
    )
