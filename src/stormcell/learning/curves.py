"""Learning curves of a training, drawn from its log."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from stormcell.io.writing import write_bytes
from stormcell.rendering.plots import Curve, plot_curves

if TYPE_CHECKING:
    from pathlib import Path

METRICS_FILE = "curves/metrics.csv"
"""Where the trainer keeps its numbers, in the folder of curves."""


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw the losses of training and validation over the steps.

    Parameters
    ----------
    metrics : Path
        The trainer's metrics.csv; nothing is drawn where it does not exist.
    picture : Path
        PNG to write; replaced.
    """
    if not metrics.is_file():
        return
    found: dict[str, list[tuple[float, float]]] = {"training": [], "validation": []}
    with metrics.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            for part, points in found.items():
                value = row.get(f"{part}/loss")
                if value:
                    points.append((float(row["step"]), float(value)))
    curves = [Curve([x for x, _ in points], [y for _, y in points], part) for part, points in found.items() if points]
    if curves:
        write_bytes(picture, plot_curves(curves, "step", "loss"), overwrite=True)
