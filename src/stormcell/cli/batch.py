"""`stormcell batch`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb
from stormcell.workflows.batch import BatchVerbSettings


def act(call: Call) -> Answer:
    """Do one verb for many inputs.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        How many inputs are done and how many failed.
    """
    from stormcell.workflows.batch import batch

    source = call.arguments["inputs"]
    folder = call.output or source.parent / f"{source.stem.replace('*', '')}_batch"
    session = call.session
    options = {**call.network_options(), "seed": session.seed, "threads": session.threads}
    done = batch(source, output=folder, overwrite=session.overwrite, progress=call.progress, **options)
    if done.plan:
        return Answer(sentences=done.plan, result={"plan": done.plan})
    total = len(done.outcomes)
    return Answer(
        sentences=(f"{total - done.n_failed:,} of {total:,} inputs done, {done.n_failed:,} failed.",),
        result={"n_inputs": total, "n_failed": done.n_failed},
        outputs=done.outputs,
    )


VERB = Verb(
    act,
    uses_device=True,
    fetches=False,
    settings=BatchVerbSettings,
    arguments=(Argument("inputs", "A folder, a glob in quotes, or a CSV manifest with a column input."),),
    output="Folder for the results; the same call with the same folder continues an interrupted batch.",
)
