"""simulate --pseudo-dense end to end: a real sparse movie becomes a dense one with truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from stormcell.errors import InputError, SettingsError
from stormcell.io.movies import open_movie
from stormcell.io.tables import read_table
from stormcell.simulation.movies import SimulatedMovie, simulate_movie
from stormcell.simulation.presets import simulation_preset
from stormcell.workflows.pseudo_dense import sum_movie

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def sparse() -> SimulatedMovie:
    settings = simulation_preset("uniform-easy").replace(n_frames=40, field_px=(24, 36), seed=3)
    return simulate_movie(
        settings.replace(blinking=settings.blinking.replace(density_per_um2=0.3, photons=9000, mean_on_frames=1.0))
    )


def test_sums_and_their_truth_are_written(tmp_path: Path, sparse: SimulatedMovie) -> None:
    done = sum_movie(sparse.frames, tmp_path / "out", fits=sparse.truth, summed_frames=4)
    assert sorted(path.name for path in done.outputs) == sorted(path.name for path in (tmp_path / "out").iterdir())
    movie = open_movie(tmp_path / "out" / "movie.ome.tif")
    camera, k = sparse.config.camera.camera(), 4
    assert movie.shape == (10, 24, 36)
    # all light is there: k times the electrons of a single frame
    light = camera.electrons(movie.read()).sum()
    assert light == pytest.approx(camera.electrons(sparse.frames.read()).sum(), rel=1e-4)
    assert movie.metadata["read_noise_e"].value == pytest.approx(2 * sparse.config.camera.read_noise_e, rel=1e-4)
    assert movie.metadata["offset_adu"].value == sparse.config.camera.offset_adu
    truth = read_table(tmp_path / "out" / "truth.parquet")
    assert len(truth) == len(sparse.truth) == len(read_table(tmp_path / "out" / "truth.csv"))
    assert done.density_per_um2 == pytest.approx(len(sparse.truth) / 40 / (2.4 * 3.6) * k)
    assert truth.provenance is not None
    assert (truth.provenance.verb, truth.provenance.seed) == ("simulate", 0)


def test_a_part_of_the_movie_begins_at_zero(tmp_path: Path, sparse: SimulatedMovie) -> None:
    """Light and truth of a cropped movie lie at the same place."""
    done = sum_movie(
        sparse.frames, tmp_path, fits=sparse.truth, summed_frames=5, frames="10:35", roi="6:22,9:33", seed=2
    )
    frames = open_movie(tmp_path / "movie.ome.tif").read().astype(float)
    assert frames.shape == (5, 16, 24)
    truth = done.truth
    assert truth.grid is not None
    assert truth.grid.shape == (16, 24)
    inside = (truth["x_nm"] > 200) & (truth["x_nm"] < 2200) & (truth["y_nm"] > 200) & (truth["y_nm"] < 1400)
    bright = truth.take(inside & (truth["photons"] > 3000))
    assert len(bright) >= 10
    level = np.median(frames)
    rows, columns = (bright["y_nm"] // 100).astype(int), (bright["x_nm"] // 100).astype(int)
    assert np.all(frames[bright["frame"], rows, columns] > level + 200)


def test_without_a_table_the_single_frames_are_fitted(tmp_path: Path, sparse: SimulatedMovie) -> None:
    done = sum_movie(sparse.frames, tmp_path, summed_frames=2)
    bright = np.count_nonzero(sparse.truth["photons"] > 250)  # of a peak above the noise of the background
    assert done.truth.n_rows == pytest.approx(bright, rel=0.2)
    assert "uncertainty_x_nm" in done.truth


def test_camera_options_reach_the_new_file(tmp_path: Path, sparse: SimulatedMovie) -> None:
    bare = sparse.frames.read()
    np.save(tmp_path / "bare.npy", bare)
    sum_movie(
        tmp_path / "bare.npy",
        tmp_path / "out",
        fits=sparse.truth,
        summed_frames=4,
        pixel_size_nm=100,
        camera_type="cmos",
        offset_adu=100,
        gain_e_per_adu=0.46,
        read_noise_e=1.5,
    )
    said = open_movie(tmp_path / "out" / "movie.ome.tif").metadata
    assert said["read_noise_e"].value == pytest.approx(3.0)
    assert said["gain_e_per_adu"].value == pytest.approx(0.46)


@pytest.mark.parametrize("options", [{"preset": "uniform-easy"}, {"photons": 500}, {"psf": "oil-1.4"}])
def test_options_of_a_simulation_are_refused(
    tmp_path: Path, sparse: SimulatedMovie, options: dict[str, object]
) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        sum_movie(sparse.frames, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_frames_without_fits_are_refused(tmp_path: Path, sparse: SimulatedMovie) -> None:
    with pytest.raises(InputError, match="expected fits"):
        sum_movie(sparse.frames, tmp_path, fits=sparse.truth.take(slice(0, 0)))
