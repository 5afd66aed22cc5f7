"""Localizing with the dense network: model, noise, range, and what is to be said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.data.provenance import Quantity
from stormcell.workflows.localize_methods import Found

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.learning.dense_localizing import DenseLocalization
    from stormcell.learning.dense_model import DenseModel
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.dense_settings import NetworkOptions
    from stormcell.workflows.progress import Progress


def localize_with_network(
    stack: FrameStack, context: MovieContext, options: NetworkOptions, progress: Progress | None
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

    Returns
    -------
    Found
        The table, the measured noise, and where the movie lies outside what the network was trained for.
    """
    from stormcell.learning.dense_model import load_dense_model

    model = load_dense_model(options.model)
    done = run_dense(stack, context, model, options, None, progress)
    return described(done, model)


def run_dense(
    stack: FrameStack,
    context: MovieContext,
    model: DenseModel,
    options: NetworkOptions,
    sr_pixel_size_nm: float | None,
    progress: Progress | None,
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

    Returns
    -------
    DenseLocalization
        Table and images.
    """
    from stormcell.learning.dense_localizing import DenseLocalizationSettings, localize_dense
    from stormcell.learning.devices import resolve_device
    from stormcell.learning.measured_noise import promised_noise

    settings = DenseLocalizationSettings(
        probability_threshold=options.probability_threshold,
        rejects_still=options.rejects_still,
        uses_neighbours=options.uses_neighbours,
        device=resolve_device(options.device),
        precision=options.precision,
    )
    return localize_dense(
        stack,
        context.camera,
        context.camera_pixel_size_nm,
        model.network,
        noise=None if options.measure_noise else promised_noise(stack, context.camera),
        calibration=model.card.calibration,
        sr_pixel_size_nm=sr_pixel_size_nm,
        settings=settings,
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
