"""SQUIRREL against pairs whose RSF, scale, offset, shift and missing structure are known exactly."""

import numpy as np
import pytest
from scipy import ndimage

from stormcell.assessment.camera_noise import CameraNoise
from stormcell.assessment.squirrel import SquirrelSettings, error_map, error_maps
from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError, SettingsError

QUICK = SquirrelSettings(n_bootstrap=0)
# The fitted RSF ends where the SR pixel's own width begins: variances subtract, a box has size^2 / 12.
SCENES = {
    "square": {},
    "not square": {"wide_shape": (40, 56)},
    "ratio 10/3": {"sr_pixel_nm": 30.0, "wide_shape": (36, 42)},
    "ratio 6.4": {"sr_pixel_nm": 15.625},
    "shifted": {"shift_nm": (63.0, -41.0)},
    "narrow RSF": {"rsf_nm": 80.0},
    "wide RSF": {"rsf_nm": 250.0},
}


@pytest.mark.parametrize("name", SCENES)
def test_truth_comes_back(make_pair, name):
    sr, wide = make_pair(**SCENES[name])
    found = error_map(sr, wide, QUICK)
    true_rsf = np.sqrt(SCENES[name].get("rsf_nm", 130.0) ** 2 - sr.sr_pixel_size_nm**2 / 12)
    shift = SCENES[name].get("shift_nm", (0.0, 0.0))
    assert found.rsf_sigma_nm == pytest.approx(true_rsf, rel=0.01)
    assert found.alpha == pytest.approx(5.0, rel=0.01)
    assert found.beta == pytest.approx(30.0, abs=0.01 * float(np.ptp(wide.pixels)))
    assert (found.shift_y_nm, found.shift_x_nm) == pytest.approx(shift, abs=1.5)
    assert found.rsp > 0.9995
    assert found.rse < 0.01 * np.ptp(wide.pixels)
    assert found.warnings == ()


def test_width_within_2_percent_at_300_photons(make_pair):
    widths = [
        error_map(*make_pair(wide_shape=(96, 96), sr_pixel_nm=25.0, peak_photons=300, seed=seed), QUICK).rsf_sigma_nm
        for seed in range(3)
    ]
    assert np.mean(widths) == pytest.approx(130.0, rel=0.02)


def test_width_is_as_certain_as_the_photons_allow(make_pair, make_filaments, make_image):
    """Small images at 300 photons: errors of several percent, but no larger than the Cramér-Rao bound."""
    errors, bounds = [], []
    for seed in range(12):
        errors.append(error_map(*make_pair(peak_photons=300, seed=seed), QUICK).rsf_sigma_nm / 130.0 - 1)
        points = make_filaments(field_nm=4000.0, seed=seed)

        def image(sigma=130.0, y=0.0, x=0.0, points=points):
            return make_image(points + np.array([x, y]), 100.0, (40, 40), np.hypot(sigma, 20.0)) * 4000

        plain = image()
        slopes = [plain, np.ones_like(plain), 2.5 * (image(131) - image(129))]
        slopes += [2.5 * (image(y=1) - image(y=-1)), 2.5 * (image(x=1) - image(x=-1))]
        scale = 300 / (5 * plain + 30).max()
        rows = np.stack([slope[3:-3, 3:-3].ravel() * scale for slope in slopes])
        information = (rows / ((5 * plain + 30) * scale)[3:-3, 3:-3].ravel()) @ rows.T
        bounds.append(np.linalg.inv(information)[2, 2] / 130.0**2)
    # The root mean square of 12 errors is known to 20 %.
    assert np.sqrt(np.mean(np.square(errors))) < 1.4 * np.sqrt(np.mean(bounds))
    assert np.sqrt(np.mean(bounds)) > 0.03


def test_elliptical_rsf(make_pair):
    sr, wide = make_pair(rsf_nm=(110.0, 150.0))
    found = error_map(sr, wide, QUICK.replace(elliptical=True))
    assert (found.rsf_sigma_y_nm, found.rsf_sigma_x_nm) == pytest.approx((110.0, 150.0), rel=0.01)
    assert found.rsp > error_map(sr, wide, QUICK).rsp


