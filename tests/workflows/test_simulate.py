"""simulate and psf end to end, on small movies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from stormcell.calibration.acquisition_settings import AcquisitionSettings
from stormcell.calibration.simulated_conditions import settings_like
from stormcell.errors import FormatError, InputError, OutputError, SettingsError
from stormcell.io.documents import read_yaml, write_yaml
from stormcell.io.images import read_image
from stormcell.io.movies import open_movie
from stormcell.io.tables import read_table
from stormcell.physics.psf.model import make_psf
from stormcell.simulation.acquisition import Acquisition
from stormcell.simulation.movies import simulate_movie
from stormcell.simulation.presets import simulation_preset
from stormcell.workflows.psf import psf, read_psf
from stormcell.workflows.simulate import simulate
from stormcell.workflows.simulation_config import SimulateVerbSettings, simulation_settings

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.simulation.settings import SimulationSettings

SMALL = {"preset": "uniform-easy", "n_frames": 30, "field_px": (24, 36), "seed": 4}


def test_everything_is_written_and_agrees_with_memory(tmp_path: Path) -> None:
    done = simulate(tmp_path / "out", **SMALL)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in done.outputs)
    in_memory = simulate_movie(simulation_preset("uniform-easy").replace(n_frames=30, field_px=(24, 36), seed=4))
    movie = open_movie(done.movie)
    assert np.array_equal(movie.read(), in_memory.frames.read())
    assert movie.metadata["camera_pixel_size_nm"].value == pytest.approx(100)
    assert movie.metadata["gain_e_per_adu"].value == pytest.approx(0.46)
    truth = read_table(done.truth)
    assert truth == in_memory.truth
    assert truth.n_frames == 30
    assert truth.grid == in_memory.truth.grid
    assert truth.provenance is not None
    assert (truth.provenance.verb, truth.provenance.seed) == ("simulate", 4)
    assert len(read_table(tmp_path / "out" / "truth.csv")) == len(truth) == done.n_emitters
    widefield = read_image(tmp_path / "out" / "widefield.ome.tif")
    np.testing.assert_allclose(widefield.pixels, in_memory.widefield.pixels)


def test_the_config_repeats_the_movie(tmp_path: Path) -> None:
    first = simulate(tmp_path / "a", **SMALL)
    again = simulate(tmp_path / "b", config=tmp_path / "a" / "config.yaml")
    for name in ("movie.ome.tif", "truth.parquet", "truth.csv", "widefield.ome.tif", "config.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = simulate(tmp_path / "c", config=tmp_path / "a" / "config.yaml", seed=5)
    assert first.config == again.config != other.config


def test_long_movies_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are written as they come; the number of frames in a block changes nothing but the noise stream."""
    monkeypatch.setattr("stormcell.simulation.acquisition._BLOCK_PIXELS", 24 * 36 * 7)
    seen: list[tuple[int, int]] = []
    done = simulate(tmp_path / "out", progress=lambda at, total: seen.append((at, total)), **SMALL)
    assert [at for at, _ in seen] == [7, 14, 21, 28, 30]
    whole = simulate_movie(done.config)
    assert read_table(done.truth) == whole.truth


def test_options_change_single_values() -> None:
    wanted = SimulateVerbSettings(
        preset="mitochondria-palm",
        structure="actin",
        psf="oil-1.4",
        density_per_um2=0.7,
        photons=900,
        background_photons=12,
        pixel_size_nm=120,
    )
    made = simulation_settings(wanted)
    assert made.structure.kind == "actin"
    assert made.psf.na == 1.4
    assert (made.blinking.density_per_um2, made.blinking.photons) == (0.7, 900)
    assert made.background.photons == 12
    assert made.camera_pixel_size_nm == 120
    assert made.labelling == simulation_preset("mitochondria-palm").labelling


