"""From estimates in grey values to quantities with units, intervals and reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stormcell.calibration.gain import Known
from stormcell.data.provenance import Quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.calibration.conditions import Condition
    from stormcell.calibration.intervals import Estimate, Jackknife
    from stormcell.physics.cameras import CameraSettings

    Pick = Callable[[Condition], float]

_UNSURE = 0.6
_MISFIT = 6.0
_EVIDENCE = 20.0
_MOST_STRUCTURE = 5.0
_PERSISTENT = 0.03


@dataclass(frozen=True)
class ModelError:
    """Standard errors that the scatter between runs does not show: the model is not the truth.

    Relative, found on simulated movies of other spot shapes and brightness distributions than the model's.
    """

    sigma: float = 0.01
    photons: float = 0.03
    density: float = 0.03
    gain: float = 0.01
    background: float = 0.01
    structured: float = 0.07
    """Of photons and density, where the density differs from place to place."""
    structured_persistent: float = 0.16
    """The same where emitters stay on over frames, too."""
    tail_share: float = 0.025
    """Share of the emitters' light that may lie on either side of the border between spot and background."""


_MODEL_ERROR = ModelError()


def acquisition_quantities(
    runs: Jackknife[Condition], settings: CameraSettings, camera_pixel_size_nm: float
) -> tuple[tuple[Quantity, ...], tuple[str, ...]]:
    """Turn the estimates into quantities.

    Parameters
    ----------
    runs : Jackknife
        Conditions of all runs and of all but one.
    settings : CameraSettings
        What was known of the camera.
    camera_pixel_size_nm : float
        Camera pixel, nm.

    Returns
    -------
    quantities : tuple of Quantity
        In the order of acquisition.yaml.
    warnings : tuple of str
        What to doubt.
    """
    known = Known.of(settings)
    size = Quantity("camera_pixel_size_nm", camera_pixel_size_nm, "nm", "given")
    spots = _spots(runs, camera_pixel_size_nm)
    camera = _camera(runs, settings, known)
    gain_known = camera[0].value is not None
    light = _light(runs, known, settings, gain_known=gain_known)
    rest = (_density(runs, camera_pixel_size_nm), _on_time(runs))
    quantities = (size, *spots, *light, *rest, *camera)
    if runs.whole.spectrum.evidence < _EVIDENCE:
        reason = "not identifiable: no blinking spots stand out from the noise"
        emptied = {q.name for q in (*spots, *light, *rest)} - {"background_photons"}
        quantities = tuple(
            replace(q, value=None, interval=None, detail=reason) if q.name in emptied else q for q in quantities
        )
    warnings = []
    if runs.whole.emitters.misfit > _MISFIT:
        warnings.append(
            "the grey values are not distributed as blinking emitters of one kind would make them (out-of-focus "
            "light, a few very bright or fixed spots, or light that changes in time): density and photons are rough"
        )
    return quantities, tuple(warnings)


def _exp(name: str, unit: str, estimate: Estimate, extra: float, detail: str = "") -> Quantity:
    """Quantity from the estimate of its logarithm."""
    if not (np.isfinite(estimate.value) and np.isfinite(estimate.error)):
        return Quantity(name, None, unit, "estimated", "not identifiable: too few frames to tell how sure it is")
    low, high = np.exp(np.clip(estimate.interval(extra), -700, 700))
    return Quantity(name, float(np.exp(estimate.value)), unit, "estimated", detail, (float(low), float(high)))


