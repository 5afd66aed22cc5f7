"""run: everything from a movie - table, drift, super-resolution image, wide field, error map, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.errors import InputError
from stormcell.workflows.camera import resolve_movie
from stormcell.workflows.opening import PathLike, open_stack
from stormcell.workflows.options import build_settings
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.run_analysis import analyse
from stormcell.workflows.run_outputs import prepare_run_folder, run_inputs, write_run
from stormcell.workflows.run_result import RunResult, with_record
from stormcell.workflows.run_settings import RunVerbSettings
from stormcell.workflows.stopwatch import Stopwatch

if TYPE_CHECKING:
    import numpy as np

    from stormcell.data.frame_stack import FrameStack
    from stormcell.workflows.progress import Progress


@with_remote_places
def run(
    movie: PathLike | FrameStack | np.ndarray[Any, Any],
    settings: RunVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> RunResult:
    """Make everything from a movie: table, drift, super-resolution image, wide field, error map, report.

    Parameters
    ----------
    movie : path, FrameStack or ndarray
        An array has shape (T, Y, X) in camera units.
    settings : RunVerbSettings, optional
        How; or give fields as options, for example `pixel_size_nm=100`.
    output : path, optional
        A folder for localizations.parquet, localizations.csv, superresolution.ome.tif, superresolution.png,
        widefield.ome.tif, error_map.ome.tif, classes.ome.tif, report.html, run.json, and with `densify`
        densified.ome.tif and uncertainty.ome.tif; None writes nothing.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total).
    **options : object
        Fields of the settings by name, also of nested ones.

    Returns
    -------
    RunResult
        Table, pictures and numbers.

    Raises
    ------
    InputError
        The file is no movie, its pixel size is not known, a setting is impossible, or the folder cannot be written.
    """
    wanted = build_settings(RunVerbSettings, settings, options)
    if output is not None:
        prepare_run_folder(output, overwrite)
    watch = Stopwatch()
    if wanted.follow:
        movie, wanted = _followed(movie, wanted, output, progress), wanted.replace(follow=False)
        watch.lap("follow")
    stack = open_stack(movie, wanted)
    context = resolve_movie(stack, wanted)
    watch.lap("camera")
    inputs = run_inputs(stack, wanted.widefield)
    with collect_warnings() as messages:
        result = analyse(stack, context, wanted, progress, watch)
    files = tuple(file for _, file in inputs.values())
    record = make_record("run", wanted, inputs=files, quantities=result.quantities, notes=result.notes)
    result = with_record(result, record.with_warnings(*messages))
    if output is None:
        return result
    begin_stage(progress, "Writing")
    return write_run(result, wanted, inputs, Path(output), watch)


def _followed(
    movie: PathLike | FrameStack | np.ndarray[Any, Any],
    settings: RunVerbSettings,
    output: PathLike | None,
    progress: Progress | None,
) -> FrameStack:
    """Wait for the end of a movie that is being written; what can be cut comes whole, the run cuts it."""
    if not isinstance(movie, str | Path):
        msg = "expected a file or a folder to follow, got frames in memory; leave --follow out"
        raise InputError(msg)
    from stormcell.workflows.follow import follow

    return follow(movie, settings, output, progress)
