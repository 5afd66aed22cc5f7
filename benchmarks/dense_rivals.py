"""What `benchmarks.dense_accuracy` sets beside the network: Picasso, and two fits told what no user knows.

`picasso`: single-emitter MLE (gaussmle, 7 px boxes, sigma free) in an interpreter of its own. Its detection threshold
is taken from `GRADIENTS` for every movie anew, by the best efficiency against the truth: in its favour.

`multi+psf`: the blind joint fit (`localize --method multi`) told the true PSF. It decides itself how many there are.

`map`: maximum a posteriori fit of all emitters of a frame together, told the true PSF, the number of emitters and the
law of their brightness, and started from the true positions and electrons: what a perfect search would end in. Of the
list those stay whose bound (Fisher information of all, with the prior) is under the limit that gives this movie's
best efficiency: the faint ones cost more than they bring. So a bound from above, not a method. The background is one
free value per frame.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import torch
from benchmarks.dense_scenes import PIXEL_NM, Movie
from scipy.optimize import minimize

from stormcell.data import Localizations
from stormcell.localization.pipeline import LocalizationSettings, localize_stack
from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.physics.psf.model import PSF

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

GRADIENTS = (100, 200, 400, 800, 1600, 3200, 6400)
PICASSO = """
import sys, warnings
warnings.filterwarnings("ignore")
from picasso import io, localize
for line in sys.stdin:
    path, out, gradient, offset, gain = line.rstrip("\\n").split("\\t")
    camera = {"Baseline": float(offset), "Sensitivity": float(gain), "Gain": 1, "Qe": 1, "Pixelsize": 100}
    movie, _ = io.load_movie(path)
    ids = localize.identify(movie, float(gradient), 7, return_info=False)
    if len(ids):
        ids, _ = localize.fit(movie, camera_info=camera, identifications=ids, box=7, fitting_method="gaussmle")
    ids[["frame", "x", "y"]].to_csv(out, index=False)
    print("DONE", flush=True)
