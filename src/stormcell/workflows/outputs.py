"""Where results go: default names beside the input, refusals before long work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stormcell.errors import OutputError
from stormcell.io.writing import check_writable, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

_IMAGE_ENDINGS = (".tif", ".tiff", ".zarr", ".png")
_DOUBLE_ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr", ".tar.gz")


def stem(path: str | Path) -> str:
    """Name a file without its ending, also a double one.

    Parameters
    ----------
    path : str or Path
        For example "cells/movie.ome.tif".

    Returns
    -------
    str
        For example "movie".
    """
    name = Path(path).name
    for ending in _DOUBLE_ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return Path(name).stem


def default_output(source: str | Path, verb: str, ending: str = "") -> Path:
    """Name a result beside its input.

    Parameters
    ----------
    source : str or Path
        The input.
    verb : str
        What is done with it.
    ending : str
        With its dot; empty for a folder.

    Returns
    -------
    Path
        `<stem>_<verb><ending>` in the input's folder.
    """
    return Path(source).parent / f"{stem(source)}_{verb}{ending}"


def prepare_folder(folder: str | Path, names: Iterable[str], overwrite: bool) -> Path:
    """Make a folder for several results, refusing early when one of them cannot be written.

    Parameters
    ----------
    folder : str or Path
        The folder.
    names : iterable of str
        Files that will be written into it.
    overwrite : bool
        Whether files of these names may be replaced.

    Returns
    -------
    Path
        The folder, made.

    Raises
    ------
    OutputError
        A file exists, or the folder cannot be written.
    """
    target = Path(folder)
    existing = [name for name in names if (target / name).exists()]
    if existing and not overwrite:
        msg = (
            f"{target} already holds {', '.join(existing)}; pass --overwrite to replace them, or name another folder"
        )
        raise OutputError(msg)
    make_folder(target)
    for name in names:
        check_writable(target / name, overwrite)
    return target


def prepare_table(path: str | Path | None, overwrite: bool) -> None:
    """Refuse a table that cannot be written before the work begins.

    Parameters
    ----------
    path : str, Path or None
        None means that nothing will be written.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The ending is not known, the file exists or cannot be written.
    """
    if path is not None:
        from stormcell.io.tables import check_table_writable

        check_table_writable(path, overwrite)


def prepare_image(path: str | Path | None, overwrite: bool) -> None:
    """Refuse an image that cannot be written before the work begins.

    Parameters
    ----------
    path : str, Path or None
        None means that nothing will be written.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The ending is not known, the file exists or cannot be written.
    """
    if path is None:
        return
    if Path(path).suffix.lower() not in _IMAGE_ENDINGS:
        endings = ", ".join(_IMAGE_ENDINGS)
        msg = f"expected an image name ending in {endings}, got {Path(path).name}; choose one of these"
        raise OutputError(msg)
    if Path(path).suffix.lower() == ".zarr":
        from stormcell.io.zarr_writing import check_store_writable

        check_store_writable(path, overwrite)
    else:
        check_writable(path, overwrite)
