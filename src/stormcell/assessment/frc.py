"""Fourier ring correlation: the finest detail that two independent images of the same field share.

R. P. J. Nieuwenhuizen, K. A. Lidke, M. Bates, D. Leyton Puig, D. Gruenwald, S. Stallinga, B. Rieger, "Measuring image
resolution in optical nanoscopy", Nat. Methods 10, 557 (2013), doi:10.1038/nmeth.2448.

Differs from the paper: rings follow the true frequency on images of any shape, without padding (padding to a power of
two makes the number jump); the curve is smoothed by a local straight line; and the number carries the confidence that
the number of Fourier coefficients allows.

Only independent images tell a resolution. Rows of one burst on both sides, or one network applied to both halves,
make it look finer than it is: tables must be linked first, and agreement of two network outputs proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numba
import numpy as np
from pydantic import Field
from scipy import fft
from scipy.signal.windows import tukey

from stormcell.assessment.ring_sums import correlation_rings
from stormcell.errors import InputError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations
    from stormcell.data.sr_image import SRImage

Threshold = Literal["one-seventh", "half-bit", "three-sigma"]
_Z_90 = 1.645
_FIRST_RING = 3
_MIN_EVIDENCE = 4.0


class FrcSettings(Settings):
    """How a Fourier ring correlation is measured."""

    threshold: Threshold = "one-seventh"
    """Where the curve is cut: 1/7, half a bit of information per pixel, or three standard deviations of chance."""
    taper: float = Field(default=0.25, ge=0, le=1)
    """Share of each side that is faded out towards the edges (Tukey window)."""
    smoothing: float = Field(default=0.05, ge=0, le=0.5)
    """Width of the local straight lines that smooth the curve, as a share of its length; 0 for none."""
    sr_pixel_size_nm: float = Field(default=10.0, gt=0)
    """Pixel of the images drawn from a table, in nm; at most a third of the expected resolution."""
    n_blocks: int = Field(default=50, ge=2)
    """Blocks of consecutive frames that are dealt out to the two images of a table."""
    n_repeats: int = Field(default=5, ge=1, le=100)
    """How often the blocks are dealt out anew, for the spread of the number."""
    seed: int = Field(default=0, ge=0)
    """Seed of the dealing."""


@dataclass(frozen=True)
class FrcResult:
    """A resolution with its curve.

    Parameters
    ----------
    frc_resolution_nm : float or None
        Inverse of the frequency at which the smoothed curve first falls below the threshold; None where it never does
        (finer than two pixels) or is below from the start.
    interval_nm : tuple of float or None
        90 % interval of that number.
    frequency_per_nm : ndarray
        Shape (R,): rings.
    frc_curve : ndarray
        Shape (R,): correlation in each ring, not smoothed.
    smoothed : ndarray
        Shape (R,): the curve that is cut.
    threshold : ndarray
        Shape (R,): where it is cut.
    note : str
        Why there is no number, or empty.
    """

    frc_resolution_nm: float | None
    interval_nm: tuple[float, float] | None
    frequency_per_nm: NDArray[np.float64]
    frc_curve: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    threshold: NDArray[np.float64]
    note: str = ""


def frc_of_images(first: SRImage, second: SRImage, settings: FrcSettings | None = None) -> FrcResult:
    """Measure the resolution that two independent images share.

    Parameters
    ----------
    first, second : SRImage
        On the same grid, at least 16 x 16 pixels, finite and not constant.
    settings : FrcSettings, optional
        Threshold, taper, smoothing.

    Returns
    -------
    FrcResult
        The number and its curve.

    Raises
    ------
    InputError
        The grids differ, or an image is too small, constant or not finite.
    """
    settings = settings or FrcSettings()
    check_pair(first, second)
    return _measure(first.pixels, second.pixels, first.sr_pixel_size_nm, settings)


def frc_of_table(table: Localizations, settings: FrcSettings | None = None) -> FrcResult:
    """Measure the resolution of a table from two halves of its frames.

    Parameters
    ----------
    table : Localizations
        Linked (with `n_detections`), with `frame`, `x_nm`, `y_nm`.
    settings : FrcSettings, optional
        Blocks, pixel size, threshold.

    Returns
    -------
    FrcResult
        The curve of the first dealing; the number is the median of all dealings. The interval joins their spread with
        the confidence within one.

    Raises
    ------
    InputError
        The table is not linked, or has fewer than 100 rows or 2 frames.
    """
    settings = settings or FrcSettings()
    _check_table(table)
    rng = np.random.default_rng(settings.seed)
    order = np.argsort(table["frame"], kind="stable")
    ends = np.searchsorted(table["frame"][order], _block_ends(table["frame"], settings.n_blocks), side="left")
    block = np.searchsorted(ends, np.arange(len(order)), side="right")
    results = []
    for _ in range(settings.n_repeats):
        side = np.zeros(int(block.max()) + 1, dtype=bool)
        side[rng.permutation(len(side))[: len(side) // 2]] = True
        halves = [order[side[block] == which] for which in (False, True)]
        images = _draw(table.positions_nm, halves, settings.sr_pixel_size_nm)
        results.append(_measure(images[0], images[1], settings.sr_pixel_size_nm, settings))
    return _joined(results)


def _joined(results: list[FrcResult]) -> FrcResult:
    numbers = [one.frc_resolution_nm for one in results if one.frc_resolution_nm is not None]
    first = results[0]
    if 2 * len(numbers) <= len(results):
        return next(one for one in results if one.frc_resolution_nm is None)
    middle = float(np.median(numbers))
    widths = [one.interval_nm[1] - one.interval_nm[0] for one in results if one.interval_nm is not None]
    half = np.hypot(_Z_90 * float(np.std(numbers)), float(np.median(widths)) / 2 if widths else 0.0)
    curves = (first.frequency_per_nm, first.frc_curve, first.smoothed, first.threshold)
    return FrcResult(middle, (float(middle - half), float(middle + half)), *curves)


def _measure(a: NDArray[Any], b: NDArray[Any], pixel_size_nm: float, settings: FrcSettings) -> FrcResult:
    shape = (a.shape[0], a.shape[1])
    window = [tukey(side, settings.taper).astype(np.float32) for side in shape]
    spectra = []
    for image in (a, b):
        # The mean would leak through the taper into the innermost rings, where everything correlates with it.
        tapered = image.astype(np.float32)
        tapered -= np.float32(tapered.mean(dtype=np.float64))
        tapered *= window[0][:, None]
        tapered *= window[1][None, :]
        spectra.append(fft.rfft2(tapered, workers=numba.get_num_threads()))
    rings = correlation_rings(spectra[0], spectra[1], shape)
    shared, power_a, power_b = rings.sums
    curve = shared / np.sqrt(np.maximum(power_a * power_b, 1e-300))
    # A taper mixes neighbouring coefficients: fewer of them are independent.
    n_independent = rings.n_values * float(np.prod([(w**2).mean() ** 2 / (w**4).mean() for w in window]))
    cut = threshold_curve(settings.threshold, n_independent)
    smooth = _smooth(curve, n_independent, max(3, round(settings.smoothing * len(curve))))
    return _crossing(rings.frequency / pixel_size_nm, curve, smooth, cut, n_independent)


def threshold_curve(kind: Threshold, n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tell where a correlation curve is cut.

    Parameters
    ----------
    kind : str
        One of `Threshold`.
    n : ndarray
        Shape (R,): independent Fourier coefficients in each ring, both signs counted.

    Returns
    -------
    ndarray
        Shape (R,).

    References
    ----------
    M. van Heel, M. Schatz, "Fourier shell correlation threshold criteria", J. Struct. Biol. 151, 250 (2005),
    doi:10.1016/j.jsb.2005.05.009.
    """
    # Both signs of a frequency carry the same information.
    root = np.sqrt(np.maximum(n / 2, 1.0))
    if kind == "half-bit":
        return np.minimum((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root), 1.0)
    if kind == "three-sigma":
        return np.minimum(3.0 / root, 1.0)
    return np.full(len(n), 1.0 / 7.0)


