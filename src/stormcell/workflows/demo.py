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
    from stormcell.simulation.movies import SimulatedMovie
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_result import RunResult

MOVIE_NAME = "movie.ome.tif"
TRUTH_NAME = "truth.parquet"
REFERENCE_NAME = "reference.ome.tif"
"""The simulated wide-field image; run writes what it compared with as widefield.ome.tif."""

_PRESET = "microtubules-dense"
# As in the localization challenge: who was on for less than a quarter of a frame counts neither for nor against.
_INSIGNIFICANT_SHARE = 0.25


class DemoVerbSettings(Settings):
    """The movie that the demo simulates: microtubules under an oil objective, on a CMOS camera."""

    n_frames: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Frames of the movie."""

    field_px: Annotated[int, Field(ge=16, le=512)] = 64
    """Side of the square field, in camera pixels of 100 nm."""

    density_per_um2: Annotated[float, Field(gt=0, le=10)] = 2.0
    """Emitters that are on at any moment, for each square micrometre of the field."""

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
    reference : Path
        The simulated wide-field image that the picture was compared with.
    evaluation : Evaluation
        The table compared with the truth.
    """

    run: RunResult
    movie: Path
    truth: Path
    reference: Path
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
        A folder for movie.ome.tif, truth.parquet, reference.ome.tif and everything that run writes.
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
    from stormcell.workflows.evaluate import evaluate
    from stormcell.workflows.run import run
    from stormcell.workflows.run_outputs import RUN_FILES

    wanted = build_settings(DemoVerbSettings, settings, options)
    folder = prepare_folder(output, (MOVIE_NAME, TRUTH_NAME, REFERENCE_NAME, *RUN_FILES), overwrite)
    simulated = simulate_demo(wanted, begin_stage(progress, "Simulating"))
    movie, truth, reference = write_demo(simulated, folder, overwrite)
    result = run(
        movie, output=folder, overwrite=overwrite, progress=progress, widefield=str(reference), method="dense"
    )
    evaluation = evaluate(result.table, simulated.truth, insignificant_share=_INSIGNIFICANT_SHARE)
    return DemoResult(result, movie, truth, reference, evaluation)


def simulate_demo(settings: DemoVerbSettings, progress: Progress | None = None) -> SimulatedMovie:
    """Simulate the movie of the demo.

    Parameters
    ----------
    settings : DemoVerbSettings
        Size, density and seed.
    progress : callable, optional
        Called as progress(done, total) with frames.

    Returns
    -------
    SimulatedMovie
        Frames, truth and wide field; equal seeds give equal movies.
    """
    from stormcell.simulation.movies import simulate_movie
    from stormcell.simulation.presets import simulation_preset

    preset = simulation_preset(_PRESET)
    scene = preset.replace(
        n_frames=settings.n_frames,
        field_px=(settings.field_px, settings.field_px),
        blinking=preset.blinking.replace(density_per_um2=settings.density_per_um2),
        seed=settings.seed,
    )
    return simulate_movie(scene, progress=progress)


def write_demo(simulated: SimulatedMovie, folder: Path, overwrite: bool) -> tuple[Path, Path, Path]:
    """Write a simulated movie with its truth and wide field.

    Parameters
    ----------
    simulated : SimulatedMovie
        What was simulated.
    folder : Path
        Where to.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    tuple of Path
        Movie, truth, wide field.
    """
    from stormcell.io.images import write_image
    from stormcell.io.tables import write_table
    from stormcell.workflows.convert import write_movie

    paths = (folder / MOVIE_NAME, folder / TRUTH_NAME, folder / REFERENCE_NAME)
    write_movie(simulated.frames, paths[0], None, overwrite, None)
    write_table(simulated.truth, paths[1], overwrite)
    write_image(simulated.widefield, paths[2], overwrite)
    return paths
