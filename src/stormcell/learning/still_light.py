"""Rows that do not blink: structure of the background, beads and edges taken for emitters.

An emitter that is on in some frames and off in others makes the light at its place vary by much more than shot noise.
Where rows claim such blinking and the pixels show none, or where a row stands in most frames and the pixels stay
still, the light is not that of emitters. Only clear cases are left out: what the pixels cannot decide stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_FRAMES = 64
"""Frames that are judged together."""

FEWEST_FRAMES = 16
"""Fewer tell nothing of blinking."""
MOST_WITHIN_A_PIXEL = 1.5
"""Emitters listed in 3 x 3 px per frame, on average over the frames: 17 per um2 at 100 nm pixels."""
_WINDOW_PX = 5
_QUIET = 1.3
_STANDING = 0.7
_CAUGHT = 0.8
_SURE_SIGMAS = 2.0
_BLINKING_SHARE = 0.4
_LEAST_BLINKING = 0.15
_LEAST_NOISE = 0.5


@dataclass
class Pending:
    """Rows that wait for the judgement of their frames.

    Parameters
    ----------
    columns : dict of str to ndarray
        Of the table.
    x_px, y_px, electrons : ndarray
        Shape (N,), within the frame and in network electrons.
    """

    columns: dict[str, NDArray[Any]]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    electrons: NDArray[np.float64]


def gaussian_square_share(psf_sigma_px: float) -> float:
    """Sum the squared shares of light that the pixels receive of a Gaussian PSF.

    Parameters
    ----------
    psf_sigma_px : float
        Its width, in camera pixels.

    Returns
    -------
    float
        0 to 1.
    """
    return 1 / (4 * math.pi * (psf_sigma_px**2 + 1 / 12))


class StillLight:
    """Collects consecutive frames and their rows, and lets rows go once enough frames were seen.

    Parameters
    ----------
    read_variance_e2 : ndarray
        Shape (Y, X), network electrons squared.
    square_share : float
        Sum over pixels of the square of the share of an emitter's light that each receives: how much one emitter adds
        to the variance.
    """

    def __init__(self, read_variance_e2: NDArray[np.float32], square_share: float) -> None:
        self._read_variance = read_variance_e2
        self._square = _CAUGHT * square_share
        self._begin()
        self.n_rejected = 0

    def _begin(self) -> None:
        shape = self._read_variance.shape
        self._n_frames = 0
        self._level: NDArray[np.float32] = np.zeros(shape, np.float32)
        self._sum = np.zeros(shape, np.float64)
        self._squares = np.zeros(shape, np.float64)
        self._pending: list[Pending] = []

    def add(self, frames: NDArray[np.float32], rows: Pending) -> list[dict[str, NDArray[Any]]]:
        """Take frames with their rows.

        Parameters
        ----------
        frames : ndarray
            Shape (T, Y, X), network electrons, in the order of the movie.
        rows : Pending
            Found in them.

        Returns
        -------
        list of dict
            Columns of rows that were judged; empty while more frames are waited for.
        """
        if not self._n_frames and len(frames):
            self._level = frames[0].copy()
        above = frames - self._level
        self._sum += above.sum(axis=0, dtype=np.float64)
        self._squares += np.einsum("tyx,tyx->yx", above, above, dtype=np.float64)
        self._n_frames += len(frames)
        self._pending.append(rows)
        return self.finish() if self._n_frames >= CHUNK_FRAMES else []

    def finish(self) -> list[dict[str, NDArray[Any]]]:
        """Judge the rows that still wait.

        Returns
        -------
        list of dict
            Their columns, without rows that do not blink.
        """
        pending, n_frames = self._pending, self._n_frames
        if pending and n_frames >= FEWEST_FRAMES:
            still = self._still(pending)
            done = []
            for rows in pending:
                height, width = still.shape
                row = np.clip(rows.y_px, 0, height - 1).astype(int)
                column = np.clip(rows.x_px, 0, width - 1).astype(int)
                keep = ~(still[row, column] & self._inside(rows))
                self.n_rejected += int((~keep).sum())
                done.append({name: values[keep] for name, values in rows.columns.items()})
        else:
            done = [rows.columns for rows in pending]
        self._begin()
        return done

    def _inside(self, rows: Pending) -> NDArray[np.bool_]:
        height, width = self._read_variance.shape
        inside: NDArray[np.bool_] = (rows.x_px >= 0) & (rows.x_px < width) & (rows.y_px >= 0) & (rows.y_px < height)
        return inside

    def _still(self, pending: list[Pending]) -> NDArray[np.bool_]:
        """Tell for every pixel whether rows there are still light."""
        n = self._n_frames
        mean = self._sum / n
        variance = (self._squares / n - mean**2) * n / (n - 1)
        noise = np.maximum(mean + self._level, 0.0) + self._read_variance
        window = _WINDOW_PX**2
        seen = ndimage.uniform_filter(variance, _WINDOW_PX) * window
        promised = ndimage.uniform_filter(noise, _WINDOW_PX) * window
        # noise that was reckoned too high would hide blinking: the quietest places set it
        factor = float(np.quantile(seen / promised, 0.2))
        if factor < _LEAST_NOISE:  # the noise is not known well enough to call anything still
            return np.zeros(seen.shape, np.bool_)
        factor = min(factor, 1.0)
        spread = factor * promised / _WINDOW_PX * math.sqrt(2 / n)
        most = seen - factor * promised + _SURE_SIGMAS * spread
        count, squares = self._claimed(pending)
        # rows that come and go on their own; of what stands in every frame, a little must flicker all the same
        blinking = squares / n * np.maximum(1 - count / n, _LEAST_BLINKING) * self._square
        # so many at once would flicker, and there is hardly more noise than that of light which stands
        crowd = (count / n > _STANDING) & (seen < _QUIET * factor * promised)
        still: NDArray[np.bool_] = (most < _BLINKING_SHARE * blinking) | crowd
        return still

    def _claimed(self, pending: list[Pending]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum number and squared light of the rows within a pixel of each pixel."""
        height, width = self._read_variance.shape
        maps = []
        for power in (0, 2):
            total = np.zeros((height, width))
            for rows in pending:
                inside = self._inside(rows)
                place = (rows.y_px[inside].astype(int), rows.x_px[inside].astype(int))
                np.add.at(total, place, rows.electrons[inside] ** power)
            maps.append(9 * ndimage.uniform_filter(total, 3, mode="constant"))
        return maps[0], maps[1]
