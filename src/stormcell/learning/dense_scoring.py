"""How well a dense network does on held-out simulated frames, and the factors that make its statements true."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stormcell.data import Localizations, PixelGrid
from stormcell.learning.dense_calibration import is_crowded
from stormcell.learning.dense_decoding import N_FIELDS, list_components
from stormcell.learning.dense_localizing import DenseLocalizationSettings, localize_dense
from stormcell.learning.previews import EXAMPLE_SIDE_PX, simulate_example
from stormcell.metrics.evaluation import evaluate_localizations
from stormcell.metrics.matching import match_localizations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.learning.dense_data import DenseBatch, DenseData
    from stormcell.networks.dense import DenseNet
    from stormcell.physics.psf.bank import PSFBank
    from stormcell.simulation.training_settings import TrainingFrameSettings

_NOMINAL_PIXEL_NM = 100.0
_THRESHOLD = 0.5
_RIM_NM = 400.0
_MATCH_NM = 100.0
_FEWEST_PAIRS = 200
_SIGMA_SHARE = 0.6827
_MOST_PER_PX = 0.25
_CALIBRATED_DENSITY = (0.3, 2.0)
_CALIBRATED_ELECTRONS = (600.0, 5000.0)
_CALIBRATED_BACKGROUND_E = (5.0, 100.0)
_EMITTERS_PER_MOVIE = 600
_LEAST_DENSITY = 0.1


def score_dense(network: DenseNet, data: DenseData, n_batches: int, *, first_step: int = 0) -> dict[str, Any]:
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
    dict
        Efficiency, Jaccard and so on over all conditions of the recipe, positions at a nominal 100 nm per pixel.
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
    return scores


def measure_calibration(
    network: DenseNet, bank: PSFBank, settings: TrainingFrameSettings, seed: int
) -> dict[str, float]:
    """Measure a network's factors on movies of one PSF each, told nothing, as users' movies are.

    Parameters
    ----------
    network : DenseNet
        Trained.
    bank : PSFBank
        PSFs it was not trained on; each makes one movie.
    settings : TrainingFrameSettings
        What light and background the network was trained for.
    seed : int
        Of the movies.

    Returns
    -------
    dict of str to float
        As `ModelCard.calibration`; only factors that could be measured.
    """
    rng = np.random.default_rng([seed, 12])
    tables, truths = [], []
    for index in range(bank.n_psfs):
        density = max(_between(rng, _CALIBRATED_DENSITY, settings.density_per_um2), _LEAST_DENSITY)
        psf = bank.select([index])
        field_um2 = (EXAMPLE_SIDE_PX * float(psf.camera_pixel_size_nm[0]) / 1000) ** 2
        example = simulate_example(
            psf,
            density_per_um2=density,
            electrons=_between(rng, _CALIBRATED_ELECTRONS, settings.photons_e),
            seed=seed + index,
            background_e=_between(rng, _CALIBRATED_BACKGROUND_E, settings.background_e),
            n_frames=math.ceil(_EMITTERS_PER_MOVIE / (density * field_um2)),
            along_microtubules=False,
        )
        found = localize_dense(
            example.stack,
            example.camera,
            example.camera_pixel_size_nm,
            network,
            settings=DenseLocalizationSettings(precision="float32"),
        )
        tables.append(found.table)
        truths.append(example.truth)
    return _factors(tables, truths)


def _between(rng: np.random.Generator, wanted: tuple[float, float], trained: tuple[float, float]) -> float:
    """Draw evenly on a log scale from what is wanted, as far as it was trained."""
    low, high = max(wanted[0], trained[0]), min(wanted[1], trained[1])
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))) if low < high else min(low, trained[1])


def _factors(tables: list[Localizations], truths: list[Localizations]) -> dict[str, float]:
    z, crowded, photon_log_ratio, photon_spread = [], [], [], []
    for table, truth in zip(tables, truths, strict=True):
        pairs = match_localizations(table, truth, _MATCH_NM)
        if not len(pairs):
            continue
        found, true = table.take(pairs.table_row), truth.take(pairs.truth_row)
        pixel_nm = table.grid.pixel_size_nm if table.grid else _NOMINAL_PIXEL_NM
        columns = {name: table[name] for name in ("frame", "x_nm", "y_nm")}
        crowded.append(is_crowded(columns, pixel_nm)[pairs.table_row])
        errors = [found[f"{a}_nm"] - true[f"{a}_nm"] for a in "xy"]
        # where the zero of a lopsided PSF lies is a convention: it moves all rows of a movie alike
        z.append([(e - np.median(e)) / found[f"uncertainty_{a}_nm"] for e, a in zip(errors, "xy", strict=True)])
        photon_log_ratio.append(np.log(true["photons"] / found["photons"]))
        photon_spread.append(found["uncertainty_photons"] / found["photons"])
    if not z:
        return {}
    size, is_crowd = np.abs(np.concatenate(z, axis=1)), np.concatenate(crowded)
    factors: dict[str, float] = {}
    for name, rows in (("sigma_isolated", ~is_crowd), ("sigma_crowded", is_crowd)):
        if int(rows.sum()) >= _FEWEST_PAIRS:
            factors[name] = float(np.quantile(size[:, rows], _SIGMA_SHARE))
    alone = ~is_crowd
    if int(alone.sum()) >= _FEWEST_PAIRS:
        ratio = np.concatenate(photon_log_ratio)[alone]
        factors["photons"] = float(np.exp(np.median(ratio)))
        centred = np.abs(ratio - np.median(ratio)) / np.concatenate(photon_spread)[alone]
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
