"""rerun: repeat a run from its run.json and say whether the results are identical."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import stormcell
from stormcell.errors import FormatError
from stormcell.workflows.run_record import RunRecord, read_run_record

if TYPE_CHECKING:
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_result import RunResult


@dataclass(frozen=True)
class Repetition:
    """A repeated run, compared with the first.

    Parameters
    ----------
    result : RunResult
        What the repetition made.
    is_identical : bool
        Whether every file has the same bytes (run.json, which holds times, is not compared).
    differing : tuple of str
        Names of files that differ, are missing or are new.
    version : str
        Version of stormcell that made the first run.
    """

    result: RunResult
    is_identical: bool
    differing: tuple[str, ...]
    version: str


def rerun(
    record: PathLike,
    *,
    output: PathLike | None = None,
    movie: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Repetition:
    """Repeat a run from its run.json and say whether the results are identical.

    Parameters
    ----------
    record : path
        The run.json, or its folder.
    output : path, optional
        A folder for the new results; None takes `<folder>_rerun`.
    movie : path, optional
        Where the movie lies now; None looks where it lay.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total).

    Returns
    -------
    Repetition
        The new results and how they compare.

    Raises
    ------
    InputError
        The file is no run.json, an input is missing, or its content has changed.
    """
    from stormcell.workflows.run import run
    from stormcell.workflows.run_settings import RunVerbSettings

    first = read_run_record(record)
    if first.verb != "run" or "movie" not in first.inputs:
        msg = f"expected the run.json of a run on a movie file, {first.path} is of {first.verb}; name another one"
        raise FormatError(msg)
    source = Path(movie) if movie is not None else first.inputs["movie"].path
    _check_inputs(first, source)
    folder = Path(output) if output is not None else default_folder(first.path)
    settings = RunVerbSettings.create(**first.settings)
    if "widefield" in first.inputs:
        settings = settings.replace(widefield=str(first.inputs["widefield"].path))
    result = run(source, settings, output=folder, overwrite=overwrite, progress=progress)
    second = read_run_record(folder)
    names = sorted(set(first.outputs) | set(second.outputs))
    differing = tuple(name for name in names if first.outputs.get(name) != second.outputs.get(name))
    return Repetition(result, not differing, differing, first.version)


def default_folder(record: Path) -> Path:
    """Name the folder of a repetition.

    Parameters
    ----------
    record : Path
        The run.json.

    Returns
    -------
    Path
        Beside the folder of the first run.
    """
    first = record.resolve().parent
    return first.with_name(first.name + "_rerun")


def version_note(repetition: Repetition) -> str:
    """Explain a difference by the version, where it can be.

    Parameters
    ----------
    repetition : Repetition
        The comparison.

    Returns
    -------
    str
        A sentence; empty where both runs are of the same version.
    """
    if repetition.version == stormcell.__version__:
        return ""
    return f"the first run was made by stormcell {repetition.version}, this one by {stormcell.__version__}"


def _check_inputs(first: RunRecord, source: Path) -> None:
    from stormcell.io.hashing import hash_input

    places = {role: place.path for role, place in first.inputs.items()} | {"movie": source}
    for role, place in places.items():
        if not place.is_file():
            msg = f"the {role} of this run is not at {place}; pass --movie FILE if it has moved"
            raise FormatError(msg)
        if hash_input(place).sha256 != first.inputs[role].sha256:
            msg = f"{place} is not the {role} of this run: its content has changed (the SHA-256 differs)"
            raise FormatError(msg)