def _spots(runs: Jackknife[Condition], size_nm: float) -> tuple[Quantity, ...]:
    log_sigma = runs.of(lambda c: np.log(c.spectrum.shape.best_gaussian()[0]))
    sigma = _exp("psf_sigma_px", "px", log_sigma, _MODEL_ERROR.sigma)
    value = float(sigma.value) if isinstance(sigma.value, float) else None
    in_nm = replace(
        sigma,
        name="psf_sigma_nm",
        unit="nm",
        value=None if value is None else value * size_nm,
        interval=None if sigma.interval is None else (sigma.interval[0] * size_nm, sigma.interval[1] * size_nm),
    )
    parts = [runs.of(lambda c, n=name: getattr(c.spectrum.shape, n)) for name in ("stretch", "shear")]  # type: ignore[misc]
    stretch, shear = parts
    noise = stretch.error**2 + shear.error**2
    size = float(np.hypot(stretch.value, shear.value))
    reach = 1.645 * float(np.sqrt(noise)) + 0.005
    # a random direction of noise always lengthens: its expectation is taken out
    value = float(np.tanh(np.sqrt(max(size**2 - noise, 0.0))))
    ellipticity = Quantity(
        "psf_ellipticity",
        value,
        "",
        "estimated",
        "",
        (max(0.0, float(np.tanh(size - reach))), float(np.tanh(size + reach))),
    )
    angle = Quantity("psf_angle_rad", 0.5 * float(np.arctan2(shear.value, stretch.value)), "rad", "estimated")
    tail = runs.of(lambda c: 1 - c.spectrum.shape.best_gaussian()[1])
    share = Quantity(
        "tail_fraction",
        tail.value,
        "",
        "estimated",
        "share of the photons within 10 px that lie outside the best-fit Gaussian",
        tail.interval(_MODEL_ERROR.tail_share),
    )
    return sigma, in_nm, ellipticity, angle, share


def _light(
    runs: Jackknife[Condition], known: Known, settings: CameraSettings, *, gain_known: bool
) -> tuple[Quantity, ...]:
    qe = settings.qe
    doubt = float(np.sqrt(np.clip(runs.whole.emitters.misfit, 1.0, 25.0)))
    log_spread = runs.of(lambda c: c.emitters.log_spread)
    spread = Quantity(
        "photon_log_spread", log_spread.value, "", "estimated", "", _above_zero(log_spread.interval(0.03 * doubt))
    )
    if not gain_known:
        reason = "not identifiable: the gain is not known"
        names = (("photons_mean", "photon"), ("photons_sd", "photon"), ("background_photons", "photon"))
        missing = tuple(Quantity(name, None, unit, "estimated", reason) for name, unit in names)
        return (*missing, spread, _structure(runs, known))
    extra = float(np.linalg.norm([_MODEL_ERROR.photons * doubt, _gain_doubt(runs, known), _structure_doubt(runs)]))
    mean = _exp("photons_mean", "photon", runs.of(lambda c: np.log(c.electrons / qe)), extra)
    deviation = runs.of(lambda c: c.electrons / qe * c.emitters.relative_spread)
    sd = Quantity(
        "photons_sd",
        deviation.value,
        "photon",
        "estimated",
        "over emitters and frames, without shot noise",
        _above_zero(deviation.interval(0.1 * deviation.value * doubt)),
    )
    return mean, sd, _background(runs, known, qe), spread, _structure(runs, known)


def _gain_doubt(runs: Jackknife[Condition], known: Known) -> float:
    """Compute the relative error of the gain from a read noise not known and noise too fine for the grey values."""
    emitters = runs.whole.emitters
    signal = emitters.light * runs.whole.electrons_per_adu
    # rounding adds 1/12 to the variance only on average over where the mean lies between two grey values
    dark = max(runs.whole.spectrum.floor - 1 / 12, 0.0) * (1 - emitters.emission)
    return float(np.hypot(known.gain_doubt(signal), np.exp(-2 * np.pi**2 * dark)))


def _background(runs: Jackknife[Condition], known: Known, qe: float) -> Quantity:
    background = runs.of(lambda c: c.background_electrons(known) / qe)
    emission = runs.whole.emission_electrons / qe
    extra = float(
        np.hypot(
            (_MODEL_ERROR.background + _gain_doubt(runs, known)) * abs(background.value),
            _MODEL_ERROR.tail_share * emission,
        )
    )
    detail = ""
    if known.offset_adu is None:
        detail = "effective: background + read noise^2 / F^2, since the offset is not known"
    elif known.read_noise_e is None:
        detail = f"with a read noise of {known.typical_read_noise_e:g} e assumed"
    return Quantity(
        "background_photons",
        max(background.value, 0.0),
        "photon",
        "estimated",
        detail,
        _above_zero(background.interval(extra)),
    )


