"""batch: one verb for many inputs, resumable, on one machine or a cluster."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt

from stormcell.errors import InputError
from stormcell.settings import Settings
from stormcell.workflows.batch_cluster import job_script, open_client, share_threads
from stormcell.workflows.batch_dataset import add_field
from stormcell.workflows.batch_items import BatchItem, find_items, parse_options
from stormcell.workflows.batch_journal import finished, locked, note
from stormcell.workflows.batch_summary import write_summary
from stormcell.workflows.batch_verbs import BATCH_VERBS, check_options, known_options
from stormcell.workflows.batch_watch import Watcher
from stormcell.workflows.batch_worker import PART_PREFIX, input_mark, process
from stormcell.workflows.options import build_settings
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.remote import is_url, send

if TYPE_CHECKING:
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress

_SUMMARY_EVERY_S = 5.0
_SUMMARY_SHARE = 50.0
"""The summary of thousands of inputs takes time: the pause between two is so many times as long."""
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

    worker_memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory of each worker on this machine [GB] (its share of all without it); one that takes more is ended, and the
    input it was at is tried once more, then reported."""

    cluster: str | None = None
    """Where the workers are: tcp://HOST:PORT of a Dask scheduler, or slurm:CONFIG.yaml; this machine without it."""

    watch: bool = False
    """Keep taking new files until Ctrl-C, each when it is complete."""

    settle_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """With watch: a file is complete when it has not changed for so long [s], and a movie opens."""

    idle_s: Annotated[float, Field(gt=0)] | None = None
    """With watch: end when no file came for so long [s]; without it Ctrl-C ends."""

    dry_run: bool = False
    """Only say what would be done: which inputs, which workers, and for Slurm the script of a job."""

    results_url: str | None = None
    """Send each finished result folder to this place too (s3://..., gs://..., any that fsspec knows); here stay what
    resuming needs and the tables of the dataset."""

    fail_fast: bool = False
    """Stop at the first input that failed twice."""

    device: Literal["auto", "cpu", "cuda", "mps"] | None = None
    """Where networks compute, for verbs that have one."""

    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of everything random, for verbs that have one."""

    threads: PositiveInt | None = None
    """Threads of all workers on this machine together (as many as cores without it); on a cluster, of each worker."""


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
    plan : tuple of str
        What would be done, with `dry_run`.
    """

    outcomes: tuple[dict[str, Any], ...]
    n_failed: int
    outputs: tuple[Path, ...]
    plan: tuple[str, ...] = ()


