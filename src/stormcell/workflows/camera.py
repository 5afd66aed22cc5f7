"""Where each physical value of a movie comes from: given, else read from the file, else estimated, else assumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.data.provenance import Quantity
from stormcell.errors import MissingQuantityError, SettingsError
from stormcell.physics.cameras import CameraSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.provenance import Source
    from stormcell.physics.cameras import Camera
    from stormcell.workflows.movie_settings import MovieSettings

_UNITS = {
    "camera_type": "",
    "offset_adu": "ADU",
    "gain_e_per_adu": "e/ADU",
    "em_gain": "",
    "qe": "",
    "read_noise_e": "e",
    "bit_depth": "bit",
}
_MAPS = {"offset_adu": "offset_map", "gain_e_per_adu": "gain_map", "read_noise_e": "read_noise_map"}
_MODEST = {
    "em_gain": (1.0, "no electron multiplication was given; it may be contained in gain_e_per_adu"),
    "qe": (1.0, "not given: photons are counted as detected electrons"),
    "read_noise_e": (0.0, "not given: only shot noise is reckoned with"),
}
_NOBODY = Quantity("", None, "", "assumed")


@dataclass(frozen=True)
class MovieContext:
    """What is known about a movie's pixels.

    Parameters
    ----------
    camera : Camera
        Ready to convert grey values to electrons.
    camera_pixel_size_nm : float
        Side of a pixel in the sample plane.
    quantities : tuple of Quantity
        Every value with its source.
    warnings : tuple of str
        Plain sentences on what was contradictory, estimated or assumed.
    """

    camera: Camera
    camera_pixel_size_nm: float
    quantities: tuple[Quantity, ...]
    warnings: tuple[str, ...]


@dataclass
class _Findings:
    """Values as they are found, and what has to be said about them."""

    known: dict[str, Quantity] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def value(self, name: str) -> Any:
        return self.known[name].value if name in self.known else None

    def note(self, name: str, value: Any, source: Source, detail: str) -> None:
        self.known[name] = Quantity(name, value, _UNITS[name], source, detail)


@dataclass(frozen=True)
class KnownMovie:
    """What is known about a movie's pixels without looking at them.

    Parameters
    ----------
    camera_pixel_size_nm : float
        Side of a pixel in the sample plane.
    camera : CameraSettings
        What was given or read; the rest is not set.
    quantities : tuple of Quantity
        Every known value with its source.
    warnings : tuple of str
        Plain sentences on what was contradictory or assumed.
    """

    camera_pixel_size_nm: float
    camera: CameraSettings
    quantities: tuple[Quantity, ...]
    warnings: tuple[str, ...]


def known_of_movie(stack: FrameStack, settings: MovieSettings) -> KnownMovie:
    """Collect what is given or read of pixel size and camera; nothing is estimated but the camera type assumed.

    Parameters
    ----------
    stack : FrameStack
        The movie with what its file says.
    settings : MovieSettings
        What the user says; it wins.

    Returns
    -------
    KnownMovie
        Pixel size, camera, the source of every value, and warnings.

    Raises
    ------
    MissingQuantityError
        The pixel size was neither given nor found.
    SettingsError
        Values contradict each other, or the camera file or preset is unknown.
    """
    pixel_size, described, findings = _gather(stack, settings)
    return KnownMovie(
        float(pixel_size.value or 0),
        _settings(described, findings),
        (pixel_size, *(findings.known[name] for name in _UNITS if name in findings.known)),
        tuple(findings.warnings),
    )


def _gather(stack: FrameStack, settings: MovieSettings) -> tuple[Quantity, CameraSettings | None, _Findings]:
    pixel_size, pixel_warnings = _pixel_size(stack, settings)
    described, origin = described_camera(settings.camera)
    findings = _Findings(warnings=pixel_warnings)
    for name in _UNITS:
        _find(name, stack, settings, described, origin, findings)
    _settle_type(findings)
    return pixel_size, described, findings


def resolve_movie(stack: FrameStack, settings: MovieSettings) -> MovieContext:
    """Find out pixel size and camera of a movie.

    Parameters
    ----------
    stack : FrameStack
        The movie with what its file says.
    settings : MovieSettings
        What the user says; it wins.

    Returns
    -------
    MovieContext
        Camera, pixel size, the source of every value, and warnings.

    Raises
    ------
    MissingQuantityError
        The pixel size was neither given nor found.
    SettingsError
        Values contradict each other, or the camera file or preset is unknown.
    """
    pixel_size, described, findings = _gather(stack, settings)
    maps = {name for name, key in _MAPS.items() if getattr(described, key, None)}
    known = _settings(described, findings)
    if known.missing or findings.known.get("gain_e_per_adu", _NOBODY).source == "given":
        from stormcell.workflows.camera_estimate import estimate_missing

        found, sentences = estimate_missing(stack, known)
        findings.known |= found
        findings.warnings += sentences
    for name, (value, detail) in _MODEST.items():
        if name not in findings.known and name not in maps and not _is_moot(name, findings):
            findings.note(name, value, "assumed", detail)
    camera = _build(_settings(described, findings), settings.camera)
    return MovieContext(
        camera,
        float(pixel_size.value or 0),
        (pixel_size, *(findings.known[name] for name in _UNITS if name in findings.known)),
        tuple(findings.warnings),
    )


def _pixel_size(stack: FrameStack, settings: MovieSettings) -> tuple[Quantity, list[str]]:
    read = stack.metadata.get("camera_pixel_size_nm")
    given = settings.pixel_size_nm
    if given is not None:
        warnings = []
        if read is not None and _differ(read.value, given):
            warnings.append(_contradiction("pixel size", read, f"{given:g} nm", stack.name))
        return Quantity("camera_pixel_size_nm", given, "nm", "given", "option --pixel-size-nm"), warnings
    if read is None or read.value is None:
        why = f" ({read.detail})" if read is not None and read.detail else ""
        msg = f"the camera pixel size is missing in {stack.name}{why}; pass --pixel-size-nm (for example 100)"
        raise MissingQuantityError(msg)
    return read, []


def described_camera(name: str | None) -> tuple[CameraSettings | None, str]:
    """Look up a preset, or read a camera file.

    Parameters
    ----------
    name : str or None
        A preset, or a file ending in .yaml.

    Returns
    -------
    tuple of CameraSettings or None and str
        What it says, and where that comes from in words; None where nothing was named.
    """
    if name is None:
        return None, ""
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        from stormcell.io.documents import read_yaml

        content = read_yaml(name)
        if not isinstance(content, dict):
            msg = f"expected camera values by name in {name}, got {type(content).__name__}; see the page on files"
            raise SettingsError(msg)
        return CameraSettings.create(**content), f"camera file {Path(name).name}"
    from stormcell.physics.camera_presets import camera_preset

    preset = camera_preset(name)
    return preset, f"preset {name.lower()}: {preset.detail}"


def _find(
    name: str,
    stack: FrameStack,
    settings: MovieSettings,
    described: CameraSettings | None,
    origin: str,
    findings: _Findings,
) -> None:
    """Take a value from the option, the camera file or the movie, in this order, and say where they differ."""
    read = stack.metadata.get(name)
    said = read.value if read is not None else None
    given = getattr(settings, name, None)
    detail = f"option --{name.replace('_', '-')}"
    if given is None and described is not None and name in described.model_fields_set:
        given, detail = getattr(described, name), origin
    if given is not None:
        findings.note(name, given, "given", detail)
        if read is not None and said is not None and _differ(said, given):
            shown = given if isinstance(given, str) else f"{given:g}"
            findings.warnings.append(_contradiction(name.replace("_", " "), read, str(shown), stack.name))
    elif read is not None and said is not None:
        findings.known[name] = read


def _settle_type(findings: _Findings) -> None:
    if "camera_type" in findings.known:
        return
    em_gain = findings.value("em_gain")
    if em_gain is not None and float(em_gain) > 1:
        findings.note("camera_type", "emccd", "assumed", "an EM gain above 1 is known")
        return
    findings.note("camera_type", "cmos", "assumed", "neither given nor found in the file")
    findings.warnings.append(
        "the camera type is not known, and CMOS was assumed: with an EMCCD the photons would be half as many and the "
        "uncertainties larger; pass --camera-type emccd if it is one"
    )


def _is_moot(name: str, findings: _Findings) -> bool:
    kind = findings.value("camera_type")
    return (name == "em_gain" and kind != "emccd") or (name == "read_noise_e" and kind == "ideal")


def _settings(described: CameraSettings | None, findings: _Findings) -> CameraSettings:
    values: dict[str, Any] = described.model_dump(exclude_unset=True) if described is not None else {}
    values |= {key: quantity.value for key, quantity in findings.known.items()}
    return CameraSettings.create(**values)


def read_camera(settings: CameraSettings, name: str | None) -> Camera:
    """Build a camera whose maps lie beside the file that names them.

    Parameters
    ----------
    settings : CameraSettings
        Nothing missing.
    name : str or None
        The camera file, where there is one.

    Returns
    -------
    Camera
        Ready to convert.
    """
    return _build(settings, name)


def _build(settings: CameraSettings, name: str | None) -> Camera:
    folder = Path(name).parent if name is not None else Path()

    def read_map(path: str) -> NDArray[np.generic]:
        from stormcell.io.movies import open_movie

        place = Path(path)
        first: NDArray[np.generic] = open_movie(place if place.is_absolute() else folder / place).read(0, 1)[0]
        return first

    return settings.camera(read_map)


def _differ(said: float | str | None, given: float | str) -> bool:
    if said is None:
        return False
    if isinstance(said, str) or isinstance(given, str):
        return str(said).lower() != str(given).lower()
    return abs(said - given) > 0.01 * max(abs(said), abs(given))


def _contradiction(what: str, read: Quantity, given: str, file: str) -> str:
    said = read.value if isinstance(read.value, str) else f"{read.value:g}"
    unit = f" {read.unit}" if read.unit else ""
    where = f" ({read.detail})" if read.detail else ""
    return f"{file} says that the {what} is {said}{unit}{where}, the option says {given}: the option was taken"
