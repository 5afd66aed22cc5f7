"""Cameras found on many microscopes, with typical data-sheet values.

Values are typical of the model and not of one specimen: the test sheet that came with a camera is better. Quantum
efficiencies are the peak of the curve. The electrons per grey value of an EMCCD depend on read-out rate and
preamplifier, and its offset drifts: both are left open and must be given, read from the file or estimated.
"""

from __future__ import annotations

from stormcell.errors import SettingsError
from stormcell.physics.cameras import CameraSettings

_TYPICAL = "typical data-sheet values, peak quantum efficiency"
_EMCCD = (
    "give gain_e_per_adu (from the test sheet, for the read-out rate and preamplifier used), em_gain and offset_adu; "
    + _TYPICAL
)


def _cmos(offset: float, gain: float, read_noise: float, qe: float, detail: str) -> CameraSettings:
    return CameraSettings(
        camera_type="cmos",
        offset_adu=offset,
        gain_e_per_adu=gain,
        read_noise_e=read_noise,
        qe=qe,
        bit_depth=16,
        detail=f"{detail}; {_TYPICAL}",
    )


def _emccd(qe: float, detail: str) -> CameraSettings:
    return CameraSettings(camera_type="emccd", qe=qe, bit_depth=16, detail=f"{detail}; {_EMCCD}")


PRESETS: dict[str, CameraSettings] = {
    "orca-flash4-v2": _cmos(100, 0.46, 1.6, 0.72, "Hamamatsu ORCA-Flash4.0 V2, standard scan"),
    "orca-flash4-v3": _cmos(100, 0.46, 1.6, 0.82, "Hamamatsu ORCA-Flash4.0 V3, standard scan"),
    "orca-fusion": _cmos(100, 0.24, 1.0, 0.80, "Hamamatsu ORCA-Fusion, standard scan"),
    "orca-fusion-bt": _cmos(100, 0.24, 1.0, 0.95, "Hamamatsu ORCA-Fusion BT, standard scan"),
    "prime-95b": _cmos(100, 1.22, 1.8, 0.95, "Teledyne Photometrics Prime 95B, 16-bit high dynamic range"),
    "zyla-4.2": _cmos(100, 0.46, 1.1, 0.72, "Andor Zyla 4.2, 16-bit low noise and high well capacity"),
    "zyla-4.2-plus": _cmos(100, 0.46, 1.1, 0.82, "Andor Zyla 4.2 PLUS, 16-bit low noise and high well capacity"),
    "ixon-ultra-897": _emccd(0.92, "Andor iXon Ultra 897, back-illuminated"),
    "ixon-ultra-888": _emccd(0.92, "Andor iXon Ultra 888, back-illuminated"),
    "evolve-512": _emccd(0.92, "Teledyne Photometrics Evolve 512, back-illuminated"),
    "imagem-x2": _emccd(0.92, "Hamamatsu ImagEM X2, back-illuminated"),
}
"""Camera settings by preset name, as `--camera NAME` takes them."""


def camera_preset(name: str) -> CameraSettings:
    """Look a preset up.

    Parameters
    ----------
    name : str
        Name in `PRESETS`, upper or lower case.

    Returns
    -------
    CameraSettings
        Its typical values.

    Raises
    ------
    SettingsError
        No such preset; the message lists all.
    """
    settings = PRESETS.get(name.lower())
    if settings is None:
        msg = f"unknown camera preset {name!r}; known: {', '.join(sorted(PRESETS))}"
        raise SettingsError(msg)
    return settings
