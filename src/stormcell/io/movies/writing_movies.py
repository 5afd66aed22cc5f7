"""Movies out: streamed frame by frame to OME-TIFF or NumPy, with the same bytes for the same data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from stormcell.errors import InputError
from stormcell.io.movies.ome_xml import PIXEL_TYPES, annotation_text, movie_xml
from stormcell.io.writing import atomic_path
from stormcell.io.zarr_writing import write_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import DTypeLike, NDArray

    from stormcell.data import Quantity

_BIGTIFF_FROM_BYTES = 2**32 - 2**26
_BYTES_PER_PAGE_TAGS = 256
_NM_PER_CM = 1e7


def write_ome_tiff_movie(
    path: str | os.PathLike[str],
    blocks: Iterable[NDArray[Any]],
    *,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    camera_pixel_size_nm: float | None,
    metadata: Mapping[str, Quantity | str | float | None] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a movie as OME-TIFF, a block in memory at a time.

    Parameters
    ----------
    path : str or PathLike
        The file to be written; it appears under this name only when complete.
    blocks : iterable of ndarray
        Frames (n, Y, X) or single frames (Y, X), in order, of a type that fits into `dtype` without loss.
    shape : tuple of int
        (T, Y, X) of all blocks together.
    dtype : numpy dtype
        Pixels in the file: integers of 8, 16 or 32 bit, float32 or float64.
    camera_pixel_size_nm : float or None
        Camera pixel in the sample plane in nm; None writes none.
    metadata : mapping of str to Quantity, str or float, optional
        Kept as annotations: camera values such as offset_adu are read back by `open_movie`; any other entry, such as
        `provenance=record.to_json()`, stays in the file for the record. Entries of value None are left out.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        The blocks do not have the shape or type announced, or OME-TIFF does not know the type.
    OutputError
        The file cannot be written.

    Notes
    -----
    Uncompressed, so that it is read back in place; BigTIFF by itself from 4 GB on. No date and no random identifier
    is written: equal movies give equal files.
    """
    pixels = np.dtype(dtype).newbyteorder("<")
    _check(shape, camera_pixel_size_nm)
    if pixels.name not in PIXEL_TYPES:
        msg = f"expected one of {', '.join(PIXEL_TYPES)} for OME-TIFF, got {pixels.name}; convert the frames"
        raise InputError(msg)
    kept = {key: value for key, value in (metadata or {}).items() if getattr(value, "value", value) is not None}
    annotations = {key: annotation_text(value) for key, value in kept.items() if key not in _DERIVED}
    xml = movie_xml(shape, PIXEL_TYPES[pixels.name], camera_pixel_size_nm, annotations)
    n_bytes = math.prod(shape) * pixels.itemsize + shape[0] * _BYTES_PER_PAGE_TAGS + len(xml)
    options: dict[str, Any] = {}
    if camera_pixel_size_nm is not None:
        per_cm = _NM_PER_CM / camera_pixel_size_nm
        options = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    with (
        atomic_path(Path(path), overwrite) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=n_bytes > _BIGTIFF_FROM_BYTES, byteorder="<", ome=False) as tif,
    ):
        tif.write(
            _frames(blocks, shape, pixels),
            shape=shape,
            dtype=pixels,
            photometric="minisblack",
            rowsperstrip=shape[1],
            description=xml,
            metadata=None,
            software=False,
            **options,
        )


