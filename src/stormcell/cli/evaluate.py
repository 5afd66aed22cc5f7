"""`stormcell evaluate`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Extra, Verb
from stormcell.workflows.evaluate import EvaluateVerbSettings, plot_path
from stormcell.workflows.outputs import default_output


def act(call: Call) -> Answer:
    """Compare a table with the truth.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        The scores.
    """
    from stormcell.workflows.evaluate import evaluate

    source, truth = call.arguments["table"], call.arguments["truth"]
    output = call.output or default_output(source, "evaluate", ".json")
    score = evaluate(source, truth, output=output, overwrite=call.session.overwrite, **call.seeded_options())
    rows = [("", "Jaccard  precision  recall  RMSE [nm]  random Jaccard")]
    levels = zip((score, *score.further), score.random, strict=True)
    for one, chance in levels:
        scores = f"{one.jaccard:7.3f}  {one.precision:9.3f}  {one.recall:6.3f}  {one.rmse_nm:9.1f}"
        rows.append((f"within {one.tolerance_nm:g} nm", f"{scores}  {chance.jaccard:14.3f}"))
    rows.append(("efficiency", f"{score.efficiency:.1f} of 100, at {score.tolerance_nm:g} nm"))
    rows.append(("bias", f"x {score.bias_x_nm:+.1f} nm, y {score.bias_y_nm:+.1f} nm"))
    outputs = (output, plot_path(output))
    return Answer(
        sentences=tuple(f"Wrote {path}" for path in outputs),
        rows=tuple(rows),
        result=score.to_dict(),
        outputs=outputs,
    )


VERB = Verb(
    act,
    settings=EvaluateVerbSettings,
    arguments=(Argument("table", "What was found: a localization table."),),
    extras=(Extra("truth", "Where the emitters really are: a localization table.", is_required=True),),
    output="Where to write the scores (.json; a plot goes beside it as .png).",
)
