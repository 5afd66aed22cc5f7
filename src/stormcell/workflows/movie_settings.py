"""Options of every verb that takes a movie: which part of it, pixel size, camera."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, field_validator

from stormcell.physics.cameras import CameraSettings, CameraType
from stormcell.settings import Settings

_RANGE = re.compile(r"^(\d*):(\d*)$")


def _described(name: str) -> Any:
    """Take over what the camera's own settings say about a field: it is told once."""
    return Field(default=None, description=CameraSettings.model_fields[name].description)


class MovieSettings(Settings):
    """Which part of a movie to use, and what is known about the camera; None means: take it from the file."""

    pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a camera pixel in the sample plane [nm]; taken from the file where it says so, never guessed."""

    camera: str | None = None
    """Camera as a YAML file or the name of a preset (for example orca-flash4-v3); single options win over it."""

    camera_type: CameraType | None = _described("camera_type")
    offset_adu: float | None = _described("offset_adu")
    gain_e_per_adu: float | None = _described("gain_e_per_adu")
    em_gain: float | None = _described("em_gain")
    qe: float | None = _described("qe")
    read_noise_e: float | None = _described("read_noise_e")

    frames: str | None = None
    """Use only frames a:b, counted from 0, b not included (for example 0:500)."""

    roi: str | None = None
    """Use only the rectangle y0:y1,x0:x1 in pixels, ends not included; positions stay those of the whole frame."""

    @field_validator("frames")
    @classmethod
    def _check_frames(cls, text: str | None) -> str | None:
        if text is not None:
            parse_range(text, "a:b, for example 0:500")
        return text

    @field_validator("roi")
    @classmethod
    def _check_roi(cls, text: str | None) -> str | None:
        if text is not None:
            parse_roi(text)
        return text


def parse_range(text: str, expected: str) -> tuple[int, int | None]:
    """Read a half-open range.

    Parameters
    ----------
    text : str
        "a:b", "a:" or ":b", counted from 0.
    expected : str
        What to say was expected.

    Returns
    -------
    tuple of int and int or None
        Start and stop; None means to the end.

    Raises
    ------
    ValueError
        The text is no such range.
    """
    match = _RANGE.match(text.strip())
    if match is None or text.strip() == ":":
        msg = f"expected {expected}, got {text}"
        raise ValueError(msg)
    return int(match[1] or 0), int(match[2]) if match[2] else None


def parse_roi(text: str) -> tuple[tuple[int, int | None], tuple[int, int | None]]:
    """Read a rectangle.

    Parameters
    ----------
    text : str
        "y0:y1,x0:x1", each as in `parse_range`.

    Returns
    -------
    tuple of two ranges
        Rows and columns.

    Raises
    ------
    ValueError
        The text is no such rectangle.
    """
    expected = "y0:y1,x0:x1, for example 0:64,32:96"
    parts = text.split(",")
    if len(parts) != 2:
        msg = f"expected {expected}, got {text}"
        raise ValueError(msg)
    return parse_range(parts[0], expected), parse_range(parts[1], expected)
