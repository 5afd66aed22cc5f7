"""Delimited text whose labels are our own column names, frames from 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.io.tables.labelled import read_labelled
from stormcell.io.tables.labels import interpret_own_names
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from stormcell.data import Localizations


def looks_like(file: TableFile) -> bool:
    """Recognise a header with one of our position columns.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True when a label means x_nm or y_nm, in any unit of length.
    """
    meanings = (interpret_own_names(label) for label in file.labels)
    return any(meaning and meaning.columns[0] in ("x_nm", "y_nm") for meaning in meanings)


def read(file: TableFile) -> Localizations:
    """Read a table with our column names.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table.

    Raises
    ------
    FormatError
        Positions are missing, or cells are not numbers.
    MissingQuantityError
        Positions are in pixels and their size is not known.
    """
    return read_labelled(file, interpret_own_names, frame_base=0)


FORMAT = TableFormat("named_columns", "CSV with our column names", looks_like, read)
