"""Nuclear pores: eightfold rings of a scaffold protein, scattered over a piece of nuclear envelope."""

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

_CORNERS = 8


class NuclearPores(Settings):
    """Pores labelled at a protein such as Nup96: 8 corners, two rings, two copies per corner and ring.

    Sizes after Thevathasan et al., "Nuclear pores as versatile reference standards for quantitative superresolution
    microscopy", Nat. Methods 16, 1045 (2019), doi:10.1038/s41592-019-0574-9.
    """

    kind: Literal["nuclear_pores"] = "nuclear_pores"
    """Name of the structure."""
    pores_per_um2: float = Field(5.0, gt=0, le=25)
    """Pores per um2 of envelope."""
    diameter_nm: float = Field(107.0, ge=20, le=300)
    """Diameter of the rings, nm."""
    ring_distance_nm: float = Field(50.0, ge=0, le=200)
    """Height between the cytoplasmic and the nucleoplasmic ring, nm."""
    copy_distance_nm: float = Field(12.0, ge=0, le=50)
    """Distance between the two copies at a corner of a ring, nm."""
    max_tilt_deg: float = Field(15.0, ge=0, le=90)
    """Pores are tilted by up to this against the focal plane."""
    missing_corner_share: float = Field(0.05, ge=0, lt=1)
    """Share of corners that are absent altogether, beyond what the labelling misses."""
    spacing_nm: float = Field(180.0, ge=0, le=2000)
    """Least distance between the centres of two pores, nm."""

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
            Shape (N, 3), nm; up to 32 per pore.
        """
        centres = scatter_apart(scene, rng, self.pores_per_um2, self.spacing_nm)
        pores = [self._pore(rng) + centre for centre in centres]
        return np.concatenate([np.zeros((0, 3)), *pores])

    def _pore(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw one pore round the origin."""
        radius = self.diameter_nm / 2
        corners = 2 * math.pi * (np.arange(_CORNERS) / _CORNERS + rng.random())
        corners = corners[rng.random(_CORNERS) >= self.missing_corner_share]
        half_angle = self.copy_distance_nm / 2 / radius
        angle = np.concatenate([corners - half_angle, corners + half_angle])
        ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        half = self.ring_distance_nm / 2
        pore = np.concatenate([np.column_stack([ring, np.full(len(ring), z)]) for z in (-half, half)])
        return pore @ _tilt(math.radians(rng.uniform(0, self.max_tilt_deg)), rng.uniform(0, 2 * math.pi))


def _tilt(angle: float, axis_angle: float) -> NDArray[np.float64]:
    """Rotation by `angle` about an axis in the focal plane."""
    axis = np.array([math.cos(axis_angle), math.sin(axis_angle), 0.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)
