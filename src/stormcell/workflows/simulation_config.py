"""What to simulate: from a preset, a config file or an acquisition file, with single values changed by options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from stormcell.errors import SettingsError
from stormcell.workflows.movie_settings import MovieSettings

if TYPE_CHECKING:
    from stormcell.simulation.settings import SimulationSettings
    from stormcell.workflows.opening import PathLike

_CAMERA_VALUES = ("camera_type", "offset_adu", "gain_e_per_adu", "em_gain", "qe", "read_noise_e")
_CAMERA_MAPS = ("offset_map", "gain_map", "read_noise_map")


class SimulateVerbSettings(MovieSettings):
    """What to simulate; options change single values of the preset or file.

    Camera values are those of the simulated camera, and of the real movie where one is named.
    """

    preset: str | None = None
    """Name of a ready-made acquisition, for example microtubules-dense; an unknown name lists all of them."""

    n_frames: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Frames of the movie."""

    field_px: tuple[int, int] | None = None
    """Rows and columns of the camera, for example 64,96."""

    pixel_size_nm: Annotated[float, Field(ge=20, le=500)] | None = None
    """Side of a camera pixel in the sample plane [nm]."""

    structure: str | None = None
    """Another structure with its default settings, for example mitochondria."""

    psf: str | None = None
    """Another PSF: a name such as oil-1.4, or the .npz file that `stormcell psf` wrote."""

    density_per_um2: Annotated[float, Field(gt=0, le=30)] | None = None
    """Emitters on at any moment per square micrometre of the field."""

    photons: Annotated[float, Field(ge=1, le=1e6)] | None = None
    """Mean photons of an emitter that is on for a whole frame."""

    background_photons: Annotated[float, Field(ge=0, le=1e5)] | None = None
    """Mean background photons per pixel and frame."""

    summed_frames: Annotated[int, Field(ge=2, le=20)] = 5
    """With a real sparse movie: how many of its frames are summed into one."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Seed of everything random."""


def simulation_settings(
    wanted: SimulateVerbSettings, config: PathLike | SimulationSettings | None = None, like: PathLike | None = None
) -> SimulationSettings:
    """Put together what is to be simulated.

    Parameters
    ----------
    wanted : SimulateVerbSettings
        Preset and single values.
    config : path or SimulationSettings, optional
        A config.yaml, or its content, in place of a preset; an acquisition.yaml here counts as `like`.
    like : path, optional
        An acquisition.yaml as `stormcell estimate` writes it, or a movie; its conditions replace those of the preset
        or config.

    Returns
    -------
    SimulationSettings
        Validated.

    Raises
    ------
    SettingsError
        Unknown preset, structure or field, or an impossible value; the message names it.
    FormatError
        A file cannot be read.
    """
    from stormcell.simulation.presets import simulation_preset
    from stormcell.simulation.settings import SimulationSettings

    if config is not None and wanted.preset is not None:
        msg = "preset: both a preset and a config file were given; name one of them"
        raise SettingsError(msg)
    if isinstance(config, SimulationSettings):
        settings = config
    elif config is not None and like is None and _is_acquisition(config):
        settings, like = simulation_preset("microtubules-dense"), config
    elif config is not None:
        settings = SimulationSettings.create(**_mapping(config))
    else:
        settings = simulation_preset(wanted.preset or "microtubules-dense")
    if like is not None:
        from stormcell.calibration.simulated_conditions import settings_like
        from stormcell.workflows.estimate import acquisition_like

        settings = settings_like(acquisition_like(like, **movie_options(wanted)), settings)
    elif wanted.frames or wanted.roi:
        msg = (
            f"{'frames' if wanted.frames else 'roi'}: there is no real movie to take a part of; name one with --like"
        )
        raise SettingsError(msg)
    return settings.replace(**_changes(wanted, settings))


def movie_options(wanted: SimulateVerbSettings) -> dict[str, Any]:
    """Pick what is said about a real movie: its part, pixel size and camera.

    Parameters
    ----------
    wanted : SimulateVerbSettings
        Everything that was asked for.

    Returns
    -------
    dict of str to object
        Fields of `MovieSettings` that were given.
    """
    given = {name: getattr(wanted, name) for name in MovieSettings.model_fields}
    return {name: value for name, value in given.items() if value is not None}


def _mapping(path: PathLike) -> dict[str, Any]:
    from stormcell.io.documents import read_yaml

    content = read_yaml(path)
    if not isinstance(content, dict):
        msg = f"expected settings by name in {path}, got {type(content).__name__}; see `stormcell simulate --help`"
        raise SettingsError(msg)
    return content


def _is_acquisition(path: PathLike) -> bool:
    """Tell an acquisition.yaml from a config.yaml: only the former speaks of what was found in a movie."""
    return "photons_mean" in _mapping(path)


def _changes(wanted: SimulateVerbSettings, settings: SimulationSettings) -> dict[str, Any]:
    given: dict[str, Any] = {
        "n_frames": wanted.n_frames,
        "field_px": wanted.field_px,
        "camera_pixel_size_nm": wanted.pixel_size_nm,
        "seed": wanted.seed,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if wanted.structure is not None:
        changes["structure"] = _structure(wanted.structure)
    if wanted.psf is not None:
        changes["psf"] = _psf(wanted.psf)
        if changes["psf"].kind == "measured":
            changes["z_range_nm"] = 0.0  # it is known in focus alone
    blinking: dict[str, Any] = {}
    if wanted.photons is not None:
        blinking["photons"] = wanted.photons
    if wanted.density_per_um2 is not None:
        blinking |= {"density_per_um2": wanted.density_per_um2, "mean_off_frames": None}
    if blinking:
        changes["blinking"] = settings.blinking.replace(**blinking)
    if wanted.background_photons is not None:
        changes["background"] = settings.background.replace(photons=wanted.background_photons)
    return changes | _camera(wanted, settings)


def _camera(wanted: SimulateVerbSettings, settings: SimulationSettings) -> dict[str, Any]:
    """Simulate another camera, or change single values of it."""
    from stormcell.workflows.camera import described_camera

    given = {name: getattr(wanted, name) for name in _CAMERA_VALUES if getattr(wanted, name) is not None}
    described = described_camera(wanted.camera)[0]
    if not given and described is None:
        return {}
    base = described or settings.camera
    if described is not None:
        maps = {name: getattr(described, name) for name in _CAMERA_MAPS if getattr(described, name)}
        given |= {name: str((Path(wanted.camera or "").parent / path).resolve()) for name, path in maps.items()}
    return {"camera": base.replace(**given)}


def _structure(name: str) -> Any:
    from stormcell.simulation.structures.registry import STRUCTURES

    if name not in STRUCTURES:
        msg = f"structure: {name} is not a structure; expected one of {', '.join(STRUCTURES)}"
        raise SettingsError(msg)
    return STRUCTURES[name]


def _psf(name: str) -> Any:
    from stormcell.physics.psf.settings import PSFS, MeasuredPSFSettings

    if Path(name).suffix.lower() == ".npz":
        return MeasuredPSFSettings(path=str(Path(name).resolve()))
    if name not in PSFS:
        msg = f"psf: {name} is not a PSF; expected an .npz file or one of {', '.join(PSFS)}"
        raise SettingsError(msg)
    return PSFS[name]
