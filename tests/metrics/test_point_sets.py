import numpy as np
import pytest

from stormcell.errors import InputError
from stormcell.metrics import rmsmd


@pytest.mark.parametrize("dimensions", [2, 3])
def test_rmsmd_is_what_its_formula_says(dimensions):
    rng = np.random.default_rng(0)
    found, true = rng.uniform(0, 1000, (70, dimensions)), rng.uniform(0, 1000, (50, dimensions))
    squares = ((found[:, None] - true[None]) ** 2).sum(axis=-1)
    expected = np.sqrt((squares.min(axis=1).sum() + squares.min(axis=0).sum()) / 120)
    assert rmsmd(found, true) == pytest.approx(expected, rel=1e-12)
    assert rmsmd(true, found) == pytest.approx(expected, rel=1e-12)


def test_equal_sets_and_empty_sets():
    points = np.random.default_rng(1).uniform(0, 10, (5, 2))
    assert rmsmd(points, points[::-1]) == 0
    assert np.isnan(rmsmd(points, np.zeros((0, 2))))
    assert np.isnan(rmsmd(np.zeros((0, 2)), points))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match=r"got \(3, 2\) and \(3, 3\)"):
        rmsmd(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="expected finite positions"):
        rmsmd([[0, np.nan]], [[0, 0]])
