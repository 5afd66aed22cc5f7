"""`stormcell resolution`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Extra, Verb
from stormcell.workflows.outputs import default_output
from stormcell.workflows.resolution import ResolutionVerbSettings


def act(call: Call) -> Answer:
    """Measure the resolution of a table or an image.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        The number with its interval.
    """
    from stormcell.workflows.resolution import resolution
    from stormcell.workflows.resolution_outputs import resolution_numbers, resolution_paths

    source = call.arguments["source"]
    output = call.output or default_output(source, "resolution", ".json")
    done = resolution(
        source,
        second=call.arguments["second"],
        output=output,
        overwrite=call.session.overwrite,
        progress=call.progress,
        **call.seeded_options(),
    )
    label = "localization precision" if done.method == "nena" else "resolution"
    value = "none" if done.value_nm is None else f"{done.value_nm:.1f} nm ({done.method})"
    if done.interval_nm is not None:
        value += f", 90 %: {done.interval_nm[0]:.1f} to {done.interval_nm[1]:.1f} nm"
    rows = [(label, value)]
    if done.map is not None:
        median, share = done.numbers["map_median_nm"], done.numbers["map_share"]
        words = f"{median:.1f} nm (median), known in {share:.0%} of the windows that hold anything"
        rows.append(("local resolution", words))
    outputs = resolution_paths(output, done.map is not None).all
    sentences = (f"{done.note[:1].upper()}{done.note[1:]}.", *(f"Wrote {path}" for path in outputs))
    numbers = resolution_numbers(done)
    result = {key: value for key, value in numbers.items() if key not in ("verb", "version", "settings", "warnings")}
    return Answer(sentences=sentences, rows=tuple(rows), result=result, outputs=outputs)


VERB = Verb(
    act,
    settings=ResolutionVerbSettings,
    arguments=(Argument("source", "A localization table, an image, or a stack of two independent images."),),
    extras=(Extra("second", "An independent image of the same field, for frc of two images."),),
    output="Where to write the numbers (.json); curve (.csv, .png) and map (_map.ome.tif, _map.png) go beside it.",
)
