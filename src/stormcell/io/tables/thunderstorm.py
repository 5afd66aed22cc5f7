"""ThunderSTORM CSV: quoted `name [unit]` labels, frames from 1, nm from the outer corner of the first pixel.

The centre of ThunderSTORM's first pixel lies at half a pixel, as ours does, so positions need no shift. `offset` is
the background per pixel and `bkgstd` the spread of the residual. Every `.csv` written by stormcell is in this format.

References
----------
Ovesny et al. (2014), doi:10.1093/bioinformatics/btu202.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from stormcell.io.tables.labelled import read_labelled
from stormcell.io.tables.labels import ANGLE_UNITS, Meaning, length_meaning
from stormcell.io.tables.table_format import TableFile, TableFormat
from stormcell.io.writing import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stormcell.data import Localizations

_LABEL = re.compile(r"(?P<name>[^\[]*?)\s*(?:\[(?P<unit>[^\]]*)\])?")
_LATERAL = ("uncertainty_x_nm", "uncertainty_y_nm")
_LENGTHS = {
    "x": ("x_nm",),
    "y": ("y_nm",),
    "z": ("z_nm",),
    "z_rel": ("z_rel_nm",),
    "sigma": ("psf_sigma_nm",),
    "sigma1": ("psf_sigma_x_nm",),
    "sigma2": ("psf_sigma_y_nm",),
    "uncertainty": _LATERAL,  # version 1.3 of 2014
    "uncertainty_xy": _LATERAL,
    "uncertainty_z": ("uncertainty_z_nm",),
}
_LIGHT = {
    ("intensity", "photon"): "photons",
    ("offset", "photon"): "background_photons",
    ("bkgstd", "photon"): "background_std_photons",
    ("intensity", "adu"): "intensity_adu",
    ("offset", "adu"): "background_adu",
}
_PLAIN = {"id": "id", "frame": "frame", "chi2": "chi2", "detections": "n_detections"}

_WRITTEN = (
    ("frame", "frame"),
    ("x [nm]", "x_nm"),
    ("y [nm]", "y_nm"),
    ("z [nm]", "z_nm"),
    ("z_rel [nm]", "z_rel_nm"),
    ("sigma [nm]", "psf_sigma_nm"),
    ("sigma1 [nm]", "psf_sigma_x_nm"),
    ("sigma2 [nm]", "psf_sigma_y_nm"),
    ("intensity [photon]", "photons"),
    ("offset [photon]", "background_photons"),
    ("intensity [ADU]", "intensity_adu"),
    ("offset [ADU]", "background_adu"),
    ("bkgstd [photon]", "background_std_photons"),
    ("chi2", "chi2"),
    ("uncertainty_xy [nm]", "lateral"),
    ("uncertainty_z [nm]", "uncertainty_z_nm"),
    ("detections", "n_detections"),
    ("angle [rad]", "psf_angle_rad"),
)


def interpret_label(label: str) -> Meaning | None:
    """Understand a ThunderSTORM label.

    Parameters
    ----------
    label : str
        For example "x [nm]", "intensity [ADU]" or "chi2".

    Returns
    -------
    Meaning or None
        None for an unknown name or unit.
    """
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    name, unit = match["name"].lower(), (match["unit"] or "").strip()
    if name in _LENGTHS:
        return length_meaning(_LENGTHS[name], unit)
    if name == "angle" and unit in ANGLE_UNITS:
        return Meaning(("psf_angle_rad",), ANGLE_UNITS[unit])
    column = _LIGHT.get((name, unit.lower())) or _PLAIN.get(name)
    return Meaning((column,)) if column else None


def looks_like(file: TableFile) -> bool:
    """Recognise a header with `x [unit]`.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for ThunderSTORM labels.
    """
    return any(re.fullmatch(r"[xy]\s*\[.*\]", label, re.IGNORECASE) for label in file.labels)


def read(file: TableFile) -> Localizations:
    """Read a ThunderSTORM table, comma or tab separated, of any version.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table; `chi2` is as the source program gave it, which need not be near 1.

    Raises
    ------
    FormatError
        Positions are missing, or cells are not numbers.
    MissingQuantityError
        Positions are in pixels and their size is not known.
    """
    return read_labelled(file, interpret_label, frame_base=1)


def write(table: Localizations, path: Path, overwrite: bool) -> tuple[str, ...]:
    """Write a ThunderSTORM CSV.

    Parameters
    ----------
    table : Localizations
        The table; `id` counts from 1 where it has none.
    path : Path
        The file to be written.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    tuple of str
        Remarks on the columns that the format cannot hold.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    columns, left_out = _columns_to_write(table)
    arrays = [_cells(values) for values in columns.values()]
    rows = pa.table(arrays, names=list(columns))
    header = ",".join(f'"{label}"' for label in columns)
    with atomic_path(path, overwrite) as temporary, temporary.open("wb") as file:
        file.write(f"{header}\n".encode())
        pa_csv.write_csv(rows, file, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    if not left_out:
        return ()
    return (f"ThunderSTORM CSV has no place for these columns, which were left out: {', '.join(left_out)}",)


def _columns_to_write(table: Localizations) -> tuple[dict[str, NDArray[Any]], list[str]]:
    have = {name: table[name] for name in table.names}
    have |= _lateral_uncertainty(have)
    columns = {"id": have.pop("id", np.arange(1, len(table) + 1))}
    for label, name in _WRITTEN:
        is_second_unit = label.endswith("[ADU]") and label.replace("[ADU]", "[photon]") in columns
        if name in have and not is_second_unit:
            values = have.pop(name)
            columns[label] = values + 1 if name == "frame" else values
    return columns, list(have)


def _lateral_uncertainty(have: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Take out x and y and combine them into the one value the format holds, their root mean square."""
    given = [have.pop(name) for name in _LATERAL if name in have]
    if not given:
        return {}
    x, y = given[0], given[-1]
    return {"lateral": np.where(x == y, x, np.sqrt((x**2 + y**2) / 2))}


def _cells(values: NDArray[Any]) -> Any:
    array = pa.array(values)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return array
    # Java reads these spellings alone.
    text = array.cast(pa.string()).to_numpy(zero_copy_only=False)
    text[np.isnan(values)] = "NaN"
    text[np.isposinf(values)] = "Infinity"
    text[np.isneginf(values)] = "-Infinity"
    return pa.array(text, pa.string())


FORMAT = TableFormat("thunderstorm", "ThunderSTORM CSV", looks_like, read, (".csv",), write)
