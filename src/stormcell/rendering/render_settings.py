"""Settings of rendering; without compiled code, so that a command line can show them quickly."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stormcell.settings import Settings


class RenderSettings(Settings):
    """How localizations become a picture."""

    weight_column: str | None = None
    """Column that each localization adds to the picture (for example photons); without it each one adds 1."""

    uncertainty_nm: Annotated[float, Field(ge=0)] | None = None
    """Width (standard deviation) that mode gaussian gives every localization, in place of each one's own."""

    max_uncertainty_nm: Annotated[float, Field(gt=0)] = 250.0
    """Mode gaussian draws no localization wider than this standard deviation: about one PSF; what is less certain
    than that carries no position."""

    ash_shifts: Annotated[int, Field(ge=1, le=64)] = 2
    """Shifted histograms along each axis that mode ash averages; its bins are this many pixels wide."""

    max_output_gb: Annotated[float, Field(gt=0)] = 2.0
    """Refuse to make a picture that needs more memory than this (4 bytes each pixel)."""
