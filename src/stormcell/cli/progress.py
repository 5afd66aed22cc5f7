"""The progress bar: on stderr, with rate and remaining time, only on a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID


class ProgressBar:
    """A progress callback `(done, total)` that shows one line for each stage.

    Parameters
    ----------
    progress : rich.progress.Progress
        The display, started.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, name: str) -> None:
        """Begin another stage of the work.

        Parameters
        ----------
        name : str
            What is being done, for example "Localizing".
        """
        if self._task is not None:
            self._progress.remove_task(self._task)
        # Without a total the bar pulses: a stage that does not count is still seen to be at work.
        self._task = self._progress.add_task(name, total=None)

    def __call__(self, done: int, total: int) -> None:
        """Show how far the stage has come.

        Parameters
        ----------
        done, total : int
            Pieces of work done, and all of them.
        """
        if self._task is None:
            self.stage("Working")
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[ProgressBar | None]:
    """Show progress while the block runs.

    Parameters
    ----------
    quiet : bool
        Show nothing.

    Yields
    ------
    ProgressBar or None
        What workflows take as `progress`; None where nobody would see it.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield ProgressBar(progress)
