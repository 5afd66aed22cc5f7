"""Endoplasmic reticulum: a polygonal network of thin tubes, with sheets in some of its meshes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings
from stormcell.simulation.structures.scene import Scene, smooth_heights, tube_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RIM_NM = 1500.0


class EndoplasmicReticulum(Settings):
    """Tubes that meet three by three, and sheets."""

    kind: Literal["endoplasmic_reticulum"] = "endoplasmic_reticulum"
    """Name of the structure."""
    mesh_size_um: float = Field(1.2, gt=0.2, le=20)
    """Typical width of a mesh, um."""
    diameter_nm: float = Field(80.0, ge=20, le=400)
    """Diameter of the tubes, nm."""
    sheet_share: float = Field(0.1, ge=0, le=1)
    """Share of the meshes that are filled by a sheet."""
    open_share: float = Field(0.08, ge=0, le=1)
    """Share of the tubes that end before they meet the next."""
    sites_per_um: float = Field(250.0, gt=0, le=20_000)
    """Places a label can bind per um of tube."""

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
        from scipy.spatial import Voronoi

        size = self.mesh_size_um * 1000
        width, height = scene.width_nm + 2 * _RIM_NM, scene.height_nm + 2 * _RIM_NM
        n_meshes = max(8, round(width * height / size**2))
        network = Voronoi(rng.random((n_meshes, 2)) * [width, height] - _RIM_NM)
        # one height per junction, so that tubes meet in depth too
        depth = rng.uniform(-1, 1, len(network.vertices)) * scene.z_range_nm
        parts = [np.zeros((0, 3))]
        for first, last in network.ridge_vertices:
            if first >= 0 and last >= 0:
                ends = np.column_stack([network.vertices[[first, last]], depth[[first, last]]])
                if scene.holds(ends, _RIM_NM).any():
                    parts.append(self._tube(rng, ends))
        closed = [region for region in network.regions if region and min(region) >= 0]
        filled = [region for region in closed if rng.random() < self.sheet_share]
        parts.extend(self._sheet(rng, network.vertices[region], float(depth[region].mean())) for region in filled)
        sites = np.concatenate(parts)
        return sites[scene.holds(sites, 1000.0)]

    def _tube(self, rng: np.random.Generator, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Label one tube between two junctions, slightly bent."""
        length = float(np.linalg.norm(ends[1] - ends[0]))
        n_points = max(3, round(length / 20))
        place = np.linspace(0, rng.uniform(0.3, 0.8) if rng.random() < self.open_share else 1.0, n_points)[:, None]
        path = ends[0] + place * (ends[1] - ends[0])
        side = np.array([-(ends[1] - ends[0])[1], (ends[1] - ends[0])[0], 0.0]) / max(length, 1e-9)
        bow = rng.normal(0, 0.06) * length * np.sin(math.pi * place)
        wander = smooth_heights(rng, n_points, 20.0, 25.0, correlation_nm=300.0)[:, None] * np.sin(math.pi * place)
        radius = self.diameter_nm / 2 * (1 + smooth_heights(rng, n_points, 20.0, 0.2, correlation_nm=300.0))
        return tube_surface(rng, path + (bow + wander) * side, radius, self.sites_per_um)

    def _sheet(self, rng: np.random.Generator, corners: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
        """Label both membranes of a sheet that fills a mesh."""
        low, high = corners.min(axis=0), corners.max(axis=0)
        if np.prod(high - low) > 100e6:
            return np.zeros((0, 3))
        per_um2 = self.sites_per_um / (math.pi * self.diameter_nm / 1000) * 2
        n_sites = rng.poisson(per_um2 * float(np.prod(high - low)) / 1e6)
        plane = low + rng.random((n_sites, 2)) * (high - low)
        plane = plane[_in_convex(corners, plane)]
        heights = depth + rng.choice([-0.5, 0.5], len(plane)) * self.diameter_nm / 2
        return np.column_stack([plane, heights])


def _in_convex(corners: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points lie in a convex polygon, whose corners go round it either way."""
    edges = np.roll(corners, -1, axis=0) - corners
    offsets = points[:, None] - corners
    side = edges[:, 0] * offsets[:, :, 1] - edges[:, 1] * offsets[:, :, 0]
    return np.asarray((side >= 0).all(axis=1) | (side <= 0).all(axis=1))
