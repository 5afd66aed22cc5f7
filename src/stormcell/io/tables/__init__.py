"""Localization tables of all formats: read by content, written by ending."""

from stormcell.io.tables.registry import FORMATS, is_table, read_table, table_format_for, write_table
from stormcell.io.tables.table_format import TableFormat

__all__ = ["FORMATS", "TableFormat", "is_table", "read_table", "table_format_for", "write_table"]
