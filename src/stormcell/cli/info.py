"""`stormcell info`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb
from stormcell.workflows.table_settings import TableSettings

if TYPE_CHECKING:
    from stormcell.workflows.info import FileInfo


def act(call: Call) -> Answer:
    """Say what is inside a file.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        A table of facts.
    """
    from stormcell.workflows.info import info

    found = info(call.arguments["file"], **call.options)
    return Answer(rows=tuple(_rows(found)), result=asdict(found))


def _rows(found: FileInfo) -> list[tuple[str, str]]:
    rows = [("file", f"{found.name}, a {found.kind}, {found.n_bytes / 1e6:,.2f} MB")]
    rows += [(name.replace("_", " "), _shown(value)) for name, value in found.facts.items() if value is not None]
    for quantity in found.quantities:
        value = "not known" if quantity.value is None else f"{_shown(quantity.value)} {quantity.unit}".strip()
        rows.append((quantity.name, f"{value}  ({quantity.source}: {quantity.detail or 'no detail'})"))
    if found.columns:
        rows.append(("columns", "smallest / median / largest"))
    for column in found.columns:
        unit = f" {column.unit}" if column.unit else ""
        rows.append((f"  {column.name}", f"{column.smallest:.6g} / {column.median:.6g} / {column.largest:.6g}{unit}"))
    if found.provenance is not None and found.provenance.verb:
        rows.append(("made by", f"stormcell {found.provenance.version} {found.provenance.verb}".strip()))
        rows += [("warning", warning) for warning in found.provenance.warnings]
        rows += [("note", note) for note in found.provenance.notes]
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(_shown(part) for part in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


VERB = Verb(act, settings=TableSettings, arguments=(Argument("file", "A movie, a localization table or an image."),))