def _smooth(curve: NDArray[np.float64], n: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Local straight lines over a triangular window, weighted by the coefficients in each ring."""
    half = width // 2 + 1
    offset = np.arange(-half, half + 1)
    kernel = 1 - np.abs(offset) / (half + 1)
    padded = np.pad(n, half)
    sums = []
    for power, values in ((0, None), (1, None), (2, None), (0, curve), (1, curve)):
        weighted = padded if values is None else np.pad(n * values, half)
        sums.append(np.convolve(weighted, (kernel * offset**power)[::-1], mode="valid"))
    s0, s1, s2, t0, t1 = sums
    determinant = s0 * s2 - s1**2
    line = (s2 * t0 - s1 * t1) / np.where(determinant > 0, determinant, 1.0)
    result: NDArray[np.float64] = np.where(determinant > 0, line, curve)
    return result


def _crossing(
    frequency: NDArray[np.float64],
    curve: NDArray[np.float64],
    smooth: NDArray[np.float64],
    cut: NDArray[np.float64],
    n: NDArray[np.float64],
) -> FrcResult:
    below = np.flatnonzero(smooth[_FIRST_RING:] < cut[_FIRST_RING:]) + _FIRST_RING
    i = int(below[0]) if len(below) else len(curve)
    inside = slice(1, i)
    # What the rings before the crossing share, against what chance would let them share.
    evidence = float((n * curve)[inside].sum() / np.sqrt(2 * max(n[inside].sum(), 1.0)))
    if i == _FIRST_RING or evidence < _MIN_EVIDENCE:
        return FrcResult(None, None, frequency, curve, smooth, cut, "the two images share nothing")
    if not len(below):
        return FrcResult(None, None, frequency, curve, smooth, cut, "finer than two pixels: draw smaller pixels")
    above, under = smooth[i - 1] - cut[i - 1], smooth[i] - cut[i]
    step = frequency[1] - frequency[0]
    place = float(frequency[i - 1] + step * above / (above - under))
    near = slice(max(i - 3, 0), i + 3)
    slope = float(np.polyfit(frequency[near], smooth[near] - cut[near], 1)[0])
    noise = (1 - min(float(cut[i]), 1.0) ** 2) / np.sqrt(max(float(n[near].sum()) / 2, 1.0))
    half = _Z_90 * noise / max(-slope, noise / place)
    interval = (float(1 / (place + half)), float(1 / max(place - half, 0.1 * place)))
    return FrcResult(1 / place, interval, frequency, curve, smooth, cut)


def _draw(
    positions_nm: NDArray[np.float64], halves: list[NDArray[np.int64]], size_nm: float
) -> list[NDArray[np.float32]]:
    low = positions_nm.min(axis=0)
    column, row = ((positions_nm - low) / size_nm).astype(np.int64).T
    n_columns, n_rows = (fft.next_fast_len(int(place.max()) + 1, real=True) for place in (column, row))
    cell = row * n_columns + column
    return [
        np.bincount(cell[rows], minlength=n_rows * n_columns).reshape(n_rows, n_columns).astype(np.float32)
        for rows in halves
    ]


def _block_ends(frame: NDArray[np.int64], n_blocks: int) -> NDArray[np.float64]:
    """Inner borders of blocks of equal numbers of rows, so that bleaching does not empty the last ones."""
    borders: NDArray[np.float64] = np.quantile(frame, np.arange(1, n_blocks) / n_blocks)
    return np.unique(np.ceil(borders))


def check_pair(first: SRImage, second: SRImage) -> None:
    """Refuse two images that no ring correlation can compare.

    Parameters
    ----------
    first, second : SRImage
        The images.

    Raises
    ------
    InputError
        The grids differ, or an image is smaller than 16 x 16 pixels, constant or not finite.
    """
    if first.grid != second.grid:
        msg = f"expected two images on one grid, got {first.grid} and {second.grid}; render them alike"
        raise InputError(msg)
    for image in (first, second):
        _check(image.pixels)


def _check(pixels: NDArray[np.float32]) -> None:
    if min(pixels.shape) < 16:
        msg = f"expected images of at least 16 x 16 pixels for a ring correlation, got {pixels.shape}"
        raise InputError(msg)
    if not np.isfinite(pixels).all():
        msg = f"expected finite pixels for a ring correlation, got {int((~np.isfinite(pixels)).sum())} that are not"
        raise InputError(msg)
    if float(pixels.min()) == float(pixels.max()):
        msg = "expected structure for a ring correlation, got the same value in every pixel"
        raise InputError(msg)


def _check_table(table: Localizations) -> None:
    if "n_detections" not in table:
        msg = (
            "expected a linked table for a ring correlation (column n_detections): rows of one burst on both sides "
            "make the resolution look finer than it is; link it first"
        )
        raise InputError(msg)
    if len(table) < 100 or np.ptp(table["frame"]) < 1:
        n_frames = len(np.unique(table["frame"]))
        msg = f"expected at least 100 localizations in several frames, got {len(table)} in {n_frames}"
        raise InputError(msg)
    if not np.isfinite(table.positions_nm).all():
        msg = "expected finite x_nm and y_nm for a ring correlation, got some that are not; filter them out first"
        raise InputError(msg)
