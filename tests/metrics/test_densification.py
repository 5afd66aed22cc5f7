"""The protocol by which dense pictures are judged, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stormcell.errors import InputError
from stormcell.metrics.densification import (
    best_smoothed_score,
    bootstrap_interval,
    bridge_level,
    centre_precision_recall,
    compact_centres,
    invented_length,
    ranking_area,
    share_needed,
    share_outside,
    skeleton_length_um,
    structure_of,
    truth_score,
)

PX = 20.0


def lines(side: int = 160) -> np.ndarray:
    """A rate: two straight lines of 1 event per pixel, drawn with 12 nm error."""
    image = np.zeros((side, side))
    image[40, 10:-10] = 1.0
    image[10:-10, 110] = 1.0
    return gaussian_filter(image, 0.6)


def test_perfect_is_one_blank_is_nothing_another_cell_about_nothing() -> None:
    truth = lines()
    inside = structure_of(truth, PX)
    assert truth_score(truth, truth, inside, PX) == pytest.approx(1)
    assert truth_score(3 * truth + 7, truth, inside, PX) == pytest.approx(1)  # gain and offset are free
    assert truth_score(np.zeros_like(truth), truth, inside, PX) == 0
    assert truth_score(np.full_like(truth, 0.3), truth, inside, PX) == 0
    other = np.random.default_rng(0).permuted(truth.ravel()).reshape(truth.shape)
    assert abs(truth_score(other, truth, inside, PX)) < 0.1
    with pytest.raises(InputError, match="on the pixels of the truth"):
        truth_score(truth[:-1], truth, inside, PX)


def test_shifts_are_not_forgiven() -> None:
    truth = lines()
    inside = structure_of(truth, PX)
    scores = [truth_score(np.roll(truth, n, axis=(0, 1)), truth, inside, PX) for n in (0, 1, 3)]
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.3


def test_structure_is_grown_by_200_nm() -> None:
    truth = np.zeros((81, 81))
    truth[40] = 1.0
    rows = np.nonzero(structure_of(truth, PX).all(axis=1))[0]
    core = np.nonzero(structure_of(truth, PX, 0).all(axis=1))[0]
    assert core[0] - rows[0] == 10 == rows[-1] - core[-1]
    assert not structure_of(np.zeros((9, 9)), PX).any()


def test_more_frames_score_better_and_smoothing_helps_few() -> None:
    truth = lines()
    inside = structure_of(truth, PX)
    rng = np.random.default_rng(1)
    few, many = (rng.poisson(share * truth * 5) for share in (0.01, 1.0))
    assert best_smoothed_score(few, truth, inside, PX) > truth_score(few, truth, inside, PX) + 0.05
    assert best_smoothed_score(many, truth, inside, PX) > best_smoothed_score(few, truth, inside, PX) + 0.2


def test_saving_of_a_smoothing_is_one() -> None:
    shares = np.geomspace(0.01, 1, 9)
    scores = np.sqrt(shares)
    assert share_needed(np.sqrt(0.1), shares, scores) == pytest.approx(0.1, rel=1e-6)
    assert share_needed(np.sqrt(0.2), shares, scores) == pytest.approx(0.2, rel=0.05)
    assert share_needed(2.0, shares, scores) == pytest.approx(1.0)  # no claim beyond what was measured
    assert share_needed(0.0, shares, scores) == pytest.approx(0.01)
    assert share_needed(0.5, [0.1, 0.2, 0.4], [0.3, 0.6, 0.55]) == pytest.approx(0.1 * 2 ** (2 / 3))


def test_bootstrap_interval_of_a_median() -> None:
    values = np.random.default_rng(0).normal(5, 1, 100)
    low, high = bootstrap_interval(values)
    assert low < np.median(values) < high
    assert 0.2 < high - low < 0.9  # 2 * 1.96 * 1.253 / sqrt(100) = 0.49
    assert bootstrap_interval([2.0] * 20) == (2.0, 2.0)


def test_length_of_lines() -> None:
    image = np.zeros((100, 100), np.bool_)
    image[49:52, 10:90] = True
    assert skeleton_length_um(image, PX) == pytest.approx(1.58, abs=0.08)
    diagonal = np.eye(100, dtype=bool)
    assert skeleton_length_um(diagonal, PX) == pytest.approx(99 * np.sqrt(2) * 0.02)
    corner = np.zeros((9, 9), np.bool_)
    corner[4, 2:5] = corner[4:7, 4] = True
    assert skeleton_length_um(corner, 1000.0) == pytest.approx(4, abs=0.7)
    assert skeleton_length_um(image, PX, ~image) == 0


def test_invented_lines_are_measured() -> None:
    truth = lines()
    assert invented_length(truth, truth, PX)[0] == 0
    image = truth.copy()
    image[120, 20:70] += 1.0
    invented, true = invented_length(image, truth, PX)
    assert invented == pytest.approx(0.98, abs=0.1)
    assert true == pytest.approx(2 * 140 * 0.02, abs=0.3)
    assert invented_length(5 * image, truth, PX)[0] == pytest.approx(invented)
    assert invented_length(np.zeros_like(truth), truth, PX)[0] == 0
    assert invented_length(image, np.zeros_like(truth), PX)[1] == 0


def test_share_outside() -> None:
    near = np.zeros((10, 10), np.bool_)
    near[:5] = True
    assert share_outside(np.ones((10, 10)), near) == 0.5
    assert share_outside(np.zeros((10, 10)), near) == 0


def rings(centres: np.ndarray, side: int = 100, radius_nm: float = 53.5) -> np.ndarray:
    angles = np.arange(8) * np.pi / 4
    corners = centres[:, None] + radius_nm * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    places = corners.reshape(-1, 2)
    image, _, _ = np.histogram2d(places[:, 0], places[:, 1], bins=side * 4, range=[[0, side * PX]] * 2)
    return gaussian_filter(image, 2.4).reshape(side, 4, side, 4).sum(axis=(1, 3))


def test_centres_of_rings_are_found() -> None:
    centres = np.array([[310.0, 400.0], [900.0, 1500.0], [906.0, 1300.0], [1500.0, 333.0]])
    found = compact_centres(rings(centres), PX)
    assert len(found) == 4
    distance = np.linalg.norm(found[:, None] - centres[None], axis=2).min(axis=0)
    assert distance.max() < 8
    everything = np.ones(4, np.bool_)
    assert centre_precision_recall(found, centres, everything) == (1.0, 1.0)
    assert centre_precision_recall(found[:2], centres, everything) == (1.0, 0.5)
    assert centre_precision_recall(np.vstack([found, [[100.0, 1900.0]]]), centres, everything) == (0.8, 1.0)
    assert compact_centres(np.zeros((9, 9)), PX).shape == (0, 2)
    # one found pore does not stand for two true ones
    assert centre_precision_recall(found[:1], np.repeat(found[:1], 2, axis=0), everything[:2]) == (1.0, 0.5)


def test_gaps_open_and_bridged() -> None:
    open_, closed = np.zeros((80, 120)), np.zeros((80, 120))
    closed[40, 10:110] = 1.0
    open_[40, 10:48] = open_[40, 73:110] = 1.0
    ends = ((810.0, 960.0), (810.0, 1460.0))
    assert bridge_level(gaussian_filter(closed, 0.6), ends, PX, 500) == pytest.approx(1, abs=0.02)
    assert bridge_level(gaussian_filter(open_, 0.6), ends, PX, 500) < 0.01
    assert np.isnan(bridge_level(np.zeros((80, 120)), ends, PX, 500))


def test_ranking() -> None:
    wrong = np.array([True, True, False, False, False])
    assert ranking_area(wrong, np.array([5.0, 4, 3, 2, 1])) == 1
    assert ranking_area(wrong, np.array([1.0, 2, 3, 4, 5])) == 0
    assert ranking_area(wrong, np.zeros(5)) == 0.5
    assert np.isnan(ranking_area(~np.zeros(3, np.bool_), np.arange(3.0)))
