"""psf: measure the PSF from beads, or from the isolated blinks of a movie."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from stormcell.errors import DataQualityWarning, InputError
from stormcell.workflows.camera import MovieContext, resolve_movie
from stormcell.workflows.movie_settings import MovieSettings
from stormcell.workflows.opening import PathLike, fingerprint, open_stack
from stormcell.workflows.options import build_settings
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.data.provenance import Provenance
    from stormcell.physics.psf.measured import MeasuredPSF
    from stormcell.physics.psf.model import PSF
    from stormcell.workflows.progress import Progress

_NEIGHBOUR_SHARE = 0.15
"""A spot is isolated where nothing brighter than this share of it lies close: its own rings may be found as spots."""
_FEWEST_SPOTS = 10
_FEW_SPOTS = 40
_OUTLIER_CHI2 = 1.3


class PsfVerbSettings(MovieSettings):
    """Which spots are used, and how the PSF is built from them."""

    spot_px: Annotated[int, Field(ge=13, le=25)] = 21
    """Odd side of the images cut out round the spots, in pixels."""

    most_spots: Annotated[int, Field(ge=10, le=5000)] = 400
    """The brightest isolated spots, at most this many."""

    n_rounds: Annotated[int, Field(ge=1, le=20)] = 4
    """Rounds of building the PSF and placing the spots anew."""

    smoothness: Annotated[float, Field(gt=0, le=1e6)] = 0.5
    """Weight of the prior that a spot is smooth and fades outwards."""


@dataclass(frozen=True)
class PsfResult:
    """A measured PSF.

    Parameters
    ----------
    psf : PSF
        Ready to draw; `simulate`, training and fits take it.
    n_spots : int
        Spots it was built from.
    reduced_chi2 : float
        How well it fits them: about 1.
    sigma_nm : float
        Of the Gaussian that fits it best.
    tail_fraction : float
        Share of the photons within 10 px that this Gaussian misses.
    record : Provenance
        How it was made.
    output : Path or None
        The file, if one was written.
    """

    psf: PSF
    n_spots: int
    reduced_chi2: float
    sigma_nm: float
    tail_fraction: float
    record: Provenance
    output: Path | None = None


@with_remote_places
def psf(
    movie: PathLike | FrameStack | np.ndarray[Any, Any],
    settings: PsfVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> PsfResult:
    """Measure the PSF of a microscope from single spots.

    Parameters
    ----------
    movie : path, FrameStack or ndarray
        Beads, or a movie whose emitters are sparse; in focus.
    settings : PsfVerbSettings, optional
        Camera and choice of spots; or give fields as options.
    output : path, optional
        Write the PSF there too (.npz).
    overwrite : bool
        Whether an existing file may be replaced.
    progress : callable, optional
        Called as progress(done, total) with frames.
    **options : object
        Fields of the settings by name.

    Returns
    -------
    PsfResult
        The PSF and how well it fits.

    Raises
    ------
    InputError
        The file is no movie, its pixel size is not known, or there are too few isolated spots.
    """
    from stormcell.localization.pipeline import localize_frames

    wanted = build_settings(PsfVerbSettings, settings, options)
    _check_output(output, overwrite)
    stack = open_stack(movie, wanted)
    context = resolve_movie(stack, wanted)
    with collect_warnings() as messages:
        told = begin_stage(progress, "Finding spots")
        found = localize_frames(stack, context.camera, context.camera_pixel_size_nm, progress=told)
        measured = _measure(stack, found, context, wanted)
        if measured.n_spots < _FEW_SPOTS:
            message = (
                f"the PSF was built from only {measured.n_spots} spots: its width is known, its tail hardly; "
                "a longer or sparser movie gives more"
            )
            warnings.warn(message, DataQualityWarning, stacklevel=2)
    record = make_record("psf", wanted, inputs=fingerprint(stack), quantities=context.quantities)
    record = record.with_warnings(*context.warnings, *messages)
    if output is not None:
        write_psf(output, measured.psf, record, overwrite=overwrite)
    made = measured.psf
    return PsfResult(
        psf=made,
        n_spots=measured.n_spots,
        reduced_chi2=measured.reduced_chi2,
        sigma_nm=made.sigma_px * made.camera_pixel_size_nm,
        tail_fraction=made.tail_fraction,
        record=record,
        output=Path(output) if output is not None else None,
    )


def _check_output(output: PathLike | None, overwrite: bool) -> None:
    if output is None:
        return
    from stormcell.errors import OutputError
    from stormcell.io.writing import check_writable

    if Path(output).suffix.lower() != ".npz":
        msg = f"expected a PSF name ending in .npz, got {Path(output).name}"
        raise OutputError(msg)
    check_writable(output, overwrite)


def _measure(
    stack: FrameStack, found: Localizations, context: MovieContext, settings: PsfVerbSettings
) -> MeasuredPSF:
    from stormcell.physics.psf.measured import MeasuredFitSettings, measure_psf

    chosen = _isolated(found, stack, context.camera_pixel_size_nm, settings)
    if len(chosen) < _FEWEST_SPOTS:
        msg = (
            f"expected at least {_FEWEST_SPOTS} isolated spots at least {settings.spot_px // 2} px from the rim and "
            f"{settings.spot_px} px from others, got {len(chosen)} among {len(found)}; record sparser spots, or pass "
            "a smaller --spot-px"
        )
        raise InputError(msg)
    spots = _cut(stack, chosen, context, settings.spot_px)
    fit = MeasuredFitSettings(n_rounds=settings.n_rounds, smoothness=settings.smoothness)
    variance = float(np.mean(context.camera.read_variance_e2(stack.frame_shape, stack.origin_px)))
    spots = _in_shot_noise_units(spots, context)
    measured = measure_psf(spots, context.camera_pixel_size_nm, fit, read_variance_e2=variance)
    # a faint neighbour that was not found shows up as a poor fit
    clean = measured.spot_chi2 < _OUTLIER_CHI2 * np.median(measured.spot_chi2)
    if _FEWEST_SPOTS <= clean.sum() < len(spots):
        measured = measure_psf(spots[clean], context.camera_pixel_size_nm, fit, read_variance_e2=variance)
    return measured


def _in_shot_noise_units(spots: NDArray[np.float32], context: MovieContext) -> NDArray[np.float32]:
    """Halve the electrons of an EMCCD: its variance is twice its mean, and only the weights depend on it."""
    scaled: NDArray[np.float32] = spots / np.float32(context.camera.excess_noise_factor)
    return scaled


def _isolated(
    found: Localizations, stack: FrameStack, camera_pixel_size_nm: float, settings: PsfVerbSettings
) -> Localizations:
    """Choose the brightest spots with nothing beside them."""
    from scipy.spatial import cKDTree

    if not len(found):
        return found
    frame, photons = found["frame"], found["photons"]
    position = found.positions_nm / camera_pixel_size_nm
    # frames far apart in a third dimension keep neighbours within one frame
    reach = float(settings.spot_px)
    tree = cKDTree(np.column_stack([position, frame * 4 * reach]))
    crowded = np.zeros(len(found), np.bool_)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    for first, second in (pairs.T, pairs.T[::-1]):
        brighter = photons[second] > _NEIGHBOUR_SHARE * photons[first]
        crowded[first[brighter]] = True
    half = settings.spot_px // 2
    row, column = (
        np.floor(position[:, axis]) - origin for axis, origin in ((1, stack.origin_px[0]), (0, stack.origin_px[1]))
    )
    height, width = stack.frame_shape
    whole = (row >= half) & (row < height - half) & (column >= half) & (column < width - half)
    candidates = np.flatnonzero(~crowded & whole & np.isfinite(photons))
    brightest = candidates[np.argsort(-photons[candidates], kind="stable")[: settings.most_spots]]
    return found.take(np.sort(brightest))


def _cut(stack: FrameStack, chosen: Localizations, context: MovieContext, side: int) -> NDArray[np.float32]:
    """Cut out the electrons round each spot, shape (N, side, side)."""
    half = side // 2
    size = context.camera_pixel_size_nm
    spots = np.empty((len(chosen), side, side), np.float32)
    for i in range(len(chosen)):
        frame = int(chosen["frame"][i]) - stack.first_frame
        row = int(chosen["y_nm"][i] // size) - stack.origin_px[0]
        column = int(chosen["x_nm"][i] // size) - stack.origin_px[1]
        piece = stack.frames(frame, frame + 1).crop((row - half, row + half + 1), (column - half, column + half + 1))
        spots[i] = context.camera.electrons(piece.read(), piece.origin_px)[0]
    return spots


def write_psf(path: PathLike, made: PSF, record: Provenance, *, overwrite: bool = False) -> None:
    """Write a PSF.

    Parameters
    ----------
    path : path
        An .npz file.
    made : PSF
        The PSF.
    record : Provenance
        How it was made; kept in the file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from stormcell.io.array_files import write_arrays
    from stormcell.physics.psf.bank_arrays import bank_to_arrays

    arrays = {**bank_to_arrays(made.bank), "record": np.array(record.to_json())}
    write_arrays(path, arrays, overwrite)


def read_psf(path: PathLike) -> PSF:
    """Read a PSF that `psf` wrote.

    Parameters
    ----------
    path : path
        An .npz file.

    Returns
    -------
    PSF
        Ready to draw.

    Raises
    ------
    FormatError
        The file is missing, damaged or holds no PSF.
    """
    from stormcell.errors import FormatError
    from stormcell.io.array_files import read_arrays
    from stormcell.physics.psf.bank_arrays import bank_from_arrays
    from stormcell.physics.psf.model import PSF

    try:
        return PSF(bank_from_arrays(read_arrays(path)))
    except FormatError:
        raise
    except InputError as error:
        msg = f"expected a PSF from `stormcell psf` in {path}: {error}"
        raise FormatError(msg) from None
