"""Progress: a callback `(done, total)`, and names for the stages of longer work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], None]


def begin_stage(progress: Progress | None, name: str) -> Progress | None:
    """Tell a progress callback that another stage begins, if it cares for stages.

    Parameters
    ----------
    progress : callable or None
        A callback; one with a method `stage(name)` is told the name.
    name : str
        What is being done now.

    Returns
    -------
    callable or None
        The same callback.
    """
    tell = getattr(progress, "stage", None)
    if tell is not None:
        tell(name)
    return progress
