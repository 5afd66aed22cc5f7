"""Artificial sharpening: unseen by the wide-field comparison, seen by the blur level, at uneven precision."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.restoration import richardson_lucy

from stormcell.assessment.sharpening import blur_level
from stormcell.assessment.squirrel import SquirrelSettings, error_map
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import InputError
from stormcell.rendering import render

SIDE, SIZE_NM = 400, 10.0
GRID = PixelGrid(SIZE_NM, (SIDE, SIDE))


def table_of(places, spread):
    return Localizations(
        {
            "frame": np.arange(len(places)),
            "x_nm": places[:, 0],
            "y_nm": places[:, 1],
            "uncertainty_x_nm": spread,
            "uncertainty_y_nm": spread,
            "n_detections": np.ones(len(places), int),
        }
    )


def draw_scene(precision, per_um, make_filaments, seed=0):
    rng = np.random.default_rng(seed)
    points = make_filaments(n=12, field_nm=SIDE * SIZE_NM, seed=3 + seed, step_nm=10.0)
    places = np.repeat(points, rng.poisson(per_um * 0.01, len(points)), axis=0)
    spread = precision * rng.gamma(9, 1 / 9, len(places))
    return points, table_of(places + rng.normal(0, 1, places.shape) * spread[:, None], spread), precision


@pytest.fixture(scope="module", params=[(12.0, 100), (20.0, 300), (8.0, 400)], ids=["12 nm", "20 nm", "8 nm"])
def scene(request, make_filaments):
    """Filaments, events of uneven precision along them, and the precision."""
    return draw_scene(*request.param, make_filaments)


def honest_drawings(scene, make_image):
    points, events, precision = scene
    rng = np.random.default_rng(1)
    plain = render(events, SIZE_NM, grid=GRID).pixels
    half = events.take(rng.random(events.n_rows) < 0.5)
    even = np.full(events.n_rows, precision)
    return {
        "plain": plain,
        "smoothed": ndimage.gaussian_filter(plain, 1.0),
        "half of the events": render(half, SIZE_NM, grid=GRID).pixels,
        "one width": render(
            events.with_columns(uncertainty_x_nm=even, uncertainty_y_nm=even), SIZE_NM, grid=GRID
        ).pixels,
        # What events scatter by is already in the lines once; a rate without it is a little finer.
        "true rate": make_image(points, SIZE_NM, GRID.shape, precision),
    }


def sharpened_drawings(scene, make_image):
    points, events, precision = scene
    plain = render(events, SIZE_NM, grid=GRID).pixels.astype(np.float64)
    offset = np.arange(-15, 16) * SIZE_NM
    kernel = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / 2 / precision**2)
    blurred = ndimage.gaussian_filter(plain, 1.5 * precision / SIZE_NM)
    return {
        "squared": plain**2,
        "unsharp mask": np.maximum(3 * plain - 2 * blurred, 0),
        "deconvolved": richardson_lucy(plain / plain.max(), kernel / kernel.sum(), num_iter=20, clip=False),
        "thin lines": make_image(points, SIZE_NM, GRID.shape, precision / 2),
        "points": render(events, SIZE_NM, "histogram", grid=GRID).pixels,
    }


def image_of(pixels):
    return SRImage(np.asarray(pixels, dtype=np.float32), GRID)


def test_sharpening_is_told_from_honest_drawing(scene, make_image):
    honest = {name: blur_level(image_of(p), scene[1]) for name, p in honest_drawings(scene, make_image).items()}
    sharp = {name: blur_level(image_of(p), scene[1]) for name, p in sharpened_drawings(scene, make_image).items()}
    assert honest["plain"].gain == pytest.approx(1.0, abs=1e-4)
    assert not any(found.is_sharpened for found in honest.values()), honest
    assert all(found.is_sharpened for found in sharp.values()), sharp


def test_gain_is_that_of_the_drawn_width():
    """Events of one precision drawn at half their width: the ratio of two Gaussians' transfer functions."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, SIDE * SIZE_NM, (40_000, 2))
    events = table_of(places, np.full(len(places), 20.0))
    narrow = events.with_columns(
        uncertainty_x_nm=np.full(len(places), 10.0), uncertainty_y_nm=np.full(len(places), 10.0)
    )
    found = blur_level(render(narrow, SIZE_NM, grid=GRID), events)
    f = np.linspace(0.6, 1, 200) / found.finest_nm
    wide, thin = (np.sum(f * np.exp(-((2 * np.pi * f * sigma) ** 2))) for sigma in (20.0, 10.0))
    f = np.linspace(1 / (SIDE * SIZE_NM), 0.3 / found.finest_nm, 200)
    f = f[f < 1 / 400]
    wide_coarse, thin_coarse = (np.sum(f * np.exp(-((2 * np.pi * f * sigma) ** 2))) for sigma in (20.0, 10.0))
    assert found.gain == pytest.approx(np.sqrt(thin / wide / (thin_coarse / wide_coarse)), rel=0.03)


def test_the_wide_field_does_not_see_it(scene, make_image):
    points = scene[0]
    wide = make_image(points, 100.0, (40, 40), 130.0)
    wide = np.random.default_rng(0).poisson(wide / wide.max() * 300 + 20).astype(np.float32)
    reference = SRImage(wide, PixelGrid(100.0, (40, 40)))
    rsp = [
        error_map(image_of(pixels), reference, SquirrelSettings(n_bootstrap=0)).rsp
        for pixels in (
            honest_drawings(scene, make_image)["true rate"],
            sharpened_drawings(scene, make_image)["thin lines"],
        )
    ]
    assert rsp[0] == pytest.approx(rsp[1], abs=0.01)


def test_what_cannot_be_told_is_refused(scene):
    events = scene[1]
    with pytest.raises(InputError, match="constant image"):
        blur_level(image_of(np.full(GRID.shape, 3.0)), events)
    with pytest.raises(InputError, match="got none"):
        blur_level(image_of(np.eye(SIDE)), events.take(slice(0, 0)))
    with pytest.raises(InputError, match="at least 1200 nm"):
        blur_level(SRImage(np.eye(60, dtype=np.float32), PixelGrid(SIZE_NM, (60, 60), (1700.0, 1700.0))), events)
