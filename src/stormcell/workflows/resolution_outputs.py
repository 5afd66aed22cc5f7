"""The files of resolution: numbers, curve and map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import stormcell
from stormcell.errors import OutputError

if TYPE_CHECKING:
    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.resolution import ResolutionResult

_MAP_COLOURS = "viridis_r"
_HALF_GREY = 127


@dataclass(frozen=True)
class ResolutionPaths:
    """Where the results go."""

    numbers: Path
    curve: Path
    plot: Path
    map: Path | None
    map_picture: Path | None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        places = (self.curve, self.plot, self.map, self.map_picture, self.numbers)
        return tuple(path for path in places if path is not None)


def resolution_paths(output: PathLike, with_map: bool) -> ResolutionPaths:
    """Name the files that go with a file of numbers.

    Parameters
    ----------
    output : path
        The JSON file.
    with_map : bool
        Whether there is a map.

    Returns
    -------
    ResolutionPaths
        All beside it.
    """
    base = Path(output).with_suffix("")
    local = base.with_name(base.name + "_map.ome.tif") if with_map else None
    picture = base.with_name(base.name + "_map.png") if with_map else None
    return ResolutionPaths(
        Path(output), base.with_name(base.name + ".csv"), base.with_name(base.name + ".png"), local, picture
    )


def prepare_resolution(output: PathLike | None, with_map: bool, overwrite: bool) -> ResolutionPaths | None:
    """Refuse early what cannot be written.

    Parameters
    ----------
    output : path or None
        The JSON file; None writes nothing.
    with_map : bool
        Whether there is a map.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    ResolutionPaths or None
        Where to write.
    """
    from stormcell.io.writing import check_writable

    if output is None:
        return None
    if Path(output).suffix.lower() != ".json":
        msg = f"expected a name ending in .json for the numbers, got {Path(output).name}; choose one"
        raise OutputError(msg)
    paths = resolution_paths(output, with_map)
    for path in paths.all:
        check_writable(path, overwrite)
    return paths


def write_resolution(result: ResolutionResult, paths: ResolutionPaths, overwrite: bool) -> None:
    """Write numbers, curve and map.

    Parameters
    ----------
    result : ResolutionResult
        What was measured.
    paths : ResolutionPaths
        Where to.
    overwrite : bool
        Whether existing files may be replaced.
    """
    from stormcell.io.documents import write_json
    from stormcell.io.images import write_image
    from stormcell.io.writing import write_bytes, write_text

    lines = [",".join(result.columns)]
    lines += [",".join(f"{value:.8g}" for value in row) for row in zip(*result.columns.values(), strict=True)]
    write_text(paths.curve, "\n".join(lines) + "\n", overwrite)
    write_bytes(paths.plot, _plot(result), overwrite)
    if result.map is not None and paths.map is not None and paths.map_picture is not None:
        write_image(replace(result.map, provenance=result.provenance), paths.map, overwrite)
        write_bytes(paths.map_picture, _map_picture(result.map), overwrite)
    write_json(paths.numbers, resolution_numbers(result), overwrite)


def resolution_numbers(result: ResolutionResult) -> dict[str, object]:
    """Collect the numbers for JSON.

    Parameters
    ----------
    result : ResolutionResult
        What was measured.

    Returns
    -------
    dict of str to object
        `resolution_nm` (or `precision_nm` for nena) with its 90 % interval, the method's own numbers, the note.
    """
    name = "precision_nm" if result.method == "nena" else "resolution_nm"
    made = result.provenance
    return {
        "verb": "resolution",
        "version": stormcell.__version__,
        "method": result.method,
        name: result.value_nm,
        "interval_nm": result.interval_nm,
        **result.numbers,
        "note": result.note,
        "inputs": [{"name": file.name, "sha256": file.sha256} for file in made.inputs] if made else [],
        "settings": made.settings if made else {},
        "warnings": list(made.warnings) if made else [],
    }


def _plot(result: ResolutionResult) -> bytes:
    from stormcell.rendering.plots import Curve, plot_curves

    columns = dict(result.columns)
    if result.method == "nena":
        x = columns.pop("distance_nm")
        curves = [Curve(x, columns[name], label) for name, label in (("count", "counted"), ("fitted", "fitted"))]
        return plot_curves(curves, "distance to the neighbour in the next frame [nm]", "rows", _title(result))
    x = columns.pop("frequency_per_nm") * 1000
    curves = [Curve(x, values, name) for name, values in columns.items()]
    return plot_curves(curves, "detail per \u00b5m", "correlation", _title(result))


def _title(result: ResolutionResult) -> str:
    if result.value_nm is None:
        return result.note
    word = f"{result.method}: {result.value_nm:.1f} nm"
    return (
        word if result.interval_nm is None else f"{word} ({result.interval_nm[0]:.1f} to {result.interval_nm[1]:.1f})"
    )


def _map_picture(local: SRImage) -> bytes:
    """Draw the map, the finest brightest; places that share nothing are black."""
    from stormcell.rendering.annotations import add_scale_bar
    from stormcell.rendering.pictures import draw_image, to_png_bytes

    known = local.pixels[np.isfinite(local.pixels)]
    low, high = (float(v) for v in np.percentile(known, (1, 99))) if len(known) else (0.0, 1.0)
    filled = replace(local, pixels=np.where(np.isfinite(local.pixels), local.pixels, np.float32(high)))
    limits = (low, max(high, low + 1e-3))
    drawn = draw_image(filled, _MAP_COLOURS, limits=limits, side_px=640, scale_bar=False)
    unknown = replace(local, pixels=np.isnan(local.pixels).astype(np.float32))
    mask = draw_image(unknown, "gray", limits=(0, 1), side_px=640, scale_bar=False)
    rgb = np.where(mask > _HALF_GREY, np.uint8(0), drawn)
    return to_png_bytes(add_scale_bar(rgb, local.grid.extent_nm[1] / rgb.shape[1]))
