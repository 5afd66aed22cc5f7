"""Curves and histograms as PNG, drawn without any global plotting state.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; curves also differ in their dashes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")
_FONT = "DejaVu Sans"
_SIZE_INCH = (5.6, 3.4)


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Parameters
    ----------
    x, y : array_like
        Shape (N,); gaps where a value is not finite.
    label : str
        Name in the legend; empty for none.
    """

    x: ArrayLike
    y: ArrayLike
    label: str = ""


def plot_curves(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    title: str = "",
    levels: Mapping[str, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    equal_axes: bool = False,
) -> bytes:
    """Draw curves into one plot.

    Parameters
    ----------
    curves : sequence of Curve
        None at all gives empty axes that say so.
    x_label, y_label : str
        With units, for example "drift x (nm)".
    title : str
        Empty for none.
    levels : mapping of str to float, optional
        Horizontal lines by name, for example a threshold.
    y_limits : tuple of float, optional
        None fits the data.
    equal_axes : bool
        Same scale along x and y, for paths.

    Returns
    -------
    bytes
        PNG; the same for the same input.

    Raises
    ------
    InputError
        x and y of a curve differ in length.
    """
    figure, axes = _axes(x_label, y_label, title)
    for index, curve in enumerate(curves):
        x, y = np.asarray(curve.x, dtype=np.float64), np.asarray(curve.y, dtype=np.float64)
        if x.shape != y.shape:
            msg = f"expected x and y of equal length in curve {curve.label!r}, got {x.shape} and {y.shape}"
            raise InputError(msg)
        style = _DASHES[index % len(_DASHES)]
        marker = "o" if len(x) == 1 else ""
        axes.plot(x, y, style, marker=marker, color=COLOURS[index % len(COLOURS)], linewidth=1.5, label=curve.label)
    for name, level in (levels or {}).items():
        axes.axhline(level, color="#555555", linewidth=1, linestyle=":", label=name)
    if not any(np.isfinite(np.asarray(curve.y, dtype=np.float64)).any() for curve in curves):
        _say_nothing_to_show(axes)
    if y_limits is not None:
        axes.set_ylim(*y_limits)
    if equal_axes:
        axes.set_aspect("equal", adjustable="datalim")
    _legend(axes)
    return _png(figure)


def plot_histogram(
    values: ArrayLike,
    x_label: str,
    title: str = "",
    limits: tuple[float, float] | None = None,
    n_bins: int = 60,
    marks: Mapping[str, float] | None = None,
) -> bytes:
    """Draw the distribution of some values.

    Parameters
    ----------
    values : array_like
        Shape (N,); values that are not finite are left out, and the plot says how many.
    x_label : str
        With the unit.
    title : str
        Empty for none.
    limits : tuple of float, optional
        Range shown; None takes the central 99 % so that outliers do not squeeze the rest, and the plot says how many
        values lie beyond.
    n_bins : int
        Number of bars, at least 1.
    marks : mapping of str to float, optional
        Vertical lines by name, for example the median.

    Returns
    -------
    bytes
        PNG; the same for the same input.
    """
    given = np.asarray(values, dtype=np.float64).reshape(-1)
    finite = given[np.isfinite(given)]
    figure, axes = _axes(x_label, "rows", title)
    if len(finite) == 0:
        _say_nothing_to_show(axes)
        return _png(figure)
    low, high = limits or _central_range(finite)
    counts, edges = np.histogram(finite, bins=n_bins, range=(low, high))
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=COLOURS[0], linewidth=0)
    axes.set_xlim(low, high)
    for index, (name, mark) in enumerate((marks or {}).items()):
        axes.axvline(mark, color=COLOURS[1 + index % 6], linewidth=1.5, linestyle="--", label=name)
    beyond = len(finite) - int(counts.sum())
    remarks = [f"{beyond} beyond the range"] if beyond else []
    remarks += [f"{len(given) - len(finite)} not a number"] if len(given) > len(finite) else []
    if remarks:
        axes.text(0.99, 0.98, ", ".join(remarks), transform=axes.transAxes, ha="right", va="top", fontsize=8)
    _legend(axes)
    return _png(figure)


def _central_range(finite: NDArray[np.float64]) -> tuple[float, float]:
    low = float(np.percentile(finite, 0.5, method="lower"))
    high = float(np.percentile(finite, 99.5, method="higher"))
    if high > low:
        return low, high
    half = max(abs(low) * 0.05, 0.5)
    return low - half, high + half


def _axes(x_label: str, y_label: str, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCH, dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor("white")
    axes.set_xlabel(x_label, fontfamily=_FONT, fontsize=10)
    axes.set_ylabel(y_label, fontfamily=_FONT, fontsize=10)
    if title:
        axes.set_title(title, fontfamily=_FONT, fontsize=11)
    axes.tick_params(labelsize=9, labelfontfamily=_FONT)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    named = [(handle, label) for handle, label in zip(handles, labels, strict=True) if label]
    if named:
        axes.legend(*zip(*named, strict=True), frameon=False, prop={"family": _FONT, "size": 9})


def _say_nothing_to_show(axes: Axes) -> None:
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "#555555", "fontfamily": _FONT}
    axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, **style)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
