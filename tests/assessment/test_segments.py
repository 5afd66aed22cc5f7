"""Pieces of structure: complete, of the length asked for, and cut where lines meet."""

import numpy as np
import pytest
from scipy import ndimage

from stormcell.assessment.segments import cut_structure


def lines(shape=(120, 160)):
    pixels = np.zeros(shape, np.float32)
    pixels[30, 10:150] = 1
    pixels[10:110, 80] = 1
    return ndimage.gaussian_filter(pixels, 1.5)


def test_every_pixel_of_structure_belongs_to_one_piece():
    pixels = lines()
    threshold = 0.1 * pixels.max()
    pieces = cut_structure(pixels, threshold, 12.0)
    assert np.array_equal(pieces.labels > 0, pixels > threshold)
    assert set(np.unique(pieces.labels)) == set(range(pieces.n + 1))
    for number in range(1, pieces.n + 1):
        assert ndimage.label(pieces.labels == number, np.ones((3, 3)))[1] == 1


def test_pieces_have_the_length_asked_for():
    pieces = cut_structure(lines(), 0.05, 12.0)
    # 240 pixels of line in pieces of 12, a few more where lines end and meet.
    assert pieces.n == pytest.approx(240 / 12, abs=4)
    boxes = ndimage.find_objects(pieces.labels)
    lengths = [max(side.stop - side.start for side in box) for box in boxes]
    assert np.median(lengths) == pytest.approx(12, abs=3)


def test_lines_are_cut_where_they_meet():
    pieces = cut_structure(lines(), 0.05, 12.0)
    left, right = pieces.labels[30, 60], pieces.labels[30, 100]
    up, down = pieces.labels[15, 80], pieces.labels[60, 80]
    assert len({left, right, up, down}) == 4


def test_spots_rings_and_nothing():
    spot = np.zeros((40, 40), np.float32)
    spot[20, 20] = 1
    assert cut_structure(spot, 0.5, 10.0).n == 1
    assert cut_structure(np.zeros((20, 20), np.float32), 0.5, 10.0).n == 0
    yy, xx = np.mgrid[:80, :80]
    ring = np.exp(-((np.hypot(yy - 40, xx - 40) - 25) ** 2) / 4).astype(np.float32)
    assert cut_structure(ring, 0.2, 15.0).n == pytest.approx(2 * np.pi * 25 / 15, abs=2)
