"""Held-out check: the truth foretells events better than smoothing, a wrong picture does not, a bad label shows."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stormcell.workflows.densify_held_out import busiest_window, foretell

SIDE = 160


def line_density():
    image = np.zeros((SIDE, SIDE))
    rows = np.arange(SIDE)
    image[rows, (SIDE / 2 + 40 * np.sin(rows / 25)).astype(int)] = 1
    return gaussian_filter(image, 0.8)


@pytest.fixture
def counts():
    density = line_density()
    return np.random.default_rng(1).poisson(150 * density / density.sum()).astype(np.float32)


def test_who_knows_the_structure_foretells(counts):
    truth = line_density().astype(np.float32)
    found = foretell(counts, lambda *_: truth, "microtubules")
    assert found.is_foretold
    assert found.gain > 0.3
    assert not found.label_misleads
    assert not found.doubts


def test_who_draws_something_else_does_not(counts):
    wrong = line_density().T.astype(np.float32)
    found = foretell(counts, lambda *_: wrong, "unknown")
    assert not found.is_foretold
    assert found.gain < 0
    assert found.label_score is None
    assert len(found.doubts) == 1


def test_smoothing_does_not_beat_itself(counts):
    found = foretell(counts, lambda shown, _: gaussian_filter(shown, 2.0), "unknown")
    assert found.score <= 1e-6
    assert not found.is_foretold


def test_a_label_that_misleads_is_told(counts):
    truth, wrong = line_density().astype(np.float32), line_density().T.astype(np.float32)
    found = foretell(counts, lambda _, label: truth if label == "unknown" else wrong, "nuclear_pores")
    assert found.label_misleads
    assert any("label" in sentence for sentence in found.doubts)


def test_halves_share_no_event_and_lose_none(counts):
    seen = []
    foretell(counts, lambda shown, _: seen.append(shown) or np.ones_like(shown), "unknown")
    assert np.all(seen[0] <= counts)
    assert 0.3 < seen[0].sum() / counts.sum() < 0.7


@pytest.mark.parametrize("counts", [np.zeros((20, 20), np.float32), np.full((20, 20), 0.5, np.float32)])
def test_nothing_to_ask(counts):
    assert foretell(counts, lambda shown, _: shown, "unknown") is None


def test_busiest_window_holds_the_events():
    counts = np.zeros((1000, 300), np.float32)
    counts[:50] = 1
    counts[700:800, 100] = np.nan
    counts[700:800, 101] = 400
    rows, columns = busiest_window(counts)
    assert rows.stop - rows.start == 640
    assert rows.start <= 700
    assert rows.stop >= 800
    assert columns == slice(0, 300)
