from dataclasses import fields

import numpy as np
import pytest
import torch

from stormcell.errors import SettingsError
from stormcell.physics.psf.bank import PSFBank, _add_emitters_torch
from stormcell.simulation.training_frames import CONDITION_NAMES, TrainingBatch, TrainingFrames, TrainingFrameSettings

QUIET = TrainingFrameSettings(field_px=32, z_spread_nm=(0, 0), focus_error_nm=0, filament_share=0, empty_share=0)


def _equal(first: TrainingBatch, second: TrainingBatch) -> bool:
    return all(torch.equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


@pytest.mark.parametrize("n_frames", [1, 3])
def test_shapes_are_those_promised(gaussian_bank: PSFBank, n_frames: int) -> None:
    source = TrainingFrames(TrainingFrameSettings(n_frames=n_frames, field_px=24), gaussian_bank, seed=1)
    batch = source.batch(0, 5)
    n_slots = batch.x_px.shape[1]
    assert batch.frames_e.shape == batch.expected_e.shape == (5, n_frames, 24, 24)
    assert batch.read_variance_e2.shape == batch.background_e.shape == (5, 24, 24)
    assert batch.excess_noise.shape == batch.psf.shape == (5,)
    assert n_slots % 16 == 0
    for name in ("y_px", "z_nm", "photons_e", "on_fraction", "mask"):
        assert getattr(batch, name).shape == (5, n_slots)
    assert batch.conditions.shape == (5, len(CONDITION_NAMES))
    assert all(torch.isfinite(getattr(batch, f.name).float()).all() for f in fields(batch))
    inside = batch.mask
    assert ((batch.x_px[inside] >= 0) & (batch.x_px[inside] < 24)).all()
    assert (batch.photons_e[inside] > 0).all()
    assert (batch.photons_e[~inside] == 0).all()


def test_a_batch_depends_on_seed_and_step_alone(gaussian_bank: PSFBank) -> None:
    source = TrainingFrames(QUIET, gaussian_bank, seed=4)
    later = source.batch(7, 6)
    assert _equal(later, TrainingFrames(QUIET, gaussian_bank, seed=4).batch(7, 6))
    assert not torch.equal(later.frames_e, source.batch(8, 6).frames_e)
    assert not torch.equal(later.frames_e, TrainingFrames(QUIET, gaussian_bank, seed=5).batch(7, 6).frames_e)


def test_truth_redraws_the_frames(gaussian_bank: PSFBank) -> None:
    """Without a margin, background plus the listed emitters is exactly the expected frame."""
    settings = QUIET.replace(margin_px=0)
    batch = TrainingFrames(settings, gaussian_bank, seed=2).batch(3, 8)
    for b in range(8):
        lit = batch.mask[b]
        kernel = torch.full((int(lit.sum()),), int(batch.psf[b]) * 3 + 1)
        light = gaussian_bank.images(
            batch.x_px[b][lit], batch.y_px[b][lit], batch.photons_e[b][lit], kernel, (32, 32)
        )
        again = batch.background_e[b] + light.sum(dim=0)
        assert torch.allclose(again, batch.expected_e[b, 0], rtol=1e-4, atol=1e-2)


def test_x_runs_along_columns(gaussian_bank: PSFBank) -> None:
    settings = QUIET.replace(density_per_um2=(0.02, 0.02), margin_px=0, background_e=(1, 1), photons_e=(9000, 9000))
    batch = TrainingFrames(settings, gaussian_bank, seed=1).batch(0, 200)
    single = torch.nonzero(batch.mask.sum(dim=1) == 1)[:, 0]
    checked = 0
    for b in single:
        x, y = float(batch.x_px[b][batch.mask[b]]), float(batch.y_px[b][batch.mask[b]])
        if float(batch.photons_e[b].max()) > 2000 and 2 < x < 30 and 2 < y < 30:
            row, column = divmod(int(batch.expected_e[b, 0].argmax()), 32)
            assert (row, column) == (int(y), int(x)) or max(abs(row + 0.5 - y), abs(column + 0.5 - x)) < 0.55
            checked += 1
    assert checked > 20


def test_light_of_the_margin_shines_in(gaussian_bank: PSFBank) -> None:
    with_margin = QUIET.replace(density_per_um2=(3, 3), margin_px=8, photons_e=(2000, 2000))
    batch = TrainingFrames(with_margin, gaussian_bank, seed=2).batch(0, 100)
    light = batch.expected_e[:, 0] - batch.background_e
    rim, middle = light[:, :, 0].mean(), light[:, :, 16].mean()
    assert float(rim / middle) == pytest.approx(1.0, abs=0.15)  # about 0.5 without a margin


def test_noise_has_the_variance_that_is_told(gaussian_bank: PSFBank) -> None:
    settings = QUIET.replace(uniform_map_share=0, background_e=(5, 100), emccd_share=0.5)
    batch = TrainingFrames(settings, gaussian_bank, seed=3).batch(0, 64)
    variance = batch.excess_noise[:, None, None] * batch.expected_e[:, 0] + batch.read_variance_e2
    chi2 = ((batch.frames_e - batch.expected_e)[:, 0] ** 2 / variance).mean(dim=(1, 2))
    for excess in (1.0, 2.0):
        chosen = chi2[batch.excess_noise == excess]
        assert float(chosen.mean()) == pytest.approx(1.0, abs=0.02)
    standard_error = float(variance.mean() / variance.numel()) ** 0.5
    assert abs(float((batch.frames_e - batch.expected_e).mean())) < 4 * standard_error


def test_density_and_photons_are_those_asked_for(gaussian_bank: PSFBank) -> None:
    settings = QUIET.replace(
        density_per_um2=(2, 2), photons_e=(3000, 3000), photon_spread=(0.6, 0.6), on_fraction=(0.25, 1.75)
    )
    batch = TrainingFrames(settings, gaussian_bank, seed=6).batch(0, 200)
    area_um2 = (32 * 0.11) ** 2
    assert float(batch.mask.sum()) / 200 / area_um2 == pytest.approx(2.0, rel=0.03)
    # METHODS E: mean of min(1, U(0.25, 1.75)) is 0.8125
    assert float(batch.on_fraction[batch.mask].mean()) == pytest.approx(0.8125, rel=0.01)
    assert float(batch.photons_e[batch.mask].mean()) == pytest.approx(3000 * 0.8125, rel=0.04)


def test_persistent_emitters_stay_on(gaussian_bank: PSFBank) -> None:
    settings = QUIET.replace(
        n_frames=3,
        persistent_share=1.0,
        mean_on_frames=(3, 3),
        density_per_um2=(1, 1),
        background_structure=(0, 0),
        blob_share=0,
    )
    batch = TrainingFrames(settings, gaussian_bank, seed=6).batch(0, 100)
    light = batch.expected_e - batch.background_e[:, None]
    per_frame = light.sum(dim=(2, 3)).mean(dim=0)
    assert float(per_frame.std() / per_frame.mean()) < 0.1
    flat = light.flatten(2)
    correlation = (flat[:, 0] * flat[:, 1]).sum(1) / (flat[:, 0].norm(dim=1) * flat[:, 1].norm(dim=1))
    assert float(correlation.nanmean()) > 0.5
    area_um2 = (32 * 0.11) ** 2
    assert float(batch.mask.sum()) / 100 / area_um2 == pytest.approx(1.0, rel=0.06)
    # a mean on-time of 3 frames is spread over 3 + 1 frames
    assert float(batch.on_fraction[batch.mask].mean()) == pytest.approx(3 / 4, abs=0.03)


def test_independent_frames_share_nothing(gaussian_bank: PSFBank) -> None:
    settings = QUIET.replace(n_frames=3, persistent_share=0.0, density_per_um2=(0.3, 0.3))
    batch = TrainingFrames(settings, gaussian_bank, seed=6).batch(0, 60)
    light = (batch.expected_e - batch.background_e[:, None]).flatten(2)
    light = light - light.mean(dim=2, keepdim=True)
    correlation = (light[:, 0] * light[:, 1]).sum(1) / (light[:, 0].norm(dim=1) * light[:, 1].norm(dim=1)).clamp_min(
        1
    )
    assert abs(float(correlation.mean())) < 0.05


def clustering(bank: PSFBank, **shares: float) -> float:
    """Mean distance to the nearest neighbour, in units of the mean distance of evenly strewn points."""
    settings = QUIET.replace(density_per_um2=(4, 4), **shares)
    batch = TrainingFrames(settings, bank, seed=6).batch(0, 20)
    distances = []
    for b in range(20):
        points = torch.stack([batch.x_px[b], batch.y_px[b]], dim=1)[batch.mask[b]]
        if len(points) > 5:
            nearest = (torch.cdist(points, points) + torch.eye(len(points)) * 1e9).min(dim=1).values
            distances.append(float(nearest.mean()) * len(points) ** 0.5)
    return float(np.mean(distances))


@pytest.mark.parametrize("share", ["filament_share", "clump_share"])
def test_filaments_and_clumps_are_denser(gaussian_bank: PSFBank, share: str) -> None:
    assert clustering(gaussian_bank, **{share: 1.0}) < 0.7 * clustering(gaussian_bank)


def test_clumps_keep_the_stated_share_of_the_density(gaussian_bank: PSFBank) -> None:
    settings = QUIET.replace(clump_share=1.0, density_per_um2=(4, 4))
    batch = TrainingFrames(settings, gaussian_bank, seed=6).batch(0, 200)
    area_um2 = (32 * batch.conditions[:, CONDITION_NAMES.index("camera_pixel_size_nm")] / 1000) ** 2
    assert float(batch.mask.sum()) / float(area_um2.sum()) == pytest.approx(2.0, rel=0.1)


def test_more_than_all_samples_are_refused() -> None:
    with pytest.raises(SettingsError, match="filament_share and clump_share"):
        QUIET.replace(filament_share=0.6, clump_share=0.6)


def test_torch_and_numba_draw_the_same_light(gaussian_bank: PSFBank) -> None:
    rng = np.random.default_rng(1)
    counts = np.array([30, 0, 50])
    first = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
    n = int(first[-1])
    x, y = (torch.from_numpy(rng.uniform(-8, 40, n)) for _ in range(2))
    kernel = torch.from_numpy(rng.integers(0, 6, n))
    photons = torch.from_numpy(rng.uniform(0, 5000, (n, 3)).astype(np.float32))
    by_numba, by_torch = torch.full((3, 3, 30, 34), 2.0), torch.full((3, 3, 30, 34), 2.0)
    gaussian_bank.add_to_frames(by_numba, first, kernel, x, y, photons)
    _add_emitters_torch(by_torch, gaussian_bank.table, first, kernel, (x, y), photons)
    assert float((by_numba - by_torch).abs().max()) < 1e-5 * float(by_numba.max())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("density_per_um2", (3.0, 1.0)),
        ("photons_e", (0.0, 100.0)),
        ("photons_e", (100.0, 1e9)),
        ("background_e", (-1.0, 5.0)),
        ("gain_e_per_adu", (0.0, 1.0)),
        ("on_fraction", (0.0, 1.0)),
        ("field_px", 2),
        ("n_frames", 2),
    ],
)
def test_impossible_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(SettingsError, match=field):
        TrainingFrameSettings.create(**{field: value})


def test_negative_seed_is_refused(gaussian_bank: PSFBank) -> None:
    with pytest.raises(SettingsError, match="seed"):
        TrainingFrames(QUIET, gaussian_bank, seed=-1)
