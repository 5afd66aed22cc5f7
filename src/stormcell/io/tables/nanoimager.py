"""ONI Nanoimager CSV: labels such as `X (nm)`, frames from 0.

Columns in pixels are left out: the same lengths are there in nm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.io.tables.labelled import read_labelled
from stormcell.io.tables.labels import Meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from stormcell.data import Localizations

_LABELS = {
    "channel": "channel",
    "frame": "frame",
    "x (nm)": "x_nm",
    "y (nm)": "y_nm",
    "z (nm)": "z_nm",
    "x precision (nm)": "uncertainty_x_nm",
    "y precision (nm)": "uncertainty_y_nm",
    "photons": "photons",
    "background": "background_photons",
}


def interpret_label(label: str) -> Meaning | None:
    """Understand a label of the Nanoimager.

    Parameters
    ----------
    label : str
        For example "X (nm)".

    Returns
    -------
    Meaning or None
        None for an unknown label.
    """
    column = _LABELS.get(label.lower())
    return Meaning((column,)) if column else None


def looks_like(file: TableFile) -> bool:
    """Recognise a header with `Channel`, `Frame` and `X (nm)`.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for labels of the Nanoimager.
    """
    return {"channel", "frame", "x (nm)"} <= {label.lower() for label in file.labels}


def read(file: TableFile) -> Localizations:
    """Read a Nanoimager table.

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
    return read_labelled(file, interpret_label, frame_base=0)


FORMAT = TableFormat("nanoimager", "ONI Nanoimager CSV", looks_like, read)
