"""OME-Zarr stores out: version 0.5, chunked, with a pyramid of coarser levels."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import InputError, OutputError
from stormcell.io.writing import check_writable, make_folder
from stormcell.io.zarr_stores import is_store, zarr_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import DTypeLike, NDArray

_VERSION = "0.5"
_CHUNK_BYTES = 4 * 2**20
_TILE_PX = 1024
_COARSEST_PX = 256
"""Levels are added until both sides are at most this long."""


def check_store_writable(path: str | Path, overwrite: bool = False) -> None:
    """Refuse a store that cannot be written, before any long work.

    Parameters
    ----------
    path : str or Path
        The folder of the store.
    overwrite : bool
        Whether an existing store may be replaced.

    Raises
    ------
    OutputError
        Something else is there, the store exists and `overwrite` is False, or the place cannot be written.
    """
    zarr_package()
    target = Path(path)
    if target.is_dir():
        if not is_store(target):
            msg = f"{target} is a folder but no Zarr store; name another place"
            raise OutputError(msg)
        if not overwrite:
            msg = f"{target} exists; pass --overwrite to replace it, or name another place"
            raise OutputError(msg)
        check_writable(target.with_name(f"{target.name}.new"), overwrite=True)
    else:
        check_writable(target, overwrite=False)


@contextmanager
def atomic_store(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Write a folder in one step: under a temporary name first, renamed when complete.

    Parameters
    ----------
    path : str or Path
        The folder to be written.
    overwrite : bool
        Whether an existing store may be replaced.

    Yields
    ------
    Path
        A temporary folder beside it, removed when the block fails.

    Raises
    ------
    OutputError
        As in `check_store_writable`, or the space ran out while writing.
    """
    check_store_writable(path, overwrite)
    target = Path(path)
    temporary = target.with_name(f".part-{secrets.token_hex(4)}-{target.name}")
    earlier = target.with_name(f".part-{secrets.token_hex(4)}-earlier-{target.name}")
    try:
        yield make_folder(temporary)
        if target.exists():
            target.rename(earlier)
        os.replace(temporary, target)
    except OSError as error:
        msg = f"cannot write {target}: {error.strerror or error}; free some space or name another place"
        raise OutputError(msg) from None
    finally:
        for left in (temporary, earlier):
            shutil.rmtree(left, ignore_errors=True)


