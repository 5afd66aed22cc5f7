"""Densify of whole images: no tile, size or emptiness shows; intervals hold what they promise."""

import numpy as np
import pytest
import torch

from stormcell.errors import InputError
from stormcell.learning.annapalm_inference import (
    DensifyInferenceSettings,
    DensifyResult,
    densify_image,
    sum_cells,
)
from stormcell.learning.annapalm_model import DensifyModel
from stormcell.networks.annapalm import DensifyArchitecture, DensifyNet
from stormcell.networks.annapalm_published import PublishedArchitecture, PublishedGenerator


def lean():
    torch.manual_seed(1)
    network = DensifyNet(DensifyArchitecture(widths=(8, 12, 16, 16), fine=4))
    with torch.no_grad():
        # an untrained head draws an even field, which would hide every seam
        network.head.weight.mul_(20)
        network.dispersion.weight.mul_(20)
    return DensifyModel(None, network.eval())


def published():
    torch.manual_seed(1)
    return DensifyModel(None, PublishedGenerator(PublishedArchitecture(widths=(4, 8, 8, 8))).eval())


def scene(shape, seed=1):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = 0.5 + 0.5 * np.sin(x / 23) * np.sin(y / 31)
    return rng.poisson(0.05 * light).astype(np.float32), light.astype(np.float32)


def test_the_tile_size_does_not_show():
    model, (counts, widefield) = lean(), scene((333, 501))
    whole = densify_image(model, counts, widefield, DensifyInferenceSettings(tile_px=512))
    span = np.ptp(whole.rate)
    assert span > 0.3 * whole.rate.mean()
    for tile_px in (64, 160):
        tiled = densify_image(model, counts, widefield, DensifyInferenceSettings(tile_px=tile_px))
        assert np.abs(tiled.rate - whole.rate).max() < 0.01 * span
        assert np.abs(tiled.dispersion - whole.dispersion).max() < 0.01 * np.ptp(whole.dispersion)


@pytest.mark.parametrize("make", [lean, published])
@pytest.mark.parametrize("shape", [(1, 1), (10, 10), (17, 33), (1, 70)])
def test_any_size_goes_through(make, shape):
    counts, widefield = scene(shape)
    counts[0, 0] = 1
    for given in ((counts, None), (None, widefield), (counts, widefield)):
        result = densify_image(make(), *given)
        assert result.rate.shape == result.standard_deviation.shape == shape
        assert result.dispersion.shape == tuple((n + 1) // 2 for n in shape)
        assert np.isfinite(result.rate).all()
        assert (result.rate >= 0).all()
        assert (result.dispersion > 0).all()


def test_no_events_give_an_empty_picture_and_one_event_a_picture():
    model = lean()
    assert not densify_image(model, np.zeros((20, 30), np.float32), None).rate.any()
    one = np.zeros((20, 30), np.float32)
    one[3, 4] = 1
    assert np.isfinite(densify_image(model, one, None).rate).all()
    with_light = densify_image(model, np.zeros((20, 30), np.float32), scene((20, 30))[1])
    assert with_light.rate.any()


def test_what_is_not_a_number_counts_as_not_measured():
    counts, widefield = scene((40, 40))
    holed = widefield.copy()
    holed[10:20, 10:20] = np.nan
    covered = np.ones((40, 40), np.float32)
    covered[10:20, 10:20] = 0
    first = densify_image(lean(), counts, holed)
    second = densify_image(lean(), counts, widefield, widefield_covered=covered)
    np.testing.assert_array_equal(first.rate, second.rate)


def test_the_label_changes_the_picture_and_an_unknown_name_is_unknown():
    model, (counts, _) = lean(), scene((40, 40))
    rates = {
        name: densify_image(model, counts, None, DensifyInferenceSettings(structure=name)).rate
        for name in ("unknown", "actin", "golgi")
    }
    assert np.array_equal(rates["unknown"], rates["golgi"])
    assert not np.array_equal(rates["unknown"], rates["actin"])


def test_images_that_do_not_fit_are_refused():
    for given in ((None, None), (np.zeros((3, 4), np.float32), np.zeros((4, 3), np.float32))):
        with pytest.raises(InputError, match="resample the wide-field"):
            densify_image(lean(), *given)
    with pytest.raises(InputError, match="at least 1 x 1"):
        densify_image(lean(), np.zeros((0, 4), np.float32), None)


def test_progress_is_told_for_every_tile():
    told = []
    counts, _ = scene((130, 70))
    densify_image(lean(), counts, None, DensifyInferenceSettings(tile_px=64), progress=lambda *n: told.append(n))
    assert told == [(k + 1, 6) for k in range(6)]


def test_padding_for_the_network_hardly_shows():
    # 80 px need no padding, 79 px do: the rest of the picture must stay
    counts, widefield = scene((80, 96))
    whole = densify_image(lean(), counts, widefield).rate
    less = densify_image(lean(), counts[:79], widefield[:79]).rate
    assert np.abs(less[:40] - whole[:40]).max() < 0.3 * np.ptp(whole)


def test_intervals_cover_what_a_gamma_poisson_world_shows():
    rng = np.random.default_rng(1)
    rate, dispersion, ratio = 0.08, 0.3, 60.0
    result = DensifyResult(np.full((200, 200), rate, np.float32), np.full((100, 100), dispersion, np.float32))
    counts = rng.poisson(4 * rate * ratio * rng.gamma(1 / dispersion, dispersion, (100, 100)))
    low, high = result.interval(ratio, 0.9)
    assert np.mean((counts >= low) & (counts <= high)) == pytest.approx(0.91, abs=0.02)
    assert result.standard_deviation == pytest.approx(rate * np.sqrt(dispersion))


def test_cells_hold_every_count_also_at_odd_edges():
    image = np.arange(15, dtype=np.float32).reshape(3, 5)
    cells = sum_cells(image)
    assert cells.shape == (2, 3)
    assert cells.sum() == image.sum()
    assert cells[0, 0] == 0 + 1 + 5 + 6


def test_a_smaller_tail_widens_intervals() -> None:
    rate, dispersion = np.full((4, 4), 2.0, np.float32), np.full((2, 2), 0.3, np.float32)
    (low, high), (wide_low, wide_high) = (DensifyResult(rate, dispersion, tail).interval(1.0) for tail in (1.0, 0.1))
    assert np.all(wide_low <= low)
    assert np.all(wide_high > high)
    # leaving out a tenth of 10 % is the same as asking for 99 %
    np.testing.assert_array_equal(wide_high, DensifyResult(rate, dispersion).interval(1.0, 0.99)[1])
