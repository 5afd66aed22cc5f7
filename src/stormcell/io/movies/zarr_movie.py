"""Movies as OME-Zarr, read chunk by chunk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import FrameStack
from stormcell.errors import FormatError
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.pixels import check_pixel_type
from stormcell.io.movies.quantities import PixelSizeClaim, believable, choose_pixel_size, file_notes
from stormcell.io.zarr_stores import StoredFrames, StoredImage, is_store, open_store

if TYPE_CHECKING:
    from stormcell.data import Quantity

_TAG = "OME-Zarr scale"


def open_zarr(place: str | Path) -> FrameStack:
    """Open an OME-Zarr image as a movie.

    Parameters
    ----------
    place : str or Path
        The folder, or a URL.

    Returns
    -------
    FrameStack
        Read chunk by chunk; frames along t, or along z or c where that is the only long axis.

    Raises
    ------
    FormatError
        It is no such image, is damaged, has several long axes besides y and x, or lacks chunks that we wrote.
    InputError
        The pixels are not square.
    """
    image, name = open_store(place), Path(str(place).rstrip("/")).name
    axis, plane, notes = _frame_axis(image, name)
    dtype = np.dtype(image.array.dtype)
    check_pixel_type(dtype, Path(name))
    shape = (
        1 if axis is None else int(image.array.shape[axis]),
        int(image.array.shape[plane[0]]),
        int(image.array.shape[plane[1]]),
    )
    if min(shape) < 1:
        msg = f"expected at least one frame and one pixel in {place}, got {shape}; write it again"
        raise FormatError(msg)
    missing = _missing_chunks(image, place)
    if missing and image.record:
        msg = f"{place} is not whole: {missing} of {image.array.nchunks} chunks are missing; copy or write it again"
        raise FormatError(msg)
    notes += [f"{missing} of {image.array.nchunks} chunks are absent and read as the fill value"] if missing else []
    how = f"version {image.version}, read chunk by chunk"
    metadata = {**file_notes("OME-Zarr", how, shape[0], notes), **_said(image, name)}
    load = StoredFrames(image.array, axis, plane, name)
    return FrameStack(load, shape, dtype.newbyteorder("="), metadata, name, str(place))


def _frame_axis(image: StoredImage, name: str) -> tuple[int | None, tuple[int, int], list[str]]:
    axes, shape = image.axes, image.array.shape
    if "y" not in axes or "x" not in axes:
        msg = f"expected axes y and x in {name}, got {', '.join(axes)}; export it with both"
        raise FormatError(msg)
    plane = (axes.index("y"), axes.index("x"))
    long_axes = [k for k in range(len(axes)) if k not in plane and shape[k] != 1]
    if len(long_axes) > 1:
        said = ", ".join(f"{axes[k]}={shape[k]}" for k in long_axes)
        msg = f"expected one plane and one channel in {name}, got {said}; export one channel and plane"
        raise FormatError(msg)
    if not long_axes:
        return (axes.index("t") if "t" in axes else None), plane, []
    axis = long_axes[0]
    return axis, plane, [] if axes[axis] == "t" else [f"frames lie along axis {axes[axis]}"]


def _missing_chunks(image: StoredImage, place: str | Path) -> int:
    """Count chunks that are absent; on object storage that would list every one of them, so it is left out there."""
    if "://" in str(place):
        return 0
    return int(image.array.nchunks - image.array.nchunks_initialized)


def _said(image: StoredImage, name: str) -> dict[str, Quantity]:
    claims = [] if image.pixel_size_nm is None else [PixelSizeClaim(_TAG, *reversed(image.pixel_size_nm))]
    said = choose_pixel_size(claims, name)
    said |= believable("exposure_s", image.exposure_s, _TAG)
    camera: dict[str, Any] = dict(image.record.get("camera", {}))
    for key, value in camera.items():
        said |= believable(key, value, "stormcell record")
    return said


ZARR = MovieFormat("OME-Zarr", lambda path, _head: is_store(path), open_zarr)
