"""Localization tables of all formats: read by content, written by ending."""

from stormcell.io.tables.registry import (
    FORMATS,
    check_table_writable,
    is_table,
    read_table,
    table_format_for,
    write_table,
)
from stormcell.io.tables.table_format import TableFormat

__all__ = [
    "FORMATS",
    "TableFormat",
    "check_table_writable",
    "is_table",
    "read_table",
    "table_format_for",
    "write_table",
]
