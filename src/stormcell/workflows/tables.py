"""The way of every verb that makes a table of a table: open, refuse early, work, record, write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.workflows.opening import PathLike, fingerprint, open_table
from stormcell.workflows.outputs import prepare_table
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.data.localizations import Localizations
    from stormcell.workflows.table_settings import TableSettings


def table_verb(
    verb: str,
    source: PathLike | Localizations,
    settings: TableSettings,
    work: Callable[[Localizations], Localizations],
    output: PathLike | None,
    overwrite: bool,
) -> Localizations:
    """Make a table of a table.

    Parameters
    ----------
    verb : str
        What is done, for the record.
    source : path or Localizations
        The table.
    settings : TableSettings
        How, for the record.
    work : callable
        What is done with it.
    output : path, optional
        Write the result there too, in the format of its ending.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Localizations
        The result with its record.
    """
    prepare_table(output, overwrite)
    table = open_table(source, settings.pixel_size_nm, settings.columns)
    with collect_warnings() as messages:
        result = work(table)
    record = make_record(verb, settings, inputs=fingerprint(source), parent=table.provenance)
    result = result.with_context(provenance=record.with_warnings(*messages))
    if output is not None:
        write(result, output, overwrite=overwrite)
    return result
