"""The dense network on a movie that is being written: loaded and told the PSF once, then a few frames at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.learning.dense_localizing import MovieFacts
    from stormcell.learning.dense_model import DenseModel
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.dense_settings import NetworkOptions


@dataclass(frozen=True)
class LiveNetwork:
    """A network that knows a movie from its first frames.

    Parameters
    ----------
    model : DenseModel
        The network.
    known : MovieFacts
        Noise, hot pixels and PSF.
    context : MovieContext
        Camera and pixel size.
    options : NetworkOptions
        How the network is used.
    """

    enough_frames: ClassVar[int] = 100
    """Before so many the PSF could hardly be read."""

    model: DenseModel
    known: MovieFacts
    context: MovieContext
    options: NetworkOptions

    @classmethod
    def of(cls, stack: FrameStack, context: MovieContext, options: NetworkOptions) -> LiveNetwork:
        """Load the network and read the movie so far.

        Parameters
        ----------
        stack : FrameStack
            What is there of the movie.
        context : MovieContext
            Camera and pixel size.
        options : NetworkOptions
            Which network, and how.

        Returns
        -------
        LiveNetwork
            Ready for any frames of the movie.
        """
        from stormcell.learning.dense_model import load_dense_model
        from stormcell.workflows.dense import know

        # frames that were picked have other neighbours, and are too few to tell what does not blink
        options = options.replace(uses_neighbours=False, rejects_still=False)
        model = load_dense_model(options.model)
        return cls(model, know(stack, context, model, options), context, options)

    def find(self, piece: FrameStack) -> Localizations:
        """Localize some frames.

        Parameters
        ----------
        piece : FrameStack
            They need not follow each other.

        Returns
        -------
        Localizations
            Its rows.
        """
        from stormcell.workflows.dense import run_dense

        return run_dense(piece, self.context, self.model, self.options, None, None, (self.known, None)).table
