import numpy as np
import pytest
import torch

from stormcell.errors import InputError
from stormcell.physics.psf.measured import MeasuredFitSettings, measure_psf
from stormcell.physics.psf.model import make_psf
from stormcell.physics.psf.settings import PSFS


def _spots(name: str, n: int, photons: float, seed: int = 1) -> np.ndarray:
    psf = make_psf(PSFS[name], 100.0)
    rng = np.random.default_rng(seed)
    x, y = (torch.from_numpy(10.5 + rng.uniform(-0.5, 0.5, n)) for _ in range(2))
    light = torch.from_numpy(photons * rng.lognormal(-0.05, 0.3, n))
    expected = psf.images(x, y, light, (21, 21)) + 20
    return rng.poisson(expected.clamp_min(0).numpy()).astype(np.float32)


@pytest.mark.parametrize("name", ["oil-aberrated", "gaussian-elliptical"])
def test_bright_beads_give_back_their_psf(name: str) -> None:
    truth = make_psf(PSFS[name], 100.0)
    measured = measure_psf(_spots(name, 30, 50_000), 100.0, MeasuredFitSettings(n_rounds=3))
    place = torch.tensor([10.5, 10.2, 10.8], dtype=torch.float64)
    one = torch.ones(3, dtype=torch.float64)
    expected, seen = (psf.images(place, place.flip(0), one, (21, 21)) for psf in (truth, measured.psf))
    assert float((expected - seen).abs().max() / expected.max()) < 0.03
    assert measured.psf.sigma_px == pytest.approx(truth.sigma_px, rel=0.01)
    assert measured.psf.tail_fraction == pytest.approx(truth.tail_fraction, abs=0.02)
    assert measured.reduced_chi2 == pytest.approx(0.9, abs=0.1)  # 30 spots of 441 px pay for 1,800 parameters
    assert measured.n_spots == 30


def test_faint_blinks_still_tell_width_and_tail() -> None:
    truth = make_psf(PSFS["oil-1.4"], 100.0)
    measured = measure_psf(_spots("oil-1.4", 80, 4000), 100.0)
    assert measured.psf.sigma_px == pytest.approx(truth.sigma_px, rel=0.02)
    assert measured.psf.tail_fraction == pytest.approx(truth.tail_fraction, abs=0.04)


@pytest.mark.parametrize("shape", [(10, 12, 12), (10, 13, 15), (10, 31, 31), (13, 13)])
def test_misshapen_spots_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="S odd, 13 to 25"):
        measure_psf(np.ones(shape, np.float32), 100.0)


def test_too_few_spots_are_refused() -> None:
    with pytest.raises(InputError, match="at least 5 isolated spots"):
        measure_psf(np.ones((3, 21, 21), np.float32), 100.0)
