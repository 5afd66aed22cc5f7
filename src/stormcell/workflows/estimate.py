"""estimate: read the conditions of an acquisition from the movie alone."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from stormcell.errors import DataQualityWarning
from stormcell.workflows.camera import KnownMovie, known_of_movie, read_camera
from stormcell.workflows.movie_settings import MovieSettings
from stormcell.workflows.opening import PathLike, fingerprint, open_stack
from stormcell.workflows.options import build_settings
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places

if TYPE_CHECKING:
    import numpy as np

    from stormcell.calibration.acquisition import AcquisitionEstimate
    from stormcell.calibration.acquisition_settings import AcquisitionSettings
    from stormcell.calibration.likeness import Likeness
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.provenance import Provenance, Quantity
    from stormcell.workflows.progress import Progress

_DIGITS = 6


class EstimateVerbSettings(MovieSettings):
    """How much of a movie is looked at, and whether the result is checked."""

    max_frames: Annotated[int, Field(ge=4, le=1_000_000)] = 2_000
    """Largest number of frames that are looked at, in runs spread over the movie."""

    compare: bool = True
    """Simulate the movie under the conditions found and say how far it is from the real one."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of that simulation."""


@dataclass(frozen=True)
class EstimateResult:
    """Conditions of a movie.

    Parameters
    ----------
    quantities : tuple of Quantity
        Each with a 90 % interval; value None and a reason in `detail` where the movie does not tell.
    acquisition : AcquisitionSettings
        The same in the form that simulation and training take.
    likeness : Likeness or None
        Real and simulated frames and their distance; None where it was not wanted or too little is known.
    warnings : tuple of str
        Plain sentences.
    outputs : tuple of Path
        Files written.
    """

    quantities: tuple[Quantity, ...]
    acquisition: AcquisitionSettings
    likeness: Likeness | None
    warnings: tuple[str, ...]
    outputs: tuple[Path, ...] = ()

    def __getitem__(self, name: str) -> Quantity:
        """Look a quantity up by name."""
        return next(quantity for quantity in self.quantities if quantity.name == name)


