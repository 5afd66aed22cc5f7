"""What a worker does for one input of a batch: the verb, into a folder that gets its name when complete."""

from __future__ import annotations

import base64
import json
import math
import secrets
import shutil
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.errors import InputError, StormcellWarning
from stormcell.io.writing import make_folder
from stormcell.workflows.batch_journal import OUTCOME_FILE
from stormcell.workflows.batch_verbs import BATCH_VERBS
from stormcell.workflows.remote import send
from stormcell.workflows.threads import limit_threads

if TYPE_CHECKING:
    from stormcell.workflows.batch_items import BatchItem

PART_PREFIX = ".part-"
_THUMBNAIL_PX = 96


def process(
    verb: str, item: BatchItem, folder: str, threads: int, replace: bool = False, results_url: str | None = None
) -> dict[str, Any]:
    """Do the verb for one input.

    Parameters
    ----------
    verb : str
        Which.
    item : BatchItem
        The input with its options.
    folder : str
        Output of the batch.
    threads : int
        Threads this worker may use.
    replace : bool
        Whether an earlier result of this input is replaced.
    results_url : str, optional
        Where the result folder is sent; here remain its table and outcome.json.

    Returns
    -------
    dict
        What came of it; `error` is set where it was refused or failed.
    """
    limit_threads(threads)
    part = Path(folder) / f"{PART_PREFIX}{secrets.token_hex(6)}"
    begin = time.perf_counter()
    outcome: dict[str, Any] = {"name": item.name, "source": item.source, "verb": verb, "options": item.options}
    try:
        make_folder(part)
        outcome["input"] = input_mark(item.source)
        outcome |= _run(verb, item, part)
        outcome["seconds"] = round(time.perf_counter() - begin, 3)
        (part / OUTCOME_FILE).write_text(json.dumps(outcome, allow_nan=False), encoding="utf-8")
        if results_url is not None:
            _send(part, f"{results_url.rstrip('/')}/{item.name}")
        _put(part, Path(folder) / item.name, replace)
    except InputError as error:
        return {**outcome, "error": " ".join(str(error).split())}
    except MemoryError:
        return {**outcome, "error": "not enough memory; use fewer workers, or a part of the movie with roi"}
    except Exception as error:  # noqa: BLE001 - one input must not end the batch; the reason is in the summary
        return {**outcome, "error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return outcome


def input_mark(source: str) -> dict[str, Any]:
    """Mark the state of an input, so that a later batch can tell whether it has changed.

    Parameters
    ----------
    source : str
        The input.

    Returns
    -------
    dict
        Version of stormcell, and of a file its size and time of change.
    """
    import stormcell

    mark: dict[str, Any] = {"version": stormcell.__version__}
    path = Path(source)
    if path.is_file():
        told = path.stat()
        mark |= {"n_bytes": told.st_size, "changed_ns": told.st_mtime_ns}
    return mark


def _send(part: Path, url: str) -> None:
    """Send a result; outcome.json goes last, and here remain what resuming needs and the table of the dataset."""
    send(part, url, last=OUTCOME_FILE)
    kept = {OUTCOME_FILE, "localizations.parquet"}
    for path in part.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in kept:
            path.unlink()


def _put(part: Path, target: Path, replace: bool) -> None:
    """Give a complete result its name."""
    if not (target / OUTCOME_FILE).exists():
        part.rename(target)
    elif replace:
        earlier = part.with_name(f"{PART_PREFIX}{secrets.token_hex(6)}")
        target.rename(earlier)
        part.rename(target)
        shutil.rmtree(earlier, ignore_errors=True)
    # else a worker thought dead was first


def _run(verb: str, item: BatchItem, part: Path) -> dict[str, Any]:
    import stormcell

    name = BATCH_VERBS[verb].output
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = getattr(stormcell, verb)(item.source, output=part / name, overwrite=True, **item.options)
    told = [str(one.message) for one in caught if issubclass(one.category, StormcellWarning)]
    numbers = dict(getattr(result, "numbers", None) or {})
    if hasattr(result, "n_rows"):
        numbers["n_localizations"] = result.n_rows
    kept = {key: float(value) for key, value in numbers.items() if _is_number(value)}
    return {"numbers": kept, "warnings": list(dict.fromkeys(told)), "thumbnail": _thumbnail(result)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _thumbnail(result: Any) -> str | None:
    image = getattr(result, "image", result)
    pixels = getattr(image, "pixels", None)
    if pixels is None or np.ndim(pixels) != 2:
        return None
    import imagecodecs

    step = max(1, math.ceil(max(pixels.shape) / _THUMBNAIL_PX))
    rows, columns = (math.ceil(side / step) * step for side in pixels.shape)
    filled = np.pad(np.nan_to_num(pixels), ((0, rows - pixels.shape[0]), (0, columns - pixels.shape[1])))
    small = np.sqrt(np.maximum(filled.reshape(rows // step, step, columns // step, step).mean(axis=(1, 3)), 0))
    grey = np.clip(255 * small / max(float(np.percentile(small, 99.5)), 1e-12), 0, 255).astype(np.uint8)
    return base64.b64encode(imagecodecs.png_encode(grey)).decode("ascii")
