"""reconstruct: the picture that a network sums up from all frames of a dense movie, without any list in between."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from stormcell.errors import DataQualityWarning, InputError
from stormcell.workflows.camera import resolve_movie
from stormcell.workflows.dense_settings import NetworkOptions
from stormcell.workflows.movie_settings import MovieSettings
from stormcell.workflows.opening import PathLike, fingerprint, open_stack
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_image, prepare_table
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.survey import Survey
from stormcell.workflows.write import write

if TYPE_CHECKING:
    import numpy as np

    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.localize_methods import Found
    from stormcell.workflows.progress import Progress

SR_PIXELS_PER_CAMERA_PIXEL = 8


class ReconstructVerbSettings(MovieSettings):
    """How a network paints a movie."""

    sr_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a pixel of the picture [nm]; without it an eighth of the camera pixel. Deep-STORM has no other."""

    network: NetworkOptions = NetworkOptions()
    """Which network, and how."""


@dataclass(frozen=True)
class Reconstruction:
    """What a network made of a movie.

    Parameters
    ----------
    image : SRImage
        Expected number of emitters per pixel, summed over all frames.
    uncertainty : SRImage or None
        Its standard deviation; None for a network that does not tell.
    table : Localizations
        The list, as a by-product.
    """

    image: SRImage
    uncertainty: SRImage | None
    table: Localizations


@with_remote_places
def reconstruct(
    movie: PathLike | FrameStack | np.ndarray[Any, Any],
    settings: ReconstructVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    localizations: PathLike | None = None,
    uncertainty: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Reconstruction:
    """Draw the picture that a network sums up from all frames of a dense movie.

    Parameters
    ----------
    movie : path, FrameStack or ndarray
        An array has shape (T, Y, X) in camera units.
    settings : ReconstructVerbSettings, optional
        How; or give fields as options, for example `pixel_size_nm=100, model="deepstorm-2018"`.
    output : path, optional
        Write the picture there too.
    localizations : path, optional
        Write the list there too, in the format of its ending.
    uncertainty : path, optional
        Write the standard deviation of every pixel there too.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total) with frames.
    **options : object
        Fields of the settings by name, also of nested ones.

    Returns
    -------
    Reconstruction
        Picture, its standard deviation and the list.

    Raises
    ------
    InputError
        The file is no movie, its pixel size is not known, a setting is impossible, or the network does not tell the
        uncertainty that was asked for.

    Warns
    -----
    DataQualityWarning
        Pixels were unusual, or the movie lies outside what the network was trained for.
    """
    wanted = build_settings(ReconstructVerbSettings, settings, options)
    for path in (output, uncertainty):
        prepare_image(path, overwrite)
    prepare_table(localizations, overwrite)
    stack = open_stack(movie, wanted)
    context = resolve_movie(stack, wanted)
    survey = Survey(stack)
    with collect_warnings() as messages:
        told = begin_stage(progress, "Reconstructing")
        done, found = _paint(survey.watched(), context, wanted, told, wants_uncertainty=uncertainty is not None)
        survey.finish()
        for sentence in (*context.warnings, *survey.sentences(None), *found.warnings):
            warnings.warn(sentence, DataQualityWarning, stacklevel=2)
    quantities = (*context.quantities, *found.quantities)
    record = make_record("reconstruct", wanted, inputs=fingerprint(stack), quantities=quantities, notes=found.notes)
    record = record.with_warnings(*messages)
    done = Reconstruction(
        replace(done.image, provenance=record),
        None if done.uncertainty is None else replace(done.uncertainty, provenance=record),
        done.table.with_context(provenance=record),
    )
    for part, path in ((done.image, output), (done.uncertainty, uncertainty), (done.table, localizations)):
        if path is not None and part is not None:
            write(part, path, overwrite=overwrite)
    return done


def _paint(
    stack: FrameStack,
    context: MovieContext,
    settings: ReconstructVerbSettings,
    progress: Progress | None,
    *,
    wants_uncertainty: bool,
) -> tuple[Reconstruction, Found]:
    """Choose by the model's card which network it is."""
    from stormcell.learning.model_folder import find_model, load_card

    card = load_card(find_model(settings.network.model))
    if card.task == "dense":
        return _paint_dense(stack, context, settings, progress)
    if card.task != "deepstorm":
        msg = f"expected a network for movies (dense or deepstorm), {card.name} is for {card.task}; see models list"
        raise InputError(msg)
    if wants_uncertainty:
        msg = f"{card.name} does not tell how sure it is; leave --uncertainty out, or pass --model dense"
        raise InputError(msg)
    return _paint_deepstorm(stack, context, settings, progress)


def _paint_dense(
    stack: FrameStack, context: MovieContext, settings: ReconstructVerbSettings, progress: Progress | None
) -> tuple[Reconstruction, Found]:
    from stormcell.learning.dense_model import load_dense_model
    from stormcell.workflows.dense import described, run_dense

    model = load_dense_model(settings.network.model)
    size = settings.sr_pixel_size_nm or context.camera_pixel_size_nm / SR_PIXELS_PER_CAMERA_PIXEL
    done = run_dense(stack, context, model, settings.network, size, progress)
    if done.image is None:
        msg = "expected an image where a pixel size was asked for"
        raise InputError(msg)
    return Reconstruction(done.image, done.uncertainty, done.table), described(done, model, context, settings.network)


def _paint_deepstorm(
    stack: FrameStack, context: MovieContext, settings: ReconstructVerbSettings, progress: Progress | None
) -> tuple[Reconstruction, Found]:
    from stormcell.learning.deepstorm_localizing import DeepStormSettings, localize_deepstorm
    from stormcell.learning.deepstorm_model import load_deepstorm_model
    from stormcell.learning.devices import resolve_device
    from stormcell.workflows.localize_methods import Found

    model = load_deepstorm_model(settings.network.model)
    size = context.camera_pixel_size_nm
    own = size / SR_PIXELS_PER_CAMERA_PIXEL
    if settings.sr_pixel_size_nm is not None and abs(settings.sr_pixel_size_nm - own) > 1e-6 * own:
        msg = (
            f"{model.card.name} paints pixels of {own:g} nm, an eighth of the camera pixel, and no others; leave "
            "--sr-pixel-size-nm out, or pass --model dense"
        )
        raise InputError(msg)
    if settings.network.engine != "torch":
        msg = f"{model.card.name} is computed by PyTorch alone; leave --engine out, or pass --model dense"
        raise InputError(msg)
    options = DeepStormSettings(device=resolve_device(settings.network.device), precision=settings.network.precision)
    done = localize_deepstorm(stack, size, model, settings=options, progress=progress)
    sentences = []
    limits = model.card.valid_range.camera_pixel_size_nm
    if limits is not None and not limits[0] <= size <= limits[1]:
        sentences.append(
            f"the camera pixel of {size:g} nm lies outside the range of {model.card.name} ({limits[0]:g} to "
            f"{limits[1]:g} nm): the picture is less reliable; use --model dense, or train deepstorm --like it"
        )
    if done.n_constant_frames:
        sentences.append(f"{done.n_constant_frames:,} frames are constant and show nothing")
    notes = (f"network {model.card.name} (weights {model.card.weights_sha256[:12]})",)
    return Reconstruction(done.image, None, done.table), Found(done.table, (), tuple(sentences), notes)
