"""Training pairs for densify: counts of a short acquisition, and independent counts of a long one.

Input and target never share an event. Simulated pairs draw both afresh from the same emitters; measured pairs take
the input from a block of consecutive frames and the target from the others, a guard gap apart, after linking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import Field
from scipy.ndimage import gaussian_filter

from stormcell.errors import InputError
from stormcell.learning.annapalm_density import typical_density
from stormcell.learning.annapalm_kernels import bin_events, draw_events, look_up
from stormcell.learning.annapalm_other import log_uniform
from stormcell.learning.annapalm_widefield import simulate_widefield
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS, UNKNOWN
from stormcell.settings import Settings
from stormcell.simulation.structures.scene import wormlike_chain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.learning.annapalm_fields import EmitterField

MARGIN_PX = 24
_UNIT = SR_PIXEL_SIZE_NM / 1000
_NEIGHBOUR_PX = 6.0
"""Emitters this close disturb each other: half the width of a spot."""


class Pair(NamedTuple):
    """One crop of S x S pixels."""

    counts: NDArray[np.float32]
    """Events of the short acquisition."""
    target: NDArray[np.float32]
    """Events of the long one, independent of the input."""
    expected: NDArray[np.float32]
    """Their mean where it is known (simulated pairs); else the events themselves."""
    widefield: NDArray[np.float32]
    """Normalised wide-field; 0 where there is none."""
    inside: NDArray[np.float32]
    """1 where the crop lies in the field, else 0."""
    has_widefield: bool
    share: float
    """Share of the whole acquisition that the input holds."""
    target_ratio: float
    """Frames of the target per frame of the input."""
    events_per_um2: float
    """Density of events where there is structure, at the input's exposure."""
    label: int
    """Index of the structure among the labels the network knows."""


class PairSettings(Settings):
    """How pairs are drawn and augmented."""

    crop_px: int = Field(128, ge=16, multiple_of=16)
    """Side of a crop, super-resolution pixels."""
    share: tuple[float, float] = (0.005, 0.3)
    """Share of the frames that the input holds; its logarithm is uniform."""
    false_share: tuple[float, float] = (0.01, 0.08)
    """False localizations, as a share of the input's events; the target of simulated pairs has none."""
    precision_nm: tuple[float, float] = (7.0, 18.0)
    """Mean localization error of simulated events, nm; each event differs."""
    scale: tuple[float, float] = (0.9, 1.1)
    """Change of size of the structure."""
    bend_nm: float = Field(60.0, ge=0)
    """Largest amplitude of the elastic deformation, nm."""
    phantom_share: float = Field(0.06, ge=0, le=1)
    """Share of simulated pairs with a filament in the input that neither wide-field nor target know."""
    cluster_share: float = Field(0.10, ge=0, le=1)
    """Share of simulated pairs with clusters of false localizations."""
    dense_share: float = Field(0.2, ge=0, le=1)
    """Share of simulated pairs whose input is what the dense network makes of overlapping emitters: less precise,
    with events lost where they are crowded and some displaced by a neighbour."""
    dense_precision_nm: tuple[float, float] = (10.0, 30.0)
    """Mean localization error of these, nm."""
    near_share: float = Field(0.85, ge=0, le=1)
    """Share of the measured pairs that are cut round an event, so that mostly empty fields teach too."""
    jitter_nm: float = Field(5.0, ge=0)
    """Further localization error of measured events, nm."""


@dataclass(frozen=True)
class EventField:
    """Linked events of one measured field.

    Parameters
    ----------
    x_nm, y_nm : ndarray of float32
        Shape (N,), from the field's corner; drift-corrected and linked.
    frame : ndarray of int
        Shape (N,), first frame of each event, from 0.
    n_frames : int
        Frames of the acquisition.
    extent_nm : tuple of float
        Height and width of the field.
    guard_frames : int
        Frames left out on both sides of the input, about ten on-times.
    label : int
        Index of the structure among the labels the network knows.
    widefield : ndarray of float32, optional
        Normalised and on pixels of 20 nm from the field's corner.
    """

    x_nm: NDArray[np.float32]
    y_nm: NDArray[np.float32]
    frame: NDArray[np.int64]
    n_frames: int
    extent_nm: tuple[float, float]
    guard_frames: int = 30
    label: int = UNKNOWN
    widefield: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not len(self.x_nm) == len(self.y_nm) == len(self.frame):
            msg = "expected as many x, y and frame values, got different numbers"
            raise InputError(msg)
        if self.n_frames < 10 * max(1, self.guard_frames) or len(self.frame) == 0:
            msg = (
                f"expected events in at least {10 * max(1, self.guard_frames)} frames, so that input and target can "
                f"be kept apart, got {len(self.frame)} events in {self.n_frames} frames; use a longer acquisition"
            )
            raise InputError(msg)
        if not 0 <= self.label < len(STRUCTURE_LABELS):
            msg = f"expected a label from 0 to {len(STRUCTURE_LABELS) - 1}, got {self.label}"
            raise InputError(msg)


