"""Every PSF of the registry against what its words promise: photons, position, width, axes, bounds."""

import math

import numpy as np
import pytest
import torch
from scipy.special import j1

from stormcell.physics.gaussian import crlb_gaussian, gaussian_images
from stormcell.physics.psf.crlb import crlb_psf
from stormcell.physics.psf.diffraction import Pupil
from stormcell.physics.psf.gaussian_fit import fit_gaussians
from stormcell.physics.psf.gaussian_psf import gaussian_psf_images
from stormcell.physics.psf.model import PSF, make_psf
from stormcell.physics.psf.settings import PSFS, DiffractionPSFSettings, GaussianPSFSettings, OpticsSettings

PIXEL_NM = 100.0


@pytest.fixture(scope="module", params=list(PSFS))
def psf(request: pytest.FixtureRequest) -> PSF:
    return make_psf(PSFS[request.param], PIXEL_NM)


def _draw(psf: PSF, x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> torch.Tensor:
    one = torch.ones(len(x), dtype=torch.float64)
    return psf.images(torch.as_tensor(x), torch.as_tensor(y), one, shape)


def test_photons_in_are_photons_out(psf: PSF) -> None:
    rng = np.random.default_rng(1)
    totals = _draw(psf, *(12 + rng.random((2, 50))), (25, 25)).sum(dim=(1, 2))
    assert float((totals - 1).abs().max()) < 1e-3


def test_best_fit_gaussian_lies_at_the_emitter(psf: PSF) -> None:
    """7 x 7 px window round the emitter's pixel, any sub-pixel shift, 0.002 px."""
    rng = np.random.default_rng(2)
    x, y = rng.random((2, 200))
    images = _draw(psf, x + 3, y + 3, (7, 7))
    fits = fit_gaussians(images)
    assert np.abs(fits.x_px.numpy() + 3.5 - x - 3).max() < 0.002
    assert np.abs(fits.y_px.numpy() + 3.5 - y - 3).max() < 0.002


def test_reported_width_and_tail_are_those_of_the_fit(psf: PSF) -> None:
    fits = fit_gaussians(_draw(psf, np.array([3.5]), np.array([3.5]), (7, 7)))
    assert float(fits.sigma_px) == pytest.approx(psf.sigma_px, rel=1e-3)
    assert 1 - float(fits.photons) == pytest.approx(psf.tail_fraction, abs=2e-3)
    assert psf.photon_correction == pytest.approx(1 / (1 - psf.tail_fraction))


def test_light_is_never_below_zero(psf: PSF) -> None:
    images = _draw(psf, np.array([12.3]), np.array([12.8]), (25, 25))
    assert float(images.min()) > -1e-4 * float(images.max())


@pytest.mark.parametrize("sigma_nm", [60.0, 90.0, 150.0, 250.0])
def test_tabulated_gaussian_agrees_with_the_numba_reference(sigma_nm: float) -> None:
    psf = make_psf(GaussianPSFSettings(sigma_nm=sigma_nm), PIXEL_NM)
    rng = np.random.default_rng(3)
    x, y = 12 + rng.random((2, 40))
    sigma = np.full(40, sigma_nm / PIXEL_NM)
    reference = gaussian_images(np.stack([x, y, np.ones(40), np.zeros(40), sigma, sigma], axis=1), (25, 25))
    difference = np.abs(_draw(psf, x, y, (25, 25)).numpy() - reference).max()
    assert difference < 1e-3 * reference.max()


def test_torch_gaussian_agrees_with_the_numba_reference() -> None:
    rng = np.random.default_rng(4)
    n = 100
    theta = np.stack(
        [
            rng.uniform(-2, 20, n),
            rng.uniform(-2, 14, n),
            rng.uniform(1, 1e4, n),
            np.zeros(n),
            *rng.uniform(0.5, 3, (2, n)),
        ],
        axis=1,
    )
    reference = gaussian_images(theta, (12, 18))
    columns = (torch.as_tensor(theta[:, i].copy()) for i in (0, 1, 2, 4, 5))
    images = gaussian_psf_images(*columns, (12, 18)).numpy()
    assert np.abs(images - reference).max() < 1e-6 * theta[:, 2].max()
    assert np.abs(images / theta[:, 2, None, None] - reference / theta[:, 2, None, None]).max() < 1e-6


def test_torch_gaussian_gradients() -> None:
    values = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (5.3, 4.6, 700.0, 1.1, 1.4)]
    assert torch.autograd.gradcheck(lambda *a: gaussian_psf_images(*a, (9, 11)), values)


