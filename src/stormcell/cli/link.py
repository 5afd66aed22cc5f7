"""`stormcell link`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.cli.command import Argument, Call, Verb
from stormcell.cli.table_answers import table_answer, table_output
from stormcell.workflows.link import LinkVerbSettings

if TYPE_CHECKING:
    from stormcell.cli.answers import Answer


def act(call: Call) -> Answer:
    """Merge the localizations of one burst over consecutive frames.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        How many bursts there are.
    """
    from stormcell.workflows.link import link

    source = call.arguments["table"]
    output = table_output(call, "link", source)
    table = link(source, output=output, overwrite=call.session.overwrite, **call.options)
    n_before = int(table["n_detections"].sum()) if "n_detections" in table else table.n_rows
    return table_answer(
        table, f"Linked {n_before:,} localizations into {table.n_rows:,} bursts.", output, n_rows_before=n_before
    )


VERB = Verb(
    act,
    settings=LinkVerbSettings,
    arguments=(Argument("table", "A localization table."),),
    output="Where to write; the ending chooses the format.",
)
