"""Pictures whose pixels have a place in nm: read from TIFF, NumPy, MATLAB or PNG, written as OME-TIFF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import tifffile

from stormcell.data import FrameStack, PixelGrid, Quantity, SRImage
from stormcell.errors import FormatError, InputError, MissingQuantityError, OutputError
from stormcell.io.context import RECORD_KEY, context_from_record, context_record, read_provenance
from stormcell.io.movies import open_movie
from stormcell.io.movies.ome_xml import movie_xml, parse_ome
from stormcell.io.movies.quantities import PixelSizeClaim
from stormcell.io.movies.tiff import quiet_tifffile
from stormcell.io.movies.tiff_metadata import pixel_size_claims
from stormcell.io.movies.tiff_pages import TIFF_DAMAGE
from stormcell.io.reading import content_name, first_bytes
from stormcell.io.writing import atomic_path, write_bytes
from stormcell.io.zarr_stores import is_store, open_store
from stormcell.io.zarr_writing import write_store

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAUSIBLE_PIXEL_SIZE_NM = (0.5, 1000.0)
"""Half-open range of believed pixel sizes: super-resolution pixels are small, and one micrometre, the default of
OME-XML and of uncalibrated microscopes, lies outside on purpose, as do the dots per inch of drawing programs."""

_EXPECTED = "a picture (TIFF, NumPy, PNG)"
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II", b"MM")
_TIFF_ENDINGS = (".tif", ".tiff")
_NM_PER_CM = 1e7
_UNKNOWN_UNIT = "as in the file"


def read_image(path: str | Path, pixel_size_nm: float | None = None, *, page: int | None = None) -> SRImage:
    """Read a grey picture, whatever its name.

    Parameters
    ----------
    path : str or Path
        A TIFF of any kind, a NumPy or MATLAB array, an OME-Zarr store, or a PNG.
    pixel_size_nm : float, optional
        Side of a pixel in the sample plane; None takes what the file says. A given size wins over the file's, and a
        contradiction is kept as a warning in the provenance.
    page : int, optional
        Which picture of a stack, from 0; None expects a single one.

    Returns
    -------
    SRImage
        Pixels as float32. Grid, unit and provenance are those of the writer where stormcell wrote the file; otherwise
        the grid starts at 0 nm.

    Raises
    ------
    FormatError
        The file is missing, damaged, in colour, no picture, or a stack and no page was named.
    MissingQuantityError
        The pixel size is neither given nor in the file.
    InputError
        The pixels are not square, or the page does not exist.
    """
    if is_store(path):
        return _read_store(path, pixel_size_nm, page)
    path = Path(path)
    head = first_bytes(path, _EXPECTED)
    if head.startswith(_PNG):
        return _with_context(path, _read_png(path), pixel_size_nm, [], {})
    if content_name(head) in ("text", "a Parquet file"):
        msg = f"expected {_EXPECTED}, but {path} is {content_name(head)}; render a table first"
        raise FormatError(msg)
    stack = _open_pages(path, head)
    index = _page_index(path, stack.n_frames, page)
    pixels = stack.read(index, index + 1)[0].astype(np.float32)
    claims, record = _said_by_tiff(path) if head.startswith(_TIFF) else ([], {})
    return _with_context(path, pixels, pixel_size_nm, claims, record)


def count_pages(path: str | Path) -> int:
    """Count the pictures in a file.

    Parameters
    ----------
    path : str or Path
        As for `read_image`.

    Returns
    -------
    int
        1 for a single picture, more for a stack.

    Raises
    ------
    FormatError
        The file is missing, damaged, in colour, or no picture.
    """
    if is_store(path):
        return open_movie(path).n_frames
    path = Path(path)
    head = first_bytes(path, _EXPECTED)
    return 1 if head.startswith(_PNG) else _open_pages(path, head).n_frames


def write_image(image: SRImage, path: str | Path, overwrite: bool = False) -> None:
    """Write a picture with its physical pixel size; `read_image` gives the same picture back.

    Parameters
    ----------
    image : SRImage
        The picture; written as float32.
    path : str or Path
        The file to be written, ending in .tif or .tiff (best .ome.tif), or the store, ending in .zarr.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The ending is another, or the file cannot be written.

    Notes
    -----
    Deflate-compressed without loss. Grid with origin, unit and provenance stand in an annotation of the OME-XML. No
    date and no random identifier is written: equal pictures give equal files.
    """
    path = Path(path)
    record = context_record(image.grid, image.provenance, unit=image.unit)
    if path.suffix.lower() == ".zarr":
        pixels, size = np.asarray(image.pixels, dtype="<f4"), image.grid.pixel_size_nm
        write_store(
            path, [pixels], shape=pixels.shape, dtype="<f4", pixel_size_nm=size, record=record, overwrite=overwrite
        )
        return
    if path.suffix.lower() not in _TIFF_ENDINGS:
        msg = f"expected an image name ending in .ome.tif, .tif or .ome.zarr, got {path.name}; choose one of these"
        raise OutputError(msg)
    annotations = {RECORD_KEY: json.dumps(record, sort_keys=True)}
    size = image.grid.pixel_size_nm
    xml = movie_xml((1, *image.grid.shape), "float", size, annotations, name=image.unit)
    per_cm = _NM_PER_CM / size
    with atomic_path(path, overwrite) as temporary:
        tifffile.imwrite(
            temporary,
            np.ascontiguousarray(image.pixels, dtype="<f4"),
            byteorder="<",
            photometric="minisblack",
            compression="zlib",
            description=xml,
            metadata=None,
            software=False,
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )


def _read_store(place: str | Path, given_nm: float | None, page: int | None) -> SRImage:
    image, stack = open_store(place), open_movie(place)
    index = _page_index(Path(stack.name), stack.n_frames, page)
    sides = image.pixel_size_nm
    claims = [] if sides is None else [PixelSizeClaim("OME-Zarr scale", sides[1], sides[0])]
    pixels = stack.read(index, index + 1)[0].astype(np.float32)
    return _with_context(place, pixels, given_nm, claims, dict(image.record))


def write_png(path: str | Path, pixels: NDArray[np.uint8], overwrite: bool = False) -> None:
    """Write a picture to look at.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    pixels : ndarray
        Shape (Y, X, 3) in red, green, blue, or (Y, X) in grey; uint8.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        The array has another shape or type.
    OutputError
        The file cannot be written.
    """
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if not is_picture or pixels.dtype != np.uint8 or 0 in pixels.shape:
        msg = f"expected uint8 pixels of shape (Y, X, 3) or (Y, X), got {pixels.dtype} of shape {pixels.shape}"
        raise InputError(msg)
    write_bytes(path, bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels))), overwrite)


def _read_png(path: Path) -> NDArray[np.float32]:
    try:
        pixels = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    except (RuntimeError, ValueError) as error:
        msg = f"expected a PNG picture, but {path} is truncated or damaged ({error}); copy it again"
        raise FormatError(msg) from None
    if pixels.ndim != 2:
        msg = (
            f"expected grey pixels in {path}, got a colour picture of shape {pixels.shape}; save one channel as grey"
        )
        raise FormatError(msg)
    return pixels.astype(np.float32)


def _open_pages(path: Path, head: bytes) -> FrameStack:
    try:
        return open_movie(path)
    except FormatError:
        channels = _read_channels(path) if head.startswith(_TIFF) else None
        if channels is None:
            raise
        return FrameStack.from_array(channels)


def _page_index(path: Path, n_pages: int, page: int | None) -> int:
    if page is None:
        if n_pages > 1:
            msg = (
                f"expected one picture in {path}, got a stack of {n_pages}; save one of them alone, or name a page "
                f"from 0 to {n_pages - 1}"
            )
            raise FormatError(msg)
        return 0
    if not 0 <= page < n_pages:
        msg = f"expected a page from 0 to {n_pages - 1} of {path}, got {page}"
        raise InputError(msg)
    return page


def _read_channels(path: Path) -> NDArray[Any] | None:
    """Read grey channels or planes, which are no movie but may be pages of pictures; None for anything else."""
    with quiet_tifffile():
        try:
            with tifffile.TiffFile(path) as tif:
                series = tif.series[0]
                is_grey = series.keyframe.samplesperpixel == 1 and series.axes[-2:] == "YX" and series.ndim == 3
                pages = [page for page in series.pages if page is not None]
                ends = (np.add(page.dataoffsets, page.databytecounts).max() for page in pages)
                if not is_grey or max(ends) > path.stat().st_size:
                    return None
                return np.asarray(series.asarray())
        except TIFF_DAMAGE:
            return None


def _said_by_tiff(path: Path) -> tuple[list[PixelSizeClaim], dict[str, Any]]:
    """Read what the tags say of the pixel size, and our own record."""
    with tifffile.TiffFile(path) as tif:
        ome = parse_ome(tif.ome_metadata) if tif.is_ome else None
        claims = pixel_size_claims(tif, ome)
    own = (item.text for item in (() if ome is None else ome.iter()) if item.get("K") == RECORD_KEY)
    try:
        record = json.loads(next(own, None) or "{}")
    except ValueError:
        msg = f"the stormcell record in {path} is damaged; write the picture again"
        raise FormatError(msg) from None
    return claims, record if isinstance(record, dict) else {}


def _with_context(
    place: str | Path,
    pixels: NDArray[np.float32],
    given_nm: float | None,
    claims: list[PixelSizeClaim],
    record: dict[str, Any],
) -> SRImage:
    path = Path(place)
    own_grid, provenance, _ = context_from_record(record, path)
    said = _believed(path, claims)
    if own_grid is not None and (own_grid.shape != pixels.shape or not _agrees(own_grid.pixel_size_nm, said)):
        own_grid = None  # another program cropped or resampled the picture and kept our words
    size, warnings = _pixel_size(path, given_nm, own_grid, said, claims)
    shape = (int(pixels.shape[0]), int(pixels.shape[1]))
    grid = own_grid if own_grid is not None and own_grid.pixel_size_nm == size.value else None
    provenance = provenance or read_provenance(place, quantities=(size,))
    return SRImage(
        pixels,
        grid or PixelGrid(float(size.value or 0), shape),
        str(record.get("unit", _UNKNOWN_UNIT)),
        provenance.with_warnings(*warnings),
    )


def _believed(path: Path, claims: list[PixelSizeClaim]) -> PixelSizeClaim | None:
    low, high = PLAUSIBLE_PIXEL_SIZE_NM
    claim = next((item for item in claims if low <= item.x_nm < high), None)
    if claim is not None and claim.y_nm is not None and not np.isclose(claim.x_nm, claim.y_nm, rtol=0.005):
        msg = f"expected square pixels in {path}, got {claim.x_nm:g} x {claim.y_nm:g} nm; resample the picture"
        raise InputError(msg)
    return claim


def _agrees(size_nm: float, claim: PixelSizeClaim | None) -> bool:
    return claim is None or bool(np.isclose(size_nm, claim.x_nm, rtol=1e-5))


def _pixel_size(
    path: Path,
    given_nm: float | None,
    own_grid: PixelGrid | None,
    said: PixelSizeClaim | None,
    claims: list[PixelSizeClaim],
) -> tuple[Quantity, tuple[str, ...]]:
    found = None if said is None else said.x_nm
    detail = "" if said is None else said.tag
    if own_grid is not None:
        found, detail = own_grid.pixel_size_nm, "stormcell record"
    if given_nm is not None:
        agrees = found is None or bool(np.isclose(found, given_nm, rtol=1e-5))
        exact = found if agrees and own_grid is not None else float(given_nm)
        given = Quantity("sr_pixel_size_nm", exact, "nm", "given")
        if agrees:
            return given, ()
        return given, (f"{path.name} says a pixel of {found:g} nm, but {given_nm:g} nm was given and used",)
    if found is None:
        ignored = f" (ignored: {'; '.join(map(str, claims))})" if claims else ""
        msg = f"the pixel size of {path} is not in the file{ignored}; pass --pixel-size-nm (for example 100)"
        raise MissingQuantityError(msg)
    return Quantity("sr_pixel_size_nm", found, "nm", "read", detail), ()
