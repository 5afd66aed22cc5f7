"""All rendering modes: counts conserved, no shift, the same pixels for every number of threads."""

import numpy as np
import pytest

from stormcell.data import Localizations, PixelGrid, Provenance
from stormcell.errors import InputError, MissingColumnError, SettingsError
from stormcell.rendering import RENDERERS, RenderSettings, render
from stormcell.rendering import averaged_shifted_histogram as ash_module
from stormcell.rendering import gaussian as gaussian_module
from stormcell.rendering import histogram as histogram_module

ALL_MODES = sorted(RENDERERS)
# not square, off centre, its corner away from nm zero: an axis swap or a half-pixel shift cannot hide
FIELD = PixelGrid(100.0, (7, 12), (300.0, 1500.0))


def scene(n=500, seed=0, **columns):
    rng = np.random.default_rng(seed)
    height, width = FIELD.extent_nm
    table = {
        "frame": np.zeros(n),
        "x_nm": FIELD.origin_nm[1] + rng.uniform(0, width, n),
        "y_nm": FIELD.origin_nm[0] + rng.uniform(0, height, n),
        "uncertainty_x_nm": rng.uniform(2, 40, n),
        "uncertainty_y_nm": rng.uniform(2, 40, n),
        "photons": rng.gamma(3, 300, n),
        **columns,
    }
    return Localizations(table, grid=FIELD)


def one_row(x_nm, y_nm, sigma_nm=15.0, grid=FIELD):
    columns = {"frame": [0], "x_nm": [x_nm], "y_nm": [y_nm], "uncertainty_x_nm": [sigma_nm]}
    return Localizations({**columns, "uncertainty_y_nm": [sigma_nm]}, grid=grid)


def centroid(pixels):
    total = pixels.sum(dtype=np.float64)
    y, x = (np.arange(n) + 0.5 for n in pixels.shape)
    return float((pixels.sum(axis=1) * y).sum() / total), float((pixels.sum(axis=0) * x).sum() / total)


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize("pixel_nm", [100.0, 10.0, 7.3])
def test_counts_are_conserved_for_rows_inside_the_field(mode, pixel_nm):
    inside = scene()
    outside = inside.with_columns(x_nm=inside["x_nm"] + 1e5)
    not_numbers = inside.take(slice(0, 3)).with_columns(y_nm=[np.nan, np.inf, -np.inf])
    image = render(Localizations.concatenate([inside, outside, not_numbers]), pixel_nm, mode)
    assert image.pixels.sum(dtype=np.float64) == pytest.approx(500, rel=1e-5)
    assert image.pixels.min() >= 0
    assert image.pixels.dtype == np.float32
    assert "500 localizations outside the field were left out" in image.provenance.notes
    assert any(warning.startswith("3 localizations") for warning in image.provenance.warnings)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_rows_on_the_border_are_inside(mode):
    top, left = FIELD.origin_nm
    height, width = FIELD.extent_nm
    x = left + np.array([0, width, 0, width, width / 2])
    y = top + np.array([0, 0, height, height, height])
    table = Localizations({"frame": np.zeros(5), "x_nm": x, "y_nm": y, "uncertainty_x_nm": np.full(5, 30.0)})
    image = render(table, 20, mode, FIELD)
    assert image.pixels.sum(dtype=np.float64) == pytest.approx(5, rel=1e-6)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_weights_are_conserved(mode):
    table = scene()
    image = render(table, 10, mode, settings=RenderSettings(weight_column="photons"))
    assert image.pixels.sum(dtype=np.float64) == pytest.approx(table["photons"].sum(), rel=1e-5)
    assert image.unit == "photon"


