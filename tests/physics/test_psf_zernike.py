import numpy as np
import pytest

from stormcell.errors import InputError
from stormcell.physics.psf.zernike import ABERRATIONS, noll_to_orders, zernike


def test_first_orders_are_nolls() -> None:
    expected = [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (3, -3), (3, 3), (4, 0), (4, 2)]
    assert [noll_to_orders(index) for index in range(1, 13)] == expected


def test_polynomials_are_orthonormal_over_the_disc() -> None:
    axis = (np.arange(400) + 0.5) / 200 - 1
    x, y = np.meshgrid(axis, axis)
    rho, phi = np.hypot(x, y), np.arctan2(y, x)
    inside = rho <= 1
    values = np.stack([zernike(index, rho, phi)[inside] for index in ABERRATIONS.values()])
    products = values @ values.T / inside.sum()
    np.testing.assert_allclose(products, np.eye(len(ABERRATIONS)), atol=0.01)


def test_named_aberrations_look_as_they_should() -> None:
    rho, phi = np.ones(3), np.array([0.0, np.pi / 2, np.pi])
    assert zernike(ABERRATIONS["coma_x"], rho, phi) == pytest.approx(np.array([1, 0, -1]) * 8**0.5)
    assert zernike(ABERRATIONS["astigmatism"], rho, phi) == pytest.approx(np.array([1, -1, 1]) * 6**0.5)
    assert zernike(ABERRATIONS["spherical"], rho, phi) == pytest.approx(5**0.5)


def test_index_zero_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        noll_to_orders(0)
