"""The folder that a run writes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stormcell
from stormcell.workflows.check_pictures import check_zooms, judged_pictures
from stormcell.workflows.outputs import prepare_folder
from stormcell.workflows.pictures import picture_with_scale_bar, report_pictures, zoom_pictures
from stormcell.workflows.report_content import report_content
from stormcell.workflows.run_densify import densified_images, densified_pictures
from stormcell.workflows.run_record import run_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.provenance import InputFile
    from stormcell.rendering.report import ReportContent
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.run_result import RunResult
    from stormcell.workflows.run_settings import RunVerbSettings
    from stormcell.workflows.stopwatch import Stopwatch

RUN_FILES = (
    "localizations.parquet",
    "localizations.csv",
    "superresolution.ome.tif",
    "superresolution.png",
    "widefield.ome.tif",
    "error_map.ome.tif",
    "classes.ome.tif",
    "densified.ome.tif",
    "uncertainty.ome.tif",
    "drift.csv",
    "drift.png",
    "report.html",
    "run.json",
)
"""Every file that a run may write; run.json comes last, so a folder that holds it is complete."""


def prepare_run_folder(folder: PathLike, overwrite: bool) -> Path:
    """Make the folder, refusing early when results would be replaced or cannot be written.

    Parameters
    ----------
    folder : path
        Where results go.
    overwrite : bool
        Whether earlier results may be replaced.

    Returns
    -------
    Path
        The folder.
    """
    return prepare_folder(folder, RUN_FILES, overwrite)


def run_inputs(stack: FrameStack, widefield: str | None) -> dict[str, tuple[Path, InputFile]]:
    """Fingerprint the files that go into a run.

    Parameters
    ----------
    stack : FrameStack
        The movie; one that lives in memory only has no file.
    widefield : str or None
        The wide-field image.

    Returns
    -------
    dict of str to (Path, InputFile)
        By role: movie, widefield.
    """
    from stormcell.io.hashing import hash_input

    places = {"movie": stack.path, "widefield": widefield}
    return {role: (Path(place), hash_input(place)) for role, place in places.items() if place is not None}


def write_run(
    result: RunResult,
    settings: RunVerbSettings,
    inputs: Mapping[str, tuple[Path, InputFile]],
    folder: Path,
    watch: Stopwatch,
) -> RunResult:
    """Write all files of a run, run.json last.

    Parameters
    ----------
    result : RunResult
        With its record.
    settings : RunVerbSettings
        How it was made.
    inputs : mapping of str to (Path, InputFile)
        From which files.
    folder : Path
        Where to.
    watch : Stopwatch
        Times of the stages.

    Returns
    -------
    RunResult
        The same, with the files written.
    """
    from stormcell.io.documents import write_json
    from stormcell.io.hashing import hash_input
    from stormcell.io.writing import write_text
    from stormcell.rendering.report import report_html

    # All files are written aside and then moved: a killed run leaves the results of the earlier one whole.
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as name:
        aside = Path(name)
        written = _write_data(result, aside)
        write_text(aside / "report.html", report_html(_report(result, inputs)))
        written.append("report.html")
        watch.lap("write")
        hashes = {name: hash_input(aside / name).sha256 for name in written}
        write_json(aside / "run.json", _record(result, settings, inputs, folder, hashes, watch))
        written.append("run.json")
        for name in written:
            os.replace(aside / name, folder / name)
    for name in set(RUN_FILES) - set(written):
        (folder / name).unlink(missing_ok=True)
    return replace(result, outputs=tuple(folder / name for name in written))


def _write_data(result: RunResult, folder: Path) -> list[str]:
    from stormcell.io.images import write_image
    from stormcell.io.tables import write_table
    from stormcell.io.writing import write_bytes
    from stormcell.workflows.drift import write_drift_curve

    written = ["localizations.parquet", "localizations.csv"]
    for name in written:
        write_table(result.table, folder / name)
    images = {"superresolution": result.image, "widefield": result.widefield, "error_map": result.error_map}
    if result.checked is not None:
        images["classes"] = replace(result.checked.artefacts.classes, provenance=result.provenance)
    images |= densified_images(result.densified, result.provenance)
    for stem, image in images.items():
        if image is not None:
            write_image(image, folder / f"{stem}.ome.tif")
            written.append(f"{stem}.ome.tif")
    write_bytes(folder / "superresolution.png", picture_with_scale_bar(result.image))
    written.append("superresolution.png")
    if result.drift is not None:
        write_drift_curve(result.drift, (folder / "drift.csv", folder / "drift.png"), overwrite=False)
        written += ["drift.csv", "drift.png"]
    return written


def _report(result: RunResult, inputs: Mapping[str, tuple[Path, InputFile]]) -> ReportContent:
    record = result.provenance
    pictures = report_pictures(result.image, result.widefield, result.error_map)
    zooms = zoom_pictures(result.image, result.widefield)
    if result.checked is not None:
        pictures += judged_pictures(result.checked)
        zooms = check_zooms(result.checked)
    warnings = record.warnings if record else ()
    curves = (result.drift, result.resolution)
    content = report_content(result.drawn, result.numbers, (pictures, zooms), curves, warnings)
    movie = inputs["movie"][1].name if "movie" in inputs else "array in memory"
    return replace(
        content,
        title=movie,
        densified=densified_pictures(result.densified, result.image),
        densified_verdict="" if result.densified is None else " ".join(result.densified.verdict.sentences),
        notes=result.notes,
        quantities=record.quantities if record else (),
        inputs=tuple((file.name, file.sha256) for _, file in inputs.values()),
        rerun="stormcell rerun run.json" if inputs else "",
        version=stormcell.__version__,
    )


def _record(
    result: RunResult,
    settings: RunVerbSettings,
    inputs: Mapping[str, tuple[Path, InputFile]],
    folder: Path,
    hashes: dict[str, str],
    watch: Stopwatch,
) -> dict[str, Any]:
    record = result.provenance
    return run_record(
        "run",
        settings,
        inputs,
        folder,
        quantities=record.quantities if record else (),
        results=result.numbers,
        warnings=list(record.warnings) if record else [],
        notes=list(result.notes),
        outputs=hashes,
        started=watch.started,
        seconds=watch.readings(),
    )
