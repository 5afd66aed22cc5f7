from __future__ import annotations

import numpy as np
import pytest

from stormcell.data import Localizations
from stormcell.workflows.report_facts import pixel_flatness, result_numbers, verdict


def table_of(x_nm: np.ndarray, **columns: np.ndarray) -> Localizations:
    return Localizations({"frame": np.zeros(len(x_nm)), "x_nm": x_nm, "y_nm": x_nm, **columns}, n_frames=10)


def test_flat_positions_pass_and_a_pull_to_the_centre_is_found() -> None:
    rng = np.random.default_rng(1)
    flat = rng.uniform(0, 6400, 5000)
    assert pixel_flatness(table_of(flat), "x", 100).is_flat
    pulled = np.floor(flat / 100) * 100 + 50 + 0.6 * (np.mod(flat, 100) - 50)
    found = pixel_flatness(table_of(pulled), "x", 100)
    assert not found.is_flat
    assert found.statistic == pytest.approx(0.2, abs=0.02)  # 20 % of the pixel at either side is empty


def test_few_rows_cannot_be_judged() -> None:
    assert pixel_flatness(table_of(np.zeros(199)), "x", 100) is None


def test_a_huge_table_is_not_condemned_for_a_tiny_unevenness() -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 100, 400_000)
    x = x + 0.5 * np.sin(2 * np.pi * x / 100)
    found = pixel_flatness(table_of(np.mod(x, 100)), "x", 100)
    assert found.p_value < 1e-3
    assert found.is_flat


def test_numbers() -> None:
    table = table_of(
        np.arange(4.0),
        photons=np.array([1, 2, 3, 100.0]),
        uncertainty_x_nm=np.full(4, 5.0),
        uncertainty_y_nm=np.full(4, 7.0),
    )
    numbers = result_numbers(table, 2.0)
    assert numbers["n_localizations"] == 4
    assert numbers["localizations_per_um2_and_frame"] == pytest.approx(0.2)
    assert numbers["median_photons"] == 2.5
    assert numbers["median_uncertainty_nm"] == 6


@pytest.mark.parametrize(
    ("numbers", "n_doubts", "level", "words"),
    [
        ({"n_localizations": 0, "n_frames": 9}, 0, "poor", "Nothing was found"),
        ({"n_localizations": 5000, "n_frames": 9}, 0, "caution", "could not be compared"),
        ({"n_localizations": 5000, "n_frames": 9, "rsp": 0.95}, 0, "good", "agrees with the wide-field"),
        ({"n_localizations": 5000, "n_frames": 9, "rsp": 0.95}, 2, "caution", "read the notes"),
        ({"n_localizations": 5000, "n_frames": 9, "rsp": 0.8}, 0, "caution", "only in part"),
        ({"n_localizations": 5000, "n_frames": 9, "rsp": 0.3}, 0, "poor", "does not agree"),
    ],
)
def test_verdict(numbers: dict, n_doubts: int, level: str, words: str) -> None:
    said = verdict(numbers, n_doubts)
    assert said.level == level
    assert words in said.sentence
