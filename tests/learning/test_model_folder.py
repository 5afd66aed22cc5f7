"""Model folders: what was saved comes back, and nothing else is accepted."""

import pytest
import torch

from stormcell.errors import ModelError
from stormcell.learning.dense_model import load_dense_model
from stormcell.learning.model_folder import WEIGHTS_FILE, save_model
from stormcell.networks.dense import DenseArchitecture, DenseNet


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(1)
    network = DenseNet(DenseArchitecture(widths=(8, 8, 8), n_condition=2))
    card = {
        "name": "tiny",
        "task": "dense",
        "architecture": "dense",
        "architecture_version": 1,
        "sizes": {"widths": [8, 8, 8], "n_condition": 2},
        "preprocessing": "electrons divided by the variance per electron",
        "valid_range": {"psf_sigma_px": (0.6, 2.0)},
        "training": {"seed": 1},
        "scores": {},
    }
    save_model(tmp_path / "tiny", network.state_dict(), card)
    return network, tmp_path / "tiny"


def test_saved_network_comes_back(saved):
    network, folder = saved
    model = load_dense_model(str(folder))
    assert model.card.valid_range.psf_sigma_px == (0.6, 2.0)
    for name, value in network.state_dict().items():
        assert torch.equal(value, model.network.state_dict()[name])


def test_changed_weights_are_refused(saved):
    _, folder = saved
    path = folder / WEIGHTS_FILE
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 1
    path.write_bytes(bytes(payload))
    with pytest.raises(ModelError, match="do not match their card's checksum"):
        load_dense_model(str(folder))


def test_missing_weights_and_unknown_names_are_refused(saved):
    _, folder = saved
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelError, match="is missing"):
        load_dense_model(str(folder))
    with pytest.raises(ModelError, match="expected a model folder"):
        load_dense_model("no-such-model")
