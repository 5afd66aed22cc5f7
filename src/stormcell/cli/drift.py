"""`stormcell drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.cli.command import Argument, Call, Verb
from stormcell.cli.table_answers import table_answer, table_output
from stormcell.workflows.drift import DriftVerbSettings

if TYPE_CHECKING:
    from stormcell.cli.answers import Answer


def act(call: Call) -> Answer:
    """Estimate the sample drift from a table and take it out.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        How far the sample moved.
    """
    from stormcell.workflows.drift import drift

    source = call.arguments["table"]
    output = table_output(call, "drift", source)
    done = drift(source, output=output, overwrite=call.session.overwrite, progress=call.progress, **call.options)
    span_x, span_y = (float(values.max() - values.min()) for values in (done.curve.x_nm, done.curve.y_nm))
    sentence = f"The sample moved over {span_x:.0f} nm in x and {span_y:.0f} nm in y; this was taken out."
    return table_answer(done.table, sentence, *done.outputs, drift_span_x_nm=span_x, drift_span_y_nm=span_y)


VERB = Verb(
    act,
    settings=DriftVerbSettings,
    arguments=(Argument("table", "A localization table."),),
    output="Where to write the corrected table; the ending chooses the format.",
)
