"""The report: one self-contained web page that a biologist can read, made of facts that others have found."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from stormcell.rendering.report_style import REPORT_CSS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormcell.data.provenance import Quantity

Level = Literal["good", "caution", "poor"]

_SOURCES = {
    "given": "given by you",
    "read": "read from the file",
    "estimated": "estimated from the movie",
    "assumed": "assumed",
}
_NAMES = {
    "camera_pixel_size_nm": "camera pixel size",
    "camera_type": "camera type",
    "offset_adu": "camera offset",
    "gain_e_per_adu": "camera gain",
    "em_gain": "EM gain",
    "qe": "quantum efficiency",
    "read_noise_e": "read noise",
    "bit_depth": "bit depth",
    "psf_sigma_nm": "PSF sigma",
}


@dataclass(frozen=True)
class Picture:
    """One picture: PNG bytes, a title, what it shows, and what a reader who cannot see it is told."""

    png: bytes
    title: str
    caption: str
    alt: str
    is_pixelated: bool = False


@dataclass(frozen=True)
class Chart:
    """One chart: an SVG element, a title and what to look for in it."""

    svg: str
    title: str
    caption: str


@dataclass(frozen=True)
class Number:
    """One number worth printing large."""

    label: str
    value: str
    unit: str = ""


@dataclass(frozen=True)
class ReportContent:
    """Everything the report says."""

    title: str
    verdict: str
    level: Level
    numbers: tuple[Number, ...] = ()
    pictures: tuple[Picture, ...] = ()
    zooms: tuple[Picture, ...] = ()
    charts: tuple[Chart, ...] = ()
    densified: tuple[Picture, ...] = ()
    densified_verdict: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    rerun: str = ""
    version: str = ""


def report_html(content: ReportContent) -> str:
    """Write the report.

    Parameters
    ----------
    content : ReportContent
        Everything it says.

    Returns
    -------
    str
        A complete HTML page without scripts and without outside resources.
    """
    body = "".join(
        (
            f'<header><p class="kicker">stormcell report</p><h1>{escape(content.title)}</h1></header>',
            f'<p class="verdict {content.level}" role="status">{escape(content.verdict)}</p>',
            _numbers(content.numbers),
            _warnings(content.warnings, content.notes),
            _pictures(content.pictures),
            _zooms(content.zooms),
            _densified(content.densified, content.densified_verdict),
            _charts(content.charts),
            _quantities(content.quantities),
            _rerun(content),
            f"<footer>Made by stormcell {escape(content.version)}. Positions count from the outer corner of the "
            "first camera pixel of the movie.</footer>",
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(content.title)} \u2013 stormcell</title><style>{REPORT_CSS}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _section(title: str, lead: str, inside: str) -> str:
    if not inside:
        return ""
    return f"<section><h2>{escape(title)}</h2><p>{escape(lead)}</p>{inside}</section>"


def _numbers(numbers: Sequence[Number]) -> str:
    items = "".join(
        f"<div><dt>{escape(number.label)}</dt><dd>{escape(number.value)} "
        f'<span class="unit">{escape(number.unit)}</span></dd></div>'
        for number in numbers
    )
    return f'<dl class="numbers">{items}</dl>' if items else ""


def _warnings(warnings: Sequence[str], notes: Sequence[str]) -> str:
    said = "".join(f"<li>{escape(_sentence(note))}</li>" for note in notes)
    also = f'<ul class="also">{said}</ul>' if said else ""
    if not warnings:
        return f'<section><h2>Notes</h2><p class="fine">Nothing unusual was noticed.</p>{also}</section>'
    items = "".join(f"<li>{escape(_sentence(warning))}</li>" for warning in warnings)
    return _section("Notes", "Read these before you trust the picture.", f'<ul class="notes">{items}</ul>{also}')


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    kind = ' class="pixelated"' if picture.is_pixelated else ""
    return (
        f'<figure><img{kind} src="data:image/png;base64,{data}" alt="{escape(picture.alt, quote=True)}">'
        f"<figcaption><b>{escape(picture.title)}</b>{escape(picture.caption)}</figcaption></figure>"
    )


def _pictures(pictures: Sequence[Picture]) -> str:
    inside = "".join(_figure(picture) for picture in pictures)
    lead = "The same field in several ways. Structure that the wide-field picture does not support is suspect."
    return _section("Pictures", lead, f'<div class="pictures">{inside}</div>' if inside else "")


def _zooms(zooms: Sequence[Picture]) -> str:
    inside = "".join(_figure(picture) for picture in zooms)
    lead = "The densest places, chosen without looking."
    return _section("Close up", lead, f'<div class="zooms">{inside}</div>' if inside else "")


def _densified(pictures: Sequence[Picture], verdict: str) -> str:
    inside = "".join(_figure(picture) for picture in pictures)
    return _section("Densified", verdict, f'<div class="pictures">{inside}</div>' if inside else "")


def _charts(charts: Sequence[Chart]) -> str:
    inside = "".join(
        f"<figure>{chart.svg}<figcaption><b>{escape(chart.title)}</b>{escape(chart.caption)}</figcaption></figure>"
        for chart in charts
    )
    lead = "What the localizations in the picture are like."
    return _section("Distributions", lead, f'<div class="charts">{inside}</div>' if inside else "")


def _quantities(quantities: Sequence[Quantity]) -> str:
    rows = "".join(_quantity_row(quantity) for quantity in quantities)
    if not rows:
        return ""
    head = (
        "<tr><th scope='col'>Quantity</th><th scope='col'>Value</th><th scope='col'>Where it comes from</th>"
        "<th scope='col'>Detail</th></tr>"
    )
    lead = "Photons, uncertainties and lengths are only as good as these values. Intervals hold 90 %."
    table = f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    return _section("Given, read, estimated, assumed", lead, table)


def _quantity_row(quantity: Quantity) -> str:
    value = "could not be found" if quantity.value is None else _value(quantity.value)
    unit = f" {quantity.unit}" if quantity.unit and quantity.value is not None else ""
    between = ""
    if quantity.interval is not None:
        between = f"<br>{_value(quantity.interval[0])} to {_value(quantity.interval[1])}{escape(unit)}"
    return (
        f"<tr><td>{escape(_NAMES.get(quantity.name, quantity.name.replace('_', ' ')))}</td>"
        f'<td class="value">{value}{escape(unit)}{between}</td>'
        f'<td><span class="tag {quantity.source}">{_SOURCES[quantity.source]}</span></td>'
        f"<td>{escape(quantity.detail)}</td></tr>"
    )


def _rerun(content: ReportContent) -> str:
    files = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(sha256)}</code></td></tr>" for name, sha256 in content.inputs
    )
    table = ""
    if files:
        head = "<tr><th scope='col'>Input file</th><th scope='col'>SHA-256</th></tr>"
        table = f'<div class="scroll"><table><thead>{head}</thead><tbody>{files}</tbody></table></div>'
    command = f"<pre>{escape(content.rerun)}</pre>" if content.rerun else ""
    lead = "run.json in this folder holds every setting; this command repeats the run and compares the results."
    return _section("How to repeat this", lead, command + table)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _value(value: float | str) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.4g}".replace("-", "\u2212")
