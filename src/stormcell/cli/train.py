"""`stormcell train`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Extra, Verb
from stormcell.errors import InputError
from stormcell.workflows.train import TrainVerbSettings


def act(call: Call) -> Answer:
    """Train a network.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Its scores and where it lies.
    """
    from stormcell.workflows.train import train

    if call.output is None:
        msg = "expected a folder for the model; pass -o DIR"
        raise InputError(msg)
    given = call.arguments
    card = train(
        str(given["task"]),
        output=call.output,
        like=given["like"],
        data=given["data"],
        widefield=given["widefield"],
        start=given["start"],
        config=given["config"],
        overwrite=call.session.overwrite,
        progress=call.progress,
        **{**call.seeded_options(), **call.network_options()},
    )
    rows = tuple((name.replace("_", " "), str(value)) for name, value in card.scores.items())
    return Answer(
        sentences=(f"Trained {card.name}; use it with --model {call.output}",),
        rows=rows,
        result={"name": card.name, "scores": card.scores, "calibration": card.calibration},
        outputs=(call.output,),
    )


VERB = Verb(
    act,
    uses_device=True,
    settings=TrainVerbSettings,
    arguments=(Argument("task", "Which network: dense, deepstorm or annapalm."),),
    extras=(
        Extra("like", "A movie, or the acquisition.yaml of estimate: train for its conditions."),
        Extra(
            "data",
            "Folder with own training data: a movie and a table of its true positions (dense, deepstorm), or "
            "localization tables of whole acquisitions (annapalm).",
        ),
        Extra("widefield", "For annapalm: folder of wide-field images named like the tables, or one image for all."),
        Extra("start", "Model to start from: a folder, or the name of a shipped one.", flag="--from"),
        Extra("config", "YAML with fields of the recipe."),
    ),
    output="The model folder.",
)
