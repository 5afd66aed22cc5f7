"""How fluorophores switch and how bright they are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stormcell.settings import Settings


class BlinkingSettings(Settings):
    """How fluorophores switch and how bright they are; times in frames."""

    mean_on_frames: float = Field(1.5, gt=0, le=10000)
    """Mean duration of an on-event in frames."""
    mean_off_frames: float | None = Field(None, gt=0, le=1e9)
    """Mean time in the off-state in frames; left out, it follows from density_per_um2."""
    density_per_um2: float | None = Field(1.0, gt=0, le=30)
    """Emitters on at any moment per um2 of field, before bleaching; instead of mean_off_frames."""
    dark_probability: float = Field(0.0, ge=0, lt=1)
    """Chance that an on-event ends in a short dark gap of the same burst instead of the off-state."""
    mean_dark_frames: float = Field(2.0, gt=0, le=10000)
    """Mean duration of such a gap in frames."""
    bleach_probability: float = Field(0.0, ge=0, le=1)
    """Chance that an on-event ends in bleaching; the density then falls over the movie."""
    start: Literal["steady", "off", "on"] = "steady"
    """State at the first frame: steady (as if it had run for ever without bleaching), all off (PALM) or all on
    (dSTORM from its first flash)."""
    frame_locked: bool = False
    """Every event fills exactly one frame, as with pulsed light or in many published simulations; on-time and gaps
    then play no part."""
    photons: float = Field(1800.0, ge=1, le=1e6)
    """Mean photons of an emitter that is on for a whole frame."""
    photon_spread: float = Field(0.6, ge=0, le=2)
    """Sigma of the logarithm of the photons per frame; each event draws its own brightness."""

    @model_validator(mode="after")
    def _check(self) -> BlinkingSettings:
        if (self.mean_off_frames is None) == (self.density_per_um2 is None):
            msg = "mean_off_frames: give either mean_off_frames or density_per_um2, and set the other to null"
            raise ValueError(msg)
        if self.dark_probability + self.bleach_probability > 1:
            msg = "dark_probability: dark_probability and bleach_probability together exceed 1"
            raise ValueError(msg)
        return self


DSTORM = BlinkingSettings(mean_on_frames=1.5, dark_probability=0.1, mean_dark_frames=3.0, bleach_probability=0.03)
"""Organic dye with thiol: bright, returns many times, slow bleaching."""
PALM = BlinkingSettings(
    mean_on_frames=2.5,
    dark_probability=0.4,
    mean_dark_frames=4.0,
    bleach_probability=0.6,
    start="off",
    photons=500.0,
    photon_spread=0.5,
)
"""Photoactivatable protein: dim, a burst with gaps, then gone."""
DNA_PAINT = BlinkingSettings(mean_on_frames=3.0, photons=2500.0, photon_spread=0.3)
"""Exchanging imager strands: no bleaching of sites; give the background a share that grows with density."""

BLINKING_PRESETS: dict[str, BlinkingSettings] = {"dstorm": DSTORM, "palm": PALM, "dna-paint": DNA_PAINT}
"""Blinking by the name of the technique."""
