import numpy as np
import pytest

from stormcell.data import Localizations, PixelGrid
from stormcell.rendering.placing import NOT_FINITE, OUTSIDE, place_rows

GRID = PixelGrid(10.0, (3, 5), (100.0, 200.0))


@pytest.mark.parametrize(
    ("x_nm", "y_nm", "pixel"),
    [
        (200.0, 100.0, 0),
        (209.999, 109.999, 0),
        (210.0, 100.0, 1),
        (200.0, 110.0, 5),
        (249.0, 129.0, 14),
        (250.0, 130.0, 14),
        (250.001, 120.0, OUTSIDE),
        (199.999, 120.0, OUTSIDE),
        (225.0, 99.9, OUTSIDE),
        (1e300, 1e300, OUTSIDE),
        (np.nan, 110.0, NOT_FINITE),
        (210.0, -np.inf, NOT_FINITE),
    ],
)
def test_each_position_has_its_pixel(x_nm, y_nm, pixel):
    rows = place_rows(Localizations({"x_nm": [x_nm], "y_nm": [y_nm]}), GRID)
    assert rows.pixel.tolist() == [pixel]
    assert (rows.n_outside, rows.n_not_finite) == (int(pixel == OUTSIDE), int(pixel == NOT_FINITE))
    assert rows.n_inside == int(pixel >= 0)


def test_one_row_with_a_weight_that_is_not_a_number():
    table = Localizations({"x_nm": [205.0], "y_nm": [105.0], "photons": [np.inf]})
    assert place_rows(table, GRID, "photons").pixel.tolist() == [NOT_FINITE]
