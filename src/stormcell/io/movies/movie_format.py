"""What a movie format is: how it is recognised and how it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stormcell.data import FrameStack


@dataclass(frozen=True)
class MovieFormat:
    """One way in which movies are stored.

    Parameters
    ----------
    name : str
        What users call it.
    recognises : callable
        `recognises(path, head)` tells from the first bytes (and what lies beside the file) whether it is of this
        kind; the ending of the name does not count.
    open_file : callable
        `open_file(path)` returns a FrameStack and raises InputError in plain words.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    open_file: Callable[[Any], FrameStack]
