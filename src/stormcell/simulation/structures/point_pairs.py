"""Pairs of points at a set distance, to see whether they are told apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings
from stormcell.simulation.structures.placement import scatter_apart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.structures.scene import Scene


class PointPairs(Settings):
    """Pairs in random directions, far from each other."""

    kind: Literal["point_pairs"] = "point_pairs"
    """Name of the structure."""
    distance_nm: float = Field(50.0, gt=0, le=5000)
    """Distance between the two points of a pair, nm."""
    spacing_nm: float = Field(1000.0, ge=10, le=50_000)
    """Least distance between pairs, nm."""
    pairs_per_um2: float = Field(0.5, gt=0, le=50)
    """Pairs per um2, as far as the spacing leaves room."""
    sites_per_point: int = Field(20, ge=1, le=1000)
    """Places a label can bind at each point."""

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
            Shape (N, 3), nm; `sites_per_point` at each point, the first point's before the second's.
        """
        centres = scatter_apart(scene, rng, self.pairs_per_um2, self.spacing_nm)
        angle = rng.uniform(0, 2 * math.pi, len(centres))
        half = self.distance_nm / 2 * np.stack([np.cos(angle), np.sin(angle), np.zeros(len(centres))], axis=1)
        points = np.stack([centres - half, centres + half], axis=1).reshape(-1, 3)
        return np.repeat(points, self.sites_per_point, axis=0)
