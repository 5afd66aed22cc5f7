"""Two parallel lines at a set distance: the classical test of resolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.structures.scene import Scene


class ParallelLines(Settings):
    """Two straight lines through the middle of the field."""

    kind: Literal["parallel_lines"] = "parallel_lines"
    """Name of the structure."""
    distance_nm: float = Field(60.0, gt=0, le=10_000)
    """Distance between the lines, nm."""
    angle_deg: float = Field(20.0, ge=-180, le=180)
    """Direction of the lines, from x towards y; 0 follows the pixel rows."""
    sites_per_um: float = Field(500.0, gt=0, le=50_000)
    """Places a label can bind per um of each line, evenly spaced."""

    def sites(self, scene: Scene, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the places where labels can bind.

        Parameters
        ----------
        scene : Scene
            The field.
        rng : numpy.random.Generator
            Source of randomness: it shifts the lines along themselves.

        Returns
        -------
        ndarray
            Shape (N, 3), nm, in focus; the first line's sites before the second's.
        """
        reach = math.hypot(scene.width_nm, scene.height_nm) / 2
        step = 1000 / self.sites_per_um
        place = np.arange(-reach, reach, step) + rng.random() * step
        angle = math.radians(self.angle_deg)
        along = np.outer(place, [math.cos(angle), math.sin(angle)])
        across = np.array([-math.sin(angle), math.cos(angle)]) * self.distance_nm / 2
        centre = np.array([scene.width_nm, scene.height_nm]) / 2
        lines = np.concatenate([centre + along - across, centre + along + across])
        inside = scene.holds(lines)
        return np.column_stack([lines[inside], np.zeros(int(inside.sum()))])
