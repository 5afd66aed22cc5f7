"""How well a dense network does on held-out simulated frames, and the factors that make its statements true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stormcell.data import Localizations, PixelGrid
from stormcell.learning.dense_calibration import is_crowded
from stormcell.learning.dense_decoding import N_FIELDS, list_components
from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.metrics.matching import match_localizations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.learning.dense_data import DenseBatch, DenseData
    from stormcell.networks.dense import DenseNet

_NOMINAL_PIXEL_NM = 100.0
_THRESHOLD = 0.5
_RIM_NM = 400.0
_MATCH_NM = 100.0
_FEWEST_PAIRS = 200
_SIGMA_SHARE = 0.6827
_MOST_PER_PX = 0.25


@dataclass(frozen=True)
class DenseScores:
    """Scores of a network and the factors for its card.

    Parameters
    ----------
    scores : dict
        Efficiency, Jaccard and so on over all conditions of the recipe, positions at a nominal 100 nm per pixel.
    calibration : dict of str to float
        As `ModelCard.calibration`; only factors that could be measured.
    """

    scores: dict[str, Any]
    calibration: dict[str, float]


def score_dense(network: DenseNet, data: DenseData, n_batches: int, *, first_step: int = 0) -> DenseScores:
    """Score a network on simulated frames that it was not trained on.

    Parameters
    ----------
    network : DenseNet
        Trained.
    data : DenseData
        Held-out PSFs and seed.
    n_batches : int
        How many batches.
    first_step : int
        Step of the first batch.

    Returns
    -------
    DenseScores
        Scores and factors.
    """
    parts = [_listed(network, data.batch(first_step + index)) for index in range(n_batches)]
    table = _joined([table for table, _ in parts])
    truth = _joined([truth for _, truth in parts])
    score = evaluate_localizations(table, truth, field=table.grid, rim_nm=_RIM_NM)
    further = {f"jaccard_{int(item.tolerance_nm)}_nm": round(item.jaccard, 4) for item in score.further}
    scores = {
        "efficiency": round(score.efficiency, 2),
        "jaccard_250_nm": round(score.jaccard, 4),
        **further,
        "precision": round(score.precision, 4),
        "recall": round(score.recall, 4),
        "rmse_nm": round(score.rmse_nm, 2),
        "n_emitters": score.tp + score.fn,
        "measured": "simulated frames of the recipe with held-out PSFs and seed, positions at 100 nm per pixel",
    }
    return DenseScores(scores, _factors(table, truth))


def _factors(table: Localizations, truth: Localizations) -> dict[str, float]:
    pairs = match_localizations(table, truth, _MATCH_NM)
    if len(pairs) < _FEWEST_PAIRS:
        return {}
    found, true = table.take(pairs.table_row), truth.take(pairs.truth_row)
    columns = {name: table[name] for name in ("frame", "x_nm", "y_nm")}
    crowded = is_crowded(columns, _NOMINAL_PIXEL_NM)[pairs.table_row]
    z = np.stack([(found[f"{a}_nm"] - true[f"{a}_nm"]) / found[f"uncertainty_{a}_nm"] for a in "xy"])
    factors: dict[str, float] = {}
    for name, rows in (("sigma_isolated", ~crowded), ("sigma_crowded", crowded)):
        if int(rows.sum()) >= _FEWEST_PAIRS:
            factors[name] = float(np.quantile(np.abs(z[:, rows]), _SIGMA_SHARE))
    alone = ~crowded
    if int(alone.sum()) >= _FEWEST_PAIRS:
        ratio = np.log(true["photons"][alone] / found["photons"][alone])
        factors["photons"] = float(np.exp(np.median(ratio)))
        spread = found["uncertainty_photons"][alone] / found["photons"][alone]
        centred = np.abs(ratio - np.median(ratio)) / spread
        factors["sigma_photons"] = float(np.quantile(centred, _SIGMA_SHARE))
    return {name: round(value, 4) for name, value in factors.items()}


@torch.inference_mode()
def _listed(network: DenseNet, batch: DenseBatch) -> tuple[Localizations, Localizations]:
    output, _ = network(batch.frames, batch.read_variance_e2, batch.condition)
    values = torch.stack(list(output), dim=1).float().cpu().numpy()
    n, _, height, width = values.shape
    rows = np.empty((n, int(_MOST_PER_PX * height * width), N_FIELDS), np.float32)
    n_rows = np.zeros(n, np.int64)
    list_components(values, _THRESHOLD, rows, n_rows)
    keep = np.arange(rows.shape[1])[None, :] < n_rows[:, None]
    frame = np.broadcast_to(np.arange(n)[:, None], keep.shape)[keep]
    return _found(frame, rows[keep].astype(np.float64), (height, width), n), _true(batch, (height, width), n)


def _found(frame: NDArray[Any], rows: NDArray[np.float64], shape: tuple[int, int], n: int) -> Localizations:
    photons = np.exp(rows[:, 5])
    return Localizations(
        {
            "frame": frame,
            "x_nm": rows[:, 1] * _NOMINAL_PIXEL_NM,
            "y_nm": rows[:, 2] * _NOMINAL_PIXEL_NM,
            "photons": photons,
            "uncertainty_x_nm": rows[:, 3] * _NOMINAL_PIXEL_NM,
            "uncertainty_y_nm": rows[:, 4] * _NOMINAL_PIXEL_NM,
            "uncertainty_photons": photons * np.exp(rows[:, 6]),
        },
        grid=PixelGrid(_NOMINAL_PIXEL_NM, shape),
        n_frames=n,
    )


def _true(batch: DenseBatch, shape: tuple[int, int], n: int) -> Localizations:
    mask = batch.emitters.mask.cpu().numpy()
    frame = np.broadcast_to(np.arange(n)[:, None], mask.shape)[mask]
    x, y, log_electrons = (part.cpu().double().numpy()[mask] for part in batch.emitters[:3])
    columns = {
        "frame": frame,
        "x_nm": x * _NOMINAL_PIXEL_NM,
        "y_nm": y * _NOMINAL_PIXEL_NM,
        "photons": np.exp(log_electrons),
    }
    return Localizations(columns, grid=PixelGrid(_NOMINAL_PIXEL_NM, shape), n_frames=n)


def _joined(tables: list[Localizations]) -> Localizations:
    offsets = np.cumsum([0, *(table.n_frames or 0 for table in tables)])
    columns = {
        name: np.concatenate(
            [
                table[name] + offset if name == "frame" else table[name]
                for table, offset in zip(tables, offsets[:-1], strict=True)
            ]
        )
        for name in tables[0].names
    }
    return Localizations(columns, grid=tables[0].grid, n_frames=int(offsets[-1]))