def write_zarr_movie(
    path: str | os.PathLike[str],
    blocks: Iterable[NDArray[Any]],
    *,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    camera_pixel_size_nm: float | None,
    metadata: Mapping[str, Quantity | str | float | None] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a movie as OME-Zarr 0.5, a chunk of frames in memory at a time.

    Parameters
    ----------
    path : str or PathLike
        The folder to be written; it appears under this name only when complete.
    blocks : iterable of ndarray
        Frames (n, Y, X) or single frames (Y, X), in order, of a type that fits into `dtype` without loss.
    shape : tuple of int
        (T, Y, X) of all blocks together.
    dtype : numpy dtype
        Pixels in the store.
    camera_pixel_size_nm : float or None
        Camera pixel in the sample plane in nm; None writes none.
    metadata : mapping of str to Quantity, str or float, optional
        Camera values such as offset_adu, read back by `open_movie`. Entries of value None are left out.
    overwrite : bool
        Whether an existing store may be replaced.

    Raises
    ------
    InputError
        The blocks do not have the shape or type announced.
    OutputError
        The store cannot be written.
    """
    _check(shape, camera_pixel_size_nm)
    kept = {key: getattr(value, "value", value) for key, value in (metadata or {}).items() if key not in _DERIVED}
    camera = {key: value for key, value in kept.items() if isinstance(value, float | int | str)}
    write_store(
        Path(path),
        _frames(blocks, shape, np.dtype(dtype).newbyteorder("<")),
        shape=shape,
        dtype=dtype,
        pixel_size_nm=camera_pixel_size_nm,
        record={"record_version": 1, "camera": camera},
        overwrite=overwrite,
    )


def write_npy_movie(
    path: str | os.PathLike[str],
    blocks: Iterable[NDArray[Any]],
    *,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    overwrite: bool = False,
) -> None:
    """Write a movie as a NumPy array, a block in memory at a time; camera and pixel size are lost.

    Parameters
    ----------
    path : str or PathLike
        The file to be written; it appears under this name only when complete.
    blocks : iterable of ndarray
        Frames (n, Y, X) or single frames (Y, X), in order, of a type that fits into `dtype` without loss.
    shape : tuple of int
        (T, Y, X) of all blocks together.
    dtype : numpy dtype
        Pixels in the file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        The blocks do not have the shape or type announced.
    OutputError
        The file cannot be written.
    """
    pixels = np.dtype(dtype).newbyteorder("<")
    _check(shape, None)
    if pixels.kind not in "uif":
        msg = f"expected integer or real pixels, got {pixels.name}; convert the frames"
        raise InputError(msg)
    header = {"descr": pixels.str, "fortran_order": False, "shape": tuple(map(int, shape))}
    with atomic_path(Path(path), overwrite) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for frame in _frames(blocks, shape, pixels):
            file.write(frame.data)


_DERIVED = {"file_format", "n_frames", "camera_pixel_size_nm"}  # told by the file itself


def _frames(
    blocks: Iterable[NDArray[Any]], shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    """Go through the blocks frame by frame and make sure that they are what was announced."""
    n_seen = 0
    for block in blocks:
        frames = np.asarray(block)
        frames = frames[None] if frames.ndim == 2 else frames
        if frames.ndim != 3 or frames.shape[1:] != shape[1:] or n_seen + len(frames) > shape[0]:
            msg = (
                f"expected frames {shape} in all, got a block of shape {np.shape(block)} after {n_seen} frames; "
                "announce the shape that is written"
            )
            raise InputError(msg)
        if not np.can_cast(frames.dtype, dtype, "safe"):
            msg = f"expected frames that fit into {dtype.name}, got {frames.dtype.name}; convert them first"
            raise InputError(msg)
        n_seen += len(frames)
        yield from np.ascontiguousarray(frames, dtype)
    if n_seen != shape[0]:
        msg = f"expected {shape[0]} frames to write, got {n_seen}; announce the number that is written"
        raise InputError(msg)


def _check(shape: tuple[int, int, int], camera_pixel_size_nm: float | None) -> None:
    if len(shape) != 3 or min(shape) < 1:
        msg = f"expected a movie shape (frames, rows, columns) with no empty axis, got {shape}; check the frame range"
        raise InputError(msg)
    if camera_pixel_size_nm is not None and not (math.isfinite(camera_pixel_size_nm) and camera_pixel_size_nm > 0):
        msg = f"expected a camera pixel size above 0 nm, got {camera_pixel_size_nm}; give the true one"
        raise InputError(msg)
