"""demo: simulate a small dense movie and do everything that run does for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from stormcell.settings import Settings
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_folder
from stormcell.workflows.progress import begin_stage

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.metrics import Evaluation
    from stormcell.workflows.demo_movie import DemoMovie
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_result import RunResult

MOVIE_NAME = "movie.ome.tif"
TRUTH_NAME = "truth.parquet"

# As in the localization challenge: who was on for less than a quarter of a frame counts neither for nor against.
_INSIGNIFICANT_SHARE = 0.25


class DemoVerbSettings(Settings):
    """The movie that the demo simulates."""

    n_frames: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Frames of the movie."""

    field_px: Annotated[int, Field(ge=16, le=512)] = 64
    """Side of the square field, in camera pixels of 100 nm."""

    n_microtubules: Annotated[int, Field(ge=1, le=100)] = 7
    """Microtubules that cross the field."""

    density_per_um2: Annotated[float, Field(gt=0, le=10)] = 0.5
    """Emitters that are on at a time, for each square micrometre of the field."""

    seed: Annotated[int, Field(ge=0)] = 1
    """Seed of everything random."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    run : RunResult
        What run made of the movie.
    movie : Path
        The simulated movie.
    truth : Path
        Where its emitters really are.
    evaluation : Evaluation
        The table compared with the truth.
    """

    run: RunResult
    movie: Path
    truth: Path
    evaluation: Evaluation


def demo(
    output: PathLike = "demo",
    settings: DemoVerbSettings | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> DemoResult:
    """Simulate a small dense movie of microtubules and do everything that run does for it.

    Parameters
    ----------
    output : path
        A folder for movie.ome.tif, truth.parquet and everything that run writes.
    settings : DemoVerbSettings, optional
        Size, density and seed; or give them as options.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total).
    **options : object
        Fields of the settings.

    Returns
    -------
    DemoResult
        The result, and how it compares with the truth.

    Raises
    ------
    OutputError
        The folder holds results already, or cannot be written.
    """
    from stormcell.io.tables import write_table
    from stormcell.workflows.demo_movie import simulate_demo_movie
    from stormcell.workflows.evaluate import evaluate
    from stormcell.workflows.run import run
    from stormcell.workflows.run_outputs import RUN_FILES

    wanted = build_settings(DemoVerbSettings, settings, options)
    folder = prepare_folder(output, (MOVIE_NAME, TRUTH_NAME, *RUN_FILES), overwrite)
    simulated = simulate_demo_movie(wanted, begin_stage(progress, "Simulating"))
    _write_movie(simulated, folder / MOVIE_NAME, overwrite)
    write_table(simulated.truth, folder / TRUTH_NAME, overwrite)
    result = run(folder / MOVIE_NAME, output=folder, overwrite=overwrite, progress=progress)
    evaluation = evaluate(result.table, simulated.truth, insignificant_share=_INSIGNIFICANT_SHARE)
    return DemoResult(result, folder / MOVIE_NAME, folder / TRUTH_NAME, evaluation)


def _write_movie(simulated: DemoMovie, path: Path, overwrite: bool) -> None:
    from stormcell.io.movies import write_ome_tiff_movie

    write_ome_tiff_movie(
        path,
        [simulated.frames],
        shape=simulated.frames.shape,
        dtype=simulated.frames.dtype,
        camera_pixel_size_nm=simulated.truth.grid.pixel_size_nm if simulated.truth.grid else None,
        metadata=simulated.metadata,
        overwrite=overwrite,
    )
