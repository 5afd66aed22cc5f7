"""Rolling Fourier ring correlation: the resolution two independent images share, place by place.

W. Zhao et al., "Quantitatively mapping local quality of super-resolution microscopy by rolling Fourier ring
correlation", Light Sci. Appl. 12, 298 (2023), doi:10.1038/s41377-023-01321-0.

Differs from the paper: windows step by a part of their side instead of one pixel, and places where the two images
share nothing are left empty instead of being given a background value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from pydantic import Field
from scipy import fft
from scipy.signal.windows import tukey

from stormcell.assessment.frc import Threshold, check_pair, threshold_curve
from stormcell.data.pixel_grid import PixelGrid
from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_BATCH = 256
_HOPELESS = 0.95


class FrcMapSettings(Settings):
    """Windows of the rolling correlation."""

    window_px: int = Field(default=64, ge=16, le=1024)
    """Side of the window in pixels; a few times the resolution expected."""
    step_px: int = Field(default=16, ge=1)
    """Distance of neighbouring windows in pixels; one pixel of the map."""
    threshold: Threshold = "one-seventh"
    """Where each curve is cut; "three-sigma" is the careful choice where windows hold few localizations."""
    taper: float = Field(default=0.5, ge=0, le=1)
    """Share of the window that is faded out towards its edges."""


@dataclass(frozen=True)
class FrcMap:
    """Local resolution.

    Parameters
    ----------
    resolution : SRImage
        In nm; NaN where the two images share nothing. One pixel per window, centred on it.
    median_nm : float
        Median of the places with a number; NaN without any.
    share : float
        Share with a number of the windows in which both images hold something.
    """

    resolution: SRImage
    median_nm: float
    share: float


def frc_map(
    first: SRImage,
    second: SRImage,
    settings: FrcMapSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FrcMap:
    """Measure the local resolution of two independent images.

    Parameters
    ----------
    first, second : SRImage
        On the same grid, at least one window large, finite, not constant.
    settings : FrcMapSettings, optional
        Window, step, threshold.
    progress : callable, optional
        Called with windows done and windows in all.

    Returns
    -------
    FrcMap
        One number per window.

    Raises
    ------
    InputError
        The grids differ, or an image is smaller than a window, constant or not finite.
    """
    settings = settings or FrcMapSettings()
    check_pair(first, second)
    side, step = settings.window_px, settings.step_px
    if side > min(first.pixels.shape):
        msg = f"expected images of at least one window ({side} x {side} pixels), got {first.pixels.shape}"
        raise InputError(msg)
    windows = [
        np.lib.stride_tricks.sliding_window_view(image.pixels, (side, side))[::step, ::step]
        for image in (first, second)
    ]
    n_rows, n_columns = windows[0].shape[:2]
    rings = _Rings(side, settings)
    numbers = np.empty(n_rows * n_columns)
    for start in range(0, len(numbers), _BATCH):
        index = np.arange(start, min(start + _BATCH, len(numbers)))
        place = np.unravel_index(index, (n_rows, n_columns))
        numbers[index] = rings.resolution_px(windows[0][place], windows[1][place])
        if progress is not None:
            progress(int(index[-1]) + 1, len(numbers))
    size = first.sr_pixel_size_nm
    pixels = (numbers * size).reshape(n_rows, n_columns).astype(np.float32)
    shift = (side - step) / 2 * size
    origin = (first.grid.origin_nm[0] + shift, first.grid.origin_nm[1] + shift)
    known = np.isfinite(pixels)
    median = float(np.median(pixels[known])) if known.any() else float("nan")
    grid = PixelGrid(step * size, (n_rows, n_columns), origin)
    n_held = int(_hold_something(windows).sum())
    return FrcMap(SRImage(pixels, grid, "nm"), median, float(known.sum() / max(n_held, 1)))


def _hold_something(windows: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Windows in which neither image is constant."""
    varies: list[NDArray[np.bool_]] = [of_image.max(axis=(2, 3)) > of_image.min(axis=(2, 3)) for of_image in windows]
    return np.logical_and(varies[0], varies[1])


class _Rings:
    """Ring sums of many equal windows at once."""

    def __init__(self, side: int, settings: FrcMapSettings) -> None:
        self._side = side
        ramp = tukey(side, settings.taper).astype(np.float32)
        self._window = ramp[:, None] * ramp[None, :]
        fy = np.minimum(np.arange(side), side - np.arange(side))[:, None]
        fx = np.arange(side // 2 + 1)[None, :]
        ring = np.rint(np.hypot(fy, fx)).astype(np.int64)
        twice = np.broadcast_to(np.where((fx == 0) | (2 * fx == side), 1.0, 2.0), ring.shape)
        inside = ring.ravel() <= side // 2
        chosen = np.flatnonzero(inside)
        self._order = chosen[np.argsort(ring.ravel()[inside], kind="stable")]
        self._starts = np.flatnonzero(np.diff(ring.ravel()[self._order], prepend=-1))
        self._twice = twice.ravel()[self._order].astype(np.float32)
        count = np.pad(np.add.reduceat(self._twice, self._starts), 1)
        averaged = count[:-2] + count[1:-1] + count[2:]
        independent = averaged * float(((ramp**2).mean() ** 2 / (ramp**4).mean()) ** 2)
        self._cut = threshold_curve(settings.threshold, independent)
        # In the innermost rings chance alone can reach any correlation.
        self._first = max(2, int(np.argmax(self._cut < _HOPELESS)))

    def resolution_px(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
        """Give the resolution of each pair of windows, NaN where they share nothing."""
        spectra = []
        for windows in (a, b):
            level = windows - windows.mean(axis=(1, 2), keepdims=True)
            spectrum = fft.rfft2(level.astype(np.float32) * self._window, workers=numba.get_num_threads())
            spectra.append(spectrum.reshape(len(windows), -1)[:, self._order])
        fa, fb = spectra
        shared = self._sum((fa * fb.conj()).real)
        power = self._sum(np.abs(fa) ** 2) * self._sum(np.abs(fb) ** 2)
        curve = shared / np.sqrt(np.maximum(power, 1e-30))
        # Neighbouring rings of a tapered window share their noise; three together make the curve steady.
        padded = np.pad(curve, ((0, 0), (1, 1)), mode="edge")
        smooth = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
        return self._cross(smooth - self._cut)

    def _sum(self, values: NDArray[Any]) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = np.add.reduceat(values * self._twice, self._starts, axis=1, dtype=np.float64)
        return summed

    def _cross(self, above: NDArray[np.float64]) -> NDArray[np.float64]:
        below = above[:, self._first :] < 0
        ever = below.any(axis=1)
        ring = np.where(ever, below.argmax(axis=1) + self._first, above.shape[1] - 1)
        row = np.arange(len(above))
        high, low = above[row, ring - 1], above[row, ring]
        place = np.where(ever, ring - 1 + high / np.where(high > low, high - low, 1.0), self._side / 2)
        shares = ring > self._first
        return np.where(shares, self._side / np.maximum(place, 1.0), np.nan)
