"""Whether events show any structure, or are strewn as chance would: by the pairs they form, against a slow density.

Two events of one molecule lie within a few localization errors of each other; events of one structure - a filament,
a ring, a tube - lie a few hundred nm apart more often than chance has it. Pairs of the second kind are counted and
compared with what the density half a micrometre and more away predicts, so that a density that merely varies over
micrometres counts as even. For points on filaments of total length L per area the excess is 1.8 um-1 / L of chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.floating[Any]]

BANDS_NM = ((60.0, 300.0, 0.15), (45.0, 130.0, 0.4))
"""Distances of the pairs counted (nearer ones may be one molecule): those of lines, tubes and patches, and those of
rings of 100 nm. Third: excess, as a share of chance, that structure has at least in a band, for example filaments
12 um long in each um2."""
AROUND_NM = (600.0, 1400.0)
"""Distances at which the density is taken that pairs are compared with."""
SLOW_NM = 1000.0
"""Standard deviation of the smoothing that leaves an even density."""
_SURE, _LIKELY = 3.0, 1.64
_LEAST_AROUND = 0.2
_UNEVEN = 1 / 3
"""Share of that least excess that a slowly varying density may cause."""
_FEWEST_PAIRS = 1e-3
_BLOCK_PX = 2048
_WIDEFIELD_NM = 80.0


@dataclass(frozen=True)
class Evenness:
    """How the pairs of a field compare with chance.

    Parameters
    ----------
    excess : tuple of float
        Pairs beyond chance, as a share of those by chance, in each of `BANDS_NM`.
    error : tuple of float
        Standard deviation of each excess, were there no structure.
    widefield_score : float or None
        How many standard deviations brighter than chance the wide-field image is where the events lie, once slow
        variations are taken out; None without one.
    """

    excess: tuple[float, ...]
    error: tuple[float, ...]
    widefield_score: float | None = None

    @property
    def score(self) -> float:
        """Largest excess, less a third of what structure has at least, in standard deviations."""
        return max(
            (share - _UNEVEN * least) / error if math.isfinite(error) else 0.0
            for share, error, (_, _, least) in zip(self.excess, self.error, BANDS_NM, strict=True)
        )

    @property
    def shows_structure(self) -> bool:
        """Pairs, or the wide-field image where events lie, exceed chance by three standard deviations."""
        return self.score >= _SURE or (self.widefield_score is not None and self.widefield_score >= _SURE)

    @property
    def is_even(self) -> bool:
        """Structure is not seen, and would have been: no excess reaches, at 95 %, what any structure has."""
        return not self.shows_structure and all(
            share + _LIKELY * error < least
            for share, error, (_, _, least) in zip(self.excess, self.error, BANDS_NM, strict=True)
        )


def measure_evenness(counts: Image, pixel_size_nm: float, widefield: Image | None = None) -> Evenness:
    """Compare the pairs of a field with chance.

    Parameters
    ----------
    counts : ndarray
        Shape (Y, X), independent events per pixel; pixels that are not a number count as not measured.
    pixel_size_nm : float
        Side of a pixel, at most 30 nm for the distances to be told apart.
    widefield : ndarray, optional
        Shape (Y, X), wide-field image on the same pixels.

    Returns
    -------
    Evenness
        With an infinite error where no pair is to be expected.
    """
    measured = np.isfinite(counts).astype(np.float32)
    events = np.where(measured > 0, counts, 0).astype(np.float32)
    rows, columns = (range(0, length, _BLOCK_PX) for length in events.shape)
    blocks = [np.s_[top : top + _BLOCK_PX, left : left + _BLOCK_PX] for top in rows for left in columns]
    # pairs across the borders of blocks are left out of both what is found and what is expected
    sums = np.sum([_count_pairs(events[block], measured[block], pixel_size_nm) for block in blocks], axis=0)
    total, own = float(sums[0]), float(sums[1])
    found, chance = np.split(sums[2:], 2)
    if total <= 0 or min(chance) <= _FEWEST_PAIRS:
        return Evenness((0.0,) * len(BANDS_NM), (math.inf,) * len(BANDS_NM))
    # the others near an event are mostly its own molecule's, which come in lumps
    lump = 1 + max(0.0, own / total)
    excess = tuple(float(value) for value in found / chance - 1)
    error = tuple(float(value) for value in lump * np.sqrt(2 / chance))
    brighter = None if widefield is None else _brighter(events, measured, widefield, pixel_size_nm, lump)
    return Evenness(excess, error, brighter)


def _count_pairs(
    events: NDArray[np.float32], measured: NDArray[np.float32], pixel_size_nm: float
) -> NDArray[np.float64]:
    """Events, their near neighbours beyond chance, and pairs found and by chance in each band."""
    reach = math.ceil(AROUND_NM[1] / pixel_size_nm)
    padded = tuple(next_fast_len(length + reach, real=True) for length in events.shape)
    place = np.minimum(np.arange(padded[0]), padded[0] - np.arange(padded[0])) * pixel_size_nm
    across = np.minimum(np.arange(padded[1]), padded[1] - np.arange(padded[1])) * pixel_size_nm
    distance = np.hypot(place[:, None], across[None]).astype(np.float32)
    around = ((distance >= AROUND_NM[0]) & (distance < AROUND_NM[1])).astype(np.float32)
    of_events, of_measured, of_around = (rfft2(image, padded) for image in (events, measured, around))
    inside = np.s_[: events.shape[0], : events.shape[1]]
    area = irfft2(of_measured * of_around, padded)[inside]
    usable = events * measured * (area > _LEAST_AROUND * around.sum())
    density = np.maximum(irfft2(of_events * of_around, padded)[inside], 0) / np.maximum(area, 1)
    # lags: how often two events, or an event and a measured pixel weighted by the density, are so far apart
    seen = irfft2(np.conj(rfft2(usable, padded)) * of_events, padded)
    expected = irfft2(np.conj(rfft2(usable * density, padded)) * of_measured, padded)
    limits = [(0.0, BANDS_NM[0][0]), *((low, high) for low, high, _ in BANDS_NM)]
    found, chance = (
        np.array([lags[(distance >= low) & (distance < high)].sum(dtype=np.float64) for low, high in limits])
        for lags in (seen, expected)
    )
    total = float(usable.sum(dtype=np.float64))
    return np.array([total, found[0] - chance[0] - total, *found[1:], *chance[1:]])


def slow_density(counts: Image, pixel_size_nm: float) -> NDArray[np.float32]:
    """Smooth events to the density that is left of them where there is no structure.

    Parameters
    ----------
    counts : ndarray
        Shape (Y, X).
    pixel_size_nm : float
        Side of a pixel.

    Returns
    -------
    ndarray of float32
        Shape (Y, X), events per pixel; what lies beyond the edges does not count.
    """
    sigma = SLOW_NM / pixel_size_nm
    measured = np.isfinite(counts).astype(np.float64)
    weight = gaussian_filter(measured, sigma, mode="constant", truncate=3.0)
    smooth = gaussian_filter(
        np.where(measured > 0, counts, 0.0).astype(np.float64), sigma, mode="constant", truncate=3.0
    )
    return np.asarray(measured * smooth / np.maximum(weight, 1e-12), np.float32)


def _brighter(events: Image, measured: Image, widefield: Image, pixel_size_nm: float, lump: float) -> float:
    known = measured * np.isfinite(widefield)
    light = np.where(known > 0, widefield, 0)
    joined = max(1, min(round(_WIDEFIELD_NM / pixel_size_nm), *events.shape))
    events, light, known = (_joined(image, joined) for image in (events * known, light, known))
    light = light / np.maximum(known, 1e-12)
    sigma = SLOW_NM / 2 / (pixel_size_nm * joined)
    weight = np.maximum(gaussian_filter(known, sigma, mode="constant", truncate=3.0), 1e-12)
    bright, chance = (
        gaussian_filter(image, sigma, mode="constant", truncate=3.0) / weight for image in (known * light, events)
    )
    detail, chance = light - bright, chance * known
    spread = math.sqrt(float((chance * detail**2).sum()))
    return float(((events - chance) * detail).sum()) / (spread * lump) if spread > 0 else 0.0


def _joined(image: Image, size: int) -> NDArray[np.float64]:
    rows, columns = (length // size for length in image.shape)
    cut = image[: rows * size, : columns * size]
    return np.asarray(cut.reshape(rows, size, columns, size).sum(axis=(1, 3), dtype=np.float64))
