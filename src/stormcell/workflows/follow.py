"""Follow a movie while it is written: localize and draw what arrives, and say how many frames are still needed."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import FormatError, InputError
from stormcell.workflows.camera import resolve_movie
from stormcell.workflows.live_network import LiveNetwork
from stormcell.workflows.live_page import LivePage
from stormcell.workflows.localize_methods import Ways
from stormcell.workflows.opening import PathLike, cut_stack
from stormcell.workflows.progress import begin_stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.localize_methods import Method
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_settings import RunVerbSettings

_LOOK_EVERY_S = 0.2
_DRAW_EVERY_S = 1.0
_WORK_S = 0.7
"""Frames are taken in pieces that last about so long, so that the picture is never much older."""
_FEWEST_FRAMES = {"dense": 4}
_FEWEST = 20
"""Frames that a fit wants at once, for its background; the network takes them one by one."""
_FIRST_RATES = {"dense": 5.0, "multi": 20.0}
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
        if stack is not None and (n_frames >= _enough_to_begin(settings) or is_over):
            if live is None:
                live = _Live.of(stack, settings, folder)
                live.make_ready(stack)
                if not is_over:
                    continue  # loading a network took seconds: more frames have come
            is_busy = live.take(stack, is_over)
            if told is not None:
                told(live.done, n_frames)
        else:
            is_busy = False
        if is_over:
            break
        time.sleep(0 if is_busy else _LOOK_EVERY_S)
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


def _enough_to_begin(settings: RunVerbSettings) -> int:
    return LiveNetwork.enough_frames if settings.wanted_method == "dense" else _FEWEST


@dataclass
class _Live:
    """What was localized and drawn so far."""

    context: MovieContext
    settings: RunVerbSettings
    method: Method
    page: LivePage
    done: int = 0
    left_out: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Frames that there was no time for; they are worked off when the acquisition pauses."""
    _network: LiveNetwork | None = None
    _rate: float = 0.0
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
        return cls(context, settings, method, page, _rate=_FIRST_RATES.get(method, _FIRST_RATE))

    def take(self, stack: FrameStack, is_over: bool) -> bool:
        """Localize a piece of what is there and draw when it is time; say whether there was anything to do."""
        chosen = self._choose(stack.n_frames, is_over)
        if chosen.size:
            begin = time.perf_counter()
            self._tables.append(_renumbered(self._localize(_picked(stack, chosen)), chosen))
            self.page.draw(self._tables[-1])
            # times, not rates, are averaged: one that was guessed too high is forgotten at once
            spent_s = max(time.perf_counter() - begin, 1e-3) / chosen.size
            self._rate = 2 / (1 / self._rate + spent_s)
        now = time.monotonic()
        if now - self._drawn_at < _DRAW_EVERY_S and not is_over:
            return bool(chosen.size)
        seen = self.done - self.left_out.size
        if seen >= _GROWTH * self._weighed and self._tables:
            self._weighed = seen
            self.page.weigh(_joined(self._tables), seen)
        self.page.write(self.done, stack.n_frames, self.left_out.size)
        self._drawn_at = time.monotonic()
        return bool(chosen.size)

    def _choose(self, n_frames: int, is_over: bool) -> NDArray[np.int64]:
        """Choose the frames of a piece: new ones, evenly where there are too many, else some that were left out.

        The picture stays young whatever the method: frames that there is no time for are left out, and worked off
        while none arrive. At the end the run takes all.
        """
        fewest = _FEWEST_FRAMES.get(self.method, _FEWEST)
        most = max(fewest, int(self._rate * _WORK_S))
        new = np.arange(self.done, n_frames)
        if new.size < fewest and not (is_over and new.size):
            if is_over or not self.left_out.size:
                return new[:0]
            chosen, self.left_out = _evenly(self.left_out, most)
            return chosen
        chosen, rest = _evenly(new, most)
        self.left_out = np.concatenate([self.left_out, rest])
        self.done = n_frames
        return chosen

    def make_ready(self, stack: FrameStack) -> None:
        """Load the network once and tell it the PSF; without one, fits are drawn and the run at the end says why."""
        if self.method != "dense":
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._network = LiveNetwork.of(stack, self.context, self.settings.network)
        except InputError:
            self.method = self.page.method = "mle"
            self._rate = _FIRST_RATE

    def _localize(self, piece: FrameStack) -> Localizations:
        given: dict[str, Any] = {} if self._sigma_px is None else {"psf_sigma_px": self._sigma_px}
        ways = Ways(self.context, self.settings.localization.replace(**given), self.settings.network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._network is not None:
                return self._network.find(piece)
            try:
                found = ways.find(piece, self.method, None)
            except InputError:  # such as a PSF file that is not there: the run at the end refuses it in words
                self.method = self.page.method = "mle"
                found = ways.find(piece, self.method, None)
        if self._sigma_px is None and found.table.n_rows:
            sigma = next((q.value for q in found.quantities if q.name == "psf_sigma_nm"), None)
            self._sigma_px = None if sigma is None else float(sigma) / self.context.camera_pixel_size_nm
        return found.table


def _evenly(frames: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose at most so many frames, evenly spread; the newest is among them. Also gives the others."""
    if frames.size <= most:
        return frames, frames[:0]
    index = (np.arange(1, most + 1) * frames.size) // most - 1
    return frames[index], np.delete(frames, index)


def _picked(stack: FrameStack, chosen: NDArray[np.int64]) -> FrameStack:
    """Show some frames of a stack as if no other stood between them."""
    if chosen[-1] - chosen[0] + 1 == chosen.size:
        return stack.frames(int(chosen[0]), int(chosen[-1]) + 1)
    places = chosen + stack.first_frame

    def load(start: int, stop: int) -> NDArray[Any]:
        return np.concatenate([stack.load(int(place), int(place) + 1) for place in places[start:stop]])

    shape = (chosen.size, *stack.full_shape[1:])
    return replace(stack, load=load, full_shape=shape, path=None, first_frame=0, last_frame=chosen.size)


def _renumbered(table: Localizations, chosen: NDArray[np.int64]) -> Localizations:
    """Give rows the numbers that their frames have in the movie."""
    if not table.n_rows or chosen[-1] - chosen[0] + 1 == chosen.size:
        return table
    from stormcell.data.localizations import Localizations

    columns = {name: table[name] for name in table.names} | {"frame": chosen[table["frame"]]}
    return Localizations(columns, grid=table.grid, n_frames=int(chosen[-1]) + 1)


def _joined(tables: list[Localizations]) -> Localizations:
    from stormcell.data.localizations import Localizations

    names = tables[0].names
    columns = {name: np.concatenate([table[name] for table in tables]) for name in names}
    return Localizations(columns, grid=tables[0].grid, n_frames=tables[0].n_frames)
