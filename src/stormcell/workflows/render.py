"""render: draw a super-resolution image from a table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from stormcell.rendering.render_settings import RenderSettings
from stormcell.workflows.opening import PathLike, fingerprint, open_table
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_image
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.table_settings import TableSettings

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations
    from stormcell.data.sr_image import SRImage


class RenderVerbSettings(TableSettings):
    """How a table becomes a picture."""

    sr_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)]
    """Side of a pixel of the picture [nm], for example 10."""

    mode: Literal["gaussian", "histogram", "ash"] = "gaussian"
    """gaussian draws each localization as wide as it is uncertain, histogram counts, ash averages shifted
    histograms."""

    rendering: RenderSettings = RenderSettings()
    """Details of the drawing."""


@with_remote_places
def render(
    table: PathLike | Localizations,
    settings: RenderVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    **options: Any,
) -> SRImage:
    """Draw a super-resolution image from a table.

    Parameters
    ----------
    table : path or Localizations
        The table.
    settings : RenderVerbSettings, optional
        Pixel size and mode; or give them as options.
    output : path, optional
        Write the image there too: .tif keeps numbers and pixel size, .png is a picture with a scale bar.
    overwrite : bool
        Whether an existing file may be replaced.
    **options : object
        Fields of the settings.

    Returns
    -------
    SRImage
        The image with its record.

    Raises
    ------
    InputError
        The file is no table, lacks a column, or the picture would be absurdly large.
    """
    from stormcell.rendering import render as draw

    wanted = build_settings(RenderVerbSettings, settings, options)
    prepare_image(output, overwrite)
    rows = open_table(table, wanted.pixel_size_nm, wanted.columns)
    with collect_warnings() as messages:
        drawn = draw(rows, wanted.sr_pixel_size_nm, wanted.mode, settings=wanted.rendering)
    made = drawn.provenance
    notes, warnings = (made.notes, made.warnings) if made else ((), ())
    record = make_record("render", wanted, inputs=fingerprint(table), parent=rows.provenance, notes=notes)
    image = replace(drawn, provenance=record.with_warnings(*warnings, *messages))
    if output is not None:
        from stormcell.workflows.write import write

        write(image, output, overwrite=overwrite)
    return image
