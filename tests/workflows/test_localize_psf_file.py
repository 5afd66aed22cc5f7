"""Joint fits with a measured PSF that was written to a file."""

import numpy as np
import pytest
import torch

from stormcell.data.frame_stack import FrameStack
from stormcell.errors import SettingsError
from stormcell.physics.cameras import Camera
from stormcell.physics.psf.model import make_psf
from stormcell.physics.psf.settings import DiffractionPSFSettings
from stormcell.workflows.localize import localize
from stormcell.workflows.psf import psf

OPTIONS = {"pixel_size_nm": 100.0, "camera_type": "cmos", "offset_adu": 100.0, "gain_e_per_adu": 0.5}


def movie(places, electrons, shape, n_frames, seed):
    """One emitter, or a few, drawn anew at jittered places in each frame; truth in px, shape (frames, n, 2)."""
    rng = np.random.default_rng(seed)
    true = make_psf(DiffractionPSFSettings(), 100.0)
    truth = np.asarray(places) + rng.uniform(-0.5, 0.5, (n_frames, len(places), 2))
    light = torch.full((len(places),), electrons, dtype=torch.float64)
    expected = np.stack([20 + true.images(*torch.from_numpy(t.T.copy()), light, shape).sum(0).numpy() for t in truth])
    adu = Camera("cmos", 100.0, 0.5, 1.0).to_adu(expected, rng)
    return FrameStack.from_array(adu), truth


def test_a_measured_psf_serves_joint_fits(tmp_path):
    file = tmp_path / "psf.npz"
    sparse, _ = movie([(20.0, 18.0), (50.0, 19.0)], 20_000.0, (40, 70), 60, seed=1)
    psf(sparse, output=file, **OPTIONS)
    pairs, truth = movie([(15.0, 14.0), (18.6, 15.4)], 3000.0, (30, 40), 80, seed=2)

    table = localize(pairs, psf_file=str(file), method="multi", background="spatial", **OPTIONS)
    errors = []
    for t in range(80):
        found = table.positions_nm[table["frame"] == t] / 100
        if len(found):
            errors += list(np.linalg.norm(found[None] - truth[t][:, None], axis=2).min(axis=1))
    assert table.n_rows == pytest.approx(160, abs=8)
    assert np.mean(np.array(errors) < 0.5) > 0.97
    # photons are those of the whole PSF, of which a Gaussian sees about three quarters
    assert np.median(table["photons"]) == pytest.approx(3000.0, rel=0.05)


def test_a_psf_of_another_pixel_size_is_refused(tmp_path):
    file = tmp_path / "psf.npz"
    sparse, _ = movie([(20.0, 18.0), (50.0, 19.0)], 20_000.0, (40, 70), 20, seed=1)
    psf(sparse, output=file, **OPTIONS)
    with pytest.raises(SettingsError, match="measured with camera pixels of 100 nm"):
        localize(sparse, psf_file=str(file), method="multi", **(OPTIONS | {"pixel_size_nm": 130.0}))
