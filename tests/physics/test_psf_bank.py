import numpy as np
import pytest
import torch

from stormcell.errors import InputError, SettingsError
from stormcell.physics.psf.bank import BankRow, PSFBank, bank_from_densities, join_banks
from stormcell.physics.psf.bank_arrays import bank_from_arrays, bank_to_arrays
from stormcell.physics.psf.densities import gaussian_density, gaussian_halo, lorentzian_halo
from stormcell.physics.psf.gaussian_fit import fit_gaussians
from stormcell.physics.psf.random_bank import RandomBankSettings, random_psf_bank
from stormcell.physics.psf.spline_table import add_emitters, spline_images, table_from_shares

SMALL = RandomBankSettings(n_planes=3)


@pytest.fixture(scope="module")
def bank() -> PSFBank:
    return random_psf_bank(24, 3, SMALL)


def test_random_psfs_keep_to_their_ranges(bank: PSFBank) -> None:
    focus = bank.focus_plane
    assert bank.n_psfs == 24
    assert bank.table.shape == (72, 4, 4, 24, 24)
    assert ((bank.sigma_px[:, focus] >= 0.6) & (bank.sigma_px[:, focus] <= 2.0)).all()
    assert ((bank.tail_fraction >= 0) & (bank.tail_fraction < 0.96)).all()
    assert ((bank.strehl > 0.6) & (bank.strehl <= 1.0)).all()
    assert ((bank.camera_pixel_size_nm >= 65) & (bank.camera_pixel_size_nm <= 165)).all()
    assert {"gaussian", "vectorial"} <= set(bank.kind) <= {"gaussian", "vectorial", "scalar"}
    np.testing.assert_allclose(bank.photon_correction * (1 - bank.tail_fraction), 1)


def test_random_psfs_depend_on_seed_and_number_alone(bank: PSFBank) -> None:
    fewer = random_psf_bank(3, 3, SMALL)
    assert torch.equal(fewer.table, bank.table[:9])
    assert not torch.equal(random_psf_bank(3, 4, SMALL).table, fewer.table)


def test_random_psfs_hold_all_photons_and_lie_at_zero(bank: PSFBank) -> None:
    """Centre: mean over sub-pixel positions to 0.002 px; an aberrated spot scatters round it by what is stated."""
    steps = 3 + (torch.arange(6, dtype=torch.float64) + 0.5) / 6
    x, y = (grid.ravel() for grid in torch.meshgrid(steps, steps, indexing="ij"))
    n = len(x)
    for psf in range(bank.n_psfs):
        kernel = torch.full((n,), psf * 3 + bank.focus_plane)
        images = spline_images(bank.table, kernel, x + 10, y + 10, (27, 27)).double()
        assert float((images.sum(dim=(1, 2)) - 1).abs().max()) < 1e-3
        fits = fit_gaussians(images[:, 10:17, 10:17])
        errors = torch.stack([fits.x_px + 3.5 - x, fits.y_px + 3.5 - y])
        assert float(errors.mean(dim=1).abs().max()) < 0.002
        assert float(errors.norm(dim=0).max()) < 1.3 * bank.centre_spread_px[psf] + 0.001


def test_most_random_psfs_lie_at_zero_for_every_shift(bank: PSFBank) -> None:
    assert np.median(bank.centre_spread_px) < 0.002
    assert bank.centre_spread_px.max() < 0.03


def test_kernels_and_selection(bank: PSFBank) -> None:
    kernels = bank.kernel(np.array([2, 2, 2, 5]), np.array([-1000.0, 20.0, 290.0, 0.0]))
    assert kernels.tolist() == [6, 7, 8, 16]
    chosen = bank.select([5, 2])
    assert chosen.n_psfs == 2
    assert chosen.kind == (bank.kind[5], bank.kind[2])
    assert torch.equal(chosen.table[:3], bank.table[15:18])
    assert chosen.sigma_px[1, 0] == bank.sigma_px[2, 0]


