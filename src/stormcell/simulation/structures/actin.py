"""Actin: a mesh of single filaments and, through it, stress fibres."""

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
_RADIUS_NM = 3.5


class Actin(Settings):
    """A cortical mesh with stress fibres."""

    kind: Literal["actin"] = "actin"
    """Name of the structure."""
    mesh_per_um2: float = Field(4.0, ge=0, le=100)
    """Length of single filaments per area of field, um per um2."""
    filament_length_um: float = Field(1.2, gt=0.05, le=50)
    """Mean length of a single filament, um."""
    persistence_length_um: float = Field(10.0, gt=0.1, le=1000)
    """Distance over which a filament's direction is forgotten, um."""
    fibres_per_um: float = Field(0.25, ge=0, le=5)
    """Stress fibres met per um across their common direction."""
    fibre_width_nm: float = Field(150.0, ge=20, le=2000)
    """Width of a stress fibre (two standard deviations), nm."""
    filaments_per_fibre: int = Field(12, ge=1, le=300)
    """Filaments side by side in a stress fibre."""
    sites_per_um: float = Field(370.0, gt=0, le=5000)
    """Places a label can bind per um of filament; 370 is every monomer."""

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
        surfaces = [np.zeros((0, 3))]
        for path in (*self._mesh(scene, rng), *self._fibres(scene, rng)):
            near = path[scene.holds(path, 1000.0)]
            if len(near) > 1:
                surfaces.append(tube_surface(rng, near, _RADIUS_NM, self.sites_per_um))
        return np.concatenate(surfaces)

    def _mesh(self, scene: Scene, rng: np.random.Generator) -> list[NDArray[np.float64]]:
        n_filaments = rng.poisson(self.mesh_per_um2 * scene.area_um2 / self.filament_length_um)
        paths = []
        for _ in range(n_filaments):
            start = (rng.random() * scene.width_nm, rng.random() * scene.height_nm)
            length = 1000 * rng.gamma(2.0, self.filament_length_um / 2)
            angle = rng.uniform(0, 2 * math.pi)
            path = wormlike_chain(rng, start, angle, length, self.persistence_length_um * 1000, _STEP_NM)
            height = rng.uniform(-1, 1) * scene.z_range_nm
            paths.append(np.column_stack([path, np.full(len(path), height)]))
        return paths

    def _fibres(self, scene: Scene, rng: np.random.Generator) -> list[NDArray[np.float64]]:
        direction = rng.uniform(0, math.pi)
        across = np.array([-math.sin(direction), math.cos(direction)])
        span = abs(across[0]) * scene.width_nm + abs(across[1]) * scene.height_nm
        reach = math.hypot(scene.width_nm, scene.height_nm)
        middle = np.array([scene.width_nm, scene.height_nm]) / 2
        paths = []
        for _ in range(rng.poisson(self.fibres_per_um * span / 1000)):
            tilt = direction + rng.normal(0, 0.12)
            along = np.array([math.cos(tilt), math.sin(tilt)])
            begin = middle + across * rng.uniform(-0.5, 0.5) * span - along * reach / 2
            spine = wormlike_chain(rng, (begin[0], begin[1]), tilt, reach, 100_000, _STEP_NM)
            paths.extend(self._bundle(scene, rng, spine))
        return paths

    def _bundle(
        self, scene: Scene, rng: np.random.Generator, spine: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Filaments that run along a spine, beginning and ending anywhere on it."""
        tangent = np.gradient(spine, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        base = smooth_heights(rng, len(spine), _STEP_NM, scene.z_range_nm)
        filaments = []
        for _ in range(self.filaments_per_fibre):
            wander = smooth_heights(rng, len(spine), _STEP_NM, 15.0, correlation_nm=500.0)
            offset = rng.normal(0, self.fibre_width_nm / 2) + wander
            path = np.column_stack([spine + offset[:, None] * normal, base + rng.normal(0, self.fibre_width_nm / 4)])
            filaments.append(path)
        return filaments
