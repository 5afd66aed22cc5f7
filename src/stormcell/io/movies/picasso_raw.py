"""Picasso's movies: bare pixels in .raw, described by a .yaml file of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from stormcell.data import FrameStack, Quantity
from stormcell.errors import FormatError
from stormcell.io.documents import read_yaml
from stormcell.io.movies.contiguous import ContiguousFrames
from stormcell.io.movies.micromanager import camera_values, pixel_size_claims
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.pixels import check_pixel_type
from stormcell.io.movies.quantities import PixelSizeClaim, as_number, believable, choose_pixel_size, file_notes
from stormcell.io.reading import content_name, first_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_BYTE_ORDERS: dict[str, Literal["<", ">", "=", "|"]] = {
    "<": "<",
    ">": ">",
    "=": "=",
    "|": "|",
    "little": "<",
    "big": ">",
}
_KEYS = {"offset_adu": "Baseline", "gain_e_per_adu": "Sensitivity", "em_gain": "Gain", "qe": "Qe"}


def open_picasso_raw(path: Path) -> FrameStack:
    """Open a Picasso movie.

    Parameters
    ----------
    path : Path
        The .raw file; its description lies beside it with the ending .yaml.

    Returns
    -------
    FrameStack
        Read in place.

    Raises
    ------
    FormatError
        The description is not valid YAML, holds objects of a programming language (nothing is ever run), lacks a key,
        or disagrees with the size of the file.
    """
    sidecar = path.with_suffix(".yaml")
    info = read_yaml(sidecar)
    if not isinstance(info, dict):
        msg = f"expected keys and values (Frames, Height, Width, Data Type) in {sidecar}, got {type(info).__name__}"
        raise FormatError(f"{msg}; write it again")
    shape = (_count(info, "Frames", sidecar), _count(info, "Height", sidecar), _count(info, "Width", sidecar))
    dtype = _pixel_type(info, sidecar)
    expected, actual = shape[0] * shape[1] * shape[2] * dtype.itemsize, path.stat().st_size
    if expected != actual:
        msg = (
            f"expected {expected} bytes in {path} ({shape[0]} frames of {shape[1]} x {shape[2]} {dtype.name}, says "
            f"{sidecar.name}), got {actual}; correct the description or copy the movie again"
        )
        raise FormatError(msg)
    metadata = {
        **file_notes("Picasso raw", f"uncompressed, described by {sidecar.name}", shape[0], ()),
        **_metadata(info, path.name),
    }
    load = ContiguousFrames(str(path), 0, shape, dtype)
    return FrameStack(load, shape, dtype.newbyteorder("="), metadata, path.name, str(path))


def _count(info: Mapping[str, Any], key: str, sidecar: Path) -> int:
    value = info.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"expected {key} as a whole number above 0 in {sidecar}, got {value}; correct it"
        raise FormatError(msg)
    return value


def _pixel_type(info: Mapping[str, Any], sidecar: Path) -> np.dtype[Any]:
    name, order = info.get("Data Type"), info.get("Byte Order", "<")
    try:
        dtype = np.dtype(name if isinstance(name, str) else "")
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.fields is not None or dtype.shape or order not in _BYTE_ORDERS:
        msg = f"expected Data Type (uint16) and Byte Order (< or >) in {sidecar}, got {name} and {order}; correct it"
        raise FormatError(msg)
    check_pixel_type(dtype, sidecar)
    return dtype.newbyteorder(_BYTE_ORDERS[order])


def _metadata(info: Mapping[str, Any], name: str) -> dict[str, Quantity]:
    said: dict[str, Quantity] = {}
    for quantity, key in _KEYS.items():
        said |= believable(quantity, info.get(key), f"Picasso YAML {key}")
    if isinstance(info.get("Camera"), str):
        said |= believable("camera_name", info["Camera"], "Picasso YAML Camera")
    milliseconds = as_number(info.get("Camera.Integration Time"))
    if milliseconds is not None:
        said |= believable("exposure_s", milliseconds / 1000, "Picasso YAML Camera.Integration Time")
    microscope = info.get("Micro-Manager Metadata")
    claims = [
        PixelSizeClaim(f"Picasso YAML {key}", size)
        for key in ("Pixelsize", "Camera.Pixelsize")
        if (size := as_number(info.get(key))) is not None
    ]
    if isinstance(microscope, dict):
        claims += pixel_size_claims(microscope)
        said = {**camera_values(microscope), **said}
    return {**said, **choose_pixel_size(claims, name)}


def _recognises(path: Path, head: bytes) -> bool:
    # Bare pixels carry no mark; the description beside them is what tells. Pixels can look like text by chance.
    sidecar = path.with_suffix(".yaml")
    if sidecar == path or not sidecar.is_file():
        return False
    if content_name(head) not in {"text", "binary data of an unknown kind"}:
        return False
    start = first_bytes(sidecar, "the description of a raw movie", 1 << 20)
    return all(key in start for key in (b"Frames:", b"Height:", b"Width:"))


PICASSO_RAW = MovieFormat("Picasso raw with YAML", _recognises, open_picasso_raw)
