"""Parquet, the native table: everything survives, fields say unit and meaning, equal tables give equal bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stormcell.data import COLUMNS, Localizations
from stormcell.errors import FormatError
from stormcell.io.context import RECORD_KEY, context_from_record, context_record, read_provenance, with_notes
from stormcell.io.tables.labelled import choose_columns, convert, left_out_remark
from stormcell.io.tables.labels import interpret_own_names
from stormcell.io.tables.table_format import TableFile, TableFormat
from stormcell.io.writing import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


_MAGIC = b"PAR1"


def looks_like(file: TableFile) -> bool:
    """Recognise Parquet by its first bytes.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for Parquet, also when it is damaged further on.
    """
    return file.head.startswith(_MAGIC)


def read(file: TableFile) -> Localizations:
    """Read a Parquet table.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table, with grid, number of frames and provenance where stormcell wrote it.

    Raises
    ------
    FormatError
        The file is truncated or damaged, positions are missing, or a column does not hold numbers.
    MissingQuantityError
        A column is in pixels and their size is not known.
    """
    try:
        with pq.ParquetFile(file.path) as parquet:
            schema = parquet.schema_arrow
            chosen, left_out = choose_columns(file, schema.names, interpret_own_names)
            content = parquet.read(columns=[schema.names[index] for index in chosen])
            values = [_numbers(file.path, schema.names[i], content.column(schema.names[i])) for i in chosen]
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        msg = f"expected a Parquet table, but {file.path} is truncated or damaged ({reason}); copy or write it again"
        raise FormatError(msg) from None
    columns, remarks = convert(file, chosen, values, frame_base=0)
    return _with_record(file.path, columns, left_out_remark(left_out) + remarks, schema.metadata or {})


def write(table: Localizations, path: Path, overwrite: bool) -> tuple[str, ...]:
    """Write a Parquet table.

    Parameters
    ----------
    table : Localizations
        The table.
    path : Path
        The file to be written.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    tuple of str
        Always empty: the format holds everything.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    schema = table_schema(table)
    rows = pa.Table.from_arrays([pa.array(table[name]) for name in table.names], schema=schema)
    integers = [name for name in table.names if table[name].dtype.kind == "i"]
    with atomic_path(path, overwrite) as temporary:
        pq.write_table(rows, temporary, compression="zstd", use_dictionary=integers)
    return ()


def table_schema(table: Localizations) -> pa.Schema:
    """Describe a table's columns, with unit and meaning, and its context.

    Parameters
    ----------
    table : Localizations
        The table.

    Returns
    -------
    pyarrow.Schema
        What `write` gives the file.
    """
    record = context_record(table.grid, table.provenance, n_frames=table.n_frames)
    fields = [
        pa.field(
            name,
            pa.from_numpy_dtype(np.dtype(COLUMNS[name].dtype)),
            nullable=False,
            metadata={"unit": COLUMNS[name].unit, "meaning": COLUMNS[name].meaning},
        )
        for name in table.names
    ]
    return pa.schema(fields, metadata={RECORD_KEY: json.dumps(record, sort_keys=True)})


def _numbers(path: Path, label: str, column: Any) -> NDArray[Any]:
    """Turn a column into an array; missing values become NaN."""
    kind = column.type
    if pa.types.is_integer(kind) and column.null_count == 0:
        array: NDArray[Any] = column.to_numpy()
        return array
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        msg = f"expected numbers in column {label!r} of {path}, got {kind}; convert the column"
        raise FormatError(msg)
    cast: NDArray[Any] = column.cast(pa.float64()).to_numpy()
    return cast


def _with_record(
    path: Path, columns: dict[str, NDArray[Any]], remarks: list[str], metadata: dict[bytes, bytes]
) -> Localizations:
    notes = tuple(remarks)
    raw = metadata.get(RECORD_KEY.encode())
    if raw is None:
        return Localizations(columns, provenance=read_provenance(path, notes=notes))
    try:
        record = json.loads(raw)
    except ValueError:
        record = None
    grid, provenance, n_frames = context_from_record(record, path)
    provenance = provenance or read_provenance(path)
    return Localizations(columns, grid=grid, n_frames=n_frames, provenance=with_notes(provenance, notes))


FORMAT = TableFormat("parquet", "Parquet (native)", looks_like, read, (".parquet",), write)
