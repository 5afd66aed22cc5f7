"""SMLM files (.smlm 0.2): a ZIP archive with a manifest and tables of rows packed little-endian, lengths in nm.

The manifest names for every column a label, a type, a unit and an offset that is added to the stored numbers. Some
writers put numbers as text into the manifest. Images in the archive are passed over. An intensity without a unit is
taken in camera units, since no unit is no promise of photons.

References
----------
https://github.com/imodpasteur/smlm-file-format
"""

from __future__ import annotations

import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import Localizations
from stormcell.errors import FormatError, InputError
from stormcell.io.context import read_provenance
from stormcell.io.tables.labelled import choose_columns, convert, left_out_remark
from stormcell.io.tables.labels import Meaning, length_meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stormcell.io.tables.labels import Interpreter

_MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = 50_000_000
_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
_LENGTHS = {
    "x": ("x_nm",),
    "y": ("y_nm",),
    "z": ("z_nm",),
    "position_x": ("x_nm",),
    "position_y": ("y_nm",),
    "position_z": ("z_nm",),
    "x_precision": ("uncertainty_x_nm",),
    "y_precision": ("uncertainty_y_nm",),
    "z_precision": ("uncertainty_z_nm",),
    "xy_precision": ("uncertainty_x_nm", "uncertainty_y_nm"),
    "uncertainty": ("uncertainty_x_nm", "uncertainty_y_nm"),
    "uncertainty_x": ("uncertainty_x_nm",),
    "uncertainty_y": ("uncertainty_y_nm",),
    "uncertainty_z": ("uncertainty_z_nm",),
    "psf_sigma": ("psf_sigma_nm",),
    "psf_sigma_x": ("psf_sigma_x_nm",),
    "psf_sigma_y": ("psf_sigma_y_nm",),
}
_LIGHT = {
    "intensity": ("photons", "intensity_adu"),
    "background": ("background_photons", "background_adu"),
    "local_background": ("background_photons", "background_adu"),
}
_PLAIN = {"frame": "frame", "id": "id", "original_index": "id", "channel": "channel", "chi_square": "chi2"}


def looks_like(file: TableFile) -> bool:
    """Recognise a ZIP archive with a manifest.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for .smlm files.

    Raises
    ------
    FormatError
        The archive is truncated or damaged.
    """
    if not file.head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(file.path) as archive:
            return _MANIFEST in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        # a manifest at the front, but no directory at the end
        if _MANIFEST.encode() in file.head or file.path.suffix.lower() == ".smlm":
            raise FormatError(_damaged(file.path, str(error))) from None
        return False


def read(file: TableFile) -> Localizations:
    """Read the tables of an .smlm file, one behind the other.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table; frames are taken as counted from 0.

    Raises
    ------
    FormatError
        The archive is damaged, holds no table of positions, or says of itself what is not so.
    """
    try:
        with zipfile.ZipFile(file.path) as archive:
            manifest = _manifest(file.path, archive)
            tables = [_table(file, archive, entry, manifest["formats"]) for entry in _entries(file.path, manifest)]
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise FormatError(_damaged(file.path, str(error))) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(_damaged(file.path, f"{_MANIFEST}: {error!r}")) from None
    names = [name for name in tables[0][0] if all(name in columns for columns, _ in tables)]
    columns = {name: np.concatenate([part[name] for part, _ in tables]) for name in names}
    notes = tuple(dict.fromkeys(note for _, remarks in tables for note in remarks))
    return Localizations(columns, provenance=read_provenance(file.path, notes=notes))


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(_MANIFEST).file_size > _MOST_MANIFEST_BYTES:
        raise FormatError(_damaged(path, f"{_MANIFEST} is too large"))
    manifest: dict[str, Any] = json.loads(archive.read(_MANIFEST).decode())
    return manifest


def _entries(path: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    formats = manifest["formats"]
    found = [entry for entry in manifest["files"] if entry.get("type") == "table"]
    found = [entry for entry in found if formats[entry["format"]].get("mode", "binary") == "binary"]
    if not found:
        msg = f"expected a binary table in {path}, got {len(manifest['files'])} files of other kinds; export it again"
        raise FormatError(msg)
    return found


def _table(
    file: TableFile, archive: zipfile.ZipFile, entry: dict[str, Any], formats: dict[str, Any]
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    layout = formats[entry["format"]]
    labels = [str(label) for label in layout["headers"]]
    units = [str(unit) for unit in layout.get("units") or [""] * len(labels)]
    shapes = [int(count) for count in layout.get("shape") or [1] * len(labels)]
    rows = _rows(file.path, archive, entry, _dtype(file.path, labels, layout["dtype"], shapes))
    offsets = entry.get("offset") or {}
    usable = [
        label if shape == 1 else f"{label} (of several values)" for label, shape in zip(labels, shapes, strict=True)
    ]
    chosen, left_out = choose_columns(file, usable, _interpreter(dict(zip(labels, units, strict=True))))
    values = [_cells(rows[f"c{index}"], float(offsets.get(labels[index]) or 0)) for index in chosen]
    columns, remarks = convert(file, chosen, values, frame_base=0)
    return columns, left_out_remark(left_out) + remarks + _light_remark(columns)


def _dtype(path: Path, labels: list[str], kinds: list[str], shapes: list[int]) -> np.dtype[Any]:
    for kind in kinds:
        if kind not in _DTYPES:
            msg = f"expected columns of type {', '.join(_DTYPES)} in {path}, got {kind!r}; export it again"
            raise FormatError(msg)
    fields = zip(range(len(labels)), kinds, shapes, strict=True)
    # one value per row is a plain field, so that it needs no unpacking
    return np.dtype([(f"c{i}", np.dtype(kind).newbyteorder("<"), () if n == 1 else (n,)) for i, kind, n in fields])


def _rows(path: Path, archive: zipfile.ZipFile, entry: dict[str, Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    n_rows, n_bytes = int(entry["rows"]), archive.getinfo(entry["name"]).file_size
    if n_rows < 0 or n_bytes != n_rows * dtype.itemsize:
        expected = f"{n_rows} rows of {dtype.itemsize} bytes"
        raise FormatError(_damaged(path, f"{entry['name']} should hold {expected}, but holds {n_bytes} bytes"))
    return np.frombuffer(archive.read(entry["name"]), dtype=dtype)


def _cells(values: NDArray[Any], offset: float) -> NDArray[Any]:
    if offset == 0 and values.dtype.kind in "iu":
        return values.astype(np.int64)
    return values.astype(np.float64) + offset


def _interpreter(units: dict[str, str]) -> Interpreter:
    def interpret(label: str) -> Meaning | None:
        unit = units.get(label, "").strip()
        name = label.lower()
        if name in _LENGTHS:
            return length_meaning(_LENGTHS[name], unit or "nm")
        if name in _LIGHT:
            photons, adu = _LIGHT[name]
            return Meaning((photons if unit.lower().startswith("photon") else adu,))
        return Meaning((_PLAIN[name],)) if name in _PLAIN else None

    return interpret


def _light_remark(columns: dict[str, NDArray[Any]]) -> list[str]:
    if "intensity_adu" not in columns and "background_adu" not in columns:
        return []
    return ["the light is not given in photons; it was taken in camera units (intensity_adu, background_adu)"]


def _damaged(path: Path, reason: str) -> str:
    text = " ".join(reason.split())
    return f"expected an .smlm table, but {path} is truncated or damaged ({text[:200]}); copy or write it again"


FORMAT = TableFormat("smlm", "SMLM file (.smlm)", looks_like, read)
