"""Where objects go: scattered with a least distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.structures.scene import Scene


def scatter_apart(scene: Scene, rng: np.random.Generator, per_um2: float, spacing_nm: float) -> NDArray[np.float64]:
    """Scatter points over the field that keep a distance from each other.

    Parameters
    ----------
    scene : Scene
        The field; heights are uniform over its depth.
    rng : numpy.random.Generator
        Source of randomness.
    per_um2 : float
        Wanted points per um2; fewer come where the distance leaves no room.
    spacing_nm : float
        Least distance in the plane.

    Returns
    -------
    ndarray
        Shape (N, 3), nm.
    """
    from scipy.spatial import cKDTree

    wanted = max(1, int(rng.poisson(per_um2 * scene.area_um2)))
    extent = np.array([scene.width_nm, scene.height_nm])
    candidates = rng.random((wanted * 12, 2)) * extent
    blocked = np.zeros(len(candidates), np.bool_)
    kept: list[int] = []
    tree = cKDTree(candidates)
    # dart throwing: each accepted point blocks the candidates that would come too close
    for i in range(len(candidates)):
        if blocked[i]:
            continue
        kept.append(i)
        if len(kept) == wanted:
            break
        blocked[tree.query_ball_point(candidates[i], spacing_nm)] = True
    heights = rng.uniform(-1, 1, len(kept)) * scene.z_range_nm
    return np.column_stack([candidates[kept], heights])