def test_held_and_measured_rsf(make_pair):
    sr, wide = make_pair()
    held = error_map(sr, wide, QUICK.replace(rsf_sigma_nm=200.0))
    assert held.rsf_sigma_nm == pytest.approx(200.0)
    assert held.rsp < error_map(sr, wide, QUICK).rsp
    offset = (np.arange(61) - 30) * 25.0
    gaussian = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / 2 / 130.0**2)
    measured = error_map(sr, wide, QUICK, rsf=SRImage(gaussian.astype(np.float32), PixelGrid(25.0, (61, 61))))
    assert measured.rsf_sigma_nm == pytest.approx(130.0, rel=1e-3)
    assert measured.alpha == pytest.approx(5.0, rel=0.01)
    assert measured.rsp > 0.9995


def test_maps_lie_where_the_structure_is_missing(make_pair, make_filaments, make_image):
    """An image with a corner erased: error there, above the noise, with the right sign, and nowhere else."""
    sr, wide = make_pair(peak_photons=2000)
    pixels = sr.pixels.copy()
    pixels[:60, :60] = 0
    found = error_map(SRImage(pixels, sr.grid), wide, QUICK)
    truth = np.zeros(sr.pixels.shape, bool)
    truth[:60, :60] = sr.pixels[:60, :60] > 0.1 * sr.pixels.max()
    far = np.zeros_like(truth)
    far[90:, 90:] = True
    assert found.error.pixels[truth].mean() > 5 * found.error.pixels[far].mean()
    assert found.signed.pixels[truth].mean() > 0
    assert np.allclose(found.error.pixels, np.abs(found.signed.pixels))
    assert found.error.grid == sr.grid
    assert found.rsp < error_map(sr, wide, QUICK).rsp


def test_convolved_image_is_the_blur_written_out(make_pair):
    sr, wide = make_pair()
    found = error_map(sr, wide, QUICK.replace(rsf_sigma_nm=130.0, max_shift_px=0.0))
    matched = sr.pixels * found.alpha + found.beta
    assert np.allclose(found.matched.pixels, matched, rtol=1e-5)
    blurred = ndimage.gaussian_filter(matched.astype(np.float64), 130 / 20, mode="reflect", truncate=8)
    boxed = ndimage.uniform_filter(blurred, 5, mode="reflect")
    # The continuous box and five-pixel mean differ by the variance of one SR pixel.
    assert np.abs(found.convolved.pixels - boxed).max() < 0.01 * np.ptp(boxed)
    assert found.residual.pixels == pytest.approx(wide.pixels - boxed[2::5, 2::5], abs=0.01 * np.ptp(boxed))


def test_z_scores_are_standard_normal_where_all_is_right(make_pair):
    sr, wide = make_pair(wide_shape=(64, 64), sr_pixel_nm=25.0, seed=3)
    rng = np.random.default_rng(0)
    electrons = rng.poisson(4 * wide.pixels) + rng.normal(0, 3, wide.pixels.shape)
    adu = SRImage((electrons / 0.5 + 100).astype(np.float32), wide.grid, "ADU")
    noise = CameraNoise(gain_e_per_adu=0.5, offset_adu=100, read_noise_e=3)
    found = error_map(sr, adu, QUICK.replace(noise=noise))
    inner = found.residual.pixels[3:-3, 3:-3] / noise.standard_deviation(
        adu.pixels[3:-3, 3:-3] - found.residual.pixels[3:-3, 3:-3]
    )
    assert inner.std() == pytest.approx(1.0, abs=0.04)
    assert found.z_score is not None
    assert found.z_score.pixels.shape == sr.pixels.shape
    assert error_map(sr, adu, QUICK).z_score is None


