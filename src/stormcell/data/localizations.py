"""Localizations: the table of fitted events."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data.columns import COLUMNS
from stormcell.errors import InputError, MissingColumnError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.data.provenance import Provenance


class Localizations:
    """Fitted events, one row each, as named columns of equal length; read-only.

    Parameters
    ----------
    columns : mapping of str to array_like
        Columns by registered name (`stormcell.data.columns`), each of shape (N,); cast to the registered dtype.
    grid : PixelGrid, optional
        The camera grid of the movie the rows come from; None where it is unknown.
    n_frames : int, optional
        Frames of the movie, also those without a row; None where it is unknown.
    provenance : Provenance, optional
        How the table was made.

    Raises
    ------
    InputError
        A column is not registered, or the lengths differ.
    """

    __slots__ = ("_columns", "grid", "n_frames", "provenance")

    def __init__(
        self,
        columns: Mapping[str, ArrayLike],
        *,
        grid: PixelGrid | None = None,
        n_frames: int | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self._columns: dict[str, NDArray[Any]] = {}
        for name in sorted(columns, key=_registry_order):
            values = np.array(columns[name], dtype=COLUMNS[name].dtype, ndmin=1)
            if values.ndim != 1:
                msg = f"expected column {name} of shape (N,), got {values.shape}"
                raise InputError(msg)
            values.flags.writeable = False
            self._columns[name] = values
        lengths = {name: len(values) for name, values in self._columns.items()}
        if len(set(lengths.values())) > 1:
            msg = f"expected columns of equal length, got {lengths}"
            raise InputError(msg)
        self.grid = grid
        self.n_frames = n_frames
        self.provenance = provenance

    @classmethod
    def empty(cls, names: Sequence[str] = ("frame", "x_nm", "y_nm"), **context: Any) -> Localizations:
        """Make a table without rows.

        Parameters
        ----------
        names : sequence of str
            Its columns.
        **context : Any
            `grid`, `n_frames`, `provenance`.

        Returns
        -------
        Localizations
            Zero rows.
        """
        return cls({name: [] for name in names}, **context)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self._columns[name]
        except KeyError:
            msg = f"the table has no column {name}; it has {', '.join(self._columns) or 'none'}"
            raise MissingColumnError(msg) from None

    __iter__ = None
    """Neither rows nor columns are the obvious thing to go through: use `names`."""

    def __len__(self) -> int:
        """Return the number of rows (not of columns)."""
        return self.n_rows

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __bool__(self) -> bool:
        return self.n_rows > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Localizations):
            return NotImplemented
        return self._columns.keys() == other._columns.keys() and all(
            np.array_equal(values, other[name], equal_nan=values.dtype.kind == "f")
            for name, values in self._columns.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Localizations({self.n_rows} rows: {', '.join(self._columns)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in registry order."""
        return tuple(self._columns)

    @property
    def positions_nm(self) -> NDArray[np.float64]:
        """Shape (N, 2): x and y in nm."""
        return np.stack([self["x_nm"], self["y_nm"]], axis=1)

    def take(self, rows: NDArray[Any] | slice) -> Localizations:
        """Select rows.

        Parameters
        ----------
        rows : ndarray or slice
            A boolean mask of shape (N,), indices, or a slice.

        Returns
        -------
        Localizations
            Those rows with the same context.
        """
        return self._with({name: values[rows] for name, values in self._columns.items()})

    def with_columns(self, **columns: ArrayLike) -> Localizations:
        """Add or replace columns.

        Parameters
        ----------
        **columns : array_like
            New columns by registered name, each of shape (N,).

        Returns
        -------
        Localizations
            The extended table.
        """
        return self._with({**self._columns, **columns})

    def without_columns(self, *names: str) -> Localizations:
        """Leave columns out.

        Parameters
        ----------
        *names : str
            Columns to drop; absent ones are ignored.

        Returns
        -------
        Localizations
            The narrower table.
        """
        return self._with({name: values for name, values in self._columns.items() if name not in names})

    def with_context(self, **context: Any) -> Localizations:
        """Replace grid, n_frames or provenance.

        Parameters
        ----------
        **context : Any
            `grid`, `n_frames`, `provenance`.

        Returns
        -------
        Localizations
            The same rows in the new context.
        """
        kept = {"grid": self.grid, "n_frames": self.n_frames, "provenance": self.provenance}
        return Localizations(self._columns, **{**kept, **context})

    @classmethod
    def concatenate(cls, tables: Sequence[Localizations]) -> Localizations:
        """Put tables under each other.

        Parameters
        ----------
        tables : sequence of Localizations
            At least one; all with the same columns. The context is the first one's.

        Returns
        -------
        Localizations
            All rows in order.

        Raises
        ------
        InputError
            The columns differ, or there is no table.
        """
        if not tables:
            msg = "expected at least one table to concatenate, got none"
            raise InputError(msg)
        first = tables[0]
        for table in tables[1:]:
            if table.names != first.names:
                msg = f"expected tables with the same columns, got {first.names} and {table.names}"
                raise InputError(msg)
        return first.with_columns(**{n: np.concatenate([table[n] for table in tables]) for n in first.names})

    def to_pandas(self) -> pd.DataFrame:
        """Copy into a pandas table.

        Returns
        -------
        pandas.DataFrame
            One column each, registered names.
        """
        import pandas as pd

        return pd.DataFrame(self._columns)

    def _with(self, columns: Mapping[str, ArrayLike]) -> Localizations:
        return Localizations(columns, grid=self.grid, n_frames=self.n_frames, provenance=self.provenance)


def _registry_order(name: str) -> int:
    order = _ORDER.get(name)
    if order is None:
        near = difflib.get_close_matches(name, COLUMNS, n=1)
        msg = f"{name} is not a registered column{f'; did you mean {near[0]}?' if near else ''}"
        raise InputError(msg)
    return order


_ORDER = {name: index for index, name in enumerate(COLUMNS)}
