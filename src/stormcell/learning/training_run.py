"""Where a training computes, whom it tells how far it is, and what it has cost: the same for every task."""

from __future__ import annotations

import platform
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

import stormcell
from stormcell.learning.model_folder import find_model, load_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stormcell.learning.training_request import TrainingRequest

LAST_CHECKPOINT = "last.ckpt"
_SPENT = "spent"


@dataclass(frozen=True)
class TrainingRun:
    """What a caller wants of a training beside the network.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        Where it computes.
    progress : callable, optional
        Called as progress(steps done, steps in all); one with a method `stage(name)` is told what begins.
    """

    device: str = "auto"
    progress: Callable[[int, int], None] | None = None

    def tell_stage(self, name: str) -> None:
        """Tell that another part of the work begins.

        Parameters
        ----------
        name : str
            For example "Training".
        """
        tell = getattr(self.progress, "stage", None)
        if tell is not None:
            tell(name)


_CURRENT: ContextVar[TrainingRun | None] = ContextVar("training_run", default=None)


@contextmanager
def training_run(device: str = "auto", progress: Callable[[int, int], None] | None = None) -> Iterator[None]:
    """Say how the trainings inside the block run; the tasks between here and the trainer need not know.

    Parameters
    ----------
    device, progress
        As in `TrainingRun`.

    Yields
    ------
    None
        Nothing.
    """
    token = _CURRENT.set(TrainingRun(device, progress))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_run() -> TrainingRun:
    """Tell how the training that is asked for runs.

    Returns
    -------
    TrainingRun
        Of the enclosing `training_run`, or the defaults.
    """
    return _CURRENT.get() or TrainingRun()


def is_first_process() -> bool:
    """Tell whether this process is the one that writes, among those of a data-parallel training.

    Returns
    -------
    bool
        True where there is only one.
    """
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


class Spending:
    """Processor time and hardware of a training, over all its resumptions."""

    def __init__(self) -> None:
        self._before_s: float | None = 0.0
        self._hardware: list[str] = []
        self._start_s = time.process_time()

    def save(self, checkpoint: dict[str, Any], device: torch.device) -> None:
        """Add what was spent so far to a checkpoint.

        Parameters
        ----------
        checkpoint : dict
            Gets one more entry.
        device : torch.device
            Where the network is trained.
        """
        names = [*self._hardware, hardware_name(device)]
        spent = None if self._before_s is None else self._before_s + time.process_time() - self._start_s
        checkpoint[_SPENT] = {"processor_s": spent, "hardware": list(dict.fromkeys(names))}

    def load(self, checkpoint: dict[str, Any]) -> None:
        """Go on from what a checkpoint says.

        Parameters
        ----------
        checkpoint : dict
            One without the entry leaves the processor time unknown.
        """
        spent = checkpoint.get(_SPENT) or {"processor_s": None, "hardware": ["unknown"]}
        self._before_s, self._hardware = spent["processor_s"], spent["hardware"]


def hardware_name(device: torch.device) -> str:
    """Name what computes.

    Parameters
    ----------
    device : torch.device
        Of the network.

    Returns
    -------
    str
        The GPU by name, or the processor and how many of its threads are used.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    return f"{_processor_name()}, threads: {torch.get_num_threads()}"


def _processor_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = (line.partition(":") for line in text.splitlines())
    found = next((value.strip() for key, _, value in named if key.strip() == "model name"), "")
    return found or platform.processor() or platform.machine()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of the trainer; the weights stay on the disk until they are used.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        What the trainer saved, on the processor.
    """
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False, mmap=True)
    return found


def training_facts(request: TrainingRequest[Any]) -> dict[str, Any]:
    """Gather what a card says of a finished training beside its recipe.

    Parameters
    ----------
    request : TrainingRequest
        What was asked for.

    Returns
    -------
    dict
        Start and its weights' checksum, data, processor time of the steps (all resumptions), hardware, versions.
    """
    checkpoint = request.curves / LAST_CHECKPOINT
    spent = (read_checkpoint(checkpoint).get(_SPENT) if checkpoint.exists() else None) or {}
    processor_s = spent.get("processor_s")
    start = None if request.start is None else load_card(find_model(request.start))
    like = request.like_file
    return {
        "started_from": request.start or "nothing",
        "started_from_sha256": None if start is None else start.weights_sha256,
        "like": None if like is None else like.name,
        "like_sha256": None if like is None else like.sha256,
        "own_frames": None if request.data is None else request.data.name,
        "processor_s": None if processor_s is None else round(processor_s, 1),
        "hardware": "; ".join(spent.get("hardware", ("unknown",))),
        "stormcell": stormcell.__version__,
        "torch": torch.__version__,
    }
