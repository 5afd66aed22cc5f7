"""Sums over rings of a Fourier spectrum, by true spatial frequency on images of any shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


_FINENESS = 4


@dataclass(frozen=True)
class Rings:
    """Equally wide rings up to the Nyquist frequency.

    Parameters
    ----------
    frequency : ndarray
        Shape (R,): middle of each ring in cycles per pixel, 0 to 0.5.
    n_values : ndarray
        Shape (R,): Fourier coefficients in each ring, both signs counted.
    sums : ndarray
        Shape (S, R): sums over each ring.
    """

    frequency: NDArray[np.float64]
    n_values: NDArray[np.float64]
    sums: NDArray[np.float64]


def correlation_rings(a: NDArray[Any], b: NDArray[Any], shape: tuple[int, int]) -> Rings:
    """Sum what a Fourier ring correlation needs.

    Parameters
    ----------
    a, b : ndarray
        Half spectra (`rfft2`) of two images of that shape.
    shape : tuple of int
        (rows, columns).

    Returns
    -------
    Rings
        Sums of Re(a conj b), |a|^2, |b|^2; ring width one Fourier pixel of the longer side.
    """
    n_rings = max(shape) // 2 + 1
    sums = _correlate(a, b, shape[0], shape[1], n_rings)
    return _rings(sums, max(shape))


def magnitude_rings(spectrum: NDArray[Any], shape: tuple[int, int]) -> Rings:
    """Sum what a decorrelation analysis needs.

    Parameters
    ----------
    spectrum : ndarray
        Half spectrum (`rfft2`) of an image of that shape.
    shape : tuple of int
        (rows, columns).

    Returns
    -------
    Rings
        Sums of |f| and |f|^2; ring width a quarter of a Fourier pixel of the longer side, so that discs of any radius
        can be put together from them; some of the innermost rings are empty.
    """
    fineness = _FINENESS * max(shape)
    return _rings(_magnitudes(spectrum, shape[0], shape[1], fineness // 2 + 1, fineness), fineness)


def _rings(sums: NDArray[np.float64], side: int) -> Rings:
    return Rings(np.arange(sums.shape[1]) / side, sums[-1], sums[:-1])


@njit(cache=True, nogil=True)
def _correlate(a: Any, b: Any, rows: int, columns: int, n_rings: int) -> Any:
    sums = np.zeros((4, n_rings))
    side = max(rows, columns)
    for i in range(a.shape[0]):
        fy = (i if 2 * i <= rows else rows - i) / rows
        for j in range(a.shape[1]):
            fx = j / columns
            ring = int(np.sqrt(fy * fy + fx * fx) * side + 0.5)
            if ring < n_rings:
                # The half spectrum stands for both signs of x, but for the columns that are their own mirror.
                twice = 1.0 if j == 0 or 2 * j == columns else 2.0
                va, vb = a[i, j], b[i, j]
                sums[0, ring] += twice * (va.real * vb.real + va.imag * vb.imag)
                sums[1, ring] += twice * (va.real * va.real + va.imag * va.imag)
                sums[2, ring] += twice * (vb.real * vb.real + vb.imag * vb.imag)
                sums[3, ring] += twice
    return sums


@njit(cache=True, nogil=True)
def _magnitudes(f: Any, rows: int, columns: int, n_rings: int, fineness: int) -> Any:
    sums = np.zeros((3, n_rings))
    for i in range(f.shape[0]):
        fy = (i if 2 * i <= rows else rows - i) / rows
        for j in range(f.shape[1]):
            fx = j / columns
            ring = int(np.sqrt(fy * fy + fx * fx) * fineness + 0.5)
            if ring < n_rings:
                twice = 1.0 if j == 0 or 2 * j == columns else 2.0
                power = f[i, j].real * f[i, j].real + f[i, j].imag * f[i, j].imag
                sums[0, ring] += twice * np.sqrt(power)
                sums[1, ring] += twice * power
                sums[2, ring] += twice
    return sums