@with_remote_places
def estimate(
    movie: PathLike | FrameStack | np.ndarray[Any, Any],
    settings: EstimateVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> EstimateResult:
    """Read PSF, photons, background, density, on-time and gain from a movie, each with a 90 % interval.

    Parameters
    ----------
    movie : path, FrameStack or ndarray
        An array has shape (T, Y, X) in camera units.
    settings : EstimateVerbSettings, optional
        What is known of the camera, part of the movie; or give fields as options.
    output : path, optional
        Write acquisition.yaml there, and the picture of real beside simulated frames with the ending .png.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total).
    **options : object
        Fields of the settings by name.

    Returns
    -------
    EstimateResult
        Quantities, acquisition settings, comparison.

    Raises
    ------
    InputError
        The file is no movie, its pixel size is not known or impossible, the frames are fewer than 4 or smaller than
        8 x 8 px, or carry no noise at all.

    Warns
    -----
    DataQualityWarning
        What to doubt.
    """
    wanted = build_settings(EstimateVerbSettings, settings, options)
    paths = _prepare(output, overwrite)
    stack = open_stack(movie, wanted)
    known = known_of_movie(stack, wanted)
    with collect_warnings() as messages:
        found = _look(stack, known, wanted, progress)
        likeness = _compare(stack, found, wanted, progress)
    quantities = _with_sources(found.quantities, known)
    record = make_record("estimate", wanted, inputs=fingerprint(stack), seed=wanted.seed)
    acquisition = found.settings(_document(record.with_warnings(*messages), likeness))
    result = EstimateResult(quantities, acquisition, likeness, tuple(messages), tuple(paths))
    if output is None:
        return result
    return replace(result, outputs=_write(result, paths, overwrite))


def acquisition_like(
    source: PathLike | FrameStack,
    settings: EstimateVerbSettings | None = None,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> AcquisitionSettings:
    """Read an acquisition.yaml, or estimate the conditions of a movie.

    Parameters
    ----------
    source : path or FrameStack
        A file ending in .yaml or .yml, or a movie.
    settings : EstimateVerbSettings, optional
        For a movie; or give fields as options, for example `pixel_size_nm=100`.
    progress : callable, optional
        Called as progress(done, total).
    **options : object
        Fields of the settings by name.

    Returns
    -------
    AcquisitionSettings
        For `stormcell.calibration.training_range` and `stormcell.calibration.simulated_conditions`.

    Raises
    ------
    InputError
        As `estimate`, or the file holds something else.
    """
    if isinstance(source, str | Path) and Path(source).suffix.lower() in (".yaml", ".yml"):
        return read_acquisition(source)
    return estimate(source, settings, progress=progress, **{"compare": False, **options}).acquisition


def read_acquisition(path: PathLike) -> AcquisitionSettings:
    """Read an acquisition.yaml.

    Parameters
    ----------
    path : path
        As `stormcell estimate` writes it.

    Returns
    -------
    AcquisitionSettings
        Validated.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else; the message names the field.
    """
    from stormcell.calibration.acquisition_settings import AcquisitionSettings
    from stormcell.errors import SettingsError
    from stormcell.io.documents import read_yaml

    content = read_yaml(path)
    if not isinstance(content, dict):
        msg = (
            f"expected an acquisition.yaml as `stormcell estimate` writes it, got {type(content).__name__} in {path}"
        )
        raise SettingsError(msg)
    return AcquisitionSettings.create(**content)


def picture_path(output: PathLike) -> Path:
    """Name the picture that goes with an acquisition.yaml.

    Parameters
    ----------
    output : path
        The YAML file.

    Returns
    -------
    Path
        The same with the ending .png.
    """
    return Path(output).with_suffix(".png")


def _prepare(output: PathLike | None, overwrite: bool) -> list[Path]:
    if output is None:
        return []
    from stormcell.errors import OutputError
    from stormcell.io.writing import check_writable

    if Path(output).suffix.lower() not in (".yaml", ".yml"):
        msg = f"expected a name ending in .yaml for the conditions, got {Path(output).name}; choose that"
        raise OutputError(msg)
    paths = [Path(output), picture_path(output)]
    for path in paths:
        check_writable(path, overwrite)
    return paths


def _look(
    stack: FrameStack, known: KnownMovie, wanted: EstimateVerbSettings, progress: Progress | None
) -> AcquisitionEstimate:
    from stormcell.calibration.acquisition import estimate_acquisition
    from stormcell.calibration.frame_sample import SampleSettings

    camera = known.camera
    has_maps = any((camera.offset_map, camera.gain_map, camera.read_noise_map))
    told = begin_stage(progress, "Estimating")
    found = estimate_acquisition(
        stack,
        read_camera(camera, wanted.camera) if has_maps and not camera.missing else camera,
        known.camera_pixel_size_nm,
        SampleSettings(max_frames=wanted.max_frames),
        told,
    )
    for sentence in (*known.warnings, *found.warnings):
        warnings.warn(sentence, DataQualityWarning, stacklevel=3)
    return found


def _compare(
    stack: FrameStack, found: AcquisitionEstimate, wanted: EstimateVerbSettings, progress: Progress | None
) -> Likeness | None:
    from stormcell.calibration.likeness import can_be_simulated, simulated_likeness

    acquisition = found.settings()
    if not wanted.compare or not can_be_simulated(acquisition):
        return None
    told = begin_stage(progress, "Simulating")
    return simulated_likeness(stack, acquisition, seed=wanted.seed, progress=told)


def _with_sources(quantities: tuple[Quantity, ...], known: KnownMovie) -> tuple[Quantity, ...]:
    """Say of each known value whether it was given or read, and add those that were only assumed."""
    by_name = {quantity.name: quantity for quantity in known.quantities}
    merged = tuple(by_name.get(q.name, q) if q.source == "given" else q for q in quantities)
    rest = tuple(q for name, q in by_name.items() if name not in {m.name for m in merged})
    return merged + rest


def _document(record: Provenance, likeness: Likeness | None) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "version": record.version,
        "settings": record.settings,
        "inputs": [asdict(file) for file in record.inputs],
        "seed": record.seed,
        "warnings": list(record.warnings),
    }
    if likeness is not None:
        kept["distance"] = likeness.distance.to_document()
    return kept


def _write(result: EstimateResult, paths: list[Path], overwrite: bool) -> tuple[Path, ...]:
    from stormcell.io.documents import write_yaml
    from stormcell.io.writing import write_bytes

    document = result.acquisition.model_dump(mode="json")
    if result.acquisition.camera is not None:
        # what is not known of the camera is left out, so that it does not look as if it were
        document["camera"] = result.acquisition.camera.model_dump(mode="json", exclude_unset=True)
    write_yaml(paths[0], _rounded(document), overwrite)
    if result.likeness is None:
        return (paths[0],)
    from stormcell.workflows.likeness_picture import likeness_picture

    write_bytes(paths[1], likeness_picture(result.likeness), overwrite)
    return tuple(paths)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
