"""DECODE emitters in HDF5: groups data, meta and decode; positions from the centre of the first pixel, x downwards.

DECODE's first pixel reaches from -0.5 to 0.5, and its x runs along the first axis of the image: its x is our y. z is
in nm always, x and y in the unit that `meta` names. `*_sig` are standard deviations, `*_cr` are variances.

References
----------
Speiser et al. (2021), doi:10.1038/s41592-021-01236-x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from stormcell.data import Localizations, Quantity
from stormcell.errors import FormatError, MissingQuantityError
from stormcell.io.context import read_provenance
from stormcell.io.tables.hdf5 import MAGIC, contents, open_hdf5
from stormcell.io.tables.labelled import convert, left_out_remark
from stormcell.io.tables.labels import Meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_PLAIN = {
    "frame_ix": "frame",
    "phot": "photons",
    "bg": "background_photons",
    "phot_sig": "uncertainty_photons",
    "bg_sig": "uncertainty_background_photons",
    "prob": "probability",
}
_PLACES = {"xyz": ("x_nm", "y_nm", "z_nm"), "xyz_sig": ("uncertainty_x_nm", "uncertainty_y_nm", "uncertainty_z_nm")}
_BOUNDS = ("crlb_x_nm", "crlb_y_nm", "crlb_z_nm")


def looks_like(file: TableFile) -> bool:
    """Recognise an HDF5 file with the groups of DECODE.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for DECODE emitters, also for none.

    Raises
    ------
    FormatError
        The file is truncated or damaged.
    """
    return file.head.startswith(MAGIC) and {"data", "meta", "decode"} <= set(contents(file.path))


def read(file: TableFile) -> Localizations:
    """Read DECODE emitters.

    Parameters
    ----------
    file : TableFile
        The file. A given pixel size wins over the one in the file, with a warning when they differ.

    Returns
    -------
    Localizations
        The table.

    Raises
    ------
    FormatError
        The file is damaged or laid out otherwise.
    MissingQuantityError
        The pixel size is neither in the file nor given.
    """
    with open_hdf5(file.path) as hdf5:
        data = {name: item[()] for name, item in hdf5["data"].items() if item.shape is not None}
        unit, said = (hdf5["meta"].attrs.get(name) for name in ("xy_unit", "px_size"))
    left_out = [name for name in data if name not in (*_PLAIN, *_PLACES, "xyz_cr", "phot_cr", "id")]
    return localizations(file, data, left_out, (unit.decode() if isinstance(unit, bytes) else unit, said))


def localizations(
    file: TableFile, data: dict[str, NDArray[Any]], left_out: list[str], meta: tuple[object, Any]
) -> Localizations:
    """Turn DECODE's arrays into a table.

    Parameters
    ----------
    file : TableFile
        Where they come from.
    data : dict of str to ndarray
        By DECODE's names, `xyz` of shape (N, 3).
    left_out : list of str
        Names that were not read.
    meta : tuple
        Unit of x and y, and the pixel size along x and y in nm, or None.

    Returns
    -------
    Localizations
        The table.

    Raises
    ------
    FormatError
        The arrays do not fit each other, or the unit is another.
    MissingQuantityError
        The pixel size is neither told nor given.
    """
    unit, said = meta
    n_rows = _check(file.path, data, unit)
    size, quantity, warnings = _pixel_size(file, said)
    columns, remarks = _columns(file, data, n_rows, (size, unit == "px"))
    notes = tuple(left_out_remark(left_out) + remarks)
    made = read_provenance(file.path, quantities=(quantity,), notes=notes, warnings=warnings)
    return Localizations(columns, provenance=made)


def _check(path: Path, data: dict[str, NDArray[Any]], unit: object) -> int:
    xyz = data.get("xyz")
    if xyz is None or xyz.ndim != 2 or xyz.shape[1] != 3:
        got = "none" if xyz is None else f"an array of shape {xyz.shape}"
        msg = f"expected positions data/xyz of shape (N, 3) in {path}, got {got}; write it again"
        raise FormatError(msg)
    if unit not in ("px", "nm"):
        msg = f"expected px or nm as xy_unit of {path}, got {unit!r}; write it again"
        raise FormatError(msg)
    for name, values in data.items():
        if values.dtype.kind not in "iuf" or len(values) != len(xyz):
            msg = f"expected {len(xyz)} numbers in data/{name} of {path}, got another array; write it again"
            raise FormatError(msg)
    return len(xyz)


def _pixel_size(file: TableFile, said: Any) -> tuple[FloatArray, Quantity, tuple[str, ...]]:
    """Return the pixel along the first and the second axis of the image in nm, told as x and y."""
    given = file.camera_pixel_size_nm
    known = None if said is None or isinstance(said, h5py.Empty) else np.asarray(said, dtype=np.float64).ravel()
    if known is not None and (len(known) != 2 or not np.all(np.isfinite(known)) or np.any(known <= 0)):
        msg = f"expected two pixel sizes above 0 as px_size of {file.path}, got {known.tolist()}; correct it"
        raise FormatError(msg)
    if given is not None:
        warnings: tuple[str, ...] = ()
        if known is not None and not np.allclose(known, given, rtol=1e-6):
            warnings = (f"{file.path.name} says pixels of {_shown(known)} nm, but {given:g} nm was given and used",)
        return np.full(2, given), Quantity("camera_pixel_size_nm", float(given), "nm", "given"), warnings
    if known is None:
        msg = f"the camera pixel size is missing in {file.path}; pass --pixel-size-nm (for example 100)"
        raise MissingQuantityError(msg)
    detail = "px_size in the file" + ("" if known[0] == known[1] else f", pixels of {_shown(known)} nm")
    return known, Quantity("camera_pixel_size_nm", float(np.sqrt(known.prod())), "nm", "read", detail), ()


def _shown(size: FloatArray) -> str:
    return f"{size[1]:g} x {size[0]:g}"


def _columns(
    file: TableFile, data: dict[str, NDArray[Any]], n_rows: int, scale: tuple[FloatArray, bool]
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    size, is_in_pixels = scale
    cells: dict[str, NDArray[Any]] = {}
    for name, columns in _PLACES.items():
        if name in data:
            values = _in_nm(data[name].astype(np.float64), size if is_in_pixels else np.ones(2))
            if name == "xyz":
                values[:, :2] += 0.5 * size[::-1]
            cells |= dict(zip(columns, values.T, strict=True))
    if "xyz_cr" in data:
        bounds = _in_nm(np.sqrt(data["xyz_cr"].astype(np.float64)), size if is_in_pixels else np.ones(2))
        cells |= dict(zip(_BOUNDS, bounds.T, strict=True))
    if "phot_cr" in data:
        cells["crlb_photons"] = np.sqrt(data["phot_cr"].astype(np.float64))
    cells |= {column: data[name] for name, column in _PLAIN.items() if name in data}
    if n_rows and "id" in data and np.all(data["id"] >= 0):
        cells["emitter_id"] = data["id"]
    chosen = {index: Meaning((name,)) for index, name in enumerate(cells)}
    return convert(file, chosen, list(cells.values()), frame_base=0)


def _in_nm(xyz: FloatArray, size: FloatArray) -> FloatArray:
    """Exchange DECODE's x and y, which run along the first and the second axis, and scale them."""
    return np.stack([xyz[:, 1] * size[1], xyz[:, 0] * size[0], xyz[:, 2]], axis=1)


FORMAT = TableFormat("decode", "DECODE HDF5", looks_like, read)