def _structure(runs: Jackknife[Condition], known: Known) -> Quantity:
    found = runs.of(lambda c: c.deviation_electrons / max(c.background_electrons(known), 1e-9))
    if found.value > _MOST_STRUCTURE:
        detail = "not identifiable: there is hardly any background"
        return Quantity("background_structure", None, "", "estimated", detail)
    detail = "no structure of the background stands out" if found.value == 0 else "rough: on a scale of 8 px and more"
    interval = _above_zero(found.interval(0.1 + 0.3 * found.value))
    return Quantity("background_structure", found.value, "", "estimated", detail, interval)


def _density(runs: Jackknife[Condition], size_nm: float) -> Quantity:
    doubt = float(np.sqrt(np.clip(runs.whole.emitters.misfit, 1.0, 25.0)))
    area = (size_nm * 1e-3) ** 2
    estimate = runs.of(lambda c: np.log(c.emitters.density / area))
    extra = float(np.hypot(_MODEL_ERROR.density * doubt, _structure_doubt(runs)))
    return _exp("density_per_um2", "1/um^2", estimate, extra)


def _structure_doubt(runs: Jackknife[Condition]) -> float:
    """Tell the relative error that crowding within structures brings to photons and density."""
    if runs.whole.is_even:
        return 0.0
    is_persistent = runs.whole.correlation > _PERSISTENT
    return _MODEL_ERROR.structured_persistent if is_persistent else _MODEL_ERROR.structured


def _on_time(runs: Jackknife[Condition]) -> Quantity:
    correlation = runs.of(lambda c: c.correlation)
    lowest, _ = correlation.interval(0.01)
    if lowest < 0:
        detail = f"consecutive frames show other emitters (correlation {correlation.value:.3f})"
        return Quantity("on_time_frames", None, "frame", "estimated", detail)
    estimate = runs.of(lambda c: np.log(c.on_time_frames))
    detail = "mean of exponential times, from the correlation of consecutive frames"
    return _exp("on_time_frames", "frame", estimate, 0.1, detail)


def _camera(runs: Jackknife[Condition], settings: CameraSettings, known: Known) -> tuple[Quantity, ...]:
    log_gain = runs.of(lambda c: c.gain.log_gain)
    sure = np.isfinite(log_gain.value) and log_gain.error < _UNSURE
    if settings.gain_e_per_adu is not None:
        gain = Quantity("gain_e_per_adu", settings.gain_e_per_adu, "e/ADU", "given")
    elif sure:
        extra = float(np.hypot(_MODEL_ERROR.gain, _gain_doubt(runs, known)))
        detail = f"from the noise, taking the camera for {settings.camera_type}; for the other type the factor is 2"
        gain = _exp("gain_e_per_adu", "e/ADU", log_gain, extra, detail)
    else:
        detail = "not identifiable: the brightness varies too little to tell noise from background"
        gain = Quantity("gain_e_per_adu", None, "e/ADU", "estimated", detail)
    if settings.offset_adu is not None:
        return gain, Quantity("offset_adu", settings.offset_adu, "ADU", "given")
    offset = runs.of(lambda c: c.gain.effective_offset_adu)
    if gain.value is None or not np.isfinite(offset.error):
        return gain, Quantity("offset_adu", None, "ADU", "estimated", "not identifiable, like the gain")
    detail = "effective offset = offset - read noise^2 / slope: a movie cannot tell the two apart"
    return gain, Quantity("offset_adu", offset.value, "ADU", "estimated", detail, offset.interval())


def _above_zero(interval: tuple[float, float]) -> tuple[float, float]:
    return max(interval[0], 0.0), max(interval[1], 0.0)