def test_camera_options_change_the_simulated_camera(tmp_path: Path) -> None:
    made = simulation_settings(SimulateVerbSettings(camera_type="emccd", em_gain=200, offset_adu=250))
    assert (made.camera.camera_type, made.camera.em_gain, made.camera.offset_adu) == ("emccd", 200, 250)
    assert made.camera.gain_e_per_adu == simulation_preset("microtubules-dense").camera.gain_e_per_adu
    described = {"camera_type": "cmos", "gain_e_per_adu": 0.7, "offset_map": "dark.npy"}
    write_yaml(tmp_path / "camera.yaml", described)
    np.save(tmp_path / "dark.npy", np.full((1, 24, 36), 321.0, np.float32))
    done = simulate(tmp_path / "out", camera=str(tmp_path / "camera.yaml"), read_noise_e=2.5, **SMALL)
    assert (done.config.camera.gain_e_per_adu, done.config.camera.read_noise_e) == (0.7, 2.5)
    assert np.median(open_movie(done.movie).read()) == pytest.approx(321 + 10 * 1 / 0.7, abs=8)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"frames": "0:5"}, "frames"),
        ({"roi": "0:5,0:5"}, "roi"),
        ({"preset": "unicorn"}, "preset"),
        ({"structure": "unicorn"}, "structure"),
        ({"psf": "unicorn"}, "psf"),
        ({"pixel_size_nm": 0.1}, "pixel_size_nm"),
        ({"photons": 1e9}, "photons"),
        ({"density_per_um2": -1}, "density_per_um2"),
        ({"n_frame": 10}, "did you mean n_frames"),
    ],
)
def test_impossible_options_are_refused_by_name(tmp_path: Path, options: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsError, match=field):
        simulate(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_contradictions_are_refused(tmp_path: Path) -> None:
    write_yaml(tmp_path / "config.yaml", {"n_frames": 3, "blinking": {"mean_off_frames": 50, "density_per_um2": 1}})
    with pytest.raises(SettingsError, match="mean_off_frames"):
        simulate(tmp_path / "out", config=tmp_path / "config.yaml")
    with pytest.raises(SettingsError, match="preset"):
        simulate(tmp_path / "out", config=tmp_path / "config.yaml", preset="uniform-easy")
    write_yaml(tmp_path / "list.yaml", [1, 2])
    with pytest.raises(SettingsError, match="settings by name"):
        simulate(tmp_path / "out", config=tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"psf": {"kind": "gaussian", "sigma_nm": 900}, "field_px": [8, 8]}, r"^psf\.sigma_nm"),
        ({"camera": {"camera_type": "cmos", "offset_adu": 100}}, r"^camera.*gain_e_per_adu"),
        ({"camera": {"camera_type": "cmos", "offset_adu": 7e4, "gain_e_per_adu": 1}}, r"^camera\.offset_adu"),
        ({"camera": {"camera_type": "cmos", "offset_adu": 1, "gain_e_per_adu": 1, "em_gain": 9}}, "em_gain"),
        ({"background": {"photons": 9e4}}, r"^background\.photons"),
        ({"background": {"photons": -5}}, r"^background\.photons"),
        ({"blinking": {"photons": 1e9}}, r"^blinking\.photons"),
        ({"blinking": {"dark_probability": 0.7, "bleach_probability": 0.7}}, "dark_probability"),
        ({"camera_pixel_size_nm": 0.1}, "^camera_pixel_size_nm"),
        ({"n_frames": 0}, "^n_frames"),
        ({"n_frames": float("inf")}, "^n_frames"),
        ({"field_px": [0, 64]}, "^field_px"),
        ({"structure": {"kind": "microtubule"}}, "^structure"),
        ({"structure": {"kind": "parallel_lines", "distance_nm": -5}}, "distance_nm"),
        ({"psf": {"kind": "diffraction", "na": 1.6, "immersion_index": 1.33}}, "na: expected below"),
        ({"psf": {"kind": "diffraction", "zernike_waves": {"comma": 0.1}}}, "zernike_waves: comma"),
        ({"blinking": {"density_per_um2": 25}, "labelling": {"efficiency": 0.01}}, "^density_per_um2"),
        ({"unicorn": 1}, "unicorn is not a setting"),
        ({"camera_pixel_size_nm": 100, "photons_mean": 500, "psf_sigma_nm": 4000}, "^psf_sigma_nm"),
    ],
    ids=str,
)
def test_absurd_configs_are_refused_by_name(tmp_path: Path, config: dict[str, object], field: str) -> None:
    write_yaml(tmp_path / "config.yaml", config)
    with pytest.raises(SettingsError, match=field):
        simulate(tmp_path / "out", config=tmp_path / "config.yaml")
    assert not (tmp_path / "out" / "movie.ome.tif").exists()


