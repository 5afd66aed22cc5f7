"""The dense network in ONNX Runtime against PyTorch: the same numbers, the same rows."""

import numpy as np
import pytest
import torch

from stormcell.errors import InputError
from stormcell.learning.dense_inference import DenseRunner
from stormcell.learning.onnx_network import OnnxNetwork
from stormcell.networks.dense import DenseArchitecture, DenseNet


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    network = DenseNet(DenseArchitecture((16, 24, 32), n_condition=4))
    # an untrained head says nothing; films that do something
    torch.nn.init.normal_(network.head.weight, std=0.3)
    with torch.no_grad():
        network.head.bias[0] = 1.0
    for name, parameter in network.named_parameters():
        if "film" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def runners(network):
    condition = torch.tensor([0.5, -1.0, 0.2, 1.5])
    return [DenseRunner(network, condition=condition, engine=engine) for engine in ("torch", "onnxruntime")]


@pytest.mark.parametrize("shape", [(5, 40, 64), (1, 23, 30), (3, 70, 41)])
def test_rows_are_those_of_pytorch(runners, shape):
    rng = np.random.default_rng(2)
    frames = rng.poisson(30 + 300 * (rng.random(shape) < 0.02)).astype(np.float32)
    variance = rng.uniform(1, 4, shape[1:]).astype(np.float32)
    expected, found = (runner.list_emitters(frames, variance, 0.2) for runner in runners)
    assert len(expected.rows) > 5
    np.testing.assert_array_equal(found.frame, expected.frame)
    np.testing.assert_allclose(found.rows, expected.rows, atol=2e-3, rtol=1e-3)
    said = [runner.describe(frames, variance) for runner in runners]
    torch.testing.assert_close(said[1], said[0], atol=1e-4, rtol=1e-4)


def test_neighbours_and_other_number_formats_are_refused(network):
    with pytest.raises(InputError, match="single frames and float32"):
        DenseRunner(network, engine="onnxruntime", uses_neighbours=True)
    with pytest.raises(InputError, match="single frames and float32"):
        DenseRunner(network, engine="onnxruntime", precision="bfloat16")


def test_unknown_devices_are_refused(network):
    with pytest.raises(InputError, match="--device cpu"):
        OnnxNetwork(network, "mps")
