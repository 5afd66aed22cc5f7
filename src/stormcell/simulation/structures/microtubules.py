"""Microtubules: stiff tubes that cross the field, cross each other, run in bundles and end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings
from stormcell.simulation.structures.scene import Scene, smooth_heights, tube_surface, wormlike_chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP_NM = 20.0


class Microtubules(Settings):
    """A network of microtubules."""

    kind: Literal["microtubules"] = "microtubules"
    """Name of the structure."""
    length_per_um2: float = Field(1.0, gt=0, le=50)
    """Contour length of microtubules per area of field, um per um2."""
    diameter_nm: float = Field(25.0, ge=5, le=100)
    """Outer diameter of the tube, nm."""
    persistence_length_um: float = Field(30.0, gt=0.1, le=10000)
    """Distance over which the direction is forgotten, um (apparent, in the plane)."""
    end_share: float = Field(0.3, ge=0, le=1)
    """Share of microtubules that end inside the field."""
    bundle_share: float = Field(0.2, ge=0, le=1)
    """Share of microtubules that run in bundles of 2 to 4."""
    bundle_spacing_nm: float = Field(60.0, ge=20, le=500)
    """Distance between neighbours in a bundle, nm."""
    sites_per_um: float = Field(1625.0, gt=0, le=20000)
    """Places a label can bind per um of microtubule; 1625 is every tubulin dimer (13 per 8 nm)."""

    def paths(self, scene: Scene, rng: np.random.Generator) -> list[NDArray[np.float64]]:
        """Draw the axes.

        Parameters
        ----------
        scene : Scene
            The field.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        list of ndarray
            One (N, 3) per microtubule, points 20 nm apart, possibly leaving the field.
        """
        wanted_nm = self.length_per_um2 * scene.area_um2 * 1000
        paths: list[NDArray[np.float64]] = []
        inside_nm = 0.0
        while inside_nm < wanted_nm:
            path = self._path(scene, rng)
            copies = int(rng.integers(2, 5)) if rng.random() < self.bundle_share else 1
            for copy in range(copies):
                member = _beside(path, (copy - (copies - 1) / 2) * self.bundle_spacing_nm)
                paths.append(member)
                inside_nm += float(scene.holds(member).sum()) * _STEP_NM
        return paths

    def _path(self, scene: Scene, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw one axis through a random point of the field, in both directions."""
        through = (rng.random() * scene.width_nm, rng.random() * scene.height_nm)
        angle = rng.uniform(0, 2 * math.pi)
        reach = 1.5 * math.hypot(scene.width_nm, scene.height_nm)
        persistence = self.persistence_length_um * 1000
        forward = wormlike_chain(rng, through, angle, reach, persistence, _STEP_NM)
        if rng.random() >= self.end_share:
            back = wormlike_chain(rng, through, angle + math.pi, reach, persistence, _STEP_NM)
            forward = np.concatenate([back[:0:-1], forward])
        return np.column_stack([forward, smooth_heights(rng, len(forward), _STEP_NM, scene.z_range_nm)])

    def sites(self, scene: Scene, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the places where labels can bind.

        Parameters
        ----------
        scene : Scene
            The field.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray
            Shape (N, 3), nm, in the field and a little round it.
        """
        surfaces = []
        for path in self.paths(scene, rng):
            near = path[scene.holds(path, 1000.0)]
            if len(near) > 1:
                surfaces.append(tube_surface(rng, near, self.diameter_nm / 2, self.sites_per_um))
        return np.concatenate(surfaces)


def _beside(path: NDArray[np.float64], distance_nm: float) -> NDArray[np.float64]:
    """Shift a path sideways."""
    tangent = np.gradient(path[:, :2], axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    shifted = path.copy()
    shifted[:, 0] -= tangent[:, 1] * distance_nm
    shifted[:, 1] += tangent[:, 0] * distance_nm
    return shifted
