"""The shipped dense network in the verbs: parts of a movie, tables beside pictures, what is said of the movie."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import stormcell as sc
from stormcell.data import FrameStack, Localizations, PixelGrid
from stormcell.learning.dense_localizing import MovieFacts
from stormcell.learning.dense_model import load_dense_model, range_warnings
from stormcell.learning.measured_noise import MovieNoise
from stormcell.workflows.localize_methods import joined_tables

CAMERA = {"pixel_size_nm": 100, "offset_adu": 0, "gain_e_per_adu": 1, "read_noise_e": 1.5, "camera_type": "cmos"}


def frames(n_frames: int = 60, side: int = 40, per_frame: int = 16, seed: int = 3) -> np.ndarray:
    """Gaussian spots of 1.3 px that overlap, one and a half per um2."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] + 0.5
    light = np.full((n_frames, side, side), 20.0)
    for frame in light:
        for x0, y0, electrons in zip(
            *rng.uniform(0, side, (2, per_frame)), 1500 * np.exp(0.5 * rng.standard_normal(per_frame)), strict=True
        ):
            frame += electrons / (2 * np.pi * 1.3**2) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * 1.3**2))
    return np.clip(np.round(rng.poisson(light) + rng.normal(0, 1.5, light.shape)), 0, None).astype(np.uint16)


@pytest.fixture(scope="module")
def movie() -> FrameStack:
    return FrameStack.from_array(frames(), name="overlapping.tif")


def test_the_table_does_not_depend_on_whether_a_picture_is_drawn(movie: FrameStack) -> None:
    table = sc.localize(movie, method="dense", **CAMERA)
    beside = sc.reconstruct(movie, **CAMERA).table
    assert table.n_rows > 500
    for name in ("frame", "x_nm", "y_nm", "photons", "uncertainty_x_nm", "probability"):
        np.testing.assert_array_equal(table[name], beside[name], err_msg=name)


def test_joint_fits_are_told_and_can_be_left_out(movie: FrameStack) -> None:
    fitted = sc.localize(movie, method="dense", **CAMERA)
    alone = sc.localize(movie, method="dense", refines=False, **CAMERA)
    assert any("fitted jointly" in note for note in fitted.provenance.notes)
    assert not any("jointly" in note for note in alone.provenance.notes)
    # more are found, and none twice: of the same 16 per frame
    assert alone.n_rows < fitted.n_rows < 16.5 * 60


def test_the_width_of_the_psf_is_told(movie: FrameStack) -> None:
    table = sc.localize(movie, method="dense", **CAMERA)
    width = next(q for q in table.provenance.quantities if q.name == "psf_sigma_nm")
    assert width.value == pytest.approx(130, rel=0.1)
    assert "fitted to the movie" in width.detail
    few = FrameStack.from_array(frames(n_frames=6, per_frame=3), name="few.tif")
    unknown = sc.localize(few, method="dense", **CAMERA)
    assert any("PSF could not be fitted" in note for note in unknown.provenance.notes)


def test_facts_of_a_part_are_those_of_its_pixels() -> None:
    variance = np.arange(30.0, dtype=np.float32).reshape(5, 6)
    facts = MovieFacts(MovieNoise(1.0, variance, True, ""), variance > 20, 1.3)
    part = facts.cropped(slice(1, 4), slice(2, 6))
    np.testing.assert_array_equal(part.noise.read_variance_e2, variance[1:4, 2:6])
    np.testing.assert_array_equal(part.is_hot, variance[1:4, 2:6] > 20)
    assert part.psf_sigma_px == 1.3


def test_joined_tables_keep_what_one_method_alone_says(movie: FrameStack) -> None:
    fitted = Localizations({"frame": [1], "x_nm": [1.0], "y_nm": [2.0], "flags": [4], "chi2": [1.5]})
    network = Localizations({"frame": [0], "x_nm": [3.0], "y_nm": [4.0], "probability": [0.9]})
    table = joined_tables([fitted, network], movie, 100.0)
    np.testing.assert_array_equal(table["frame"], [0, 1])
    np.testing.assert_array_equal(table["flags"], [0, 4])
    np.testing.assert_array_equal(table["chi2"], [np.nan, 1.5])
    np.testing.assert_array_equal(table["probability"], [0.9, np.nan])


def test_range_is_judged_in_electrons() -> None:
    card = load_dense_model("dense").card
    low = card.valid_range.electrons[0]
    rows = {"frame": [0], "x_nm": [1.0], "y_nm": [1.0], "photons": [1.5 * low], "background_photons": [20.0]}
    table = Localizations(rows, grid=PixelGrid(100.0, (64, 64)), n_frames=1)
    assert range_warnings(card, table, 1.3) == []
    (warning,) = range_warnings(card, table, 1.3, qe=0.5)
    assert "light of a localization" in warning
    assert "electrons" in warning


def test_auto_gives_one_table_with_the_columns_of_all_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """A movie whose second half is dense: single fits, then the network."""
    both = np.concatenate([frames(60, per_frame=1, seed=4), frames(60, per_frame=16, seed=5)])
    parts = tuple(
        SimpleNamespace(frames=span, rows=(0, 40), columns=(0, 40), density_per_um2=density)
        for span, density in (((0, 60), 0.06), ((60, 120), 1.0))
    )
    density = SimpleNamespace(parts=parts, psf_sigma_px=1.3, electrons=1500.0, density_per_um2=0.5)
    monkeypatch.setattr("stormcell.calibration.local_density.measure_local_density", lambda *_: density)
    monkeypatch.setattr("stormcell.workflows.localize_methods._reasons", lambda *_: ((), ()))
    table = sc.localize(FrameStack.from_array(both, name="bleaching.tif"), method="auto", **CAMERA)
    early = table["frame"] < 60
    assert np.isnan(table["probability"][early]).all()
    assert np.isfinite(table["chi2"][early]).all()
    assert (table["probability"][~early] >= 0.5).all()
    assert (~early).sum() > 500
