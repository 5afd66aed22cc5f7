import numpy as np
import pytest

from stormcell.errors import SettingsError
from stormcell.physics.psf.settings import PSFS, GaussianPSFSettings
from stormcell.simulation.acquisition import Acquisition
from stormcell.simulation.backgrounds import BackgroundSettings
from stormcell.simulation.blinking_settings import BlinkingSettings
from stormcell.simulation.movies import simulate_movie
from stormcell.simulation.presets import SIMULATION_PRESETS, simulation_preset
from stormcell.simulation.settings import MotionSettings, SimulationSettings
from stormcell.simulation.structures.point_pairs import PointPairs
from stormcell.simulation.structures.uniform import Uniform

SMALL = SimulationSettings(
    n_frames=40,
    field_px=(24, 40),
    structure=Uniform(),
    blinking=BlinkingSettings(density_per_um2=0.5),
    psf=GaussianPSFSettings(sigma_nm=120),
    seed=5,
)


@pytest.mark.parametrize("name", list(SIMULATION_PRESETS))
def test_every_preset_runs(name: str) -> None:
    settings = simulation_preset(name).replace(n_frames=2, field_px=(48, 56))
    if settings.structure.kind == "whole_cell":
        settings = settings.replace(structure=settings.structure.replace(n_microtubules=10))
    movie = simulate_movie(settings)
    assert movie.frames.shape == (2, 48, 56)
    assert movie.widefield.pixels.shape == (48, 56)
    assert movie.widefield.pixels.std() > 0
    assert movie.frames.read().std() > 0


def test_there_are_at_least_twelve_presets_and_they_survive_a_config_file() -> None:
    assert len(SIMULATION_PRESETS) >= 12
    for settings in SIMULATION_PRESETS.values():
        assert SimulationSettings.create(**settings.model_dump(mode="json")) == settings


def test_an_unknown_preset_is_refused_with_a_hint() -> None:
    with pytest.raises(SettingsError, match="did you mean microtubules-dense"):
        simulation_preset("microtubule-dense")


def test_equal_settings_give_equal_movies() -> None:
    first, again = simulate_movie(SMALL), simulate_movie(SMALL)
    assert np.array_equal(first.frames.read(), again.frames.read())
    assert first.truth == again.truth
    assert np.array_equal(first.widefield.pixels, again.widefield.pixels)
    other = simulate_movie(SMALL.replace(seed=6))
    assert not np.array_equal(first.frames.read(), other.frames.read())


def test_photons_in_are_photons_out() -> None:
    """Truth against the light on the camera: e / qe, minus the background, over 200 frames."""
    settings = SMALL.replace(
        n_frames=200,
        field_px=(48, 64),
        blinking=BlinkingSettings(density_per_um2=1.0),
        background=BackgroundSettings(photons=5),
    )
    acquisition = Acquisition(settings)
    movie = simulate_movie(settings)
    photons = acquisition.camera.electrons(movie.frames.read()).astype(np.float64) / acquisition.camera.qe
    seen = photons.sum() - 5.0 * photons.size
    # emitters in the margin shine in as much as those in the field shine out
    assert seen == pytest.approx(movie.truth["photons"].sum(), rel=0.02)
    assert movie.truth["background_photons"].mean() == pytest.approx(5.0, rel=1e-6)


