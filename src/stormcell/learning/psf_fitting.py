"""The PSF of a movie, fitted to its frames together with the emitters that the dense network finds in them.

The network works best when it is told the PSF, and a single frame says little of it. Here the network lists the
emitters of many frames without knowing the PSF; then the PSF (principal axes of the root images of the training
family, about a normal prior), the emitters (about what the network says of them) and a smooth background are fitted
to the frames; and once more, with lists made knowing the result. Only sure emitters are listed: a side lobe taken for
an emitter would be drawn by it and be missing in the PSF. The PSF's total is held at 1: it and the emitters' photons
could not be told apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import minimize
from torch.nn import functional as F

from stormcell.learning.dense_decoding import N_FIELDS, list_components
from stormcell.learning.still_light import FEWEST_FRAMES, MOST_WITHIN_A_PIXEL
from stormcell.networks.dense import DESCRIPTOR_WINDOW_PX, FAMILY_WINDOW_PX, DenseNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

FEWEST_EMITTERS = 60
MOST_EMITTERS = 1000
LIST_PROBABILITY = 0.6
N_ROUNDS = 2
ITERATIONS = 25
MOST_CHI_SQUARE = 12.0
MOST_LOG_FACTOR = 1.0
SIDE_PX = 256
RIM_PX = 5
PATCH_PX = 24
BACKGROUND_BLOCK_PX = 16
_PIXELS_PER_PASS = 1 << 15


@dataclass(frozen=True)
class FittedPSF:
    """What the frames say of the PSF.

    Parameters
    ----------
    descriptor : Tensor
        Shape (n_condition,), as the network is told it.
    electrons_factor : float
        How many times more electrons an emitter has under this PSF than the network says of it.
    image : Tensor
        Shape (21, 21): share of the light per camera pixel, the PSF's zero in the centre of the middle pixel.
    """

    descriptor: Tensor
    electrons_factor: float
    image: Tensor

    @property
    def square_share(self) -> float:
        """Sum over pixels of the square of the share of an emitter's light that each receives."""
        return self.image.square().sum().item()


def fit_psf(
    network: DenseNet, frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32]
) -> FittedPSF | None:
    """Fit the PSF of a movie.

    Parameters
    ----------
    network : DenseNet
        Trained network, on the CPU; it holds the family of PSFs.
    frames : ndarray
        Shape (T, Y, X), network electrons, from all over the movie, in any order; as many are used as hold 1,000
        emitters, and of large frames the part of 256 px where most light comes and goes.
    read_variance_e2 : ndarray
        Shape (Y, X), network electrons squared.

    Returns
    -------
    FittedPSF or None
        None where the frames are too small or hold too few emitters to tell.
    """
    if min(frames.shape[1:]) < PATCH_PX or not bool(network.root_axes.any()):
        return None
    window = busiest(frames)
    cut = torch.from_numpy(np.ascontiguousarray(frames[:, *window]))
    variance = torch.from_numpy(np.ascontiguousarray(read_variance_e2[window]))
    fitted, z, log_factor = None, torch.zeros(len(network.root_axes)), 0.0
    for _ in range(N_ROUNDS):
        scene = _blinking(_find_emitters(network, cut, variance, None if fitted is None else fitted.descriptor))
        if len(scene.frame) < FEWEST_EMITTERS:
            return None
        z, log_factor = _fit(scene, network, z, log_factor)
        if not (bool(torch.isfinite(z).all()) and abs(log_factor) < MOST_LOG_FACTOR):
            return None
        image = _image(network, z)
        descriptor = network.describe_psf(_inner(image))[0]
        fitted = FittedPSF(descriptor, math.exp(log_factor), image)
    return fitted


