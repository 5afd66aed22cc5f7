"""Cramer-Rao lower bound of any PSF, by differentiating its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from stormcell.errors import InputError
from stormcell.physics.gaussian import CameraNoise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from stormcell.physics.psf.model import PSF

PSF_PARAMETERS = ("x", "y", "electrons", "background", "z")
"""Order of the bounds; z only where it is fitted."""

_STEPS = (1e-3, 1e-3, 0.5, 0.5, 0.5)
"""Steps of the differences; images are linear in light and, between planes, in height."""


def crlb_psf(
    psf: PSF,
    electrons: ArrayLike,
    background_e: ArrayLike,
    *,
    roi_px: int = 13,
    position_px: ArrayLike | None = None,
    z_nm: ArrayLike | None = None,
    noise: CameraNoise | None = None,
) -> NDArray[np.float64]:
    """Lower bound on the standard deviations of a fit with the true PSF.

    Parameters
    ----------
    psf : PSF
        The true PSF.
    electrons : array_like
        Electrons of the emitter within 10 px, > 0, scalar or (N,).
    background_e : array_like
        Background electrons per pixel, >= 0, scalar or (N,).
    roi_px : int
        Side of the square region that the fit sees.
    position_px : array_like, optional
        Shape (N, 2), x and y from the outer corner of the region; None puts the emitter in the middle of its central
        pixel.
    z_nm : array_like, optional
        Heights, scalar or (N,); given, z is a fitted parameter too. None keeps the emitter in focus and z fixed.
    noise : CameraNoise, optional
        Read noise and excess noise; None is pure shot noise.

    Returns
    -------
    ndarray
        Shape (N, 4) or, with z, (N, 5): standard deviations of `PSF_PARAMETERS` in px, px, electrons, electrons, nm.

    Raises
    ------
    InputError
        Electrons or background are out of range, or z is asked of a PSF with a single plane.

    Notes
    -----
    Fisher information as in `physics.gaussian.crlb_gaussian`, with the same approximations for sCMOS and EMCCD.
    """
    noise = noise or CameraNoise()
    light, dark = np.broadcast_arrays(np.atleast_1d(electrons).astype(float), np.asarray(background_e, dtype=float))
    if light.min() <= 0 or dark.min() < 0:
        msg = f"expected electrons above 0 and a background of at least 0, got {light.min():g} and {dark.min():g}"
        raise InputError(msg)
    if z_nm is not None and psf.bank.n_planes == 1:
        msg = "expected a PSF with several planes to bound z; make it with z_range_nm above 0"
        raise InputError(msg)
    place = np.full((len(light), 2), roi_px / 2) if position_px is None else np.asarray(position_px, dtype=float)
    height = None if z_nm is None else np.broadcast_to(np.asarray(z_nm, dtype=float), light.shape)
    columns = [place[:, 0], place[:, 1], light, dark, *([] if height is None else [height])]
    theta = torch.from_numpy(np.stack(columns, axis=1).copy())
    shape = (roi_px, roi_px)

    def expected(values: torch.Tensor) -> torch.Tensor:
        z = values[:, 4].contiguous() if values.shape[1] > 4 else None
        images = psf.images(values[:, 0], values[:, 1], values[:, 2], shape, z)
        return images + values[:, 3, None, None]

    derivatives = torch.stack([_slope(expected, theta, parameter) for parameter in range(theta.shape[1])], dim=1)
    variance = noise.excess_noise_factor * expected(theta).clamp_min(1e-9) + torch.as_tensor(noise.read_variance_e2)
    fisher = torch.einsum("nayx,nbyx,nyx->nab", derivatives, derivatives, 1 / variance)
    bounds: NDArray[np.float64] = torch.linalg.inv(fisher).diagonal(dim1=1, dim2=2).sqrt().numpy()
    return bounds


def _slope(expected: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor, parameter: int) -> torch.Tensor:
    """Differentiate images (N, Y, X) by one parameter, as a central difference."""
    step = torch.zeros_like(theta)
    step[:, parameter] = _STEPS[parameter]
    return (expected(theta + step) - expected(theta - step)) / (2 * _STEPS[parameter])
