"""Training batches for densify: pairs with channels left out and labels blurred, as users will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from stormcell.errors import InputError
from stormcell.learning.annapalm_fields import EmitterField, FieldSettings, simulate_field
from stormcell.learning.annapalm_pairs import EventField, Pair, PairSettings, measured_pair, simulated_pair
from stormcell.networks.annapalm import STRUCTURE_LABELS, UNKNOWN, DensifyInput
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence


class DensifyBatch(NamedTuple):
    """One training batch."""

    given: DensifyInput
    """What the network sees."""
    target: Tensor
    """(B, 1, Y, X) events of the long acquisition."""
    expected: Tensor
    """(B, 1, Y, X) their mean where it is known, else the events themselves."""
    target_ratio: Tensor
    """(B,) exposure of the target over that of the input."""
    inside: Tensor
    """(B, 1, Y, X) 1 where the target counts."""
    widefield: Tensor
    """(B, 1, Y, X) wide-field also where the network does not see it; NaN where there is none."""


class DensifyDataSettings(Settings):
    """What the network is told and shown."""

    batch_size: int = Field(8, ge=1)
    """Crops in a step."""
    both_share: float = Field(0.5, ge=0, le=1)
    """Share of pairs that show the network counts and wide-field."""
    widefield_only_share: float = Field(0.12, ge=0, le=1)
    """Share of pairs that show it the wide-field alone; the others show the counts alone."""
    label_share: float = Field(0.55, ge=0, le=1)
    """Share of pairs that name their structure; the others say 'unknown'."""
    wrong_label_share: float = Field(0.06, ge=0, le=1)
    """Share of pairs with a wrong name, so that a label is a hint and never an order; for other structures
    this is the share named wrongly times five."""
    share_told: float = Field(0.7, ge=0, le=1)
    """Share of pairs that say which part of the frames the input holds."""
    density_error: float = Field(0.3, ge=0)
    """Standard deviation of the error of the logarithm of the density the network is told."""
    simulated_share: float = Field(0.3, ge=0, le=1)
    """Share of simulated 'other' structures when training on measured fields."""
    n_fields: int = Field(600, ge=1)
    """Simulated fields in all."""


class DensifyData:
    """Endless batches; the batch of a step depends on the seed and the step alone.

    Parameters
    ----------
    settings : DensifyDataSettings
        What the network is told.
    pairs : PairSettings
        How pairs are drawn.
    fields : FieldSettings
        What is simulated.
    seed : int
        Decides everything.
    measured : sequence of EventField
        Real fields; with them only `simulated_share` of the pairs is simulated, all of these 'other' structures.
    """

    def __init__(
        self,
        settings: DensifyDataSettings,
        pairs: PairSettings,
        fields: FieldSettings,
        seed: int,
        measured: Sequence[EventField] = (),
    ) -> None:
        self._settings, self._pairs, self.seed = settings, pairs, seed
        self._measured = tuple(measured)
        self._fields = fields.replace(shares={"other": 0.8, "scattered": 0.2}) if measured else fields
        self._cache: dict[int, EmitterField] = {}

    def field(self, index: int) -> EmitterField:
        """Simulate a field, or take it from memory.

        Parameters
        ----------
        index : int
            Which one.

        Returns
        -------
        EmitterField
            The field.
        """
        if index not in self._cache:
            self._cache[index] = simulate_field(self._fields, self.seed, index)
        return self._cache[index]

    def pair(self, rng: np.random.Generator) -> Pair:
        """Draw a pair.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        Pair
            Simulated or measured.
        """
        if self._measured and rng.random() >= self._settings.simulated_share:
            return measured_pair(self._measured[int(rng.integers(len(self._measured)))], self._pairs, rng)
        return simulated_pair(self.field(int(rng.integers(self._settings.n_fields))), self._pairs, rng)

    def batch(self, step: int) -> DensifyBatch:
        """Make the batch of a step.

        Parameters
        ----------
        step : int
            Step number.

        Returns
        -------
        DensifyBatch
            Pairs as the network sees them.
        """
        rng = np.random.default_rng([self.seed, step, 7])
        return assemble([self.pair(rng) for _ in range(self._settings.batch_size)], self._settings, rng)


def assemble(pairs: Sequence[Pair], settings: DensifyDataSettings, rng: np.random.Generator) -> DensifyBatch:
    """Leave channels out, blur the labels, and stack pairs to a batch.

    Parameters
    ----------
    pairs : sequence of Pair
        At least one, of equal size.
    settings : DensifyDataSettings
        What the network is told.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    DensifyBatch
        Ready for the network.
    """
    if not pairs:
        msg = "expected at least one pair for a batch, got none"
        raise InputError(msg)
    present = np.array([_channels(pair, settings, rng) for pair in pairs], np.float32)
    labels = [_label(pair.label, settings, rng) for pair in pairs]
    shares = [np.log(pair.share) if rng.random() < settings.share_told else np.nan for pair in pairs]
    densities = [np.log(pair.events_per_um2) + settings.density_error * rng.normal() for pair in pairs]
    inside = _stack([pair.inside for pair in pairs])
    seen = torch.from_numpy(present)
    mask = inside * seen[:, :, None, None]
    widefield = _stack([pair.widefield for pair in pairs])
    given = DensifyInput(
        counts=_stack([pair.counts for pair in pairs]) * mask[:, :1],
        widefield=widefield * mask[:, 1:],
        mask=mask,
        present=seen,
        structure=torch.tensor(labels),
        log_share=torch.tensor(shares, dtype=torch.float32),
        log_events_per_um2=torch.tensor(densities, dtype=torch.float32),
    )
    has = torch.tensor([pair.has_widefield for pair in pairs])[:, None, None, None]
    return DensifyBatch(
        given=given,
        target=_stack([pair.target for pair in pairs]),
        expected=_stack([pair.expected for pair in pairs]),
        target_ratio=torch.tensor([pair.target_ratio for pair in pairs], dtype=torch.float32),
        inside=inside,
        widefield=torch.where(has, widefield, torch.full_like(widefield, float("nan"))),
    )


def _channels(pair: Pair, settings: DensifyDataSettings, rng: np.random.Generator) -> tuple[bool, bool]:
    drawn = rng.random()
    if not pair.has_widefield:
        return True, False
    if drawn < settings.both_share:
        return True, True
    return (False, True) if drawn < settings.both_share + settings.widefield_only_share else (True, False)


def _label(label: int, settings: DensifyDataSettings, rng: np.random.Generator) -> int:
    wrong = settings.wrong_label_share * (5 if label == UNKNOWN else 1)
    drawn = rng.random()
    if drawn < wrong:
        return int(rng.integers(len(STRUCTURE_LABELS) - 1))
    return label if drawn < wrong + settings.label_share else UNKNOWN


def _stack(images: Sequence[np.typing.NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(images)[:, None])
