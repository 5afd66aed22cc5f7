"""Options of every verb that takes a table."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stormcell.settings import Settings


class TableSettings(Settings):
    """What a table may not say about itself."""

    pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a camera pixel [nm], for tables that count in pixels; wins over what the table says."""

    columns: tuple[str, ...] | None = None
    """Names of the columns of a text table without a header line, or in place of its own, for example
    x_nm,y_nm,frame (frames from 0) or "x [nm],y [nm],frame" (frames from 1); other names are left out."""
