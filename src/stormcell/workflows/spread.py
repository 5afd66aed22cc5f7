"""One movie on many workers: blocks of frames are fitted anywhere, their rows joined in order."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.errors import InputError
from stormcell.workflows.batch_cluster import open_client, share_threads
from stormcell.workflows.survey import Survey
from stormcell.workflows.threads import limit_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stormcell.data.frame_stack import FrameStack
    from stormcell.learning.dense_inference import ComponentList
    from stormcell.learning.dense_localizing import MovieFacts
    from stormcell.localization.pipeline import LocalizationResult
    from stormcell.localization.recipe import FitRecipe, FittedBlocks
    from stormcell.physics.cameras import Camera
    from stormcell.workflows.dense_settings import NetworkOptions
    from stormcell.workflows.progress import Progress

_ALLOWED_DEATHS = 3
"""All shares of a movie wait at the workers at once, and one that dies is blamed on each that waited there."""
_SHARES_PER_WORKER = 4
_MOST_BLOCKS = 16
"""A share is small enough for the bar to move and for a lost one to be repeated quickly."""


@dataclass(frozen=True)
class Window:
    """Where a worker finds its frames.

    Parameters
    ----------
    path : str
        The movie.
    frames, rows, columns : tuple of int
        The part of it, half-open.
    mark : tuple
        State of the file, so that a worker that has an older one open opens it again.
    """

    path: str
    frames: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    mark: tuple[int, ...]

    @classmethod
    def of(cls, stack: FrameStack) -> Window:
        """Describe a stack that lies in a file.

        Parameters
        ----------
        stack : FrameStack
            With a path.

        Returns
        -------
        Window
            Its place.
        """
        if stack.path is None:
            msg = "expected a movie in a file to share out among workers, got an array in memory; leave --cluster out"
            raise InputError(msg)
        path = stack.path
        mark: tuple[int, ...] = ()
        if "://" not in path:
            path = str(Path(path).resolve())
            told = os.stat(path)
            mark = (told.st_size, told.st_mtime_ns)
        frames = (stack.first_frame, stack.last_frame)
        return cls(path, frames, stack.rows, stack.columns, mark)

    def open(self) -> FrameStack:
        """Open the part again.

        Returns
        -------
        FrameStack
            As it was described.
        """
        return replace(
            _opened(self.path, self.mark),
            first_frame=self.frames[0],
            last_frame=self.frames[1],
            rows=self.rows,
            columns=self.columns,
        )


@lru_cache(maxsize=2)
def _opened(path: str, _mark: tuple[int, ...]) -> FrameStack:
    from stormcell.io.movies import open_movie

    return open_movie(path)


def fit_share(
    recipe: FitRecipe, window: Window, blocks: tuple[int, int], threads: int
) -> tuple[FittedBlocks, Survey]:
    """Fit some blocks of a movie, in a worker.

    Parameters
    ----------
    recipe : FitRecipe
        How.
    window : Window
        Where the movie is.
    blocks : tuple of int
        Half-open range of blocks.
    threads : int
        Threads this worker may use.

    Returns
    -------
    tuple of FittedBlocks and Survey
        Rows, and what the pixels of these frames are like.
    """
    limit_threads(threads)
    stack = window.open()
    edges = recipe.edges(stack)
    survey = Survey(stack, n_seen=edges[blocks[0]], end=edges[blocks[1]])
    return recipe.fit(survey.watched(), *blocks), replace_stack(survey)


def list_share(
    told: tuple[NetworkOptions, Camera, MovieFacts], window: Window, blocks: tuple[int, int], threads: int
) -> list[ComponentList]:
    """List the emitters of some blocks of a movie with the network, in a worker.

    Parameters
    ----------
    told : tuple
        Which network and how, the camera, and what was read from the whole movie.
    window : Window
        Where the movie is.
    blocks : tuple of int
        Half-open range of blocks.
    threads : int
        Threads this worker may use.

    Returns
    -------
    list of ComponentList
        One for each block.
    """
    from stormcell.learning.dense_localizing import list_blocks
    from stormcell.learning.dense_model import load_dense_model
    from stormcell.workflows.dense import dense_settings

    limit_threads(threads)  # after the imports: PyTorch takes no number from the environment once it is there
    options, camera, known = told
    network = load_dense_model(options.model).network
    return list_blocks(window.open(), camera, network, known, dense_settings(options), blocks)


def replace_stack(survey: Survey) -> Survey:
    """Leave the open file out of a survey, which then can travel.

    Parameters
    ----------
    survey : Survey
        Of a share.

    Returns
    -------
    Survey
        The same counts.
    """
    survey.stack = replace(survey.stack, load=_closed)
    return survey


def _closed(_start: int, _stop: int) -> Any:
    msg = "this survey came from another process: its movie is not open here"
    raise RuntimeError(msg)


@dataclass(frozen=True)
class Spread:
    """Workers that share the fits of one movie.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    survey : Survey
        Of the whole movie; filled by the workers.
    threads : int
        Threads of each worker.
    """

    client: Any
    survey: Survey
    threads: int

    def fit(self, recipe: FitRecipe, stack: FrameStack, progress: Progress | None) -> LocalizationResult:
        """Fit a movie or a part of it.

        Parameters
        ----------
        recipe : FitRecipe
            How.
        stack : FrameStack
            The movie.
        progress : callable or None
            Called as progress(done, total) with frames.

        Returns
        -------
        LocalizationResult
            The same as without workers.
        """
        from distributed import as_completed

        from stormcell.localization.pipeline import joined_blocks

        recipe, window = recipe.decided(stack), Window.of(stack)
        edges = recipe.edges(stack)
        shares = _shares(len(edges) - 1, len(self.client.nthreads()))
        sent = self.client.scatter(recipe, broadcast=True)
        futures = {
            self.client.submit(fit_share, sent, window, share, self.threads, pure=False, retries=1): index
            for index, share in enumerate(shares)
        }
        found: dict[int, tuple[FittedBlocks, Survey]] = {}
        try:
            for future in as_completed(list(futures)):
                found[futures[future]] = future.result()
                if progress is not None:
                    progress(sum(part.n_frames for part, _ in found.values()), stack.n_frames)
        finally:
            self.client.cancel(list(futures))
        if Window.of(self.survey.stack) == window and self.survey.n_seen == 0:
            for index in range(len(shares)):
                self.survey.add(found[index][1])
        return joined_blocks(recipe, stack, [found[index][0] for index in range(len(shares))])

    @contextmanager
    def dense_lists(
        self, stack: FrameStack, camera: Camera, known: MovieFacts, options: NetworkOptions
    ) -> Iterator[Callable[[int], ComponentList]]:
        """Let the workers list the emitters of a movie with the network.

        Parameters
        ----------
        stack : FrameStack
            The movie or a part of it.
        camera : Camera
            Of the movie.
        known : MovieFacts
            What was read from the whole of it.
        options : NetworkOptions
            Which network, and how.

        Yields
        ------
        callable
            From the number of a block to its emitters, the same as without workers; it waits for them.
        """
        from stormcell.learning.dense_localizing import block_starts

        window, shares = Window.of(stack), _shares(len(block_starts(stack)), len(self.client.nthreads()))
        told = self.client.scatter((options, camera, known), broadcast=True, hash=False)
        futures = [
            self.client.submit(list_share, told, window, share, self.threads, pure=False, retries=1)
            for share in shares
        ]
        ready: dict[int, list[ComponentList]] = {}

        def listed(block: int) -> ComponentList:
            share = block // (shares[0][1] - shares[0][0])
            if share not in ready:
                ready.clear()  # blocks come in order: earlier ones are done with
                ready[share] = futures[share].result()
                futures[share].release()
            return ready[share][block - shares[share][0]]

        try:
            yield listed
        finally:
            self.client.cancel(futures)


@contextmanager
def open_spread(cluster: str | None, survey: Survey) -> Iterator[Spread | None]:
    """Connect to the workers of a movie.

    Parameters
    ----------
    cluster : str or None
        `local`, `local:N`, `tcp://HOST:PORT`, `slurm:CONFIG.yaml`, or None for this process alone.
    survey : Survey
        Of the movie.

    Yields
    ------
    Spread or None
        None without a cluster.

    Raises
    ------
    InputError
        The movie lies in no file, or the workers cannot be reached.
    """
    if cluster is None:
        yield None
        return
    Window.of(survey.stack)
    kind, _, count = cluster.partition(":")
    if kind != "local":
        with open_client(cluster, None, allowed_deaths=_ALLOWED_DEATHS) as client:
            yield Spread(client, survey, 1)
        return
    if count and (not count.isdigit() or int(count) < 1):
        msg = f"expected --cluster local:N with N of at least 1, got {cluster}"
        raise InputError(msg)
    workers, threads = share_threads(int(count) if count else None)
    with open_client(None, workers, allowed_deaths=_ALLOWED_DEATHS) as client:
        yield Spread(client, survey, threads)


def _shares(n_blocks: int, n_workers: int) -> list[tuple[int, int]]:
    size = max(1, min(_MOST_BLOCKS, math.ceil(n_blocks / max(1, _SHARES_PER_WORKER * n_workers))))
    return [(first, min(first + size, n_blocks)) for first in range(0, n_blocks, size)]
