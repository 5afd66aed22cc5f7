"""Localizing with the dense network: model, noise, range, and what is to be said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.data.provenance import Quantity
from stormcell.workflows.localize_methods import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.data.frame_stack import FrameStack
    from stormcell.learning.dense_inference import ComponentList
    from stormcell.learning.dense_localizing import DenseLocalization, DenseLocalizationSettings, MovieFacts
    from stormcell.learning.dense_model import DenseModel
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.dense_settings import NetworkOptions
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.spread import Spread


def localize_with_network(
    stack: FrameStack,
    context: MovieContext,
    options: NetworkOptions,
    progress: Progress | None,
    spread: Spread | None = None,
) -> Found:
    """Localize with the dense network.

    Parameters
    ----------
    stack : FrameStack
        The movie or a part of it.
    context : MovieContext
        Camera and pixel size.
    options : NetworkOptions
        Which network, and how.
    progress : callable or None
        Called as progress(done, total) with frames.
    spread : Spread or None
        Workers that share the network's work; None does it here.

    Returns
    -------
    Found
        The table, the measured noise, and where the movie lies outside what the network was trained for.
    """
    from stormcell.learning.dense_model import load_dense_model

    model = load_dense_model(options.model)
    if spread is None:
        done = run_dense(stack, context, model, options, None, progress)
    else:
        known = know(stack, context, model, options)
        with spread.dense_lists(stack, context.camera, known, options) as listed:
            done = run_dense(stack, context, model, options, None, progress, (known, listed))
    return described(done, model)


def know(stack: FrameStack, context: MovieContext, model: DenseModel, options: NetworkOptions) -> MovieFacts:
    """Read from a movie what the network has to know of it: noise, hot pixels, PSF.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    context : MovieContext
        Camera and pixel size.
    model : DenseModel
        The network.
    options : NetworkOptions
        How it will be used.

    Returns
    -------
    MovieFacts
        The same for all who work on parts of the movie.
    """
    from stormcell.learning.dense_localizing import know_movie
    from stormcell.learning.measured_noise import promised_noise

    noise = None if options.measure_noise else promised_noise(stack, context.camera)
    return know_movie(stack, context.camera, model.network, noise, dense_settings(options))


def dense_settings(options: NetworkOptions) -> DenseLocalizationSettings:
    """Turn the options of the verbs into the settings of the network.

    Parameters
    ----------
    options : NetworkOptions
        As the user gives them.

    Returns
    -------
    DenseLocalizationSettings
        With the device that is there.
    """
    from stormcell.learning.dense_localizing import DenseLocalizationSettings
    from stormcell.learning.devices import resolve_device

    return DenseLocalizationSettings(
        probability_threshold=options.probability_threshold,
        rejects_still=options.rejects_still,
        uses_neighbours=options.uses_neighbours,
        device=resolve_device(options.device),
        precision=options.precision,
    )


def run_dense(
    stack: FrameStack,
    context: MovieContext,
    model: DenseModel,
    options: NetworkOptions,
    sr_pixel_size_nm: float | None,
    progress: Progress | None,
    told: tuple[MovieFacts, Callable[[int], ComponentList] | None] | None = None,
) -> DenseLocalization:
    """Run the dense network over a movie.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    context : MovieContext
        Camera and pixel size.
    model : DenseModel
        The network with its card.
    options : NetworkOptions
        How.
    sr_pixel_size_nm : float or None
        Pixel of the summed probability image; None draws none.
    progress : callable or None
        Called as progress(done, total) with frames.
    told : tuple, optional
        What is known of the movie already (`know`), and lists of its blocks that others made or None.

    Returns
    -------
    DenseLocalization
        Table and images.
    """
    from stormcell.learning.dense_localizing import localize_dense

    known, listed = (know(stack, context, model, options), None) if told is None else told
    return localize_dense(
        stack,
        context.camera,
        context.camera_pixel_size_nm,
        model.network,
        known=known,
        listed=listed,
        calibration=model.card.calibration,
        sr_pixel_size_nm=sr_pixel_size_nm,
        settings=dense_settings(options),
        progress=progress,
    )


def described(done: DenseLocalization, model: DenseModel) -> Found:
    """Say what the network used and noticed.

    Parameters
    ----------
    done : DenseLocalization
        What it made of a movie.
    model : DenseModel
        The network.

    Returns
    -------
    Found
        The table with quantities, warnings and notes.
    """
    from stormcell.learning.dense_model import range_warnings

    card = model.card
    notes = [f"network {card.name} (weights {card.weights_sha256[:12]})"]
    if done.n_hot_pixels or done.n_struck_pixels:
        notes.append(
            f"{done.n_hot_pixels:,} hot pixels and {done.n_struck_pixels:,} single pixel values (cosmic rays) were "
            "replaced by their neighbours"
        )
    if done.n_still_rows:
        notes.append(
            f"{done.n_still_rows:,} rows were left out because the light there does not blink (edges, beads, "
            "static structure); pass --no-rejects-still to keep them"
        )
    scale = Quantity(
        "variance_per_electron",
        done.noise.scale,
        "e",
        "given" if done.noise.is_as_promised else "estimated",
        "from the camera's values, which the movie's noise agrees with"
        if done.noise.is_as_promised
        else "from the movie's noise",
    )
    sentences = [done.noise.sentence] if done.noise.sentence else []
    warnings = (*sentences, *range_warnings(card, done.table, done.psf_sigma_px))
    return Found(done.table, (scale,), warnings, tuple(notes))
