"""The folder that check writes: maps, pictures, numbers, and one page to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import stormcell
from stormcell.rendering.pictures import draw_image, to_png_bytes
from stormcell.rendering.report import Number, ReportContent, report_html
from stormcell.workflows.check_pictures import check_pictures, check_zooms, class_picture
from stormcell.workflows.pictures import ERROR_COLOURS, SR_COLOURS

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from stormcell.data.sr_image import SRImage
    from stormcell.rendering.report import Level
    from stormcell.workflows.check import CheckResult
    from stormcell.workflows.check_settings import CheckVerbSettings
    from stormcell.workflows.checking import Checked

_MAPS = ("error_map", "error_signed", "error_zscore", "error_local", "matched", "classes")
_PICTURES = ("error_map.png", "classes.png")
_GOOD_RSP = 0.9
_POOR_RSP = 0.6
_SHOWN_IMAGES = 4


def check_files(n_images: int, *, suppress: bool, fuse: bool) -> list[str]:
    """Name every file that a check writes.

    Parameters
    ----------
    n_images : int
        Super-resolution images; with several, each file begins with the number of its image, from 1.
    suppress : bool
        With corrected images.
    fuse : bool
        With a fused image.

    Returns
    -------
    list of str
        Names.
    """
    own = [f"{name}.ome.tif" for name in (*_MAPS, *(("corrected",) if suppress else ()))] + list(_PICTURES)
    names = [_prefix(number, n_images) + name for number in range(n_images) for name in own]
    return [*names, *(("fused.ome.tif", "fused.png") if fuse else ()), "report.html", "check.json"]


def write_check(result: CheckResult, settings: CheckVerbSettings, folder: Path, overwrite: bool) -> tuple[Path, ...]:
    """Write everything that a check found; check.json comes last.

    Parameters
    ----------
    result : CheckResult
        What was found.
    settings : CheckVerbSettings
        How.
    folder : Path
        Where to.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    tuple of Path
        Files written.
    """
    from stormcell.io.documents import write_json
    from stormcell.io.images import write_image
    from stormcell.io.writing import write_bytes, write_text

    n_images = len(result.checked)
    for number, one in enumerate(result.checked):
        prefix = _prefix(number, n_images)
        for name, picture in _maps(one, settings.suppress).items():
            made = replace(picture, provenance=result.provenance)
            write_image(made, folder / f"{prefix}{name}.ome.tif", overwrite)
        drawn = (
            draw_image(one.comparison.error, ERROR_COLOURS, side_px=1024),
            class_picture(one.image, one.artefacts.classes, 1024),
        )
        for name, rgb in zip(_PICTURES, drawn, strict=True):
            write_bytes(folder / f"{prefix}{name}", to_png_bytes(rgb), overwrite)
    if result.fused is not None:
        write_image(replace(result.fused, provenance=result.provenance), folder / "fused.ome.tif", overwrite)
        picture_bytes = to_png_bytes(draw_image(result.fused, SR_COLOURS, side_px=1024))
        write_bytes(folder / "fused.png", picture_bytes, overwrite)
    write_text(folder / "report.html", report_html(check_report(result)), overwrite)
    write_json(folder / "check.json", _record(result, settings), overwrite)
    names = check_files(n_images, suppress=settings.suppress, fuse=settings.fuse)
    return tuple(folder / name for name in names)


def check_numbers(checked: Checked) -> tuple[Number, ...]:
    """Choose the numbers of a check that are printed large.

    Parameters
    ----------
    checked : Checked
        From `check_image`.

    Returns
    -------
    tuple of Number
        With units and 90 % intervals.
    """
    found, shares = checked.comparison, checked.artefacts.shares

    def interval(name: str, form: str) -> str:
        ends = found.intervals.get(name)
        return "" if ends is None else f" (90 %: {ends[0]:{form}} to {ends[1]:{form}})"

    blur = checked.blur_level
    fineness = () if blur is None else (Number("Fine detail", f"{blur.gain:.2f}", "of what the events hold"),)
    return (
        Number("Agreement", f"{found.rsp:.3f}", f"correlation, RSP{interval('rsp', '.3f')}"),
        Number("Error", f"{found.rse:.4g}", f"RSE, wide-field units{interval('rse', '.4g')}"),
        Number("Blur", f"{found.rsf_sigma_nm:.0f}", f"nm, RSF sigma{interval('rsf_sigma_nm', '.0f')}"),
        Number("Scale", f"{found.alpha:.4g}", f"alpha{interval('alpha', '.4g')}"),
        Number("Offset", f"{found.beta:.4g}", f"beta{interval('beta', '.4g')}"),
        Number("Shift x, y", f"{found.shift_x_nm:.0f}, {found.shift_y_nm:.0f}", "nm, taken out"),
        Number("Measured", f"{shares['measured']:.0%}", "of the intensity"),
        Number("Inferred", f"{shares['inferred']:.0%}", "of the intensity"),
        Number("Contradicted", f"{shares['contradicted']:.0%}", "of the intensity"),
        *fineness,
    )


def check_report(result: CheckResult) -> ReportContent:
    """Collect what the page of a check says; of a stack, it shows the first images.

    Parameters
    ----------
    result : CheckResult
        What was found.

    Returns
    -------
    ReportContent
        Ready for `report_html`.
    """
    first, record = result.checked[0], result.provenance
    several = len(result.checked) > 1
    pictures, zooms = check_pictures(first), check_zooms(first)
    for number, one in enumerate(result.checked[1:_SHOWN_IMAGES], start=2):
        pictures += tuple(
            replace(p, title=f"{p.title} ({number})") for p in check_pictures(one) if p.title != "Wide field"
        )
    sentence, level = _verdict(first)
    if several:
        ranked = sorted(range(len(result.checked)), key=lambda i: -result.checked[i].comparison.rsp)
        order = ", ".join(f"image {i + 1} ({result.checked[i].comparison.rsp:.3f})" for i in ranked)
        sentence = f"Agreement with the wide field, best first: {order}."
    return ReportContent(
        title=record.inputs[0].name if record.inputs else "image in memory",
        verdict=sentence,
        level=level,
        numbers=check_numbers(first),
        pictures=pictures,
        zooms=zooms,
        warnings=record.warnings,
        notes=record.notes,
        inputs=tuple((file.name, file.sha256) for file in record.inputs),
        version=stormcell.__version__,
    )


def _verdict(checked: Checked) -> tuple[str, Level]:
    rsp, denied = checked.comparison.rsp, checked.artefacts.shares["contradicted"]
    said = f"{denied:.0%} of its intensity is contradicted"
    if rsp < _POOR_RSP:
        return f"The image does not agree with the wide field (correlation {rsp:.2f}); {said}.", "poor"
    if rsp < _GOOD_RSP or denied > 0.05:
        return f"The image agrees only in part with the wide field (correlation {rsp:.2f}); {said}.", "caution"
    return f"The image agrees with the wide field (correlation {rsp:.2f}); {said}.", "good"


def _maps(checked: Checked, with_corrected: bool) -> dict[str, SRImage]:
    found = checked.comparison
    maps = (found.error, found.signed, checked.z_score, checked.local_error, found.matched, checked.artefacts.classes)
    named = dict(zip(_MAPS, maps, strict=True))
    return named | ({"corrected": checked.corrected} if with_corrected else {})


def _record(result: CheckResult, settings: CheckVerbSettings) -> dict[str, Any]:
    made = result.provenance
    return {
        "verb": "check",
        "version": stormcell.__version__,
        **result.numbers,
        "illumination": settings.illumination,
        "class_numbers": {"empty": 0, "measured": 1, "inferred": 2, "contradicted": 3},
        "inputs": [{"name": file.name, "sha256": file.sha256} for file in made.inputs],
        "settings": made.settings,
        "warnings": list(made.warnings),
        "notes": list(made.notes),
    }


def _prefix(number: int, n_images: int) -> str:
    return "" if n_images == 1 else f"{number + 1}_"
