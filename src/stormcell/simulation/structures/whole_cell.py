"""A whole cell: outline, nucleus, and one labelled structure that lives in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings
from stormcell.simulation.structures.actin import Actin
from stormcell.simulation.structures.endoplasmic_reticulum import EndoplasmicReticulum
from stormcell.simulation.structures.microtubules import Microtubules
from stormcell.simulation.structures.mitochondria import Mitochondria
from stormcell.simulation.structures.nuclear_pores import NuclearPores
from stormcell.simulation.structures.scene import Scene, smooth_heights, tube_surface, wormlike_chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

Labelled = Literal["microtubules", "mitochondria", "actin", "endoplasmic_reticulum", "nuclear_pores"]

_STEP_NM = 20.0


@dataclass(frozen=True)
class Outline:
    """A closed curve round a centre, as radius by angle."""

    centre_nm: NDArray[np.float64]
    radius_nm: NDArray[np.float64]
    """Radius at evenly spaced angles from 0 to 2 pi."""

    def depth(self, points_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance from the centre as a share of the outline's radius in that direction: below 1 is inside.

        Parameters
        ----------
        points_nm : ndarray
            Shape (N, 2 or 3).

        Returns
        -------
        ndarray
            Shape (N,).
        """
        offset = points_nm[:, :2] - self.centre_nm
        angle = np.arctan2(offset[:, 1], offset[:, 0]) % (2 * math.pi)
        knots = np.linspace(0, 2 * math.pi, len(self.radius_nm) + 1)
        radius = np.interp(angle, knots, np.append(self.radius_nm, self.radius_nm[0]))
        return np.asarray(np.hypot(offset[:, 0], offset[:, 1]) / radius)


class WholeCell(Settings):
    """One cell that fills the field, dense round its nucleus and sparse at its rim."""

    kind: Literal["whole_cell"] = "whole_cell"
    """Name of the structure."""
    labelled: Labelled = "microtubules"
    """Which structure of the cell carries the label."""
    cell_share: float = Field(0.85, gt=0.1, le=2)
    """Diameter of the cell as a share of the field's shorter side."""
    nucleus_share: float = Field(0.3, ge=0, lt=0.9)
    """Diameter of the nucleus as a share of the cell's."""
    n_microtubules: int = Field(120, ge=1, le=5000)
    """Microtubules that leave the centrosome."""

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
        cell, nucleus = self._outlines(scene, rng)
        if self.labelled == "microtubules":
            return self._microtubules(scene, rng, cell, nucleus)
        inner: dict[str, Mitochondria | Actin | EndoplasmicReticulum | NuclearPores] = {
            "mitochondria": Mitochondria(length_per_um2=0.6),
            "actin": Actin(),
            "endoplasmic_reticulum": EndoplasmicReticulum(),
            "nuclear_pores": NuclearPores(),
        }
        sites = inner[self.labelled].sites(scene, rng)
        in_nucleus = nucleus.depth(sites) < 1
        if self.labelled == "nuclear_pores":
            return sites[in_nucleus]
        inside = cell.depth(sites) < 1
        return sites[inside if self.labelled == "actin" else inside & ~in_nucleus]

    def _outlines(self, scene: Scene, rng: np.random.Generator) -> tuple[Outline, Outline]:
        centre = np.array([scene.width_nm, scene.height_nm]) / 2
        radius = self.cell_share * min(scene.width_nm, scene.height_nm) / 2
        angle = np.linspace(0, 2 * math.pi, 180, endpoint=False)
        shape = np.ones(180)
        for order in range(2, 7):
            shape += rng.normal(0, 0.16 / order) * np.cos(order * angle + rng.uniform(0, 2 * math.pi))
        shift = rng.normal(0, 0.08 * radius, 2)
        oval = 1 + 0.12 * np.cos(2 * angle + rng.uniform(0, 2 * math.pi))
        return Outline(centre, radius * shape / shape.max()), Outline(
            centre + shift, radius * self.nucleus_share * oval
        )

    def _microtubules(
        self, scene: Scene, rng: np.random.Generator, cell: Outline, nucleus: Outline
    ) -> NDArray[np.float64]:
        """Microtubules that leave a centrosome beside the nucleus and end at the rim or before."""
        settings = Microtubules()
        side = rng.uniform(0, 2 * math.pi)
        reach = float(nucleus.radius_nm.mean()) * 1.1
        centrosome = nucleus.centre_nm + reach * np.array([math.cos(side), math.sin(side)])
        longest = 2.2 * float(cell.radius_nm.max())
        surfaces = [np.zeros((0, 3))]
        for _ in range(self.n_microtubules):
            begin = centrosome + rng.normal(0, 600, 2)
            length = longest * math.sqrt(rng.uniform(0.05, 1))
            angle = rng.uniform(0, 2 * math.pi)
            persistence = settings.persistence_length_um * 1000
            path = wormlike_chain(rng, (begin[0], begin[1]), angle, length, persistence, _STEP_NM)
            outside = np.flatnonzero(cell.depth(path) >= 0.97)
            path = path[: outside[0]] if len(outside) else path
            if len(path) < 10:
                continue
            heights = smooth_heights(rng, len(path), _STEP_NM, scene.z_range_nm)
            # over the nucleus they run at its upper side
            heights = np.where(nucleus.depth(path) < 1, np.abs(heights), heights)
            full = np.column_stack([path, heights])
            surfaces.append(tube_surface(rng, full, settings.diameter_nm / 2, settings.sites_per_um))
        return np.concatenate(surfaces)