@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_weight_that_is_not_a_number_leaves_its_row_out(mode):
    table = scene(n=4, photons=[1.0, np.nan, 3.0, 4.0])
    image = render(table, 10, mode, settings=RenderSettings(weight_column="photons"))
    assert image.pixels.sum(dtype=np.float64) == pytest.approx(8, rel=1e-6)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_same_pixels_for_every_number_of_threads(mode, monkeypatch):
    table = scene(n=4000, seed=3)
    settings = RenderSettings(weight_column="photons")
    image = render(table, 5, mode, settings=settings).pixels
    for n_threads in (1, 2, 3, 7, 64):
        for module in (gaussian_module, histogram_module):
            monkeypatch.setattr(module, "get_num_threads", lambda n=n_threads: n)
        assert np.array_equal(render(table, 5, mode, settings=settings).pixels, image)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_an_empty_table_gives_zeros(mode):
    names = ("frame", "x_nm", "y_nm", "uncertainty_x_nm", "uncertainty_y_nm")
    image = render(Localizations.empty(names, grid=FIELD), 10, mode)
    assert image.pixels.shape == (70, 120)
    assert not image.pixels.any()
    assert render(Localizations.empty(names), 10, mode).pixels.tolist() == [[0.0]]


@pytest.mark.parametrize("mode", ALL_MODES)
def test_the_box_round_the_rows_where_there_is_no_grid(mode):
    table = Localizations(
        {"frame": [0, 0], "x_nm": [1234.0, 1290.0], "y_nm": [-57.0, 4.0], "uncertainty_x_nm": [1, 1]}
    )
    image = render(table, 10, mode)
    assert image.grid == PixelGrid(10, (7, 7), (-60.0, 1230.0))
    assert image.pixels.sum() == pytest.approx(2)
    assert "the table has no grid: the field is the box round its positions" in image.provenance.notes


def test_provenance_tells_settings_and_parent():
    parent = Provenance("localize", "0")
    image = render(scene().with_context(provenance=parent), 10, "histogram")
    assert image.provenance.verb == "render"
    assert image.provenance.settings["sr_pixel_size_nm"] == 10
    assert image.provenance.parents == (parent,)


