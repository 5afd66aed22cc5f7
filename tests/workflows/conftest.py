"""A small simulated movie for end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """32 x 32 px, 60 frames: paths of movie, truth and wide field."""
    from stormcell.workflows.demo import DemoVerbSettings, simulate_demo, write_demo

    simulated = simulate_demo(DemoVerbSettings(n_frames=60, field_px=32, density_per_um2=0.3, seed=5))
    paths = write_demo(simulated, tmp_path_factory.mktemp("scene"), overwrite=False)
    return dict(zip(("movie", "truth", "widefield"), paths, strict=True))
