"""What a file says about its camera, and which of its claims are believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormcell.data import Quantity
from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CAMERA_UNITS = {
    "camera_pixel_size_nm": "nm",
    "exposure_s": "s",
    "offset_adu": "ADU",
    "gain_e_per_adu": "e/ADU",
    "em_gain": "",
    "qe": "",
    "read_noise_e": "e",
    "camera_type": "",
    "camera_name": "",
}
"""The quantities a movie file may state, with their units."""

PLAUSIBLE_PIXEL_SIZE_NM = (20.0, 1000.0)
"""Half-open range of camera pixel sizes in the sample plane that are believed. One micrometre, the default of OME-XML
and of uncalibrated Micro-Manager, lies outside on purpose."""

_SQUARE_TOLERANCE = 0.005
_AGREEMENT_TOLERANCE = 0.01


@dataclass(frozen=True)
class PixelSizeClaim:
    """A camera pixel size as one tag of a file gives it, in nm; `y_nm` is None where only one side is given."""

    tag: str
    x_nm: float
    y_nm: float | None = None

    @property
    def is_plausible(self) -> bool:
        """Whether all sides given lie in the range of microscopes."""
        low, high = PLAUSIBLE_PIXEL_SIZE_NM
        sides = (self.x_nm,) if self.y_nm is None else (self.x_nm, self.y_nm)
        return all(math.isfinite(side) and low <= side < high for side in sides)

    def __str__(self) -> str:
        return f"{self.tag}: {self.x_nm:.6g} nm"


def choose_pixel_size(claims: Iterable[PixelSizeClaim], name: str) -> dict[str, Quantity]:
    """Pick the first believable pixel size and say what became of the others.

    Parameters
    ----------
    claims : iterable of PixelSizeClaim
        What the file says, the most trustworthy first.
    name : str
        The file, for the message.

    Returns
    -------
    dict of str to Quantity
        `camera_pixel_size_nm`, with value None where every claim was ignored; empty where the file says nothing.

    Raises
    ------
    InputError
        The believable claim has different sides along X and Y.
    """
    claims = list(claims)
    if not claims:
        return {}
    low, high = PLAUSIBLE_PIXEL_SIZE_NM
    chosen = next((claim for claim in claims if claim.is_plausible), None)
    if chosen is None:
        said = "; ".join(map(str, claims))
        detail = f"ignored {said} (outside {low:g} to {high:g} nm, a default rather than a calibration)"
        return {"camera_pixel_size_nm": read_quantity("camera_pixel_size_nm", None, detail)}
    _refuse_oblong(chosen, name)
    others = [
        claim
        for claim in claims
        if claim is not chosen and abs(claim.x_nm - chosen.x_nm) > _AGREEMENT_TOLERANCE * chosen.x_nm
    ]
    detail = chosen.tag + (f"; not taken: {'; '.join(map(str, others))}" if others else "")
    return {"camera_pixel_size_nm": read_quantity("camera_pixel_size_nm", round(chosen.x_nm, 6), detail)}


def read_quantity(name: str, value: float | str | None, detail: str) -> Quantity:
    """Say that a value stands in the file.

    Parameters
    ----------
    name : str
        One of `CAMERA_UNITS`, or a note such as `file_format`.
    value : float or str or None
        None where the file says something that cannot be believed.
    detail : str
        Which tag it comes from.

    Returns
    -------
    Quantity
        With source "read".
    """
    return Quantity(name, value, CAMERA_UNITS.get(name, ""), "read", detail)


def believable(name: str, value: float | str | None, detail: str) -> dict[str, Quantity]:
    """Keep a camera value when it makes sense.

    Parameters
    ----------
    name : str
        One of `CAMERA_UNITS`.
    value : float or str or None
        As the file gives it, also as text.
    detail : str
        Which tag it comes from.

    Returns
    -------
    dict of str to Quantity
        Empty where the value is absent, not a number, or out of its range (offset at least 0, qe up to 1, EM gain at
        least 1, others above 0).
    """
    if value is None or isinstance(value, bool):
        return {}
    if name in {"camera_name", "camera_type"}:
        text = str(value).strip()
        return {name: read_quantity(name, text, detail)} if text else {}
    number = as_number(value)
    if number is None or not _in_range(name, number):
        return {}
    return {name: read_quantity(name, number, detail)}


def as_number(value: object) -> float | None:
    """Read a number that may be stored as text.

    Parameters
    ----------
    value : object
        A number, or text such as "0.107".

    Returns
    -------
    float or None
        None where it is not one finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def file_notes(file_format: str, how: str, n_frames: int, notes: Sequence[str]) -> dict[str, Quantity]:
    """Say how a movie was read, in the form in which reports list what was read.

    Parameters
    ----------
    file_format : str
        Name of the format, for example "ImageJ TIFF".
    how : str
        For example "uncompressed, read in place".
    n_frames : int
        Frames in the movie.
    notes : sequence of str
        What was unusual about the frame axis; empty when nothing was.

    Returns
    -------
    dict of str to Quantity
        `file_format`, and `n_frames` where there are notes.
    """
    said = {"file_format": read_quantity("file_format", file_format, how)}
    if notes:
        said["n_frames"] = read_quantity("n_frames", n_frames, "; ".join(notes))
    return said


def _in_range(name: str, number: float) -> bool:
    if name == "offset_adu":
        return number >= 0
    if name == "em_gain":
        return number >= 1
    if name == "qe":
        return 0 < number <= 1
    return number > 0


def _refuse_oblong(claim: PixelSizeClaim, name: str) -> None:
    if claim.y_nm is None or abs(claim.x_nm - claim.y_nm) <= _SQUARE_TOLERANCE * claim.x_nm:
        return
    msg = (
        f"expected square camera pixels, but {name} says {claim.x_nm:.6g} nm along X and {claim.y_nm:.6g} nm along Y "
        f"({claim.tag}); correct the file's pixel size, or resample the movie"
    )
    raise InputError(msg)
