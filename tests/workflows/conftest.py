"""A small simulated movie for end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """32 x 32 px, 60 frames: paths of movie, truth and wide field."""
    from stormcell.workflows.demo import DemoVerbSettings, simulate_demo, write_demo

    simulated = simulate_demo(DemoVerbSettings(n_frames=60, field_px=32, density_per_um2=0.3, seed=5))
    paths = write_demo(simulated, tmp_path_factory.mktemp("scene"), overwrite=False)
    return dict(zip(("movie", "truth", "widefield"), paths, strict=True))


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Address of a scheduler with one worker process, started once: starting it takes longer than what it does."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as local:
        yield local.scheduler_address


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a small densify network that was not trained."""
    import torch

    from stormcell.learning.annapalm_model import save_densify_model
    from stormcell.learning.annapalm_training import DensifyTrainingSettings, build_network

    settings = DensifyTrainingSettings(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1))
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_densify_model(folder, "tiny", build_network(settings), settings, training={}, scores={})
    return str(folder)