def busiest(frames: NDArray[np.float32]) -> tuple[slice, slice]:
    """Find the window of `SIDE_PX` in which pixels change most from frame to frame.

    Parameters
    ----------
    frames : ndarray
        Shape (T, Y, X), electrons.

    Returns
    -------
    tuple of slice
        Rows and columns; all of smaller frames.
    """
    if max(frames.shape[1:]) <= SIDE_PX:
        return slice(0, SIDE_PX), slice(0, SIDE_PX)
    changes = frames.std(axis=0) if len(frames) > 1 else frames[0]
    # the mean over a window, in which a single struck pixel counts little
    means = ndimage.uniform_filter(np.minimum(changes, np.percentile(changes, 99.9)), SIDE_PX, mode="constant")
    halves = [min(SIDE_PX, side) // 2 for side in changes.shape]
    inner = means[halves[0] : means.shape[0] - halves[0] + 1, halves[1] : means.shape[1] - halves[1] + 1]
    place = np.unravel_index(int(np.argmax(inner)), inner.shape)
    y0, x0 = (min(int(k), max(0, side - SIDE_PX)) for k, side in zip(place, changes.shape, strict=True))
    return slice(y0, y0 + SIDE_PX), slice(x0, x0 + SIDE_PX)


@dataclass(frozen=True)
class _Scene:
    """Frames, the emitters found in them with what the network is sure of, and the background it saw."""

    frames: Tensor
    variance: Tensor
    background: Tensor
    frame: Tensor
    x: Tensor
    y: Tensor
    log_electrons: Tensor
    sigma_x: Tensor
    sigma_y: Tensor
    sigma_log_electrons: Tensor


@torch.no_grad()
def _find_emitters(network: DenseNet, frames: Tensor, variance: Tensor, condition: Tensor | None) -> _Scene:
    height, width = frames.shape[1:]
    pad = (0, -width % DenseNet.multiple_px, 0, -height % DenseNet.multiple_px)
    padded = F.pad(frames[:, None], pad, mode="replicate")
    padded_variance = F.pad(variance[None, None], pad, mode="replicate")
    step = max(1, _PIXELS_PER_PASS // (height * width))
    rows, index, backgrounds, n_found, n_frames = [], [], [], 0, 0
    for start in range(0, len(frames), step):
        block = padded[start : start + step]
        told = None if condition is None else condition[None].expand(len(block), -1)
        output, _ = network(block, padded_variance, told)
        listed, owner = _list(torch.stack(list(output), dim=1)[:, :, :height, :width].contiguous())
        rows.append(listed)
        index.append(owner + start)
        background = (output.background_vst[:, :height, :width] / 2) ** 2 - 0.375 - variance
        backgrounds.append(background.clamp(min=0.0))
        n_found, n_frames = n_found + len(listed), start + len(block)
        if n_found >= MOST_EMITTERS and n_frames >= FEWEST_FRAMES:
            break
    fields = torch.cat(rows)
    return _Scene(
        frames[:n_frames],
        variance,
        torch.cat(backgrounds),
        torch.cat(index),
        fields[:, 1],
        fields[:, 2],
        fields[:, 5],
        fields[:, 3],
        fields[:, 4],
        fields[:, 6].exp(),
    )


def _blinking(scene: _Scene) -> _Scene:
    """Leave out what is listed where more stands in every frame than can be lit at once: edges, large beads."""
    height, width = scene.variance.shape
    total = np.zeros((height, width))
    place = [
        np.clip(values.numpy().astype(int), 0, side - 1) for values, side in ((scene.y, height), (scene.x, width))
    ]
    np.add.at(total, tuple(place), 1.0)
    near = 9 * ndimage.uniform_filter(total, 3, mode="constant") / len(scene.frames)
    is_still = (near[tuple(place)] > MOST_WITHIN_A_PIXEL) & (len(scene.frames) >= FEWEST_FRAMES)
    moving = torch.from_numpy(np.flatnonzero(~is_still))
    # as many frames as hold enough of them
    n_frames = len(scene.frames)
    if len(moving) > MOST_EMITTERS:
        n_frames = int(scene.frame[moving[MOST_EMITTERS - 1]]) + 1
    moving = moving[scene.frame[moving] < n_frames]
    scene = replace(scene, frames=scene.frames[:n_frames], background=scene.background[:n_frames])
    listed = ("frame", "x", "y", "log_electrons", "sigma_x", "sigma_y", "sigma_log_electrons")
    return replace(scene, **{name: getattr(scene, name)[moving] for name in listed})


def _list(values: Tensor) -> tuple[Tensor, Tensor]:
    n_frames, _, height, width = values.shape
    rows = np.empty((n_frames, height * width // 4 + 16, N_FIELDS), np.float32)
    n_rows = np.zeros(n_frames, np.int64)
    list_components(values.numpy(), LIST_PROBABILITY, rows, n_rows)
    keep = np.arange(rows.shape[1])[None, :] < n_rows[:, None]
    frame = np.broadcast_to(np.arange(n_frames)[:, None], keep.shape)[keep]
    return torch.from_numpy(rows[keep]), torch.from_numpy(frame)


def _fit(scene: _Scene, network: DenseNet, start: Tensor, start_log_factor: float) -> tuple[Tensor, float]:
    """Fit PSF, emitters and background at once, then with that PSF the factor that all emitters' electrons share.

    Gives the PSF's coefficients on the family's axes, and the log of the factor.
    """
    draw = _Drawing(scene)
    n_frames, height, width = scene.frames.shape
    blocks = [max(1, side // BACKGROUND_BLOCK_PX) for side in (height, width)]
    z = start.clone().requires_grad_()
    log_electrons = scene.log_electrons.clone().requires_grad_()
    shift_x, shift_y = (torch.zeros_like(scene.x).requires_grad_() for _ in range(2))
    log_factor = torch.full((1,), start_log_factor).requires_grad_()
    glow = torch.zeros(n_frames, 1, *blocks).requires_grad_()

    def expected() -> Tensor:
        light = draw(_image(network, z), shift_x, shift_y, log_electrons + log_factor)
        more = F.interpolate(glow, (height, width), mode="bilinear")[:, 0]
        return light + scene.background + more

    with torch.no_grad():
        first = expected().clamp(min=0.0)
        weight = 1.0 / (first + scene.variance + 0.1)
        # emitters beyond the rim are not in the list, and what is far off is no emitter of this PSF
        weight[(scene.frames - first) ** 2 * weight > MOST_CHI_SQUARE] = 0.0
        inside = torch.zeros(height, width)
        inside[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = 1.0
        weight *= inside

    def loss() -> Tensor:
        misfit = (weight * (scene.frames - expected()) ** 2).sum()
        known = ((shift_x / scene.sigma_x) ** 2 + (shift_y / scene.sigma_y) ** 2).sum()
        known = known + (((log_electrons - scene.log_electrons) / scene.sigma_log_electrons) ** 2).sum()
        return 0.5 * (misfit + known + (z**2).sum())

    rest = [log_electrons, shift_x, shift_y, glow]
    _minimise(loss, [z, *rest])
    # afterwards: where emitters overlap, a free factor would trade light with the PSF's tail and spoil it
    _minimise(loss, [log_factor, *rest])
    return z.detach(), log_factor.item()


def _image(network: DenseNet, coefficients: Tensor) -> Tensor:
    image = network.family_image(coefficients)
    return image / image.sum()


def _minimise(loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    # PyTorch's own optimisers import its compiler, which takes longer than the fit
    sizes = [parameter.numel() for parameter in parameters]

    @torch.no_grad()
    def place(values: NDArray[np.float64]) -> None:
        pieces = torch.from_numpy(values.astype(np.float32)).split(sizes)
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.copy_(piece.reshape(parameter.shape))

    def value_and_gradient(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        place(values)
        value = loss()
        gradient = torch.cat([part.flatten() for part in torch.autograd.grad(value, parameters)])
        return value.item(), gradient.numpy().astype(np.float64)

    start = torch.cat([parameter.detach().flatten() for parameter in parameters]).numpy().astype(np.float64)
    found = minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "maxcor": ITERATIONS}
    )
    place(found.x)


class _Drawing:
    """Draws every emitter of a scene with one PSF image, shifted by the phases of its Fourier transform."""

    def __init__(self, scene: _Scene) -> None:
        self._shape = scene.frames.shape
        pixel_x, pixel_y = scene.x.floor(), scene.y.floor()
        self._x, self._y = scene.x - pixel_x - 0.5, scene.y - pixel_y - 0.5
        # patches may reach over the rim of a frame: frames are drawn with a margin
        n_frames, height, width = self._shape
        self._padded = (n_frames, height + 2 * PATCH_PX, width + 2 * PATCH_PX)
        along = torch.arange(PATCH_PX) + PATCH_PX // 2
        rows = (pixel_y.long()[:, None] + along).clamp(0, self._padded[1] - 1)
        columns = (pixel_x.long()[:, None] + along).clamp(0, self._padded[2] - 1)
        place = (scene.frame[:, None] * self._padded[1] + rows)[:, :, None] * self._padded[2]
        self._place = (place + columns[:, None, :]).flatten()
        self._ky = -2j * math.pi * torch.fft.fftfreq(PATCH_PX)
        self._kx = -2j * math.pi * torch.fft.rfftfreq(PATCH_PX)

    def __call__(self, image: Tensor, shift_x: Tensor, shift_y: Tensor, log_electrons: Tensor) -> Tensor:
        border = PATCH_PX // 2 - FAMILY_WINDOW_PX // 2
        rest = PATCH_PX - FAMILY_WINDOW_PX - border
        transform = torch.fft.rfft2(F.pad(image, (border, rest, border, rest)))
        turn_y = torch.exp(self._ky * (self._y + shift_y)[:, None]) * log_electrons.exp()[:, None]
        turn_x = torch.exp(self._kx * (self._x + shift_x)[:, None])
        patches = torch.fft.irfft2(transform * turn_y[:, :, None] * turn_x[:, None, :], s=(PATCH_PX, PATCH_PX))
        drawn = torch.zeros(math.prod(self._padded)).index_add(0, self._place, patches.flatten())
        margin = slice(PATCH_PX, -PATCH_PX)
        return drawn.reshape(self._padded)[:, margin, margin]


def _inner(image: Tensor) -> Tensor:
    rim = (FAMILY_WINDOW_PX - DESCRIPTOR_WINDOW_PX) // 2
    return image[None, rim:-rim, rim:-rim]
