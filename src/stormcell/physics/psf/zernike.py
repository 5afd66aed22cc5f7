"""Zernike polynomials on the unit disc, numbered and normalised after Noll."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ABERRATIONS: dict[str, int] = {
    "tip": 2,
    "tilt": 3,
    "defocus": 4,
    "astigmatism_oblique": 5,
    "astigmatism": 6,
    "coma_y": 7,
    "coma_x": 8,
    "trefoil_y": 9,
    "trefoil_x": 10,
    "spherical": 11,
    "secondary_astigmatism": 12,
    "secondary_astigmatism_oblique": 13,
    "quadrafoil": 14,
    "quadrafoil_oblique": 15,
    "secondary_coma_x": 16,
    "secondary_coma_y": 17,
    "secondary_spherical": 22,
}
"""Noll index by the name of the aberration."""


def noll_to_orders(index: int) -> tuple[int, int]:
    """Split a Noll index into its radial and azimuthal order.

    Parameters
    ----------
    index : int
        Noll's number, >= 1.

    Returns
    -------
    tuple of int
        Radial order n >= 0 and azimuthal order m (positive for cosine, negative for sine).

    Raises
    ------
    InputError
        The index is below 1.
    """
    if index < 1:
        msg = f"expected a Noll index of at least 1, got {index}"
        raise InputError(msg)
    radial = 0
    rest = index - 1
    while rest > radial:
        radial += 1
        rest -= radial
    azimuthal = radial % 2 + 2 * ((rest + (radial + 1) % 2) // 2)
    return radial, azimuthal if index % 2 == 0 else -azimuthal


def zernike(index: int, rho: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate one polynomial; its root mean square over the disc is 1.

    Parameters
    ----------
    index : int
        Noll's number, >= 1 (4 defocus, 6 astigmatism, 8 coma along x, 11 spherical).
    rho : ndarray
        Distance from the axis in units of the pupil radius, 0 to 1.
    phi : ndarray
        Angle from x towards y in rad, same shape.

    Returns
    -------
    ndarray
        Values, same shape.

    References
    ----------
    Noll, "Zernike polynomials and atmospheric turbulence", J. Opt. Soc. Am. 66, 207 (1976), eqs. 1-2,
    doi:10.1364/JOSA.66.000207.
    """
    n, m = noll_to_orders(index)
    order = abs(m)
    radial = np.zeros_like(rho)
    for k in range((n - order) // 2 + 1):
        factor = (-1) ** k * math.factorial(n - k)
        factor //= math.factorial(k) * math.factorial((n + order) // 2 - k) * math.factorial((n - order) // 2 - k)
        radial = radial + factor * rho ** (n - 2 * k)
    if m == 0:
        return math.sqrt(n + 1) * radial
    wave = np.cos(order * phi) if m > 0 else np.sin(order * phi)
    return math.sqrt(2 * (n + 1)) * radial * wave
