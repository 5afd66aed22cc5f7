"""From emitters through the microscope to a file and back to a table: photons and axes survive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from stormcell.physics.cameras import CameraSettings
from stormcell.physics.psf.settings import PSFS
from stormcell.simulation.acquisition import Acquisition
from stormcell.simulation.backgrounds import BackgroundSettings
from stormcell.simulation.blinking_settings import BlinkingSettings
from stormcell.simulation.settings import SimulationSettings
from stormcell.simulation.structures.uniform import Uniform

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["gaussian", "airy", "oil-1.4", "oil-aberrated", "water-1.2"])
def test_photons_in_are_photons_out_to_a_thousandth(name: str) -> None:
    """All emitters in the middle of a wide field: the camera gets the photons of the truth times its efficiency."""
    settings = SimulationSettings(
        n_frames=150,
        field_px=(44, 52),
        structure=Uniform(),
        psf=PSFS[name],
        blinking=BlinkingSettings(density_per_um2=0.5, photons=40_000, photon_spread=0.3),
        background=BackgroundSettings(photons=0),
        camera=CameraSettings(camera_type="cmos", offset_adu=100, gain_e_per_adu=1, qe=0.7, bit_depth=32),
    )
    rng = np.random.default_rng(1)
    places = np.column_stack([2600 + rng.uniform(-700, 700, 200), 2200 + rng.uniform(-700, 700, 200), np.zeros(200)])
    acquisition = Acquisition(settings, fluorophores_nm=places)
    blocks = list(acquisition.blocks())
    seen = sum(acquisition.camera.electrons(block.frames).sum(dtype=float) for block in blocks)
    truth = sum(float(block.truth["photons"].sum()) for block in blocks)
    # shot noise of some 4e7 photons is 2e-4
    assert seen / 0.7 == pytest.approx(truth, rel=1e-3)


@pytest.mark.filterwarnings("ignore:ThunderSTORM CSV has no place")
def test_x_and_y_stay_apart_from_the_scene_to_the_table(tmp_path: Path) -> None:
    """Emitters in the lower right corner of a field that is not square, through files, fits and matching."""
    import stormcell as sc
    from stormcell.io.movies import write_ome_tiff_movie
    from stormcell.simulation.movies import movie_metadata

    settings = SimulationSettings(
        n_frames=150,
        field_px=(28, 60),
        structure=Uniform(),
        blinking=BlinkingSettings(density_per_um2=0.02, photons=6000, photon_spread=0.1),
        background=BackgroundSettings(photons=5),
    )
    rng = np.random.default_rng(2)
    # x 4.0 to 5.4 um, y 1.2 to 2.2 um
    places = np.column_stack([rng.uniform(4000, 5400, 300), rng.uniform(1200, 2200, 300), np.zeros(300)])
    acquisition = Acquisition(settings, fluorophores_nm=places)
    (block,) = acquisition.blocks()
    write_ome_tiff_movie(
        tmp_path / "movie.ome.tif",
        iter([block.frames]),
        shape=(150, 28, 60),
        dtype=np.uint16,
        camera_pixel_size_nm=100.0,
        metadata=movie_metadata(settings),
    )
    table = sc.localize(tmp_path / "movie.ome.tif", output=tmp_path / "table.csv")
    bright = table.take(table["photons"] > 500)  # the rest are false alarms of the noise
    assert np.all(abs(bright["x_nm"] - 4700) < 750)
    assert np.all(abs(bright["y_nm"] - 1700) < 550)
    score = sc.evaluate(tmp_path / "table.csv", block.truth)
    assert score.recall > 0.6
    assert abs(score.bias_x_nm) < 3
    assert abs(score.bias_y_nm) < 3
    swapped = table.with_columns(x_nm=table["y_nm"], y_nm=table["x_nm"])
    assert sc.evaluate(swapped, block.truth).recall < 0.1
