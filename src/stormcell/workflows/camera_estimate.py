"""What a movie itself tells of its camera, and what has to be assumed where it tells nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.provenance import Quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.physics.cameras import CameraSettings

_DARK_PERCENTILE = 1.0
_LOOKED_AT_PIXELS = 4_000_000
_MEDIAN_OF_HALF_NORMAL = 0.6745


def estimate_missing(stack: FrameStack, known: CameraSettings) -> tuple[dict[str, Quantity], tuple[str, ...]]:
    """Estimate what is not known of a camera, and assume what cannot be estimated.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    known : CameraSettings
        What is known; its camera type decides between a gain and twice that gain. Nothing missing means that only
        the direction of the gain is checked against the noise.

    Returns
    -------
    dict of str to Quantity
        gain_e_per_adu, offset_adu and read_noise_e, as far as they were missing.
    tuple of str
        Plain sentences.
    """
    from stormcell.calibration.camera import estimate_camera

    missing = known.missing
    estimate = estimate_camera(stack, known.camera_type, known)
    if not missing:
        return {}, estimate.warnings
    found: dict[str, Quantity] = {}
    warnings = [sentence for sentence in estimate.warnings if estimate.identifiable]
    for quantity in estimate.quantities:
        if quantity.source != "estimated":
            continue
        if quantity.value is not None:
            found[quantity.name] = quantity
        elif quantity.name in missing:
            found[quantity.name] = _assumed(quantity, stack, known)
    guessed = [name for name in missing if found[name].source == "assumed"]
    estimated = [name for name in missing if name not in guessed]
    if estimated:
        warnings.append(
            f"{_words(estimated)} of the camera {'was' if len(estimated) == 1 else 'were'} estimated from the movie: "
            "photons and uncertainties depend on it; pass the camera's own values if you know them"
        )
    if guessed:
        warnings.append(
            f"{_words(guessed)} of the camera could not be found ({found[guessed[0]].detail}): photons and "
            "uncertainties have no absolute scale; detection goes by the noise of the frames themselves; pass "
            + " and ".join("--" + name.replace("_", "-") for name in guessed)
        )
    return found, tuple(warnings)


def _assumed(unknown: Quantity, stack: FrameStack, known: CameraSettings) -> Quantity:
    """Put a value in place of one that nobody knows: the darkest pixels as the offset, a gain that fits the noise."""
    reason = unknown.detail.removeprefix("not identifiable: ")
    step = max(1, int(np.prod(stack.shape)) // _LOOKED_AT_PIXELS)
    frames = np.stack([stack.read(index, index + 1)[0] for index in range(0, stack.n_frames, step)])
    finite = frames[np.isfinite(frames)].astype(np.float64)
    darkest = float(np.percentile(finite, _DARK_PERCENTILE)) if finite.size else 0.0
    if unknown.name == "offset_adu":
        return Quantity("offset_adu", darkest, "ADU", "assumed", f"the darkest pixels; {reason}")
    # fits that weigh one emitter against two need the right noise, whatever the scale of the photons
    offset = darkest if known.offset_adu is None else known.offset_adu
    signal = float(np.median(finite)) - offset if finite.size else 0.0
    variance = _noise_variance(frames.astype(np.float64))
    if not (signal > 0 and variance > 0):
        return Quantity("gain_e_per_adu", 1.0, "e/ADU", "assumed", reason)
    detail = f"the frames' noise taken for shot noise; {reason}"
    excess = 2.0 if known.camera_type == "emccd" else 1.0
    gain = excess * known.em_gain * signal / variance
    return Quantity("gain_e_per_adu", gain, "e/ADU", "assumed", detail)


def _noise_variance(frames: NDArray[np.float64]) -> float:
    """Variance of a pixel from the spread of differences between neighbours, which few of the spots reach."""
    differences = np.diff(frames, axis=2)
    differences = differences[np.isfinite(differences)]
    if not differences.size:
        return 0.0
    return float(0.5 * (np.median(np.abs(differences)) / _MEDIAN_OF_HALF_NORMAL) ** 2)


def _words(names: list[str]) -> str:
    plain = {"gain_e_per_adu": "gain", "offset_adu": "offset"}
    return " and ".join(plain[name] for name in names)
