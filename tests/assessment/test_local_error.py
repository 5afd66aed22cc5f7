"""Sensitivity at a wide-field peak of 300 photons: deleted, duplicated and displaced structure.

The area under the curve is taken over the pixels where image or truth exceeds 10 % of its maximum; a pixel is
affected where the image differs from the truth by more than that.
"""

import numpy as np
import pytest

from stormcell.assessment.camera_noise import CameraNoise
from stormcell.assessment.local_error import local_error
from stormcell.assessment.squirrel import SquirrelSettings, error_map
from stormcell.data import PixelGrid, SRImage

SIDE_NM, SIZE_NM, WIDE_NM = 6400.0, 20.0, 100.0


def area_under_curve(score, affected):
    order = np.argsort(score, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    n_in, n_out = affected.sum(), (~affected).sum()
    return (rank[affected].sum() - n_in * (n_in + 1) / 2) / (n_in * n_out)


def delete(lines, rng):
    points = np.concatenate(lines)
    inside = np.flatnonzero(((points > 0) & (points < SIDE_NM)).all(axis=1))
    centre = points[rng.choice(inside)]
    nearest = inside[np.argsort(np.hypot(*(points[inside] - centre).T))]
    return np.delete(points, nearest[: len(inside) // 20], axis=0)


def duplicate(lines, rng):
    angle = rng.uniform(0, 2 * np.pi)
    lengths = [((line > 500) & (line < SIDE_NM - 500)).all(axis=1).sum() for line in lines]
    copy = lines[int(np.argmax(lengths))] + 400 * np.array([np.cos(angle), np.sin(angle)])
    return np.concatenate([*lines, copy])


def shift(lines, rng):
    points, angle = np.concatenate(lines), rng.uniform(0, 2 * np.pi)
    corner = rng.uniform(0.2, 0.4, 2) * SIDE_NM
    region = ((points > corner) & (points < corner + 0.35 * SIDE_NM)).all(axis=1)
    points[region] += 100 * np.array([np.cos(angle), np.sin(angle)])
    return points


def judge(damage, make_filaments, make_image, seed):
    """Areas under the curve of the local error, and of the image's own brightness, the brightest first."""
    rng = np.random.default_rng(seed)
    lines = [make_filaments(n=1, field_nm=SIDE_NM, seed=1000 * seed + i) for i in range(10)]
    truth_points = np.concatenate(lines)
    shape, wide_shape = (int(SIDE_NM / SIZE_NM),) * 2, (int(SIDE_NM / WIDE_NM),) * 2
    truth = make_image(truth_points, SIZE_NM, shape, 20.0)
    damaged = make_image(damage(lines, rng), SIZE_NM, shape, 20.0)
    wide = make_image(truth_points, WIDE_NM, wide_shape, np.hypot(130.0, 20.0))
    wide = rng.poisson(wide / wide.max() * 300 + 20).astype(np.float32)
    image = SRImage(damaged.astype(np.float32), PixelGrid(SIZE_NM, shape))
    found = error_map(image, SRImage(wide, PixelGrid(WIDE_NM, wide_shape)), SquirrelSettings(n_bootstrap=0))
    limit = 0.1 * truth.max()
    judged = (truth > limit) | (damaged > 0.1 * damaged.max())
    affected = (np.abs(damaged - truth) > limit)[judged]
    local = local_error(found, CameraNoise(gain_e_per_adu=1)).pixels[judged]
    return area_under_curve(local, affected), area_under_curve(damaged[judged], affected)


@pytest.mark.parametrize("damage", [delete, duplicate, shift])
def test_affected_pixels_stand_out(make_filaments, make_image, damage):
    found = [judge(damage, make_filaments, make_image, seed) for seed in range(8)]
    areas, blind = np.array(found).T
    by_intensity = np.maximum(blind, 1 - blind)
    assert np.mean(areas) >= 0.9
    if damage is delete:
        # Deleted structure has no intensity: ranking by its lack is perfect, and nothing can lie 0.1 above.
        assert np.mean(areas) > 0.99
    else:
        assert np.mean(areas) >= np.mean(by_intensity) + 0.1
