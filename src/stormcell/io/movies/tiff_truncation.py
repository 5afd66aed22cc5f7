"""Signs that a TIFF file was cut: pages that point past its end, tags whose values are gone, too little data."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import refuse_truncated

if TYPE_CHECKING:
    from pathlib import Path

    import tifffile

_BYTES_PER_VALUE = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_TAGS_WE_NEED = {270: "its description", 273: "its strips", 279: "its strips", 324: "its tiles", 325: "its tiles"}


def refuse_cut_file(tif: tifffile.TiffFile, path: Path) -> None:
    """Refuse a file that ends before what its first bytes announce.

    Parameters
    ----------
    tif : TiffFile
        The open file.
    path : Path
        Where it lies.

    Raises
    ------
    FormatError
        It is truncated. Where the pixels of each frame lie is checked later, as that needs all pages.
    """
    size = path.stat().st_size
    if not len(tif.pages):
        msg = f"expected frames in {path}, but no page of it can be read: it is truncated or empty; copy it again"
        raise FormatError(msg)
    _refuse_cut_tags(tif, path, size)
    _refuse_cut_chain(tif, path, size)
    _refuse_cut_hyperstack(tif, path, size)


def _refuse_cut_tags(tif: tifffile.TiffFile, path: Path, size: int) -> None:
    """Look at the first page's tags themselves, as tifffile leaves out those it cannot read."""
    layout = tif.tiff
    order = tif.byteorder
    entry, inline = (order + "HHQQ", 8) if layout.is_bigtiff else (order + "HHII", 4)
    with path.open("rb") as file:
        file.seek(tif.pages.first.offset)
        n_tags = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))[0]
        records = file.read(n_tags * layout.tagsize)
    for code, kind, count, value in struct.iter_unpack(entry, records):
        n_bytes = _BYTES_PER_VALUE.get(kind, 1) * count
        if code in _TAGS_WE_NEED and n_bytes > inline:
            refuse_truncated(path, value + n_bytes, size, _TAGS_WE_NEED[code])


def _refuse_cut_chain(tif: tifffile.TiffFile, path: Path, size: int) -> None:
    """Look where the last page says the next one is: nowhere, unless the file was cut or damaged."""
    n_pages = len(tif.pages)
    place = tif.pages.next_page_offset
    if place is None or tif.is_lsm or tif.is_ndpi:
        return
    with path.open("rb") as file:
        file.seek(place)
        pointer = file.read(tif.tiff.offsetsize)
    if len(pointer) < tif.tiff.offsetsize or any(pointer):
        msg = (
            f"expected more pages after the first {n_pages} in {path}, but the file of {size} bytes ends or is "
            "damaged there: it is truncated; copy or export it again"
        )
        raise FormatError(msg)


def _refuse_cut_hyperstack(tif: tifffile.TiffFile, path: Path, size: int) -> None:
    """ImageJ keeps one page for a whole movie over 4 GB; its description tells how long the data must be."""
    announced = tif.imagej_metadata if tif.is_imagej else None
    page = tif.pages.first
    if not announced or len(tif.pages) > 1 or not page.is_final or page.samplesperpixel != 1:
        return
    lengths = [int(announced.get(key, 1)) for key in ("channels", "slices", "frames")]
    images = max(int(announced.get("images", 1)), lengths[0] * lengths[1] * lengths[2])
    refuse_truncated(path, page.dataoffsets[0] + images * page.nbytes, size, f"{images} ImageJ frames")
