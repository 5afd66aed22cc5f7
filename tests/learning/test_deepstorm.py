"""Deep-STORM: labels without an offset, the published loss, inference that any frame survives."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from stormcell.calibration.acquisition_settings import AcquisitionSettings
from stormcell.data import FrameStack, Localizations
from stormcell.errors import InputError
from stormcell.learning import deepstorm_localizing, deepstorm_task
from stormcell.learning.deepstorm_frames import (
    LabelledFrames,
    Normalisation,
    choose_patches,
    gaussian_kernel,
    heat_map,
    project,
)
from stormcell.learning.deepstorm_localizing import DeepStormSettings, localize_deepstorm
from stormcell.learning.deepstorm_model import DeepStormModel, draft_card
from stormcell.learning.deepstorm_task import choose_threshold, like_conditions, list_scorer
from stormcell.learning.deepstorm_training import (
    DeepStormBatch,
    DeepStormData,
    DeepStormTrainingSettings,
    deepstorm_loss,
    simulate_labelled,
)
from stormcell.networks.deepstorm import DeepStormNet


def test_label_lies_in_the_recovery_pixel_that_holds_the_emitter():
    drawn = heat_map(np.array([5.30]), np.array([2.99]), (0, 0), 8)
    row, column = divmod(int(drawn.argmax()), 64)
    assert (row, column) == (int(2.99 * 8), int(5.30 * 8))
    assert float(drawn.max()) == pytest.approx(15.9, abs=0.05)
    assert float(drawn.sum()) == pytest.approx(100, rel=1e-5)


def test_heat_map_of_a_patch_is_the_cut_of_the_whole_one():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 20, (2, 60))
    whole = heat_map(x, y, (0, 0), 20)
    patch = heat_map(x, y, (4, 7), 9)
    torch.testing.assert_close(patch, whole[32:104, 56:128])
    spikes = np.zeros((160, 160))
    spikes[(8 * y).astype(int), (8 * x).astype(int)] = 100
    np.testing.assert_allclose(whole.numpy(), gaussian_filter(spikes, 1, mode="constant", radius=3), atol=1e-3)


def test_loss_is_squared_error_behind_a_blur_that_sums_to_two_plus_absolute_prediction():
    assert float(gaussian_kernel(2.0).sum()) == pytest.approx(2, rel=1e-6)
    target = torch.zeros(1, 1, 64, 64)
    target[0, 0] = heat_map(np.array([4.0]), np.array([4.0]), (0, 0), 8)
    ideal = torch.zeros(1, 1, 64, 64)
    ideal[0, 0, 32, 32] = 50.0

    class Fixed(torch.nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            return ideal

    parts = deepstorm_loss(Fixed(), DeepStormBatch(torch.zeros(1, 1, 8, 8), target))
    assert float(parts["squared"]) < 1e-8
    assert float(parts["absolute"]) == pytest.approx(50 / 64**2, rel=1e-6)


def test_normalisation_averages_the_images_own_spreads():
    rng = np.random.default_rng(2)
    images = np.stack([rng.uniform(0, 1, (8, 8)), 500 + 3 * rng.uniform(0, 1, (8, 8)) ** 4]).astype(np.float32)
    found = Normalisation.of(images)
    projected = project(images)
    assert projected.min(axis=(1, 2)) == pytest.approx([0, 0])
    assert projected.max(axis=(1, 2)) == pytest.approx([1, 1])
    assert found.std == pytest.approx((projected[0].std() + projected[1].std()) / 2, rel=1e-5)
    assert np.isfinite(found.apply(np.full((1, 8, 8), 7, np.float32))).all()


def recipe(**changes):
    return DeepStormTrainingSettings(
        n_frames=3, field_px=32, patch_px=16, most_patches=40, batch_size=4, density_per_um2=(3, 3), **changes
    )


def test_a_movie_tells_photons_and_the_recipe_is_in_electrons():
    camera = {"camera_type": "emccd", "offset_adu": 100.0, "gain_e_per_adu": 10.0, "em_gain": 100.0, "qe": 0.5}
    told = {"photons_mean": 1000.0, "background_photons": 20.0, "camera_pixel_size_nm": 110.0}
    found = like_conditions(recipe(), AcquisitionSettings.create(**told, camera=camera))
    assert found.electrons == pytest.approx((250.0, 750.0))
    assert found.background_e == pytest.approx((8.0, 10.0))
    assert found.is_emccd
    plain = like_conditions(recipe(), AcquisitionSettings.create(**told))
    assert plain.electrons == pytest.approx((500.0, 1500.0))


def test_the_score_followed_in_training_is_the_jaccard_index_of_held_out_frames(monkeypatch):
    settings = recipe(background_e=(1.0, 1.0), is_emccd=False)
    labelled = simulate_labelled(settings)
    score = list_scorer(settings, DeepStormData(labelled, settings).normalisation)
    torch.manual_seed(0)
    untrained = DeepStormNet().eval()
    assert 0 <= score(untrained, 0.1).jaccard < 0.3

    shown = []

    def listing(every):
        def localize(stack, size, model, *, settings):
            shown.append(stack.read())
            held_out = simulate_labelled(recipe(background_e=(1.0, 1.0), is_emccd=False).replace(n_frames=6), seed=45)
            columns = {"frame": held_out.frame, "x_nm": size * held_out.x_px, "y_nm": size * held_out.y_px}
            return SimpleNamespace(table=Localizations(columns).take(slice(None, None, every)))

        return localize

    monkeypatch.setattr(deepstorm_task, "localize_deepstorm", listing(1))
    assert score(untrained, 0.1).jaccard == 1.0
    monkeypatch.setattr(deepstorm_task, "localize_deepstorm", listing(2))
    assert score(untrained, 0.1).jaccard == pytest.approx(0.5, abs=0.1)
    assert not any(np.array_equal(frame, labelled.frames[0]) for frame in shown[0])


@pytest.mark.parametrize(("best", "chosen"), [(0.03, 0.03), (0.17, 0.17), (None, 0.1)])
def test_the_threshold_is_the_one_of_the_best_efficiency(best, chosen):
    def score(network, threshold):
        return SimpleNamespace(efficiency=float("nan") if best is None else 50 - 100 * abs(threshold - best))

    assert choose_threshold(torch.nn.Identity(), score) == chosen


def test_patches_hold_enough_emitters_and_training_never_sees_the_held_out_ones():
    settings = recipe()
    labelled = simulate_labelled(settings)
    data = DeepStormData(labelled, settings)
    assert (len(data.validation), len(data.training)) == (12, 28)
    for patches in (data.training, data.validation):
        for i in range(len(patches)):
            x, y = labelled.of(int(patches.frame[i]))
            row, column = patches.row[i], patches.column[i]
            assert ((x >= column) & (x < column + 16) & (y >= row) & (y < row + 16)).sum() >= 7
    places = [set(zip(p.frame, p.row, p.column, strict=True)) for p in (data.training, data.validation)]
    assert len(places[0] & places[1]) <= 2  # chance may draw a place twice
    batch = data.training_batch(5)
    assert torch.equal(batch.frames, data.training_batch(5).frames)
    assert batch.target.shape == (4, 1, 128, 128)


def test_light_and_labels_of_the_simulator_agree():
    labelled = simulate_labelled(recipe(background_e=(1.0, 1.0), is_emccd=False))
    bright = np.zeros_like(labelled.frames[0])
    x, y = labelled.of(0)
    inside = (x >= 0) & (x < 32) & (y >= 0) & (y < 32)
    np.add.at(bright, (y[inside].astype(int), x[inside].astype(int)), 1.0)
    blurred = gaussian_filter(bright, 1.1)
    assert np.corrcoef(blurred[4:-4, 4:-4].ravel(), labelled.frames[0, 4:-4, 4:-4].ravel())[0, 1] > 0.8


def test_frames_without_emitters_are_refused_in_words():
    empty = LabelledFrames(np.zeros((2, 32, 32), np.float32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="with at least 7 emitters, found none"):
        choose_patches(empty, rng, side_px=16, per_frame=5, most=10, fewest_emitters=7)
    with pytest.raises(InputError, match="at least 40 x 40 px"):
        choose_patches(empty, rng, side_px=40, per_frame=5, most=10, fewest_emitters=7)


@pytest.fixture(scope="module")
def model():
    """A network that paints what it sees: every pixel brighter than average becomes light."""
    torch.manual_seed(3)
    network = DeepStormNet()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, 0.0, 0.1)
    torch.nn.init.uniform_(network.paint.weight, 0.0, 40.0)
    card = draft_card()
    return DeepStormModel(card, network.eval(), Normalisation(0.2, 0.2))


def movie(n=2, height=40, width=52, seed=1):
    return np.random.default_rng(seed).poisson(100, (n, height, width)).astype(np.uint16)


SETTINGS = DeepStormSettings(precision="float32")


def test_tiles_and_the_fast_form_change_nothing(model, monkeypatch):
    stack = FrameStack.from_array(movie())
    whole = localize_deepstorm(stack, 100.0, model, settings=SETTINGS)
    slow = localize_deepstorm(stack, 100.0, model, settings=SETTINGS.replace(fast=False))
    monkeypatch.setattr(deepstorm_localizing, "TILE_PX", 16)
    tiled = localize_deepstorm(stack, 100.0, model, settings=SETTINGS)
    scale = float(whole.image.pixels.max())
    assert scale > 0
    assert whole.table.n_rows > 10
    for other in (slow, tiled):
        np.testing.assert_allclose(other.image.pixels, whole.image.pixels, atol=1e-4 * scale)
        assert abs(other.table.n_rows - whole.table.n_rows) <= 0.01 * whole.table.n_rows


def test_constant_frames_show_nothing_and_hot_pixels_do_not_darken_the_rest(model):
    frames = movie(3)
    frames[1] = 77
    hot = frames.copy()
    hot[0, 20, 20] = 60_000
    clean = localize_deepstorm(FrameStack.from_array(frames), 100.0, model, settings=SETTINGS)
    struck = localize_deepstorm(FrameStack.from_array(hot), 100.0, model, settings=SETTINGS)
    assert clean.n_constant_frames == 1
    assert (clean.table["frame"] != 1).all()
    assert struck.n_struck_pixels == 1
    assert struck.image.pixels.sum() == pytest.approx(clean.image.pixels.sum(), rel=0.05)


def test_odd_sizes_keep_the_field(model):
    found = localize_deepstorm(FrameStack.from_array(movie(1, 13, 7)), 100.0, model, settings=SETTINGS)
    assert found.image.pixels.shape == (104, 56)
    assert found.image.grid.extent_nm == (1300, 700)
