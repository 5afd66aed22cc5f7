"""Training on two devices, here two processes of the processor: each step learns from two batches."""

import os
import subprocess
import sys

import torch

SCRIPT = """
import os, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from stormcell.learning.dense_training import DenseTrainingSettings, train_dense

n, folder = int(sys.argv[1]), Path(sys.argv[2])
trainer = {"steps": 6, "decay_steps": 2, "warmup_steps": 1, "validation_every": 3, "devices": n}
settings = DenseTrainingSettings(
    n_psfs=4, n_validation_psfs=2, widths=(8, 8, 8), trainer=trainer, data={"batch_size": 2}
)
network = train_dense(folder / "training", settings)
if os.environ.get("LOCAL_RANK", "0") == "0":
    torch.save(network.state_dict(), folder / "weights.pt")
"""


def trained(tmp_path, n_devices):
    script, folder = tmp_path / f"train{n_devices}.py", tmp_path / f"on{n_devices}"
    script.write_text(SCRIPT)
    folder.mkdir()
    free = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LOCAL_RANK"))}
    command = [sys.executable, str(script), str(n_devices), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=free, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    n_lines = len(next(folder.rglob("metrics.csv")).read_text().splitlines())
    return torch.load(folder / "weights.pt", weights_only=True), n_lines, done.stderr


def test_two_devices_take_as_many_steps_and_learn_from_other_batches(tmp_path):
    alone, n_lines, _ = trained(tmp_path, 1)
    together, n_lines_together, said = trained(tmp_path, 2)
    assert "MEMBER: 2/2" in said
    assert n_lines == n_lines_together
    assert all(torch.isfinite(values).all() for values in together.values())
    moved = [name for name, values in alone.items() if not torch.allclose(values, together[name], atol=1e-6)]
    assert any("encode" in name or "head" in name for name in moved)
