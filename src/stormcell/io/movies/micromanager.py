"""What Micro-Manager notes about the camera, in its TIFF tag 51123 and in what other programs copy from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.io.movies.quantities import PixelSizeClaim, as_number, believable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormcell.data import Quantity

_PIXEL_SIZE_KEYS = ("PixelSizeUm", "PixelSize_um")
_MODEL_PROPERTIES = ("CameraName", "CameraID", "Name")
_EM_GAIN_PROPERTIES = ("EMGain", "EM Gain", "MultiplierGain")
_EM_SWITCHES = {"EMSwitch": "On", "Output_Amplifier": "Electron Multiplying"}
_WRAPPED = ("PropVal", "scalar")
_NESTED = ("ScopeData", "UserData", "Summary")


def pixel_size_claims(metadata: Mapping[str, Any]) -> list[PixelSizeClaim]:
    """Find the pixel size.

    Parameters
    ----------
    metadata : mapping
        Keys and values of a frame or of the summary.

    Returns
    -------
    list of PixelSizeClaim
        Zero or one; a size of 0 means "not calibrated" there and is passed on as such.
    """
    flat = _flat(metadata)
    for key in _PIXEL_SIZE_KEYS:
        size = as_number(flat.get(key))
        if size is not None:
            return [PixelSizeClaim(f"Micro-Manager {key}", size * 1000)]
    return []


def camera_values(metadata: Mapping[str, Any]) -> dict[str, Quantity]:
    """Find what is said about the camera.

    Parameters
    ----------
    metadata : mapping
        Keys and values of one frame, device properties as "device-property".

    Returns
    -------
    dict of str to Quantity
        camera_name, exposure_s, em_gain, and, for Hamamatsu cameras, offset_adu and gain_e_per_adu.
    """
    flat = _flat(metadata)
    said: dict[str, Quantity] = {}
    milliseconds = as_number(flat.get("Exposure-ms"))
    if milliseconds is not None:
        said |= believable("exposure_s", milliseconds / 1000, "Micro-Manager Exposure-ms")
    camera = flat.get("Camera") or flat.get("Core-Camera")
    if not isinstance(camera, str) or not camera:
        return said
    said |= _name(flat, camera)
    said |= _em_gain(flat, camera)
    for quantity, key in (
        ("gain_e_per_adu", "CONVERSION FACTOR COEFF"),
        ("offset_adu", "CONVERSION FACTOR OFFSET"),
    ):
        said |= believable(quantity, flat.get(f"{camera}-{key}"), f"Micro-Manager {camera}-{key}")
    # a camera that knows neither reports a factor of 1 with an offset of 0, which is no calibration
    if {"gain_e_per_adu", "offset_adu"} <= said.keys() and not said["offset_adu"].value:
        del said["gain_e_per_adu"], said["offset_adu"]
    return said


def _name(flat: Mapping[str, Any], camera: str) -> dict[str, Quantity]:
    for prop in _MODEL_PROPERTIES:
        key = f"{camera}-{prop}"
        if flat.get(key):
            return believable("camera_name", str(flat[key]), f"Micro-Manager {key}")
    return believable("camera_name", camera, "Micro-Manager Camera (the device label)")


def _em_gain(flat: Mapping[str, Any], camera: str) -> dict[str, Quantity]:
    for prop, on in _EM_SWITCHES.items():
        key = f"{camera}-{prop}"
        if key in flat:
            if flat[key] == on:
                return believable("em_gain", flat.get(f"{camera}-Gain"), f"Micro-Manager {camera}-Gain")
            return believable("em_gain", 1.0, f"Micro-Manager {key} is {flat[key]}")
    for prop in _EM_GAIN_PROPERTIES:
        key = f"{camera}-{prop}"
        if key in flat:
            return believable("em_gain", flat[key], f"Micro-Manager {key}")
    return {}


def _flat(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Unwrap the nested forms that the versions of Micro-Manager use."""
    flat: dict[str, Any] = {}
    for key, value in metadata.items():
        if not isinstance(value, dict):
            flat[key] = value
            continue
        wrapped = next((value[word] for word in _WRAPPED if word in value), None)
        if wrapped is not None:
            flat[key] = wrapped
        elif key in _NESTED:
            flat = {**_flat(value), **flat}
    return flat
