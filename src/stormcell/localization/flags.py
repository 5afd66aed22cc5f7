"""The registry of fit flags: what was unusual about a row, as bits of its `flags` column.

A failed or doubtful fit is data, not an exception: the row stays and says what happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class FitFlag:
    """One bit of the `flags` column.

    Attributes
    ----------
    bit : int
        Position of the bit, from 0.
    name : str
        Word used in reports and filters.
    meaning : str
        What it says about the row.
    """

    bit: int
    name: str
    meaning: str

    @property
    def mask(self) -> int:
        """The integer with only this bit set."""
        return 1 << self.bit


_ALL = (
    FitFlag(0, "not_converged", "the fit stopped at its iteration limit or failed; do not trust the numbers"),
    FitFlag(1, "at_edge", "the fitted region is cut by the border of the frame"),
    FitFlag(2, "position_at_bound", "the position ran to the border of the fitted region"),
    FitFlag(3, "sigma_at_bound", "the PSF width ran to its allowed limit"),
    FitFlag(4, "background_at_bound", "the background ran to its allowed minimum, at or below zero"),
    FitFlag(5, "photons_low", "fewer photons than three times their own uncertainty"),
    FitFlag(6, "saturated_pixel", "a pixel of the fitted region is at the camera's upper limit"),
    FitFlag(7, "nan_pixel", "a pixel of the fitted region is not a number and was left out"),
    FitFlag(8, "poor_fit", "reduced chi-square of the residual is out of the range of a single emitter"),
    FitFlag(
        9,
        "near_neighbour",
        "another spot of the frame lies within three PSF sigma: its light is accounted for, its uncertainty is not",
    ),
)

FLAGS: dict[str, FitFlag] = {flag.name: flag for flag in _ALL}
"""All fit flags by name, in the order of their bits."""


def mask_of(names: Sequence[str]) -> int:
    """Combine flags into one integer.

    Parameters
    ----------
    names : sequence of str
        Registered flag names.

    Returns
    -------
    int
        The mask to compare the `flags` column with: `table["flags"] & mask_of(["at_edge"]) != 0`.
    """
    mask = 0
    for name in names:
        mask |= FLAGS[name].mask
    return mask


def names_of(flags: int) -> tuple[str, ...]:
    """Spell out a value of the `flags` column.

    Parameters
    ----------
    flags : int
        The bit field of one row.

    Returns
    -------
    tuple of str
        Names of the bits that are set.
    """
    return tuple(flag.name for flag in _ALL if flags & flag.mask)
