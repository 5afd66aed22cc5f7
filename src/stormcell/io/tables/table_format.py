"""What one table format is: how it is recognised, read and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stormcell.data import Localizations
    from stormcell.io.tables.delimited import TextHeader


@dataclass(frozen=True)
class TableFile:
    """A file that is to be read as a table, after the first look at it.

    Parameters
    ----------
    path : Path
        The file.
    head : bytes
        Its first bytes.
    header : TextHeader or None
        Its labels when it is delimited text.
    camera_pixel_size_nm : float or None
        Given by the user for files in pixels that do not say how large those are.
    """

    path: Path
    head: bytes
    header: TextHeader | None = None
    camera_pixel_size_nm: float | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Column labels of delimited text; none for other files."""
        return self.header.labels if self.header else ()


@dataclass(frozen=True)
class TableFormat:
    """One format: a line in the registry.

    Parameters
    ----------
    name : str
        Short name.
    title : str
        What people call it.
    looks_like : callable
        Tells from the content whether a file is in this format.
    read : callable
        Reads such a file.
    endings : tuple of str
        File endings by which it is chosen for writing; empty when it is only read.
    write : callable or None
        `write(table, path, overwrite)` writes in one step and returns plain remarks on what the format cannot hold.
    check : callable or None
        `check(path, overwrite)` refuses a name because of a further file that the format writes beside it.
    """

    name: str
    title: str
    looks_like: Callable[[TableFile], bool]
    read: Callable[[TableFile], Localizations]
    endings: tuple[str, ...] = ()
    write: Callable[[Localizations, Path, bool], tuple[str, ...]] | None = None
    check: Callable[[Path, bool], None] | None = None
