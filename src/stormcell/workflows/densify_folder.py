"""densify for a folder of tables: one picture each, and all verdicts in one file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.errors import InputError
from stormcell.workflows.densify import densify
from stormcell.workflows.densify_settings import DensifyVerbSettings
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_folder, stem
from stormcell.workflows.progress import begin_stage

if TYPE_CHECKING:
    from stormcell.workflows.densify_verdict import Verdict
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress

VERDICTS_FILE = "verdicts.json"
_IMAGES = (".tif", ".tiff", ".npy", ".png")


@dataclass(frozen=True)
class FieldVerdict:
    """What came of one table of a folder.

    Parameters
    ----------
    name : str
        File name of the table.
    verdict : Verdict or None
        What is to be thought of its picture; None where there is none.
    refusal : str
        Why there is none; empty where there is one.
    outputs : tuple of Path
        Files written.
    """

    name: str
    verdict: Verdict | None
    refusal: str
    outputs: tuple[Path, ...]


def densify_folder(
    folder: PathLike,
    output: PathLike,
    settings: DensifyVerbSettings | None = None,
    *,
    widefield: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> list[FieldVerdict]:
    """Draw the dense picture of every table in a folder.

    Parameters
    ----------
    folder : path
        Tables of any supported format; other files are passed over.
    output : path
        A folder: for each table picture, uncertainty, and with a wide-field image the error map; verdicts.json.
    settings : DensifyVerbSettings, optional
        How; or give fields as options.
    widefield : path, optional
        A folder with a wide-field image of each field, named like its table; or one image for all.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total) with tables.
    **options : object
        Fields of the settings by name.

    Returns
    -------
    list of FieldVerdict
        In the order of the names. A table that is refused does not stop the others.

    Raises
    ------
    InputError
        There is no table in the folder, or the output folder cannot be written.
    """
    from stormcell.io.documents import write_json

    wanted = build_settings(DensifyVerbSettings, settings, options)
    tables = tables_in(Path(folder))
    planned = {table: _planned(table, Path(output), widefield) for table in tables}
    names = [path.name for files in planned.values() for path in files.values()]
    target = prepare_folder(output, [*names, VERDICTS_FILE], overwrite)
    told, found = begin_stage(progress, "Densifying"), []
    for index, (table, files) in enumerate(planned.items()):
        found.append(_one(table, files, widefield_of(table, widefield), wanted, overwrite=overwrite))
        if told is not None:
            told(index + 1, len(planned))
    report = [
        {"table": one.name, "refused": one.refusal, **(asdict(one.verdict) if one.verdict else {})} for one in found
    ]
    write_json(target / VERDICTS_FILE, {"fields": report}, overwrite=overwrite)
    return found


def tables_in(folder: Path) -> list[Path]:
    """List the localization tables of a folder.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        By name.

    Raises
    ------
    InputError
        It is no folder, or holds no table.
    """
    from stormcell.io.tables import is_table

    if not folder.is_dir():
        msg = f"expected a folder of localization tables, got {folder}"
        raise InputError(msg)
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    tables = [path for path in files if path.stat().st_size and is_table(path)]
    if not tables:
        msg = f"expected localization tables in {folder}, got {len(files)} files of which none is one"
        raise InputError(msg)
    return tables


def _planned(table: Path, output: Path, widefield: PathLike | None) -> dict[str, Path]:
    # The whole name, not the stem: cell.csv and cell.parquet are two fields.
    kinds = {"output": ".ome.tif", "uncertainty": "_uncertainty.ome.tif"}
    if widefield is not None:
        kinds["error_map"] = "_error_map.ome.tif"
    return {kind: output / f"{table.name}{ending}" for kind, ending in kinds.items()}


def widefield_of(table: Path, widefield: PathLike | None) -> Path | None:
    """Find the wide-field image of a table.

    Parameters
    ----------
    table : Path
        The table.
    widefield : path or None
        A folder of images named like their tables, or one image for all.

    Returns
    -------
    Path or None
        The image; None where none was given.

    Raises
    ------
    InputError
        The folder holds none of that name.
    """
    if widefield is None or not Path(widefield).is_dir():
        return None if widefield is None else Path(widefield)
    near = sorted(
        path
        for path in Path(widefield).iterdir()
        if path.suffix.lower() in _IMAGES and (stem(path) == stem(table) or path.name.startswith(f"{stem(table)}_"))
    )
    if not near:
        msg = (
            f"expected a wide-field image named like {table.name} in {widefield}, got none; name it {stem(table)}.tif"
        )
        raise InputError(msg)
    return near[0]


def _one(
    table: Path, files: dict[str, Path], widefield: Path | None, settings: DensifyVerbSettings, *, overwrite: bool
) -> FieldVerdict:
    maps: dict[str, PathLike | None] = {kind: path for kind, path in files.items() if kind != "output"}
    try:
        done = densify(table, settings, widefield=widefield, output=files["output"], maps=maps, overwrite=overwrite)
    except InputError as error:
        return FieldVerdict(table.name, None, str(error), ())
    return FieldVerdict(table.name, done.verdict, "", tuple(path for path in files.values() if path.exists()))
