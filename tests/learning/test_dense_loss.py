"""The loss is least where the prediction is right, and its uncertainties calibrate themselves."""

import pytest
import torch

from stormcell.learning.dense_loss import EmitterBatch, dense_loss
from stormcell.networks.dense import DenseOutput

SHAPE = (1, 12, 16)


def emitters(*positions):
    x, y = (torch.tensor([[p[i] for p in positions]], dtype=torch.float32) for i in (0, 1))
    return EmitterBatch(x, y, torch.full_like(x, 7.0), torch.ones_like(x, dtype=torch.bool))


def prediction(*positions, sigma=0.1, logit=6.0):
    maps = {name: torch.zeros(SHAPE) for name in DenseOutput._fields}
    maps["logit"] -= 10
    maps["log_sigma_x_px"] += torch.log(torch.tensor(sigma))
    maps["log_sigma_y_px"] += torch.log(torch.tensor(sigma))
    maps["log_electrons"] += 7.0
    maps["log_sigma_electrons"] -= 2.0
    for x, y in positions:
        row, column = int(y), int(x)
        maps["logit"][0, row, column] = logit
        maps["x_offset_px"][0, row, column] = x - column - 0.5
        maps["y_offset_px"][0, row, column] = y - row - 0.5
    return DenseOutput(**maps)


def total(output, truth):
    background = torch.zeros(SHAPE)
    return float(dense_loss(output, truth, background, torch.zeros(1, 4), torch.zeros(1, 2)).total)


TRUTH = ((3.2, 4.7), (10.5, 8.1))


@pytest.mark.parametrize(
    "worse",
    [
        prediction(TRUTH[0]),
        prediction(*TRUTH, (7.5, 2.5)),
        prediction((3.7, 4.7), TRUTH[1]),
        prediction((4.7, 3.2), (8.1, 10.5)),
        prediction(*TRUTH, logit=-1.0),
    ],
    ids=["missed", "invented", "displaced", "x and y exchanged", "unsure"],
)
def test_right_prediction_is_best(worse):
    assert total(prediction(*TRUTH), emitters(*TRUTH)) < total(worse, emitters(*TRUTH)) - 0.1


def test_sigma_is_best_at_the_actual_error():
    truth, guess = emitters((3.5, 4.5)), (3.7, 4.7)
    losses = {sigma: total(prediction(guess, sigma=sigma), truth) for sigma in (0.05, 0.1, 0.2, 0.4, 0.8)}
    assert min(losses, key=losses.get) == 0.2


def test_empty_frames_have_a_finite_loss_with_a_gradient():
    output = prediction(TRUTH[0])
    output.logit.requires_grad_(True)
    truth = emitters((1.0, 1.0))._replace(mask=torch.zeros(1, 1, dtype=torch.bool))
    loss = dense_loss(output, truth, torch.zeros(SHAPE), torch.zeros(1, 4), torch.zeros(1, 2)).total
    loss.backward()
    assert torch.isfinite(loss)
    assert output.logit.grad[0, 4, 3] > 0
