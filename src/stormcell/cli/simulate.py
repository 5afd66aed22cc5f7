"""`stormcell simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.cli.answers import Answer
from stormcell.cli.command import Call, Extra, Verb
from stormcell.errors import SettingsError
from stormcell.workflows.simulation_config import SimulateVerbSettings

if TYPE_CHECKING:
    from pathlib import Path


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

    folder = call.output if call.output is not None else "simulation"
    if call.arguments["pseudo_dense"] is not None:
        return _summed(call, folder)
    if call.arguments["fits"] is not None:
        msg = "--fits: these are fits of a real sparse movie; name that movie with --pseudo-dense"
        raise SettingsError(msg)
    done = simulate(
        folder,
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


def _summed(call: Call, folder: Path | str) -> Answer:
    from stormcell.workflows.pseudo_dense import sum_movie

    for name in ("config", "like"):
        if call.arguments[name] is not None:
            msg = f"--{name}: has no meaning where frames of a real movie are summed; leave it out"
            raise SettingsError(msg)
    done = sum_movie(
        call.arguments["pseudo_dense"],
        folder,
        fits=call.arguments["fits"],
        overwrite=call.session.overwrite,
        progress=call.progress,
        **call.seeded_options(),
    )
    n_frames, rows, columns = done.frames.shape
    sentence = (
        f"Summed {done.summed_frames} frames each into {n_frames} frames of {rows} x {columns} px: "
        f"{done.truth.n_rows} fits as truth, {done.density_per_um2:.2f} per um2 and frame."
    )
    result = {
        "n_frames": n_frames,
        "field_px": (rows, columns),
        "summed_frames": done.summed_frames,
        "n_emitters": done.truth.n_rows,
        "density_per_um2": done.density_per_um2,
    }
    return Answer(sentences=(sentence, f"Wrote {done.outputs[0].parent}"), result=result, outputs=done.outputs)


VERB = Verb(
    act,
    settings=SimulateVerbSettings,
    extras=(
        Extra("config", "A config.yaml in place of a preset; `simulate` writes one beside every movie."),
        Extra("like", "An acquisition.yaml from `stormcell estimate`, or a movie: its conditions."),
        Extra(
            "pseudo_dense",
            "A real sparse movie, whose frames are summed; the truth are fits of the single ones.",
        ),
        Extra("fits", "With --pseudo-dense: the fits of its single frames. [default: fitted by mle]"),
    ),
    output="Folder for movie, truth, wide-field image and config. [default: simulation]",
)
