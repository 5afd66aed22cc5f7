"""Movies as TIFF files: plain, BigTIFF, OME-TIFF, ImageJ hyperstacks, Micro-Manager stacks of many files, NDTiff."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile

from stormcell.data import FrameStack
from stormcell.errors import FormatError, InputError
from stormcell.io.movies.contiguous import ContiguousFrames, frame_bytes, refuse_truncated
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.ome_xml import file_names, master_file, parse_ome
from stormcell.io.movies.pixels import check_frame_size, check_pixel_type
from stormcell.io.movies.quantities import file_notes
from stormcell.io.movies.tiff_metadata import read_tiff_metadata
from stormcell.io.movies.tiff_pages import TIFF_DAMAGE, EncodedPages, PlainPages
from stormcell.io.movies.tiff_parts import add_following_parts
from stormcell.io.movies.tiff_series import FoundFrames, find_frames
from stormcell.io.movies.tiff_truncation import refuse_cut_file
from stormcell.io.reading import first_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from xml.etree.ElementTree import Element

_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_KINDS = {"ome": "OME-TIFF", "imagej": "ImageJ TIFF", "mmstack": "Micro-Manager TIFF", "ndtiff": "NDTiff"}


def open_tiff(path: Path) -> FrameStack:
    """Open a TIFF movie.

    Parameters
    ----------
    path : Path
        The file; of a movie in several files any one of them.

    Returns
    -------
    FrameStack
        Read in place where the frames are uncompressed, else page by page.

    Raises
    ------
    FormatError
        The file is truncated or damaged, is part of a movie whose other files are missing, or is no grey movie of one
        plane.
    InputError
        The pixels are not square.
    """
    with quiet_tifffile():
        try:
            with tifffile.TiffFile(path) as tif:
                return _open(tif, path)
        except InputError:
            raise
        except (*TIFF_DAMAGE, AssertionError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            msg = f"expected a TIFF movie in {path}, but the file is damaged ({reason:.120}); copy or export it again"
            raise FormatError(msg) from None


def _open(tif: tifffile.TiffFile, path: Path) -> FrameStack:
    refuse_cut_file(tif, path)
    ome = parse_ome(tif.ome_metadata) if tif.is_ome else None
    if ome is not None:
        master = _checked_files(ome, path)
        if master is not None:
            return open_tiff(master)
    found = add_following_parts(tif, find_frames(tif, path), path)
    check_pixel_type(found.keyframe.dtype, path)
    check_frame_size(found.shape, path)
    load, how = _loader(found, path, tif.byteorder)
    metadata = {
        **file_notes(_kind(tif), how, found.shape[0], found.notes),
        **read_tiff_metadata(tif, ome, path.name),
    }
    return FrameStack(load, found.shape, found.keyframe.dtype, metadata, path.name, str(path))


def _loader(found: FoundFrames, path: Path, byteorder: str) -> tuple[Callable[[int, int], Any], str]:
    shape, dtype = found.shape, found.keyframe.dtype
    stored = dtype.newbyteorder(byteorder)
    frame = frame_bytes(shape, dtype)
    what = f"{shape[0]} frames of {shape[1]} x {shape[2]} {dtype}"
    if found.offset is not None:
        refuse_truncated(path, found.offset + shape[0] * frame, path.stat().st_size, what)
        return ContiguousFrames(str(path), found.offset, shape, stored), "uncompressed, read in place"
    table = found.table
    if table is None:  # find_frames gives one of the two
        msg = f"no frames were found in {path}"
        raise FormatError(msg)
    is_plain = (
        all(page.is_final and page.parent.byteorder == byteorder for page in found.keyframes)
        and table.has_whole_frames
        and found.keyframe.nbytes == frame
    )
    for index, name in enumerate(table.paths):
        inside = table.file_index == index
        ends = table.offsets[inside, :1] + frame if is_plain else table.offsets[inside] + table.n_bytes[inside]
        refuse_truncated(name, int(ends.max()), os.stat(name).st_size, what)
    files = f" from {len(table.paths)} files" if len(table.paths) > 1 else ""
    if is_plain:
        return PlainPages(table, shape, stored), f"uncompressed, page by page{files}"
    decoders = tuple(page.decode for page in found.keyframes)
    pages = EncodedPages(table, shape, dtype, decoders, str(path))
    pages(0, 1)  # an unknown compression shows itself now and not in the middle of a run
    return pages, f"compression {found.keyframe.compression.name}, page by page{files}"


def _checked_files(ome: Element, path: Path) -> Path | None:
    """Refuse a movie whose other files are missing; name the file to open instead where this is only a part."""
    master = master_file(ome)
    if master is not None and master != path.name:
        other = path.parent / Path(master).name
        if other.is_file() and _is_described(other):
            return other
        msg = (
            f"{path} holds a part of a movie, but {master}, which describes it, does not lie beside it; put it there"
        )
        raise FormatError(msg)
    names = file_names(ome)
    missing = [name for name in names if not (path.parent / name).is_file() and name != path.name]
    if missing and len(names) > 1:
        said = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        msg = f"expected {len(names)} files of one movie beside {path}, but {said} are missing; put them there"
        raise FormatError(msg)
    return None


def _is_described(path: Path) -> bool:
    if not _is_tiff(first_bytes(path, "a TIFF movie", 4)):
        return False
    with tifffile.TiffFile(path) as tif:
        ome = parse_ome(tif.ome_metadata) if tif.is_ome else None
    return ome is not None and master_file(ome) is None


def _is_tiff(head: bytes) -> bool:
    return head.startswith(_MAGIC)


def _kind(tif: tifffile.TiffFile) -> str:
    kind = _KINDS.get(tif.series[0].kind, "Micro-Manager TIFF" if tif.is_micromanager else "TIFF")
    return f"{kind} (BigTIFF)" if tif.is_bigtiff else kind


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """Keep what tifffile logs in this thread off the screen: it is found again by our own checks, in one line.

    Yields
    ------
    None
        While the log of this thread is silent.
    """
    thread = threading.get_ident()
    log = logging.getLogger("tifffile")

    def is_other(record: logging.LogRecord) -> bool:
        return record.thread != thread

    log.addFilter(is_other)
    try:
        yield
    finally:
        log.removeFilter(is_other)


TIFF = MovieFormat("TIFF (also OME, ImageJ, Micro-Manager)", lambda _path, head: _is_tiff(head), open_tiff)
