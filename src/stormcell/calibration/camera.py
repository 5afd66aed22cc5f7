"""What a movie alone tells about its camera: the gain, and the offset up to the read noise.

The noise variance of a pixel is slope * (mean - effective offset). Without a dark measurement offset and read noise
cannot be told apart: effective offset = offset - read_noise^2 / slope, all in ADU. An EMCCD and a CMOS camera of
twice the gain make the same noise, so the camera type is an input and never a result.

References
----------
.. [1] Janesick, "Photon Transfer", SPIE Press (2007), doi:10.1117/3.725073.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stormcell.calibration.fluctuations import temporal_fluctuations
from stormcell.calibration.frame_sample import SampleSettings, sample_frames
from stormcell.calibration.gain import GainFit, Known, fit_gain
from stormcell.calibration.intervals import Jackknife
from stormcell.calibration.photon_transfer import choose_filters, measure_transfer, transfer_points
from stormcell.calibration.power_spectrum import fit_spectrum, measure_spectra
from stormcell.data.provenance import Quantity
from stormcell.errors import InputError
from stormcell.physics.cameras import CameraSettings, CameraType, check_gain_direction

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.calibration.fluctuations import Fluctuations
    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.calibration.photon_transfer import TransferFilters
    from stormcell.data.frame_stack import FrameStack

_COARSEST_NOISE_ADU = 0.35
_NO_NOISE_ADU = 1e-6
_WIDEST_RELATIVE_ERROR = 0.45


@dataclass(frozen=True)
class CameraEstimate:
    """What was found about a camera.

    Parameters
    ----------
    known : CameraSettings
        What was known before.
    quantities : tuple of Quantity
        gain_e_per_adu, offset_adu (the effective one) and read_noise_e, given or estimated, with 90 % intervals;
        value None and a reason in `detail` where the movie does not tell.
    warnings : tuple of str
        Plain sentences for the user.
    """

    known: CameraSettings
    quantities: tuple[Quantity, ...]
    warnings: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Quantity:
        """Look a quantity up by name."""
        return next(quantity for quantity in self.quantities if quantity.name == name)

    @property
    def identifiable(self) -> bool:
        """Whether electrons can be computed."""
        return not self.settings().missing

    def settings(self) -> CameraSettings:
        """Complete what was known with what was found.

        Returns
        -------
        CameraSettings
            With an estimated offset the read noise is 0, because the effective offset holds it; `missing` names
            what could not be identified.
        """
        changes: dict[str, float] = {}
        for name in ("gain_e_per_adu", "offset_adu", "read_noise_e"):
            quantity = self[name]
            if quantity.source == "estimated" and isinstance(quantity.value, float):
                changes[name] = quantity.value
        return self.known.replace(**changes) if changes else self.known


def estimate_camera(
    stack: FrameStack,
    camera_type: CameraType,
    known: CameraSettings | None = None,
    settings: SampleSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CameraEstimate:
    """Estimate gain and effective offset from the noise of a movie.

    Parameters
    ----------
    stack : FrameStack
        The movie, raw grey values.
    camera_type : {"ideal", "cmos", "emccd"}
        Kind of sensor; it decides between a gain and twice that gain.
    known : CameraSettings, optional
        What is known already; what it holds is kept, and checked against the noise.
    settings : SampleSettings, optional
        How much of the movie is looked at.
    progress : callable, optional
        Called as progress(done, total).

    Returns
    -------
    CameraEstimate
        "Not identifiable" (value None and a reason) is a valid answer.
    """
    known = CameraSettings(camera_type=camera_type) if known is None else known.replace(camera_type=camera_type)
    if known.offset_map is not None or known.gain_map is not None:
        return CameraEstimate(known, _given(known), ())
    try:
        sample = sample_frames(stack, settings, progress=progress)
    except InputError as error:
        return CameraEstimate(known, _unidentified(known, str(error)), (str(error),))
    fluctuations = temporal_fluctuations(sample)
    reason, warnings = examine_values(stack, sample, fluctuations)
    if reason:
        return CameraEstimate(known, _unidentified(known, reason), (*warnings, reason))
    spectra = measure_spectra(fluctuations, sample)
    start = fit_spectrum(spectra)
    filters = choose_filters(start)
    if not known.missing:
        # nothing is left to estimate: only a contradiction between the camera's values and the noise is looked for
        return CameraEstimate(known, _given(known), (*warnings, *contradiction(known, sample, fluctuations, filters)))
    sums = measure_transfer(sample, fluctuations, filters)
    before = Known.of(known)

    def refit(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> GainFit:
        return fit_gain(before, sums, filters, fit_spectrum(spectra, weights, start), spectra.level, weights)

    runs = Jackknife.run(refit, sample.n_blocks)
    return CameraEstimate(known, _quantities(known, runs), warnings)


def contradiction(
    known: CameraSettings, sample: FrameSample, fluctuations: Fluctuations, filters: TransferFilters
) -> tuple[str, ...]:
    """Compare a camera that is fully known with the noise.

    Parameters
    ----------
    known : CameraSettings
        With gain and offset.
    sample, fluctuations, filters : FrameSample, Fluctuations, TransferFilters
        The movie, and the high-pass filter that keeps the blinking out.

    Returns
    -------
    tuple of str
        A sentence where they disagree.
    """
    mean, variance = transfer_points(sample, fluctuations, filters)
    sentence = check_gain_direction(mean, variance, known.camera())
    return () if sentence is None else (sentence,)


def examine_values(stack: FrameStack, sample: FrameSample, fluctuations: Fluctuations) -> tuple[str, tuple[str, ...]]:
    """Look for signs that the grey values are not those of a camera.

    Parameters
    ----------
    stack, sample, fluctuations : FrameStack, FrameSample, Fluctuations
        The movie.

    Returns
    -------
    reason : str
        Why the noise says nothing about the camera; empty where it does.
    warnings : tuple of str
        What to doubt.
    """
    noise = float(np.median(fluctuations.values.std(axis=1)))
    if noise < _NO_NOISE_ADU:
        return "the frames are all alike, so there is no noise to read the gain from", ()
    if np.issubdtype(stack.dtype, np.integer) and noise < _COARSEST_NOISE_ADU:
        return (
            f"the noise of {noise:.2g} grey values is lost in rounding; export the movie with its full bit depth",
            (),
        )
    warnings = []
    step = _grey_step(sample) if np.issubdtype(stack.dtype, np.integer) else 1
    if step > 1:
        warnings.append(
            f"the grey values come in steps of about {step:.3g}: the movie was rescaled after recording, and its "
            "gain is that of the rescaled values"
        )
    return "", tuple(warnings)


def _grey_step(sample: FrameSample) -> float:
    """Mean distance of the grey values in use over the middle of their range; 1 for raw camera values."""
    values = sample.tiles.ravel()
    low, high = np.quantile(values, (0.2, 0.8))
    middle = values[(values >= low) & (values <= high)]
    span = high - low + 1
    used = np.unique(middle).size
    # a level in use that is left out by chance is rare where each is expected more than ten times
    return float(span / used) if span >= 8 and middle.size > 20 * span and used < 0.8 * span else 1.0


def _given(known: CameraSettings) -> tuple[Quantity, ...]:
    units = {"gain_e_per_adu": "e/ADU", "offset_adu": "ADU", "read_noise_e": "e"}
    return tuple(Quantity(name, getattr(known, name), unit, "given") for name, unit in units.items())


def _unidentified(known: CameraSettings, reason: str) -> tuple[Quantity, ...]:
    return tuple(
        quantity
        if quantity.value is not None
        else Quantity(quantity.name, None, quantity.unit, "estimated", f"not identifiable: {reason}")
        for quantity in _given(known)
    )


def _quantities(known: CameraSettings, runs: Jackknife[GainFit]) -> tuple[Quantity, ...]:
    gain, offset, noise = _given(known)
    log_gain = runs.of(lambda fit: fit.log_gain)
    bad = not np.isfinite(log_gain.value) or log_gain.error > _WIDEST_RELATIVE_ERROR
    reason = "the brightness varies too little over field and time to tell noise from background"
    if gain.value is None:
        gain = Quantity("gain_e_per_adu", None, "e/ADU", "estimated", f"not identifiable: {reason}")
        if not bad:
            detail = f"from the noise, taking the camera for {known.camera_type}; for the other type the factor is 2"
            low, high = log_gain.interval()
            value = float(np.exp(log_gain.value))
            gain = Quantity(
                "gain_e_per_adu", value, "e/ADU", "estimated", detail, (float(np.exp(low)), float(np.exp(high)))
            )
    if offset.value is None:
        found = runs.of(lambda fit: fit.effective_offset_adu)
        offset = Quantity("offset_adu", None, "ADU", "estimated", f"not identifiable: {reason}")
        if gain.value is not None and np.isfinite(found.value):
            detail = (
                "effective offset = offset - (read noise^2 / slope); the two cannot be told apart in a movie, so "
                "background from it is background + read noise^2"
            )
            offset = Quantity("offset_adu", found.value, "ADU", "estimated", detail, found.interval())
        noise = Quantity("read_noise_e", 0.0, "e", "estimated", "contained in the effective offset")
    return gain, offset, noise
