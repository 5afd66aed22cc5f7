"""Whether a picture predicts events it was not made of: half of the events drawn, the other half asked.

A network that knows a structure says where its next events will fall better than plain smoothing does. One that is
shown what it does not know, or is told a wrong structure, does not; and nothing but the user's own events is needed
to see that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    FloatImage = NDArray[np.float32]

SMOOTHINGS_PX = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0)
"""Plain smoothings to be beaten; the one that the held-out events like best counts."""
SURE = 2.0
"""Standard deviations by which one prediction is held to be better than another."""
FEWEST_EVENTS = 40
WINDOW_PX = 640
_UNFORESEEN = 0.02


@dataclass(frozen=True)
class HeldOut:
    """How well half of the events foretell the other half.

    Parameters
    ----------
    gain : float
        Log-likelihood of a held-out event under the network's picture less that under the best plain smoothing, nats.
    score : float
        The same in standard deviations.
    label_score : float or None
        The network's picture under the label it was told against that under 'unknown', in standard deviations; None
        where it was told 'unknown'.
    """

    gain: float
    score: float
    label_score: float | None = None

    @property
    def is_foretold(self) -> bool:
        """The network foretells events better than plain smoothing."""
        return self.score >= SURE

    @property
    def label_misleads(self) -> bool:
        """It foretells them better when it is not told the label."""
        return self.label_score is not None and self.label_score <= -SURE

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is to be said against the picture."""
        said = []
        if not self.is_foretold:
            said.append(
                "of half of the events the network foretells the other half no better than plain smoothing does "
                f"({self.gain:+.2f} nats an event): the structure is unknown to it, or the events are too few"
            )
        if self.label_misleads:
            said.append("the network foretells events better without the label it was told: the label may be wrong")
        return tuple(said)


def busiest_window(counts: FloatImage) -> tuple[slice, slice]:
    """Find the part of a field that holds the most events; it answers for the field in a fraction of the time.

    Parameters
    ----------
    counts : ndarray
        Shape (Y, X), events per pixel.

    Returns
    -------
    tuple of slice
        Rows and columns, at most 640 px each.
    """
    sums = np.nan_to_num(counts).astype(np.float64)
    starts = []
    for axis, length in enumerate(counts.shape):
        side = min(length, WINDOW_PX)
        along = np.cumsum(np.concatenate([[0.0], sums.sum(axis=1 - axis)]))
        start = int(np.argmax(along[side:] - along[:-side]))
        starts.append(slice(start, start + side))
        sums = sums[starts[0]] if axis == 0 else sums
    return starts[0], starts[1]


def foretell(counts: FloatImage, draw: Callable[[FloatImage, str], FloatImage], structure: str) -> HeldOut | None:
    """Draw half of the events and ask the other half.

    Parameters
    ----------
    counts : ndarray
        Shape (Y, X), events per pixel.
    draw : callable
        `draw(counts, structure)` makes the network's picture of half of the events.
    structure : str
        Label the network is told.

    Returns
    -------
    HeldOut or None
        None with fewer than 40 events, or where the counts are not whole numbers.
    """
    whole = np.nan_to_num(counts)
    if whole.sum() < FEWEST_EVENTS or not np.array_equal(whole, np.round(whole)):
        return None
    shown = np.random.default_rng(0).binomial(whole.astype(np.int64), 0.5)
    asked = whole.astype(np.int64) - shown
    given = np.where(np.isfinite(counts), shown, np.nan).astype(np.float32)
    events = asked[asked > 0]
    told = _log_likelihoods(draw(given, structure), asked)
    smooth = max(
        (_log_likelihoods(gaussian_filter(shown.astype(np.float32), width), asked) for width in SMOOTHINGS_PX),
        key=lambda values: float((events * values).sum()),
    )
    label_score = None
    if structure != "unknown":
        label_score = _in_deviations(told - _log_likelihoods(draw(given, "unknown"), asked), events)
    difference = told - smooth
    gain = float((events * difference).sum() / max(events.sum(), 1))
    return HeldOut(gain, _in_deviations(difference, events), label_score)


def _log_likelihoods(picture: FloatImage, asked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of an event in each pixel that holds any, among all places; some fall where no picture foresees them."""
    share = picture.astype(np.float64) / max(float(picture.sum(dtype=np.float64)), 1e-300)
    share = (1 - _UNFORESEEN) * share + _UNFORESEEN / share.size
    logs: NDArray[np.float64] = np.log(share[asked > 0])
    return logs


def _in_deviations(difference: NDArray[np.float64], events: NDArray[np.int64]) -> float:
    return float((events * difference).sum() / np.sqrt((events * np.square(difference)).sum() + 1e-12))
