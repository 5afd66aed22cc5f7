"""The range of conditions from which training frames are drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stormcell.settings import Settings

_LIMITS: dict[str, tuple[float, float]] = {
    "density_per_um2": (0.0, 30.0),
    "photons_e": (10.0, 1e6),
    "photon_spread": (0.0, 2.0),
    "background_e": (0.0, 1e5),
    "background_structure": (0.0, 2.0),
    "z_spread_nm": (0.0, 1000.0),
    "mean_on_frames": (0.1, 100.0),
    "read_noise_e": (0.0, 100.0),
    "emccd_read_noise_e": (0.0, 10.0),
    "gain_e_per_adu": (0.0, 50.0),
}


class TrainingFrameSettings(Settings):
    """Ranges (low, high) from which each training sample draws its own conditions."""

    n_frames: Literal[1, 3] = 1
    """Frames per sample: 1, or 3 with the truth of the middle one."""
    field_px: int = Field(40, ge=8, le=512)
    """Side of the frames in camera px."""
    margin_px: float = Field(8.0, ge=0, le=20)
    """Emitters up to this far outside the field still throw light into it, px."""
    density_per_um2: tuple[float, float] = (0.0, 9.0)
    """Emitters on per frame and um2, uniform in the square root; the mean over the field."""
    empty_share: float = Field(0.02, ge=0, le=1)
    """Share of samples without any emitter."""
    filament_share: float = Field(0.3, ge=0, le=1)
    """Share of samples whose emitters lie along a few curves instead of anywhere (at a third of the mean density)."""
    clump_share: float = Field(0.0, ge=0, le=1)
    """Share of samples whose emitters are gathered into clumps of 1.5 to 6 emitters and 20 to 120 nm (at half of the
    mean density)."""
    photons_e: tuple[float, float] = (200.0, 10000.0)
    """Mean electrons of an emitter in a full frame, log-uniform (electrons = photons * qe)."""
    photon_spread: tuple[float, float] = (0.3, 0.8)
    """Sigma of the logarithm of the emitters' electrons."""
    on_fraction: tuple[float, float] = (0.25, 1.75)
    """Samples without persistence: on-fraction = min(1, uniform in this range)."""
    persistent_share: float = Field(0.75, ge=0, le=1)
    """Share of three-frame samples whose emitters stay on over frames; the others have independent frames."""
    mean_on_frames: tuple[float, float] = (1.0, 4.0)
    """Mean on-time of persistent emitters in frames (exponential), log-uniform."""
    background_e: tuple[float, float] = (1.0, 600.0)
    """Mean background per pixel and frame in electrons, log-uniform."""
    background_structure: tuple[float, float] = (0.0, 0.5)
    """Strength of the smooth background structure: standard deviation of its logarithm."""
    blob_share: float = Field(0.4, ge=0, le=1)
    """Share of samples with out-of-focus blobs in the background."""
    min_peak_snr: float = Field(2.0, ge=0, le=50)
    """The mean emitter is made bright enough for this peak signal-to-noise, as far as photons_e allows it."""
    z_spread_nm: tuple[float, float] = (0.0, 300.0)
    """Emitters lie uniformly within plus and minus this height, drawn per sample, as far as the bank has planes."""
    focus_error_nm: float = Field(100.0, ge=0, le=1000)
    """The sample's focus is off by up to this, uniform."""
    emccd_share: float = Field(0.3, ge=0, le=1)
    """Share of samples seen by an EMCCD, the others by an sCMOS."""
    read_noise_e: tuple[float, float] = (0.5, 3.0)
    """Median read noise of the sCMOS, electrons, log-uniform; pixels differ."""
    emccd_read_noise_e: tuple[float, float] = (0.01, 0.5)
    """Read noise of the EMCCD divided by its gain, electrons, log-uniform."""
    gain_e_per_adu: tuple[float, float] = (0.05, 2.0)
    """Electrons per grey value, log-uniform: the rounding of the values; for an EMCCD after division by its gain."""
    uniform_map_share: float = Field(0.5, ge=0, le=1)
    """Share of sCMOS samples whose variance map is given as its mean, as for users without a calibration."""

    @model_validator(mode="after")
    def _check(self) -> TrainingFrameSettings:
        for name, (least, most) in _LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                msg = f"{name}: expected {least:g} <= low <= high <= {most:g}, got {low} and {high}"
                raise ValueError(msg)
        if self.filament_share + self.clump_share > 1:
            total = self.filament_share + self.clump_share
            msg = f"filament_share and clump_share: expected at most 1 together, got {total:g}"
            raise ValueError(msg)
        for name in ("photons_e", "background_e", "mean_on_frames", "read_noise_e", "gain_e_per_adu"):
            if getattr(self, name)[0] <= 0:
                msg = f"{name}: drawn log-uniformly, so expected above 0, got {getattr(self, name)[0]}"
                raise ValueError(msg)
        if not 0 < self.on_fraction[0] <= self.on_fraction[1]:
            msg = f"on_fraction: expected 0 < low <= high, got {self.on_fraction}"
            raise ValueError(msg)
        return self
