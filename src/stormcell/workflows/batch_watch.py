"""Which of the files that a microscope is writing are complete."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stormcell.workflows.batch_items import BatchItem

UNFINISHED_ENDINGS = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".lock")
"""Endings under which programs write what is to get its name later."""

_GIVE_UP_AFTER = 12
"""A movie that cannot be opened is given to the verb, which says why, after so many times the settling time."""


class Watcher:
    """Tells complete files from growing ones.

    Parameters
    ----------
    settle_s : float
        A file counts as complete when neither its size nor its time has changed for so long.
    takes_movie : bool
        Whether inputs are movies: then they must also open, as a movie cut short does not.
    clock : callable
        Seconds.
    """

    def __init__(self, settle_s: float, takes_movie: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle_s = settle_s
        self._takes_movie = takes_movie
        self._clock = clock
        self._seen: dict[str, tuple[tuple[int, int, int], float]] = {}

    def complete(self, items: Iterable[BatchItem]) -> list[BatchItem]:
        """Pick the inputs that nobody writes any more.

        Parameters
        ----------
        items : iterable of BatchItem
            Inputs that were not taken yet.

        Returns
        -------
        list of BatchItem
            Those that are complete.
        """
        return [item for item in items if self._is_complete(Path(item.source))]

    def _is_complete(self, path: Path) -> bool:
        if path.name.lower().endswith((*UNFINISHED_ENDINGS, "~")):
            return False
        now, sign = self._clock(), _sign(path)
        before, since = self._seen.get(str(path), (None, now))
        if sign != before:
            since = now
            self._seen[str(path)] = (sign, now)
        still_s = now - since
        if sign[1] == 0 or still_s < self._settle_s:
            return False
        return not self._takes_movie or still_s > _GIVE_UP_AFTER * self._settle_s or _opens(path)


def _sign(path: Path) -> tuple[int, int, int]:
    """Count files, bytes and the latest change of a file, or of all files in a folder (a Zarr store)."""
    number = n_bytes = latest = 0
    for file in path.rglob("*") if path.is_dir() else (path,):
        try:
            told = file.stat()
        except OSError:
            continue
        number, n_bytes, latest = number + 1, n_bytes + told.st_size, max(latest, told.st_mtime_ns)
    return number, n_bytes, latest


def _opens(path: Path) -> bool:
    from stormcell.io.movies import open_movie

    try:
        open_movie(path)
    except InputError:
        return False
    return True
