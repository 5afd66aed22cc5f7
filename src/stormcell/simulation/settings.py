"""Everything a simulated movie depends on: the content of its config.yaml."""

from __future__ import annotations

from pydantic import Field, model_validator

from stormcell.physics.cameras import CameraSettings
from stormcell.physics.psf.settings import GaussianPSFSettings, MeasuredPSFSettings, PSFSettings
from stormcell.settings import Settings
from stormcell.simulation.backgrounds import BackgroundSettings
from stormcell.simulation.blinking_settings import BlinkingSettings
from stormcell.simulation.labelling import LabellingSettings
from stormcell.simulation.structures.microtubules import Microtubules
from stormcell.simulation.structures.registry import StructureSettings

_DEFAULT_CAMERA = CameraSettings(
    camera_type="cmos", offset_adu=100, gain_e_per_adu=0.46, read_noise_e=1.6, qe=0.82, bit_depth=16
)

_USUAL_BIT_DEPTH = 16


class MotionSettings(Settings):
    """How the stage drifts during the movie."""

    drift_nm: float = Field(0.0, ge=0, le=5000)
    """Distance between the first and the last frame's position, nm; the way there wanders smoothly."""
    wander_nm: float = Field(0.0, ge=0, le=1000)
    """Standard deviation of the wander on top of it, nm."""


class SimulationSettings(Settings):
    """A simulated acquisition."""

    n_frames: int = Field(1000, ge=1, le=10_000_000)
    """Frames in the movie."""
    field_px: tuple[int, int] = (64, 64)
    """Rows and columns of the camera."""
    camera_pixel_size_nm: float = Field(100.0, ge=20, le=500)
    """Camera pixel in the sample plane, nm."""
    structure: StructureSettings = Microtubules()
    """What is labelled; `kind` names it, the other fields are its own."""
    z_range_nm: float = Field(0.0, ge=0, le=2000)
    """The structure lies within plus and minus this height round the focus, nm."""
    labelling: LabellingSettings = LabellingSettings()
    """How fluorophores sit on the structure."""
    blinking: BlinkingSettings = BlinkingSettings()
    """How they switch and how bright they are."""
    psf: PSFSettings = GaussianPSFSettings(sigma_nm=120.0)
    """The microscope's PSF; `kind` names the model."""
    background: BackgroundSettings = BackgroundSettings()
    """Light from elsewhere."""
    camera: CameraSettings = _DEFAULT_CAMERA
    """The camera, with offset and gain."""
    motion: MotionSettings = MotionSettings()
    """Stage drift."""
    widefield_photons: float = Field(300.0, gt=0, le=1e6)
    """Photons of each fluorophore in the wide-field image."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Everything random follows from it."""

    @model_validator(mode="after")
    def _check(self) -> SimulationSettings:
        rows, columns = self.field_px
        if not (1 <= rows <= 8192 and 1 <= columns <= 8192):
            msg = f"field_px: expected 1 to 8192 rows and columns, got {rows} and {columns}"
            raise ValueError(msg)
        side_nm = min(self.field_px) * self.camera_pixel_size_nm
        if isinstance(self.psf, GaussianPSFSettings) and self.psf.sigma_nm > side_nm / 2:
            msg = f"psf.sigma_nm: a spot of sigma {self.psf.sigma_nm:g} nm does not fit a field of {side_nm:g} nm"
            raise ValueError(msg)
        if self.camera.missing:
            msg = f"camera: a simulated camera needs {' and '.join(self.camera.missing)}"
            raise ValueError(msg)
        _check_range(self.camera, self.background.photons)
        if self.z_range_nm > 0 and isinstance(self.psf, MeasuredPSFSettings):
            msg = "z_range_nm: a measured PSF is known at its own heights alone; set z_range_nm to 0"
            raise ValueError(msg)
        return self


def _check_range(camera: CameraSettings, background_photons: float) -> None:
    """Refuse a camera that would be saturated without a single emitter; maps are left to the camera."""
    bits = camera.bit_depth or _USUAL_BIT_DEPTH
    largest, offset = 2**bits - 1, camera.offset_adu or 0.0
    if offset >= largest:
        msg = f"camera.offset_adu: expected below {largest}, the largest value of {bits} bits, got {offset:g}"
        raise ValueError(msg)
    if camera.gain_e_per_adu is None:
        return
    level = offset + background_photons * camera.qe * camera.em_gain / camera.gain_e_per_adu
    if level > largest:
        msg = (
            f"background.photons: {background_photons:g} photons per pixel are {level:.0f} grey values with this "
            f"camera, which ends at {largest}; lower them, or raise camera.gain_e_per_adu"
        )
        raise ValueError(msg)
