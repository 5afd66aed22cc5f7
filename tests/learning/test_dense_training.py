"""Training: resumed runs are the same runs, and a tiny network learns a tiny world."""

import pytest
import torch

from stormcell.learning.dense_training import DenseTrainingSettings, train_dense
from stormcell.learning.training import LAST_CHECKPOINT, TrainerSettings, learning_rate_factor
from stormcell.physics.psf.random_bank import RandomBankSettings
from stormcell.simulation.training_frames import TrainingFrameSettings


def recipe(steps, **changes):
    trainer = TrainerSettings(steps=steps, decay_steps=2, warmup_steps=2, validation_every=100, **changes)
    return DenseTrainingSettings(
        seed=3,
        n_psfs=3,
        n_validation_psfs=2,
        widths=(8, 8, 8),
        n_condition=2,
        trainer=trainer,
        frames=TrainingFrameSettings(field_px=16, density_per_um2=(1.0, 3.0), background_e=(5.0, 20.0)),
        psfs=RandomBankSettings(gaussian_share=1.0, n_planes=1, z_range_nm=0),
    )


def test_resumed_training_ends_in_the_same_weights_bit_for_bit(tmp_path):
    whole = train_dense(tmp_path / "whole", recipe(6))
    # the first half of a longer run: its learning rate must not know where it will be interrupted
    train_dense(tmp_path / "halves", recipe(6), stop_at=3)
    assert (tmp_path / "halves" / LAST_CHECKPOINT).exists()
    resumed = train_dense(tmp_path / "halves", recipe(6), resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_learning_rate_warms_up_holds_and_falls_to_zero():
    settings = TrainerSettings(steps=100, warmup_steps=9, decay_steps=20)
    factors = [learning_rate_factor(step, settings) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10:79] == [1.0] * 69
    assert factors[99] == pytest.approx(1 / 21)


def test_the_last_steps_teach_the_neighbouring_frames(tmp_path):
    def largest(neighbour_steps, folder):
        settings = recipe(8, ema_decay=0.5, matrix_learning_rate=2e-3).replace(
            neighbour_steps=neighbour_steps, widths=(16, 16, 16)
        )
        return float(train_dense(folder, settings).before.weight.detach().abs().max())

    assert largest(0, tmp_path / "single") == 0.0
    assert largest(4, tmp_path / "with") > 0.0