def test_banks_are_joined(bank: PSFBank) -> None:
    flat = bank_from_densities(gaussian_density(1.2, 1.2)[None, None], [BankRow("measured", 100.0)], np.zeros(1))
    joined = join_banks([bank.select([4]), flat, bank.select([7])])
    assert joined.kind == (bank.kind[4], "measured", bank.kind[7])
    assert joined.sigma_px[1].tolist() == [flat.sigma_px[0, 0]] * 3
    assert torch.equal(joined.table[:3], bank.table[12:15])
    assert all(torch.equal(joined.table[i], flat.table[0]) for i in (3, 4, 5))
    assert torch.equal(joined.table[6:], bank.table[21:24])
    other = random_psf_bank(1, 1, SMALL.replace(z_range_nm=200))
    with pytest.raises(InputError, match="same heights"):
        join_banks([bank, other])


def test_banks_survive_as_arrays(bank: PSFBank) -> None:
    again = bank_from_arrays(bank_to_arrays(bank))
    assert torch.equal(again.table, bank.table)
    assert again.kind == bank.kind
    assert np.array_equal(again.tail_fraction, bank.tail_fraction)
    with pytest.raises(InputError, match="strehl is missing"):
        bank_from_arrays({name: array for name, array in bank_to_arrays(bank).items() if name != "strehl"})


def test_out_of_focus_spots_are_wider(bank: PSFBank) -> None:
    wider = bank.sigma_px[:, [0, 2]].max(axis=1) > bank.sigma_px[:, 1]
    assert wider.mean() > 0.9


def test_numba_and_torch_evaluate_the_same_spline(bank: PSFBank) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-9, 33, (2, 60))
    kernel = rng.integers(0, 72, 60)
    frames = np.zeros((60, 1, 20, 26), np.float32)
    add_emitters(frames, bank.table.numpy(), np.arange(61), kernel, x, y, np.ones((60, 1), np.float32))
    arrays = (torch.from_numpy(a) for a in (kernel, x, y))
    images = spline_images(bank.table, *arrays, (20, 26)).numpy()
    assert np.abs(images - frames[:, 0]).max() < 1e-6


def test_far_emitters_leave_nothing(bank: PSFBank) -> None:
    x = torch.tensor([60.0, -40.0], dtype=torch.float64)
    assert float(spline_images(bank.table, torch.tensor([0, 1]), x, x, (20, 20)).abs().max()) == 0


def test_elliptical_gaussian_reports_its_ellipticity() -> None:
    density = torch.stack([gaussian_density(1.4, 1.0, 0.5), gaussian_density(1.2, 1.2)])[:, None]
    made = bank_from_densities(density, [BankRow("gaussian", 100.0)] * 2, np.zeros(1))
    assert made.ellipticity[0, 0] == pytest.approx(0.4 / 2.4, abs=0.01)
    assert made.ellipticity[1, 0] == pytest.approx(0, abs=1e-4)
    assert made.sigma_px[1, 0] == pytest.approx(1.2, abs=1e-4)


def test_an_off_centre_density_is_centred() -> None:
    shifted = torch.roll(gaussian_density(1.3, 1.3), (3, -6), (0, 1))
    made = bank_from_densities(shifted[None, None], [BankRow("gaussian", 100.0)], np.zeros(1))
    place = torch.tensor([10.5], dtype=torch.float64)
    image = spline_images(made.table, torch.tensor([0]), place, place, (21, 21))[0]
    assert torch.allclose(image, image.T, atol=1e-6)
    assert torch.allclose(image, image.flip(0), atol=1e-6)


def test_halos_sum_to_one() -> None:
    assert float(gaussian_halo(4.0).sum()) == pytest.approx(1)
    assert float(lorentzian_halo(2.0).sum()) == pytest.approx(1)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="2 PSFs"):
        bank_from_densities(torch.ones(1, 1, 128, 128), [BankRow("gaussian", 100.0)] * 2, np.zeros(1))
    with pytest.raises(InputError, match="pixel shares"):
        table_from_shares(np.zeros((1, 20, 20)))
    with pytest.raises(InputError, match="W odd"):
        fit_gaussians(torch.zeros(1, 6, 6))


@pytest.mark.parametrize(("field", "value"), [("n_planes", 4), ("sigma_px", (0.1, 2.0)), ("na", (1.4, 1.2))])
def test_impossible_banks_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(SettingsError, match=field):
        RandomBankSettings.create(**{field: value})
