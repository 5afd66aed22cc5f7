"""SMAP CSV: the fields of SMAP as labels (xnm, ynm, frame, locprecnm, phot, ...), frames from 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.io.tables.labelled import read_labelled
from stormcell.io.tables.labels import Meaning
from stormcell.io.tables.smap import FIELDS, ORIGIN_NOTE
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from stormcell.data import Localizations


def interpret_label(label: str) -> Meaning | None:
    """Understand a field of SMAP.

    Parameters
    ----------
    label : str
        For example "xnm" or "locprecnm".

    Returns
    -------
    Meaning or None
        None for an unknown label.
    """
    return Meaning(FIELDS[label]) if label in FIELDS else None


def looks_like(file: TableFile) -> bool:
    """Recognise a header with `xnm` and `ynm`.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for SMAP's fields.
    """
    return {"xnm", "ynm"} <= set(file.labels)


def read(file: TableFile) -> Localizations:
    """Read an SMAP CSV.

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
    """
    return read_labelled(file, interpret_label, frame_base=1, notes=(ORIGIN_NOTE,))


FORMAT = TableFormat("smap_csv", "SMAP CSV", looks_like, read)