"""


class Picasso:
    """Picasso in its own interpreter, asked over a pipe; it ends with this object's process."""

    def __init__(self, python: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._gradient = GRADIENTS[0]
        self._process = subprocess.Popen(
            [python, "-c", PICASSO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def prepare(self, movie: Movie) -> None:
        """Choose the detection threshold for this movie; not part of what is timed."""
        scores = []
        for gradient in GRADIENTS:
            self._gradient = gradient
            found = evaluate_localizations(self(movie), movie.truth, field=movie.grid, rim_nm=500.0)
            scores.append(found.efficiency if math.isfinite(found.efficiency) else -math.inf)
        self._gradient = GRADIENTS[int(np.argmax(scores))]

    def __call__(self, movie: Movie) -> Localizations:
        path, out = (Path(self._folder.name) / name for name in ("movie.tif", "found.csv"))
        # three frames are no colours
        tifffile.imwrite(path, movie.stack.read(), photometric="minisblack")
        camera = movie.camera
        ask = [path, out, self._gradient, camera.offset_adu, camera.gain_e_per_adu]
        self._process.stdin.write("\t".join(map(str, ask)) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("DONE"):
                break
        else:
            raise RuntimeError("Picasso stopped without an answer")
        rows = np.atleast_1d(np.genfromtxt(out, delimiter=",", names=True))
        good = np.isfinite(rows["x"]) & np.isfinite(rows["y"]) if rows.size else np.zeros(0, bool)
        rows = rows[good]
        # Picasso counts from the middle of the first pixel
        x, y = ((rows[a] + 0.5) * PIXEL_NM for a in "xy")
        return Localizations({"frame": rows["frame"].astype(np.int64), "x_nm": x, "y_nm": y}, grid=movie.grid)


def fit_with_true_psf(movie: Movie) -> Localizations:
    settings = LocalizationSettings(method="multi")
    return localize_stack(movie.stack, movie.camera, PIXEL_NM, settings, psf=PSF(movie.bank)).table


PATCH_PX = 21
STEPS = 150
# brightness times on-fraction as `dense_scenes` draws them, taken for one lognormal law of the same mean and variance
# of the logarithm
_SHARE = np.minimum(1.0, 0.25 + 1.5 * (np.arange(10_000) + 0.5) / 10_000)
_LOG_SPREAD = math.hypot(0.6, float(np.log(_SHARE).std()))
_LOG_MEAN = -0.5 * 0.6**2 + float(np.log(_SHARE).mean())


LIMITS_PX = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, math.inf)


def fit_from_truth(movie: Movie) -> Localizations:
    frames = movie.camera.electrons(movie.stack.read())
    parts = []
    for index, frame in enumerate(frames):
        mine = movie.truth["frame"] == index
        start = np.stack([movie.truth[name][mine] for name in ("x_nm", "y_nm", "photons")])
        start[:2] /= PIXEL_NM
        fitted = _best(movie, torch.from_numpy(frame.astype(np.float64)), start)
        parts.append(np.concatenate([fitted, np.full((1, fitted.shape[1]), index)]))
    x, y, light, bound, frame = np.concatenate(parts, axis=1)
    side = movie.grid.shape[0]
    inside = (np.minimum(x, y) > 0) & (np.maximum(x, y) < side)
    tables = []
    for limit in LIMITS_PX:
        (kept,) = np.nonzero(inside & (bound < limit))
        columns = {"frame": frame[kept].astype(np.int64), "x_nm": x[kept] * PIXEL_NM, "y_nm": y[kept] * PIXEL_NM}
        table = Localizations(columns | {"photons": light[kept]}, grid=movie.grid)
        score = evaluate_localizations(table, movie.truth, field=movie.grid, rim_nm=500.0).efficiency
        tables.append((score if math.isfinite(score) else -math.inf, table))
    return max(tables, key=lambda pair: pair[0])[1]


def _best(movie: Movie, frame: Tensor, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x, y, electrons and the bound of the position (2-D, px) of every emitter, shape (4, N)."""
    n = start.shape[1]
    if n == 0:
        return np.zeros((4, 0))
    # read noise as Poisson noise of the same variance, on both sides
    variance = float(movie.camera.read_noise_e**2 + movie.camera.quantization_variance_e2)
    data = (frame + variance).clamp(min=0)
    middle = math.log(movie.electrons) + _LOG_MEAN

    def loss(values: Tensor) -> Tensor:
        x, y, light = values[: 3 * n].reshape(3, n)
        expected = _draw(movie, x, y, light.exp(), frame.shape) + values[3 * n].exp() + variance
        misfit = (expected - data * expected.log()).sum()
        return misfit + 0.5 * (((light - middle) / _LOG_SPREAD) ** 2).sum()

    def value_and_gradient(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        given = torch.from_numpy(values * scale).requires_grad_()
        value = loss(given)
        (gradient,) = torch.autograd.grad(value, given)
        return value.item(), gradient.numpy() * scale

    # a tenth of a pixel, a tenth of the electrons, a hundredth of the background: steps of like worth
    scale = np.concatenate([np.full(3 * n, 0.1), [0.01]])
    background = math.log(float(frame.quantile(0.1).clamp(min=1)))
    first = np.concatenate([start[0], start[1], np.log(start[2]), [background]])
    found = minimize(value_and_gradient, first / scale, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    values = torch.from_numpy(found.x * scale)
    x, y, log_light = values[: 3 * n].reshape(3, n)
    bound = _bounds(movie, (x, y, log_light.exp()), float(values[3 * n].exp()), variance, frame.shape)
    return torch.stack([x, y, log_light.exp(), bound]).numpy()


def _bounds(
    movie: Movie, at: tuple[Tensor, Tensor, Tensor], background: float, variance: float, shape: tuple[int, ...]
) -> Tensor:
    x, y, light = at
    step, n_pixels, n = 0.05, math.prod(shape), len(x)
    slopes = torch.zeros(3 * n, n_pixels, dtype=torch.float64)
    for k, (dx, dy) in enumerate(((step, 0.0), (0.0, step))):
        change = _patches(movie, x, y, light, (dx, dy)) - _patches(movie, x, y, light, (-dx, -dy))
        _scatter(slopes[k * n : (k + 1) * n], change / (2 * step), x, y, shape)
    _scatter(slopes[2 * n :], _patches(movie, x, y, light), x, y, shape)
    expected = slopes[2 * n :].sum(dim=0) + background + variance
    information = (slopes / expected) @ slopes.T
    information.diagonal()[2 * n :] += 1 / _LOG_SPREAD**2
    information.diagonal()[: 2 * n] += 1e-3  # a flat prior of many pixels; two emitters on one place are still apart
    spread = torch.linalg.inv(information).diagonal()
    return (spread[:n] + spread[n : 2 * n]).clamp(min=0).sqrt()


def _patches(movie: Movie, x: Tensor, y: Tensor, light: Tensor, aside: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    left, top = _corner(x) - aside[0], _corner(y) - aside[1]
    kernel = torch.full((len(x),), movie.bank.focus_plane, dtype=torch.int64)
    return movie.bank.images(x - left, y - top, light, kernel, (PATCH_PX, PATCH_PX))


def _corner(at: Tensor) -> Tensor:
    return torch.floor(at.detach()).long() - PATCH_PX // 2


def _places(x: Tensor, y: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Index of every patch pixel in the frame, and whether it lies in it; both shape (N, P, P)."""
    along = torch.arange(PATCH_PX)
    rows, columns = _corner(y)[:, None] + along, _corner(x)[:, None] + along
    inside = ((rows >= 0) & (rows < shape[0]))[:, :, None] & ((columns >= 0) & (columns < shape[1]))[:, None, :]
    place = rows.clamp(0, shape[0] - 1)[:, :, None] * shape[1] + columns.clamp(0, shape[1] - 1)[:, None, :]
    return place, inside


def _scatter(into: Tensor, patches: Tensor, x: Tensor, y: Tensor, shape: tuple[int, ...]) -> None:
    place, inside = _places(x, y, shape)
    into.scatter_add_(1, place.flatten(1), (patches * inside).double().flatten(1))


def _draw(movie: Movie, x: Tensor, y: Tensor, light: Tensor, shape: tuple[int, ...]) -> Tensor:
    place, inside = _places(x, y, shape)
    light_there = (_patches(movie, x, y, light) * inside).double()
    drawn = torch.zeros(math.prod(shape), dtype=torch.float64)
    return drawn.index_add(0, place.flatten(), light_there.flatten()).reshape(shape)
