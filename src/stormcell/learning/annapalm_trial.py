"""Held-out trial of a densify network on simulated fields: the frames it saves, and whether its intervals are right.

Scores are those of `metrics.densification`; the truth is the noise-free rate, every emitter at its expected number of
events, convolved with the localization error. Saving is the share of the frames that the best plain smoothing needs
for the same score, over the share used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from stormcell.learning.annapalm_fields import FieldSettings, simulate_field
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, DensifyResult, densify_image, sum_cells
from stormcell.learning.annapalm_model import tail_name
from stormcell.learning.annapalm_widefield import simulate_widefield
from stormcell.metrics.densification import (
    best_smoothed_score,
    bootstrap_interval,
    share_needed,
    structure_of,
    truth_score,
)
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.learning.annapalm_fields import EmitterField
    from stormcell.learning.annapalm_model import DensifyModel

    Image = NDArray[np.float64]

SIDE_PX = 320
GRID = tuple(float(share) for share in np.geomspace(0.0025, 1.0, 16))
"""Shares of the frames at which plain smoothing is scored: a saving cannot be told beyond them."""
FEWEST_FIELDS = 10
"""Simulated fields of each structure that the scores of a card come from, at least."""
MODES = ("both", "sparse", "widefield")
UNKNOWN_LABEL = STRUCTURE_LABELS[-1]
_FACTORS = (1.0, 0.85, 1.2, 0.7, 1.4, 0.6, 1.7, 0.5, 2.0)
_TAILS = (2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.06, 0.03, 0.01, 0.003, 0.001)
_MARGIN_PX = 24
_FALSE_SHARE = 0.02
_FOREGROUND_EVENTS = 0.3
_LEAST_EVENTS_PER_UM2 = 30.0


@dataclass(frozen=True)
class TrialField:
    """A simulated field with its truth.

    Parameters
    ----------
    field : EmitterField
        Its emitters.
    truth : ndarray
        Shape (S, S), noise-free events per pixel in the whole acquisition.
    widefield : ndarray
        Shape (S, S), normalised.
    precision_nm : float
        Mean localization error.
    """

    field: EmitterField
    truth: Image
    widefield: NDArray[np.float32]
    precision_nm: float

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Where images are compared: shape (S, S), the structure grown by 200 nm."""
        return structure_of(self.truth, SR_PIXEL_SIZE_NM)

    def score(self, image: NDArray[np.floating[Any]]) -> float:
        """Compare an image with the truth.

        Parameters
        ----------
        image : ndarray
            Shape (S, S).

        Returns
        -------
        float
            See `truth_score`.
        """
        return truth_score(image, self.truth, self.inside, SR_PIXEL_SIZE_NM)

    def best_smoothed(self, counts: NDArray[np.floating[Any]]) -> float:
        """Score the plain smoothing of an acquisition that scores best.

        Parameters
        ----------
        counts : ndarray
            Shape (S, S), events.

        Returns
        -------
        float
            See `best_smoothed_score`.
        """
        return best_smoothed_score(counts, self.truth, self.inside, SR_PIXEL_SIZE_NM)

    def counts(self, share: float, rng: np.random.Generator, false_share: float = _FALSE_SHARE) -> Image:
        """Draw an acquisition.

        Parameters
        ----------
        share : float
            Share of the frames.
        rng : numpy.random.Generator
            Source of randomness.
        false_share : float
            False localizations per true one.

        Returns
        -------
        ndarray
            Shape (S, S), events.
        """
        n_events = rng.poisson(self.field.events * share)
        places = np.stack([np.repeat(self.field.x_nm, n_events), np.repeat(self.field.y_nm, n_events)])
        error = self.precision_nm * np.exp(rng.normal(0, 0.25, places.shape[1]))
        image = _histogram(places + error * rng.normal(size=places.shape), self.field.side_nm)
        n_false = rng.poisson(false_share * image.sum())
        np.add.at(image, tuple(rng.integers(0, SIDE_PX, (2, n_false))), 1)
        return image


def trial_field(structure: str, seed: int, index: int) -> TrialField:
    """Simulate a field for a trial.

    Parameters
    ----------
    structure : str
        What is in it.
    seed, index : int
        Together they decide everything; use a seed that no training used.

    Returns
    -------
    TrialField
        The field with its truth.
    """
    rng = np.random.default_rng([seed, index, 5])
    settings = FieldSettings(shares={structure: 1.0})
    draws = (simulate_field(settings, seed, 1000 * index + k) for k in range(1000))
    return trial_of(next(one for one in draws if one.events_per_um2 >= _LEAST_EVENTS_PER_UM2), rng)


