"""The range of training conditions that a movie's acquisition.yaml stands for."""

import numpy as np
import pytest

from stormcell.calibration.acquisition_settings import AcquisitionSettings
from stormcell.calibration.training_range import training_range
from stormcell.errors import InputError
from stormcell.physics.cameras import CameraSettings
from stormcell.physics.psf.random_bank import RandomBankSettings, random_psf_bank
from stormcell.simulation.training_frames import TrainingFrames
from stormcell.simulation.training_settings import TrainingFrameSettings

CAMERA = CameraSettings(camera_type="cmos", offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.4, qe=0.8)
FOUND = AcquisitionSettings(
    camera_pixel_size_nm=110.0,
    psf_sigma_nm=132.0,
    psf_ellipticity=0.02,
    tail_fraction=0.18,
    photons_mean=900.0,
    photon_log_spread=0.4,
    background_photons=40.0,
    background_structure=0.3,
    density_per_um2=1.5,
    on_time_frames=2.0,
    camera=CAMERA,
    intervals={"psf_sigma_nm": (128.0, 137.0), "photons_mean": (800.0, 1100.0), "background_photons": (35.0, 46.0)},
)


def test_every_range_holds_what_was_found() -> None:
    made = training_range(FOUND)
    frames, psfs = made.frames, made.psfs
    # in electrons, and of a whole frame: an on-time of 2 frames lights 2 / 3 of a frame on average
    assert frames.photons_e[0] < 800 * 0.8 * 1.5 < 1100 * 0.8 * 1.5 < frames.photons_e[1]
    assert frames.background_e[0] < 35 * 0.8 < 46 * 0.8 < frames.background_e[1]
    assert frames.density_per_um2[1] >= 2 * 1.5
    assert frames.mean_on_frames[0] < 2 < frames.mean_on_frames[1]
    assert frames.photon_spread[0] < 0.4 < frames.photon_spread[1]
    assert frames.read_noise_e[0] < 1.4 < frames.read_noise_e[1]
    assert frames.gain_e_per_adu[0] < 0.5 < frames.gain_e_per_adu[1]
    assert frames.emccd_share == 0
    assert psfs.sigma_px[0] < 128 / 110 < 137 / 110 < psfs.sigma_px[1]
    assert psfs.sigma_px[1] / psfs.sigma_px[0] < 1.4
    assert psfs.camera_pixel_size_nm == (110.0, 110.0)


def test_what_was_not_found_keeps_its_range() -> None:
    base = TrainingFrameSettings(n_frames=3, photons_e=(321.0, 4321.0), background_e=(3.0, 33.0))
    made = training_range(AcquisitionSettings(camera_pixel_size_nm=100.0), base, RandomBankSettings(n_planes=3))
    assert made.frames == base
    assert made.psfs.n_planes == 3
    assert made.psfs.sigma_px == RandomBankSettings().sigma_px


def test_a_crowded_movie_tells_width_background_and_camera_alone() -> None:
    made, sparse = training_range(FOUND.replace(density_per_um2=4.0)), training_range(FOUND)
    base, family = TrainingFrameSettings(), RandomBankSettings()
    for name in ("photons_e", "photon_spread", "density_per_um2"):
        assert getattr(made.frames, name) == getattr(base, name) != getattr(sparse.frames, name), name
    for name in ("ellipticity", "na", "halo_fraction"):
        assert getattr(made.psfs, name) == getattr(family, name), name
    assert made.psfs.sigma_px == sparse.psfs.sigma_px
    assert made.frames.background_e == sparse.frames.background_e
    assert made.frames.gain_e_per_adu == sparse.frames.gain_e_per_adu


def test_an_emccd_trains_on_emccd_frames() -> None:
    camera = CameraSettings(camera_type="emccd", offset_adu=200, gain_e_per_adu=10, em_gain=100, read_noise_e=20)
    frames = training_range(FOUND.replace(camera=camera, on_time_frames=None)).frames
    assert frames.emccd_share == 1
    assert frames.emccd_read_noise_e[0] < 0.2 < frames.emccd_read_noise_e[1]
    assert frames.gain_e_per_adu[0] < 0.1 < frames.gain_e_per_adu[1]
    assert frames.persistent_share < 0.5


@pytest.mark.parametrize(("sigma_nm", "tail"), [(75.0, 0.2), (110.0, 0.0), (143.0, 0.15), (210.0, 0.05)])
def test_the_bank_has_spots_of_the_movies_kind(sigma_nm: float, tail: float) -> None:
    psfs = training_range(
        FOUND.replace(density_per_um2=0.5, psf_sigma_nm=sigma_nm, tail_fraction=tail, intervals={})
    ).psfs
    bank = random_psf_bank(16, 1, psfs.replace(n_planes=1, z_range_nm=0))
    sigma_px = bank.sigma_px[:, 0]
    assert np.all((sigma_px >= psfs.sigma_px[0]) & (sigma_px <= psfs.sigma_px[1]))
    assert np.median(sigma_px) == pytest.approx(sigma_nm / 110, rel=0.06)
    # the movie's spot decides what most of the bank is made of
    assert (np.mean([kind == "gaussian" for kind in bank.kind]) > 0.5) == (tail == 0)


def test_frames_are_drawn_from_the_range() -> None:
    made = training_range(FOUND, TrainingFrameSettings(field_px=16, empty_share=0.0))
    bank = random_psf_bank(4, 1, made.psfs.replace(gaussian_share=1.0, n_planes=1, z_range_nm=0))
    batch = TrainingFrames(made.frames, bank, seed=1).batch(0, 32)
    background = batch.background_e.mean(dim=(1, 2)).numpy()
    assert 35 * 0.8 / 3 < background.min() < background.max() < 46 * 0.8 * 3
    assert np.allclose(batch.excess_noise, 1)


def test_a_spot_no_network_is_made_for_is_refused() -> None:
    with pytest.raises(InputError, match=r"psf_sigma_nm.*0\.4 to 3 px.*4\.00 px of 110 nm"):
        training_range(FOUND.replace(psf_sigma_nm=440.0, intervals={}))
