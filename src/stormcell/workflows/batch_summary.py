"""The summary of a batch: one table, and one page with a gallery that sorts, worst first."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pandas as pd

from stormcell.io.writing import atomic_path, write_text

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = ("n_localizations", "resolution_nm", "rsp")
_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}th{cursor:pointer;text-align:left}"
    "td,th{padding:4px 10px;border-bottom:1px solid #ddd;vertical-align:top}.bad{color:#b00020}img{background:#000}"
)
_SCRIPT = """document.querySelectorAll('th').forEach((h,i)=>h.onclick=()=>{const b=document.querySelector('tbody');
const v=r=>{const t=r.cells[i].dataset.v??r.cells[i].innerText;return t===''?-Infinity:isNaN(t)?t:+t};
const s=h.dataset.up=h.dataset.up==='1'?'-1':'1';
[...b.rows].sort((p,q)=>{const x=v(p),y=v(q);return s*(x>y?1:x<y?-1:0)}).forEach(r=>b.append(r))});"""


def write_summary(folder: Path, outcomes: list[dict[str, Any]], total: int) -> tuple[Path, Path]:
    """Write summary.parquet and summary.html, each in one step.

    Parameters
    ----------
    folder : Path
        Output of the batch.
    outcomes : list of dict
        Of the inputs that are finished or failed.
    total : int
        Inputs of the batch.

    Returns
    -------
    tuple of Path
        Table and page.
    """
    ordered = sorted(outcomes, key=_badness)
    table, page = folder / "summary.parquet", folder / "summary.html"
    rows = [_row(outcome) for outcome in ordered]
    columns = ("name", "source", "verb", "state", "error", "warnings", "seconds")
    with atomic_path(table, overwrite=True) as temporary:
        pd.DataFrame(rows, columns=None if rows else columns).to_parquet(temporary)
    head = "".join(f"<th>{name}</th>" for name in ("", "input", "state", *_SHOWN, "warnings", "seconds"))
    body = "".join(_html_row(outcome) for outcome in ordered)
    failed = sum("error" in outcome for outcome in outcomes)
    text = (
        f"<!doctype html><meta charset=utf-8><title>Batch</title><style>{_STYLE}</style><h1>Batch</h1>"
        f"<p>{len(outcomes)} of {total} inputs done, {failed} failed. Click a heading to sort.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><script>{_SCRIPT}</script>"
    )
    write_text(page, text, overwrite=True)
    return table, page


def _badness(outcome: dict[str, Any]) -> tuple[int, float, int, str]:
    numbers = outcome.get("numbers", {})
    return ("error" not in outcome, numbers.get("rsp", 2.0), -len(outcome.get("warnings", ())), outcome["name"])


def _row(outcome: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": outcome["name"],
        "source": outcome["source"],
        "verb": outcome["verb"],
        "state": "failed" if "error" in outcome else "done",
        "error": outcome.get("error"),
        "warnings": "; ".join(outcome.get("warnings", ())),
        "seconds": outcome.get("seconds"),
        **outcome.get("numbers", {}),
    }


def _html_row(outcome: dict[str, Any]) -> str:
    numbers, error = outcome.get("numbers", {}), outcome.get("error")
    picture = outcome.get("thumbnail")
    image = f'<img alt="" src="data:image/png;base64,{picture}">' if picture else ""
    name = html.escape(outcome["name"])
    cells = [image, name if error else f'<a href="{name}/">{name}</a>']
    cells.append(f"<span class=bad>failed: {html.escape(error)}</span>" if error else "done")
    cells += [f"{numbers[key]:.4g}" if key in numbers else "" for key in _SHOWN]
    cells += [html.escape("; ".join(outcome.get("warnings", ()))), str(outcome.get("seconds", ""))]
    values = ["", name, "failed" if error else "done", *(str(numbers.get(key, "")) for key in _SHOWN)]
    values += [str(len(outcome.get("warnings", ()))), str(outcome.get("seconds", ""))]
    pairs = zip(values, cells, strict=True)
    return "<tr>" + "".join(f'<td data-v="{value}">{cell}</td>' for value, cell in pairs) + "</tr>"