def trial_of(field: EmitterField, rng: np.random.Generator) -> TrialField:
    """Draw the truth and the wide-field image of emitters.

    Parameters
    ----------
    field : EmitterField
        8 um wide.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    TrialField
        Its middle 6.4 um.
    """
    precision_nm = rng.uniform(8, 16)
    places = np.stack([field.x_nm, field.y_nm])
    fine = gaussian_filter(_histogram(places, field.side_nm, 2, field.events), 2 * precision_nm / SR_PIXEL_SIZE_NM)
    truth = fine.reshape(SIDE_PX, 2, SIDE_PX, 2).sum(axis=(1, 3))
    emitters = _histogram(places, field.side_nm, margin_px=_MARGIN_PX).astype(np.float32)
    widefield = simulate_widefield(emitters, _MARGIN_PX, field.widefield_levels, SR_PIXEL_SIZE_NM, rng)
    return TrialField(field, truth, widefield.astype(np.float32), precision_nm)


def try_model(
    model: DensifyModel, structures: tuple[str, ...], shares: tuple[float, ...], n_fields: int, seed: int
) -> dict[str, Any]:
    """Score a network on held-out fields.

    Parameters
    ----------
    model : DensifyModel
        The network.
    structures : tuple of str
        What to try.
    shares : tuple of float
        Shares of the frames.
    n_fields : int
        Fields of each structure.
    seed : int
        A seed that no training used.

    Returns
    -------
    dict
        For each structure and share: median saving with its 95 % interval over fields, mean score and coverage of
        the 90 % intervals in the foreground, with both channels, the sparse one or the wide-field alone, and the
        score of the best plain smoothing.
    """
    report: dict[str, Any] = {}
    for structure in structures:
        rows: dict[str, list[tuple[float, float, float]]] = {}
        for index in range(n_fields):
            one = trial_field(structure, seed, index)
            rng = np.random.default_rng([seed, index, 6])
            curve = [one.best_smoothed(one.counts(share, rng)) for share in GRID]
            for share in shares:
                for name, row in _try_share(model, one, share, curve, rng).items():
                    rows.setdefault(f"{share:g} {name}", []).append(row)
        report[structure] = {name: _summed_up(values) for name, values in rows.items()}
    return report


def measured_on(n_fields: int, seed: int) -> str:
    """Say for a card where scores of `try_model` come from.

    Parameters
    ----------
    n_fields, seed : int
        As for `try_model`.

    Returns
    -------
    str
        One sentence.
    """
    return (
        f"{n_fields} simulated fields of each structure, seed {seed}; correlation with the truth and saving as in "
        "metrics.densification, savings with their 95 % interval over fields"
    )


def _summed_up(rows: list[tuple[float, float, float]]) -> dict[str, Any]:
    scores, savings, covered = zip(*rows, strict=True)
    return {
        "score": round(float(np.mean(scores)), 3),
        "saving_median": round(float(np.median(savings)), 2),
        "saving_95": [round(end, 2) for end in bootstrap_interval(savings)],
        "coverage_90": round(float(np.mean(covered)), 3),
    }


def fit_dispersion_factor(
    model: DensifyModel, structures: tuple[str, ...], shares: tuple[float, ...], n_fields: int, seed: int
) -> float:
    """Find the factor on the dispersion at which 90 % intervals hold 90 % of the foreground's cells.

    Parameters
    ----------
    model : DensifyModel
        The network; its own factor is left out of account.
    structures : tuple of str
        What to try.
    shares : tuple of float
        Shares of the frames.
    n_fields : int
        Fields of each structure.
    seed : int
        Neither of the training nor of the trial.

    Returns
    -------
    float
        The factor that comes nearest, 0.5 to 2; coverage is the mean over structures, shares, and fields with and
        without wide-field.
    """
    covered = np.zeros(len(_FACTORS))
    for structure in structures:
        for index in range(n_fields):
            one, rng = trial_field(structure, seed, index), np.random.default_rng([seed, index, 8])
            for share in shares:
                counts = one.counts(share, rng).astype(np.float32)
                settings = DensifyInferenceSettings(structure=_label(structure), share=share)
                for widefield in (one.widefield, None):
                    result = densify_image(model, counts, widefield, settings)
                    plain = result.dispersion / model.dispersion_factor
                    trials = [DensifyResult(result.rate, plain * np.float32(factor)) for factor in _FACTORS]
                    covered += [coverage(trial, one, share, rng) for trial in trials]
    covered /= len(structures) * n_fields * len(shares) * 2
    # a wider distribution of the same mean moves towards 0, so that coverage need not rise with the factor
    return _FACTORS[int(np.argmin(np.abs(covered - 0.9)))]


