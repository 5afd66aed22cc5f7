"""The figures and tables of the page on dense frames, from the JSON files that `benchmarks.dense_accuracy` writes.

    python -m benchmarks.dense_page RESULTS.json ... [-o docs/figures]

Draws `dense_efficiency.png` (efficiency with alpha 1/nm: rows are photon levels, columns PSFs),
`dense_efficiency_half.png` (the same with alpha 0.5/nm) and `dense_scores.png` (Jaccard at three tolerances, RMSE,
precision, frames/s at one level), and prints the efficiencies as Markdown tables. A method that no file holds is left
out; uniform scenes alone are drawn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# colours of Okabe and Ito, told apart by the colour-blind; marks differ too
STYLES = {
    "map": ("bound told the truth (map)", "#000000", ":", ""),
    "multi+psf": ("multi told the PSF", "#56B4E9", "--", "v"),
    "dense": ("dense", "#D55E00", "-", "o"),
    "network": ("dense --no-refines", "#D55E00", "--", "x"),
    "multi": ("multi", "#0072B2", "-", "s"),
    "mle": ("mle", "#009E73", "-", "^"),
    "picasso": ("Picasso", "#CC79A7", "-", "D"),
    "deepstorm": ("deepstorm-2018", "#E69F00", "-", "P"),
}
LEVEL = 1800.0
DETAILS = {
    "jaccard_250": "Jaccard, 250 nm",
    "jaccard_100": "Jaccard, 100 nm",
    "jaccard_50": "Jaccard, 50 nm",
    "rmse_nm": "RMSE (2-D), nm",
    "precision": "precision",
    "frames_per_s": "frames/s, 64 x 64 px",
}
Rows = list[dict[str, Any]]


def read(paths: list[Path]) -> Rows:
    """All rows in uniform scenes; of the same method in the same scene the last file's counts."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path in paths:
        for row in json.loads(path.read_text(encoding="utf-8")):
            if row["structure"] == "uniform":
                rows[tuple(row[name] for name in ("method", "psf", "electrons", "density"))] = row
    return list(rows.values())


def curve(rows: Rows, quantity: str, **wanted: Any) -> tuple[list[float], list[float]]:
    """Density and quantity of the rows that are as wanted, rising."""
    mine = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    mine.sort(key=lambda row: row["density"])
    return [row["density"] for row in mine], [row[quantity] for row in mine]


def draw(axes: Axes, rows: Rows, quantity: str, **where: Any) -> None:
    for method, (label, colour, line, mark) in STYLES.items():
        x, y = curve(rows, quantity, method=method, **where)
        if x:
            axes.plot(x, y, color=colour, linestyle=line, marker=mark, markersize=4, linewidth=1.4, label=label)
    axes.set_xscale("log")
    ticks = sorted({row["density"] for row in rows})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3, linewidth=0.5)


def save(figure: Figure, path: Path) -> None:
    # labels of all panels, each once: a method may be missing in the first panel
    found = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # 64 colours are enough for lines, and keep the file small
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(64).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def efficiencies(rows: Rows, quantity: str, title: str, path: Path) -> None:
    psfs = list(dict.fromkeys(row["psf"] for row in rows))
    levels = sorted({row["electrons"] for row in rows})
    figure = Figure(figsize=(9, 2.4 * len(levels) + 0.6), dpi=100, layout="constrained")
    panels = figure.subplots(len(levels), len(psfs), sharex=True, sharey=True, squeeze=False)
    for line, electrons in zip(panels, levels, strict=True):
        for axes, psf in zip(line, psfs, strict=True):
            draw(axes, rows, quantity, psf=psf, electrons=electrons)
            axes.set_ylim(0, 100)
            axes.set_title(f"{psf}, {electrons:g} electrons", fontsize=9)
        line[0].set_ylabel(title, fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("emitters per µm²", fontsize=8)
    save(figure, path)


def details(rows: Rows, electrons: float, path: Path) -> None:
    rows = [row for row in rows if row["electrons"] == electrons]
    psfs = list(dict.fromkeys(row["psf"] for row in rows))
    figure = Figure(figsize=(9, 1.7 * len(DETAILS) + 0.6), dpi=90, layout="constrained")
    panels = figure.subplots(len(DETAILS), len(psfs), sharex=True, sharey="row", squeeze=False)
    for line, (quantity, title) in zip(panels, DETAILS.items(), strict=True):
        for axes, psf in zip(line, psfs, strict=True):
            draw(axes, rows, quantity, psf=psf)
            if quantity == "jaccard_250":
                x, y = curve(rows, "random_jaccard", psf=psf, method="dense")
                axes.fill_between(x, y, color="#BBBBBB", label="as many random points")
                axes.set_title(psf, fontsize=9)
            if quantity == "frames_per_s":
                axes.set_yscale("log")
        line[0].set_ylabel(title, fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("emitters per µm²", fontsize=8)
    save(figure, path)


def tables(rows: Rows) -> None:
    densities = sorted({row["density"] for row in rows})
    for electrons in sorted({row["electrons"] for row in rows}):
        for psf in dict.fromkeys(row["psf"] for row in rows):
            print(f"\n{psf}, {electrons:g} electrons: efficiency alpha 1/nm, in brackets alpha 0.5/nm\n")
            print("| | " + " | ".join(f"{density:g}" for density in densities) + " |")
            print("|---" * (len(densities) + 1) + "|")
            for method, (label, *_) in STYLES.items():
                mine = {row["density"]: row for row in rows
                        if (row["method"], row["psf"], row["electrons"]) == (method, psf, electrons)}  # fmt: skip
                cells = [f"{mine[d]['efficiency']:.0f} ({mine[d]['efficiency_alpha_half']:.0f})" if d in mine else ""
                         for d in densities]  # fmt: skip
                if mine:
                    print(f"| {label} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/figures"))
    arguments = parser.parse_args()
    rows = read(arguments.results)
    arguments.output.mkdir(parents=True, exist_ok=True)
    efficiencies(rows, "efficiency", "efficiency, alpha 1/nm", arguments.output / "dense_efficiency.png")
    efficiencies(
        rows, "efficiency_alpha_half", "efficiency, alpha 0.5/nm", arguments.output / "dense_efficiency_half.png"
    )
    details(rows, LEVEL, arguments.output / "dense_scores.png")
    tables(rows)


if __name__ == "__main__":
    main()
