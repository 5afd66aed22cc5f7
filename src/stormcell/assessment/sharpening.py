"""Blur level: is an image drawn finer than its data can tell.

Sharpening an image (deconvolution, squaring, unsharp masks, a network trained on thin lines) leaves its wide-field
error map and its RSP as they were: what changes lies far below the wide-field's resolution. Agreement of two halves
does not show it either, because what sharpens one half sharpens the other alike. It shows when the power of fine
detail is set against that in a plain drawing of the same events, each as wide as it is uncertain: nothing true is
finer than the precision of its localizations.

Decorrelation analysis was tried for this and given up: where precision differs from event to event it reads the few
sharpest ones, in both images alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft
from scipy.signal.windows import tukey

from stormcell.errors import InputError
from stormcell.rendering import render

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations
    from stormcell.data.sr_image import SRImage

# Honest drawings reach 1.43, sharpened ones 1.49 to 2.2: python -m benchmarks check_accuracy --only sharpening.
_SUSPICIOUS = 1.45
# Where an event of median uncertainty is left with 15 % of its power: the end of what the data can tell.
_LAST_POWER = 0.15
_FINE_FROM = 0.6
_COARSE_UP_TO = 0.3
_COARSEST_NM = 400.0
_FEWEST_WAVES = 3
_NYQUIST_SHARE = 0.8
_TAPER = 0.25


@dataclass(frozen=True)
class BlurLevel:
    """How much fine detail an image shows against a plain drawing of its events.

    Parameters
    ----------
    gain : float
        Amplitude of the fine detail over that in the plain drawing, both relative to coarse structure; 1 for the
        plain drawing itself.
    finest_nm : float
        Period of the finest detail that was looked at; the coarsest is 1.7 times as long.
    is_sharpened : bool
        The gain is above 1.45.
    """

    gain: float
    finest_nm: float
    is_sharpened: bool


def blur_level(image: SRImage, events: Localizations) -> BlurLevel:
    """Compare the fine detail of an image with that of a plain drawing of the events it rests on.

    Parameters
    ----------
    image : SRImage
        The image in question, linear, its pixels not much larger than the uncertainty.
    events : Localizations
        With uncertainty_x_nm and uncertainty_y_nm.

    Returns
    -------
    BlurLevel
        With sparse events (below some 50 per um of line) their own scatter is fine detail too: then thin lines that a
        network draws may stay below the limit.

    Raises
    ------
    InputError
        The field is too small, or no event with an uncertainty lies in it, or the image is constant.
    """
    plain = _plain_drawing(image, events)
    spread = events["uncertainty_x_nm"]
    sigma_nm = float(np.median(spread[np.isfinite(spread) & (spread > 0)]))
    pixel_nm = image.sr_pixel_size_nm
    end = min(np.sqrt(-np.log(_LAST_POWER)) / (2 * np.pi * sigma_nm), _NYQUIST_SHARE / (2 * pixel_nm))
    coarse_end = min(1 / _COARSEST_NM, _COARSE_UP_TO * end)
    lowest = 1 / min(image.grid.extent_nm)
    if coarse_end < _FEWEST_WAVES * lowest:
        msg = (
            f"expected a field of at least {_FEWEST_WAVES / coarse_end:.0f} nm to set fine detail against coarse "
            f"structure, got {1 / lowest:.0f} nm"
        )
        raise InputError(msg)
    frequency = np.hypot(
        fft.fftfreq(image.pixels.shape[0], pixel_nm)[:, None], fft.rfftfreq(image.pixels.shape[1], pixel_nm)[None, :]
    )
    is_coarse = (frequency > lowest) & (frequency < coarse_end)
    is_fine = (frequency > _FINE_FROM * end) & (frequency <= end)
    drawn, allowed = (_fine_over_coarse(pixels, is_fine, is_coarse) for pixels in (image.pixels, plain))
    gain = float(np.sqrt(drawn / allowed))
    return BlurLevel(gain, float(1 / end), gain > _SUSPICIOUS)


def _plain_drawing(image: SRImage, events: Localizations) -> NDArray[np.float32]:
    spread = events["uncertainty_x_nm"]
    pixels = image.pixels[:0]
    if (np.isfinite(spread) & (spread > 0)).any():
        pixels = render(events, image.sr_pixel_size_nm, grid=image.grid).pixels
    if not pixels.any():
        msg = "expected events with an uncertainty in the field of the image, got none"
        raise InputError(msg)
    return pixels


def _fine_over_coarse(pixels: NDArray[np.float32], is_fine: NDArray[np.bool_], is_coarse: NDArray[np.bool_]) -> float:
    """Power in one band over power in the other."""
    rows, columns = (tukey(side, _TAPER).astype(np.float32) for side in pixels.shape)
    level = pixels - pixels.mean(dtype=np.float64).astype(np.float32)
    power = np.abs(fft.rfft2(level * rows[:, None] * columns[None, :])) ** 2
    coarse = float(power[is_coarse].sum(dtype=np.float64))
    if coarse <= 0:
        msg = "expected structure in the image to read its fineness from, got a constant image"
        raise InputError(msg)
    return float(power[is_fine].sum(dtype=np.float64)) / coarse