def fit_tails(
    model: DensifyModel, structures: tuple[str, ...], shares: tuple[float, ...], n_fields: int, seed: int
) -> dict[str, float]:
    """Find, for each label and channel, how much intervals must leave out to hold 90 % of the foreground's cells.

    Parameters
    ----------
    model : DensifyModel
        The network, with its factor on the dispersion.
    structures, shares, n_fields, seed : tuple of str, tuple of float, int, int
        As for `fit_dispersion_factor`.

    Returns
    -------
    dict of str to float
        Factors by `tail_name`; structures without a label stand for 'unknown'.
    """
    covered: dict[str, list[list[float]]] = {}
    for structure in structures:
        for index in range(n_fields):
            one, rng = trial_field(structure, seed, index), np.random.default_rng([seed, index, 9])
            for share in shares:
                counts = one.counts(share, rng).astype(np.float32)
                settings = DensifyInferenceSettings(structure=_label(structure), share=share)
                for widefield in (one.widefield, None):
                    result = densify_image(model, counts, widefield, settings)
                    trials = [DensifyResult(result.rate, result.dispersion, tail) for tail in _TAILS]
                    name = tail_name(_label(structure), events=True, widefield=widefield is not None)
                    rows = covered.setdefault(name, [])
                    rows.append(
                        [coverage(trial, one, share, np.random.default_rng([seed, index])) for trial in trials]
                    )
    return {name: _TAILS[int(np.argmin(np.abs(np.mean(rows, axis=0) - 0.9)))] for name, rows in covered.items()}


def _label(structure: str) -> str:
    return structure if structure in STRUCTURE_LABELS else UNKNOWN_LABEL


def _try_share(
    model: DensifyModel, one: TrialField, share: float, curve: list[float], rng: np.random.Generator
) -> dict[str, tuple[float, float, float]]:
    counts = one.counts(share, rng).astype(np.float32)
    plain = one.best_smoothed(counts)
    rows = {"best smoothed": (plain, share_needed(plain, GRID, curve) / share, float("nan"))}
    settings = DensifyInferenceSettings(structure=_label(one.field.structure), share=share)
    for mode in MODES:
        given = (None if mode == "widefield" else counts, None if mode == "sparse" else one.widefield)
        result = densify_image(model, *given, settings)
        found = one.score(result.rate)
        covered = float("nan") if mode == "widefield" else coverage(result, one, share, rng)
        rows[mode] = (found, share_needed(found, GRID, curve) / share, covered)
    return rows


def coverage(result: DensifyResult, one: TrialField, share: float, rng: np.random.Generator) -> float:
    """Work out how often the 90 % interval holds what an independent whole acquisition shows.

    Parameters
    ----------
    result : DensifyResult
        The prediction.
    one : TrialField
        With the truth.
    share : float
        Share of the frames in the input.
    rng : numpy.random.Generator
        Draws the acquisition.

    Returns
    -------
    float
        Share of the foreground's cells of 40 nm.
    """
    low, high = result.interval(1.0 / share)
    shown = sum_cells(one.counts(1.0, rng, 0.0).astype(np.float32))
    foreground = sum_cells(one.truth.astype(np.float32)) > _FOREGROUND_EVENTS
    return float(np.mean(((shown >= low) & (shown <= high))[foreground]))


def _histogram(
    places: NDArray[np.floating],
    side_nm: float,
    finer: int = 1,
    weights: NDArray[np.floating] | None = None,
    margin_px: int = 0,
) -> Image:
    """Count or add up positions (x, y) on pixels in the middle of a field."""
    n = SIDE_PX + 2 * margin_px
    first = (side_nm - n * SR_PIXEL_SIZE_NM) / 2
    limits = [first, first + n * SR_PIXEL_SIZE_NM]
    image, _, _ = np.histogram2d(places[1], places[0], bins=n * finer, range=[limits, limits], weights=weights)
    return np.asarray(image)