def test_intervals_cover_the_truth(make_pair):
    covered, widths = 0, []
    for seed in range(10):
        sr, wide = make_pair(peak_photons=200, seed=seed)
        found = error_map(sr, wide, SquirrelSettings(n_bootstrap=100))
        low, high = found.intervals["rsf_sigma_nm"]
        covered += low <= 129.9 <= high
        widths.append(high - low)
        assert set(found.intervals) == {"rsp", "rse", "alpha", "beta", "rsf_sigma_nm"}
        assert found.intervals["rsp"][0] < found.rsp < found.intervals["rsp"][1] + 0.02
    # 90 % intervals: 9 of 10, give or take two standard deviations.
    assert covered >= 7
    assert np.median(widths) < 40


def test_same_seed_same_intervals(make_pair):
    sr, wide = make_pair(peak_photons=200)
    settings = SquirrelSettings(n_bootstrap=50)
    assert error_map(sr, wide, settings).intervals == error_map(sr, wide, settings).intervals


def test_stacks(make_pair):
    sr, wide = make_pair()
    flipped = SRImage(sr.pixels[::-1].copy(), sr.grid)
    found = error_maps([sr, flipped], [wide], QUICK)
    assert found[0].rsp > found[1].rsp
    with pytest.raises(InputError, match="one for each of 2 images, got 3"):
        error_maps([sr, sr], [wide, wide, wide], QUICK)


def test_an_image_of_something_else_is_not_registered_and_scores_low(make_pair):
    sr, _ = make_pair(seed=0)
    _, wide = make_pair(seed=5)
    found = error_map(sr, wide, QUICK)
    assert found.rsp < 0.5
    assert any("not registered" in warning for warning in found.warnings)


def test_a_negative_image_never_counts_as_a_match(make_pair):
    sr, wide = make_pair()
    negative = SRImage(sr.pixels.max() - sr.pixels, sr.grid)
    found = error_map(negative, wide, QUICK.replace(max_shift_px=0.0))
    assert found.rsp < 0.2
    if found.alpha <= 0:
        assert any("does not explain" in warning for warning in found.warnings)


def test_partial_fields_on_request(make_pair):
    sr, wide = make_pair()
    part = SRImage(sr.pixels[50:150, 25:], sr.grid.crop(slice(50, 150), slice(25, 200)))
    with pytest.raises(InputError, match="same field"):
        error_map(part, wide, QUICK)
    found = error_map(part, wide, QUICK.replace(partial_field=True, margin_px=3))
    assert found.rsf_sigma_nm == pytest.approx(130, rel=0.02)
    assert found.alpha == pytest.approx(5, rel=0.02)


def bad_pairs(make_pair):
    sr, wide = make_pair()
    constant, zeros = np.full_like(sr.pixels, 3), np.zeros_like(sr.pixels)
    hole = sr.pixels.copy()
    hole[4, 4] = np.nan
    far = PixelGrid(100.0, (40, 40), (1e6, 1e6))
    half = PixelGrid(10.0, sr.pixels.shape)
    return {
        "value 3 in every pixel": (SRImage(constant, sr.grid), wide),
        "only zeros": (SRImage(zeros, sr.grid), wide),
        "1 that are NaN": (SRImage(hole, sr.grid), wide),
        "the wide-field image, got only zeros": (sr, SRImage(np.zeros_like(wide.pixels), wide.grid)),
        "at least as large as super-resolution": (wide, sr),
        "no common field": (sr, SRImage(wide.pixels, far)),
        "of the same field, but along y": (SRImage(sr.pixels, half), wide),
    }


@pytest.mark.parametrize("index", range(7))
def test_bad_input_is_refused(make_pair, index):
    message, (sr, wide) = list(bad_pairs(make_pair).items())[index]
    settings = QUICK.replace(partial_field=message == "no common field")
    with pytest.raises(InputError, match=message) as caught:
        error_map(sr, wide, settings)
    assert "\n" not in str(caught.value)


def test_impossible_settings(make_pair):
    with pytest.raises(SettingsError, match="must exceed min_rsf_sigma_px"):
        SquirrelSettings.create(min_rsf_sigma_px=2, max_rsf_sigma_px=1)
    with pytest.raises(InputError, match="margin that leaves"):
        error_map(*make_pair(), QUICK.replace(margin_px=18))
