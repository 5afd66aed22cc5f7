"""Localizing with the dense network: model, noise, range, and what is to be said about them."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class KnowingNetwork:
    """The dense network with what was read from one movie; it localizes the movie or a part of it.

    Parameters
    ----------
    model : DenseModel
        The network.
    known : MovieFacts
        Noise, hot pixels and PSF of the whole movie, which small parts would not tell.
    origin_px : tuple of int
        Row and column of the movie's first pixel.
    """

    model: DenseModel
    known: MovieFacts
    origin_px: tuple[int, int]

    @classmethod
    def of(cls, stack: FrameStack, context: MovieContext, options: NetworkOptions) -> KnowingNetwork:
        """Load the network and read from a movie what it has to know.

        Parameters
        ----------
        stack : FrameStack
            The movie.
        context : MovieContext
            Camera and pixel size.
        options : NetworkOptions
            Which network, and how.

        Returns
        -------
        KnowingNetwork
            Ready for the movie and its parts.
        """
        from stormcell.learning.dense_model import load_dense_model

        model = load_dense_model(options.model)
        return cls(model, know(stack, context, model, options), stack.origin_px)

    def localize(
        self,
        part: FrameStack,
        context: MovieContext,
        options: NetworkOptions,
        progress: Progress | None,
        spread: Spread | None = None,
    ) -> Found:
        """Localize.

        Parameters
        ----------
        part : FrameStack
            The movie, or frames and a rectangle of it.
        context : MovieContext
            Camera and pixel size.
        options : NetworkOptions
            How.
        progress : callable or None
            Called as progress(done, total) with frames.
        spread : Spread or None
            Workers that share the network's work; None does it here.

        Returns
        -------
        Found
            The table, the measured noise, and where the movie lies outside what the network was trained for.
        """
        first = [own - whole for own, whole in zip(part.origin_px, self.origin_px, strict=True)]
        window = [slice(low, low + side) for low, side in zip(first, part.frame_shape, strict=True)]
        known = self.known.cropped(*window)
        if spread is None:
            done = run_dense(part, context, self.model, options, None, progress, (known, None))
        else:
            with spread.dense_lists(part, context.camera, known, options) as listed:
                done = run_dense(part, context, self.model, options, None, progress, (known, listed))
        return described(done, self.model, context, options)


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
        refines=options.refines,
        uses_neighbours=options.uses_neighbours,
        device=resolve_device(options.device),
        precision=options.precision,
        engine=options.engine,
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


def described(done: DenseLocalization, model: DenseModel, context: MovieContext, options: NetworkOptions) -> Found:
    """Say what the network used and noticed.

    Parameters
    ----------
    done : DenseLocalization
        What it made of a movie.
    model : DenseModel
        The network.
    context : MovieContext
        Camera and pixel size.
    options : NetworkOptions
        How it was used.

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
    width = Quantity(
        "psf_sigma_nm",
        done.psf_sigma_px * context.camera_pixel_size_nm,
        "nm",
        "estimated",
        "from the PSF fitted to the movie" if done.knows_psf else "as the network reads it from single frames",
    )
    if not done.knows_psf:
        notes.append(
            "the PSF could not be fitted (small frames, or fewer than 60 sure emitters in the frames looked at): the "
            "network worked without, and takes rings of an unusual PSF for emitters more easily"
        )
    elif options.refines:
        notes.append(
            "emitters were fitted jointly with the PSF found in the movie"
            if done.shares_psf
            else "no joint fits: one PSF does not explain the emitters of this movie (they lie at many heights), and "
            "the network copes with that better"
        )
    sentences = [done.noise.sentence] if done.noise.sentence else []
    warnings = (*sentences, *range_warnings(card, done.table, done.psf_sigma_px, context.camera.qe))
    return Found(done.table, (scale, width), warnings, tuple(notes))
