"""`stormcell simulate`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Call, Extra, Verb
from stormcell.workflows.simulation_config import SimulateVerbSettings


def act(call: Call) -> Answer:
    """Simulate a movie whose truth is known: structure, blinking, PSF, background, camera.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        What was simulated and where it lies.
    """
    from stormcell.workflows.simulate import simulate

    folder = call.output
    done = simulate(
        folder if folder is not None else "simulation",
        config=call.arguments["config"],
        like=call.arguments["like"],
        overwrite=call.session.overwrite,
        progress=call.progress,
        **call.seeded_options(),
    )
    rows, columns = done.config.field_px
    sentence = (
        f"Simulated {done.config.n_frames} frames of {rows} x {columns} px ({done.config.structure.kind}): "
        f"{done.n_emitters} emitters in frames, {done.density_per_um2:.2f} per um2 and frame."
    )
    result = {
        "n_frames": done.config.n_frames,
        "field_px": done.config.field_px,
        "structure": done.config.structure.kind,
        "n_emitters": done.n_emitters,
        "density_per_um2": done.density_per_um2,
        "seed": done.config.seed,
    }
    return Answer(sentences=(sentence, f"Wrote {done.movie.parent}"), result=result, outputs=done.outputs)


VERB = Verb(
    act,
    settings=SimulateVerbSettings,
    extras=(
        Extra("config", "A config.yaml in place of a preset; `simulate` writes one beside every movie."),
        Extra("like", "An acquisition.yaml from `stormcell estimate`, or a movie: its conditions."),
    ),
    output="Folder for movie, truth, wide-field image and config. [default: simulation]",
)
