"""Our scores against an implementation written out here: dense matrices, plain loops, scipy's assignment.

Both must agree to 1e-6 on 20 random scenes, some of them with frames that are empty in one table or in both.
"""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from stormcell.data import Localizations, PixelGrid
from stormcell.metrics import evaluate_localizations

FIELD = PixelGrid(100.0, (40, 60), (200.0, 500.0))


def random_scene(seed):
    """Truth with 0 to 40 emitters a frame; a table that misses, invents and misplaces some."""
    rng = np.random.default_rng(seed)
    true, found = [], []
    for frame in range(12):
        n = 0 if frame in (3, 7) else rng.integers(0, 40)
        here = rng.uniform([500, 200, -600], [6500, 4200, 600], (n, 3))
        seen = here[rng.random(n) < 0.8]
        seen = seen + rng.normal(0, rng.choice([10, 60, 150]), seen.shape)
        invented = rng.uniform([500, 200, -600], [6500, 4200, 600], (rng.integers(0, 8), 3))
        if frame in (7, 10):
            seen, invented = seen[:0], invented[:0]
        true.append(np.column_stack([np.full(n, frame), here]))
        extra = np.concatenate([seen, invented])
        found.append(np.column_stack([np.full(len(extra), frame), extra]))
    return np.concatenate(true), rng.permutation(np.concatenate(found))


def table_of(rows, with_depth):
    columns = {"frame": rows[:, 0], "x_nm": rows[:, 1], "y_nm": rows[:, 2]}
    return Localizations({**columns, "z_nm": rows[:, 3]} if with_depth else columns, grid=FIELD)


def in_rim(position, rim):
    x, y = position[0], position[1]
    return rim > 0 and not (500 + rim <= x <= 6500 - rim and 200 + rim <= y <= 4200 - rim)


def independent_scores(true, found, tolerance, with_depth, rim):
    limit = tolerance**2 + (500**2 if with_depth else 0)
    tp, fp, fn, errors = 0, 0, 0, []
    for frame in sorted({*true[:, 0], *found[:, 0]}):
        emitters, dots = true[true[:, 0] == frame, 1:], found[found[:, 0] == frame, 1:]
        # what is won by a pair: the most it may cost, less what it costs; a pair out of reach wins nothing
        won = np.zeros((len(dots), len(emitters)))
        allowed = np.zeros(won.shape, bool)
        for i, dot in enumerate(dots):
            for j, emitter in enumerate(emitters):
                dx, dy, dz = dot - emitter
                if not with_depth:
                    dz = 0.0
                allowed[i, j] = dx * dx + dy * dy <= tolerance**2 and abs(dz) <= 500
                won[i, j] = limit - (dx * dx + dy * dy + dz * dz) if allowed[i, j] else 0.0
        pairs = [(i, j) for i, j in zip(*linear_sum_assignment(won, maximize=True), strict=True) if allowed[i, j]]
        for i, j in pairs:
            if not in_rim(emitters[j], rim):
                tp += 1
                errors.append(dots[i] - emitters[j])
        fp += sum(not in_rim(dots[i], rim) for i in set(range(len(dots))) - {i for i, _ in pairs})
        fn += sum(not in_rim(emitters[j], rim) for j in set(range(len(emitters))) - {j for _, j in pairs})
    errors = np.array(errors).reshape(-1, 3)
    jaccard = tp / (tp + fp + fn)
    rmse = np.sqrt(np.mean(errors[:, 0] ** 2 + errors[:, 1] ** 2))
    rmse_z = np.sqrt(np.mean(errors[:, 2] ** 2))
    scores = {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "jaccard": jaccard,
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "rmse_nm": rmse,
        "bias_x_nm": errors[:, 0].mean(),
        "bias_y_nm": errors[:, 1].mean(),
        "efficiency": 100 - np.sqrt((100 - 100 * jaccard) ** 2 + rmse**2),
    }
    if with_depth:
        axial = 100 - np.sqrt((100 - 100 * jaccard) ** 2 + (0.5 * rmse_z) ** 2)
        scores |= {"rmse_z_nm": rmse_z, "efficiency_z": axial, "efficiency_3d": (scores["efficiency"] + axial) / 2}
    return scores


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_an_independent_implementation(seed):
    true, found = random_scene(seed)
    with_depth, rim = seed % 3 == 2, (0.0, 0.0, 350.0, 800.0)[seed % 4]
    table, truth = table_of(found, with_depth), table_of(true, with_depth)
    ours = evaluate_localizations(table, truth, rim_nm=rim)
    for tolerance, score in zip((250, 100, 50), (ours, *ours.further), strict=True):
        expected = independent_scores(true, found, tolerance, with_depth, rim)
        assert {name: getattr(score, name) for name in expected} == pytest.approx(expected, abs=1e-6, rel=1e-6)
