"""Mitochondria: branching tubes labelled on their outer membrane."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings
from stormcell.simulation.structures.scene import Scene, smooth_heights, tube_surface, wormlike_chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP_NM = 40.0


class Mitochondria(Settings):
    """Outer membranes of tubes that bend, branch and end in rounded caps."""

    kind: Literal["mitochondria"] = "mitochondria"
    """Name of the structure."""
    length_per_um2: float = Field(0.35, gt=0, le=5)
    """Length of tubes per area of field, um per um2."""
    diameter_nm: float = Field(400.0, ge=100, le=1500)
    """Mean diameter, nm; each tube differs by about 15 %, and along itself."""
    mean_length_um: float = Field(4.0, gt=0.3, le=50)
    """Mean length of a tube without its branches, um."""
    branches_per_um: float = Field(0.15, ge=0, le=2)
    """Branches that leave a tube, per um."""
    persistence_length_um: float = Field(4.0, gt=0.2, le=1000)
    """Distance over which the direction is forgotten, um."""
    sites_per_um2: float = Field(1500.0, gt=0, le=50_000)
    """Places a label can bind per um2 of membrane."""
    cluster_share: float = Field(0.5, ge=0, le=1)
    """Share of the sites that sit in clusters of about 50 nm (TOM20), the others are even."""

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
        surfaces, inside_nm = [np.zeros((0, 3))], 0.0
        while inside_nm < self.length_per_um2 * scene.area_um2 * 1000:
            start = (rng.random() * scene.width_nm, rng.random() * scene.height_nm)
            for path, radius in self._tree(scene, rng, start):
                inside_nm += float(scene.holds(path).sum()) * _STEP_NM
                surfaces.append(self._membrane(rng, path, radius))
        sites = np.concatenate(surfaces)
        return sites[scene.holds(sites, 1000.0)]

    def _tree(
        self, scene: Scene, rng: np.random.Generator, start: tuple[float, float]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Draw a tube and its branches: axes (N, 3) and radii (N,)."""
        radius = self.diameter_nm / 2 * math.exp(rng.normal(0, 0.15))
        room = max(0.0, scene.z_range_nm - radius)
        trunk = self._axis(rng, start, rng.uniform(0, 2 * math.pi), self.mean_length_um, room)
        tubes = [(trunk, _radii(rng, len(trunk), radius))]
        for _ in range(rng.poisson(self.branches_per_um * len(trunk) * _STEP_NM / 1000)):
            root = int(rng.integers(len(trunk)))
            ahead = trunk[min(root + 1, len(trunk) - 1)] - trunk[max(root - 1, 0)]
            turn = math.radians(rng.uniform(50, 100)) * rng.choice([-1, 1])
            angle = math.atan2(ahead[1], ahead[0]) + turn
            branch = self._axis(rng, (trunk[root, 0], trunk[root, 1]), angle, self.mean_length_um / 2, 0.0)
            branch[:, 2] += trunk[root, 2]
            tubes.append((branch, _radii(rng, len(branch), radius, is_open_at_start=True)))
        return tubes

    def _axis(
        self, rng: np.random.Generator, start: tuple[float, float], angle: float, mean_um: float, room_nm: float
    ) -> NDArray[np.float64]:
        length = max(2 * self.diameter_nm, rng.gamma(3.0, mean_um * 1000 / 3))
        path = wormlike_chain(rng, start, angle, length, self.persistence_length_um * 1000, _STEP_NM)
        return np.column_stack([path, smooth_heights(rng, len(path), _STEP_NM, room_nm)])

    def _membrane(
        self, rng: np.random.Generator, path: NDArray[np.float64], radius: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        per_um = self.sites_per_um2 * 2 * math.pi * float(radius.mean()) / 1000
        even = tube_surface(rng, path, radius, per_um * (1 - self.cluster_share))
        centres = tube_surface(rng, path, radius, per_um * self.cluster_share / 12)
        clustered = np.repeat(centres, rng.poisson(12, len(centres)), axis=0)
        return np.concatenate([even, clustered + rng.normal(0, 20, clustered.shape)])


def _radii(
    rng: np.random.Generator, n_points: int, radius: float, *, is_open_at_start: bool = False
) -> NDArray[np.float64]:
    """Radius along a tube: slow changes, and rounded caps at its ends."""
    change = smooth_heights(rng, n_points, _STEP_NM, 0.2, correlation_nm=800.0)
    place = np.arange(n_points) * _STEP_NM
    to_end = place[-1] - place if is_open_at_start else np.minimum(place, place[-1] - place)
    depth = np.clip(1 - to_end / radius, 0, 1)
    return np.asarray(radius * (1 + change) * np.sqrt(1 - depth**2) + 1.0)
