"""Artificial sharpening: unseen by the wide-field comparison, seen by the blur level."""

import numpy as np
import pytest
from scipy import ndimage

from stormcell.assessment.sharpening import blur_level
from stormcell.assessment.squirrel import SquirrelSettings, error_map
from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError

SIDE, SIZE_NM = 400, 10.0
GRID = PixelGrid(SIZE_NM, (SIDE, SIDE))


@pytest.fixture(scope="module", params=[(12.0, 100), (20.0, 300)], ids=["12 nm sparse", "20 nm dense"])
def drawings(request, make_filaments, make_image):
    """A plain rendering, the rate behind it, a thin drawing of the same lines, and the wide-field image."""
    precision, per_um = request.param
    rng = np.random.default_rng(0)
    points = make_filaments(n=12, field_nm=SIDE * SIZE_NM, seed=3, step_nm=10.0)
    events = np.repeat(points, rng.poisson(per_um * 0.01, len(points)), axis=0)
    events = events + rng.normal(0, precision, events.shape)
    edges = np.arange(SIDE + 1) * SIZE_NM
    counts = np.histogram2d(events[:, 1], events[:, 0], bins=(edges, edges))[0]
    plain = ndimage.gaussian_filter(counts, precision / SIZE_NM)
    rate = make_image(points, SIZE_NM, GRID.shape, precision)
    thin = make_image(points, SIZE_NM, GRID.shape, 5.0)
    wide = make_image(points, 100.0, (40, 40), 130.0)
    wide = rng.poisson(wide / wide.max() * 300 + 20).astype(np.float32)
    images = [SRImage(pixels.astype(np.float32), GRID) for pixels in (plain, rate, thin)]
    return (*images, SRImage(wide, PixelGrid(100.0, (40, 40))))


def test_blur_level_sees_what_the_error_map_does_not(drawings):
    plain, rate, thin, wide = drawings
    quick = SquirrelSettings(n_bootstrap=0)
    assert error_map(thin, wide, quick).rsp == pytest.approx(error_map(rate, wide, quick).rsp, abs=0.01)
    sharp = blur_level(thin, plain)
    assert sharp.is_sharpened
    assert sharp.ratio < 0.7
    honest = blur_level(rate, plain)
    assert not honest.is_sharpened
    assert honest.ratio == pytest.approx(1.0, abs=0.2)


def test_no_signal_is_refused(drawings):
    noise = SRImage(np.random.default_rng(0).random(GRID.shape).astype(np.float32), GRID)
    with pytest.raises(InputError, match="signal in the image"):
        blur_level(noise, drawings[0])
