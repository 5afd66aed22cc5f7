"""Joint fits of what the dense network listed, with the PSF that was fitted to the movie.

The network says how many emitters there are and about where; it knows the PSF as a few numbers only. Joint
maximum-likelihood fits know it as it is: they place the network's emitters, drop those that the pixels do not ask
for, and add or split where the residual asks for one more. Either alone finds less: fits begun at the maxima of a
crowded frame end in worse optima, and the network's positions are an average over the PSFs that its numbers leave
open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import expit, logit

from stormcell.learning.dense_decoding import N_FIELDS
from stormcell.learning.dense_inference import ComponentList
from stormcell.localization.seeded_field import WIDEST_INNER_PX
from stormcell.localization.seeded_fit import SeededFits, fit_seeds
from stormcell.localization.seeded_moves import SeededPlan
from stormcell.localization.spots import roi_size_for
from stormcell.physics.psf.sampled import psf_from_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.learning.psf_fitting import FittedPSF

SEED_PROBABILITY = 0.3
"""Probability from which what the network lists is fitted."""

ADDED_RATIO, KEPT_RATIO = 20.0, 8.0
"""Twice the log-likelihood that an emitter must gain, one that the network did not list and one that it did."""

LEAST_EVIDENCE = 3.0
"""Signal-to-noise ratio of the residual from which one more emitter is tried."""

ADDED_ERROR, KEPT_ERROR = 0.003, 0.001
"""What they must gain beyond that per electron of the brightest neighbour: the fitted PSF is not quite the true
one."""

MOST_STEPS = 8
"""Newton steps of a fit; three to four are usual."""

_ANY_PIXEL_NM = 100.0
_FAR_PX = 100.0
_TAIL_ERROR = 0.06  # share of the light: that of the tail, of which a movie tells little, lies in the background
_GAIN_SCALE = 8.0
_SURE, _BESIDE_SIGMAS, _NEAR_SIGMAS = 0.7, 4.0, 8.0
_LEAST_SURE, _MOST_SURE = 0.3, 0.95
_LESS_SURE = 2.0
_CROWD_SIGMAS, _USUAL_CROWD, _CROWD_RATIO = 3.0, 2.0, 4.0
_TAKEN_SIGMAS = 1.0
_ALONE_SIGMAS, _FEWEST_ALONE = 3.0, 40


class JointRefinement:
    """Fits of one movie or a part of it.

    Parameters
    ----------
    fitted : FittedPSF
        The movie's PSF.
    read_variance_e2 : ndarray
        Shape (Y, X), network electrons squared.
    """

    seed_probability = SEED_PROBABILITY

    def __init__(self, fitted: FittedPSF, read_variance_e2: NDArray[np.float32]) -> None:
        # all in pixels: what a pixel measures does not matter
        self._psf = psf_from_image(fitted.image, _ANY_PIXEL_NM)
        self._read_variance = read_variance_e2
        inner_px = min(roi_size_for(self._psf.sigma_px) // 2, WIDEST_INNER_PX)
        self._plan = SeededPlan(
            ADDED_RATIO, KEPT_RATIO, ADDED_ERROR, KEPT_ERROR, LEAST_EVIDENCE, inner_px, MOST_STEPS
        )

    def refine(self, listed: ComponentList, frames: NDArray[np.float32]) -> ComponentList:
        """Fit the emitters of consecutive frames.

        Parameters
        ----------
        listed : ComponentList
            As the network listed them.
        frames : ndarray
            Shape (T, Y, X), network electrons.

        Returns
        -------
        ComponentList
            Fitted emitters, ordered by frame, y and x, and behind them what is less probable than 0.3, as it was.
        """
        is_seed = listed.rows[:, 0] >= SEED_PROBABILITY
        seed = listed.rows[is_seed].astype(np.float64)
        found = self._fit(seed, listed.frame[is_seed], frames)
        rows = np.empty((len(found.frame), N_FIELDS), np.float32)
        rows[:, 0] = self._probability(found, np.append(seed[:, 0], 0.0)[found.seed])
        rows[:, 1], rows[:, 2] = found.x_px, found.y_px
        doubt = self._neighbours_doubt(found)
        rows[:, 3:5] = np.stack([found.std_x_px, found.std_y_px], axis=1) * (1.06 + 0.49 * doubt[:, None])
        rows[:, 5] = np.log(found.electrons)
        rows[:, 6] = np.log(np.hypot(found.std_electrons / found.electrons * (1.15 + doubt), _TAIL_ERROR))
        variance = self._read_variance[self._pixel(found.x_px, found.y_px)]
        rows[:, 7] = 2 * np.sqrt(found.background_e + variance + 0.375)
        rows[:, 8] = np.log(2 * found.std_background_e / rows[:, 7])
        left = np.flatnonzero(~is_seed)
        left = left[~self._taken(found, listed.rows[left], listed.frame[left])]
        return ComponentList(
            np.concatenate([found.frame, listed.frame[left]]), np.concatenate([rows, listed.rows[left]])
        )

    def _taken(self, found: SeededFits, rows: NDArray[np.float32], frame: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows lie where an emitter was fitted: one that was added or moved there."""
        if not len(found.frame):
            return np.zeros(len(rows), np.bool_)
        place = np.stack([rows[:, 1], rows[:, 2], _FAR_PX * frame], axis=1)
        nearest = np.asarray(cKDTree(self._place(found)).query(place)[0])
        return nearest < _TAKEN_SIGMAS * self._psf.sigma_px

    def misfit(self, listed: ComponentList, frames: NDArray[np.float32]) -> float:
        """Say how badly one PSF explains the emitters: out of focus or deep ones, each with a PSF of its own.

        Parameters
        ----------
        listed : ComponentList
            As the network listed them.
        frames : ndarray
            Shape (T, Y, X), network electrons.

        Returns
        -------
        float
            Mean square of the error of the light in a pixel, as a share of that light, from residuals round sure
            emitters; about 0 or just below it where all have the fitted PSF.
        """
        seed = listed.rows.astype(np.float64)
        found = self._fit(seed, listed.frame, frames)
        if len(found.frame) < 2:
            return 0.0
        place = self._place(found)
        alone = np.asarray(cKDTree(place).query(place, k=2)[0])[:, 1] > _ALONE_SIGMAS * self._psf.sigma_px
        judged = np.append(seed[:, 0], 0.0)[found.seed] >= _SURE
        if (alone & judged).sum() >= _FEWEST_ALONE:
            judged &= alone
        excess, unit = found.misfit[judged].sum(axis=0)
        return float(excess / unit) if unit > 0 else 0.0

    def _fit(self, seed: NDArray[np.float64], frame: NDArray[np.int64], frames: NDArray[np.float32]) -> SeededFits:
        variance = self._read_variance[self._pixel(seed[:, 1], seed[:, 2])]
        background = np.maximum((seed[:, 7] / 2) ** 2 - 0.375 - variance, 0.0)
        # what the network is sure of needs little more to stay; on crowded lines, where neighbours could take the
        # light of any one, nearly nothing
        place = np.stack([seed[:, 1], seed[:, 2], _FAR_PX * frame], axis=1)
        tree, reach = cKDTree(place), _CROWD_SIGMAS * self._psf.sigma_px
        crowd = tree.query_ball_point(place, reach, return_length=True) - 1 if len(place) else np.zeros(0)
        asked = KEPT_RATIO - 2.0 * logit(np.clip(seed[:, 0], _LEAST_SURE, _MOST_SURE))
        asked -= _CROWD_RATIO * np.maximum(crowd - _USUAL_CROWD, 0.0)
        electrons = np.exp(seed[:, 5])
        # the network saw the same pixels: of what it knows a part counts, where these leave much open
        spread = _LESS_SURE * np.stack([seed[:, 3], seed[:, 4], electrons * np.exp(seed[:, 6])], axis=1)
        start = np.column_stack([seed[:, 1], seed[:, 2], electrons, background, asked, spread**-2.0])
        return fit_seeds(frames, self._read_variance, frame, start, self._psf, self._plan)

    def _probability(self, found: SeededFits, listed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of each emitter: that of the network or, near other sure emitters, what the likelihood says.

        Far from them the network knows better how often noise, a bead or an uneven background looks like an emitter.
        """
        place, is_sure = self._place(found), listed >= _SURE
        distance = np.full(len(place), np.inf)
        if is_sure.any():
            two, index = map(np.asarray, cKDTree(place[is_sure]).query(place, k=2))
            itself = (index[:, 0] == np.cumsum(is_sure) - 1) & is_sure
            distance = np.where(itself, two[:, 1], two[:, 0]) / self._psf.sigma_px
        asked = np.where(distance < _BESIDE_SIGMAS, KEPT_RATIO, ADDED_RATIO)
        certainty = np.where(found.gain >= asked, 1.0 - 0.5 * np.exp(-(found.gain - asked) / _GAIN_SCALE), 0.0)
        return np.where(distance < _NEAR_SIGMAS, np.maximum(certainty, listed), listed)

    def _place(self, found: SeededFits) -> NDArray[np.float64]:
        # frames far apart along a third axis
        return np.stack([found.x_px, found.y_px, _FAR_PX * found.frame], axis=1)

    def _neighbours_doubt(self, found: SeededFits) -> NDArray[np.float64]:
        """0 for an emitter far from others to 1 for one among them.

        Where one more is fitted close by, another may be missed, and errors are up to 1.4 times (of the light: twice)
        what the bound says: measured on movies of ten random PSFs, 0.5 to 3 emitters per um2.
        """
        if len(found.frame) < 2:
            return np.zeros(len(found.frame))
        place = self._place(found)
        nearest = np.asarray(cKDTree(place).query(place, k=2, distance_upper_bound=_FAR_PX)[0])[:, 1]
        doubt: NDArray[np.float64] = expit((3.6 - nearest / self._psf.sigma_px) / 0.8)
        return doubt

    def _pixel(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        height, width = self._read_variance.shape
        return np.clip(y_px, 0, height - 1).astype(int), np.clip(x_px, 0, width - 1).astype(int)
