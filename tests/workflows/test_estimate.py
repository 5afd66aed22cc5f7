"""estimate end to end: movie in, acquisition.yaml and picture out, and back into simulate and training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.image
import numpy as np
import pytest

from stormcell.calibration.training_range import training_range
from stormcell.errors import InputError, OutputError, SettingsError
from stormcell.io.documents import read_yaml, write_yaml
from stormcell.simulation.movies import SimulatedMovie, simulate_movie
from stormcell.simulation.presets import simulation_preset
from stormcell.workflows.estimate import acquisition_like, estimate, read_acquisition
from stormcell.workflows.simulate import simulate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")


@pytest.fixture(scope="module")
def simulated() -> SimulatedMovie:
    base = simulation_preset("uniform-easy").replace(n_frames=120, field_px=(48, 72), seed=3)
    return simulate_movie(base.replace(blinking=base.blinking.replace(density_per_um2=0.5, bleach_probability=0.0)))


def test_what_was_simulated_is_found_and_simulated_again(tmp_path: Path, simulated: SimulatedMovie) -> None:
    done = estimate(simulated.frames, output=tmp_path / "acquisition.yaml")
    truth = simulated.truth
    area_um2 = 48 * 72 * 0.01
    for name, value, tolerance in (
        ("psf_sigma_nm", 120, 0.03),
        ("photons_mean", truth["photons"].mean(), 0.12),
        ("background_photons", 10, 0.1),
        ("density_per_um2", len(truth) / 120 / area_um2, 0.2),
    ):
        assert done[name].value == pytest.approx(value, rel=tolerance), name
        low, high = done.acquisition.intervals[name]
        assert low < done[name].value < high
    assert done["gain_e_per_adu"].source == "read"
    assert done.likeness is not None
    assert done.likeness.distance.total < 0.12
    assert [path.name for path in done.outputs] == ["acquisition.yaml", "acquisition.png"]
    assert matplotlib.image.imread(tmp_path / "acquisition.png").shape[0] > 800

    again = read_acquisition(tmp_path / "acquisition.yaml")
    assert again.photons_mean == pytest.approx(done.acquisition.photons_mean, rel=1e-5)
    assert again.record["distance"]["total"] == pytest.approx(done.likeness.distance.total, rel=1e-4)
    assert again.camera == done.acquisition.camera
    made = simulate(
        tmp_path / "again", config=tmp_path / "acquisition.yaml", structure="uniform", n_frames=60, field_px=(48, 72)
    )
    assert made.density_per_um2 == pytest.approx(done["density_per_um2"].value, rel=0.15)
    assert training_range(again).psfs.sigma_px[0] < 1.2 < training_range(again).psfs.sigma_px[1]


def test_a_movie_stands_for_its_acquisition(tmp_path: Path, simulated: SimulatedMovie) -> None:
    from_movie = acquisition_like(simulated.frames)
    assert "distance" not in from_movie.record
    assert from_movie.psf_sigma_nm == pytest.approx(120, rel=0.03)
    write_yaml(tmp_path / "acquisition.yaml", from_movie.model_dump(mode="json"))
    assert acquisition_like(tmp_path / "acquisition.yaml").psf_sigma_nm == pytest.approx(from_movie.psf_sigma_nm)


def test_same_movie_same_file(tmp_path: Path, simulated: SimulatedMovie) -> None:
    for name in ("a", "b"):
        estimate(simulated.frames, output=tmp_path / f"{name}.yaml", max_frames=60)
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_wrong_camera_is_seen(simulated: SimulatedMovie) -> None:
    right = estimate(simulated.frames).likeness
    wrong = estimate(simulated.frames, gain_e_per_adu=1.8).likeness
    assert right is not None
    assert wrong is not None
    assert wrong.distance.total > 3 * right.distance.total


def test_what_a_movie_cannot_tell_leaves_no_comparison(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).poisson(50, (80, 48, 48)).astype(np.uint16)
    done = estimate(frames, pixel_size_nm=100, output=tmp_path / "acquisition.yaml")
    assert done.likeness is None
    assert [path.name for path in done.outputs] == ["acquisition.yaml"]
    document = read_yaml(tmp_path / "acquisition.yaml")
    assert document["photons_mean"] is None
    assert "not identifiable" in document["notes"]["photons_mean"]
    assert "gain_e_per_adu" not in document["camera"]


def test_files_are_kept_and_names_checked(tmp_path: Path, simulated: SimulatedMovie) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(OutputError, match="overwrite"):
        estimate(simulated.frames, output=tmp_path / "a.yaml")
    with pytest.raises(OutputError, match=r"\.yaml"):
        estimate(simulated.frames, output=tmp_path / "a.json")


def test_impossible_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "acquisition.yaml"
    write_yaml(path, {"camera_pixel_size_nm": 100, "photons_mean": -3})
    with pytest.raises(SettingsError, match="photons_mean"):
        read_acquisition(path)
    write_yaml(path, {"camera_pixel_size_nm": 100, "photon_mean": 3}, overwrite=True)
    with pytest.raises(SettingsError, match="did you mean photons_mean"):
        read_acquisition(path)
    write_yaml(path, [1], overwrite=True)
    with pytest.raises(SettingsError, match=r"acquisition\.yaml"):
        read_acquisition(path)
    with pytest.raises(InputError, match="pixel_size_nm"):
        estimate(np.zeros((20, 16, 16), np.uint16), pixel_size_nm=0.1)
