"""Follow a movie while it is written: localize and draw what arrives, and say how many frames are still needed."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError, InputError
from stormcell.workflows.camera import resolve_movie
from stormcell.workflows.live_page import LivePage
from stormcell.workflows.localize_methods import Ways
from stormcell.workflows.opening import PathLike, cut_stack
from stormcell.workflows.progress import begin_stage

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.localize_methods import Method
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_settings import RunVerbSettings

_LOOK_EVERY_S = 0.2
_DRAW_EVERY_S = 1.0
_WORK_S = 1.0
"""Frames are taken in pieces that last about so long, so that the picture is never much older."""
_FEWEST_FRAMES = 20
_FIRST_RATE = 100.0
"""Frames per second assumed before any were worked on."""
_GROWTH = 1.3
"""The frames still needed are estimated anew when there are so many times as many frames."""


def follow(
    movie: PathLike, settings: RunVerbSettings, folder: PathLike | None, progress: Progress | None = None
) -> FrameStack:
    """Follow a movie to its end.

    Parameters
    ----------
    movie : path
        A file that grows, or a folder of whole files in the order of their names.
    settings : RunVerbSettings
        As for the run that comes after.
    folder : path or None
        Where live.html, live.png and live.csv go; None draws nothing.
    progress : callable, optional
        Called as progress(done, total) with frames.

    Returns
    -------
    FrameStack
        The whole movie: all frames are there, or none came for `follow_idle_s`.

    Raises
    ------
    InputError
        No frame ever came, or the camera's pixel size is not known.
    """
    from stormcell.io.movies.growing import GrowingMovie

    source, told = GrowingMovie(Path(movie)), begin_stage(progress, "Following")
    live: _Live | None = None
    n_frames, changed = 0, time.monotonic()
    while True:
        whole, now = source.poll(), time.monotonic()
        stack = None if whole is None else cut_stack(whole, settings.replace(frames=None))
        if stack is not None and stack.n_frames > n_frames:
            n_frames, changed = stack.n_frames, now
        patience_s = settings.follow_idle_s if n_frames else settings.follow_start_s
        is_over = source.is_complete or now - changed > patience_s
        if stack is not None and (n_frames >= _FEWEST_FRAMES or is_over):
            live = live or _Live.of(stack, settings, folder)
            live.take(stack, is_over)
            if told is not None:
                told(live.done, n_frames)
        if is_over and (live is None or live.done >= n_frames):
            break
        time.sleep(_LOOK_EVERY_S if live is None or live.done >= n_frames else 0)
    if whole is None:
        msg = f"expected frames to arrive in {movie}, but none came; check the place"
        raise FormatError(msg)
    # a file that is whole says more of itself than one that grows; pieces of a folder stay joined
    return _whole(Path(movie)) or whole


def _whole(movie: Path) -> FrameStack | None:
    from stormcell.io.movies import open_movie

    try:
        return open_movie(movie)
    except FormatError:
        return None


@dataclass
class _Live:
    """What was localized and drawn so far."""

    context: MovieContext
    settings: RunVerbSettings
    method: Method
    page: LivePage
    done: int = 0
    n_left_out: int = 0
    _rate: float = _FIRST_RATE
    _sigma_px: float | None = None
    _tables: list[Localizations] = field(default_factory=list)
    _drawn_at: float = -np.inf
    _weighed: int = 0

    @classmethod
    def of(cls, stack: FrameStack, settings: RunVerbSettings, folder: PathLike | None) -> _Live:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run at the end says them
            context = resolve_movie(stack, settings)
        # choosing by density takes longer than the frames of a look: the run at the end does
        method: Method = "mle" if settings.wanted_method == "auto" else settings.wanted_method
        page = LivePage(None if folder is None else Path(folder), context, settings, method)
        return cls(context, settings, method, page)

    def take(self, stack: FrameStack, is_over: bool) -> None:
        """Localize a piece of what is there and draw when it is time."""
        n_there = stack.n_frames - self.done
        most = max(_FEWEST_FRAMES, int(self._rate * _WORK_S))
        if n_there >= _FEWEST_FRAMES or (is_over and n_there):
            # Too slow for the camera: the picture stays young by leaving frames out; the run at the end takes all.
            left_out = max(0, n_there - 3 * most) if not is_over else max(0, n_there - most)
            first, last = self.done + left_out, min(self.done + left_out + most, stack.n_frames)
            begin = time.perf_counter()
            self._tables.append(self._localize(stack.frames(first, last)))
            self.page.draw(self._tables[-1])
            self._rate = 0.5 * self._rate + 0.5 * (last - first) / max(time.perf_counter() - begin, 1e-3)
            self.n_left_out += left_out
            self.done = last
        now = time.monotonic()
        if now - self._drawn_at < _DRAW_EVERY_S and not (is_over and self.done >= stack.n_frames):
            return
        seen = self.done - self.n_left_out
        if seen >= _GROWTH * self._weighed and self._tables:
            self._weighed = seen
            self.page.weigh(_joined(self._tables), seen)
        self.page.write(self.done, stack.n_frames, self.n_left_out)
        self._drawn_at = time.monotonic()

    def _localize(self, piece: FrameStack) -> Localizations:
        given: dict[str, Any] = {} if self._sigma_px is None else {"psf_sigma_px": self._sigma_px}
        ways = Ways(self.context, self.settings.localization.replace(**given), self.settings.network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = ways.find(piece, self.method, None)
            except InputError:  # such as a network that is not there: the run at the end refuses it in words
                self.method = "mle"
                found = ways.find(piece, self.method, None)
        if self._sigma_px is None and self.method != "dense" and found.table.n_rows:
            sigma = next((q.value for q in found.quantities if q.name == "psf_sigma_nm"), None)
            self._sigma_px = None if sigma is None else float(sigma) / self.context.camera_pixel_size_nm
        return found.table


def _joined(tables: list[Localizations]) -> Localizations:
    from stormcell.data.localizations import Localizations

    names = tables[0].names
    columns = {name: np.concatenate([table[name] for table in tables]) for name in names}
    return Localizations(columns, grid=tables[0].grid, n_frames=tables[0].n_frames)