def test_x_and_y_stay_apart_in_an_off_centre_scene() -> None:
    """One pair, far from the middle of a field that is not square: light lies where the truth says."""
    settings = SimulationSettings(
        n_frames=60,
        field_px=(20, 50),
        structure=PointPairs(distance_nm=1, spacing_nm=50_000, sites_per_point=60),
        blinking=BlinkingSettings(density_per_um2=0.3, photons=8000),
        psf=PSFS["oil-1.4"],
        background=BackgroundSettings(photons=1),
        seed=3,
    )
    movie = simulate_movie(settings)
    mean = movie.frames.read().astype(float).mean(axis=0) - 100
    light = np.where(mean > 0.2 * mean.max(), mean, 0)
    rows, columns = np.arange(20) + 0.5, np.arange(50) + 0.5
    x = (light.sum(0) * columns).sum() / light.sum() * 100
    y = (light.sum(1) * rows).sum() / light.sum() * 100
    weights = movie.truth["photons"]
    assert np.average(movie.truth["x_nm"], weights=weights) == pytest.approx(x, abs=15)
    assert np.average(movie.truth["y_nm"], weights=weights) == pytest.approx(y, abs=15)
    assert abs(x - y) > 300
    brightest = np.unravel_index(movie.widefield.pixels.argmax(), (20, 50))
    assert brightest == (int(y // 100), int(x // 100))


def test_truth_is_sorted_and_complete() -> None:
    movie = simulate_movie(SMALL)
    truth = movie.truth
    assert (np.diff(truth["frame"]) >= 0).all()
    assert truth["frame"].min() >= 0
    assert truth["frame"].max() < 40
    assert ((truth["on_fraction"] > 0) & (truth["on_fraction"] <= 1)).all()
    assert ((truth["x_nm"] >= 0) & (truth["x_nm"] < 4000)).all()
    assert ((truth["y_nm"] >= 0) & (truth["y_nm"] < 2400)).all()
    assert truth.grid == Acquisition(SMALL).grid
    assert truth.n_frames == 40
    density = truth["on_fraction"].sum() / 40 / (2.4 * 4.0)
    assert density == pytest.approx(0.5, rel=0.25)


def test_metadata_name_the_camera() -> None:
    metadata = simulate_movie(SMALL).frames.metadata
    assert metadata["camera_pixel_size_nm"].value == 100
    assert metadata["gain_e_per_adu"].value == 0.46
    assert metadata["camera_type"].value == "cmos"


def test_the_stage_drifts_as_told() -> None:
    still = simulate_movie(SMALL.replace(motion=MotionSettings(drift_nm=0)))
    moving = simulate_movie(SMALL.replace(motion=MotionSettings(drift_nm=300)))
    motion = Acquisition(moving.config).motion_nm
    assert np.hypot(*motion[-1]) == pytest.approx(300, rel=1e-3)
    ids = {
        (f, i): x
        for f, i, x in zip(still.truth["frame"], still.truth["emitter_id"], still.truth["x_nm"], strict=True)
    }
    moved = [
        (x - ids[f, i], motion[f, 0])
        for f, i, x in zip(moving.truth["frame"], moving.truth["emitter_id"], moving.truth["x_nm"], strict=True)
        if (f, i) in ids
    ]
    seen, expected = np.array(moved).T
    np.testing.assert_allclose(seen, expected, atol=1e-3)


def test_background_grows_with_density_in_paint() -> None:
    background = BackgroundSettings(photons=10, photons_per_density=40)
    image = Acquisition(SMALL.replace(background=background)).background_photons
    assert image.mean() == pytest.approx(10 + 40 * 0.5, rel=0.02)


def test_background_structure_and_decay() -> None:
    background = BackgroundSettings(photons=50, structure=0.5, blobs=0.5, out_of_focus=0.3, decay_frames=100)
    acquisition = Acquisition(SMALL.replace(background=background, n_frames=400))
    assert acquisition.background_photons.mean() == pytest.approx(50, rel=1e-5)
    assert 0.15 < acquisition.background_photons.std() / 50 < 1.5
    truth = simulate_movie(SMALL.replace(background=background, n_frames=400)).truth
    early, late = (truth["background_photons"][truth["frame"] // 50 == k].mean() for k in (0, 7))
    assert late / early == pytest.approx(0.36 / 0.87, rel=0.15)


def test_heights_blur_the_spots() -> None:
    flat = simulate_movie(SMALL.replace(psf=PSFS["oil-1.4"]))
    deep = simulate_movie(SMALL.replace(psf=PSFS["oil-1.4"], z_range_nm=300))
    assert (flat.truth["z_nm"] == 0).mean() > 0 or np.abs(flat.truth["z_nm"]).max() <= 8
    assert 100 < np.abs(deep.truth["z_nm"]).max() <= 308


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"camera_pixel_size_nm": 0.1}, "camera_pixel_size_nm"),
        ({"camera_pixel_size_nm": -100}, "camera_pixel_size_nm"),
        ({"n_frames": 0}, "n_frames"),
        ({"field_px": (0, 10)}, "field_px"),
        ({"field_px": (100_000, 10)}, "field_px"),
        ({"psf": {"kind": "gaussian", "sigma_nm": 900}, "field_px": (10, 10)}, "psf.sigma_nm"),
        ({"psf": {"kind": "gaussian", "sigma_nm": 0}}, "sigma_nm"),
        ({"psf": {"kind": "diffraction", "na": 1.6}}, "na"),
        ({"psf": {"kind": "diffraction", "zernike_waves": {"comma": 0.1}}}, "zernike_waves"),
        ({"psf": {"kind": "lens"}}, "psf"),
        ({"blinking": {"photons": 1e9}}, "photons"),
        ({"background": {"photons": -1}}, "photons"),
        ({"camera": {"camera_type": "cmos"}}, "offset_adu"),
        ({"labelling": {"efficiency": 0}}, "efficiency"),
        ({"frames": 10}, "frames"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsError, match=field):
        SimulationSettings.create(**changes)


def test_a_spot_too_small_for_the_pixel_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"sigma_nm: a spot of sigma 60 nm is 0\.20 camera px"):
        Acquisition(SMALL.replace(camera_pixel_size_nm=300, psf=GaussianPSFSettings(sigma_nm=60)))


def test_more_emitters_than_fluorophores_are_refused() -> None:
    with pytest.raises(SettingsError, match="density_per_um2"):
        Acquisition(SMALL.replace(structure=Uniform(sites_per_um2=1)))
