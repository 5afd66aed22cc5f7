"""Learning curves of a training: its log, which a resumed training goes on writing, and pictures of it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

from stormcell.io.writing import write_bytes
from stormcell.rendering.plots import Curve, plot_curves

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

METRICS_FILE = "curves/metrics.csv"
"""Where the trainer keeps its numbers, in the folder of curves."""
JACCARD_PICTURE = "jaccard.png"
"""Picture beside that of the losses."""


class CurvesLogger(Logger):
    """Keep the numbers of a training as CSV, complete at any moment, one row for each time something was logged.

    Parameters
    ----------
    path : Path
        The file; replaced, but for the rows of steps already done.
    n_done : int
        Steps already done. Later rows are of a run that was killed after its last checkpoint: they come again.
    """

    def __init__(self, path: Path, n_done: int = 0) -> None:
        super().__init__()
        self._path = path
        self._n_done = n_done
        self._rows: list[dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """Of the log."""
        return self._path.stem

    @property
    def version(self) -> str:
        """Folder of the log."""
        return self._path.parent.name

    @property
    def save_dir(self) -> str:
        """Where it lies."""
        return str(self._path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Log nothing: the recipe is in the card.

        Parameters
        ----------
        params, *args, **kwargs
            Unused.
        """

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row and write the file.

        Parameters
        ----------
        metrics : mapping of str to float
            Values by name.
        step : int, optional
            When.
        """
        if self._rows is None:
            old = read_metrics(self._path) if self._n_done else []
            self._rows = [row for row in old if int(row["step"]) < self._n_done]
        self._rows.append({**{name: float(value) for name, value in metrics.items()}, "step": step})
        text = io.StringIO(newline="")
        names = sorted({name for row in self._rows for name in row})
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(self._rows)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(self._path, text.getvalue().encode(), overwrite=True)


def read_metrics(metrics: Path) -> list[dict[str, str]]:
    """Read the log of a training.

    Parameters
    ----------
    metrics : Path
        The file.

    Returns
    -------
    list of dict
        A row for each time something was logged, empty where a value was not; no rows where there is no file.
    """
    if not metrics.is_file():
        return []
    with metrics.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw the losses of training and validation over the steps, and beside them the Jaccard index where it is known.

    Parameters
    ----------
    metrics : Path
        The trainer's metrics.csv; nothing is drawn where it does not exist.
    picture : Path
        PNG of the losses to write; replaced. That of the Jaccard index is `JACCARD_PICTURE` in the same folder.
    """
    rows = read_metrics(metrics)
    losses = [_curve(rows, f"{part}/loss", part) for part in ("training", "validation")]
    shown = [curve for curve in losses if curve is not None]
    if shown:
        write_bytes(picture, plot_curves(shown, "step", "loss"), overwrite=True)
    jaccard = _curve(rows, "validation/jaccard", "")
    if jaccard is not None:
        drawn = plot_curves([jaccard], "step", "Jaccard index at 250 nm, validation", y_limits=(0.0, 1.0))
        write_bytes(picture.with_name(JACCARD_PICTURE), drawn, overwrite=True)


def _curve(rows: list[dict[str, str]], column: str, label: str) -> Curve | None:
    points = [(float(row["step"]), float(row[column])) for row in rows if row.get(column)]
    return Curve([x for x, _ in points], [y for _, y in points], label) if points else None
