"""Muon against the exact orthogonal factor, and its AdamW half against PyTorch's."""

import pytest
import torch
from torch import nn

from stormcell.learning.muon import MuonAdamW, orthogonalised


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_orthogonalised_keeps_singular_vectors_and_levels_singular_values(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ orthogonalised(matrix) @ right.T
    values = inner.diagonal()
    assert values.min() > 0.5
    assert values.max() < 1.3
    assert (inner - torch.diag(values)).abs().max() < 1e-3


def test_parameters_that_are_no_large_matrices_move_as_adamw_moves_them():
    torch.manual_seed(2)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    mixed = MuonAdamW(ours.parameters(), matrix_learning_rate=1.0, learning_rate=1e-2, weight_decay=0.1)
    adamw = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(5):
        x = torch.randn(7, 5, generator=torch.Generator().manual_seed(step))
        for network, optimizer in ((ours, mixed), (theirs, adamw)):
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, reference)


def test_convolutions_step_by_the_same_size_whatever_the_size_of_the_gradient():
    steps = []
    for scale in (1e-3, 1e3):
        torch.manual_seed(3)
        layer = nn.Conv2d(16, 16, 3)
        before = layer.weight.detach().clone()
        optimizer = MuonAdamW(layer.parameters(), matrix_learning_rate=0.1, learning_rate=1e-3, weight_decay=0.0)
        (scale * layer(torch.randn(2, 16, 8, 8)).square().mean()).backward()
        optimizer.step()
        steps.append(layer.weight.detach() - before)
    torch.testing.assert_close(steps[0], steps[1], rtol=1e-2, atol=2e-4)
    assert steps[0].square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.3)
