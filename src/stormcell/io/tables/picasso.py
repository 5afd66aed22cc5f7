"""Picasso HDF5: positions in camera pixels from the centre of the first one, frames from 0, metadata in YAML.

The centre of Picasso's pixel (i, j) is exactly (j, i), so x_nm = (x + 0.5) * Pixelsize. z and lpz are in nm already.
Picasso drops rows with a NaN in any column, so an optional column that holds one is not written, and NaN becomes 0 in
the columns it requires. The metadata are written twice, as YAML and into `/metadata`; either is enough for reading.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from stormcell.data import Localizations, PixelGrid, Quantity
from stormcell.errors import FormatError, MissingQuantityError
from stormcell.io.context import RECORD_KEY, context_from_record, read_provenance, with_notes
from stormcell.io.documents import json_text, yaml_text
from stormcell.io.tables.hdf5 import MAGIC, contents, open_hdf5
from stormcell.io.tables.labelled import convert, left_out_remark, require_positions
from stormcell.io.tables.labels import Meaning
from stormcell.io.tables.picasso_metadata import (
    DATA_SET,
    check_sidecar,
    lookup,
    metadata_of,
    own_record,
    read_metadata,
    sidecar_of,
)
from stormcell.io.tables.table_format import TableFile, TableFormat
from stormcell.io.writing import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stormcell.data import Provenance

_LOCS = "locs"
_IN_PIXELS = {
    "x": "x_nm",
    "y": "y_nm",
    "sx": "psf_sigma_x_nm",
    "sy": "psf_sigma_y_nm",
    "lpx": "uncertainty_x_nm",
    "lpy": "uncertainty_y_nm",
}
_PLAIN = {
    "frame": "frame",
    "photons": "photons",
    "bg": "background_photons",
    "z": "z_nm",
    "lpz": "uncertainty_z_nm",
    "net_gradient": "net_gradient",
    "ellipticity": "ellipticity",
    "log_likelihood": "log_likelihood",
    "likelihood": "log_likelihood",
    "iterations": "iterations",
    "group": "group_id",
    "n": "n_detections",
}
_REQUIRED = ("frame", "x", "y", "photons", "sx", "sy", "bg", "lpx", "lpy")
_OPTIONAL = ("z", "lpz", "net_gradient", "ellipticity", "log_likelihood", "iterations", "group", "n")
_DTYPES = {"frame": "<u4", "iterations": "<i4", "group": "<i4", "n": "<u4"}
_NEVER_ZERO = ("psf_sigma_x_nm", "psf_sigma_y_nm", "uncertainty_x_nm", "uncertainty_y_nm", "uncertainty_z_nm")


def looks_like(file: TableFile) -> bool:
    """Recognise an HDF5 file with a data set `/locs`.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for Picasso tables.

    Raises
    ------
    FormatError
        The file is truncated or damaged.
    """
    return file.head.startswith(MAGIC) and _LOCS in contents(file.path)


def read(file: TableFile) -> Localizations:
    """Read a Picasso table.

    Parameters
    ----------
    file : TableFile
        The file. A given pixel size wins over the one in the metadata, with a warning when they differ.

    Returns
    -------
    Localizations
        The table. One `psf_sigma_nm` where sx and sy are equal throughout; widths and uncertainties of 0 are NaN.

    Raises
    ------
    FormatError
        `/locs` is not a table with x and y, or the file is damaged.
    MissingQuantityError
        The camera pixel size is neither in the metadata nor given.
    """
    with open_hdf5(file.path) as hdf5:
        locs = hdf5[_LOCS][()] if isinstance(hdf5[_LOCS], h5py.Dataset) else None
        documents = read_metadata(file.path, hdf5)
    if not isinstance(locs, np.ndarray) or not locs.dtype.names or locs.ndim != 1:
        msg = (
            f"expected a table of named columns in /{_LOCS} of {file.path}, got another layout; save it from Picasso"
        )
        raise FormatError(msg)
    size, warnings = _pixel_size(file, documents)
    file = replace(file, camera_pixel_size_nm=float(size.value or 0))
    columns, remarks = _columns(file, locs, documents)
    made = read_provenance(file.path, quantities=(size,), warnings=warnings)
    return _with_context(file, columns, documents, made, tuple(remarks))


def write(table: Localizations, path: Path, overwrite: bool) -> tuple[str, ...]:
    """Write a Picasso table and its YAML file.

    Parameters
    ----------
    table : Localizations
        The table, with its camera grid.
    path : Path
        The HDF5 file to be written.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    tuple of str
        Remarks on columns left out or filled, and on rows that Picasso will not show.

    Raises
    ------
    MissingQuantityError
        The table does not know its camera pixel size.
    OutputError
        A file cannot be written.
    """
    if table.grid is None:
        msg = (
            f"Picasso tables count in camera pixels, but the size and number of the pixels are not known for {path}; "
            "write a .parquet or .csv table instead, or pass --pixel-size-nm"
        )
        raise MissingQuantityError(msg)
    check_sidecar(path, overwrite)
    fields, absent = _fields(table, table.grid.pixel_size_nm)
    locs = np.empty(len(table), dtype=[(name, _DTYPES.get(name, "<f4")) for name in fields])
    for name, values in fields.items():
        locs[name] = values
    document = metadata_of(table, table.grid, absent)
    with atomic_path(sidecar_of(path), overwrite) as yaml_path, atomic_path(path, overwrite) as hdf5_path:
        with h5py.File(hdf5_path, "w") as hdf5:
            hdf5.create_dataset(_LOCS, data=locs)
            hdf5.create_dataset(DATA_SET, data=json_text([document], indent=None))
        yaml_path.write_bytes(yaml_text([document]).encode())
    return tuple(_remarks(table, fields, absent, document))


def _pixel_size(file: TableFile, documents: list[dict[str, Any]]) -> tuple[Quantity, tuple[str, ...]]:
    found, given = lookup(documents, "Pixelsize"), file.camera_pixel_size_nm
    if found is not None and (not isinstance(found, (int, float)) or found <= 0):
        msg = f"expected a Pixelsize above 0 nm in the metadata of {file.path}, got {found!r}; correct it"
        raise FormatError(msg)
    if given is not None:
        warnings: tuple[str, ...] = ()
        if found is not None and not np.isclose(found, given, rtol=1e-6):
            warnings = (f"{file.path.name} says a pixel of {found:g} nm, but {given:g} nm was given and used",)
        return Quantity("camera_pixel_size_nm", float(given), "nm", "given"), warnings
    if found is None:
        msg = f"the camera pixel size is missing in {file.path}; pass --pixel-size-nm (for example 130)"
        raise MissingQuantityError(msg)
    return Quantity("camera_pixel_size_nm", float(found), "nm", "read", "Pixelsize in the metadata"), ()


def _columns(
    file: TableFile, locs: NDArray[Any], documents: list[dict[str, Any]]
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    record = own_record(documents)
    labels: tuple[str, ...] = locs.dtype.names or ()
    chosen: dict[int, Meaning] = {}
    left_out: list[str] = []
    for index, name in enumerate(labels):
        column = _IN_PIXELS.get(name) or _PLAIN.get(name)
        if column is None or locs.dtype[name].kind not in "iuf":
            left_out.append(name)
        elif name not in record.get("absent", ()):
            chosen[index] = Meaning((column,), is_in_pixels=name in _IN_PIXELS)
    require_positions(file.path, {meaning.columns[0] for meaning in chosen.values()}, labels)
    values = [_cells(locs, labels[index]) for index in chosen]
    columns, remarks = convert(file, chosen, values, frame_base=0)
    for name in _NEVER_ZERO:
        if name in columns:
            columns[name] = np.where(columns[name] > 0, columns[name], np.nan)
    if _is_symmetric(columns, record):
        columns["psf_sigma_nm"] = columns.pop("psf_sigma_x_nm")
        del columns["psf_sigma_y_nm"]
    return columns, left_out_remark(left_out) + remarks


def _cells(locs: NDArray[Any], name: str) -> NDArray[Any]:
    cells = locs[name]
    if cells.dtype.kind != "f" and name not in ("x", "y"):
        return cells
    return cells.astype(np.float64) + (0.5 if name in ("x", "y") else 0.0)


def _is_symmetric(columns: dict[str, NDArray[Any]], record: dict[str, Any]) -> bool:
    """Tell whether sx and sy are one width written twice."""
    sigma_x, sigma_y = columns.get("psf_sigma_x_nm"), columns.get("psf_sigma_y_nm")
    if sigma_x is None or sigma_y is None or not np.array_equal(sigma_x, sigma_y, equal_nan=True):
        return False
    return bool(record.get("has_one_sigma", len(sigma_x) > 0))


def _with_context(
    file: TableFile,
    columns: dict[str, NDArray[Any]],
    documents: list[dict[str, Any]],
    made: Provenance,
    notes: tuple[str, ...],
) -> Localizations:
    """Prefer our own record, where it still fits what the metadata say."""
    record = own_record(documents)
    grid, provenance, n_frames = context_from_record(record, file.path)
    size = float(file.camera_pixel_size_nm or 0)
    width, height, frames = (lookup(documents, key) for key in ("Width", "Height", "Frames"))
    if grid is None or grid.pixel_size_nm != size:
        has_shape = isinstance(width, int) and isinstance(height, int)
        grid = PixelGrid(size, (height, width)) if has_shape else None
    if not record and isinstance(frames, int):
        n_frames = frames
    if record and RECORD_KEY not in documents[-1]:
        notes = (*notes, f"changed since by {documents[-1].get('Generated by', 'another program')}")
    provenance = with_notes(provenance or made, notes).with_warnings(*made.warnings)
    return Localizations(columns, grid=grid, n_frames=n_frames, provenance=provenance)


def _fields(table: Localizations, pixel_size_nm: float) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Convert to Picasso's columns; those it requires but we do not know are 0 and named."""
    fields: dict[str, NDArray[Any]] = {}
    absent: list[str] = []
    for name in (*_REQUIRED, *_OPTIONAL):
        column = _IN_PIXELS.get(name) or _PLAIN[name]
        if name in ("sx", "sy") and column not in table:
            column = "psf_sigma_nm"
        if column in table:
            values = table[column] / pixel_size_nm if name in _IN_PIXELS else table[column]
            fields[name] = values - 0.5 if name in ("x", "y") else values
        elif name in _REQUIRED:
            fields[name] = np.zeros(len(table))
            absent.append(name)
            continue
        else:
            continue
        if name not in ("frame", "x", "y") and not np.isfinite(values).all():
            if name in _REQUIRED:
                fields[name] = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
            else:
                del fields[name]
    return fields, absent


def _remarks(
    table: Localizations, fields: dict[str, NDArray[Any]], absent: list[str], document: dict[str, Any]
) -> list[str]:
    written = {_IN_PIXELS.get(name) or _PLAIN[name] for name in fields}
    if "psf_sigma_x_nm" not in table or "psf_sigma_y_nm" not in table:
        written.add("psf_sigma_nm")
    left_out = [name for name in table.names if name not in written]
    remarks = []
    if left_out:
        remarks.append(f"Picasso has no place for these columns, which were left out: {', '.join(left_out)}")
    if absent:
        remarks.append(f"Picasso requires columns that this table does not have; they were filled with 0: {absent}")
    x, y = fields["x"], fields["y"]
    inside = (x >= 0) & (x < document["Width"]) & (y >= 0) & (y < document["Height"])
    if n_outside := int(np.sum(~inside)):
        remarks.append(
            f"{n_outside} rows lie outside the centres of the outermost pixels or have no position; they are in the "
            "file, but Picasso leaves them out when it loads it"
        )
    return remarks


FORMAT = TableFormat("picasso", "Picasso HDF5", looks_like, read, (".hdf5",), write, check_sidecar)
