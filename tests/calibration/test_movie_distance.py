"""The distance between a simulated and a real movie: small for the same conditions, large and named for others."""

from collections.abc import Callable

import numpy as np
import pytest

from stormcell.calibration.movie_distance import movie_distance
from stormcell.data import FrameStack

Movie = Callable[..., np.ndarray]


def distance(a: np.ndarray, b: np.ndarray):
    return movie_distance(FrameStack.from_array(a), FrameStack.from_array(b))


def test_the_same_conditions_look_alike(movie: Movie) -> None:
    found = distance(movie(seed=0), movie(seed=1))
    assert found.total < 2 * max(found.itself, 0.05)
    assert "look like the real ones" in found.sentence()


@pytest.mark.parametrize(
    ("changes", "worst"),
    [
        ({"sigma_px": 2.0}, "spectrum"),
        ({"offset": 140.0}, "intensity"),
        ({"gain": 0.25}, "intensity"),
        ({"photons": 3000.0}, "local_variance"),
        ({"density_per_px": 0.03}, None),
    ],
)
def test_a_wrong_calibration_stands_out(movie: Movie, changes: dict[str, float], worst: str | None) -> None:
    same = distance(movie(seed=0), movie(seed=1))
    found = distance(movie(seed=0), movie(seed=1, **changes))
    assert found.total > 3 * same.total
    assert "differ" in found.sentence()
    if worst is not None:
        assert getattr(found, worst) > 3 * getattr(same, worst)


def test_document_holds_plain_numbers(movie: Movie) -> None:
    document = distance(movie(seed=0), movie(seed=1)).to_document()
    assert set(document) == {"intensity", "spectrum", "local_variance", "itself", "total"}
    assert all(type(value) is float for value in document.values())