def batch(
    source: PathLike,
    settings: BatchVerbSettings | None = None,
    *,
    output: PathLike,
    overwrite: bool = False,
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
    overwrite : bool
        Make again what was made with other options, by another version, or from an input that has changed since;
        what is up to date is kept all the same.
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
    beside = known_options(wanted.verb, {"device": wanted.device, "seed": wanted.seed})
    common = beside | parse_options(wanted.verb_options)
    items = find_items(str(source), common)
    if not items and not wanted.watch:
        msg = f"expected a folder, a glob or a CSV manifest with inputs, found none in {source}; name another"
        raise InputError(msg)
    for told in {repr(sorted(item.options.items())): item.options for item in items}.values() or [common]:
        check_options(wanted.verb, told)
    if wanted.watch and is_url(source):
        msg = f"expected a folder of this machine to watch, got {source}; leave --watch out"
        raise InputError(msg)
    if wanted.worker_memory_gb is not None and wanted.cluster is not None:
        msg = "worker_memory_gb: expected without --cluster, whose workers have limits of their own; leave one out"
        raise InputError(msg)
    folder = Path(output)
    if wanted.dry_run:
        return BatchResult((), 0, (), _plan(wanted, items, folder))
    with locked(folder):
        for left in folder.glob(f"{PART_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        work = _Work(str(source), common, wanted, folder, overwrite)
        work.take([item for item in items if not wanted.watch or finished(folder, item.name) is not None])
        try:
            if work.waiting or wanted.watch:
                pool = (wanted.cluster, wanted.workers, wanted.threads, wanted.worker_memory_gb)
                with open_client(*pool) as client:
                    work.go(client, begin_stage(progress, "Inputs"))
        finally:
            outputs = write_summary(folder, list(work.outcomes.values()), len(work.known))
        if wanted.results_url is not None:
            with tempfile.TemporaryDirectory() as aside:
                for path in outputs:
                    shutil.copy2(path, aside)
                send(Path(aside), wanted.results_url)
    failed = sum("error" in outcome for outcome in work.outcomes.values())
    return BatchResult(tuple(work.outcomes.values()), failed, outputs)


def _plan(wanted: BatchVerbSettings, items: list[BatchItem], folder: Path) -> tuple[str, ...]:
    done = sum(finished(folder, item.name) is not None for item in items)
    first = ", ".join(item.name for item in items[:3]) + (", ..." if len(items) > 3 else "")
    todo = f"{wanted.verb} of {len(items):,} inputs ({first}), {done:,} of them finished, into {folder}"
    if wanted.cluster is None:
        workers, threads = share_threads(wanted.workers, wanted.threads)
        return todo, f"{workers} workers of {threads} threads on this machine"
    if wanted.cluster.startswith("slurm:"):
        return todo, job_script(wanted.cluster)
    return todo, f"workers of {wanted.cluster}"


@dataclass
class _Work:
    """The state of a batch while it runs."""

    source: str
    common: dict[str, Any]
    wanted: BatchVerbSettings
    folder: Path
    overwrite: bool = False
    known: set[str] = field(default_factory=set)
    waiting: deque[tuple[BatchItem, int]] = field(default_factory=deque)
    suspects: deque[tuple[BatchItem, int]] = field(default_factory=deque)
    """Inputs whose worker died: the scheduler blames all that waited there, so each is tried again alone."""
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, items: list[BatchItem]) -> None:
        """Add inputs; those with a result are done, if it was made in the same way."""
        for item in items:
            self.known.add(item.name)
            past = finished(self.folder, item.name)
            if past is None or (self.overwrite and not self._is_up_to_date(past, item)):
                self.waiting.append((item, 1))
                continue
            if not self._is_same(past, item):
                msg = f"{self.folder / item.name} was made in another way; pass --overwrite or name another folder"
                raise InputError(msg)
            add_field(self.folder, item.name)
            self.outcomes[item.name] = past

    def _is_same(self, past: dict[str, Any], item: BatchItem) -> bool:
        return (past["verb"], past["source"], past["options"]) == (self.wanted.verb, item.source, item.options)

    def _is_up_to_date(self, past: dict[str, Any], item: BatchItem) -> bool:
        return self._is_same(past, item) and past.get("input") == input_mark(item.source)

    def go(self, client: Any, progress: Progress | None) -> None:
        """Work until nothing waits; with `watch` until interrupted or idle."""
        from distributed import wait

        running: dict[Any, tuple[BatchItem, int]] = {}
        wanted = self.wanted
        threads = (wanted.threads or 1) if wanted.cluster else share_threads(wanted.workers, wanted.threads)[1]
        watcher = Watcher(wanted.settle_s, BATCH_VERBS[wanted.verb].takes_movie)
        last = looked = busy = time.monotonic()
        pause_s = _SUMMARY_EVERY_S
        while self.waiting or self.suspects or running or (wanted.watch and not self._is_idle(busy)):
            # A short queue at each worker keeps it busy; a long one would only fill the scheduler.
            while self._may_submit(len(running), 2 * max(1, len(client.nthreads())) + 2):
                item, attempt = (self.waiting or self.suspects).popleft()
                call = (wanted.verb, item, str(self.folder), threads, self.overwrite, wanted.results_url)
                running[client.submit(process, *call, pure=False)] = (item, attempt)
            done = _first_done(wait, list(running))
            for future in done:
                self._settle(future, *running.pop(future))
            now = time.monotonic()
            busy = now if running else busy
            if done and progress is not None:
                progress(len(self.outcomes), len(self.known))
            if done and now - last > pause_s:
                write_summary(self.folder, list(self.outcomes.values()), len(self.known))
                last = time.monotonic()
                pause_s = max(_SUMMARY_EVERY_S, _SUMMARY_SHARE * (last - now))
            if wanted.watch and now - looked > min(_LOOK_EVERY_S, wanted.settle_s / 2):
                found = find_items(self.source, self.common)
                self.take(watcher.complete(item for item in found if item.name not in self.known))
                looked = now

    def _may_submit(self, n_running: int, most: int) -> bool:
        return n_running < most if self.waiting else bool(self.suspects) and n_running == 0

    def _is_idle(self, busy: float) -> bool:
        return self.wanted.idle_s is not None and time.monotonic() - busy > self.wanted.idle_s

    def _settle(self, future: Any, item: BatchItem, attempt: int) -> None:
        failure = future.exception() if future.status != "finished" else None
        outcome = future.result() if failure is None else _lost(self.wanted.verb, item, failure)
        if "error" in outcome and (self.overwrite or finished(self.folder, item.name) is None):
            note(self.folder, item=item.name, state="failed", attempt=attempt, error=outcome["error"])
            if attempt < _TRIES:
                (self.waiting if failure is None else self.suspects).append((item, attempt + 1))
                return
            self.outcomes[item.name] = outcome
            if self.wanted.fail_fast:
                write_summary(self.folder, list(self.outcomes.values()), len(self.known))
                msg = f"{item.name} failed twice: {outcome['error']}; finished inputs are kept, the same call goes on"
                raise InputError(msg)
            return
        self.outcomes[item.name] = finished(self.folder, item.name) or outcome
        add_field(self.folder, item.name)
        note(self.folder, item=item.name, state="done", attempt=attempt)


def _first_done(wait: Any, futures: list[Any]) -> list[Any]:
    if not futures:
        time.sleep(0.2)
        return []
    try:
        return list(wait(futures, timeout=1.0, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return []


def _lost(verb: str, item: BatchItem, failure: BaseException) -> dict[str, Any]:
    reason = "its worker died (out of memory, or killed); use fewer workers, or a part of the movie with roi"
    if type(failure).__name__ != "KilledWorker":
        reason = f"{type(failure).__name__}: {failure}"
    return {"name": item.name, "source": item.source, "verb": verb, "options": item.options, "error": reason}
