"""batch: one verb for many inputs, resumable, on one machine or a cluster."""

from __future__ import annotations

import shutil
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from stormcell.errors import InputError
from stormcell.settings import Settings
from stormcell.workflows.batch_cluster import open_client, share_threads
from stormcell.workflows.batch_items import BatchItem, find_items, parse_options
from stormcell.workflows.batch_journal import finished, locked, note
from stormcell.workflows.batch_summary import write_summary
from stormcell.workflows.batch_worker import PART_PREFIX, process
from stormcell.workflows.options import build_settings
from stormcell.workflows.progress import begin_stage

if TYPE_CHECKING:
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress

_SUMMARY_EVERY_S = 5.0
_LOOK_EVERY_S = 2.0
_TRIES = 2


class BatchVerbSettings(Settings):
    """How many inputs are worked on."""

    verb: Literal[
        "run", "localize", "reconstruct", "render", "densify", "check", "drift", "link", "filter", "estimate"
    ] = "run"
    """What to do with each input."""

    verb_options: str | None = None
    """Options of that verb for all inputs, like "pixel_size_nm=100,method=mle"."""

    workers: PositiveInt | None = None
    """Processes on this machine (one for each core without it), or jobs on Slurm."""

    cluster: str | None = None
    """Where the workers are: tcp://HOST:PORT of a Dask scheduler, or slurm:CONFIG.yaml; this machine without it."""

    watch: bool = False
    """Keep taking new files until Ctrl-C, each when its size has stopped changing."""

    fail_fast: bool = False
    """Stop at the first input that failed twice."""


@dataclass(frozen=True)
class BatchResult:
    """What came of a batch.

    Parameters
    ----------
    outcomes : tuple of dict
        One for each input.
    n_failed : int
        Inputs that failed twice.
    outputs : tuple of Path
        summary.parquet and summary.html.
    """

    outcomes: tuple[dict[str, Any], ...]
    n_failed: int
    outputs: tuple[Path, ...]


def batch(
    source: PathLike,
    settings: BatchVerbSettings | None = None,
    *,
    output: PathLike,
    progress: Progress | None = None,
    **options: Any,
) -> BatchResult:
    """Do one verb for many inputs; the same call continues where an earlier one was ended.

    Parameters
    ----------
    source : path
        A folder, a glob, or a CSV manifest with a column `input` and columns of options.
    settings : BatchVerbSettings, optional
        How; or give fields as options, for example `verb="localize"`.
    output : path
        A folder: one result folder for each input, journal.jsonl, summary.parquet, summary.html.
    progress : callable, optional
        Called as progress(done, total) with inputs.
    **options : object
        Fields of the settings by name.

    Returns
    -------
    BatchResult
        What came of each input.

    Raises
    ------
    InputError
        There is no input, another batch is writing there, or an input failed with `fail_fast`.
    """
    wanted = build_settings(BatchVerbSettings, settings, options)
    common = parse_options(wanted.verb_options)
    items = find_items(str(source), common)
    if not items and not wanted.watch:
        msg = f"expected a folder, a glob or a CSV manifest with inputs, found none in {source}; name another"
        raise InputError(msg)
    folder = Path(output)
    with locked(folder):
        for left in folder.glob(f"{PART_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        work = _Work(str(source), common, wanted, folder)
        work.take(items)
        if work.waiting or wanted.watch:
            with open_client(wanted.cluster, wanted.workers) as client:
                work.go(client, begin_stage(progress, "Inputs"))
        outputs = write_summary(folder, list(work.outcomes.values()), len(work.known))
    failed = sum("error" in outcome for outcome in work.outcomes.values())
    return BatchResult(tuple(work.outcomes.values()), failed, outputs)


@dataclass
class _Work:
    """The state of a batch while it runs."""

    source: str
    common: dict[str, Any]
    wanted: BatchVerbSettings
    folder: Path
    known: set[str] = field(default_factory=set)
    waiting: deque[tuple[BatchItem, int]] = field(default_factory=deque)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def take(self, items: list[BatchItem]) -> None:
        """Add inputs; those with a result are done, if it was made in the same way."""
        for item in items:
            self.known.add(item.name)
            past = finished(self.folder, item.name)
            if past is None:
                self.waiting.append((item, 1))
                continue
            same = (self.wanted.verb, item.source, item.options)
            if (past["verb"], past["source"], past["options"]) != same:
                msg = f"{self.folder / item.name} was made in another way; name another folder"
                raise InputError(msg)
            self.outcomes[item.name] = past

    def go(self, client: Any, progress: Progress | None) -> None:
        """Work until nothing waits; with `watch` until interrupted."""
        from distributed import wait

        running: dict[Any, tuple[BatchItem, int]] = {}
        threads = 1 if self.wanted.cluster else share_threads(self.wanted.workers)[1]
        last = looked = time.monotonic()
        while self.waiting or running or self.wanted.watch:
            # A short queue at each worker keeps it busy; a long one would only fill the scheduler.
            while self.waiting and len(running) < 2 * max(1, len(client.nthreads())) + 2:
                item, attempt = self.waiting.popleft()
                future = client.submit(process, self.wanted.verb, item, str(self.folder), threads, pure=False)
                running[future] = (item, attempt)
            done = _first_done(wait, list(running))
            for future in done:
                self._settle(future, *running.pop(future))
            if done and progress is not None:
                progress(len(self.outcomes), len(self.known))
            now = time.monotonic()
            if now - last > _SUMMARY_EVERY_S:
                write_summary(self.folder, list(self.outcomes.values()), len(self.known))
                last = time.monotonic()
            if self.wanted.watch and now - looked > _LOOK_EVERY_S:
                self.take(self._complete_files())
                looked = now

    def _settle(self, future: Any, item: BatchItem, attempt: int) -> None:
        failure = future.exception() if future.status != "finished" else None
        outcome = future.result() if failure is None else _lost(self.wanted.verb, item, failure)
        if "error" in outcome and finished(self.folder, item.name) is None:
            note(self.folder, item=item.name, state="failed", attempt=attempt, error=outcome["error"])
            if attempt < _TRIES:
                self.waiting.append((item, attempt + 1))
                return
            self.outcomes[item.name] = outcome
            if self.wanted.fail_fast:
                write_summary(self.folder, list(self.outcomes.values()), len(self.known))
                msg = f"{item.name} failed twice: {outcome['error']}; finished inputs are kept, the same call goes on"
                raise InputError(msg)
            return
        self.outcomes[item.name] = finished(self.folder, item.name) or outcome
        note(self.folder, item=item.name, state="done", attempt=attempt)

    def _complete_files(self) -> list[BatchItem]:
        ready = []
        for item in find_items(self.source, self.common):
            size = Path(item.source).stat().st_size if Path(item.source).exists() else -1
            if item.name not in self.known and size > 0 and self.sizes.get(item.source) == size:
                ready.append(item)
            self.sizes[item.source] = size
        return ready


def _first_done(wait: Any, futures: list[Any]) -> list[Any]:
    if not futures:
        time.sleep(0.2)
        return []
    try:
        return list(wait(futures, timeout=1.0, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return []


def _lost(verb: str, item: BatchItem, failure: BaseException) -> dict[str, Any]:
    reason = "its worker died (out of memory, or killed); use fewer workers"
    if type(failure).__name__ != "KilledWorker":
        reason = f"{type(failure).__name__}: {failure}"
    return {"name": item.name, "source": item.source, "verb": verb, "options": item.options, "error": reason}
