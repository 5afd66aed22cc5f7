"""`stormcell filter`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.cli.command import Argument, Call, Verb
from stormcell.cli.table_answers import table_answer, table_output
from stormcell.workflows.filter import FilterVerbSettings

if TYPE_CHECKING:
    from stormcell.cli.answers import Answer


def act(call: Call) -> Answer:
    """Keep the rows for which an expression holds.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        How many rows were kept.
    """
    from stormcell.workflows.filter import filter as keep_rows
    from stormcell.workflows.opening import open_table
    from stormcell.workflows.options import build_settings

    source = call.arguments["table"]
    output = table_output(call, "filter", source)
    table = keep_rows(source, output=output, overwrite=call.session.overwrite, **call.options)
    said = build_settings(FilterVerbSettings, None, call.options)
    n_before = open_table(source, said.pixel_size_nm, said.columns).n_rows
    return table_answer(table, f"Kept {table.n_rows:,} of {n_before:,} rows.", output, n_rows_before=n_before)


VERB = Verb(
    act,
    settings=FilterVerbSettings,
    arguments=(Argument("table", "A localization table."),),
    output="Where to write; the ending chooses the format.",
)
