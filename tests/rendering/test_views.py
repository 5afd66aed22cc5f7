import numpy as np
import pytest

from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError
from stormcell.rendering import brightest_regions, resample, zoom
from stormcell.rendering.views import area_average, enlarged, fitted, shrunk

GRID = PixelGrid(10.0, (30, 50), (100.0, 200.0))


def image_of(pixels, grid=GRID):
    return SRImage(np.asarray(pixels, np.float32), grid)


def numbered():
    return image_of(np.arange(1500).reshape(30, 50))


def test_a_zoom_keeps_its_place():
    part = zoom(numbered(), (205.0, 305.0), 40)
    assert part.pixels.shape == (4, 4)
    y, x = (float(axis[0]) for axis in (part.grid.y_nm([0]), part.grid.x_nm([0])))
    assert part.pixels[0, 0] == numbered().pixels[int((y - 100) / 10), int((x - 200) / 10)]
    assert part.grid.y_nm(2) == pytest.approx(205, abs=5)
    assert part.grid.x_nm(2) == pytest.approx(305, abs=5)


@pytest.mark.parametrize(
    ("center", "size", "shape", "corner"),
    [
        ((-1e4, -1e4), 50, (5, 5), (100.0, 200.0)),
        ((1e4, 1e4), 50, (5, 5), (350.0, 650.0)),
        ((250.0, 450.0), 1e6, (30, 50), (100.0, 200.0)),
        ((250.0, 450.0), 1e-3, (1, 1), (240.0, 440.0)),
    ],
)
def test_a_zoom_stays_inside(center, size, shape, corner):
    part = zoom(numbered(), center, size)
    assert part.pixels.shape == shape
    assert part.grid.origin_nm == pytest.approx(corner, abs=10)


def test_an_impossible_zoom_is_refused():
    with pytest.raises(InputError, match="a zoom larger than 0 nm, got 0"):
        zoom(numbered(), (0, 0), 0)
    with pytest.raises(InputError, match="a region larger than 0 nm"):
        brightest_regions(numbered(), -1)


def test_the_brightest_regions_hold_the_spots_in_order_and_do_not_overlap():
    pixels = np.zeros((30, 50))
    pixels[5, 40], pixels[25, 7], pixels[15, 20] = 3, 9, 5
    pixels[0, 0] = np.nan
    found = brightest_regions(image_of(pixels), 80, n=5)
    assert len(found) == 3
    for (y, x), (row, column) in zip(found, [(25, 7), (15, 20), (5, 40)], strict=True):
        part = zoom(image_of(pixels), (y, x), 80)
        assert part.pixels.shape == (8, 8)
        assert part.pixels.max() == pixels[row, column]
    assert brightest_regions(image_of(np.zeros((30, 50))), 80) == []
    assert len(brightest_regions(image_of(np.ones((30, 50))), 1e5, n=3)) == 1


def test_resampling_puts_values_where_they_lie():
    coarse = PixelGrid(40.0, (8, 13), (100.0, 200.0))
    y, x = np.meshgrid(coarse.y_nm(np.arange(8) + 0.5), coarse.x_nm(np.arange(13) + 0.5), indexing="ij")
    fine = PixelGrid(10.0, (20, 40), (140.0, 240.0))
    values = resample(image_of(2 * y + x, coarse), fine)
    y, x = np.meshgrid(fine.y_nm(np.arange(20) + 0.5), fine.x_nm(np.arange(40) + 0.5), indexing="ij")
    assert values == pytest.approx(2 * y + x, rel=1e-5)


def test_resampling_knows_the_end_of_the_image():
    coarse = PixelGrid(40.0, (1, 2), (100.0, 200.0))
    values = resample(image_of([[3, np.nan]], coarse), PixelGrid(40.0, (3, 4), (60.0, 160.0)), outside=-1)
    assert values.tolist() == [[-1, -1, -1, -1], [-1, 3, -1, -1], [-1, -1, -1, -1]]


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0, 3.3, 7.0, 25.0])
def test_area_average_is_the_mean_of_the_covered_area(factor):
    pixels = np.random.default_rng(0).random((7, 10, 3))
    fine = np.kron(pixels, np.ones((60, 60, 1)))
    edges = [
        [(round(i * factor * 60), round(min((i + 1) * factor, n) * 60)) for i in range(int(np.ceil(n / factor)))]
        for n in (7, 10)
    ]
    expected = [
        [fine[top:bottom, left:right].mean(axis=(0, 1)) for left, right in edges[1]] for top, bottom in edges[0]
    ]
    assert area_average(pixels, factor) == pytest.approx(np.array(expected), abs=1e-6)


def test_shrinking_keeps_the_corner_and_the_signal():
    small = shrunk(numbered(), 20)
    assert small.pixels.shape == (12, 20)
    assert small.grid.origin_nm == (100.0, 200.0)
    assert small.grid.extent_nm == pytest.approx(GRID.extent_nm)
    assert small.pixels.mean() == pytest.approx(numbered().pixels.mean(), rel=1e-5)
    assert shrunk(numbered(), 50).pixels is not None
    assert shrunk(numbered(), 50).grid == GRID
    assert np.isfinite(shrunk(image_of(np.full((30, 50), np.nan)), 7).pixels).all()


def test_pictures_fit_their_cell():
    rgb = np.zeros((30, 50, 3), np.uint8)
    rgb[3, 4] = 200
    large = enlarged(rgb, 120)
    assert large.shape == (60, 100, 3)
    assert (large[6:8, 8:10] == 200).all()
    assert large.sum() == 4 * rgb.sum()
    assert fitted(rgb, 25).shape == (15, 25, 3)
    assert fitted(rgb, 25)[1, 2].tolist() == [50, 50, 50]
