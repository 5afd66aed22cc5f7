"""Facts for the report: numbers, the verdict sentence, and tests that give artefacts away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import kstest

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations

MIN_ROWS_FOR_FLATNESS = 200
_FLATNESS_P = 1e-3
_FLATNESS_D = 0.04
_GOOD_RSP = 0.9
_POOR_RSP = 0.6


@dataclass(frozen=True)
class Flatness:
    """Whether localizations favour places within the camera pixel.

    Parameters
    ----------
    statistic : float
        Kolmogorov-Smirnov distance between the fractional positions and a flat distribution, 0 to 1.
    p_value : float
        Chance of such a distance when the positions are flat.
    is_flat : bool
        False where the distance is both significant and large enough to matter.
    """

    statistic: float
    p_value: float
    is_flat: bool


@dataclass(frozen=True)
class Verdict:
    """One sentence on the whole result, and its tone."""

    sentence: str
    level: Literal["good", "caution", "poor"]


def pixel_flatness(table: Localizations, axis: Literal["x", "y"], camera_pixel_size_nm: float) -> Flatness | None:
    """Test whether positions are spread evenly within the camera pixel.

    Parameters
    ----------
    table : Localizations
        With `x_nm` and `y_nm`.
    axis : {"x", "y"}
        Which axis.
    camera_pixel_size_nm : float
        Side of a camera pixel.

    Returns
    -------
    Flatness or None
        None for fewer than 200 rows, where nothing can be said.

    Notes
    -----
    A biased fit or a wrong PSF width pulls positions to pixel centres or edges and draws a grid into the picture.
    Structure with few, straight lines along an axis can look uneven as well.
    """
    fraction = np.mod(table[f"{axis}_nm"] / camera_pixel_size_nm, 1.0)
    fraction = fraction[np.isfinite(fraction)]
    if len(fraction) < MIN_ROWS_FOR_FLATNESS:
        return None
    statistic, p_value = kstest(fraction, "uniform")
    return Flatness(float(statistic), float(p_value), not (p_value < _FLATNESS_P and statistic > _FLATNESS_D))


def result_numbers(table: Localizations, area_um2: float) -> dict[str, float]:
    """Summarize a table.

    Parameters
    ----------
    table : Localizations
        All localizations.
    area_um2 : float
        Area of the field.

    Returns
    -------
    dict of str to float
        n_localizations, n_frames, localizations_per_um2_and_frame, and medians of the columns that are there.
    """
    n_frames = table.n_frames or 0
    numbers = {"n_localizations": float(table.n_rows), "n_frames": float(n_frames)}
    if n_frames and area_um2 > 0:
        numbers["localizations_per_um2_and_frame"] = table.n_rows / n_frames / area_um2
    for name in ("photons", "background_photons", "psf_sigma_nm", "chi2"):
        if name in table and table.n_rows:
            numbers[f"median_{name}"] = float(np.nanmedian(table[name]))
    if "uncertainty_x_nm" in table and "uncertainty_y_nm" in table and table.n_rows:
        both = np.concatenate([table["uncertainty_x_nm"], table["uncertainty_y_nm"]])
        numbers["median_uncertainty_nm"] = float(np.nanmedian(both))
    return numbers


def verdict(numbers: dict[str, float], n_doubts: int) -> Verdict:
    """Say in one sentence what came out and how far to trust it.

    Parameters
    ----------
    numbers : dict of str to float
        Numbers of the result; `rsp` where the picture was compared with a wide-field image.
    n_doubts : int
        How many notes there are.

    Returns
    -------
    Verdict
        The sentence and its tone.
    """
    n_rows = int(numbers["n_localizations"])
    if not n_rows:
        return Verdict("Nothing was found: no spot in this movie stands clearly above its background.", "poor")
    found = f"{n_rows:,} localizations in {int(numbers['n_frames']):,} frames"
    if "median_uncertainty_nm" in numbers:
        found += f", each known to about {numbers['median_uncertainty_nm']:.0f} nm by its fit"
    rsp = numbers.get("rsp", math.nan)
    if math.isnan(rsp):
        return Verdict(f"{found}. The picture could not be compared with a wide-field image.", "caution")
    agreement = f"(correlation {rsp:.2f})"
    if rsp < _POOR_RSP:
        return Verdict(f"{found}. The picture does not agree with the wide-field image {agreement}.", "poor")
    if rsp < _GOOD_RSP or n_doubts:
        how = "agrees" if rsp >= _GOOD_RSP else "agrees only in part"
        ending = "; read the notes below" if n_doubts else "; look at the error map"
        return Verdict(f"{found}. The picture {how} with the wide-field image {agreement}{ending}.", "caution")
    return Verdict(f"{found}. The picture agrees with the wide-field image {agreement}.", "good")
