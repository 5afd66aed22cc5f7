import numba
import numpy as np
import pytest
import torch
from scipy import stats

from stormcell.simulation.noise import read_noise_maps, record
from stormcell.simulation.noise_on_device import record_on_device


def _record(
    rate: float, *, read_noise: float = 0.0, step: float = 0.0, is_emccd: bool = False, key: tuple[int, int] = (1, 2)
) -> np.ndarray:
    shape = (4, 1, 160, 160)
    noise = np.full((4, 160, 160), read_noise, np.float32)
    steps = np.full(4, step, np.float32)
    return record(np.full(shape, rate, np.float32), noise, steps, np.full(4, is_emccd), key)


@pytest.mark.parametrize("rate", [0.05, 0.7, 5.0, 9.99, 10.01, 14.0, 40.0, 99.0, 300.0, 5000.0])
def test_poisson_numbers_follow_the_exact_distribution(rate: float) -> None:
    counts = _record(rate).astype(int).ravel()
    values = np.arange(counts.max() + 2)
    expected = stats.poisson.pmf(values, rate) * counts.size
    seen = np.bincount(counts, minlength=len(values))
    # bins of at least 20 expected numbers; both tails in one bin each
    common = expected > 20
    chi2 = ((seen - expected)[common] ** 2 / expected[common]).sum()
    rest = counts.size - expected[common].sum()
    chi2 += (seen[~common].sum() - rest) ** 2 / max(rest, 1)
    assert stats.chi2.sf(chi2, common.sum()) > 1e-3


def test_read_noise_is_normal() -> None:
    values = _record(0.0, read_noise=1.7).ravel()
    assert stats.kstest(values / 1.7, "norm").pvalue > 1e-3


@pytest.mark.parametrize("rate", [1.0, 30.0, 400.0])
def test_multiplication_doubles_the_variance(rate: float) -> None:
    values = _record(rate, is_emccd=True).astype(np.float64)
    assert values.mean() == pytest.approx(rate, rel=5 * (2 / rate / values.size) ** 0.5)
    assert values.var() == pytest.approx(2 * rate, rel=0.04)


def test_multiplied_electrons_follow_the_gamma_distribution() -> None:
    values = _record(3.0, is_emccd=True).ravel()
    at = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    n = np.arange(1, 60)
    cdf = stats.poisson.pmf(0, 3.0) + (stats.poisson.pmf(n, 3.0)[:, None] * stats.gamma.cdf(at, n[:, None])).sum(0)
    seen = (values[:, None] <= at).mean(axis=0)
    np.testing.assert_allclose(seen, cdf, atol=4 * 0.5 / values.size**0.5)


def test_grey_steps() -> None:
    values = _record(50.0, read_noise=1.0, step=0.5)
    assert np.allclose(values * 2, np.rint(values * 2))


def test_every_sample_has_its_own_numbers_and_the_key_fixes_them() -> None:
    first = _record(20.0)
    assert np.array_equal(first, _record(20.0))
    assert not np.array_equal(first, _record(20.0, key=(1, 3)))
    assert not np.array_equal(first, _record(20.0, key=(2, 2)))
    pairs = np.corrcoef(first.reshape(4, -1))
    assert np.abs(pairs - np.eye(4)).max() < 0.03


def test_numbers_do_not_depend_on_the_threads() -> None:
    many = _record(20.0, read_noise=1.0)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert np.array_equal(many, _record(20.0, read_noise=1.0))
    finally:
        numba.set_num_threads(before)


def test_read_noise_maps_have_a_median_and_few_noisy_pixels() -> None:
    maps = read_noise_maps((200, 200), np.array([1.5, 2.0], np.float32), np.array([0.2, 0.0], np.float32), 3)
    assert np.median(maps[0]) == pytest.approx(1.5, rel=0.02)
    assert np.log(maps[0][maps[0] < 4]).std() == pytest.approx(0.2, rel=0.05)
    assert 0.001 < (maps[0] > 4).mean() < 0.006
    assert (maps[1] == 2.0).all()


@pytest.mark.parametrize("rate", [0.5, 4.0, 60.0])
def test_noise_of_accelerators_has_the_same_distribution(rate: float) -> None:
    expected = torch.full((2, 1, 300, 300), rate)
    is_emccd = torch.tensor([False, True])
    generator = torch.Generator().manual_seed(1)
    noisy = record_on_device(expected, torch.zeros(2, 300, 300), torch.full((2,), 1e-3), is_emccd, generator)
    plain, multiplied = (noisy[i].numpy().astype(np.float64) for i in (0, 1))
    assert plain.var() == pytest.approx(rate, rel=0.03)
    assert multiplied.mean() == pytest.approx(rate, rel=0.02)
    assert multiplied.var() == pytest.approx(2 * rate, rel=0.04)
    ours = _record(rate, is_emccd=True).ravel()
    assert stats.ks_2samp(multiplied.ravel(), ours).pvalue > 1e-3
