"""Clathrin-coated pits: caps and spheres of about 100 nm on the membrane."""

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


class ClathrinPits(Settings):
    """Pits at all stages, from shallow caps to closed vesicles."""

    kind: Literal["clathrin_pits"] = "clathrin_pits"
    """Name of the structure."""
    pits_per_um2: float = Field(1.0, gt=0, le=20)
    """Pits per um2."""
    diameter_nm: tuple[float, float] = (80.0, 160.0)
    """Range of their diameters, nm."""
    sites_per_pit: float = Field(150.0, gt=0, le=2000)
    """Places a label can bind on a closed pit of mean size."""
    spacing_nm: float = Field(300.0, ge=0, le=5000)
    """Least distance between two pits, nm."""

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
            Shape (N, 3), nm.
        """
        mean_radius = sum(self.diameter_nm) / 4
        pits = []
        for centre in scatter_apart(scene, rng, self.pits_per_um2, self.spacing_nm):
            radius = rng.uniform(*self.diameter_nm) / 2
            # the cap reaches from the top down to this cosine: 0.4 a shallow dome, -1 a closed sphere
            lowest = rng.uniform(-1.0, 0.4)
            n_sites = rng.poisson(self.sites_per_pit * (radius / mean_radius) ** 2 * (1 - lowest) / 2)
            cosine = rng.uniform(lowest, 1.0, n_sites)
            angle = rng.uniform(0, 2 * math.pi, n_sites)
            sine = np.sqrt(1 - cosine**2)
            shell = radius * np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine], axis=1)
            pits.append(centre + shell)
        return np.concatenate([np.zeros((0, 3)), *pits])
