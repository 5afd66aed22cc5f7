"""CSV of the localization microscopy challenges: xnano, ynano, znano, frames from 1.

References
----------
Sage et al. (2015), doi:10.1038/nmeth.3442; Sage et al. (2019), doi:10.1038/s41592-019-0364-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.io.tables.labelled import read_labelled
from stormcell.io.tables.labels import Meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from stormcell.data import Localizations

_LABELS = {
    "ground-truth": "id",
    "id": "id",
    "frame": "frame",
    "xnano": "x_nm",
    "ynano": "y_nm",
    "znano": "z_nm",
    "intensity": "photons",
}


def interpret_label(label: str) -> Meaning | None:
    """Understand a label of the challenge.

    Parameters
    ----------
    label : str
        For example "xnano".

    Returns
    -------
    Meaning or None
        None for an unknown label.
    """
    column = _LABELS.get(label.lower())
    return Meaning((column,)) if column else None


def looks_like(file: TableFile) -> bool:
    """Recognise a header with `xnano`.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for labels of the challenge.
    """
    return any(label.lower() in ("xnano", "ynano") for label in file.labels)


def read(file: TableFile) -> Localizations:
    """Read a table of the challenge.

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
    return read_labelled(file, interpret_label, frame_base=1)


FORMAT = TableFormat("challenge", "SMLM challenge CSV", looks_like, read)
