"""Densify networks as model folders, and whether an input lies within what one was trained for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from stormcell.errors import ModelError
from stormcell.learning.model_folder import ModelCard, find_model, load_weights, save_model
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS, DensifyArchitecture, DensifyNet
from stormcell.networks.annapalm_published import PublishedArchitecture, PublishedGenerator

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.learning.annapalm_training import DensifyTrainingSettings

TASK = "annapalm"


@dataclass(frozen=True)
class DensifyModel:
    """A densify network with its card.

    Parameters
    ----------
    card : ModelCard
        What it was trained on and how well it does.
    network : DensifyNet or PublishedGenerator
        With its weights.
    dispersion_factor : float
        Factor on the dispersion the network predicts, measured on held-out fields.
    tails : dict of str to float
        Factor on what an interval leaves out, by label and channels (`tail_name`), measured on held-out fields.
    """

    card: ModelCard
    network: DensifyNet | PublishedGenerator
    dispersion_factor: float = 1.0
    tails: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SeenRange:
    """What the fields of a training held.

    Parameters
    ----------
    structures : tuple of str
        Labels of its fields; none where all were 'unknown'.
    events_per_um2 : tuple of float or None
        Lowest and highest density of events in an input; None is not known.
    """

    structures: tuple[str, ...]
    events_per_um2: tuple[float, float] | None


def tail_name(structure: str, *, events: bool, widefield: bool) -> str:
    """Name the calibration of an input.

    Parameters
    ----------
    structure : str
        Label the network is told.
    events, widefield : bool
        Which channels there are.

    Returns
    -------
    str
        For example "microtubules both".
    """
    return f"{structure} {'both' if events and widefield else 'events' if events else 'widefield'}"


def load_densify_model(name: str) -> DensifyModel:
    """Load a densify network.

    Parameters
    ----------
    name : str
        Name of a shipped model, or a model folder.

    Returns
    -------
    DensifyModel
        Checked and ready.

    Raises
    ------
    ModelError
        There is no such model, it is damaged, or it is for another task.
    """
    card, weights = load_weights(find_model(name))
    known = {kind.name: kind.version for kind in (DensifyNet, PublishedGenerator)}
    if known.get(card.architecture) != card.architecture_version:
        expected = " or ".join(f"{key} version {version}" for key, version in known.items())
        msg = (
            f"expected a model of architecture {expected}, got {card.architecture} version "
            f"{card.architecture_version} in {name}; choose another model"
        )
        raise ModelError(msg)
    sizes = card.sizes
    network: DensifyNet | PublishedGenerator
    if card.architecture == PublishedGenerator.name:
        network = PublishedGenerator(PublishedArchitecture(tuple(sizes["widths"]), float(sizes["dropout"])))
    else:
        a, b, c, d = sizes["widths"]
        e, f, g, h = sizes["blocks"]
        network = DensifyNet(DensifyArchitecture((a, b, c, d), (e, f, g, h), int(sizes["fine"])))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        msg = f"the weights of the model {name} do not fit its card; copy the model folder again"
        raise ModelError(msg) from error
    start = "tail "
    tails = {key.removeprefix(start): value for key, value in card.calibration.items() if key.startswith(start)}
    return DensifyModel(card, network.eval(), card.calibration.get("dispersion", 1.0), tails)


def save_densify_model(
    folder: Path,
    name: str,
    network: DensifyNet | PublishedGenerator,
    settings: DensifyTrainingSettings,
    *,
    training: dict[str, Any],
    scores: dict[str, Any],
    seen: SeenRange | None = None,
    notes: tuple[str, ...] = (),
    dispersion_factor: float = 1.0,
    tails: dict[str, float] | None = None,
    overwrite: bool = False,
) -> ModelCard:
    """Write a densify network as a model folder.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    name : str
        Name by which verbs call the model.
    network : DensifyNet or PublishedGenerator
        Trained.
    settings : DensifyTrainingSettings
        Its recipe.
    training : dict
        What the recipe does not say: steps done, seconds, hardware, the command that repeats it.
    scores : dict
        Held-out scores and how they were measured.
    seen : SeenRange, optional
        What its training fields held (`annapalm_training.seen_range`); None takes the recipe's word for simulated
        fields.
    notes : tuple of str
        What it was tried on and where it fails.
    dispersion_factor : float
        Factor on the predicted dispersion that makes intervals hold what they promise.
    tails : dict of str to float, optional
        Factors on what intervals leave out, by label and channels.
    overwrite : bool
        Replace an existing model.

    Returns
    -------
    ModelCard
        The card as written.
    """
    architecture = network.architecture
    seen = seen or _promised(settings)
    size = f"{SR_PIXEL_SIZE_NM:g} nm"
    return save_model(
        folder,
        network.state_dict(),
        {
            "name": name,
            "task": TASK,
            "architecture": network.name,
            "architecture_version": network.version,
            "sizes": {key: getattr(architecture, key) for key in architecture.__dataclass_fields__},
            "preprocessing": (
                f"linked events per {size} pixel; wide-field resampled by pixel edges to the same pixels, 0 at its "
                "percentile 1 and 1 at its percentile 99.5 over the whole image; density and share of the frames"
            ),
            "valid_range": {
                "structures": seen.structures,
                "sr_pixel_size_nm": SR_PIXEL_SIZE_NM,
                "events_per_um2": seen.events_per_um2,
                "share": settings.pairs.share,
            },
            "training": {"recipe": settings.model_dump(mode="json"), **training},
            "scores": scores,
            "calibration": {
                "dispersion": dispersion_factor,
                **{f"tail {name}": value for name, value in (tails or {}).items()},
            },
            "notes": notes,
        },
        overwrite=overwrite,
    )


EVENTS_PER_UM2 = (0.3, 400.0)
"""Densities of input events that the default simulated fields cover: from 0.5 % of a sparse field to 30 % of a dense
one."""


def _promised(settings: DensifyTrainingSettings) -> SeenRange:
    """Read from a recipe what its simulated fields hold."""
    names = tuple(name for name in STRUCTURE_LABELS[:-1] if settings.fields.shares.get(name, 0) > 0)
    is_usual = settings.fields == type(settings.fields)() and settings.pairs.share == type(settings.pairs)().share
    return SeenRange(names, EVENTS_PER_UM2 if is_usual else None)


def input_warnings(
    card: ModelCard, events_per_um2: float | None, share: float | None = None, structure: str = "unknown"
) -> list[str]:
    """Say in words where an input lies outside what the model was trained for.

    Parameters
    ----------
    card : ModelCard
        Of the model used.
    events_per_um2 : float or None
        Density of linked events where there is structure (`typical_density`); None where there are none.
    share : float, optional
        Share of the long acquisition's frames.
    structure : str
        What the user says it is.

    Returns
    -------
    list of str
        One sentence for each quantity that is off; empty where all is well.
    """
    valid, warnings = card.valid_range, []
    if events_per_um2 is not None and valid.events_per_um2 is not None:
        low, high = valid.events_per_um2
        if not low <= events_per_um2 <= high:
            kind = "sparser" if events_per_um2 < low else "denser"
            warnings.append(
                f"the input, with {events_per_um2:.3g} events per um2, is {kind} than the model has seen "
                f"({low:g} to {high:g}): the picture is less reliable; use more frames or train a model on such data"
            )
    if share is not None and math.isfinite(share) and valid.share is not None:
        low, high = valid.share
        if not low <= share <= high:
            warnings.append(
                f"the input holds {100 * share:.3g} % of the frames, the model was trained on {100 * low:g} to "
                f"{100 * high:g} %: intervals are less reliable"
            )
    if structure != "unknown" and structure not in (valid.structures or ()):
        known = f"it knows {', '.join(valid.structures or ()) or 'no structure by name'}"
        # A label the network has is passed on to it, trained or not.
        told = (
            "its name then says little: leave --structure out"
            if structure in STRUCTURE_LABELS
            else "it is told 'unknown' instead"
        )
        warnings.append(
            f"the model has not seen {structure} ({known}): {told}; train a model on such data for reliable pictures"
        )
    return warnings
