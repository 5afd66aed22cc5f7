"""How far a simulated movie is from the real one that it should look like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.fluctuations import temporal_fluctuations
from stormcell.calibration.frame_sample import FrameSample, sample_frames
from stormcell.calibration.patches import patch_means
from stormcell.calibration.power_spectrum import measure_spectra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.frame_sample import SampleSettings
    from stormcell.data.frame_stack import FrameStack

    Array = NDArray[Any]

_QUANTILES = np.linspace(0.01, 0.99, 99)
_RINGS = np.linspace(0.03, 0.6, 16)
_NEAR, _FAR = 2.0, 5.0
_CHANGING = 0.5
_DARK = 0.05


@dataclass(frozen=True)
class MovieDistance:
    """Distance between two movies; 0 where they look alike.

    Parameters
    ----------
    intensity : float
        Mean distance of the quantiles of the grey values, in standard deviations of the first movie.
    spectrum : float
        Root mean square difference of the logarithm of the power spectra of the fluctuations.
    local_variance : float
        Root mean square difference of the logarithm of the quantiles of the variance in time of 8 x 8 px patches.
    itself : float
        The same total between the two halves of the first movie: what cannot be told from chance or change.
    """

    intensity: float
    spectrum: float
    local_variance: float
    itself: float

    @property
    def total(self) -> float:
        """Mean of the three."""
        return (self.intensity + self.spectrum + self.local_variance) / 3

    def sentence(self) -> str:
        """Say in words how well the movies agree.

        Returns
        -------
        str
            One sentence.
        """
        parts = {
            "the histogram of grey values": self.intensity,
            "the power spectrum (spot width, tail, noise)": self.spectrum,
            "the variance from place to place": self.local_variance,
        }
        worst = max(parts, key=lambda name: parts[name])
        scale = max(self.itself, 0.05)
        numbers = f"distance {self.total:.2f}, the movie's halves among themselves {self.itself:.2f}"
        if self.itself > _CHANGING:
            return f"the movie changes too much over time to be compared with a simulation that does not ({numbers})"
        if self.total < _NEAR * scale:
            return f"the simulated frames look like the real ones ({numbers})"
        degree = "somewhat" if self.total < _FAR * scale else "clearly"
        return f"the simulated frames differ {degree} from the real ones, most in {worst} ({numbers})"

    def to_document(self) -> dict[str, float]:
        """Convert to plain values.

        Returns
        -------
        dict
            All distances, and `total`.
        """
        return {name: round(float(value), 6) for name, value in {**asdict(self), "total": self.total}.items()}


def movie_distance(real: FrameStack, simulated: FrameStack, settings: SampleSettings | None = None) -> MovieDistance:
    """Compare a simulated movie with the real one.

    Parameters
    ----------
    real, simulated : FrameStack
        Raw grey values of the same (or an equally described) camera; the sizes may differ.
    settings : SampleSettings, optional
        How much of each is looked at.

    Returns
    -------
    MovieDistance
        Intensity histogram, power spectrum, local variance.
    """
    first, second = sample_frames(real, settings), sample_frames(simulated, settings)
    return distance_between(first, look_of(first), look_of(second))


@dataclass(frozen=True)
class Look:
    """What movies are compared by.

    Parameters
    ----------
    grey : ndarray
        Quantiles 0.01 to 0.99 of the grey values.
    spread : float
        Standard deviation of the grey values.
    frequencies : ndarray
        Middle of each ring of spatial frequencies, cycles per pixel.
    log_spectrum : ndarray
        Logarithm of the power of the fluctuations in each ring; NaN in an empty one.
    log_variance : ndarray
        Logarithm of quantiles of the variance in time of patches of 8 x 8 px, each with 5 % of the mean added.
    """

    grey: Array
    spread: float
    frequencies: Array
    log_spectrum: Array
    log_variance: Array


def look_of(sample: FrameSample, frames: slice | None = None) -> Look:
    """Describe what a movie looks like.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.
    frames : slice, optional
        Only these frames of the sample.

    Returns
    -------
    Look
        Histogram, power spectrum, local variance.
    """
    if frames is not None:
        part = sample.block[frames]
        sample = FrameSample(sample.tiles[:, frames], part - part[0])
    fluctuations = temporal_fluctuations(sample)
    spectra = measure_spectra(fluctuations, sample)
    power, radius = spectra.power.mean(axis=0), np.hypot(spectra.ky, spectra.kx)
    rings = []
    for low, high in pairwise(_RINGS):
        ring = (radius >= low) & (radius < high) & (spectra.weight > 0)
        rings.append(np.log(max(float(power[ring].mean()), 1e-12)) if ring.any() else np.nan)
    variance = patch_means((fluctuations.values**2).mean(axis=1))
    return Look(
        np.quantile(sample.tiles, _QUANTILES),
        float(sample.tiles.std()),
        0.5 * (_RINGS[1:] + _RINGS[:-1]),
        np.array(rings),
        # how dark the darkest patches are does not matter
        np.log(np.quantile(variance, _QUANTILES[::7]) + _DARK * float(variance.mean()) + 1e-12),
    )


def distance_between(sample: FrameSample, real: Look, simulated: Look) -> MovieDistance:
    """Compare two looks.

    Parameters
    ----------
    sample : FrameSample
        The real movie; its halves are compared too.
    real, simulated : Look
        Of the real and the simulated movie.

    Returns
    -------
    MovieDistance
        Intensity histogram, power spectrum, local variance.
    """
    middle = sample.n_frames // 2
    itself = _distances(look_of(sample, slice(0, middle)), look_of(sample, slice(middle, None)))
    return MovieDistance(*_distances(real, simulated), itself=float(np.mean(itself)))


def _distances(a: Look, b: Look) -> tuple[float, float, float]:
    spectrum = (a.log_spectrum - b.log_spectrum)[np.isfinite(a.log_spectrum) & np.isfinite(b.log_spectrum)]
    return (
        float(np.mean(np.abs(a.grey - b.grey))) / max(a.spread, 1e-9),
        float(np.sqrt(np.mean(spectrum**2))) if spectrum.size else 0.0,
        float(np.sqrt(np.mean((a.log_variance - b.log_variance) ** 2))),
    )
