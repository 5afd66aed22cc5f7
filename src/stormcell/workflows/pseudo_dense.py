"""simulate --pseudo-dense: frames of a real sparse movie summed, with the fits of the single frames as truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import DataQualityWarning, InputError, SettingsError
from stormcell.workflows.options import build_settings
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.simulate import MOVIE_NAME, TRUTH_CSV_NAME, TRUTH_NAME, WIDEFIELD_NAME
from stormcell.workflows.simulation_config import SimulateVerbSettings, movie_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.data.sr_image import SRImage
    from stormcell.simulation.pseudo_dense import PseudoDense
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress

_OF_A_SIMULATION = ("preset", "n_frames", "field_px", "structure", "psf", "density_per_um2", "photons")
_MANY_ROWS_WITHOUT_FRAME = 0.5


@dataclass(frozen=True)
class SummedMovie:
    """A dense movie made of a real sparse one, on disk.

    Parameters
    ----------
    frames : FrameStack
        The sums.
    truth : Localizations
        Fits of the single frames, in the frame of their sum.
    summed_frames : int
        Frames in each sum.
    density_per_um2 : float
        Fits per summed frame and square micrometre of the field.
    outputs : tuple of Path
        Files written: movie, truth (twice), wide-field image.
    """

    frames: FrameStack
    truth: Localizations
    summed_frames: int
    density_per_um2: float
    outputs: tuple[Path, ...]


def sum_movie(
    movie: PathLike | FrameStack,
    output: PathLike,
    settings: SimulateVerbSettings | None = None,
    *,
    fits: PathLike | Localizations | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> SummedMovie:
    """Make a dense movie with truth by summing frames of a real sparse one.

    Parameters
    ----------
    movie : path or FrameStack
        The sparse movie.
    output : path
        Folder for movie.ome.tif, truth.parquet, truth.csv and widefield.ome.tif.
    settings : SimulateVerbSettings, optional
        summed_frames, seed of the shuffling, part of the movie, camera; or give them as options.
    fits : path or Localizations, optional
        Fits of the single frames; left out, single emitters are fitted by maximum likelihood.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total) with frames.
    **options : object
        Fields of the settings.

    Returns
    -------
    SummedMovie
        Frames and truth.

    Raises
    ------
    InputError
        The file is no movie, its pixel size is not known, it is too short, or a setting has no meaning here.
    """
    from stormcell.simulation.pseudo_dense import pseudo_dense_movie
    from stormcell.workflows.camera import resolve_movie
    from stormcell.workflows.opening import fingerprint, open_stack
    from stormcell.workflows.outputs import prepare_folder
    from stormcell.workflows.records import collect_warnings, make_record

    wanted = build_settings(SimulateVerbSettings, settings, options)
    _refuse_foreign(wanted)
    folder = prepare_folder(output, (MOVIE_NAME, TRUTH_NAME, TRUTH_CSV_NAME, WIDEFIELD_NAME), overwrite)
    stack = open_stack(movie, wanted)
    seed = wanted.seed or 0
    with collect_warnings() as messages:
        context = resolve_movie(stack, wanted)
        dense = pseudo_dense_movie(
            stack, _fits(stack, fits, wanted, progress), wanted.summed_frames, context.camera, seed=seed
        )
        _say_what_lacks(dense)
    record = make_record(
        "simulate", wanted, inputs=fingerprint(stack), quantities=context.quantities, seed=seed
    ).with_warnings(*context.warnings, *messages)
    truth = dense.truth.with_context(provenance=record)
    widefield = _write(dense, context, folder, truth, (overwrite, progress))
    area_um2 = np.prod(dense.frames.frame_shape) * (widefield.grid.pixel_size_nm / 1000) ** 2
    names = (MOVIE_NAME, TRUTH_NAME, TRUTH_CSV_NAME, WIDEFIELD_NAME)
    return SummedMovie(
        dense.frames,
        truth,
        wanted.summed_frames,
        truth.n_rows / dense.frames.n_frames / float(area_um2),
        tuple(folder / name for name in names),
    )


def _refuse_foreign(wanted: SimulateVerbSettings) -> None:
    for name in (*_OF_A_SIMULATION, "background_photons"):
        if getattr(wanted, name) is not None:
            msg = f"{name}: has no meaning where frames of a real movie are summed; leave it out"
            raise SettingsError(msg)


def _fits(
    stack: FrameStack,
    fits: PathLike | Localizations | None,
    wanted: SimulateVerbSettings,
    progress: Progress | None,
) -> Localizations:
    if fits is not None:
        from stormcell.workflows.opening import open_table

        return open_table(fits)
    from stormcell.workflows.localize import localize

    camera = {name: value for name, value in movie_options(wanted).items() if name not in ("frames", "roi")}
    return localize(stack, method="mle", progress=progress, **camera)


def _say_what_lacks(dense: PseudoDense) -> None:
    import warnings

    if dense.truth.n_rows == 0:
        msg = "expected fits of the single frames as truth, got none in these frames; name a table that has some"
        raise InputError(msg)
    empty = 1 - len(np.unique(dense.truth["frame"])) / dense.frames.n_frames
    if empty > _MANY_ROWS_WITHOUT_FRAME:
        warnings.warn(
            f"{empty:.0%} of the summed frames hold no fit: the movie is very sparse; sum more frames",
            DataQualityWarning,
            stacklevel=3,
        )


def _write(
    dense: PseudoDense,
    context: MovieContext,
    folder: Path,
    truth: Localizations,
    how: tuple[bool, Progress | None],
) -> SRImage:
    """Write all files; the mean of the sums is the wide-field image."""
    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.data.sr_image import SRImage
    from stormcell.io.images import write_image
    from stormcell.io.movies import write_ome_tiff_movie
    from stormcell.io.tables import write_table
    from stormcell.workflows.pictures import MEAN_OF_FRAMES

    overwrite, progress = how
    told = begin_stage(progress, "Summing")
    total = np.zeros(dense.frames.frame_shape)

    def frames() -> Iterator[NDArray[np.uint32]]:
        for start, block in dense.frames.blocks(16):
            total[:] += block.sum(axis=0, dtype=np.float64)
            yield block
            if told is not None:
                told(start + len(block), dense.frames.n_frames)

    size = context.camera_pixel_size_nm
    write_ome_tiff_movie(
        folder / MOVIE_NAME,
        frames(),
        shape=dense.frames.shape,
        dtype=dense.frames.dtype,
        camera_pixel_size_nm=size,
        metadata=_said(dense, context),
        overwrite=overwrite,
    )
    mean = (total / dense.frames.n_frames).astype(np.float32)
    widefield = SRImage(mean, PixelGrid(size, dense.frames.frame_shape), MEAN_OF_FRAMES)
    write_image(widefield, folder / WIDEFIELD_NAME, overwrite)
    write_table(truth, folder / TRUTH_NAME, overwrite)
    write_table(truth, folder / TRUTH_CSV_NAME, overwrite)
    return widefield


def _said(dense: PseudoDense, context: MovieContext) -> dict[str, Any]:
    """Tell in the file what is known of the camera of the sums; what was estimated or assumed is not known."""
    said: dict[str, Any] = dict(dense.frames.metadata)
    for quantity in context.quantities:
        if quantity.source == "given":
            is_noise = quantity.name == "read_noise_e" and quantity.value is not None
            said[quantity.name] = float(quantity.value or 0) * dense.read_noise_factor if is_noise else quantity.value
    return said
