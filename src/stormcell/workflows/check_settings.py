"""Options of check."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from stormcell.assessment.camera_noise import CameraNoise
from stormcell.workflows.checking import CheckingSettings
from stormcell.workflows.table_settings import TableSettings


class CheckVerbSettings(TableSettings):
    """How an image is checked against a wide-field image."""

    replaced_fields: ClassVar[frozenset[str]] = frozenset({"checking.comparison.noise"})

    sr_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a pixel of the super-resolution image [nm], where the file does not say; for a table, the pixel it is
    drawn with (without it a fifth of the wide-field pixel, at most 20 nm)."""

    widefield_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a pixel of the wide-field image [nm], where the file does not say."""

    rsf_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Side of a pixel of the measured RSF image [nm], where the file does not say."""

    illumination: Literal["tirf", "epi"] | None = None
    """How the wide-field image was lit. Light from out of focus in an epi image shows as error that is none of the
    super-resolution image's."""

    also: tuple[str, ...] = ()
    """Further super-resolution images of the same field, to be checked (and fused) with the first."""

    fuse: bool = False
    """Fuse the images of a stack, and further ones, into one by their error maps."""

    suppress: bool = False
    """Write the image with contradicted structure taken out."""

    held_out_share: Annotated[float, Field(ge=0, le=0.5)] = 0.15
    """Where a table is checked: share of its events that are not drawn, but test what the drawing predicts."""

    gain_e_per_adu: Annotated[float, Field(gt=0)] | None = None
    """Electrons per grey value of the wide-field image, for an exact z-score; else its scatter is taken."""

    offset_adu: float = 0.0
    """Grey value of the wide-field image without light [ADU]; used with the gain."""

    read_noise_e: Annotated[float, Field(ge=0)] = 0.0
    """Read noise of the wide-field camera [e]; used with the gain."""

    camera_type: Literal["cmos", "emccd"] = "cmos"
    """Kind of wide-field camera: an emccd's shot noise is doubled by the multiplication."""

    em_gain: Annotated[float, Field(ge=1)] = 1.0
    """Electron-multiplication gain of the wide-field camera."""

    widefield_frames: Annotated[int, Field(ge=1)] = 1
    """Frames of which the wide-field image is the mean; used with the gain."""

    checking: CheckingSettings = CheckingSettings()
    """Comparison, classes, linking."""

    def resolved(self) -> CheckingSettings:
        """Put the camera's noise where the comparison looks for it.

        Returns
        -------
        CheckingSettings
            The nested settings, with the noise where the gain is known.
        """
        if self.gain_e_per_adu is None:
            return self.checking
        noise = CameraNoise(
            gain_e_per_adu=self.gain_e_per_adu / self.em_gain,
            offset_adu=self.offset_adu,
            read_noise_e=self.read_noise_e / self.em_gain,
            excess_noise_factor=2.0 if self.camera_type == "emccd" else 1.0,
            n_frames=self.widefield_frames,
        )
        return self.checking.replace(comparison=self.checking.comparison.replace(noise=noise))
