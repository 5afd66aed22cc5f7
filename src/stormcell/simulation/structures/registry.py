"""All structures, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field

from stormcell.simulation.structures.microtubules import Microtubules

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
        """Draw the places where labels can bind, shape (N, 3), nm, in the field and a little round it."""
        ...


STRUCTURES: dict[str, type[Microtubules]] = {
    "microtubules": Microtubules,
}
"""Structure classes by name."""

StructureSettings = Annotated[Microtubules, Field()]
"""One of the structures, told apart by `kind`."""
