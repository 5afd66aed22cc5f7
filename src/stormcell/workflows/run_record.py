"""run.json: everything needed to repeat a run, and the only file that holds times."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stormcell
from stormcell.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stormcell.data.provenance import InputFile, Quantity
    from stormcell.settings import Settings

RECORD_VERSION = 1

RUN_RECORD_FIELDS = {
    "record_version": "version of this schema, 1",
    "verb": "what was done: run",
    "version": "version of stormcell",
    "inputs": "list of input files: role (movie, widefield), path (from this file's folder), absolute_path, name, "
    "sha256, n_bytes",
    "settings": "every setting by name, as the verb's options; nested settings as mappings",
    "quantities": "list of physical values: name, value, unit, source (given, read, estimated, assumed), detail, "
    "interval (90 %) or null",
    "results": "numbers of the result by name",
    "warnings": "list of plain sentences on what was unusual",
    "notes": "list of plain sentences on what was done",
    "outputs": "SHA-256 of every file written, by name",
    "machine": "python, platform, n_threads",
    "started": "date and time, UTC",
    "seconds": "time taken by each stage, by name, and total",
}
"""The keys of run.json and what they mean."""


@dataclass(frozen=True)
class RunRecord:
    """What a run.json says, as far as a repetition needs it."""

    path: Path
    verb: str
    version: str
    inputs: dict[str, InputPlace]
    settings: dict[str, Any]
    outputs: dict[str, str]


@dataclass(frozen=True)
class InputPlace:
    """Where an input lay and what its content was."""

    path: Path
    sha256: str


def run_record(
    verb: str,
    settings: Settings,
    inputs: Mapping[str, tuple[Path, InputFile]],
    folder: Path,
    **details: Any,
) -> dict[str, Any]:
    """Collect the content of run.json.

    Parameters
    ----------
    verb : str
        What was done.
    settings : Settings
        How.
    inputs : mapping of str to (Path, InputFile)
        Files by role.
    folder : Path
        Where run.json will lie.
    **details : object
        Further keys of `RUN_RECORD_FIELDS`: quantities, results, warnings, outputs, started, seconds.

    Returns
    -------
    dict
        Ready to be written.
    """
    from stormcell.workflows.threads import count_threads

    quantities: Sequence[Quantity] = details.pop("quantities", ())
    return {
        "record_version": RECORD_VERSION,
        "verb": verb,
        "version": stormcell.__version__,
        "inputs": [
            {
                "role": role,
                "path": _relative(path, folder),
                "absolute_path": str(path.resolve()),
                **asdict(file),
            }
            for role, (path, file) in inputs.items()
        ],
        "settings": settings.model_dump(mode="json"),
        "quantities": [asdict(quantity) for quantity in quantities],
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "n_threads": count_threads(),
        },
        **details,
    }


def read_run_record(path: str | Path) -> RunRecord:
    """Read a run.json.

    Parameters
    ----------
    path : str or Path
        The file, or the folder that holds it.

    Returns
    -------
    RunRecord
        What is needed to repeat the run.

    Raises
    ------
    FormatError
        The file is missing or is no run.json.
    """
    from stormcell.io.documents import read_json

    place = Path(path)
    if place.is_dir():
        place /= "run.json"
    content = read_json(place)
    try:
        if content["record_version"] != RECORD_VERSION:
            msg = f"{place} has schema {content['record_version']}, this version of stormcell reads {RECORD_VERSION}"
            raise FormatError(msg)
        inputs = {item["role"]: InputPlace(_find(item, place.parent), item["sha256"]) for item in content["inputs"]}
        return RunRecord(
            place, content["verb"], content["version"], inputs, dict(content["settings"]), dict(content["outputs"])
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        msg = f"expected a run.json written by stormcell run, but {place} is not one ({error}); name another file"
        raise FormatError(msg) from None


def now() -> str:
    """Tell the time for run.json.

    Returns
    -------
    str
        UTC, ISO 8601, whole seconds.
    """
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return str(path.resolve())


def _find(item: Mapping[str, Any], folder: Path) -> Path:
    """Look first where the file lies relative to run.json: results and movie may have moved together."""
    moved = folder / item["path"]
    return moved if moved.exists() else Path(item["absolute_path"])
