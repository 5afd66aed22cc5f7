"""From binding sites to fluorophores: not every site is labelled, and the label has a length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LabellingSettings(Settings):
    """How fluorophores sit on the structure."""

    efficiency: float = Field(0.3, gt=0, le=1)
    """Share of the binding sites that carry a label."""
    linkage_nm: float = Field(8.0, ge=0, le=100)
    """Distance of the fluorophore from its site (antibodies about 8 to 15 nm, tags 2 to 4), in any direction."""
    fluorophores_per_label: float = Field(1.0, ge=1, le=10)
    """Mean fluorophores on a label; above 1 they are 1 plus a Poisson number."""
    false_per_um2: float = Field(0.0, ge=0, le=1000)
    """Labels that sit anywhere in the field, per um2."""


def label_sites(
    settings: LabellingSettings,
    sites_nm: NDArray[np.float64],
    extent_nm: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Put fluorophores on binding sites.

    Parameters
    ----------
    settings : LabellingSettings
        Efficiency and linkage.
    sites_nm : ndarray
        Shape (N, 3), binding sites.
    extent_nm : tuple of float
        Height and width of the field, for labels that sit anywhere.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray
        Shape (M, 3), positions of the fluorophores, nm.
    """
    labelled = sites_nm[rng.random(len(sites_nm)) < settings.efficiency]
    if settings.fluorophores_per_label > 1:
        copies = 1 + rng.poisson(settings.fluorophores_per_label - 1, len(labelled))
        labelled = np.repeat(labelled, copies, axis=0)
    direction = rng.normal(size=labelled.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    placed = labelled + settings.linkage_nm * direction
    n_false = rng.poisson(settings.false_per_um2 * extent_nm[0] * extent_nm[1] / 1e6)
    height = float(np.ptp(sites_nm[:, 2]) / 2) if len(sites_nm) else 0.0
    false = rng.random((n_false, 3)) * [extent_nm[1], extent_nm[0], 0] + rng.uniform(-1, 1, (n_false, 1)) * [
        0,
        0,
        height,
    ]
    return np.asarray(np.concatenate([placed, false]))
