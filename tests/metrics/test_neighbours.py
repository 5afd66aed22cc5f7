import numpy as np
import pytest

from stormcell.metrics.neighbours import Points, count_close, find_close_pairs


def random_points(n, seed, side=3000.0, n_frames=3):
    rng = np.random.default_rng(seed)
    return Points(rng.integers(0, n_frames, n), rng.uniform(-side / 2, side / 2, (n, 3)))


def all_pairs(a, b, lateral_nm, axial_nm):
    offset = a.xyz_nm[:, None] - b.xyz_nm[None]
    close = (np.hypot(offset[..., 0], offset[..., 1]) <= lateral_nm) & (np.abs(offset[..., 2]) <= axial_nm)
    close &= a.frame[:, None] == b.frame[None]
    return {(i, j): (offset[i, j] ** 2).sum() for i, j in zip(*np.nonzero(close), strict=True)}


@pytest.mark.parametrize("most_cells", [1, 3, 1 << 15])
@pytest.mark.parametrize(("lateral_nm", "axial_nm"), [(250.0, 500.0), (1e-3, 1.0), (1e5, 1e5)])
def test_all_close_pairs_are_found_once(lateral_nm, axial_nm, most_cells, monkeypatch):
    monkeypatch.setattr("stormcell.metrics.neighbours._MOST_CELLS", most_cells)
    a, b = random_points(80, 0), random_points(90, 1)
    pairs = find_close_pairs(a, b, lateral_nm, axial_nm)
    found = {}
    for row, i in enumerate(pairs.order_a):
        for k in range(pairs.start[row], pairs.start[row + 1]):
            found[int(i), int(pairs.order_b[pairs.column[k]])] = pairs.cost[k]
    assert len(found) == len(pairs.column)
    assert found == pytest.approx(all_pairs(a, b, lateral_nm, axial_nm))


def test_rows_are_grouped_by_frame():
    a, b = random_points(80, 0, n_frames=5), random_points(90, 1, n_frames=5)
    pairs = find_close_pairs(a, b, 250, 500)
    assert len(pairs.frame_start) == 6
    for frame in range(5):
        assert (a.frame[pairs.order_a[pairs.frame_start[frame] : pairs.frame_start[frame + 1]]] == frame).all()
    assert pairs.frame_start[-1] == 80


def test_neighbours_are_counted_in_the_given_order():
    a, b = random_points(80, 2), random_points(90, 3)
    expected = np.zeros(80)
    for i, _ in all_pairs(a, b, 400, np.inf):
        expected[i] += 1
    assert count_close(a, b, 400).tolist() == expected.tolist()
    assert count_close(random_points(0, 0), random_points(0, 0), 400).tolist() == []
