"""Fixtures for all tests."""

import os
from pathlib import Path

# two test processes share the cores, and waiting threads must not spin; before any library with threads is loaded
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real third-party data; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the third-party data folder ../shared/data is absent")
    return folder
