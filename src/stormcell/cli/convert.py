"""`stormcell convert`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb
from stormcell.workflows.convert import ConvertVerbSettings


def act(call: Call) -> Answer:
    """Write a table, a movie or an image in another format.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        What was converted.
    """
    from stormcell.workflows.convert import convert

    source, target = call.arguments["source"], call.arguments["target"]
    done = convert(source, target, overwrite=call.session.overwrite, progress=call.progress, **call.options)
    items = {"movie": "frames", "table": "rows", "image": "pixels"}[done.kind]
    return Answer(
        sentences=(f"Converted a {done.kind} of {done.n_items:,} {items}.", f"Wrote {done.output}"),
        result={"kind": done.kind, "n_items": done.n_items},
        outputs=(done.output,),
    )


VERB = Verb(
    act,
    settings=ConvertVerbSettings,
    arguments=(
        Argument("source", "A table, a movie or an image."),
        Argument("target", "The file to write; its ending chooses the format."),
    ),
)
