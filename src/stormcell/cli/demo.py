"""`stormcell demo`."""

from __future__ import annotations

from pathlib import Path

from stormcell.cli.answers import Answer
from stormcell.cli.command import Call, Verb
from stormcell.workflows.demo import DemoVerbSettings


def act(call: Call) -> Answer:
    """Simulate a small dense movie and do everything that run does for it.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Numbers, the comparison with the truth, and the report's place.
    """
    from stormcell.cli.run import run_rows
    from stormcell.workflows.demo import demo

    folder = call.output or Path("demo")
    done = demo(folder, overwrite=call.session.overwrite, progress=call.progress, **call.seeded_options())
    numbers, score = done.run.numbers, done.evaluation
    sentence = (
        f"Compared with the truth, within {score.tolerance_nm:g} nm: {score.recall:.0%} of the emitters found, "
        f"{score.precision:.0%} of the localizations true, {score.rmse_nm:.0f} nm off (both axes together)."
    )
    return Answer(
        sentences=(sentence, f"Open {folder / 'report.html'}"),
        rows=run_rows(numbers),
        result={"numbers": numbers, "scores": score.to_dict(), "report": folder / "report.html"},
        outputs=(done.movie, done.truth, done.reference, *done.run.outputs),
    )


VERB = Verb(act, settings=DemoVerbSettings, output="Folder for the movie and all results. [default: demo]")