def simulated_pair(
    field: EmitterField, settings: PairSettings, rng: np.random.Generator, share: float | None = None
) -> Pair:
    """Draw a pair from simulated emitters.

    Parameters
    ----------
    field : EmitterField
        The emitters.
    settings : PairSettings
        Augmentation.
    rng : numpy.random.Generator
        Source of randomness.
    share : float, optional
        Share of the frames in the input; None draws one.

    Returns
    -------
    Pair
        The target is a whole acquisition of its own.
    """
    side = settings.crop_px
    view, scale = _view(settings, (field.side_nm, field.side_nm), rng)
    share = log_uniform(rng, *settings.share) if share is None else share
    counts, target, expected = np.zeros((3, side, side), np.float32)
    emitters = np.zeros((side + 2 * MARGIN_PX, side + 2 * MARGIN_PX), np.float32)
    is_dense = rng.random() < settings.dense_share
    error_nm, spread = rng.uniform(*settings.precision_nm), rng.uniform(0.1, 0.4)
    # the long acquisition is never worse than usual: what is asked for is the sharp picture
    input_nm = rng.uniform(*settings.dense_precision_nm) if is_dense else error_nm
    precision = np.array([[input_nm / SR_PIXEL_SIZE_NM, spread], [error_nm / SR_PIXEL_SIZE_NM, spread]])
    exposures = np.array([share, 1.0])
    draw_events(
        field.x_nm,
        field.y_nm,
        field.events,
        view,
        exposures,
        precision,
        MARGIN_PX,
        rng,
        counts,
        target,
        expected,
        emitters,
    )
    levels = (field.widefield_levels[0] / scale**2, field.widefield_levels[1] / scale**2)
    widefield = simulate_widefield(emitters, MARGIN_PX, levels, SR_PIXEL_SIZE_NM, rng)
    if is_dense:
        counts = _crowded(counts, emitters[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX], rng)
    density = field.events_per_um2 * share / scale**2
    _add_false(counts, settings, density, rng)
    return Pair(
        counts=counts,
        target=target,
        expected=expected,
        widefield=widefield.astype(np.float32),
        inside=np.ones((side, side), np.float32),
        has_widefield=True,
        share=share,
        target_ratio=1.0 / share,
        events_per_um2=max(density, 1e-3),
        label=field.label,
    )


def measured_pair(
    field: EventField, settings: PairSettings, rng: np.random.Generator, share: float | None = None
) -> Pair:
    """Draw a pair from the events of a real acquisition.

    Parameters
    ----------
    field : EventField
        Linked events.
    settings : PairSettings
        Augmentation.
    rng : numpy.random.Generator
        Source of randomness.
    share : float, optional
        Share of the frames in the input; None draws one.

    Returns
    -------
    Pair
        The input is a block of consecutive frames, the target all others but the guard gaps.
    """
    side = settings.crop_px
    view, scale = _view(settings, field.extent_nm, rng, field)
    share = log_uniform(rng, *settings.share) if share is None else share
    block, n_input, n_target = split_frames(field, share, rng)
    counts, target = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    jitter = settings.jitter_nm * rng.random() / SR_PIXEL_SIZE_NM
    bin_events(field.x_nm, field.y_nm, block, view, jitter, rng, counts, target)
    widefield, inside = np.zeros((side, side), np.float32), np.ones((side, side), np.float32)
    image = field.widefield
    if image is None:
        shape = tuple(max(1, math.ceil(length / SR_PIXEL_SIZE_NM - 1e-6)) for length in field.extent_nm)
        image = np.zeros(shape, np.float32)
    look_up(image, SR_PIXEL_SIZE_NM, view, widefield, inside)
    if field.widefield is not None:
        widefield = widefield * np.float32(np.exp(rng.normal(0, 0.15))) * inside
    _add_false(counts, settings, 0.0, rng)
    return Pair(
        counts=counts * inside,
        target=target * inside,
        expected=target * inside,
        widefield=widefield,
        inside=inside,
        has_widefield=field.widefield is not None,
        share=n_input / field.n_frames,
        target_ratio=n_target / n_input,
        events_per_um2=max(_density(field, block == 0) / scale**2, 1e-3),
        label=field.label,
    )


def split_frames(field: EventField, share: float, rng: np.random.Generator) -> tuple[NDArray[np.int8], int, int]:
    """Choose a block of consecutive frames as input and keep guard gaps to the others.

    Parameters
    ----------
    field : EventField
        Linked events.
    share : float
        Share of the frames in the block.
    rng : numpy.random.Generator
        Where the block begins.

    Returns
    -------
    tuple
        For each event 0 (input), 1 (target) or -1 (neither), and the frames of input and target.
    """
    guard = field.guard_frames
    n_input = int(np.clip(round(share * field.n_frames), 1, field.n_frames - 2 * guard - 1))
    start = int(rng.integers(0, field.n_frames - n_input + 1))
    stop = start + n_input
    block = np.full(len(field.frame), -1, np.int8)
    block[(field.frame >= start) & (field.frame < stop)] = 0
    block[(field.frame < start - guard) | (field.frame >= stop + guard)] = 1
    n_target = max(0, start - guard) + max(0, field.n_frames - stop - guard)
    return block, n_input, n_target