def test_a_histogram_puts_every_row_into_its_own_pixel():
    table = scene(n=2000, seed=5)
    image = render(table, 25, "histogram")
    expected = np.zeros(image.pixels.shape)
    for x, y in table.positions_nm:
        expected[int((y - 300.0) // 25), int((x - 1500.0) // 25)] += 1
    assert np.array_equal(image.pixels, expected)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_an_emitter_lands_in_the_right_pixel(mode):
    # (y, x) = (415, 2585) nm lies at pixel (11.5, 108.5) of the field: row 11, column 108
    image = render(one_row(2585.0, 415.0, sigma_nm=8.0), 10, mode)
    assert image.pixels.shape == (70, 120)
    assert np.unravel_index(image.pixels.argmax(), image.pixels.shape) == (11, 108)
    assert centroid(image.pixels) == pytest.approx((11.5, 108.5), abs=1e-3)


@pytest.mark.parametrize("sigma_px", [0.2, 0.5, 0.7, 1.0, 2.0, 5.0])
def test_a_gaussian_lies_where_its_localization_lies(sigma_px):
    rng = np.random.default_rng(1)
    for x_px, y_px in rng.uniform([60, 30], [61, 31], (20, 2)):
        table = one_row(1500 + 10 * x_px, 300 + 10 * y_px, sigma_nm=10 * sigma_px)
        found = centroid(render(table, 10, "gaussian").pixels)
        assert found == pytest.approx(centroid(brute_force_gaussian(table, 10)), abs=1e-3)
        if sigma_px > 0.5:  # a narrower spot cannot lie between two pixels, exactly integrated or not
            assert found == pytest.approx((y_px, x_px), abs=1e-3)


def brute_force_gaussian(table, pixel_nm):
    from math import erf, sqrt

    grid = table.grid.with_pixel_size(pixel_nm)
    image = np.zeros(grid.shape)
    for row in range(table.n_rows):
        profiles = []
        for n, at, sigma in (
            (grid.shape[0], grid.y_px(table["y_nm"][row]), table["uncertainty_y_nm"][row] / pixel_nm),
            (grid.shape[1], grid.x_px(table["x_nm"][row]), table["uncertainty_x_nm"][row] / pixel_nm),
        ):
            cdf = np.array([0.5 * erf((edge - at) / sigma / sqrt(2)) for edge in range(n + 1)])
            profiles.append(np.diff(cdf) / (cdf[-1] - cdf[0]))
        image += np.outer(*profiles)
    return image


def test_the_gaussian_is_integrated_over_its_pixels():
    table = scene(n=60, seed=2)
    expected = brute_force_gaussian(table, 10)
    image = render(table, 10, "gaussian").pixels
    # 6e-5 of each axis lies beyond 4 sigma and is spread over the rest
    assert image == pytest.approx(expected, abs=2e-4 * expected.max())


def test_long_tables_are_drawn_block_by_block(monkeypatch):
    table = scene(n=700, seed=4)
    settings = RenderSettings(weight_column="photons")
    whole = render(table, 10, "gaussian", settings=settings).pixels
    monkeypatch.setattr(gaussian_module, "_BLOCK_ROWS", 100)
    np.testing.assert_allclose(render(table, 10, "gaussian", settings=settings).pixels, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("most_tiles", [1, 40])
def test_wide_pictures_get_wide_tiles(most_tiles, monkeypatch):
    table = scene(n=700, seed=4)
    whole = render(table, 1, "gaussian").pixels
    monkeypatch.setattr(gaussian_module, "_MOST_TILES", most_tiles)
    np.testing.assert_allclose(render(table, 1, "gaussian").pixels, whole, rtol=1e-5, atol=1e-6)


def test_a_vanishing_uncertainty_acts_as_a_histogram():
    for sigma_nm in (0.0, 1e-9, 0.09):
        table = scene(uncertainty_x_nm=np.full(500, sigma_nm), uncertainty_y_nm=np.full(500, sigma_nm))
        assert np.array_equal(render(table, 10, "gaussian").pixels, render(table, 10, "histogram").pixels)


def test_a_huge_uncertainty_is_limited_and_said():
    table = one_row(2100.0, 650.0, sigma_nm=1e7)
    limited = render(table, 10, "gaussian", settings=RenderSettings(max_uncertainty_nm=40))
    assert np.array_equal(limited.pixels, render(one_row(2100.0, 650.0, sigma_nm=40), 10, "gaussian").pixels)
    assert "1 localizations less certain than 40 nm were drawn 40 nm wide" in limited.provenance.notes
    assert render(table, 10, "gaussian").pixels.sum(dtype=np.float64) == pytest.approx(1, rel=1e-5)


def test_rows_without_a_usable_uncertainty_get_the_median_and_it_is_said():
    table = scene(n=5, uncertainty_x_nm=[10, 20, 30, np.nan, 25], uncertainty_y_nm=[10, 20, 30, 5, -1])
    filled = table.with_columns(uncertainty_x_nm=[10, 20, 30, 20, 20], uncertainty_y_nm=[10, 20, 30, 20, 20])
    image = render(table, 10, "gaussian")
    assert np.array_equal(image.pixels, render(filled, 10, "gaussian").pixels)
    assert image.provenance.warnings == (
        "2 localizations without a usable uncertainty were drawn with the median one",
    )


def test_one_width_for_all_needs_no_column():
    table = one_row(2100.0, 650.0, sigma_nm=20).without_columns("uncertainty_x_nm", "uncertainty_y_nm")
    image = render(table, 10, "gaussian", settings=RenderSettings(uncertainty_nm=20))
    assert np.array_equal(image.pixels, render(one_row(2100.0, 650.0, sigma_nm=20), 10, "gaussian").pixels)


def test_x_stands_for_y_where_there_is_one_uncertainty():
    table = one_row(2100.0, 650.0, sigma_nm=20)
    image = render(table.without_columns("uncertainty_y_nm"), 10, "gaussian")
    assert np.array_equal(image.pixels, render(table, 10, "gaussian").pixels)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_ash_is_the_average_of_shifted_histograms(n):
    table = scene(n=300, seed=6)
    image = render(table, 10, "ash", settings=RenderSettings(ash_shifts=n)).pixels
    x, y = (table.positions_nm - [1500.0, 300.0]).T / 10
    average = np.zeros(image.shape)
    for shift_y in range(n):
        for shift_x in range(n):
            # bins of n pixels, shifted by whole pixels; each bin's count is spread over its pixels
            edges = [np.arange(shift - n, size + 2 * n, n) for shift, size in ((shift_y, 70), (shift_x, 120))]
            counts = np.histogram2d(y, x, edges)[0]
            spread = np.kron(counts, np.full((n, n), 1 / n**2))
            average += spread[n - shift_y :, n - shift_x :][:70, :120] / n**2
    # rows near the border keep inside what the triangle would put outside, so compare two bins away from it
    inner = (slice(2 * n, -2 * n), slice(2 * n, -2 * n))
    assert image[inner] == pytest.approx(average[inner], abs=1e-5)


def test_ash_with_one_shift_is_the_histogram():
    table = scene()
    settings = RenderSettings(ash_shifts=1)
    assert np.array_equal(render(table, 10, "ash", settings=settings).pixels, render(table, 10, "histogram").pixels)


def test_counts_beyond_float32_are_kept(monkeypatch):
    monkeypatch.setattr(histogram_module, "_EXACT_IN_FLOAT32", 10)
    assert histogram_module.bin_rows is ash_module.bin_rows
    table = scene()
    assert render(table, 10, "histogram").pixels.sum() == 500


@pytest.mark.parametrize("size", [0.0, -5.0, np.nan, np.inf])
def test_an_impossible_pixel_size_is_refused(size):
    with pytest.raises(InputError, match="expected sr_pixel_size_nm above 0"):
        render(scene(), size)


def test_an_unknown_mode_is_refused():
    with pytest.raises(SettingsError, match="expected a rendering mode out of gaussian, histogram, ash, got blob"):
        render(scene(), 10, "blob")


def test_an_absurd_size_is_refused_before_memory_is_taken():
    with pytest.raises(
        InputError, match=r"7e\+05 x 1\.2e\+06 pixels \(3\.36e\+03 GB\); choose a larger --sr-pixel-size-nm"
    ):
        render(scene(), 0.001)
    outlier = Localizations({"frame": [0, 0], "x_nm": [0.0, 1e12], "y_nm": [0.0, 1e12]})
    with pytest.raises(InputError, match="at most 2 GB"):
        render(outlier, 10, "histogram")


def test_missing_columns_are_refused_in_words():
    bare = scene().without_columns("uncertainty_x_nm", "uncertainty_y_nm")
    with pytest.raises(
        InputError, match="the table has no uncertainty_x_nm, which mode gaussian draws; choose --mode"
    ):
        render(bare, 10)
    with pytest.raises(InputError, match="got none in 500 rows"):
        render(scene(uncertainty_x_nm=np.full(500, np.nan)), 10)
    with pytest.raises(MissingColumnError, match="no column x_nm"):
        render(Localizations({"frame": [0]}, grid=FIELD), 10, "histogram")
    with pytest.raises(MissingColumnError, match="no column z_nm"):
        render(scene(), 10, "histogram", settings=RenderSettings(weight_column="z_nm"))


@pytest.mark.parametrize("widest_nm", [8, 18, 28, 38, 60])
def test_every_length_of_window_agrees_with_brute_force(widest_nm):
    """Windows of 8 to 32 pixels are drawn with vectors, larger ones and those at the border pixel by pixel."""
    rng = np.random.default_rng(8)
    columns = {f"uncertainty_{axis}_nm": rng.uniform(0.5 * widest_nm, widest_nm, 80) for axis in "xy"}
    table = scene(n=80, seed=9, **columns)
    expected = brute_force_gaussian(table, 10)
    assert render(table, 10, "gaussian").pixels == pytest.approx(expected, abs=2e-4 * expected.max())
