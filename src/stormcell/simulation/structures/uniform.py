"""Sites anywhere in the field: no structure at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.structures.scene import Scene


class Uniform(Settings):
    """Sites scattered evenly."""

    kind: Literal["uniform"] = "uniform"
    """Name of the structure."""
    sites_per_um2: float = Field(500.0, gt=0, le=100_000)
    """Places a label can bind per um2."""

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
            Shape (N, 3), nm, also within 800 nm round the field, so that the density is even up to its edge.
        """
        rim = 800.0
        width, height = scene.width_nm + 2 * rim, scene.height_nm + 2 * rim
        n_sites = rng.poisson(self.sites_per_um2 * width * height / 1e6)
        plane = rng.random((n_sites, 2)) * [width, height] - rim
        return np.column_stack([plane, rng.uniform(-1, 1, n_sites) * scene.z_range_nm])
