"""Zeiss Elyra text (ZEN): columns between tabs, Latin-1, frames from 1, a footer behind a byte of zero.

The half width of the PSF is not said to be a standard deviation, and the variance of the background not to be one per
pixel; both are left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stormcell.io.tables.labelled import read_labelled
from stormcell.io.tables.labels import Meaning, length_meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from stormcell.data import Localizations

_LABEL = re.compile(r"(?P<name>[^\[]*?)\s*\[(?P<unit>[^\]]*)\]")
_LENGTHS = {
    "position x": ("x_nm",),
    "position y": ("y_nm",),
    "position z": ("z_nm",),
    "precision": ("uncertainty_x_nm", "uncertainty_y_nm"),
    "precision z": ("uncertainty_z_nm",),
}
_PLAIN = {
    "index": "id",
    "first frame": "frame",
    "number frames": "n_detections",
    "number photons": "photons",
    "chi square": "chi2",
    "channel": "channel",
}


def interpret_label(label: str) -> Meaning | None:
    """Understand a label of ZEN.

    Parameters
    ----------
    label : str
        For example "Position X [nm]".

    Returns
    -------
    Meaning or None
        None for an unknown label.
    """
    match = _LABEL.fullmatch(label)
    if match is not None and match["name"].lower() in _LENGTHS:
        return length_meaning(_LENGTHS[match["name"].lower()], match["unit"])
    column = _PLAIN.get(label.lower())
    return Meaning((column,)) if column else None


def looks_like(file: TableFile) -> bool:
    """Recognise a header with `First Frame` and `Position X`.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for labels of ZEN.
    """
    labels = [label.lower() for label in file.labels]
    return "first frame" in labels and any(label.startswith("position x") for label in labels)


def read(file: TableFile) -> Localizations:
    """Read an Elyra table up to its footer.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table; the frame is the first in which a localization was seen.

    Raises
    ------
    FormatError
        Positions are missing, or cells are not numbers.
    """
    table = file.path.read_bytes().partition(b"\x00")[0]
    return read_labelled(file, interpret_label, frame_base=1, text=table.decode("latin-1").encode())


FORMAT = TableFormat("elyra", "Zeiss Elyra text", looks_like, read)
