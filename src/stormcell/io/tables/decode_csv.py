"""DECODE emitters as CSV: three lines of comment, the second and third of JSON, then labels x, y, z, phot, ...

Units and origin are those of DECODE's HDF5 files; x and y of the labels run down and along the rows of the image.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError
from stormcell.io.tables.decode import localizations
from stormcell.io.tables.delimited import read_cells
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from stormcell.data import Localizations

_START = b"# DECODE EmitterSet"
_SIMPLE = ("phot", "frame_ix", "id", "prob", "bg", "phot_sig", "bg_sig", "phot_cr", "bg_cr")
_TRIPLES = {"xyz": ("x", "y", "z"), "xyz_sig": ("x_sig", "y_sig", "z_sig"), "xyz_cr": ("x_cr", "y_cr", "z_cr")}


def looks_like(file: TableFile) -> bool:
    """Recognise the first line of comment.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for DECODE's CSV.
    """
    return file.head.startswith(_START)


def read(file: TableFile) -> Localizations:
    """Read DECODE emitters.

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
        The comment or the labels are not DECODE's, or cells are not numbers.
    MissingQuantityError
        The pixel size is neither in the file nor given.
    """
    meta = _meta(file)
    labels = file.labels
    if file.header is None or not {"x", "y", "z"} <= set(labels):
        msg = (
            f"expected columns x, y and z of DECODE in {file.path}, got {', '.join(labels) or 'none'}; write it again"
        )
        raise FormatError(msg)
    known = [label for label in labels if label in _SIMPLE or any(label in three for three in _TRIPLES.values())]
    cells = dict(zip(known, read_cells(file.path, file.header, [labels.index(name) for name in known]), strict=True))
    data: dict[str, Any] = {name: cells[name] for name in _SIMPLE if name in cells}
    for name, three in _TRIPLES.items():
        if all(label in cells for label in three):
            data[name] = np.stack([cells[label] for label in three], axis=1)
    # columns without a value are empty cells throughout
    data = {name: values for name, values in data.items() if not len(values) or not np.all(np.isnan(values))}
    left_out = [label for label in labels if label not in known]
    return localizations(file, data, left_out, (meta.get("xy_unit"), meta.get("px_size")))


def _meta(file: TableFile) -> dict[str, Any]:
    lines = file.head.splitlines()[1:3]
    try:
        meta: dict[str, Any] = {}
        for line in lines:
            meta |= json.loads(line.decode().lstrip("# "))
    except (ValueError, TypeError) as error:
        msg = f"expected JSON in lines 2 and 3 of {file.path}, but they are damaged ({error}); write it again"
        raise FormatError(msg) from None
    return meta


FORMAT = TableFormat("decode_csv", "DECODE CSV", looks_like, read)