def write_store(
    path: str | Path,
    blocks: Iterable[NDArray[Any]],
    *,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    pixel_size_nm: float | None,
    record: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Write an image or a movie.

    Parameters
    ----------
    path : str or Path
        The folder to be written, best named .ome.zarr.
    blocks : iterable of ndarray
        Frames (n, Y, X) or single frames (Y, X), in order.
    shape : tuple of int
        (T, Y, X) of a movie, (Y, X) of an image.
    dtype : numpy dtype
        Pixels in the store.
    pixel_size_nm : float or None
        Side of a pixel; None writes a scale without unit.
    record : mapping
        Kept as our own record.
    overwrite : bool
        Whether an existing store may be replaced.

    Raises
    ------
    InputError
        The blocks do not have the shape announced.
    OutputError
        The store cannot be written.

    Notes
    -----
    Each level halves the sides of the one before (means of 2 x 2 pixels, at odd ends of what there is). Every chunk
    is written, also empty ones, so that a lost chunk shows. Equal pixels give equal files with the same version of
    the Zarr package.
    """
    zarr = zarr_package()
    pixels = np.dtype(dtype).newbyteorder("<")
    with atomic_store(path, overwrite) as temporary:
        group = zarr.create_group(str(temporary), zarr_format=3)
        sides = _level_sides((int(shape[-2]), int(shape[-1])))
        n_frames = int(shape[0]) if len(shape) == 3 else 1
        step = max(1, min(n_frames, _CHUNK_BYTES // (sides[0][0] * sides[0][1] * pixels.itemsize)))
        levels = []
        for index, (height, width) in enumerate(sides):
            tile = (min(height, _TILE_PX), min(width, _TILE_PX))
            front = ((n_frames,), (step,)) if len(shape) == 3 else ((), ())
            levels.append(
                group.create_array(
                    str(index),
                    shape=(*front[0], height, width),
                    chunks=(*front[1], *tile),
                    dtype=pixels,
                    dimension_names=["t", "y", "x"][-len(shape) :],
                    config={"write_empty_chunks": True},
                )
            )
        _fill(levels, blocks, (n_frames, *sides[0]), step)
        group.attrs.update({"ome": _description(sides, len(shape), pixel_size_nm), "stormcell": dict(record)})


def _level_sides(sides: tuple[int, int]) -> list[tuple[int, int]]:
    found = [sides]
    while max(found[-1]) > _COARSEST_PX:
        found.append(((found[-1][0] + 1) // 2, (found[-1][1] + 1) // 2))
    return found


def _fill(levels: list[Any], blocks: Iterable[NDArray[Any]], shape: tuple[int, int, int], step: int) -> None:
    """Write whole chunks: frames are gathered until they fill one."""
    kept: list[NDArray[Any]] = []
    done = 0
    for frame in _frames(blocks, shape):
        kept.append(frame)
        if len(kept) == step:
            _write_levels(levels, np.stack(kept), done)
            done, kept = done + len(kept), []
    if kept:
        _write_levels(levels, np.stack(kept), done)
        done += len(kept)
    if done != shape[0]:
        msg = f"expected {shape[0]} frames to write, got {done}"
        raise InputError(msg)


def _frames(blocks: Iterable[NDArray[Any]], shape: tuple[int, int, int]) -> Iterator[NDArray[Any]]:
    n_seen = 0
    for block in blocks:
        for frame in block[None] if block.ndim == 2 else block:
            n_seen += 1
            if frame.shape != shape[1:] or n_seen > shape[0]:
                msg = f"expected {shape[0]} frames of {shape[1:]} px to write, got frame {n_seen} of {frame.shape}"
                raise InputError(msg)
            yield frame


def _write_levels(levels: list[Any], frames: NDArray[Any], start: int) -> None:
    for index, level in enumerate(levels):
        frames = halved(frames) if index else frames
        values = np.rint(frames) if np.dtype(level.dtype).kind in "iu" and frames.dtype.kind == "f" else frames
        values = values.astype(level.dtype)
        if level.ndim == 3:
            level[start : start + len(values)] = values
        else:
            level[...] = values[0]


def halved(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Halve the sides of frames by means of 2 x 2 pixels; at an odd end the pixels that are there are averaged.

    Parameters
    ----------
    frames : ndarray
        Shape (T, Y, X).

    Returns
    -------
    ndarray of float64
        Shape (T, ceil(Y / 2), ceil(X / 2)).
    """
    total = np.asarray(frames, dtype=np.float64)
    for axis in (1, 2):
        first, second = (
            total.take(range(0, total.shape[axis], 2), axis),
            total.take(range(1, total.shape[axis], 2), axis),
        )
        pairs = [slice(None)] * 3
        pairs[axis] = slice(0, second.shape[axis])
        first[tuple(pairs)] = (first[tuple(pairs)] + second) / 2
        total = first
    return total


def _description(sides: list[tuple[int, int]], n_axes: int, pixel_size_nm: float | None) -> dict[str, Any]:
    space = {"type": "space"} | ({"unit": "nanometer"} if pixel_size_nm is not None else {})
    axes = [{"name": "t", "type": "time"}, {"name": "y", **space}, {"name": "x", **space}][-n_axes:]
    datasets = []
    for index in range(len(sides)):
        size = (pixel_size_nm or 1.0) * 2**index
        # the middle of a coarse pixel lies half a fine pixel further out
        shift = 0.5 * (size - (pixel_size_nm or 1.0))
        transforms = [
            {"type": "scale", "scale": [1.0, size, size][-n_axes:]},
            {"type": "translation", "translation": [0.0, shift, shift][-n_axes:]},
        ]
        datasets.append({"path": str(index), "coordinateTransformations": transforms})
    return {"version": _VERSION, "multiscales": [{"name": "image", "axes": axes, "datasets": datasets}]}
