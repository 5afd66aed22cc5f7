"""From the labels of a file to registered columns: which column a label means, and in which unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormcell.data import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable

    Interpreter = Callable[[str], "Meaning | None"]

LENGTH_UNITS = {
    "nm": 1.0,
    "um": 1e3,
    "\u00b5m": 1e3,  # micro sign
    "\u03bcm": 1e3,  # Greek mu
    "mm": 1e6,
    "m": 1e9,
}
"""Nanometres per unit of length."""

PIXEL_UNITS = ("px", "pixel", "pixels")
"""Words for the camera pixel as a unit of length."""

ANGLE_UNITS = {"rad": 1.0, "deg": math.pi / 180}
"""Radians per unit of angle."""

_SUFFIXED = re.compile(r"(?P<base>\w+)_(?P<unit>[^\W_]+)")


@dataclass(frozen=True)
class Meaning:
    """The registered columns that a label fills (one value may fill two), and the factor to their unit."""

    columns: tuple[str, ...]
    factor: float = 1.0
    is_in_pixels: bool = False


def length_meaning(columns: tuple[str, ...], unit: str) -> Meaning | None:
    """Say what a length in some unit means.

    Parameters
    ----------
    columns : tuple of str
        Registered columns in nm.
    unit : str
        Its unit, for example "um" or "px".

    Returns
    -------
    Meaning or None
        None for an unknown unit.
    """
    if unit in PIXEL_UNITS:
        return Meaning(columns, is_in_pixels=True)
    return Meaning(columns, LENGTH_UNITS[unit]) if unit in LENGTH_UNITS else None


def interpret_own_names(label: str) -> Meaning | None:
    """Understand registered column names, also those with another unit of length or angle at the end.

    Parameters
    ----------
    label : str
        For example "x_nm", "x_um", "psf_sigma_px" or "photons".

    Returns
    -------
    Meaning or None
        None for an unknown label.
    """
    if label in COLUMNS:
        return Meaning((label,))
    match = _SUFFIXED.fullmatch(label)
    if match is None:
        return None
    base, unit = match["base"], match["unit"]
    if f"{base}_nm" in COLUMNS:
        return length_meaning((f"{base}_nm",), unit)
    if f"{base}_rad" in COLUMNS and unit in ANGLE_UNITS:
        return Meaning((f"{base}_rad",), ANGLE_UNITS[unit])
    return None
