"""Which pages of a TIFF file (or of a set of files) are the frames of the movie, and where they lie."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError
from stormcell.io.movies.tiff_pages import PageTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tifffile

_TIME_AXES = {"T": "", "I": "", "Q": "", "Z": "the file calls its {n} frames Z slices; taken as time"}
_ANNOUNCING = {"ome", "imagej", "mmstack", "shaped"}  # kinds whose description states the number of frames
_OTHER_AXES = {
    "C": "channels",
    "Z": "Z planes",
    "T": "time points",
    "R": "positions",
    "P": "positions",
    "M": "mosaic tiles",
}


@dataclass(frozen=True)
class FoundFrames:
    """The frames of a movie: either back to back from `offset`, or as a list of pages."""

    shape: tuple[int, int, int]
    keyframe: Any
    offset: int | None
    table: PageTable | None
    keyframes: tuple[Any, ...]
    notes: tuple[str, ...]


def find_frames(tif: tifffile.TiffFile, path: object) -> FoundFrames:
    """Find the frames of the movie a file holds.

    Parameters
    ----------
    tif : TiffFile
        The open file.
    path : object
        The file, for messages.

    Returns
    -------
    FoundFrames
        What to read and what was unusual about it.

    Raises
    ------
    FormatError
        Several movies, channels, Z planes or positions, colour, or frames missing in the middle.
    """
    series, notes = _choose_series(tif, path)
    keyframe = series.keyframe
    _refuse_colour(keyframe, series, path)
    axes = _true_axes(series)
    n_frames, note = frame_axis(axes, series.shape, path)
    notes += [note] if note else []
    n_pages = len(tif.pages)
    offset = series.dataoffset if not series.is_multifile else None
    if series.kind in _ANNOUNCING and n_frames < n_pages and not series.is_multifile and len(tif.series) == 1:
        tif.pages.useframes = True
        pages = [tif.pages[index] for index in range(n_pages)]
        notes.append(f"the file announces {n_frames} frames and holds {n_pages}; all are read")
        return _found(pages, n_pages, notes, path)
    if offset is not None:
        rows, columns = (int(series.shape[axes.index(axis)]) for axis in "YX")
        return FoundFrames((n_frames, rows, columns), keyframe, offset, None, (keyframe,), tuple(notes))
    return _found(list(series), n_frames, notes, path)


def frame_axis(axes: str, shape: Sequence[int], path: object) -> tuple[int, str]:
    """Find the number of frames from the axes a file declares.

    Parameters
    ----------
    axes : str
        One letter per axis, as tifffile names them.
    shape : sequence of int
        Their lengths.
    path : object
        The file, for messages.

    Returns
    -------
    tuple of int and str
        The number of frames, and a note where the axis is not called time.

    Raises
    ------
    FormatError
        More than one axis besides rows and columns is longer than 1, or the one is not time-like.
    """
    long_axes = [
        (axis, int(length)) for axis, length in zip(axes, shape, strict=True) if axis not in "YXS" and length > 1
    ]
    if not long_axes:
        return 1, ""
    if len(long_axes) == 1 and long_axes[0][0] in _TIME_AXES:
        axis, n_frames = long_axes[0]
        return n_frames, _TIME_AXES[axis].format(n=n_frames)
    wrong = next((item for item in long_axes if item[0] not in _TIME_AXES), None)
    wrong = wrong or next((item for item in long_axes if item[0] == "Z"), long_axes[0])
    kind = _OTHER_AXES.get(wrong[0], f"planes along an axis called {wrong[0]}")
    msg = (
        f"expected one channel and one plane (T, Y, X) in {path}, got {wrong[1]} {kind} in axes {axes} of shape "
        f"{tuple(map(int, shape))}; export one of them, or mark the axis as time if it is time"
    )
    raise FormatError(msg)


def page_table(pages: Sequence[Any]) -> tuple[PageTable, tuple[Any, ...], list[int]]:
    """Note where the segments of each page lie.

    Parameters
    ----------
    pages : sequence of TiffPage, TiffFrame or None
        The frames in order.

    Returns
    -------
    PageTable
        With zeros where a page is missing.
    tuple of TiffPage
        The keyframe of each file.
    list of int
        Indices of missing frames.

    Raises
    ------
    FormatError
        The pages differ in shape, type or compression.
    """
    paths: dict[str, int] = {}
    keyframes: list[Any] = []
    n_segments = max((len(page.dataoffsets) for page in pages if page is not None), default=0)
    files = np.zeros(len(pages), np.intp)
    offsets = np.zeros((len(pages), n_segments), np.int64)
    n_bytes = np.zeros((len(pages), n_segments), np.int64)
    missing = []
    for index, page in enumerate(pages):
        if page is None or not page.dataoffsets or page.dataoffsets[0] == 0:
            missing.append(index)
            continue
        name = page.parent.filehandle.path
        if name not in paths:
            paths[name] = len(keyframes)
            keyframes.append(page.keyframe)
        files[index] = paths[name]
        offsets[index] = page.dataoffsets
        n_bytes[index] = page.databytecounts
    return PageTable(tuple(paths), files, offsets, n_bytes), tuple(keyframes), missing


def _found(pages: Sequence[Any], n_frames: int, notes: list[str], path: object) -> FoundFrames:
    table, keyframes, missing = page_table(pages)
    if len({(frame.shape, frame.dtype) for frame in keyframes}) > 1:
        shapes = ", ".join(f"{frame.shape} {frame.dtype}" for frame in keyframes)
        msg = f"expected frames of one size and type in the files of {path}, got {shapes}; split the movie"
        raise FormatError(msg)
    if len(table) != n_frames:
        msg = f"expected one page for each of {n_frames} frames in {path}, got {len(table)}; export the movie again"
        raise FormatError(msg)
    if missing:
        kept = _cut_missing_end(missing, n_frames, path)
        notes.append(
            f"{n_frames} frames are announced, the first {kept} are there (stopped early, or files are missing)"
        )
        table, n_frames = table.first(kept), kept
    shape = (n_frames, int(keyframes[0].imagelength), int(keyframes[0].imagewidth))
    return FoundFrames(shape, keyframes[0], None, table, keyframes, tuple(notes))


def _cut_missing_end(missing: list[int], n_frames: int, path: object) -> int:
    kept = missing[0]
    if kept == 0 or missing[-1] - kept + 1 != len(missing) or missing[-1] != n_frames - 1:
        last = next((a for a, b in pairwise(missing) if b != a + 1), missing[-1])
        msg = (
            f"expected {n_frames} frames in {path} and the files that belong to it, but frames {kept} to {last} are "
            "missing; put all files of the movie into one folder"
        )
        raise FormatError(msg)
    return kept


def _choose_series(tif: tifffile.TiffFile, path: object) -> tuple[Any, list[str]]:
    found = [series for series in tif.series if math.prod(series.shape) > 0]
    if not found:
        msg = f"expected frames in {path}, but its pages are empty; export the movie again"
        raise FormatError(msg)
    if len(found) == 1:
        return found[0], []
    movies = [series for series in found if math.prod(series.shape) > series.keyframe.size]
    if len(movies) == 1:
        return movies[0], [f"{len(found) - 1} pictures of other sizes in the file are left out"]
    shapes = Counter("x".join(map(str, series.shape)) for series in found)
    said = ", ".join(f"{n} of {shape}" for shape, n in list(shapes.items())[:4])
    msg = f"expected one movie in {path}, got {len(found)} image series ({said}); export one of them"
    raise FormatError(msg)


def _true_axes(series: Any) -> str:
    """Set right that tifffile writes frames of 1 x 1 pixel as one page and then takes time for rows."""
    axes = str(series.axes)
    if series.kind == "shaped" and not axes.endswith("YX") and "S" not in axes and len(axes) > 2:
        return "Q" * (len(axes) - 2) + "YX"
    return axes


def _refuse_colour(keyframe: Any, series: Any, path: object) -> None:
    if keyframe.samplesperpixel != 1:
        msg = (
            f"expected grey frames in {path}, got a colour picture ({keyframe.samplesperpixel} values per pixel, "
            f"shape {tuple(map(int, series.shape))}); export one channel as grey values"
        )
        raise FormatError(msg)
    if keyframe.imagedepth != 1:
        msg = f"expected flat frames in {path}, got volumes of depth {keyframe.imagedepth}; export one plane"
        raise FormatError(msg)
