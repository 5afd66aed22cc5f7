"""What table verbs answer, and where their results go without -o."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.cli.answers import Answer
from stormcell.workflows.outputs import default_output

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.cli.command import Call
    from stormcell.data.localizations import Localizations

_WRITABLE = (".parquet", ".csv", ".hdf5", ".h5")


def table_output(call: Call, verb: str, source: Path) -> Path:
    """Choose the file for a table.

    Parameters
    ----------
    call : Call
        What was typed; -o wins.
    verb : str
        The verb's name.
    source : Path
        The input.

    Returns
    -------
    Path
        Without -o: beside the input, in its format where we write that, else Parquet.
    """
    if call.output is not None:
        return call.output
    ending = source.suffix.lower()
    return default_output(source, verb, ending if ending in _WRITABLE else ".parquet")


def table_answer(table: Localizations, sentence: str, *outputs: Path, **more: Any) -> Answer:
    """Say what a table holds and where it lies.

    Parameters
    ----------
    table : Localizations
        The result.
    sentence : str
        What happened.
    *outputs : Path
        Files written.
    **more : object
        Further results for machines.

    Returns
    -------
    Answer
        The sentence and the file names.
    """
    result = {"n_rows": table.n_rows, "columns": table.names, "n_frames": table.n_frames, **more}
    sentences = (sentence, *(f"Wrote {path}" for path in outputs))
    return Answer(sentences=sentences, result=result, outputs=outputs)
