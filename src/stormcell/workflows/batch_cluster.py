"""The workers of a batch: on this machine, on a scheduler that runs already, or on Slurm."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stormcell.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_NUMBA_VARIABLE = "NUMBA_NUM_THREADS"


def share_threads(workers: int | None, threads: int | None = None) -> tuple[int, int]:
    """Share the cores of this machine.

    Parameters
    ----------
    workers : int or None
        Processes wanted; None takes one for each core.
    threads : int, optional
        Threads in all; None takes as many as there are cores.

    Returns
    -------
    tuple of int
        Processes, and threads in each; their product is at most the number of cores, or one thread each.
    """
    cores = threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    count = workers or cores
    return count, max(1, cores // count)


@contextmanager
def open_client(
    cluster: str | None,
    workers: int | None,
    threads: int | None = None,
    memory_gb: float | None = None,
    allowed_deaths: int = 0,
) -> Iterator[Any]:
    """Connect to the workers.

    Parameters
    ----------
    cluster : str or None
        `tcp://...`, `slurm:config.yaml`, or None for this machine.
    workers : int or None
        Processes on this machine, or jobs on Slurm.
    threads : int, optional
        Threads of all processes on this machine together.
    memory_gb : float, optional
        Memory of each process on this machine; None gives each its share of all. One that takes more is ended.
    allowed_deaths : int
        How often a worker may die over a piece of work before that counts as failed; a scheduler that runs already
        has its own number.

    Yields
    ------
    distributed.Client
        Connected.

    Raises
    ------
    InputError
        A package is missing, or the cluster cannot be reached.
    """
    try:
        import dask
        import distributed
    except ImportError:
        msg = 'batch needs dask.distributed; install it with: pip install "stormcell[cluster]"'
        raise MissingDependencyError(msg) from None
    settings: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": allowed_deaths,
        "distributed.admin.log-length": 0,
    }
    if cluster is None:
        count, each = share_threads(workers, threads)
        settings["distributed.nanny.pre-spawn-environ"] = dict.fromkeys(_THREAD_VARIABLES, str(each))
        # the variables above pass through this process's environment, where numba refuses a change once it has run
        settings["distributed.nanny.environ"] = {_NUMBA_VARIABLE: str(each)}
        with (
            dask.config.set(settings),
            _local(count, memory_gb) as local,
            distributed.Client(local) as client,
        ):
            yield client
    elif cluster.startswith("slurm:"):
        with dask.config.set(settings), _slurm(cluster.removeprefix("slurm:"), workers) as jobs:
            with distributed.Client(jobs) as client:
                yield client
    else:
        with _connect(cluster) as client:
            yield client


def _local(count: int, memory_gb: float | None) -> Any:
    import distributed

    limit = "auto" if memory_gb is None else int(memory_gb * 1e9)
    quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    try:
        return distributed.LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=limit, **quiet)
    except RuntimeError as error:
        msg = f"the worker processes did not start ({error}); finished inputs are kept, call again with fewer workers"
        raise InputError(msg) from None


def _connect(address: str) -> Any:
    import distributed

    try:
        return distributed.Client(address, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"expected --cluster tcp://HOST:PORT of a running scheduler, got {address} ({error}); start it first"
        raise InputError(msg) from None


def job_script(cluster: str) -> str:
    """Write the script that would be sent to Slurm, without sending it.

    Parameters
    ----------
    cluster : str
        `slurm:config.yaml`.

    Returns
    -------
    str
        The script of one job.
    """
    made, _ = _slurm_cluster(cluster.removeprefix("slurm:"))
    with made:
        return str(made.job_script())


def _slurm(config: str, workers: int | None) -> Any:
    cluster, jobs = _slurm_cluster(config)
    cluster.scale(jobs=workers or jobs)
    return cluster


def _slurm_cluster(config: str) -> tuple[Any, int]:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        msg = 'a Slurm cluster needs dask-jobqueue; install it with: pip install "stormcell[cluster]"'
        raise MissingDependencyError(msg) from None
    from stormcell.io.documents import read_yaml

    values = dict(read_yaml(config))
    jobs = int(values.pop("jobs", 1))
    values.setdefault("processes", values.get("cores", 1))  # a worker with two threads would do two inputs at once
    try:
        return SLURMCluster(**values), jobs
    except (TypeError, ValueError) as error:
        msg = f"expected options of dask_jobqueue.SLURMCluster in {config}, got {', '.join(values)} ({error})"
        raise InputError(msg) from None
