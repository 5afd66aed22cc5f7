"""One movie on several workers: the table of the serial run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormcell as sc
from stormcell.errors import InputError
from stormcell.workflows.spread import Window, fit_share
from stormcell.workflows.survey import Survey

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # the scheduler's own

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = {"pixel_size_nm": 100, "offset_adu": 0, "gain_e_per_adu": 1, "block_frames": 20}


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:40, :46] + 0.5
    frames = np.full((130, 40, 46), 10.0)
    for frame in frames:
        a, b = rng.uniform(4, 36, 2)
        frame += 150 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4)
    pixels = rng.poisson(frames).astype(np.uint16)
    pixels[77, 3, 4:9] = 65535
    np.save(tmp_path / "movie.npy", pixels)
    return tmp_path / "movie.npy"


@pytest.mark.parametrize("method", ["mle", "auto", "dense"])
def test_the_table_is_that_of_the_serial_run(movie: Path, cluster: str, method: str) -> None:
    # the saturated pixels make the network's noise so large that light no longer counts as blinking
    given = {**_OPTIONS, "method": method, "frames": "5:", "rejects_still": False}
    serial, shared = sc.localize(movie, **given), sc.localize(movie, cluster=cluster, **given)
    assert shared.names == serial.names
    assert shared.n_rows == serial.n_rows > 80
    for name in serial.names:
        np.testing.assert_array_equal(shared[name], serial[name])
    assert serial.provenance is not None
    assert shared.provenance is not None
    assert shared.provenance.warnings == serial.provenance.warnings != ()
    assert shared.provenance.quantities == serial.provenance.quantities


def test_a_run_makes_the_same_pictures(movie: Path, cluster: str) -> None:
    serial = sc.run(movie, method="lsq", **_OPTIONS)
    shared = sc.run(movie, method="lsq", cluster=cluster, **_OPTIONS)
    np.testing.assert_array_equal(shared.image.pixels, serial.image.pixels)
    np.testing.assert_array_equal(shared.widefield.pixels, serial.widefield.pixels)


def test_shares_of_a_survey_add_up(movie: Path) -> None:
    from stormcell.localization.pipeline import LocalizationSettings
    from stormcell.localization.recipe import FitRecipe
    from stormcell.physics.cameras import Camera

    stack = sc.read(movie)
    assert isinstance(stack, sc.FrameStack)
    stack = stack.frames(5)
    whole, joined = Survey(stack), Survey(stack)
    whole.finish()
    settings = LocalizationSettings(method="lsq", block_frames=20, psf_sigma_px=1.3)
    recipe = FitRecipe.of(stack, Camera("cmos", 0.0, 1.0, 1.0), 100.0, settings).decided(stack)
    n_blocks = len(recipe.edges(stack)) - 1
    for blocks in ((0, 2), (2, 3), (3, n_blocks)):
        joined.add(fit_share(recipe, Window.of(stack), blocks, 1)[1])
    np.testing.assert_array_equal(joined.total, whole.total)
    assert (joined.n_seen, joined.largest, joined.n_largest) == (125, 65535, 5)
    assert (whole.n_seen, whole.largest, whole.n_largest) == (125, 65535, 5)


def test_what_cannot_be_shared_is_refused(movie: Path) -> None:
    with pytest.raises(InputError, match="leave --cluster out"):
        sc.localize(np.load(movie), cluster="local", **_OPTIONS)
    with pytest.raises(InputError, match="local:N"):
        sc.localize(movie, cluster="local:none", **_OPTIONS)
    with pytest.raises(InputError, match="start it first"):
        sc.localize(movie, cluster="tcp://127.0.0.1:1", **_OPTIONS)


def test_a_movie_that_changed_is_opened_again(movie: Path) -> None:
    before = Window.of(sc.read(movie))
    pixels = np.load(movie)
    np.save(movie, pixels + np.uint16(1))
    os.utime(movie, (1, 1))
    assert Window.of(sc.read(movie)) != before
