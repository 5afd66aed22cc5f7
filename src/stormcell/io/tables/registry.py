"""All table formats, and the choice among them: by content for reading, by ending for writing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stormcell.data import PixelGrid
from stormcell.errors import FormatError, InputError, MissingColumnError, OutputError
from stormcell.io.context import with_notes
from stormcell.io.reading import content_name, first_bytes
from stormcell.io.tables import (
    challenge,
    decode,
    decode_csv,
    elyra,
    named_columns,
    nanoimager,
    parquet,
    picasso,
    rapidstorm,
    smap,
    smap_csv,
    smlm,
    stated_units,
    thunderstorm,
)
from stormcell.io.tables.delimited import read_header
from stormcell.io.tables.hdf5 import MAGIC, contents
from stormcell.io.tables.table_format import TableFile, TableFormat
from stormcell.io.writing import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormcell.data import Localizations

_EXPECTED = "a localization table (for example Parquet, ThunderSTORM CSV, Picasso HDF5)"

_MODULES = (
    parquet,
    rapidstorm,
    decode_csv,
    thunderstorm,
    picasso,
    decode,
    smap,
    smlm,
    elyra,
    nanoimager,
    challenge,
    smap_csv,
    named_columns,
    stated_units,
)

FORMATS: dict[str, TableFormat] = {module.FORMAT.name: module.FORMAT for module in _MODULES}
"""Known formats by name; the first that recognises a file reads it."""


def read_table(
    path: str | Path, *, camera_pixel_size_nm: float | None = None, labels: Sequence[str] | None = None
) -> Localizations:
    """Read a localization table of any known format, chosen by its content.

    Parameters
    ----------
    path : str or Path
        The file.
    camera_pixel_size_nm : float, optional
        For tables that count in camera pixels and do not say how large those are. A table without a camera grid gets
        one of such pixels that reaches from the corner as far as its positions, and a note says so.
    labels : sequence of str, optional
        Column labels of a text file that has no header line, or in place of its own, for example ("x_nm", "y_nm",
        "frame") or those of another program, which then also decide on units and the number of the first frame.

    Returns
    -------
    Localizations
        The table; columns without a counterpart are left out and named in `provenance.notes`.

    Raises
    ------
    FormatError
        The file is missing, empty, damaged, or not a localization table.
    MissingQuantityError
        Positions are in pixels and their size is not known.
    InputError
        The given pixel size is not above 0.
    """
    path = Path(path)
    if camera_pixel_size_nm is not None and not (math.isfinite(camera_pixel_size_nm) and camera_pixel_size_nm > 0):
        msg = f"expected a camera pixel size above 0 nm, got {camera_pixel_size_nm}"
        raise InputError(msg)
    head = first_bytes(path, _EXPECTED)
    file = TableFile(path, head, read_header(head, labels), camera_pixel_size_nm)
    for entry in FORMATS.values():
        if entry.looks_like(file):
            return _with_grid(entry.read(file), camera_pixel_size_nm)
    raise FormatError(_refusal(file))


def is_table(path: str | Path) -> bool:
    """Tell whether a file is a localization table of a known format, without reading its rows.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    bool
        True when a format recognises it.

    Raises
    ------
    FormatError
        The file is missing, empty or damaged.
    """
    path = Path(path)
    head = first_bytes(path, _EXPECTED)
    file = TableFile(path, head, read_header(head))
    return any(entry.looks_like(file) for entry in FORMATS.values())


def write_table(table: Localizations, path: str | Path, overwrite: bool = False) -> tuple[str, ...]:
    """Write a localization table in the format of the file's ending, in one step.

    Parameters
    ----------
    table : Localizations
        The table.
    path : str or Path
        The file to be written: .parquet, .csv (ThunderSTORM) or .hdf5 (Picasso).
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    tuple of str
        Plain sentences on what the format cannot hold; empty when everything was written.

    Raises
    ------
    OutputError
        The ending is not known, or the file cannot be written.
    MissingColumnError
        The table has no positions.
    MissingQuantityError
        The format counts in pixels and the table does not know their size.
    """
    path = Path(path)
    entry = table_format_for(path)
    if "x_nm" not in table or "y_nm" not in table:
        msg = f"expected a table with x_nm and y_nm to write to {path}, got {', '.join(table.names) or 'no column'}"
        raise MissingColumnError(msg)
    if entry.write is None:  # a format with an ending has a writer
        msg = f"{entry.title} can be read but not written; name a .parquet file"
        raise OutputError(msg)
    return entry.write(table, path, overwrite)


def check_table_writable(path: str | Path, overwrite: bool = False) -> None:
    """Refuse a table name that cannot be written, before any long work.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The ending is not known, or the file, or one that the format writes beside it, cannot be written.
    """
    path = Path(path)
    entry = table_format_for(path)
    check_writable(path, overwrite)
    if entry.check is not None:
        entry.check(path, overwrite)


def table_format_for(path: str | Path) -> TableFormat:
    """Find the format that a file name asks for, before any long work.

    Parameters
    ----------
    path : str or Path
        The file to be written.

    Returns
    -------
    TableFormat
        The format of its ending.

    Raises
    ------
    OutputError
        No format has that ending.
    """
    ending = Path(path).suffix.lower()
    endings = {known: entry for entry in FORMATS.values() for known in entry.endings}
    if ending not in endings:
        msg = f"expected a table name ending in {', '.join(endings)}, got {Path(path).name}; choose one of these"
        raise OutputError(msg)
    return endings[ending]


def _with_grid(table: Localizations, camera_pixel_size_nm: float | None) -> Localizations:
    if camera_pixel_size_nm is None or table.grid is not None or table.provenance is None:
        return table
    farthest = [float(np.max(table[name], initial=0.0, where=np.isfinite(table[name]))) for name in ("y_nm", "x_nm")]
    shape = (int(farthest[0] // camera_pixel_size_nm) + 1, int(farthest[1] // camera_pixel_size_nm) + 1)
    note = f"the field was taken to reach as far as the positions: {shape[0]} x {shape[1]} camera pixels"
    grid = PixelGrid(float(camera_pixel_size_nm), shape)
    return table.with_context(grid=grid, provenance=with_notes(table.provenance, (note,)))


def _refusal(file: TableFile) -> str:
    start = f"expected {_EXPECTED}, but {file.path}"
    if file.header is None:
        inside = f" holding {', '.join(contents(file.path)) or 'nothing'}" if file.head.startswith(MAGIC) else ""
        return f"{start} is {content_name(file.head)}{inside}; name another file"
    if not file.labels:
        return f"{start} has no header line; name its columns with --columns, for example x_nm,y_nm,frame"
    found = ", ".join(label[:30] for label in file.labels[:12])
    return (
        f"{start} has no x column with a unit; expected labels such as "
        f'"x [nm]","y [nm]" or x_nm,y_nm in its first line or from --columns, got: {found}'
    )
