"""`stormcell rerun`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Extra, Verb


def act(call: Call) -> Answer:
    """Repeat a run from its run.json and say whether the results are identical.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Identical, or which files differ.
    """
    from stormcell.workflows.rerun import default_folder, rerun, version_note
    from stormcell.workflows.run_record import read_run_record

    record = call.arguments["record"]
    folder = call.output or default_folder(read_run_record(record).path)
    done = rerun(
        record,
        output=folder,
        movie=call.arguments["movie"],
        overwrite=call.session.overwrite,
        progress=call.progress,
    )
    sentence = "The results are identical, byte for byte."
    if not done.is_identical:
        sentence = f"The results DIFFER in {', '.join(done.differing)}."
    note = version_note(done)
    sentences = (sentence, *([note[:1].upper() + note[1:] + "."] if note else []), f"Wrote {folder}")
    result = {"is_identical": done.is_identical, "differing": done.differing, "first_version": done.version}
    return Answer(sentences=sentences, result=result, outputs=done.result.outputs)


VERB = Verb(
    act,
    arguments=(Argument("record", "A run.json, or the folder that holds it."),),
    extras=(Extra("movie", "Where the movie lies now, if it has moved."),),
    output="Folder for the new results; without it <folder>_rerun beside the first.",
)
