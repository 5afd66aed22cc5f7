"""densify for a folder of tables: one picture each, and all verdicts in one file."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.errors import InputError, StormcellWarning
from stormcell.workflows.densify import check_maps, densify
from stormcell.workflows.densify_settings import DensifyVerbSettings
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_folder, prepare_image, stem
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormcell.workflows.densify_verdict import Verdict
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress

VERDICTS_FILE = "verdicts.json"
_IMAGES = (".tif", ".tiff", ".npy", ".png")
_WIDEFIELD_ENDINGS = ("", "_wf", "_widefield")


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
    warnings : tuple of str
        What was noticed on the way.
    shift_nm : tuple of float or None
        (y, x): how far the wide-field image was displaced from the events; None where that was not measured.
    """

    name: str
    verdict: Verdict | None
    refusal: str
    outputs: tuple[Path, ...]
    warnings: tuple[str, ...] = ()
    shift_nm: tuple[float, float] | None = None


def densify_folder(
    folder: PathLike,
    output: PathLike,
    settings: DensifyVerbSettings | None = None,
    *,
    widefield: PathLike | None = None,
    endings: Mapping[str, str] | None = None,
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
        A folder: for each table picture and uncertainty, with a wide-field image the error map, unless `classify` is
        off the classes; and verdicts.json. Each file begins with the whole name of its table.
    settings : DensifyVerbSettings, optional
        How; or give fields as options.
    widefield : path, optional
        A folder with a wide-field image of each field, named like its table; or one image for all.
    endings : mapping of str to str, optional
        Further maps by name ("support", "lower", "upper"), or other endings for those above, and what their file
        names end in, for example {"support": "_support.ome.tif"}.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total) with tables.
    **options : object
        Fields of the settings by name.

    Returns
    -------
    list of FieldVerdict
        In the order of the names. A table that is refused, or has no wide-field image, does not stop the others:
        its `refusal` says why, here and in verdicts.json, and a warning names it.

    Raises
    ------
    InputError
        There is no table in the folder, no wide-field image for any of them, or the output folder cannot be written.

    Warns
    -----
    StormcellWarning
        What densify warns of, each sentence after the name of its table; and every refusal.
    """
    wanted = build_settings(DensifyVerbSettings, settings, options)
    asked = dict(endings or {})
    check_maps(asked, wanted, has_widefield=widefield is not None)
    names = _endings(asked, wanted, has_widefield=widefield is not None)
    tables = tables_in(Path(folder))
    _check_widefield(tables, widefield)
    planned = {table: {kind: Path(output) / f"{table.name}{end}" for kind, end in names.items()} for table in tables}
    files = [path for paths in planned.values() for path in paths.values()]
    target = prepare_folder(output, [*(path.name for path in files), VERDICTS_FILE], overwrite)
    for path in files:
        prepare_image(path, overwrite)
    told, found = begin_stage(progress, "Densifying"), []
    try:
        for index, (table, paths) in enumerate(planned.items()):
            found.append(_one(table, paths, widefield, wanted, overwrite=overwrite))
            if told is not None:
                told(index + 1, len(planned))
    finally:
        # Also where the work was interrupted: pictures without their verdicts would be taken at face value.
        _write_verdicts(found, target / VERDICTS_FILE, overwrite=overwrite)
    return found


def _write_verdicts(found: list[FieldVerdict], path: Path, *, overwrite: bool) -> None:
    from stormcell.io.documents import write_json

    report = [
        {
            "table": one.name,
            "refused": one.refusal,
            "warnings": one.warnings,
            "files": [file.name for file in one.outputs],
            "shift_x_nm": None if one.shift_nm is None else one.shift_nm[1],
            "shift_y_nm": None if one.shift_nm is None else one.shift_nm[0],
            **(asdict(one.verdict) if one.verdict else {}),
        }
        for one in found
    ]
    write_json(path, {"fields": report}, overwrite=overwrite)


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


def _endings(asked: Mapping[str, str], settings: DensifyVerbSettings, *, has_widefield: bool) -> dict[str, str]:
    """Choose the files of a table: what each kind of picture adds to the table's whole name.

    Whole, because cell.csv and cell.parquet are two fields.
    """
    for kind, ending in asked.items():
        if ending[:1] not in ("_", "-", ".") or Path(ending).name != ending:
            msg = (
                f"expected an ending such as _{kind}.ome.tif for {kind}, put after the name of each table of the "
                f"folder, got {ending}"
            )
            raise InputError(msg)
    made = {"uncertainty": True, "error_map": has_widefield, "classes": settings.densify.classify}
    kinds = [kind for kind, is_made in made.items() if is_made]
    chosen = {"image": ".ome.tif", **{kind: f"_{kind}.ome.tif" for kind in kinds}, **asked}
    if len(set(chosen.values())) < len(chosen):
        msg = f"expected another ending for each kind of picture, got {', '.join(chosen.values())}"
        raise InputError(msg)
    return chosen


def _check_widefield(tables: list[Path], widefield: PathLike | None) -> None:
    """Refuse a place that holds a wide-field image of no table: most likely another one was meant."""
    if widefield is not None and not Path(widefield).exists():
        msg = f"expected a wide-field image or a folder of them, but {widefield} does not exist; check the name"
        raise InputError(msg)
    for number, table in enumerate(tables, start=1):
        try:
            widefield_of(table, widefield)
        except InputError:
            if number == len(tables):
                raise
        else:
            return


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
        For cell.csv the image cell, else cell_wf, else cell_widefield, whatever their endings; None where no place
        was given.

    Raises
    ------
    InputError
        The folder holds none of that name.
    """
    if widefield is None or not Path(widefield).is_dir():
        return None if widefield is None else Path(widefield)
    images = sorted(path for path in Path(widefield).iterdir() if path.suffix.lower() in _IMAGES)
    for ending in _WIDEFIELD_ENDINGS:
        for path in images:
            if stem(path) == stem(table) + ending:
                return path
    msg = (
        f"expected a wide-field image named like {table.name} in {widefield}, got none; name it {stem(table)}.tif or "
        f"{stem(table)}_wf.tif"
    )
    raise InputError(msg)


def _one(
    table: Path, files: dict[str, Path], widefield: PathLike | None, settings: DensifyVerbSettings, *, overwrite: bool
) -> FieldVerdict:
    """Do one table; what is warned on the way is warned with its name."""
    written: list[Path] = []
    verdict, refusal, shift = None, "", None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StormcellWarning)
        try:
            done = densify(table, settings, widefield=widefield_of(table, widefield))
            for kind, path in files.items():
                picture = getattr(done, kind)
                if picture is not None:
                    written.append(write(picture, path, overwrite=overwrite))
            verdict, shift = done.verdict, done.given.shift_nm
        except InputError as error:
            refusal = str(error)
    ours = dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, StormcellWarning))
    for sentence in (*ours, *([f"refused: {refusal}"] if refusal else [])):
        warnings.warn(f"{table.name}: {sentence}", StormcellWarning, stacklevel=3)
    for other in caught:
        if not issubclass(other.category, StormcellWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return FieldVerdict(table.name, verdict, refusal, tuple(written), tuple(ours), shift)
