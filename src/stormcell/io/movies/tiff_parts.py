"""Micro-Manager movies of several files whose description does not name the others (a crashed or unlimited run)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import refuse_truncated
from stormcell.io.movies.tiff_pages import PageTable
from stormcell.io.movies.tiff_series import FoundFrames, page_table

if TYPE_CHECKING:
    from pathlib import Path

_PART = re.compile(r"(?P<base>.*_MMStack.*?)(?:_(?P<number>[1-9]\d*))?(?P<ending>\.ome\.tiff?)", re.IGNORECASE)


def add_following_parts(tif: tifffile.TiffFile, found: FoundFrames, path: Path) -> FoundFrames:
    """Append the frames of files named ..._1.ome.tif, ..._2.ome.tif where the first one does not mention them.

    Parameters
    ----------
    tif : TiffFile
        The open file.
    found : FoundFrames
        Its frames.
    path : Path
        Where it lies.

    Returns
    -------
    FoundFrames
        The same where the file is no Micro-Manager file, has no such files beside it, or knows them itself.

    Raises
    ------
    FormatError
        The file is a later part, or a part has frames of another kind.
    """
    name = _PART.fullmatch(path.name)
    if not tif.is_micromanager or name is None or (found.table is not None and len(found.table.paths) > 1):
        return found
    if name["number"] is not None and (path.parent / f"{name['base']}{name['ending']}").is_file():
        msg = f"{path} is a later part of a movie; open {name['base']}{name['ending']}, which lies beside it"
        raise FormatError(msg)
    parts: list[Path] = []
    while (part := path.with_name(f"{name['base']}_{len(parts) + 1}{name['ending']}")).is_file():
        parts.append(part)
    if name["number"] is not None:
        note = "a later part of a movie whose first file is not beside it; frames count from its own first one"
        return replace(found, notes=(*found.notes, note))
    if not parts:
        return found
    tables, keyframes = [_as_table(tif, found)], [found.keyframe]
    for part in parts:
        table, keyframe = _read_part(part, found.keyframe)
        tables.append(table)
        keyframes.append(keyframe)
    joined = _join(tables)
    note = f"the file does not name them, but {', '.join(part.name for part in parts)} follow it and are read with it"
    return replace(
        found,
        shape=(len(joined), *found.shape[1:]),
        offset=None,
        table=joined,
        keyframes=tuple(keyframes),
        notes=(*found.notes, note),
    )


def _as_table(tif: tifffile.TiffFile, found: FoundFrames) -> PageTable:
    if found.table is not None:
        return found.table
    frame = int(found.keyframe.nbytes)
    starts = int(found.offset or 0) + frame * np.arange(found.shape[0], dtype=np.int64)[:, None]
    return PageTable((tif.filehandle.path,), np.zeros(found.shape[0], np.intp), starts, np.full_like(starts, frame))


def _read_part(part: Path, keyframe: Any) -> tuple[PageTable, Any]:
    with tifffile.TiffFile(part) as tif:
        tif.pages.useframes = True
        first = tif.pages.first
        if first.shape != keyframe.shape or first.dtype != keyframe.dtype:
            msg = (
                f"expected frames of {keyframe.shape} {keyframe.dtype} in {part}, which continues the movie, got "
                f"{first.shape} {first.dtype}; move it elsewhere if it is another movie"
            )
            raise FormatError(msg)
        table, _, missing = page_table(list(tif.pages))
        if missing:
            refuse_truncated(part, 1, 0, f"frame {missing[0]}")
        return table, first


def _join(tables: list[PageTable]) -> PageTable:
    if len({table.offsets.shape[1] for table in tables}) > 1:
        msg = f"expected equal strips in all files of {tables[0].paths[0]}, got different ones; export it again"
        raise FormatError(msg)
    first_file = np.cumsum([0, *(len(table.paths) for table in tables)])
    return PageTable(
        tuple(path for table in tables for path in table.paths),
        np.concatenate([table.file_index + shift for table, shift in zip(tables, first_file, strict=False)]),
        np.concatenate([table.offsets for table in tables]),
        np.concatenate([table.n_bytes for table in tables]),
    )
