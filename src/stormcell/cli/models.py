"""`stormcell models`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb


def act(call: Call) -> Answer:
    """List the shipped models or show one.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Names with their tasks, or a card.
    """
    from stormcell.workflows.models import card_rows, models

    action = str(call.arguments["action"] or "list")
    name = call.arguments["name"]
    entries = models(action, None if name is None else str(name))
    if action == "show":
        (entry,) = entries
        return Answer(
            rows=(*card_rows(entry.card), ("folder", str(entry.folder))),
            result={"card": entry.card.model_dump(mode="json"), "folder": entry.folder},
        )
    rows = tuple((entry.card.name, f"{entry.card.task}, {entry.n_bytes / 1e6:.1f} MB") for entry in entries)
    result = {"models": [{"name": e.card.name, "task": e.card.task, "folder": e.folder} for e in entries]}
    return Answer(sentences=() if rows else ("No models are shipped with this version.",), rows=rows, result=result)


VERB = Verb(
    act,
    arguments=(
        Argument("action", "list or show.", is_required=False),
        Argument("name", "Which model to show: its name or folder.", is_required=False),
    ),
)
