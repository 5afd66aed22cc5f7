"""Parts of a movie worked on one by one: the same rows as the whole movie at once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from stormcell.data import FrameStack
from stormcell.localization.pipeline import LocalizationSettings, joined_blocks, localize_stack
from stormcell.localization.recipe import FitRecipe
from stormcell.physics.cameras import Camera

CAMERA = Camera("cmos", 100.0, 0.5, 1.2)


def _movie(n_frames: int, dense: bool = False) -> FrameStack:
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:40, :46] + 0.5
    # the background fades and moves, so that what a block borrows from its neighbours matters
    frames = np.array([30 * np.exp(-t / n_frames) + 10 * (x > 46 * t / n_frames) for t in range(n_frames)])
    for frame in frames:
        for a, b in rng.uniform(4, 36, (60 if dense else 1, 2)):
            frame += 150 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4)
    return FrameStack.from_array((rng.poisson(frames) * 2 + 100).astype(np.uint16)).frames(3)


@pytest.mark.parametrize(("method", "dense"), [("mle", False), ("mle", True), ("lsq", False), ("multi", False)])
def test_blocks_shared_out_give_the_same_rows(method: str, dense: bool) -> None:
    stack = _movie(123, dense)
    settings = LocalizationSettings(method=method, block_frames=20)
    whole = localize_stack(stack, CAMERA, 100.0, settings)
    recipe = FitRecipe.of(stack, CAMERA, 100.0, settings).decided(stack)
    assert recipe.background == whole.background == ("spatial" if dense else "temporal")
    recipe = pickle.loads(pickle.dumps(recipe))
    shares = [(0, 1), (1, 4), (4, 6)]
    parts = [recipe.fit(stack, first, last) for first, last in shares]
    assert sum(part.n_frames for part in parts) == stack.n_frames
    joined = joined_blocks(recipe, stack, parts)
    assert joined.table.names == whole.table.names
    assert joined.table.n_rows == whole.table.n_rows > 50
    for name in whole.table.names:
        np.testing.assert_array_equal(joined.table[name], whole.table[name])
    assert joined.background_mean_e == pytest.approx(whole.background_mean_e, rel=1e-12)
    assert joined.noise_ratio == pytest.approx(whole.noise_ratio, rel=1e-12)
    # a share that did not look at its neighbours would find other rows: the test can fail
    alone = recipe.fit(stack.frames(20, 40), 0, 1)
    inside = (whole.table["frame"] >= 23) & (whole.table["frame"] < 43)
    assert len(alone.columns["x_nm"]) != inside.sum() or not np.array_equal(
        alone.columns["snr"] if "snr" in alone.columns else alone.columns["x_nm"],
        whole.table["snr" if "snr" in alone.columns else "x_nm"][inside],
    )
