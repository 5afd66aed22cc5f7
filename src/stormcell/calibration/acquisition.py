"""Conditions of an acquisition, read from its frames alone: spots, photons, background, density, gain, on-time.

No spot is localized. The power spectrum of the fluctuations gives the spot's shape and the noise floor, photon
transfer the gain, the distribution of the pixel values density and photons however much the spots overlap, and the
correlation of consecutive frames the on-time. Intervals come from leaving out one run of frames after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.acquisition_settings import AcquisitionSettings
from stormcell.calibration.camera import contradiction, examine_values
from stormcell.calibration.conditions import Conditions, Known, Measured
from stormcell.calibration.frame_sample import sample_frames
from stormcell.calibration.intervals import Jackknife
from stormcell.calibration.quantities import acquisition_quantities
from stormcell.errors import InputError, SettingsError
from stormcell.physics.cameras import Camera, CameraSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.calibration.frame_sample import FrameSample, SampleSettings
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.provenance import Quantity

_NO_NOISE_ADU2 = 1e-9


@dataclass(frozen=True)
class AcquisitionEstimate:
    """Conditions of a movie.

    Parameters
    ----------
    camera : CameraSettings
        What was known of the camera, completed with what was found.
    quantities : tuple of Quantity
        Each with a 90 % interval; value None and a reason in `detail` where the movie does not tell.
    warnings : tuple of str
        Plain sentences for the user.
    """

    camera: CameraSettings
    quantities: tuple[Quantity, ...]
    warnings: tuple[str, ...]

    def __getitem__(self, name: str) -> Quantity:
        """Look a quantity up by name."""
        return next(quantity for quantity in self.quantities if quantity.name == name)

    def settings(self, record: dict[str, Any] | None = None) -> AcquisitionSettings:
        """Put the values into the form that simulation and training take.

        Parameters
        ----------
        record : dict, optional
            How they were found.

        Returns
        -------
        AcquisitionSettings
            Values, intervals and notes.
        """
        fields = AcquisitionSettings.model_fields
        found = {q.name: q.value for q in self.quantities if q.name in fields}
        values, doubts = _believable(found, float(found["camera_pixel_size_nm"] or 0))
        intervals = {q.name: q.interval for q in self.quantities if q.name in values and q.interval is not None}
        notes = {q.name: q.detail for q in self.quantities if q.detail} | doubts
        return AcquisitionSettings(
            **values, camera=self.camera, intervals=intervals, notes=notes, record=record or {}
        )


def estimate_acquisition(
    stack: FrameStack,
    camera: CameraSettings | Camera | None,
    camera_pixel_size_nm: float,
    settings: SampleSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AcquisitionEstimate:
    """Read the conditions of an acquisition from its frames.

    Parameters
    ----------
    stack : FrameStack
        The movie, raw grey values.
    camera : CameraSettings, Camera or None
        What is known of the camera. Offset and read noise make the background itself identifiable; without the
        offset it is background + read noise^2. None takes the camera for a CMOS and says so.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane, > 0.
    settings : SampleSettings, optional
        How much of the movie is looked at.
    progress : callable, optional
        Called as progress(done, total).

    Returns
    -------
    AcquisitionEstimate
        Quantities with intervals.

    Raises
    ------
    InputError
        The pixel size is impossible, the frames are fewer than 4 or smaller than 8 x 8 px, or carry no noise at all.
    """
    if not 5 <= camera_pixel_size_nm <= 5_000:
        msg = (
            f"pixel_size_nm: expected a camera pixel of 5 to 5000 nm in the sample, got {camera_pixel_size_nm:g}; "
            "it is the pixel of the chip divided by the magnification"
        )
        raise SettingsError(msg)
    known, warnings = _known_camera(camera)
    maps = camera if isinstance(camera, Camera) else None
    sample = sample_frames(stack, settings, maps)
    warnings += _darker_than_the_offset(sample, known)
    measured = Measured.of(sample)
    reason, signs = examine_values(stack, sample, measured.fluctuations)
    if reason and measured.spectrum.floor < _NO_NOISE_ADU2:
        raise InputError(reason)
    warnings += (reason,) if reason else ()
    conditions = Conditions(measured, Known.of(known))
    runs = Jackknife.run(conditions.estimate, sample.n_blocks, progress)
    warnings += signs
    if not known.missing and isinstance(camera, CameraSettings):
        warnings += contradiction(known, sample, measured.fluctuations, measured.filters)
    quantities, doubts = acquisition_quantities(runs, known, camera_pixel_size_nm)
    found = {
        q.name: q.value for q in quantities if q.name in ("gain_e_per_adu", "offset_adu") and q.source == "estimated"
    }
    if "offset_adu" in found:
        found["read_noise_e"] = 0.0
    completed = known.replace(**found) if None not in found.values() else known
    return AcquisitionEstimate(completed, quantities, (*warnings, *doubts))


def _known_camera(camera: CameraSettings | Camera | None) -> tuple[CameraSettings, tuple[str, ...]]:
    if isinstance(camera, CameraSettings):
        return camera, ()
    if camera is None:
        warning = (
            "the camera type is not known and taken for cmos: if it is an emccd, gain, photons and background are "
            "twice what is said here; pass --camera-type"
        )
        return CameraSettings(camera_type="cmos"), (warning,)
    return (
        CameraSettings(
            camera_type=camera.camera_type,
            offset_adu=float(np.mean(camera.offset_adu)),
            gain_e_per_adu=float(np.mean(camera.gain_e_per_adu)),
            read_noise_e=float(np.sqrt(np.mean(np.square(camera.read_noise_e)))),
            em_gain=camera.em_gain,
            qe=camera.qe,
            bit_depth=camera.bit_depth,
        ),
        (),
    )


def _darker_than_the_offset(sample: FrameSample, known: CameraSettings) -> tuple[str, ...]:
    """Refuse an offset that the movie contradicts; light only adds to it."""
    mean, spread = float(sample.tiles.mean()), float(sample.tiles.std())
    if known.offset_adu is None or mean >= known.offset_adu:
        return ()
    if mean + spread < known.offset_adu:
        msg = (
            f"offset_adu: expected below the movie's mean grey value {mean:.1f}, got {known.offset_adu:g}; "
            "give the value of a dark frame, or leave it out"
        )
        raise SettingsError(msg)
    return (
        f"the movie's mean grey value {mean:.1f} lies below the offset {known.offset_adu:g}: the offset is wrong",
    )


def _believable(values: dict[str, Any], size_nm: float) -> tuple[dict[str, Any], dict[str, str]]:
    """Leave out what no acquisition can have, and say so: a strange movie still gets its other quantities."""
    kept, notes = {}, {}
    for name, value in values.items():
        try:
            AcquisitionSettings.create(**{"camera_pixel_size_nm": size_nm, name: value})
        except SettingsError:
            notes[name] = f"not identifiable: {value:.3g} came out, which no acquisition has"
        else:
            kept[name] = value
    return kept, notes
