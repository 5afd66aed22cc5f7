"""`stormcell run`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb
from stormcell.workflows.outputs import default_output
from stormcell.workflows.run_settings import RunVerbSettings


def act(call: Call) -> Answer:
    """Make everything from a movie.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Numbers and the report's place.
    """
    from stormcell.workflows.run import run

    source, options = call.arguments["movie"], call.network_options()
    folder = call.output or default_output(source, "run")
    done = run(source, output=folder, overwrite=call.session.overwrite, progress=call.progress, **options)
    return Answer(
        sentences=(f"Open {folder / 'report.html'}",),
        rows=run_rows(done.numbers),
        result={"numbers": done.numbers, "report": folder / "report.html"},
        outputs=done.outputs,
    )


def run_rows(numbers: dict[str, float]) -> tuple[tuple[str, str], ...]:
    """Put the numbers of a run into words.

    Parameters
    ----------
    numbers : dict of str to float
        Numbers of the result.

    Returns
    -------
    tuple of (str, str)
        Label and value.
    """
    from stormcell.workflows.report_content import large_numbers

    return tuple((number.label, f"{number.value} {number.unit}".strip()) for number in large_numbers(numbers))


VERB = Verb(
    act,
    uses_device=True,
    settings=RunVerbSettings,
    arguments=(Argument("movie", "A movie: TIFF, OME-TIFF, NDTiff, OME-Zarr, Picasso raw, NumPy or MATLAB array."),),
    output="Folder for the results; without it <movie>_run beside the movie.",
)
