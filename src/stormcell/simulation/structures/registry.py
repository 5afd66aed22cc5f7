"""All structures, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field

from stormcell.simulation.structures.actin import Actin
from stormcell.simulation.structures.clathrin_pits import ClathrinPits
from stormcell.simulation.structures.endoplasmic_reticulum import EndoplasmicReticulum
from stormcell.simulation.structures.microtubules import Microtubules
from stormcell.simulation.structures.mitochondria import Mitochondria
from stormcell.simulation.structures.nuclear_pores import NuclearPores
from stormcell.simulation.structures.parallel_lines import ParallelLines
from stormcell.simulation.structures.point_pairs import PointPairs
from stormcell.simulation.structures.siemens_star import SiemensStar
from stormcell.simulation.structures.uniform import Uniform
from stormcell.simulation.structures.whole_cell import WholeCell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stormcell.simulation.structures.scene import Scene


class Structure(Protocol):
    """What every structure can do."""

    @property
    def kind(self) -> str:
        """Name of the structure."""
        ...

    def sites(self, scene: Scene, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the places where labels can bind, shape (N, 3), nm, in the field and a little round it.

        Parameters
        ----------
        scene : Scene
            The field.
        rng : numpy.random.Generator
            Source of randomness.
        """
        ...


StructureSettings = Annotated[
    Actin
    | ClathrinPits
    | EndoplasmicReticulum
    | Microtubules
    | Mitochondria
    | NuclearPores
    | ParallelLines
    | PointPairs
    | SiemensStar
    | Uniform
    | WholeCell,
    Field(discriminator="kind"),
]
"""One of the structures, told apart by `kind`."""

STRUCTURES: dict[str, Structure] = {
    structure.kind: structure
    for structure in (
        Microtubules(),
        NuclearPores(),
        Mitochondria(),
        Actin(),
        EndoplasmicReticulum(),
        ClathrinPits(),
        Uniform(),
        PointPairs(),
        ParallelLines(),
        SiemensStar(),
        WholeCell(),
    )
}
"""Every structure with its default settings, by name."""
