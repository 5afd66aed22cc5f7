"""Charts for the report: inline SVG that takes its colours from the page, so light and dark both read well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_WIDTH, _HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 12, 44


@dataclass(frozen=True)
class ChartText:
    """The words of a chart: axis labels with units, and what a reader who cannot see it is told."""

    x_label: str
    y_label: str
    alt: str


def histogram_svg(values: ArrayLike, text: ChartText, *, n_bins: int = 40, quantile: float = 0.99) -> str:
    """Draw a histogram.

    Parameters
    ----------
    values : array_like
        Shape (N,); values that are not finite are left out.
    text : ChartText
        Its words.
    n_bins : int
        Number of bars, >= 1.
    quantile : float
        The axis ends at this quantile, so that a few outliers do not squeeze the rest; 1 shows all.

    Returns
    -------
    str
        An SVG element; a sentence where there is nothing to draw.
    """
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    if not data.size:
        return _nothing(text)
    low, high = np.quantile(data, [1 - quantile, quantile])
    low = 0.0 if 0 <= low < 0.3 * high else float(low)
    if high <= low:
        low, high = low - 0.5, low + 0.5
    counts, edges = np.histogram(data, bins=n_bins, range=(low, float(high)))
    return bars_svg(counts, (float(edges[0]), float(edges[-1])), text)


def bars_svg(counts: ArrayLike, x_range: tuple[float, float], text: ChartText, *, line: float | None = None) -> str:
    """Draw bars of equal width.

    Parameters
    ----------
    counts : array_like
        Shape (N,), heights >= 0.
    x_range : tuple of float
        Where the first bar begins and the last ends.
    text : ChartText
        The words.
    line : float, optional
        Height of a dashed line, for example what is expected.

    Returns
    -------
    str
        An SVG element.
    """
    heights = np.asarray(counts, dtype=np.float64)
    top = _axis_end(max(float(heights.max(initial=0)), line or 0.0))
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(heights))
    bars = "".join(
        f'<rect x="{_LEFT + index * step:.2f}" y="{_y(height, top):.2f}" width="{max(step - 0.8, 0.4):.2f}" '
        f'height="{_HEIGHT - _BOTTOM - _y(height, top):.2f}"/>'
        for index, height in enumerate(heights)
        if height > 0
    )
    dashed = ""
    if line is not None:
        height = f"{_y(line, top):.2f}"
        dashed = f'<line class="expected" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height}" y2="{height}"/>'
    return _svg(f'<g class="bars">{bars}</g>{dashed}', x_range, (0.0, top), text)


def lines_svg(x: ArrayLike, curves: dict[str, ArrayLike], text: ChartText) -> str:
    """Draw one or two curves.

    Parameters
    ----------
    x : array_like
        Shape (N,), increasing.
    curves : dict of str to array_like
        Name and values of shape (N,), at most two.
    text : ChartText
        The words.

    Returns
    -------
    str
        An SVG element with a legend where there are two curves.
    """
    positions = np.asarray(x, dtype=np.float64)
    values = [np.asarray(curve, dtype=np.float64) for curve in curves.values()]
    if not positions.size:
        return _nothing(text)
    low = min(float(np.nanmin(curve)) for curve in values)
    high = max(float(np.nanmax(curve)) for curve in values)
    low, high = (low - 1, high + 1) if high - low < 1e-9 else (low - 0.05 * (high - low), high + 0.05 * (high - low))
    x_range = (float(positions[0]), float(positions[-1]) if len(positions) > 1 else float(positions[0]) + 1)
    marks = []
    for index, (name, curve) in enumerate(zip(curves, values, strict=True)):
        points = " ".join(
            f"{_x(a, x_range):.1f},{_between(b, low, high):.1f}"
            for a, b in zip(*_thinned(positions, curve), strict=True)
        )
        marks.append(f'<polyline class="curve{index}" points="{points}"/>')
        if len(curves) > 1:
            place = _LEFT + 8 + 60 * index
            marks.append(
                f'<line class="curve{index}" x1="{place}" x2="{place + 14}" y1="{_TOP + 4}" y2="{_TOP + 4}"/>'
                f'<text x="{place + 18}" y="{_TOP + 8}">{escape(name)}</text>'
            )
    return _svg("".join(marks), x_range, (low, high), text)


def ticks(low: float, high: float, n_wanted: int = 4) -> list[float]:
    """Choose round numbers for an axis.

    Parameters
    ----------
    low, high : float
        Ends of the axis, low < high.
    n_wanted : int
        About how many.

    Returns
    -------
    list of float
        Round numbers from low to high.
    """
    raw = (high - low) / max(1, n_wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _axis_end(largest: float) -> float:
    return largest * 1.06 if largest > 0 else 1.0


def _x(value: float, x_range: tuple[float, float]) -> float:
    return _LEFT + (value - x_range[0]) / (x_range[1] - x_range[0]) * (_WIDTH - _LEFT - _RIGHT)


def _between(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)


def _y(value: float, top: float) -> float:
    return _between(value, 0.0, top)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    step = max(1, len(x) // 600)
    return x[::step], y[::step]


def _number(value: float) -> str:
    if abs(value) >= 10_000:
        text = f"{value / 1000:g}k" if abs(value) < 1e6 else f"{value / 1e6:g}M"
    else:
        text = f"{value:.4g}"
    return text.replace("-", "\u2212")


def _svg(marks: str, x_range: tuple[float, float], y_range: tuple[float, float], text: ChartText) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tick in ticks(*y_range):
        y = f"{_between(tick, *y_range):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{float(y) + 3.5:.1f}" text-anchor="end">{_number(tick)}</text>'
        )
    for tick in ticks(*x_range):
        x = f"{_x(tick, x_range):.1f}"
        parts.append(f'<text class="tick" x="{x}" y="{bottom + 16}" text-anchor="middle">{_number(tick)}</text>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text class="label" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(text.x_label)}</text>'
    )
    parts.append(
        f'<text class="label" transform="translate(13 {(bottom + _TOP) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(text.y_label)}</text>'
    )
    axis = f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(text.alt, quote=True)}">'
        f"{''.join(parts)}{marks}{axis}</svg>"
    )


def _nothing(text: ChartText) -> str:
    return f'<p class="nothing" role="img" aria-label="{escape(text.alt, quote=True)}">Nothing to draw.</p>'
