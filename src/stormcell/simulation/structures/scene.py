"""The volume structures are drawn in, and curves that wander through it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Scene:
    """The field of view and the depth in which structures lie."""

    height_nm: float
    """Extent along y."""
    width_nm: float
    """Extent along x."""
    z_range_nm: float = 0.0
    """Structures lie within plus and minus this height round the focus."""

    @property
    def area_um2(self) -> float:
        """Area of the field."""
        return self.height_nm * self.width_nm / 1e6

    def holds(self, points_nm: NDArray[np.float64], margin_nm: float = 0.0) -> NDArray[np.bool_]:
        """Tell which points lie in the field.

        Parameters
        ----------
        points_nm : ndarray
            Shape (N, 2 or 3), columns x, y, (z).
        margin_nm : float
            Rim round the field that still counts.

        Returns
        -------
        ndarray
            Shape (N,), bool.
        """
        x, y = points_nm[:, 0], points_nm[:, 1]
        in_x = (x >= -margin_nm) & (x < self.width_nm + margin_nm)
        return in_x & (y >= -margin_nm) & (y < self.height_nm + margin_nm)


def wormlike_chain(
    rng: np.random.Generator,
    start_nm: tuple[float, float],
    angle_rad: float,
    length_nm: float,
    persistence_nm: float,
    step_nm: float = 20.0,
) -> NDArray[np.float64]:
    """Draw a planar worm-like chain.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    start_nm : tuple of float
        First point (x, y).
    angle_rad : float
        First direction, from x towards y.
    length_nm : float
        Contour length, > 0.
    persistence_nm : float
        The mean cosine of the angle between tangents a distance s apart is exp(-s / persistence).
    step_nm : float
        Contour length between points.

    Returns
    -------
    ndarray
        Shape (N, 2), points a step apart.

    References
    ----------
    Gittes et al., "Flexural rigidity of microtubules and actin filaments measured from thermal fluctuations in
    shape", J. Cell Biol. 120, 923 (1993), doi:10.1083/jcb.120.4.923. Differs from the paper: there a chain confined
    to a plane decorrelates over twice the persistence length; here the length given is that of the planar curve.
    """
    n_steps = max(2, round(length_nm / step_nm))
    bends = rng.normal(0, math.sqrt(2 * step_nm / persistence_nm), n_steps - 1)
    angles = angle_rad + np.concatenate([[0.0], np.cumsum(bends)])
    steps = step_nm * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    walked: NDArray[np.float64] = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    walked += start_nm
    return walked


def smooth_heights(
    rng: np.random.Generator, n_points: int, step_nm: float, z_range_nm: float, correlation_nm: float = 3000.0
) -> NDArray[np.float64]:
    """Draw heights that change slowly along a curve and stay within the range.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n_points : int
        Points on the curve.
    step_nm : float
        Distance between them.
    z_range_nm : float
        Largest height on either side of 0.
    correlation_nm : float
        Distance over which the height forgets itself.

    Returns
    -------
    ndarray
        Shape (N,), nm; a uniform distribution over the range if seen along many curves.
    """
    if z_range_nm == 0:
        return np.zeros(n_points)
    memory = math.exp(-step_nm / correlation_nm)
    noise = rng.normal(size=n_points) * math.sqrt(1 - memory**2)
    noise[0] = rng.normal()
    from scipy.signal import lfilter
    from scipy.special import ndtr

    normal = lfilter([1.0], [1.0, -memory], noise)
    return z_range_nm * (2 * np.asarray(ndtr(normal)) - 1)


def tube_surface(
    rng: np.random.Generator,
    path_nm: NDArray[np.float64],
    radius_nm: float | NDArray[np.float64],
    sites_per_um: float,
) -> NDArray[np.float64]:
    """Scatter sites over the surface of a tube round a path.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    path_nm : ndarray
        Shape (N, 3), the axis, points close to each other.
    radius_nm : float or ndarray
        Radius of the tube, one for all or one per point.
    sites_per_um : float
        Mean number of sites per um of axis.

    Returns
    -------
    ndarray
        Shape (M, 3).
    """
    pieces = np.diff(path_nm, axis=0)
    lengths = np.linalg.norm(pieces, axis=1)
    ends = np.cumsum(lengths)
    n_sites = rng.poisson(ends[-1] / 1000 * sites_per_um)
    place = np.sort(rng.random(n_sites)) * ends[-1]
    piece = np.minimum(np.searchsorted(ends, place), len(pieces) - 1)
    share = (place - (ends[piece] - lengths[piece])) / np.maximum(lengths[piece], 1e-9)
    centre = path_nm[piece] + share[:, None] * pieces[piece]
    tangent = pieces[piece] / np.maximum(lengths[piece], 1e-9)[:, None]
    side = np.cross(tangent, np.array([0.0, 0.0, 1.0]))
    norm = np.linalg.norm(side, axis=1, keepdims=True)
    side = np.where(norm > 1e-6, side / np.maximum(norm, 1e-6), np.array([1.0, 0.0, 0.0]))
    up = np.cross(side, tangent)
    turn = rng.uniform(0, 2 * math.pi, n_sites)[:, None]
    radius = np.broadcast_to(radius_nm, len(path_nm))[piece][:, None]
    return np.asarray(centre + radius * (np.cos(turn) * side + np.sin(turn) * up))