def test_spline_gradients() -> None:
    psf = make_psf(PSFS["oil-1.4"], PIXEL_NM, z_range_nm=100)
    values = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (5.3, 4.6, 7.0)]
    z = torch.tensor([20.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, y, n, h: psf.images(x, y, n, (9, 11), h), (*values, z), atol=1e-6)


def test_scalar_psf_is_the_airy_pattern() -> None:
    settings = DiffractionPSFSettings(model="scalar", na=1.2, wavelength_nm=600.0, immersion_index=1.518)
    # pixels so small that integration over them does not matter
    psf = make_psf(settings, 30.0)
    image = _draw(psf, np.array([16.5]), np.array([16.5]), (33, 33))[0].numpy()
    offset = (np.arange(33) - 16) * 30.0
    v = 2 * math.pi * 1.2 / 600.0 * np.hypot(offset[:, None], offset)
    v[16, 16] = 1e-9
    airy = (2 * j1(v) / v) ** 2
    near = np.hypot(offset[:, None], offset) < 270
    scaled = image / image.max()
    assert np.abs(scaled - airy)[near].max() < 0.012


def test_index_mismatch_without_depth_and_matched_indices() -> None:
    """A matched medium has no spherical aberration: depth changes nothing."""
    shallow = make_psf(DiffractionPSFSettings(na=1.3, sample_index=1.518, depth_nm=0.0), PIXEL_NM)
    deep = make_psf(DiffractionPSFSettings(na=1.3, sample_index=1.518, depth_nm=3000.0), PIXEL_NM)
    assert float((shallow.bank.table - deep.bank.table).abs().max()) < 2e-4
    mismatched = make_psf(DiffractionPSFSettings(na=1.3, sample_index=1.33, depth_nm=3000.0), PIXEL_NM)
    assert mismatched.tail_fraction > shallow.tail_fraction + 0.05


def test_fixed_dipoles_add_up_to_the_free_one() -> None:
    place = np.arange(-5, 6) * 60.0
    free = Pupil(OpticsSettings(na=1.4)).intensities(place, (0.0, 200.0))
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    fixed = [Pupil(OpticsSettings(na=1.4, dipole=axis)).intensities(place, (0.0, 200.0)) for axis in axes]
    assert torch.allclose(sum(fixed), free, rtol=1e-4)


def test_low_aperture_makes_the_vectorial_model_scalar() -> None:
    place = np.arange(-8, 9) * 150.0
    both = [
        Pupil(OpticsSettings(na=0.3, immersion_index=1.33, sample_index=1.33, model=model)).intensities(place)[0]
        for model in ("vectorial", "scalar")
    ]
    vectorial, scalar = (image / image.max() for image in both)
    assert float((vectorial - scalar).abs().max()) < 0.01


def test_dipoles_in_the_plane_stretch_the_spot() -> None:
    free = make_psf(DiffractionPSFSettings(na=1.4), PIXEL_NM)
    x_dipole = make_psf(DiffractionPSFSettings(na=1.4, dipole=(1, 0, 0)), PIXEL_NM)
    y_dipole = make_psf(DiffractionPSFSettings(na=1.4, dipole=(0, 1, 0)), PIXEL_NM)
    assert x_dipole.ellipticity > 0.05 > free.ellipticity + 0.04
    turned = x_dipole.bank.table.permute(0, 2, 1, 4, 3)
    assert float((turned - y_dipole.bank.table).abs().max()) < 1e-6


def test_bound_of_a_gaussian_agrees_with_the_reference() -> None:
    psf = make_psf(GaussianPSFSettings(sigma_nm=120.0), PIXEL_NM)
    bounds = crlb_psf(psf, [500.0, 5000.0], 20.0, roi_px=15)
    reference = crlb_gaussian([500.0, 5000.0], 20.0, 1.2, roi_px=15, fit_sigma="fixed")[:, :4]
    np.testing.assert_allclose(bounds, reference, rtol=2e-4)


def test_bound_is_met_by_maximum_likelihood_fits() -> None:
    """The bound of a diffraction PSF against 400 noisy Newton fits with the same PSF."""
    psf = make_psf(PSFS["oil-1.4"], PIXEL_NM)
    rng = np.random.default_rng(5)
    n, truth = 400, torch.tensor([6.4, 6.7, 3000.0, 20.0], dtype=torch.float64)
    bound = crlb_psf(psf, 3000.0, 20.0, roi_px=13, position_px=np.array([[6.4, 6.7]]))[0]
    theta = truth.repeat(n, 1)
    clean = psf.images(theta[:, 0], theta[:, 1], theta[:, 2], (13, 13)) + theta[:, 3, None, None]
    data = torch.as_tensor(rng.poisson(clean.clamp_min(0).numpy()).astype(float))
    for _ in range(5):
        image, slopes = _with_slopes(psf, theta)
        fisher = torch.einsum("nayx,nbyx,nyx->nab", slopes, slopes, 1 / image)
        theta = theta + torch.linalg.solve(fisher, torch.einsum("nayx,nyx->na", slopes, (data - image) / image))
    spread = theta.std(dim=0).numpy()
    np.testing.assert_allclose(spread, bound, rtol=0.12)
    assert np.abs((theta.mean(dim=0) - truth).numpy() / bound).max() < 0.2


def _with_slopes(psf: PSF, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    def model(values: torch.Tensor) -> torch.Tensor:
        return psf.images(values[:, 0], values[:, 1], values[:, 2], (13, 13)) + values[:, 3, None, None]

    slopes = []
    for parameter in range(4):
        step = torch.zeros(4, dtype=theta.dtype)
        step[parameter] = 1e-3
        slopes.append((model(theta + step) - model(theta - step)) / 2e-3)
    return model(theta).clamp_min(1e-3), torch.stack(slopes, dim=1)


def test_x_and_y_stay_apart_through_the_psf() -> None:
    psf = make_psf(GaussianPSFSettings(sigma_nm=120.0, ellipticity=0.2, angle_rad=0.0), PIXEL_NM)
    image = _draw(psf, np.array([20.2]), np.array([6.7]), (13, 31))[0].numpy()
    rows, columns = np.arange(13) + 0.5, np.arange(31) + 0.5
    assert (image.sum(0) * columns).sum() == pytest.approx(20.2, abs=0.02)
    assert (image.sum(1) * rows).sum() == pytest.approx(6.7, abs=0.1)
    assert (image.sum(0) * (columns - 20.2) ** 2).sum() > 1.5 * (image.sum(1) * (rows - 6.7) ** 2).sum()


def test_astigmatism_turns_with_height() -> None:
    psf = make_psf(PSFS["gaussian-astigmatic"], PIXEL_NM, z_range_nm=400)
    z = torch.tensor([-200.0, 200.0], dtype=torch.float64)
    place = torch.full((2,), 12.5, dtype=torch.float64)
    images = psf.images(place, place, torch.ones(2, dtype=torch.float64), (25, 25), z)
    offset = torch.arange(25) - 12.0
    width_x, width_y = ((images.sum(axis) * offset**2).sum(1) for axis in (1, 2))
    assert width_x[0] > 1.1 * width_y[0]
    assert width_y[1] > 1.1 * width_x[1]
