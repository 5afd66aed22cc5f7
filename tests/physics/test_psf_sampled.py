"""A PSF from its image on camera pixels against the PSF that drew it."""

import numpy as np
import pytest
import torch

from stormcell.errors import InputError
from stormcell.physics.psf.model import make_psf
from stormcell.physics.psf.sampled import psf_from_image
from stormcell.physics.psf.settings import DiffractionPSFSettings

ABERRATED = DiffractionPSFSettings(zernike_waves={"coma_x": 0.06, "astigmatism": -0.05})


@pytest.mark.parametrize("settings", [DiffractionPSFSettings(), ABERRATED])
def test_images_between_pixels_are_those_of_the_psf(settings):
    psf = make_psf(settings, 100.0)
    one = torch.ones(1, dtype=torch.float64)
    again = psf_from_image(psf.images(10.5 * one, 10.5 * one, one, (21, 21))[0], 100.0)
    assert again.sigma_px == pytest.approx(psf.sigma_px, rel=0.01)
    for x, y in ((10.5, 10.5), (10.1, 10.8), (10.9, 10.3)):
        drawn, expected = (p.images(x * one, y * one, one, (21, 21))[0].numpy() for p in (again, psf))
        np.testing.assert_allclose(drawn[4:-4, 4:-4], expected[4:-4, 4:-4], atol=0.012 * expected.max())


def test_scale_and_place_of_the_image_do_not_matter():
    psf = make_psf(DiffractionPSFSettings(), 100.0)
    one = torch.ones(1, dtype=torch.float64)
    image = psf.images(10.7 * one, 10.4 * one, 500 * one, (21, 21))[0]
    drawn = psf_from_image(image, 100.0).images(10.5 * one, 10.5 * one, one, (21, 21))[0]
    expected = psf.images(10.5 * one, 10.5 * one, one, (21, 21))[0]
    np.testing.assert_allclose(drawn[4:-4, 4:-4], expected[4:-4, 4:-4], atol=0.012 * float(expected.max()))


@pytest.mark.parametrize("shape", [(20, 20), (21, 19), (33, 33)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match="expected an image of shape"):
        psf_from_image(torch.ones(shape), 100.0)
