"""Settings of densify; without torch, so that a command line can show them quickly."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stormcell.localization.linking import LinkSettings
from stormcell.settings import Settings
from stormcell.workflows.table_settings import TableSettings


class DensifyOptions(Settings):
    """What the network is told, and what is worked out besides the image."""

    model: str = "annapalm"
    """Network: the name of a shipped model (see stormcell models list) or a model folder."""

    structure: str = "unknown"
    """What is in the field: microtubules, nuclear_pores, mitochondria, actin, or unknown."""

    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the frames of the long acquisition that the input holds, for example 0.03. With it the picture shows
    what the long acquisition would have given, without it another acquisition as long as the input."""

    max_shift_nm: Annotated[float, Field(gt=0, le=100_000)] = 500.0
    """Largest displacement of the wide-field image that is looked for and undone [nm]."""

    register_widefield: bool = True
    """Find and undo the displacement of the wide-field image; without it the image is taken as aligned."""

    classify: bool = True
    """Tell measured, inferred and contradicted structure apart; takes three runs of the network in place of one, and
    one or two more on a part of the field."""

    flatten: bool = True
    """Where the events show no structure at all - neither their pairs nor the wide-field image differ from chance -
    or, without a wide-field image, are too few to tell, draw their density, smoothed over 1 um, in place of the
    network's picture, and say so."""

    suppress: bool = False
    """Dim structure that the wide-field image or the events contradict; the verdict says how much that took."""

    tile_px: Annotated[int, Field(ge=64, multiple_of=16)] = 1024
    """Side of the tiles the field is cut into, without their margins [px of 20 nm]."""


class DensifyVerbSettings(TableSettings):
    """How few events, a wide-field image, or both become a dense picture."""

    densify: DensifyOptions = DensifyOptions()
    """What the network is told."""

    link: bool = True
    """Merge the rows of one burst over consecutive frames first: the network counts independent events."""

    linking: LinkSettings = LinkSettings()
    """How far apart in space and time rows of one burst may lie."""

    widefield_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Pixel of the wide-field image [nm], where the file does not say."""

    image_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Pixel of an image given in place of a table [nm], where the file does not say."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the network computes; auto takes the fastest."""

    @model_validator(mode="after")
    def _suppress_needs_classes(self) -> Self:
        if self.densify.suppress and not self.densify.classify:
            msg = "expected --classify with --suppress, which dims what is contradicted; leave --no-classify out"
            raise ValueError(msg)
        return self
