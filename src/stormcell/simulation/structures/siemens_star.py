"""A Siemens star: spokes that narrow towards the centre, so that resolution can be read off as a radius."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.structures.scene import Scene


class SiemensStar(Settings):
    """A star that fills the field."""

    kind: Literal["siemens_star"] = "siemens_star"
    """Name of the structure."""
    n_spokes: int = Field(18, ge=2, le=200)
    """Bright spokes; dark ones of the same width lie between them."""
    sites_per_um2: float = Field(2000.0, gt=0, le=100_000)
    """Places a label can bind per um2 of bright spoke."""
    diameter_share: float = Field(0.9, gt=0, le=1)
    """Diameter of the star as a share of the field's shorter side."""

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
            Shape (N, 3), nm, in focus.
        """
        radius = self.diameter_share * min(scene.width_nm, scene.height_nm) / 2
        n_sites = rng.poisson(self.sites_per_um2 * math.pi * radius**2 / 2e6)
        distance = radius * np.sqrt(rng.random(n_sites))
        spoke = rng.integers(self.n_spokes, size=n_sites)
        angle = (spoke + rng.random(n_sites) / 2) * 2 * math.pi / self.n_spokes
        x = scene.width_nm / 2 + distance * np.cos(angle)
        y = scene.height_nm / 2 + distance * np.sin(angle)
        return np.column_stack([x, y, np.zeros(n_sites)])