def _density(field: EventField, rows: NDArray[np.bool_]) -> float:
    """Density of events where there is structure, from pixels large enough to be counted quickly."""
    pixel_nm = 500.0
    bins = [max(1, math.ceil(length / pixel_nm - 1e-6)) for length in field.extent_nm]
    limits = [[0.0, length] for length in field.extent_nm]
    counts, _, _ = np.histogram2d(field.y_nm[rows], field.x_nm[rows], bins=bins, range=limits)
    # The last pixels are narrower than the others: the size that keeps the area.
    return typical_density(counts, math.sqrt(math.prod(field.extent_nm) / math.prod(bins)))


def _view(
    settings: PairSettings,
    extent_nm: tuple[float, float],
    rng: np.random.Generator,
    near: EventField | None = None,
) -> tuple[NDArray[np.float64], float]:
    """Where a crop lies: centre, rotation, mirror, scale, bend."""
    half = settings.crop_px / 2
    scale = rng.uniform(*settings.scale)
    reach = half * SR_PIXEL_SIZE_NM / scale * 1.25 + MARGIN_PX * SR_PIXEL_SIZE_NM
    centre = [
        rng.uniform(reach, length - reach) if length > 2 * reach else rng.uniform(0.3, 0.7) * length
        for length in (extent_nm[1], extent_nm[0])
    ]
    if near is not None and rng.random() < settings.near_share:
        row, limit = int(rng.integers(len(near.x_nm))), half * SR_PIXEL_SIZE_NM
        wish = np.array([near.x_nm[row], near.y_nm[row]], np.float64) + rng.uniform(-limit, limit, 2)
        centre = [
            float(np.clip(place, min(reach, length / 2), max(length - reach, length / 2)))
            for place, length in zip(wish, (extent_nm[1], extent_nm[0]), strict=True)
        ]
    angle, mirror = rng.uniform(0, 2 * math.pi), rng.choice([-1.0, 1.0])
    zoom = scale / SR_PIXEL_SIZE_NM
    cosine, sine = math.cos(angle) * zoom, math.sin(angle) * zoom
    waves = 2 * math.pi / rng.uniform(1500, 5000, 2)
    phases = rng.uniform(0, 2 * math.pi, 2)
    bend = settings.bend_nm * rng.uniform(-1, 1, 2)
    return np.array(
        [
            *centre,
            cosine,
            -sine,
            mirror * sine,
            mirror * cosine,
            half,
            waves[0],
            phases[0],
            waves[1],
            phases[1],
            *bend,
        ]
    ), scale


def _crowded(
    counts: NDArray[np.float32], emitters: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Lose up to 40 % of the events where emitters are densest, and displace up to 10 % of them by a neighbour."""
    crowding = gaussian_filter(emitters, _NEIGHBOUR_PX)
    lost = rng.uniform(0, 0.4) * crowding / max(float(crowding.max()), 1e-6)
    kept = rng.binomial(counts.astype(np.int64), np.clip(1 - lost, 0, 1))
    moved = rng.binomial(kept, rng.uniform(0, 0.1))
    left = (kept - moved).astype(np.float32)
    places = np.repeat(np.argwhere(moved > 0), moved[moved > 0], axis=0) + 0.5
    _add_points(left, places + rng.normal(0, 0.5 * _NEIGHBOUR_PX, places.shape))
    return left


def _add_false(
    counts: NDArray[np.float32], settings: PairSettings, density_per_um2: float, rng: np.random.Generator
) -> None:
    """Add localizations that belong to nothing: single ones, clusters, and a filament that is not there."""
    side = counts.shape[0]
    mean = max(float(counts.sum()), density_per_um2 * (side * _UNIT) ** 2)
    n_single = rng.poisson(rng.uniform(*settings.false_share) * mean)
    rows, columns = rng.integers(0, side, (2, n_single))
    np.add.at(counts, (rows, columns), 1)
    if density_per_um2 <= 0:
        return
    if rng.random() < settings.cluster_share:
        for _ in range(int(rng.integers(1, 4))):
            centre = rng.uniform(0, side, 2)
            _add_points(counts, centre + rng.normal(0, rng.uniform(0.5, 1.5), (int(rng.integers(2, 8)), 2)))
    if rng.random() < settings.phantom_share:
        start = rng.uniform(0, side, 2) * SR_PIXEL_SIZE_NM
        length = rng.uniform(500, 2500)
        path = wormlike_chain(rng, (start[0], start[1]), rng.uniform(0, 2 * math.pi), length, 10_000.0)
        n_events = rng.poisson(log_uniform(rng, 2, 30) * length / 1000)
        points = path[rng.integers(0, len(path), n_events)] + rng.uniform(-10, 10, (n_events, 2))
        _add_points(counts, (points + rng.normal(0, 15, points.shape)) / SR_PIXEL_SIZE_NM)


def _add_points(counts: NDArray[np.float32], places_px: NDArray[np.float64]) -> None:
    index = np.floor(places_px).astype(np.int64)
    inside = np.all((index >= 0) & (index < counts.shape[0]), axis=1)
    np.add.at(counts, (index[inside, 0], index[inside, 1]), 1)
