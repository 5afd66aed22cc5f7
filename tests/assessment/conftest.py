"""Scenes with exact truth, shared by the tests of this folder."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def scenes():
    spec = importlib.util.spec_from_file_location("assessment_scenes", Path(__file__).with_name("scenes.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_pair(scenes):
    return scenes.pair


@pytest.fixture(scope="session")
def make_image(scenes):
    return scenes.integrate


@pytest.fixture(scope="session")
def make_filaments(scenes):
    return scenes.filaments
