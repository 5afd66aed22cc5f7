"""From labelled columns to a table: choose, convert to our units and frame base, say what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import COLUMNS, Localizations
from stormcell.errors import FormatError, MissingQuantityError
from stormcell.io.context import read_provenance
from stormcell.io.tables.delimited import read_cells

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stormcell.io.tables.labels import Interpreter, Meaning
    from stormcell.io.tables.table_format import TableFile


def choose_columns(
    file: TableFile, labels: Sequence[str], interpret: Interpreter
) -> tuple[dict[int, Meaning], list[str]]:
    """Decide which columns of a file are read, and as what.

    Parameters
    ----------
    file : TableFile
        The file, for messages and the pixel size.
    labels : sequence of str
        Its column labels.
    interpret : callable
        Says what a label means.

    Returns
    -------
    tuple of dict and list
        Meaning by column index, and the labels left out.

    Raises
    ------
    FormatError
        There is no x or no y column.
    MissingQuantityError
        A column is in pixels and their size is not known.
    """
    chosen: dict[int, Meaning] = {}
    left_out: list[str] = []
    filled: set[str] = set()
    for index, label in enumerate(labels):
        meaning = interpret(label)
        if meaning is None or not filled.isdisjoint(meaning.columns):
            left_out.append(label)
            continue
        if meaning.is_in_pixels and file.camera_pixel_size_nm is None:
            msg = f"{label!r} in {file.path} is in pixels of unknown size; pass --pixel-size-nm (for example 100)"
            raise MissingQuantityError(msg)
        chosen[index] = meaning
        filled.update(meaning.columns)
    require_positions(file.path, filled, labels)
    return chosen, left_out


def require_positions(path: Path, filled: set[str], labels: Sequence[str]) -> None:
    """Refuse a table without positions.

    Parameters
    ----------
    path : Path
        The file, for the message.
    filled : set of str
        Registered columns that the file fills.
    labels : sequence of str
        Its own labels, for the message.

    Raises
    ------
    FormatError
        There is no x or no y column.
    """
    for axis in "xy":
        if f"{axis}_nm" not in filled:
            found = ", ".join(str(label) for label in labels[:12]) + (", ..." if len(labels) > 12 else "")
            msg = (
                f'expected a table with positions in {path}, got no {axis} column with a unit ("{axis} [nm]" or '
                f"{axis}_nm) among: {found}; rename the column that holds {axis}"
            )
            raise FormatError(msg)


def convert(
    file: TableFile, chosen: dict[int, Meaning], values: Sequence[NDArray[Any]], frame_base: int
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Convert columns to registered names, units and dtypes, and frames to a count from 0.

    Parameters
    ----------
    file : TableFile
        The file, for messages and the pixel size.
    chosen : dict
        Meaning by column index.
    values : sequence of ndarray
        The columns, in the order of `chosen`.
    frame_base : int
        Number of the first frame in this format, 0 or 1.

    Returns
    -------
    tuple of dict and list
        Columns by registered name, and remarks.

    Raises
    ------
    FormatError
        Frames are not whole numbers from 0.
    """
    columns: dict[str, NDArray[Any]] = {}
    remarks: list[str] = []
    for meaning, cells in zip(chosen.values(), values, strict=True):
        factor = meaning.factor if not meaning.is_in_pixels else float(file.camera_pixel_size_nm or np.nan)
        scaled = cells if factor == 1 else cells * factor
        for name in meaning.columns:
            if not COLUMNS[name].dtype.startswith("int") or _is_whole(scaled):
                columns[name] = scaled
            elif name == "frame":
                msg = f"expected whole numbers as frames in {file.path}, got {_first_not_whole(scaled)}; correct it"
                raise FormatError(msg)
            else:
                remarks.append(f"column {name} was left out because it does not hold whole numbers alone")
    if len(columns.get("frame", ())):
        columns["frame"], remark = _from_zero(file.path, columns["frame"], frame_base)
        remarks.extend(remark)
    return columns, remarks


def left_out_remark(labels: Sequence[str]) -> list[str]:
    """Name the columns that were not read.

    Parameters
    ----------
    labels : sequence of str
        Their labels; may be empty.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    return [f"columns without a counterpart were left out: {', '.join(map(str, labels))}"] if labels else []


def read_labelled(
    file: TableFile,
    interpret: Interpreter,
    frame_base: int,
    *,
    text: bytes | None = None,
    notes: tuple[str, ...] = (),
) -> Localizations:
    """Read delimited text with a header.

    Parameters
    ----------
    file : TableFile
        The file.
    interpret : callable
        Says what a label means.
    frame_base : int
        Number of the first frame in this format, 0 or 1.
    text : bytes, optional
        The part of the file that is the table, in UTF-8, where something else follows.
    notes : tuple of str
        Further remarks on the format.

    Returns
    -------
    Localizations
        The table; its provenance names the columns left out.

    Raises
    ------
    FormatError
        Positions are missing, or cells are not numbers.
    MissingQuantityError
        A column is in pixels and their size is not known.
    """
    if file.header is None:
        msg = f"expected a table as text in {file.path}, got binary data; name another file"
        raise FormatError(msg)
    chosen, left_out = choose_columns(file, file.header.labels, interpret)
    columns, remarks = convert(file, chosen, read_cells(file.path, file.header, list(chosen), text), frame_base)
    notes = (*left_out_remark(left_out), *remarks, *notes)
    return Localizations(columns, provenance=read_provenance(file.path, notes=notes))


def _is_whole(values: NDArray[Any]) -> bool:
    if values.dtype.kind in "iub":
        return True
    return bool(np.all(np.isfinite(values)) and np.all(values == np.floor(values)) and np.all(np.abs(values) < 2**62))


def _first_not_whole(values: NDArray[Any]) -> float:
    return float(values[~(np.isfinite(values) & (values == np.floor(values)))][:1].sum())


def _from_zero(path: Path, frames: NDArray[Any], frame_base: int) -> tuple[NDArray[Any], list[str]]:
    first = int(frames.min())
    if first < 0:
        msg = f"expected frames that count from {frame_base} in {path}, got frame {first}; correct it"
        raise FormatError(msg)
    if first < frame_base:
        return frames, ["the frames start at 0 although this format counts from 1; they were taken as counted from 0"]
    return frames - frame_base, []
