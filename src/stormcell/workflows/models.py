"""models: which networks there are, and what their cards say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stormcell.learning.model_folder import ModelCard

ACTIONS = ("list", "show")


@dataclass(frozen=True)
class ModelEntry:
    """A model: where it lies and its card."""

    folder: Path
    card: ModelCard
    n_bytes: int


def models(action: str = "list", name: str | None = None) -> tuple[ModelEntry, ...]:
    """List the shipped models, or look at one.

    Parameters
    ----------
    action : {"list", "show"}
        What to do.
    name : str, optional
        Which model to show: its name, or a folder.

    Returns
    -------
    tuple of ModelEntry
        All shipped ones, or the one asked for.

    Raises
    ------
    InputError
        The action is unknown or the name is missing.
    ModelError
        There is no such model.
    """
    from stormcell.learning.model_folder import CARD_FILE, SHIPPED, find_model

    if action not in ACTIONS:
        msg = f"expected one of {', '.join(ACTIONS)}, got {action}"
        raise InputError(msg)
    if action == "show":
        if name is None:
            msg = "expected the name of a model to show; stormcell models list tells them"
            raise InputError(msg)
        return (_entry(find_model(name)),)
    return tuple(_entry(path.parent) for path in sorted(SHIPPED.glob(f"*/{CARD_FILE}")))


def card_rows(card: ModelCard) -> tuple[tuple[str, str], ...]:
    """Put a card into words.

    Parameters
    ----------
    card : ModelCard
        The card.

    Returns
    -------
    tuple of (str, str)
        Label and value.
    """
    valid = card.valid_range.model_dump(mode="json", exclude_none=True)
    return (
        ("name", card.name),
        ("task", card.task),
        ("architecture", f"{card.architecture} version {card.architecture_version}"),
        ("given", card.preprocessing),
        *((f"valid {name}", _range(value)) for name, value in valid.items()),
        *_training_rows(card.training),
        *((f"score {name}", str(value)) for name, value in card.scores.items()),
        *((f"calibration {name}", f"{value:.4g}") for name, value in card.calibration.items()),
        *(("note", note) for note in card.notes),
        ("weights sha256", card.weights_sha256),
    )


def _training_rows(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Put the single values into words; the recipe itself is long and stays in the card."""
    recipe = training.get("recipe") or {}
    facts = {"steps": (recipe.get("trainer") or {}).get("steps"), "seed": recipe.get("seed"), **training}
    return [
        (f"training {name}", f"{value:g}" if isinstance(value, float) else str(value))
        for name, value in facts.items()
        if isinstance(value, str | int | float)
    ]


def _range(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(end, int | float) for end in value):
        return f"{value[0]:g} to {value[1]:g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _entry(folder: Path) -> ModelEntry:
    from stormcell.learning.model_folder import WEIGHTS_FILE, load_card

    weights = folder / WEIGHTS_FILE
    return ModelEntry(folder, load_card(folder), weights.stat().st_size if weights.is_file() else 0)
