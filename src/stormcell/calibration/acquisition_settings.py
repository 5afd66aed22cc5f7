"""acquisition.yaml: conditions of a movie, as `estimate` writes and `simulate` and `train --like` read them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from stormcell.physics.cameras import CameraSettings
from stormcell.settings import Settings


class AcquisitionSettings(Settings):
    """Conditions of a movie; a quantity that could not be identified is left out (null)."""

    camera_pixel_size_nm: Annotated[float, Field(ge=5, le=5_000)]
    """Side of a camera pixel in the sample plane [nm]."""

    psf_sigma_nm: Annotated[float, Field(ge=5, le=5_000)] | None = None
    """Standard deviation of the Gaussian that fits the spot best, before integration over the pixel [nm]."""

    psf_ellipticity: Annotated[float, Field(ge=0, lt=1)] | None = None
    """(long - short) / (long + short) axis of the spot; 0 is round."""

    psf_angle_rad: Annotated[float, Field(ge=-3.2, le=3.2)] | None = None
    """Direction of the long axis, from x towards y [rad]."""

    tail_fraction: Annotated[float, Field(ge=-0.5, le=0.95)] | None = None
    """Share of the photons within 10 px that lie outside the best-fit Gaussian: rings and halo of the spot."""

    photons_mean: Annotated[float, Field(gt=0, le=1e7)] | None = None
    """Mean photons of an emitter in a frame in which it is on, all that fall within 10 px."""

    photons_sd: Annotated[float, Field(ge=0, le=1e8)] | None = None
    """Standard deviation of these photons over emitters and frames, without their shot noise."""

    photon_log_spread: Annotated[float, Field(ge=0, le=3)] | None = None
    """Standard deviation of the logarithm of the emitters' brightness (in full frames)."""

    background_photons: Annotated[float, Field(ge=0, le=1e7)] | None = None
    """Mean background per pixel and frame; where the offset is estimated, background + read noise^2 (effective)."""

    background_structure: Annotated[float, Field(ge=0, le=10)] | None = None
    """Standard deviation of the background over the field, divided by its mean."""

    density_per_um2: Annotated[float, Field(ge=0, le=1e4)] | None = None
    """Emitters that are on in a frame, per square micrometre, mean over the field."""

    on_time_frames: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Mean on-time of an emitter in frames; null where each frame shows other emitters."""

    camera: CameraSettings | None = None
    """The camera, given or estimated."""

    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """90 % intervals by field."""

    notes: dict[str, str] = Field(default_factory=dict)
    """Where a value came from or why it is missing, by field."""

    record: dict[str, Any] = Field(default_factory=dict)
    """How the values were found: program version, settings, hash of the movie, warnings, and the distance between
    simulated and real frames. Nothing reads it back."""
