"""NeNA against bursts of known precision."""

import numpy as np
import pytest

from stormcell.assessment.nena import nena
from stormcell.data import Localizations
from stormcell.errors import InputError


def bursts(precision_nm=12.0, n_emitters=8000, field_nm=20_000.0, on_frames=3.0, seed=0):
    rng = np.random.default_rng(seed)
    length = rng.geometric(1 - np.exp(-1 / on_frames), n_emitters)
    emitter = np.repeat(np.arange(n_emitters), length)
    within = np.arange(len(emitter)) - np.repeat(np.cumsum(length) - length, length)
    places = rng.uniform(0, field_nm, (n_emitters, 2))[emitter] + rng.normal(0, precision_nm, (len(emitter), 2))
    false = rng.uniform(0, field_nm, (len(emitter) // 20, 2))
    frame = np.concatenate([rng.integers(0, 2000, n_emitters)[emitter] + within, rng.integers(0, 2000, len(false))])
    places = np.concatenate([places, false])
    return Localizations({"frame": frame, "x_nm": places[:, 0], "y_nm": places[:, 1]})


@pytest.mark.parametrize("precision", [5.0, 12.0, 25.0])
@pytest.mark.parametrize("field_nm", [20_000.0, 5000.0])
def test_precision_within_5_percent(precision, field_nm):
    found = nena(bursts(precision, field_nm=field_nm))
    assert found.precision_nm == pytest.approx(precision, rel=0.05)
    assert found.interval_nm[0] < found.precision_nm < found.interval_nm[1]
    assert found.interval_nm[1] - found.interval_nm[0] < 0.1 * precision
    assert found.count.sum() > 1000
    # The fitted curve is the histogram, give or take counting noise.
    misfit = (found.fitted - found.count) / np.sqrt(np.maximum(found.fitted, 1))
    assert np.mean(misfit**2) < 1.6


def test_refusals():
    scattered = bursts(on_frames=0.05, field_nm=5000.0, n_emitters=20_000)
    with pytest.raises(InputError, match=r"does not stand out|with a neighbour within"):
        nena(scattered)
    with pytest.raises(InputError, match=r"with a neighbour within 200 nm in the next frame, got 0"):
        nena(Localizations({"frame": [0, 1], "x_nm": [0.0, 1e5], "y_nm": [0.0, 0.0]}))
    table = bursts(n_emitters=500)
    with pytest.raises(InputError, match="not linked"):
        nena(table.with_columns(n_detections=np.full(len(table), 2)))
