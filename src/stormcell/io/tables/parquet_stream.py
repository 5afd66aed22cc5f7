"""Parquet tables written piece by piece, for tables that do not fit into memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from stormcell.io.tables.parquet import table_schema
from stormcell.io.writing import atomic_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stormcell.data import Localizations


@contextmanager
def parquet_stream(
    path: str | Path, like: Localizations, overwrite: bool = False
) -> Iterator[Callable[[Localizations], None]]:
    """Open a Parquet table for pieces; it appears under its name only when the block ends without an error.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    like : Localizations
        A table with the columns, grid, number of frames and provenance of the whole; its rows are not written.
    overwrite : bool
        Whether an existing file may be replaced.

    Yields
    ------
    callable
        Appends the rows of a table with the same columns.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    schema = table_schema(like)
    integers = [name for name in like.names if like[name].dtype.kind == "i"]

    with (
        atomic_path(path, overwrite) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=integers) as writer,
    ):

        def append(table: Localizations) -> None:
            arrays = [pa.array(table[name]) for name in like.names]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield append
