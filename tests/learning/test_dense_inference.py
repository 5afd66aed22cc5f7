"""Inference: tiles, folding and neighbours do not change what is found."""

import numpy as np
import pytest
import torch

from stormcell.learning import dense_inference
from stormcell.learning.dense_inference import DenseRunner, tiles
from stormcell.networks.dense import DenseArchitecture, DenseNet


@pytest.fixture
def network():
    torch.manual_seed(2)
    network = DenseNet(DenseArchitecture(widths=(8, 8, 8), n_condition=2))
    for block in (network.stem, network.encode1[0], network.decode0[0]):
        torch.nn.init.normal_(block.film.weight, std=0.1)
    torch.nn.init.normal_(network.head.weight, std=0.5)
    with torch.no_grad():
        # untrained as it is, it shall find something
        network.head.weight[0] *= 4
        network.head.bias[0] = 0
    torch.nn.init.normal_(network.before.weight, std=0.1)
    return network.eval()


def frames(n, height, width, seed=0):
    return np.random.default_rng(seed).poisson(30, (n, height, width)).astype(np.float32)


def test_folding_a_condition_is_exact(network):
    condition = torch.tensor([0.5, -1.0])
    pixels = torch.from_numpy(frames(2, 16, 20))[:, None]
    variance = torch.ones(1, 1, 1, 1)
    with torch.inference_mode():
        expected, _ = network(pixels, variance, condition.expand(2, -1))
        network.fold(condition)
        folded, _ = network(pixels, variance)
    for a, b in zip(expected, folded, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_neighbours_in_a_movie_are_those_of_three_frame_samples(network):
    movie = frames(4, 16, 16)
    runner = DenseRunner(network, uses_neighbours=True, precision="float32")
    found = runner.list_emitters(movie, np.ones((16, 16), np.float32), 0.05)
    padded = np.concatenate(
        [np.full((1, 16, 16), np.nan, np.float32), movie, np.full((1, 16, 16), np.nan, np.float32)]
    )
    triples = torch.from_numpy(np.stack([padded[i : i + 3] for i in range(4)]))
    with torch.inference_mode():
        output, _ = network(triples, torch.ones(1, 1, 1, 1))
    for index in range(4):
        best = float(torch.sigmoid(output.logit[index]).max())
        listed = found.rows[found.frame == index]
        assert listed[:, 0].max() >= best - 1e-4


def test_tiles_own_every_position_once():
    for height, width in ((64, 64), (256, 257), (700, 333)):
        covering = tiles(height, width)
        rng = np.random.default_rng(1)
        x, y = rng.uniform(0, width, 500), rng.uniform(0, height, 500)
        owners = sum(tile.owns(x, y).astype(int) for tile in covering)
        assert (owners == 1).all()
        for tile in covering:
            assert tile.y1 <= height
            assert tile.x1 <= width


def test_tiles_find_what_the_whole_frame_shows(network, monkeypatch):
    movie = frames(1, 120, 96)
    variance = np.ones((120, 96), np.float32)
    runner = DenseRunner(network, precision="float32")
    whole = runner.list_emitters(movie, variance, 0.3)
    monkeypatch.setattr(dense_inference, "TILE_PX", 64)
    tiled = runner.list_emitters(movie, variance, 0.3)
    assert len(whole.rows) > 10
    matched = sum(np.abs(tiled.rows[:, 1:3] - row[1:3]).max(axis=1).min() < 0.05 for row in whole.rows)
    assert matched > 0.95 * len(whole.rows)
    assert abs(len(tiled.rows) - len(whole.rows)) < 0.05 * len(whole.rows)
