"""Fusion of images that are each wrong in another place."""

import numpy as np
import pytest

from stormcell.assessment.fusion import fuse
from stormcell.assessment.squirrel import SquirrelSettings, error_map
from stormcell.data import SRImage
from stormcell.errors import InputError

QUICK = SquirrelSettings(n_bootstrap=0, max_shift_px=0.0)


def test_fusion_beats_each_part(make_pair):
    sr, wide = make_pair(peak_photons=3000)
    left, right = sr.pixels.copy(), sr.pixels.copy()
    left[:, :70] *= 0.1
    right[:, 130:] *= 0.1
    maps = [error_map(SRImage(pixels, sr.grid), wide, QUICK) for pixels in (left, right)]
    fused = error_map(fuse(maps), wide, QUICK)
    assert fused.rsp > max(one.rsp for one in maps) + 0.02
    correlations = [np.corrcoef(p.ravel(), sr.pixels.ravel())[0, 1] for p in (left, right, fused.matched.pixels)]
    assert correlations[2] > max(correlations[:2]) + 0.05


def test_units_of_the_wide_field_do_not_matter(make_pair):
    sr, wide = make_pair()
    damaged = SRImage(np.where(np.arange(200) < 80, sr.pixels * 0.2, sr.pixels).astype(np.float32), sr.grid)
    fused = []
    for scale in (1.0, 1e-3):
        scaled = SRImage((wide.pixels * scale).astype(np.float32), wide.grid)
        fused.append(fuse([error_map(one, scaled, QUICK) for one in (sr, damaged)]).pixels / scale)
    assert np.allclose(fused[0], fused[1], rtol=1e-3, atol=1e-3 * np.ptp(fused[0]))


def test_refusals(make_pair):
    one = error_map(*make_pair(), QUICK)
    with pytest.raises(InputError, match="at least two"):
        fuse([one])
    other = error_map(*make_pair(sr_pixel_nm=25.0), QUICK)
    with pytest.raises(InputError, match="one grid"):
        fuse([one, other])
