"""Simulated fields for densify: emitters on a structure, each with the events it will give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from stormcell.learning.annapalm_other import OTHER, log_uniform, scattered
from stormcell.networks.annapalm import STRUCTURE_LABELS, UNKNOWN
from stormcell.settings import Settings
from stormcell.simulation.structures.actin import Actin
from stormcell.simulation.structures.clathrin_pits import ClathrinPits
from stormcell.simulation.structures.endoplasmic_reticulum import EndoplasmicReticulum
from stormcell.simulation.structures.microtubules import Microtubules
from stormcell.simulation.structures.mitochondria import Mitochondria
from stormcell.simulation.structures.nuclear_pores import NuclearPores
from stormcell.simulation.structures.scene import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.structures.registry import Structure

OTHER_STRUCTURE, SCATTERED = "other", "scattered"
_RIM_NM = 400.0


class FieldSettings(Settings):
    """What is simulated, and how often."""

    side_nm: float = Field(8000.0, ge=3000)
    """Side of a simulated field, nm."""
    shares: dict[str, float] = Field(
        default={
            "microtubules": 0.21,
            "nuclear_pores": 0.17,
            "mitochondria": 0.15,
            "actin": 0.12,
            "other": 0.26,
            "scattered": 0.09,
        }
    )
    """Share of the fields of each structure; 'other' are curves, blobs, broken rings, scattered points, endoplasmic
    reticulum and pits; 'scattered' is scattered points alone, which are not to be joined to lines."""
    localizations_per_um: tuple[float, float] = (200.0, 600.0)
    """Localizations per um of microtubule in the whole acquisition, before linking."""
    frames_per_burst: tuple[float, float] = (2.0, 3.0)
    """Frames of a burst, which linking turns into one event."""
    events_per_emitter: tuple[float, float] = (0.3, 4.0)
    """Linked events of a fluorophore in the whole acquisition, on average over a field. At 200 to 600 localizations
    per um and usual labelling many fluorophores are never seen."""
    events_per_pore_emitter: tuple[float, float] = (1.0, 12.0)
    """The same in nuclear pores, which have few fluorophores that come back often."""
    hole_share: float = Field(0.5, ge=0, le=1)
    """Share of the fields with holes cut into them: gaps between ends of filaments, corners missing from pores."""
    linkage_nm: tuple[float, float] = (3.0, 15.0)
    """Distance of a fluorophore from its site."""


@dataclass(frozen=True)
class EmitterField:
    """Emitters of a square field.

    Parameters
    ----------
    x_nm, y_nm : ndarray of float32
        Shape (N,), positions.
    events : ndarray of float32
        Shape (N,), expected linked events of each emitter in the whole acquisition.
    side_nm : float
        Side of the field; emitters may lie up to 400 nm outside.
    structure : str
        What it is.
    widefield_levels : tuple of float
        Dark and bright level of the noise-free wide-field, emitters per um2.
    """

    x_nm: NDArray[np.float32]
    y_nm: NDArray[np.float32]
    events: NDArray[np.float32]
    side_nm: float
    structure: str
    widefield_levels: tuple[float, float]

    @property
    def events_per_um2(self) -> float:
        """Mean density of events in the whole acquisition."""
        inside = (self.x_nm >= 0) & (self.x_nm < self.side_nm) & (self.y_nm >= 0) & (self.y_nm < self.side_nm)
        return float(self.events[inside].sum()) / (self.side_nm / 1000) ** 2

    @property
    def label(self) -> int:
        """Index into the labels the network knows."""
        return STRUCTURE_LABELS.index(self.structure) if self.structure in STRUCTURE_LABELS else UNKNOWN


def simulate_field(settings: FieldSettings, seed: int, index: int) -> EmitterField:
    """Draw a field.

    Parameters
    ----------
    settings : FieldSettings
        What to draw.
    seed, index : int
        Together they decide everything.

    Returns
    -------
    EmitterField
        The field.
    """
    rng = np.random.default_rng([seed, index, 11])
    names = list(settings.shares)
    shares = np.array([settings.shares[name] for name in names])
    name = str(rng.choice(names, p=shares / shares.sum()))
    plane, events_each = _emitters(settings, name, rng)
    plane = plane + rng.normal(0, rng.uniform(*settings.linkage_nm) / np.sqrt(3), plane.shape)
    if rng.random() < settings.hole_share:
        plane = _cut_holes(plane, name, settings.side_nm, rng)
    plane = plane[rng.random(len(plane)) < _uneven(plane, settings.side_nm, rng)]
    # fluorophores that bleach at random have a geometric number of events: a gamma-distributed mean of shape 1;
    # sites that exchange their labels differ less
    shape = log_uniform(rng, 1, 10)
    events = events_each * rng.gamma(shape, 1 / shape, len(plane))
    inside = np.all((plane > -_RIM_NM) & (plane < settings.side_nm + _RIM_NM), axis=1)
    x_nm, y_nm = (np.ascontiguousarray(plane[inside, k], np.float32) for k in (0, 1))
    levels = _widefield_levels(x_nm, y_nm, settings.side_nm)
    return EmitterField(x_nm, y_nm, np.asarray(events[inside], np.float32), settings.side_nm, name, levels)


def _emitters(settings: FieldSettings, name: str, rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """Positions (N, 2) and the mean number of events of an emitter."""
    is_pore = name == "nuclear_pores"
    events_each = log_uniform(rng, *(settings.events_per_pore_emitter if is_pore else settings.events_per_emitter))
    if name == SCATTERED:
        return scattered(rng, settings.side_nm), events_each
    if name == OTHER_STRUCTURE and rng.random() < 0.75:
        parts = [OTHER[int(k)](rng, settings.side_nm) for k in rng.integers(0, len(OTHER), int(rng.integers(1, 3)))]
        return np.concatenate(parts), events_each
    if name == OTHER_STRUCTURE:
        name = "endoplasmic_reticulum" if rng.random() < 0.5 else "clathrin_pits"
    scene = Scene(settings.side_nm, settings.side_nm, rng.uniform(50, 400))
    sites = _structure(settings, name, events_each, rng).sites(scene, rng)[:, :2]
    if is_pore:
        sites = sites[rng.random(len(sites)) < rng.uniform(0.4, 0.9)]
    return sites, events_each


def _structure(settings: FieldSettings, name: str, events_each: float, rng: np.random.Generator) -> Structure:
    """Draw the sizes of a structure; its sites are already thinned to those that carry a fluorophore."""
    if name == "microtubules":
        events_per_um = log_uniform(rng, *settings.localizations_per_um) / rng.uniform(*settings.frames_per_burst)
        return Microtubules(
            length_per_um2=log_uniform(rng, 0.4, 4),
            persistence_length_um=log_uniform(rng, 3, 60),
            end_share=rng.uniform(0, 0.9),
            bundle_share=rng.uniform(0, 0.4),
            bundle_spacing_nm=log_uniform(rng, 40, 150),
            sites_per_um=events_per_um / events_each,
        )
    if name == "nuclear_pores":
        return NuclearPores(
            pores_per_um2=rng.uniform(2, 11),
            diameter_nm=rng.uniform(95, 120),
            missing_corner_share=rng.uniform(0, 0.3),
            spacing_nm=rng.uniform(130, 220),
        )
    if name == "mitochondria":
        return Mitochondria(
            length_per_um2=log_uniform(rng, 0.15, 0.9),
            diameter_nm=rng.uniform(220, 700),
            mean_length_um=log_uniform(rng, 1.5, 8),
            branches_per_um=rng.uniform(0, 0.3),
            sites_per_um2=log_uniform(rng, 300, 3000) / events_each,
            cluster_share=rng.uniform(0, 0.8),
        )
    if name == "actin":
        return Actin(
            mesh_per_um2=log_uniform(rng, 0.7, 8),
            filament_length_um=log_uniform(rng, 0.5, 4),
            fibres_per_um=rng.uniform(0, 0.5),
            fibre_width_nm=log_uniform(rng, 60, 300),
            filaments_per_fibre=int(rng.integers(3, 25)),
            sites_per_um=log_uniform(rng, 30, 150) / events_each,
        )
    if name == "endoplasmic_reticulum":
        return EndoplasmicReticulum(
            mesh_size_um=log_uniform(rng, 0.6, 2), sites_per_um=log_uniform(rng, 40, 200) / events_each
        )
    return ClathrinPits(pits_per_um2=log_uniform(rng, 0.5, 5), sites_per_pit=log_uniform(rng, 20, 150) / events_each)


def _cut_holes(
    plane: NDArray[np.float64], name: str, side_nm: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Remove the emitters round some emitters, so that neither input nor target nor wide-field holds them."""
    if len(plane) == 0:
        return plane
    n_holes = rng.poisson((2.0 if name == "nuclear_pores" else 0.25) * (side_nm / 1000) ** 2)
    small = (25, 60) if name == "nuclear_pores" else (80, 600)
    kept = np.ones(len(plane), np.bool_)
    for centre in plane[rng.integers(0, len(plane), n_holes)]:
        radius = log_uniform(rng, *small)
        kept &= np.sum((plane - centre) ** 2, axis=1) > radius**2
    return plane[kept]


def _uneven(plane: NDArray[np.float64], side_nm: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Share of the sites that are labelled, varying over the field."""
    depth = rng.uniform(0, 0.4)
    wave = rng.normal(0, 2 * np.pi / (1.5 * side_nm), 2)
    return np.asarray(1 - depth * (0.5 + 0.5 * np.sin(plane @ wave + rng.uniform(0, 2 * np.pi))))


def _widefield_levels(x_nm: NDArray[np.float32], y_nm: NDArray[np.float32], side_nm: float) -> tuple[float, float]:
    from scipy.ndimage import gaussian_filter

    pixel_nm = 100.0
    n = round(side_nm / pixel_nm)
    counts, _, _ = np.histogram2d(y_nm, x_nm, bins=n, range=[[0, side_nm], [0, side_nm]])
    image = gaussian_filter(counts / (pixel_nm / 1000) ** 2, 1.3)
    low, high = np.percentile(image, [1, 99.5])
    return float(low), float(max(high, low + 1.0))
