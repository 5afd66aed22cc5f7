"""Classes and suppression on planted inventions (benchmarks.planted_inventions runs fifty scenes)."""

import numpy as np
import pytest

from stormcell.assessment.artefacts import (
    ArtefactClass,
    ArtefactSettings,
    Support,
    find_artefacts,
    suppress,
)
from stormcell.assessment.camera_noise import CameraNoise
from stormcell.assessment.squirrel import SquirrelSettings, error_map
from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError

QUICK = SquirrelSettings(n_bootstrap=0)


@pytest.fixture(scope="module")
def scene(scenes):
    return scenes.make_scene(0)


@pytest.fixture(scope="module")
def comparison(scene):
    return error_map(scene.image, scene.widefield, QUICK)


def test_planted_inventions(scenes):
    rows = []
    for seed in range(5):
        scene = scenes.make_scene(seed)
        comparison = error_map(scene.image, scene.widefield, QUICK)
        support = Support(comparison=comparison, noise=CameraNoise(gain_e_per_adu=1), events=scene.events)
        found = find_artefacts(scene.image, support)
        assert sum(found.shares.values()) == pytest.approx(1.0, abs=1e-5)
        rows.append(scenes.judged_share(scene, found, suppress(scene.image, found)))
    mean = {name: np.nanmean([row[name] for row in rows]) for name in rows[0]}
    assert mean["measured_within_40_nm"] >= 0.95
    assert mean["measured_share"] > 0.05
    assert mean["long_inventions_not_measured"] >= 0.8
    assert mean["contradicted_intensity_removed"] >= 0.7
    assert mean["invented_intensity_removed"] >= 0.7
    assert mean["true_intensity_lost"] < 0.02
    assert mean["invented_filaments_contradicted"] > 0.7


def test_a_true_image_is_hardly_contradicted(scenes):
    shares = []
    for seed in range(3):
        scene = scenes.make_scene(seed)
        true = SRImage(scene.true_pixels.astype(np.float32), scene.image.grid)
        comparison = error_map(true, scene.widefield, QUICK)
        noise = CameraNoise(gain_e_per_adu=1)
        found = find_artefacts(true, Support(comparison=comparison, noise=noise, events=scene.events))
        shares.append(found.shares["contradicted"])
    assert np.mean(shares) < 0.01


def test_unknown_camera_noise_is_read_from_the_residual(scene, comparison, scenes):
    found = find_artefacts(scene.image, Support(comparison=comparison, events=scene.events))
    figures = scenes.judged_share(scene, found, suppress(scene.image, found))
    assert figures["invented_filaments_contradicted"] > 0.6
    assert figures["true_intensity_lost"] < 0.03


def test_without_events_nothing_is_measured(scene, comparison):
    found = find_artefacts(scene.image, Support(comparison=comparison))
    assert found.shares["measured"] == 0
    assert found.shares["contradicted"] > 0.02
    assert found.shares["inferred"] > 0.5


def test_dense_events_alone_contradict_what_holds_none(scenes):
    scene = scenes.make_scene(1, events_per_um=200.0)
    found = find_artefacts(scene.image, Support(events=scene.events))
    figures = scenes.judged_share(scene, found, suppress(scene.image, found))
    assert figures["invented_filaments_contradicted"] > 0.7
    assert figures["true_intensity_lost"] < 0.02
    assert found.shares["measured"] > 0.5


def test_the_prior_never_measures(scene):
    share = np.zeros(scene.image.pixels.shape, np.float32)
    share[:, :160] = 0.9
    prior = SRImage(share, scene.image.grid)
    found = find_artefacts(scene.image, Support(events=scene.events, prior_share=prior))
    measured = found.classes.pixels == ArtefactClass.MEASURED
    assert not measured[:, :160].any()
    assert measured[:, 160:].any()


def test_held_out_events_decide_over_those_the_image_was_made_from(scenes):
    """An image drawn through clusters of false events: these support it, held-out events do not."""
    scene = scenes.make_scene(2, events_per_um=200.0)
    rng = np.random.default_rng(0)
    made = np.repeat(scene.inventions[0], 4, axis=0)
    made = made + rng.normal(0, 12, made.shape)
    fake = scene.events.take(np.zeros(len(made), int)).with_columns(x_nm=made[:, 0], y_nm=made[:, 1])
    used = scene.events.concatenate([scene.events, fake])
    shown = scenes.integrate(scene.inventions[0], 20.0, scene.image.pixels.shape, 20.0)
    core = shown > 0.1 * shown.max()
    trusting = find_artefacts(scene.image, Support(events=used))
    checked = find_artefacts(scene.image, Support(events=used, held_out=scene.events))
    contradicted = [(f.classes.pixels[core] == ArtefactClass.CONTRADICTED).mean() for f in (trusting, checked)]
    assert contradicted[0] < 0.2
    assert contradicted[1] > 0.6


def test_suppression_touches_nothing_else(scene, comparison):
    found = find_artefacts(scene.image, Support(comparison=comparison, events=scene.events))
    clean = suppress(scene.image, found)
    kept = found.classes.pixels != ArtefactClass.CONTRADICTED
    assert np.array_equal(clean.pixels[kept], scene.image.pixels[kept])
    assert (clean.pixels <= scene.image.pixels).all()


def test_an_empty_image_is_empty(scene):
    dark = SRImage(np.zeros_like(scene.image.pixels), scene.image.grid)
    found = find_artefacts(dark, Support(events=scene.events))
    assert found.pieces.n == 0
    assert found.evidence is None
    assert suppress(dark, found) is dark


def test_refusals(scene, comparison):
    with pytest.raises(InputError, match="got neither"):
        find_artefacts(scene.image, Support())
    with pytest.raises(InputError, match="expected linked events"):
        find_artefacts(scene.image, Support(events=scene.events.without_columns("n_detections")))
    with pytest.raises(InputError, match="lacks them"):
        find_artefacts(scene.image, Support(events=scene.events.without_columns("uncertainty_x_nm")))
    other = SRImage(scene.image.pixels, PixelGrid(21.0, scene.image.pixels.shape))
    with pytest.raises(InputError, match="on the grid of the image"):
        find_artefacts(other, Support(comparison=comparison))
    with pytest.raises(InputError, match="finite pixels"):
        find_artefacts(
            SRImage(np.full((9, 9), np.nan, np.float32), PixelGrid(20.0, (9, 9))), Support(held_out=scene.events)
        )
    assert ArtefactSettings().min_events == 3
