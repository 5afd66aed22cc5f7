"""Delimited text: the header is looked at in Python, the rows are read by Arrow in seconds per million."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from stormcell.errors import FormatError
from stormcell.io.reading import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_COMMENT_MARKS = ("#", "%")
_COMMENT_BYTES = (b"#", b"%")
_DELIMITERS = (",", "\t", ";")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LINE_END = re.compile(r"\r\n|\n|\r")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*")
_SAMPLE_LINES = 20
# Java writes NaN and infinity as these two signs where its tables of symbols are old.
_NOT_A_NUMBER = ("\ufffd", "∞", "-∞")
_NULLS = ("", "NaN", "nan", "-NaN", "-nan", "NA", "N/A", "n/a", "null", "NULL", "#N/A", "1.#IND", *_NOT_A_NUMBER)


@dataclass(frozen=True)
class TextHeader:
    """The labels of delimited text and how its rows are written.

    Parameters
    ----------
    labels : tuple of str
        Column labels, unquoted; empty when the first line is numbers.
    delimiter : str
        One character between cells.
    decimal_point : str
        "." or ",".
    n_lines_before_rows : int
        Physical lines to pass over before the first row.
    is_utf16 : bool
        Whether the file must be decoded first.
    has_rows : bool
        False when the file ends with its header.
    are_given : bool
        Whether the labels come from the user.
    """

    labels: tuple[str, ...]
    delimiter: str
    decimal_point: str = "."
    n_lines_before_rows: int = 0
    is_utf16: bool = False
    has_rows: bool = True
    are_given: bool = False


def read_header(head: bytes, labels: Sequence[str] | None = None) -> TextHeader | None:
    """Find the labels and the way the rows are written.

    Parameters
    ----------
    head : bytes
        The first bytes of the file, all of it when it is short.
    labels : sequence of str, optional
        Column labels of a file that has no header line, or in place of its own.

    Returns
    -------
    TextHeader or None
        None when the file is not text or holds nothing but comments.
    """
    if not is_text(head):
        return None
    is_utf16 = head.startswith(_UTF16_MARKS)
    lines = _LINE_END.split(_decode(head, is_utf16))
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(_COMMENT_MARKS)), None)
    if first is None:
        return None
    delimiter = max(_DELIMITERS, key=_outside_quotes(lines[first]).count)
    cells, are_given = _split_header(lines[first], delimiter), labels is not None
    if not all(_is_number(cell) for cell in cells):
        labels, first = cells if labels is None else labels, first + 1
    rows = [line for line in lines[first : first + _SAMPLE_LINES] if line.strip()]
    return TextHeader(
        labels=tuple(labels or ()),
        delimiter=delimiter,
        decimal_point="," if _has_decimal_comma(rows, delimiter) else ".",
        n_lines_before_rows=first,
        is_utf16=is_utf16,
        has_rows=any(not line.startswith(_COMMENT_MARKS) for line in rows) or len(lines) > first + _SAMPLE_LINES,
        are_given=are_given,
    )


def read_cells(
    path: Path, header: TextHeader, indices: Sequence[int], text: bytes | None = None
) -> list[NDArray[np.float64]]:
    """Read some columns as numbers.

    Parameters
    ----------
    path : Path
        The file.
    header : TextHeader
        What `read_header` found.
    indices : sequence of int
        Which columns.
    text : bytes, optional
        The part of the file that is the table, in UTF-8, where something else follows.

    Returns
    -------
    list of ndarray
        One array of shape (N,) per index; empty cells are NaN.

    Raises
    ------
    FormatError
        A cell is not a number, or a row has another number of cells than the header; the message gives the line.
    """
    if not header.has_rows:
        return [np.empty(0) for _ in indices]
    if header.is_utf16:
        text = path.read_bytes().decode("utf-16", errors="replace").encode()
    try:
        source = str(path) if text is None else io.BytesIO(text)
        return _read_rows(source, header, indices, header.n_lines_before_rows)
    except pa.ArrowInvalid as error:
        problem = _find_problem(path, header, indices, text)
        if problem is not None:
            raise FormatError(problem) from None
        reason = str(error).splitlines()[0]
    lines = (path.read_bytes() if text is None else text).splitlines(keepends=True)[header.n_lines_before_rows :]
    rows = b"".join(line for line in lines if not line.lstrip().startswith(_COMMENT_BYTES))
    try:
        return _read_rows(io.BytesIO(rows), header, indices, 0)
    except pa.ArrowInvalid:
        msg = f"expected a table of numbers in {path}, but it cannot be read: {reason}; export it again"
        raise FormatError(msg) from None


def _read_rows(
    source: str | io.BytesIO, header: TextHeader, indices: Sequence[int], n_lines_before_rows: int
) -> list[NDArray[np.float64]]:
    names = [str(index) for index in range(len(header.labels))]
    wanted = [names[index] for index in indices]
    table = pa_csv.read_csv(
        source,
        read_options=pa_csv.ReadOptions(column_names=names, skip_rows=n_lines_before_rows),
        parse_options=pa_csv.ParseOptions(delimiter=header.delimiter),
        convert_options=pa_csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.float64()),
            null_values=list(_NULLS),
            decimal_point=header.decimal_point,
        ),
    )
    return [table.column(name).to_numpy() for name in wanted]


def _decode(data: bytes, is_utf16: bool) -> str:
    if is_utf16:
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A cut character at the end of the sample is no sign of another encoding; a wrong one before it is.
        is_cut = error.start >= len(data) - 3
        return data[: error.start].decode("utf-8-sig") if is_cut else data.decode("latin-1")


def _split_header(line: str, delimiter: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=delimiter))
    if len(cells) == 1 and delimiter in cells[0]:  # the whole line was quoted once more, as in Locan's sample
        cells = next(csv.reader([cells[0]], delimiter=delimiter))
    return [cell.strip().strip('"').strip() for cell in cells]


def _outside_quotes(line: str) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    return bare if any(mark in bare for mark in _DELIMITERS) else line


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".") or "nan")
    except ValueError:
        return False
    return True


def _has_decimal_comma(rows: list[str], delimiter: str) -> bool:
    cells = [cell for row in csv.reader(rows, delimiter=delimiter) for cell in row]
    return any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells) and not any("." in cell for cell in cells)


def _rows(path: Path, header: TextHeader, text: bytes | None) -> Iterator[tuple[int, list[str]]]:
    source = path.open("rb") if text is None else io.BytesIO(text)
    with io.TextIOWrapper(source, encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=header.delimiter)
        for cells in reader:
            is_comment = bool(cells) and cells[0].lstrip().startswith(_COMMENT_MARKS)
            if reader.line_num > header.n_lines_before_rows and any(cells) and not is_comment:
                yield reader.line_num, cells


def _find_problem(path: Path, header: TextHeader, indices: Sequence[int], text: bytes | None) -> str | None:
    """Find the line that Arrow, reading in parallel, could not name; None when comments alone are in the way."""
    n_cells = len(header.labels)
    try:
        for line, cells in _rows(path, header, text):
            if len(cells) != n_cells:
                advice = "name every column, - for one to leave out" if header.are_given else "correct or remove it"
                return f"expected {n_cells} values in line {line} of {path}, got {len(cells)}; {advice}"
            for index in indices:
                cell = cells[index].strip()
                if cell not in _NULLS and not _is_number(cell):
                    label = header.labels[index]
                    return f"expected a number for {label!r} in line {line} of {path}, got {cell[:40]!r}; correct it"
    except csv.Error as error:
        return f"expected a table as text in {path}, but it cannot be read: {error}; export it again"
    return None
