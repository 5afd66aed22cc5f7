"""What a batch works on: a folder, a glob or a manifest becomes a list of named inputs."""

from __future__ import annotations

import csv
import glob
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stormcell.errors import InputError
from stormcell.workflows.remote import is_url, list_url

_INPUT_COLUMN = "input"


@dataclass(frozen=True)
class BatchItem:
    """One input of a batch.

    Parameters
    ----------
    name : str
        Name of its result folder, unique in the batch.
    source : str
        The file.
    options : dict of str to object
        Options of the verb for this input.
    """

    name: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)


def find_items(source: str, options: dict[str, Any]) -> list[BatchItem]:
    """List the inputs of a batch.

    Parameters
    ----------
    source : str
        A folder (all visible files and Zarr stores in it) or a glob, also at a URL, or a CSV manifest with a column
        `input`; its other columns are options of the verb, an empty cell keeps the option of the whole batch.
    options : dict of str to object
        Options of the verb for all inputs.

    Returns
    -------
    list of BatchItem
        Sorted by name of file; in a manifest as its rows stand.

    Raises
    ------
    InputError
        Nothing is there, or the manifest has no column `input`.
    """
    if is_url(source) and not source.lower().endswith(".csv"):
        folder = source.partition("*")[0].rpartition("/")[0] if "*" in source else source
        return _named([(url, options) for url in list_url(source)], folder)
    place = Path(source)
    if place.suffix.lower() == ".csv" and place.is_file():
        return _named(_manifest_rows(place, options), str(place.parent))
    if place.is_dir() and not _is_store(place):
        paths = [str(path) for path in sorted(place.iterdir()) if _is_input(path)]
        return _named([(path, options) for path in paths], str(place))
    paths = sorted(path for path in glob.glob(source, recursive=True) if _is_input(Path(path)))
    return _named([(path, options) for path in paths], str(_fixed_folder(source)))


def parse_options(text: str | None) -> dict[str, Any]:
    """Read options typed as one text.

    Parameters
    ----------
    text : str or None
        Like `pixel_size_nm=100, method=mle`.

    Returns
    -------
    dict of str to object
        Values by name, read as YAML.

    Raises
    ------
    InputError
        A part has no equals sign.
    """
    found = {}
    for part in filter(None, (piece.strip() for piece in (text or "").split(","))):
        name, sign, value = part.partition("=")
        if not sign:
            msg = f"expected verb options like pixel_size_nm=100,method=mle, got {part!r}; write NAME=VALUE"
            raise InputError(msg)
        found[name.strip().replace("-", "_")] = yaml.safe_load(value)
    return found


def _manifest_rows(path: Path, options: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if _INPUT_COLUMN not in (reader.fieldnames or ()):
            msg = f"expected a column {_INPUT_COLUMN!r} in {path.name}, got {reader.fieldnames}; name it so"
            raise InputError(msg)
        rows = []
        for row in reader:
            given = {
                key: yaml.safe_load(value) for key, value in row.items() if key and key != _INPUT_COLUMN and value
            }
            # A manifest travels with its files: their places are told from where it lies.
            told = row[_INPUT_COLUMN]
            rows.append((told if is_url(told) else str(path.parent / told), {**options, **given}))
    return rows


def _is_store(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() == ".zarr"


def _is_input(path: Path) -> bool:
    return not path.name.startswith(".") and (path.is_file() or _is_store(path))


def _fixed_folder(pattern: str) -> Path:
    """Name the folder below which a glob looks."""
    parts = Path(pattern).parts
    fixed = next((k for k, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:fixed]) if fixed else Path()


def _named(rows: list[tuple[str, dict[str, Any]]], folder: str) -> list[BatchItem]:
    """Name inputs by where they lie, so that a file that comes later changes no name."""
    names: dict[str, int] = {}
    items = []
    for source, options in rows:
        place = Path(source)
        inside = place.relative_to(folder) if place.is_relative_to(folder) else Path(place.name)
        stem = "~".join(part for part in inside.parts if part != "..").removesuffix(".tif") or "input"
        names[stem] = names.get(stem, 0) + 1
        items.append(BatchItem(stem if names[stem] == 1 else f"{stem}~{names[stem]}", source, options))
    return items
