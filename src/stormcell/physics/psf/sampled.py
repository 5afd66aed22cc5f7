"""A PSF known as one image on camera pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from stormcell.errors import InputError
from stormcell.physics.psf.bank import BankRow, bank_from_densities
from stormcell.physics.psf.model import PSF
from stormcell.physics.psf.spline_table import FINE_SAMPLES, OVERSAMPLING

if TYPE_CHECKING:
    from torch import Tensor

_FIELD_PX = FINE_SAMPLES // OVERSAMPLING


def psf_from_image(image: Tensor, camera_pixel_size_nm: float) -> PSF:
    """Make a PSF from the light that an emitter in the centre of a pixel throws into the pixels.

    Between pixels the image is taken to be band-limited, as light through an objective is where a pixel is no wider
    than about a quarter of the wavelength over the aperture; beyond the image there is no light.

    Parameters
    ----------
    image : Tensor
        Shape (S, S), S odd and at most 31: light per camera pixel, any scale; the emitter near the middle.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.

    Returns
    -------
    PSF
        With its zero where a Gaussian fit puts it, as every `PSF` has it.

    Raises
    ------
    InputError
        Another shape.
    """
    side = image.shape[0]
    if image.shape != (side, side) or side % 2 == 0 or side >= _FIELD_PX:
        msg = f"expected an image of shape (S, S), S odd and at most {_FIELD_PX - 1}, got {tuple(image.shape)}"
        raise InputError(msg)
    before = _FIELD_PX // 2 - side // 2
    field = F.pad(image.double(), (before, _FIELD_PX - side - before) * 2)
    spectrum = torch.fft.fftshift(torch.fft.fft2(field))
    more = (FINE_SAMPLES - _FIELD_PX) // 2
    fine = torch.fft.ifft2(torch.fft.ifftshift(F.pad(spectrum, (more, more, more, more)))).real
    row = BankRow("measured", camera_pixel_size_nm)
    return PSF(bank_from_densities(fine[None, None], [row], np.zeros(1), is_integrated=True))
