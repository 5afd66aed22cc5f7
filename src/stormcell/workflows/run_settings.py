"""Settings of run: those of localize, and how the table becomes a picture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stormcell.localization.drift import DriftSettings
from stormcell.localization.linking import LinkSettings
from stormcell.rendering.render_settings import RenderSettings
from stormcell.workflows.densify_settings import DensifyOptions
from stormcell.workflows.localize import LocalizeVerbSettings


class RunVerbSettings(LocalizeVerbSettings):
    """How a movie becomes a table, a picture and a report."""

    correct_drift: bool = True
    """Take the sample's drift out, where the localizations show enough structure to see it."""

    drift: DriftSettings = DriftSettings()
    """How drift is found."""

    merge_bursts: bool = False
    """Merge the localizations of one burst over consecutive frames before drawing."""

    linking: LinkSettings = LinkSettings()
    """How far apart rows of one burst may be."""

    where: str | None = None
    """Draw only rows for which this holds, for example "photons > 300"; the table keeps all rows."""

    draw_failed: bool = False
    """Also draw rows whose fit did not converge (their flags say so)."""

    sr_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a pixel of the super-resolution picture [nm]; without it an eighth of the camera pixel."""

    mode: Literal["gaussian", "histogram", "ash"] = "gaussian"
    """gaussian draws each localization as wide as it is uncertain, histogram counts, ash averages shifted
    histograms."""

    rendering: RenderSettings = RenderSettings()
    """Details of the drawing."""

    widefield: str | None = None
    """Wide-field image to compare with; without it the mean of the movie's frames."""

    widefield_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Pixel of that image [nm], where the file does not say."""

    follow: bool = False
    """Follow the movie, a file or a folder of files, while it is written: live.html in the output folder shows a
    picture that refreshes and the frames still needed; when no more frames come the whole movie is run as usual."""

    follow_idle_s: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    """With follow: the movie has ended when no frame came for so long [s]."""

    follow_start_s: Annotated[float, Field(gt=0, le=604_800)] = 600.0
    """With follow: how long to wait for the first frame [s]."""

    densify: bool = False
    """Also draw the picture that a longer acquisition would have given."""

    densification: DensifyOptions = DensifyOptions()
    """How that is drawn."""
