"""info: what is inside a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data.frame_stack import FrameStack
from stormcell.data.localizations import Localizations
from stormcell.workflows.options import build_settings
from stormcell.workflows.read import Kind, kind_of, read
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.table_settings import TableSettings

if TYPE_CHECKING:
    from stormcell.data.provenance import Provenance, Quantity
    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.opening import PathLike


@dataclass(frozen=True)
class ColumnSummary:
    """Range of one column of a table."""

    name: str
    unit: str
    smallest: float
    median: float
    largest: float


@dataclass(frozen=True)
class FileInfo:
    """What is inside a file.

    Parameters
    ----------
    kind : {"movie", "table", "image"}
        What it is.
    name : str
        Without folder.
    n_bytes : int
        Size on disc.
    facts : dict
        By name; which ones depends on the kind.
    quantities : tuple of Quantity
        What the file says of the camera, or what its record says.
    columns : tuple of ColumnSummary
        Of a table.
    provenance : Provenance or None
        How it was made, where it says so.
    """

    kind: Kind
    name: str
    n_bytes: int
    facts: dict[str, Any]
    quantities: tuple[Quantity, ...] = ()
    columns: tuple[ColumnSummary, ...] = field(default_factory=tuple)
    provenance: Provenance | None = None


@with_remote_places
def info(path: PathLike, settings: TableSettings | None = None, **options: Any) -> FileInfo:
    """Say what is inside a file.

    Parameters
    ----------
    path : path
        A movie, a table or an image.
    settings : TableSettings, optional
        What a table may not say about itself.
    **options : object
        Fields of the settings.

    Returns
    -------
    FileInfo
        Its kind, size and content; frames are not read.

    Raises
    ------
    FormatError
        The file is missing, empty, damaged, or none of these.
    """
    wanted = build_settings(TableSettings, settings, options)
    kind: Kind = "table" if wanted.columns else kind_of(path)
    content = read(path, kind=kind, pixel_size_nm=wanted.pixel_size_nm, columns=wanted.columns)
    place = Path(path)
    about: dict[str, Any] = {"kind": kind, "name": place.name, "n_bytes": place.stat().st_size}
    if isinstance(content, FrameStack):
        return FileInfo(**about, facts=_movie_facts(content), quantities=tuple(content.metadata.values()))
    if isinstance(content, Localizations):
        return FileInfo(
            **about,
            facts=_table_facts(content),
            quantities=content.provenance.quantities if content.provenance else (),
            columns=tuple(_summary(content, name) for name in content.names),
            provenance=content.provenance,
        )
    return FileInfo(
        **about,
        facts=_image_facts(content),
        quantities=content.provenance.quantities if content.provenance else (),
        provenance=content.provenance,
    )


def _movie_facts(stack: FrameStack) -> dict[str, Any]:
    n_frames, height, width = stack.shape
    return {"n_frames": n_frames, "height_px": height, "width_px": width, "dtype": stack.dtype.name}


def _table_facts(table: Localizations) -> dict[str, Any]:
    facts: dict[str, Any] = {"n_rows": table.n_rows, "n_frames": table.n_frames}
    if table.grid is not None:
        facts["camera_pixel_size_nm"] = table.grid.pixel_size_nm
        facts["field_nm"] = table.grid.extent_nm
    return facts


def _image_facts(image: SRImage) -> dict[str, Any]:
    return {
        "height_px": image.grid.shape[0],
        "width_px": image.grid.shape[1],
        "sr_pixel_size_nm": image.sr_pixel_size_nm,
        "origin_nm": image.grid.origin_nm,
        "unit": image.unit,
        "largest": float(np.nanmax(image.pixels)),
    }


def _summary(table: Localizations, name: str) -> ColumnSummary:
    from stormcell.data.columns import COLUMNS

    values = table[name].astype(np.float64)
    values = values[np.isfinite(values)]
    low, middle, high = np.quantile(values, [0, 0.5, 1]) if values.size else (np.nan,) * 3
    return ColumnSummary(name, COLUMNS[name].unit, float(low), float(middle), float(high))