def test_existing_results_are_kept(tmp_path: Path) -> None:
    simulate(tmp_path, **SMALL)
    with pytest.raises(OutputError, match="overwrite"):
        simulate(tmp_path, **SMALL)
    simulate(tmp_path, overwrite=True, **{**SMALL, "n_frames": 3})
    assert open_movie(tmp_path / "movie.ome.tif").n_frames == 3


def test_conditions_of_a_real_movie_are_taken_over(tmp_path: Path) -> None:
    found = AcquisitionSettings(
        camera_pixel_size_nm=130,
        psf_sigma_nm=150,
        psf_ellipticity=0.05,
        tail_fraction=0.12,
        photons_mean=600,
        photon_log_spread=0.4,
        background_photons=33,
        density_per_um2=0.9,
        on_time_frames=2.0,
    )
    made = settings_like(found, simulation_preset("uniform-easy").replace(n_frames=150, field_px=(40, 60)))
    psf_made = make_psf(made.psf, 130)
    assert psf_made.sigma_px * 130 == pytest.approx(150, rel=0.03)
    assert psf_made.tail_fraction == pytest.approx(0.12, abs=0.02)
    truth = simulate_movie(made).truth
    area_um2 = 40 * 60 * 0.13**2
    assert len(truth) / 150 / area_um2 == pytest.approx(0.9, rel=0.1)
    assert truth["photons"].mean() == pytest.approx(600, rel=0.1)
    assert Acquisition(made).background_photons.mean() == pytest.approx(33, rel=0.01)
    path = tmp_path / "acquisition.yaml"
    write_yaml(path, found.model_dump(mode="json"))
    assert simulation_settings(SimulateVerbSettings(), like=path).camera_pixel_size_nm == 130


@pytest.fixture(scope="module")
def sparse() -> SimulationSettings:
    settings = simulation_preset("uniform-easy").replace(n_frames=150, field_px=(64, 64), seed=2)
    return settings.replace(blinking=settings.blinking.replace(density_per_um2=0.06, photons=6000))


def test_a_sparse_movie_gives_its_psf(tmp_path: Path, sparse: SimulationSettings) -> None:
    movie = simulate_movie(sparse.replace(psf=simulation_preset("microtubules-sparse").psf))
    done = psf(movie.frames, output=tmp_path / "psf.npz")
    truth = make_psf(movie.config.psf, 100.0)
    assert done.n_spots > 30
    assert done.sigma_nm == pytest.approx(truth.sigma_px * 100, rel=0.02)
    assert done.tail_fraction == pytest.approx(truth.tail_fraction, abs=0.04)
    assert done.reduced_chi2 == pytest.approx(1.0, abs=0.15)
    again = read_psf(tmp_path / "psf.npz")
    assert again.sigma_px == done.psf.sigma_px
    assert np.array_equal(again.bank.table.numpy(), done.psf.bank.table.numpy())
    # and simulate takes it
    made = simulate(tmp_path / "out", psf=str(tmp_path / "psf.npz"), **SMALL)
    assert read_yaml(tmp_path / "out" / "config.yaml")["psf"]["kind"] == "measured"
    assert read_table(made.truth)["psf_sigma_nm"][0] == pytest.approx(done.sigma_nm)


def test_too_few_spots_are_refused(sparse: SimulationSettings) -> None:
    with pytest.raises(InputError, match="at least 10 isolated spots"):
        psf(simulate_movie(sparse.replace(n_frames=3)).frames)


def test_other_files_are_no_psf(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(FormatError, match="is missing"):
        read_psf(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("dear diary")
    with pytest.raises(FormatError, match="another kind of file"):
        read_psf(tmp_path / "text.npz")
    with pytest.raises(FormatError, match="does not exist"):
        read_psf(tmp_path / "none.npz")


def test_a_psf_for_another_pixel_size_is_refused(tmp_path: Path, sparse: SimulationSettings) -> None:
    psf(simulate_movie(sparse).frames, output=tmp_path / "psf.npz", n_rounds=1)
    with pytest.raises(SettingsError, match="measured with camera pixels of 100 nm"):
        simulate(tmp_path / "out", psf=str(tmp_path / "psf.npz"), pixel_size_nm=120, **SMALL)
