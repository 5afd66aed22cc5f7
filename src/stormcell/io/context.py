"""What travels with a table or picture inside its file: the grid and the provenance, as one JSON record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stormcell import __version__
from stormcell.data import PixelGrid, Provenance
from stormcell.errors import FormatError
from stormcell.io.hashing import hash_input

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stormcell.data import Quantity

RECORD_KEY = "stormcell"
"""Under this key the record stands in the metadata of a file."""


def context_record(grid: PixelGrid | None, provenance: Provenance | None, **more: Any) -> dict[str, Any]:
    """Collect what travels with a result.

    Parameters
    ----------
    grid : PixelGrid, optional
        Its pixel grid.
    provenance : Provenance, optional
        How it was made.
    **more : Any
        Further plain values, for example `n_frames`.

    Returns
    -------
    dict
        Plain values only, ready for JSON or YAML.
    """
    record: dict[str, Any] = {"record_version": 1, "grid": None, "provenance": None, **more}
    if grid is not None:
        record["grid"] = {
            "pixel_size_nm": float(grid.pixel_size_nm),
            "shape": [int(side) for side in grid.shape],
            "origin_nm": [float(side) for side in grid.origin_nm],
        }
    if provenance is not None:
        record["provenance"] = json.loads(provenance.to_json())
    return record


def context_from_record(
    record: Mapping[str, Any], path: Path
) -> tuple[PixelGrid | None, Provenance | None, int | None]:
    """Read what `context_record` collected.

    Parameters
    ----------
    record : mapping
        The record.
    path : Path
        The file it comes from, for the message.

    Returns
    -------
    tuple
        Grid, provenance and number of frames; each None where the record is silent.

    Raises
    ------
    FormatError
        The record is damaged.
    """
    try:
        raw, made, n_frames = record.get("grid"), record.get("provenance"), record.get("n_frames")
        grid = None
        if raw is not None:
            rows, columns = raw["shape"]
            y0, x0 = raw["origin_nm"]
            grid = PixelGrid(float(raw["pixel_size_nm"]), (int(rows), int(columns)), (float(y0), float(x0)))
        provenance = None if made is None else Provenance.from_json(json.dumps(made))
        return grid, provenance, None if n_frames is None else int(n_frames)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"the stormcell record in {path} is damaged ({error}); write the file again or remove the record"
        raise FormatError(msg) from None


def read_provenance(
    path: str | Path,
    *,
    quantities: tuple[Quantity, ...] = (),
    notes: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Provenance:
    """Start the record of a file that another program wrote.

    Parameters
    ----------
    path : str or Path
        The file, or the URL of a store.
    quantities : tuple of Quantity
        Physical quantities and where they came from.
    notes, warnings : tuple of str
        Plain sentences for the report.

    Returns
    -------
    Provenance
        Verb "read" with the file's fingerprint.
    """
    inputs = (hash_input(path),)
    return Provenance("read", __version__, inputs=inputs, quantities=quantities, notes=notes, warnings=warnings)


def with_notes(provenance: Provenance, notes: tuple[str, ...]) -> Provenance:
    """Add notes to a record, each kept once.

    Parameters
    ----------
    provenance : Provenance
        The record.
    notes : tuple of str
        Plain sentences; may be empty.

    Returns
    -------
    Provenance
        The extended record.
    """
    return replace(provenance, notes=tuple(dict.fromkeys((*provenance.notes, *notes))))
