"""rapidSTORM text: one line of XML that names the fields and their units, then numbers between blanks, frames from 0.

Track files nest the localizations of each track behind its mean, with their number in front; these are the rows read,
and `track_id` tells them apart. Widths are full widths at half maximum.

References
----------
Wolter et al. (2012), doi:10.1038/nmeth.2224.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from stormcell.data import Localizations
from stormcell.errors import FormatError
from stormcell.io.context import read_provenance
from stormcell.io.tables.labelled import choose_columns, convert, left_out_remark
from stormcell.io.tables.labels import Meaning, length_meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_START = b"# <localizations"
_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
_UNITS = {"nanometer": "nm", "micrometer": "um", "meter": "m", "pixel": "px"}
_LENGTHS = {
    "Position-0-0": ("x_nm",),
    "Position-1-0": ("y_nm",),
    "Position-2-0": ("z_nm",),
    "Position-0-0-uncertainty": ("uncertainty_x_nm",),
    "Position-1-0-uncertainty": ("uncertainty_y_nm",),
    "Position-2-0-uncertainty": ("uncertainty_z_nm",),
    "PSFWidth-0-0": ("psf_sigma_x_nm",),
    "PSFWidth-1-0": ("psf_sigma_y_nm",),
}
_LIGHT = {
    "Amplitude-0-0": ("photons", "intensity_adu"),
    "LocalBackground-0-0": ("background_photons", "background_adu"),
}
_PLAIN = {"ImageNumber-0-0": "frame", "FitResidues-0-0": "chi2"}


@dataclass(frozen=True)
class _Header:
    """Names and units of the fields of a row, and of the rows nested in it."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    nested: _Header | None = None


def looks_like(file: TableFile) -> bool:
    """Recognise the first line of rapidSTORM.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for rapidSTORM text.
    """
    return file.head.lstrip().startswith(_START)


def read(file: TableFile) -> Localizations:
    """Read rapidSTORM text: two or three dimensions, or tracks.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table; of track files every localization of every track.

    Raises
    ------
    FormatError
        The first line or a row is not as it should be.
    """
    header = _header(file)
    track = None
    if header.nested is None:
        values = _numbers(file.path, len(header.names))
    else:
        values, track = _tracks(file.path, len(header.names), len(header.nested.names))
        header = header.nested
    units = dict(zip(header.names, header.units, strict=True))
    chosen, left_out = choose_columns(file, header.names, lambda label: _interpret(label, units[label]))
    columns, remarks = convert(file, chosen, [values[:, index] for index in chosen], frame_base=0)
    remarks = left_out_remark(left_out) + remarks
    if track is not None:
        columns["track_id"] = track
        remarks.append(
            f"the rows are the localizations of {len(np.unique(track))} tracks; the tracks' means were left"
        )
    return Localizations(columns, provenance=read_provenance(file.path, notes=tuple(remarks)))


def _header(file: TableFile) -> _Header:
    line = file.head.lstrip().partition(b"\n")[0].strip()
    try:
        if b"<!" in line:
            raise ValueError("a declaration in the header")
        # one line of a bounded length without declarations, so nothing can be expanded
        return _fields(ElementTree.fromstring(line.removeprefix(b"#").strip()))  # noqa: S314
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        msg = (
            f"expected a header of rapidSTORM in line 1 of {file.path}, but it is damaged ({error}); export it again"
        )
        raise FormatError(msg) from None


def _fields(element: ElementTree.Element) -> _Header:
    fields = [child for child in element if child.tag == "field"]
    names = tuple(child.attrib["identifier"] for child in fields)
    units = tuple(child.attrib.get("unit", "") for child in fields)
    inner = element.find("localizations")
    if inner is not None and element[-1] is not inner:
        raise ValueError("fields behind the nested localizations")
    return _Header(names, units, None if inner is None else _fields(inner))


def _interpret(label: str, unit: str) -> Meaning | None:
    if label in _LENGTHS:
        meaning = length_meaning(_LENGTHS[label], _UNITS.get(unit, unit))
        if meaning is not None and label.startswith("PSFWidth"):
            return Meaning(meaning.columns, meaning.factor / _FWHM) if not meaning.is_in_pixels else None
        return meaning
    if label in _LIGHT:
        photons, adu = _LIGHT[label]
        return Meaning((photons if unit.startswith("photon") else adu,))
    return Meaning((_PLAIN[label],)) if label in _PLAIN else None


def _numbers(path: Path, n_fields: int) -> NDArray[np.float64]:
    try:
        rows: NDArray[np.float64] = pd.read_csv(
            path, sep=r"\s+", comment="#", header=None, names=list(range(n_fields)), index_col=False, dtype=np.float64
        ).to_numpy()
        is_complete = bool(np.all(~np.isnan(rows[:, -1]))) if len(rows) else True
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError):
        is_complete = False
    except pd.errors.EmptyDataError:
        return np.empty((0, n_fields))
    if not is_complete:
        for line, cells in _lines(path):
            if len(cells) != n_fields:
                msg = f"expected {n_fields} values in line {line} of {path}, got {len(cells)}; correct or remove it"
                raise FormatError(msg)
            _floats(path, line, cells)
    return rows


def _tracks(path: Path, n_outer: int, n_inner: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows: list[NDArray[np.float64]] = []
    lengths: list[int] = []
    for line, cells in _lines(path):
        numbers = _floats(path, line, cells)
        count = numbers[n_outer] if len(numbers) > n_outer else math.nan
        if not (count >= 0 and len(numbers) == n_outer + 1 + int(count) * n_inner):
            msg = (
                f"expected a track and its {n_inner} values per localization in line {line} of {path}, got "
                f"{len(numbers)} values; correct or remove it"
            )
            raise FormatError(msg)
        rows.append(numbers[n_outer + 1 :].reshape(-1, n_inner))
        lengths.append(int(count))
    together = np.concatenate(rows) if rows else np.empty((0, n_inner))
    return together, np.repeat(np.arange(len(lengths)), lengths)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [(n, line.split()) for n, line in enumerate(text, 1) if line.strip() and not line.startswith("#")]


def _floats(path: Path, line: int, cells: Sequence[str]) -> Any:
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        bad = next(cell for cell in cells if not _is_number(cell))
        msg = f"expected a number in line {line} of {path}, got {bad[:40]!r}; correct it"
        raise FormatError(msg) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


FORMAT = TableFormat("rapidstorm", "rapidSTORM text", looks_like, read)
