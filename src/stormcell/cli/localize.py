"""`stormcell localize`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.cli.command import Argument, Call, Verb
from stormcell.cli.table_answers import table_answer
from stormcell.workflows.localize import LocalizeVerbSettings
from stormcell.workflows.outputs import default_output

if TYPE_CHECKING:
    from stormcell.cli.answers import Answer


def act(call: Call) -> Answer:
    """Find and fit the emitters of every frame.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        How many localizations there are.
    """
    from stormcell.workflows.localize import localize

    source, options = call.arguments["movie"], call.network_options()
    output = call.output or default_output(source, "localize", ".parquet")
    table = localize(source, output=output, overwrite=call.session.overwrite, progress=call.progress, **options)
    quantities = table.provenance.quantities if table.provenance else ()
    sentence = f"Found {table.n_rows:,} localizations in {table.n_frames or 0:,} frames."
    return table_answer(table, sentence, output, quantities=quantities)


VERB = Verb(
    act,
    uses_device=True,
    settings=LocalizeVerbSettings,
    arguments=(Argument("movie", "A movie: TIFF, OME-TIFF, NDTiff, OME-Zarr, Picasso raw, NumPy or MATLAB array."),),
    output="Where to write the table; the ending chooses the format (.parquet, .csv, .hdf5).",
)
