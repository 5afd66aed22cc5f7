"""Components to lists: sharing pixels are merged, neighbours stay apart."""

import numpy as np
import pytest

from stormcell.learning.dense_decoding import N_FIELDS, list_components


def components(shape=(12, 15), fill=-10.0):
    values = np.zeros((1, N_FIELDS, *shape), np.float32)
    values[:, 0] = fill
    values[:, 3:5] = np.log(0.1)
    return values


def place(values, pixel, position, probability):
    y, x = pixel
    values[0, 0, y, x] = np.log(probability / (1 - probability))
    values[0, 1, y, x] = position[0] - (x + 0.5)
    values[0, 2, y, x] = position[1] - (y + 0.5)
    values[0, 5, y, x] = 7.0


def listed(values, threshold=0.5):
    rows = np.empty((len(values), 50, N_FIELDS), np.float32)
    n_rows = np.zeros(len(values), np.int64)
    list_components(values, threshold, rows, n_rows)
    return rows[0, : n_rows[0]]


def test_one_component_keeps_its_position_and_sigma():
    values = components()
    place(values, (4, 7), (7.2, 4.9), 0.9)
    (row,) = listed(values)
    assert row[:5] == pytest.approx([0.9, 7.2, 4.9, 0.1, 0.1], abs=1e-4)


def test_pixels_that_share_an_emitter_are_merged_and_their_disagreement_widens_sigma():
    values = components()
    place(values, (4, 7), (8.02, 4.5), 0.5)
    place(values, (4, 8), (7.98, 4.5), 0.45)
    (row,) = listed(values, threshold=0.6)
    assert row[0] == pytest.approx(0.95, abs=1e-3)
    assert row[1] == pytest.approx(8.0, abs=5e-3)
    assert 0.1 < row[3] < 0.11


def test_sigma_does_not_depend_on_the_place():
    near, far = components((12, 600)), components((12, 600))
    for values, column in ((near, 5), (far, 590)):
        values[:, 3:5] = np.log(0.03)
        place(values, (4, column), (column + 0.98, 4.5), 0.6)
        place(values, (4, column + 1), (column + 1.02, 4.5), 0.4)
    np.testing.assert_allclose(listed(far)[0, 3:5], listed(near)[0, 3:5], rtol=1e-3)


def test_two_emitters_in_adjacent_pixels_stay_two():
    values = components()
    place(values, (4, 7), (7.3, 4.5), 0.95)
    place(values, (4, 8), (8.4, 4.5), 0.9)
    assert len(listed(values)) == 2


def test_probabilities_that_add_up_to_two_emitters_give_two_rows():
    values = components()
    place(values, (4, 7), (7.99, 4.5), 0.9)
    place(values, (4, 8), (8.01, 4.5), 0.65)
    place(values, (3, 8), (8.05, 4.4), 0.55)
    # the second would make one and a half of the first, the third does not
    assert sorted(listed(values)[:, 0]) == pytest.approx([0.65, 1.0], abs=1e-3)


def test_nothing_above_the_threshold_gives_nothing():
    values = components()
    place(values, (4, 7), (7.3, 4.5), 0.3)
    assert len(listed(values)) == 0


def test_corner_pixels_are_listed():
    values = components()
    for pixel, position in (((0, 0), (0.1, 0.2)), ((11, 14), (14.9, 11.9))):
        place(values, pixel, position, 0.9)
    assert sorted(row[1] for row in listed(values)) == pytest.approx([0.1, 14.9], abs=1e-4)
