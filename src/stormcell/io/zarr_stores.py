"""OME-Zarr stores in: versions 0.4 (Zarr 2) and 0.5 (Zarr 3), from a folder or from a URL.

References
----------
Next-generation file format specification, https://ngff.openmicroscopy.org (versions 0.4 and 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_NM_PER_UNIT = {
    "angstrom": 0.1,
    "nanometer": 1.0,
    "micrometer": 1e3,
    "millimeter": 1e6,
    "centimeter": 1e7,
    "meter": 1e9,
}
_SECONDS_PER_UNIT = {"nanosecond": 1e-9, "microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "minute": 60.0}
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError, ArithmeticError)
"""What reading a damaged store raises; the errors of the Zarr package are ValueErrors or LookupErrors."""


@dataclass(frozen=True)
class StoredImage:
    """The finest level of a multiscale image.

    Parameters
    ----------
    array : zarr.Array
        Its pixels.
    axes : tuple of str
        Name of each axis: t, c, z, y, x or another.
    pixel_size_nm : tuple of float or None
        Sides (y, x) of a pixel; None where the store does not say.
    exposure_s : float or None
        Time from frame to frame.
    version : str
        Of the OME-Zarr specification.
    record : mapping
        Our own record; empty where another program wrote the store.
    """

    array: Any
    axes: tuple[str, ...]
    pixel_size_nm: tuple[float, float] | None
    exposure_s: float | None
    version: str
    record: Mapping[str, Any] = field(default_factory=dict)


def is_store(place: str | Path) -> bool:
    """Tell whether a place is a Zarr store.

    Parameters
    ----------
    place : str or Path
        A folder, or a URL, which goes by its ending.

    Returns
    -------
    bool
        True for a folder with the marks of Zarr or named .zarr.
    """
    if "://" in str(place):
        return str(place).rstrip("/").lower().endswith(".zarr")
    folder = Path(place)
    named = folder.suffix.lower() == ".zarr"
    return folder.is_dir() and (named or any((folder / mark).is_file() for mark in _MARKS))


def zarr_package() -> Any:
    """Import the package that reads and writes stores.

    Returns
    -------
    module
        The package zarr.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import zarr
    except ImportError:
        msg = 'OME-Zarr needs the package zarr; install it with: pip install "stormcell[formats]"'
        raise MissingDependencyError(msg) from None
    return zarr


def open_store(place: str | Path) -> StoredImage:
    """Open the finest level of an OME-Zarr image; no pixel is read.

    Parameters
    ----------
    place : str or Path
        The folder, or a URL.

    Returns
    -------
    StoredImage
        Pixels and what the store says of them.

    Raises
    ------
    FormatError
        There is no such image, it is a plate or a label, or its description is damaged.
    """
    zarr = zarr_package()
    try:
        group = zarr.open_group(str(place), mode="r")
        attributes = dict(group.attrs)
        if "bioformats2raw.layout" in {**attributes, **dict(attributes.get("ome", {}))}:
            group = group["0"]
            attributes = dict(group.attrs)
        described = attributes.get("ome", attributes)
        if "plate" in described or "well" in described:
            msg = f"expected one image in {place}, got a plate; name one of its fields, for example {place}/A/1/0"
            raise FormatError(msg)
        return _finest(group, described, attributes)
    except FormatError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"expected an OME-Zarr image (0.4 or 0.5) in {place}, but it is damaged or none ({reason:.120})"
        raise FormatError(f"{msg}; copy or export it again") from None


def _finest(group: Any, described: Mapping[str, Any], attributes: Mapping[str, Any]) -> StoredImage:
    scales = described["multiscales"][0]
    dataset = scales["datasets"][0]
    array = group[dataset["path"]]
    axes = scales["axes"]
    if len(axes) != len(array.shape):
        msg = f"{len(axes)} axes are named, the pixels have {len(array.shape)}"
        raise ValueError(msg)
    names = tuple(str(axis["name"] if isinstance(axis, dict) else axis) for axis in axes)
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in axes]
    scale = _scale(dataset.get("coordinateTransformations"), len(axes))
    scale = scale * _scale(scales.get("coordinateTransformations"), len(axes))
    told = dict(zip(names, zip(units, scale, strict=True), strict=True))
    version = str(described.get("version") or scales.get("version") or "0.4")
    record = attributes.get("stormcell", {})
    return StoredImage(
        array,
        names,
        _pixel_size(told),
        _converted(told.get("t"), _SECONDS_PER_UNIT),
        version,
        record if isinstance(record, dict) else {},
    )


def _scale(steps: list[dict[str, Any]] | None, n_axes: int) -> NDArray[np.float64]:
    scale = np.ones(n_axes)
    for step in steps or ():
        if step["type"] == "scale":
            scale = scale * np.asarray(step["scale"], dtype=np.float64)
    return scale


def _pixel_size(told: Mapping[str, tuple[str | None, float]]) -> tuple[float, float] | None:
    y, x = (_converted(told.get(name), _NM_PER_UNIT) for name in "yx")
    return None if y is None or x is None else (y, x)


def _converted(told: tuple[str | None, float] | None, units: Mapping[str, float]) -> float | None:
    factor = None if told is None else units.get(told[0] or "")
    if told is None or factor is None or not math.isfinite(told[1]) or told[1] <= 0:
        return None
    return float(told[1] * factor)


@dataclass(frozen=True)
class StoredFrames:
    """Loader of frames from a Zarr array.

    Parameters
    ----------
    array : zarr.Array
        The pixels.
    frame_axis : int or None
        Which of its axes counts frames; None where there is one frame only.
    plane : tuple of int
        Which axes are y and x; all others have length one.
    name : str
        The store, for messages.
    """

    array: Any
    frame_axis: int | None
    plane: tuple[int, int]
    name: str

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop, shape (stop - start, Y, X)."""
        picked: list[Any] = [0] * len(self.array.shape)
        for axis in self.plane:
            picked[axis] = slice(None)
        if self.frame_axis is not None:
            picked[self.frame_axis] = slice(start, stop)
        try:
            pixels = np.asarray(self.array[tuple(picked)])
        except _DAMAGE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            msg = f"expected frames {start} to {stop} in {self.name}, but they are damaged or gone ({reason:.120})"
            raise FormatError(f"{msg}; copy the store again") from None
        # frames come first, then rows, then columns, however the store orders its axes
        kept = sorted({*self.plane} | ({self.frame_axis} if self.frame_axis is not None else set()))
        order = [kept.index(axis) for axis in (self.frame_axis, *self.plane) if axis is not None]
        pixels = pixels.transpose(order)
        return pixels[None][start:stop] if self.frame_axis is None else pixels
