"""train annapalm: from tables or simulation to a model folder with card, weights, curves and pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, uniform_filter

from stormcell.errors import InputError
from stormcell.io.writing import write_bytes
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_measured import (
    block_counts,
    cut_field,
    dispersion_factor,
    score_measured,
    split_field,
)
from stormcell.learning.annapalm_model import DensifyModel, load_densify_model, save_densify_model
from stormcell.learning.annapalm_pairs import measured_pair, simulated_pair
from stormcell.learning.annapalm_training import DensifyTrainingSettings, seen_range, train_densify
from stormcell.learning.annapalm_trial import FEWEST_FIELDS, measured_on, trial_field, try_model
from stormcell.learning.curves import METRICS_FILE, draw_curves
from stormcell.networks.annapalm import STRUCTURE_LABELS, DensifyNet
from stormcell.rendering.contact_sheets import contact_sheet
from stormcell.rendering.pictures import to_png_bytes, to_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.learning.annapalm_model import SeenRange
    from stormcell.learning.annapalm_pairs import EventField, Pair
    from stormcell.learning.model_folder import ModelCard
    from stormcell.learning.training_request import TrainingRequest

PAIRS_FILE = "pairs.png"
"""Contact sheet of training pairs, drawn before the training begins."""
CHECKS_FILE = "tables.txt"
"""What was found of every own table, one line each, written before the training begins."""
SCORED_SHARE = 0.05
_HELD_OUT_SHARE = 0.2
_GAP_NM = 500.0
_N_PAIRS = 6
_TRIAL_STRUCTURES = ("microtubules", "nuclear_pores", "mitochondria", "actin")
_SEED_OF_SCORES = 40
_LARGEST_PICTURE_PX = 600


def train_annapalm_model(request: TrainingRequest[DensifyTrainingSettings]) -> ModelCard:
    """Train a densify network as asked, score it on held-out fields, and write its folder.

    Parameters
    ----------
    request : TrainingRequest
        What to train; without fields it learns from simulated structures.

    Returns
    -------
    ModelCard
        As written.

    Raises
    ------
    InputError
        Conditions of a movie were given, which mean nothing here.
    """
    if request.like is not None:
        msg = "train annapalm learns from tables, not from the conditions of a movie; leave --like out, use --data"
        raise InputError(msg)
    recipe, initial = _beginning(request)
    training, held_out, note = hold_out(request.fields)
    # Drawn first: a wrong pair is seen before hours go by.
    write_bytes(request.folder / PAIRS_FILE, draw_pairs(training, recipe), overwrite=True)
    if request.checks:
        write_bytes(
            request.folder / CHECKS_FILE, "".join(f"{line}\n" for line in request.checks).encode(), overwrite=True
        )
    network = train_densify(
        request.curves,
        recipe,
        measured=training,
        measured_validation=held_out,
        initial=initial,
        resume=request.resume,
    )
    network = network.cpu().eval()
    seen = seen_range(recipe, training)
    draft = _save(request, recipe, network, seen, {}, (note,), 1.0)
    model = DensifyModel(draft, network)
    seed = recipe.seed + _SEED_OF_SCORES
    factor = dispersion_factor(model, training, SCORED_SHARE, seed) if training else 1.0
    model = replace(model, dispersion_factor=factor)
    scores = measured_scores(model, held_out, seed) if training else simulated_scores(model, seed)
    card = _save(request, recipe, network, seen, scores, (note,), factor)
    draw_curves(request.curves / METRICS_FILE, request.folder / "curves.png")
    write_bytes(request.folder / "preview.png", draw_preview(model, held_out, seed), overwrite=True)
    return card


def hold_out(fields: Sequence[EventField]) -> tuple[list[EventField], list[EventField], str]:
    """Split by field; of a single one, the quarter of the events that lies rightmost is held out.

    Parameters
    ----------
    fields : sequence of EventField
        All there are.

    Returns
    -------
    tuple
        Fields to learn from, fields held out, and a sentence that says so.
    """
    if not fields:
        return [], [], "trained on simulation alone"
    if len(fields) == 1:
        left, right = cut_field(fields[0], 0.75, min(_GAP_NM, 0.05 * fields[0].extent_nm[1]))
        return (
            [left],
            [right],
            "trained on one measured field, of which the quarter of the events that lies rightmost was held out",
        )
    n_held = max(1, round(_HELD_OUT_SHARE * len(fields)))
    return (
        list(fields[:-n_held]),
        list(fields[-n_held:]),
        f"trained on {len(fields) - n_held} measured fields, {n_held} others were held out",
    )


def measured_scores(model: DensifyModel, held_out: Sequence[EventField], seed: int) -> dict[str, Any]:
    """Score a network on held-out measured fields.

    Parameters
    ----------
    model : DensifyModel
        The network.
    held_out : sequence of EventField
        Fields it has not seen.
    seed : int
        Decides which frames are its input.

    Returns
    -------
    dict
        Means over the fields, for the card.
    """
    found = [score_measured(model, field, SCORED_SHARE, seed + k)[0] for k, field in enumerate(held_out)]
    return {
        "measured": f"{len(found)} held-out fields; input: one block of frames with {SCORED_SHARE:.0%} of the "
        "events, against the other frames, which are noisy",
        "score": round(float(np.mean([one.score for one in found])), 3),
        "score_best_smoothed": round(float(np.mean([one.best_smoothed for one in found])), 3),
        "coverage_90": round(float(np.nanmean([one.coverage_90 for one in found])), 3),
    }


def simulated_scores(model: DensifyModel, seed: int, n_fields: int = FEWEST_FIELDS) -> dict[str, Any]:
    """Score a network on simulated fields of a seed of their own.

    Parameters
    ----------
    model : DensifyModel
        The network.
    seed : int
        Of the fields.
    n_fields : int
        For each structure.

    Returns
    -------
    dict
        For the card.
    """
    trial = try_model(model, _TRIAL_STRUCTURES, (0.03,), n_fields, seed)
    return {"measured": measured_on(n_fields, seed), **trial}


def draw_pairs(fields: Sequence[EventField], recipe: DensifyTrainingSettings) -> bytes:
    """Draw pairs as training will see them: input, wide-field, target; then whole fields, where they are measured.

    Parameters
    ----------
    fields : sequence of EventField
        To learn from; none draws simulated pairs.
    recipe : DensifyTrainingSettings
        How pairs are drawn.

    Returns
    -------
    bytes
        PNG.
    """
    from stormcell.learning.annapalm_fields import simulate_field

    rng = np.random.default_rng([recipe.seed, 23])
    pictures: list[tuple[str, NDArray[np.uint8]]] = []
    for index in range(_N_PAIRS):
        if fields:
            pair = measured_pair(fields[index % len(fields)], recipe.pairs, rng)
        else:
            pair = simulated_pair(simulate_field(recipe.fields, recipe.seed, index), recipe.pairs, rng)
        pictures += _drawn_pair(pair)
    for index, field in enumerate(fields[:_N_PAIRS]):
        counts, target = block_counts(field, SCORED_SHARE, recipe.seed + index)
        wide = np.zeros_like(counts) if field.widefield is None else field.widefield
        cut = _busiest(target)
        pictures += [
            (f"field {index + 1}: {SCORED_SHARE:.0%} of the frames", _coloured(counts[cut])),
            ("wide-field" if field.widefield is not None else "no wide-field", to_rgb(wide[cut], "gray")),
            (f"the other frames: {target.sum():.0f} events", _coloured(target[cut])),
        ]
    return to_png_bytes(contact_sheet(pictures, columns=3, cell_px=280))


def _drawn_pair(pair: Pair) -> list[tuple[str, NDArray[np.uint8]]]:
    return [
        (f"input: {pair.share:.1%}, {pair.counts.sum():.0f} events", _coloured(pair.counts)),
        ("wide-field" if pair.has_widefield else "no wide-field", to_rgb(pair.widefield, "gray")),
        (f"target: {pair.target.sum():.0f} events", _coloured(pair.target)),
    ]


def _busiest(image: NDArray[np.floating[Any]]) -> tuple[slice, slice]:
    """Find the window with most in it, of an image that is too large to be drawn whole."""
    sides = [min(_LARGEST_PICTURE_PX, side) for side in image.shape]
    sums = uniform_filter(np.asarray(image, np.float64), sides, mode="constant")
    first = [side // 2 for side in sides]
    inner = sums[
        first[0] : first[0] + image.shape[0] - sides[0] + 1, first[1] : first[1] + image.shape[1] - sides[1] + 1
    ]
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    return slice(int(row), int(row) + sides[0]), slice(int(column), int(column) + sides[1])


def _coloured(image: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    smooth = gaussian_filter(np.asarray(image, np.float32), 0.7)
    lit = smooth[smooth > 0.01 * max(float(smooth.max()), 1e-30)]
    top = float(np.percentile(lit, 95)) if lit.size else 1.0
    return to_rgb(smooth, "inferno", limits=(0.0, top))


def draw_preview(model: DensifyModel, held_out: Sequence[EventField], seed: int) -> bytes:
    """Draw input, what the network makes of it, its uncertainty, and the answer, for held-out fields.

    Parameters
    ----------
    model : DensifyModel
        The network.
    held_out : sequence of EventField
        Measured fields; none draws simulated ones.
    seed : int
        Decides inputs.

    Returns
    -------
    bytes
        PNG.
    """
    pictures = []
    for index in range(3):
        if held_out:
            field = held_out[index % len(held_out)]
            split = split_field(field, SCORED_SHARE, seed + index)
            counts, wide, answer, label = split.counts, field.widefield, split.target, STRUCTURE_LABELS[field.label]
        else:
            one = trial_field(_TRIAL_STRUCTURES[index], seed, index)
            rng = np.random.default_rng([seed, index])
            counts, wide, label = one.counts(0.05, rng).astype(np.float32), one.widefield, _TRIAL_STRUCTURES[index]
            answer = one.truth.astype(np.float32)
        done = densify_image(model, counts, wide, DensifyInferenceSettings(structure=label))
        images = {
            f"input: {counts.sum():.0f} events": counts,
            "densified": done.rate,
            "uncertainty": done.standard_deviation,
            "the other frames" if held_out else "truth": answer,
        }
        cut = _busiest(answer)
        pictures += [(title, _coloured(image[cut])) for title, image in images.items()]
    return to_png_bytes(contact_sheet(pictures, columns=4, cell_px=280))


def _beginning(request: TrainingRequest[DensifyTrainingSettings]) -> tuple[DensifyTrainingSettings, Any]:
    if request.start is None:
        return request.recipe, None
    start = load_densify_model(request.start)
    if not isinstance(start.network, DensifyNet):
        msg = f"expected a model with the default network to start from, got {start.card.architecture}"
        raise InputError(msg)
    sizes = start.network.architecture
    recipe = request.recipe.replace(
        widths=sizes.widths, blocks=sizes.blocks, fine=sizes.fine, architecture="annapalm"
    )
    return recipe, start.network.state_dict()


def _save(
    request: TrainingRequest[DensifyTrainingSettings],
    recipe: DensifyTrainingSettings,
    network: Any,
    seen: SeenRange,
    scores: dict[str, Any],
    notes: tuple[str, ...],
    factor: float,
) -> ModelCard:
    training = {
        "started_from": request.start or "nothing",
        "tables": None if request.data is None else request.data.name,
        "fields": len(request.fields),
        "checks": request.checks,
        "torch": torch.__version__,
    }
    return save_densify_model(
        request.folder,
        request.name,
        network,
        recipe,
        training=training,
        scores=scores,
        seen=seen,
        notes=notes,
        dispersion_factor=round(factor, 3),
        overwrite=True,
    )
