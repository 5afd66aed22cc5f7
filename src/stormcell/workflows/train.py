"""train: make a network for one's own microscope, from simulation, from a movie's conditions, or from own data."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from stormcell.errors import InputError, OutputError
from stormcell.settings import Settings
from stormcell.workflows.movie_settings import MovieSettings
from stormcell.workflows.options import build_settings
from stormcell.workflows.train_frames import open_own_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.learning.model_folder import ModelCard
    from stormcell.learning.training_request import TrainingRequest
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.train_tables import OwnTables

_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class TrainingTask:
    """A network that can be trained.

    Parameters
    ----------
    name : str
        What users type.
    about : str
        One line of help.
    recipe : str
        "module:class" of its settings; loaded when needed, because it brings the trainer along.
    train : str
        "module:function" that takes a `TrainingRequest` with such settings, trains, writes the model folder (card,
        weights, curves.png, preview.png) and returns the card.
    takes_frames : bool
        Whether its own data are frames with a table of true positions, which are opened for it.
    takes_tables : bool
        Whether its own data are localization tables of whole acquisitions, which are opened and linked for it.
    fine_tuning : str
        "module:name" of trainer settings that stand in for the recipe's own when it starts from a model; empty keeps
        the recipe's.
    """

    name: str
    about: str
    recipe: str
    train: str
    takes_frames: bool = False
    takes_tables: bool = False
    fine_tuning: str = ""

    def load(self) -> tuple[type[Settings], Callable[[TrainingRequest[Any]], ModelCard]]:
        """Import the recipe's settings and the function that trains.

        Returns
        -------
        tuple
            Both.
        """
        recipe, function = (self._find(place) for place in (self.recipe, self.train))
        return recipe, function

    def trainer(self, *, fine_tunes: bool) -> Settings | None:
        """Look up the trainer settings that hold where the user says nothing.

        Parameters
        ----------
        fine_tunes : bool
            Whether it starts from a model.

        Returns
        -------
        Settings or None
            None where the task has none.
        """
        if fine_tunes and self.fine_tuning:
            found = self._find(self.fine_tuning)
        else:
            found = self._find(self.recipe).model_fields["trainer"].default
        return found if isinstance(found, Settings) else None

    @staticmethod
    def _find(place: str) -> Any:
        module, _, name = place.partition(":")
        return getattr(import_module(module), name)


_ALL = (
    TrainingTask(
        "dense",
        "localization of overlapping emitters",
        "stormcell.learning.dense_training:DenseTrainingSettings",
        "stormcell.learning.dense_task:train_dense_model",
        takes_frames=True,
    ),
    TrainingTask(
        "deepstorm",
        "Deep-STORM as published in 2018",
        "stormcell.learning.deepstorm_training:DeepStormTrainingSettings",
        "stormcell.learning.deepstorm_task:train_deepstorm_model",
        takes_frames=True,
    ),
    TrainingTask(
        "annapalm",
        "dense pictures from few frames",
        "stormcell.learning.annapalm_training:DensifyTrainingSettings",
        "stormcell.learning.annapalm_task:train_annapalm_model",
        takes_tables=True,
        fine_tuning="stormcell.learning.annapalm_training:FINE_TUNING",
    ),
)

TASKS: dict[str, TrainingTask] = {task.name: task for task in _ALL}
"""Every network that can be trained, by name."""


class TrainVerbSettings(MovieSettings):
    """How a network is trained; camera and pixel size are those of the movie after `--like`, or of the own frames."""

    steps: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps in all; the recipe's own number without it. The last quarter lowers the learning rate (annapalm
    from a model: the last half; deepstorm: it falls where the validation loss does not, whatever the number)."""

    name: str | None = None
    """Name of the model in its card; without it the name of the folder."""

    resume: bool = False
    """Go on from the last checkpoint in the output folder."""

    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of weights and data; the recipe's own without it."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the network is trained; auto takes the fastest."""

    structure: str = "unknown"
    """What the own tables show (annapalm): microtubules, nuclear_pores, mitochondria, actin, or unknown."""

    widefield_pixel_size_nm: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Pixel of the wide-field images of own tables (annapalm) [nm], where their files do not say."""

    register_widefield: bool = True
    """Find and undo the displacement of the wide-field images of own tables (annapalm); without it they are taken as
    aligned."""


def train(
    task: str,
    settings: TrainVerbSettings | None = None,
    *,
    output: PathLike,
    like: PathLike | None = None,
    data: PathLike | None = None,
    widefield: PathLike | None = None,
    start: PathLike | None = None,
    config: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> ModelCard:
    """Train a network and write it as a model folder.

    Parameters
    ----------
    task : str
        Which network: dense, deepstorm or annapalm.
    settings : TrainVerbSettings, optional
        How; or give fields as options, for example `steps=2000`.
    output : path
        The model folder: card, weights, curves, previews.
    like : path, optional
        A movie, or the acquisition.yaml of `estimate`: train for its conditions.
    data : path, optional
        Folder with own training data; see the page on training.
    widefield : path, optional
        For annapalm: folder of wide-field images named like the tables of `data`, or one image for all.
    start : path, optional
        A model to start from (fine-tuning): its folder, or the name of a shipped one.
    config : path, optional
        YAML with fields of the task's recipe.
    overwrite : bool
        Whether an existing model may be replaced.
    progress : callable, optional
        Called as progress(steps done, steps in all); one with a method `stage(name)` is told what begins.
    **options : object
        Fields of the settings by name.

    Returns
    -------
    ModelCard
        The card of the trained model.

    Raises
    ------
    InputError
        The task is unknown, an input is missing or impossible, or a model exists.
    """
    wanted = build_settings(TrainVerbSettings, settings, options)
    if task not in TASKS:
        msg = f"expected one of {', '.join(TASKS)} to train, got {task}"
        raise InputError(msg)
    require_trainer()
    _, function = TASKS[task].load()
    from stormcell.io.hashing import hash_input
    from stormcell.learning.devices import resolve_device
    from stormcell.learning.training_request import TrainingRequest
    from stormcell.learning.training_run import training_run

    device = wanted.device if wanted.device == "auto" else resolve_device(wanted.device)
    folder = _prepare(Path(output), overwrite=overwrite, resume=wanted.resume)
    acquisition, movie, camera = _conditions(like, wanted)
    tables = _own_tables(TASKS[task], data, widefield, wanted)
    request = TrainingRequest(
        folder=folder,
        name=wanted.name or folder.resolve().name,
        recipe=_recipe(TASKS[task], config, wanted, fine_tunes=start is not None),
        like=acquisition,
        like_file=None if like is None else hash_input(like),
        movie=movie,
        camera=camera,
        data=None if data is None else Path(data),
        own=None if data is None or not TASKS[task].takes_frames else open_own_frames(Path(data), wanted),
        fields=() if tables is None else tables.fields,
        checks=() if tables is None else tables.checks,
        start=None if start is None else str(start),
        resume=wanted.resume,
    )
    with training_run(device, progress):
        return function(request)


def _own_tables(
    task: TrainingTask, data: PathLike | None, widefield: PathLike | None, wanted: TrainVerbSettings
) -> OwnTables | None:
    """Open own tables, for a task that takes them."""
    if not task.takes_tables or data is None:
        told = (widefield, wanted.widefield_pixel_size_nm, wanted.register_widefield, wanted.structure)
        if told != (None, None, True, "unknown"):
            msg = (
                "--widefield, its options and --structure belong to tables (train annapalm --data DIR), got them for "
                f"{task.name} without any; leave them out"
            )
            raise InputError(msg)
        return None
    from stormcell.workflows.train_tables import TablesRequest, own_tables

    return own_tables(
        TablesRequest(
            Path(data),
            None if widefield is None else Path(widefield),
            wanted.structure,
            wanted.pixel_size_nm,
            wanted.widefield_pixel_size_nm,
            wanted.register_widefield,
        )
    )


def require_trainer() -> None:
    """Refuse in words where the packages for training are not installed.

    Raises
    ------
    InputError
        They are missing.
    """
    try:
        import_module("stormcell.learning.training")
    except ModuleNotFoundError as error:
        msg = f"training needs the package {error.name}; install it with pip install 'stormcell[train]'"
        raise InputError(msg) from error


def _prepare(folder: Path, *, overwrite: bool, resume: bool) -> Path:
    from stormcell.io.writing import make_folder
    from stormcell.learning.model_folder import CARD_FILE
    from stormcell.learning.training_request import CURVES_FOLDER
    from stormcell.learning.training_run import is_first_process

    if not is_first_process():
        # started by the first one for another device, which has begun to write meanwhile
        return folder
    if (folder / CARD_FILE).exists() and not (overwrite or resume):
        msg = f"{folder} already holds a model; pass --overwrite to replace it, --resume to go on, or another folder"
        raise OutputError(msg)
    if (folder / CURVES_FOLDER).exists() and not (overwrite or resume):
        msg = f"{folder} holds an unfinished training; pass --resume to go on, or --overwrite to begin anew"
        raise OutputError(msg)
    make_folder(folder)
    return folder


def _recipe(task: TrainingTask, config: PathLike | None, wanted: TrainVerbSettings, *, fine_tunes: bool) -> Any:
    values: dict[str, Any] = {}
    if config is not None:
        from stormcell.io.documents import read_yaml

        content = read_yaml(config)
        if not isinstance(content, dict):
            msg = f"expected fields of a recipe by name in {config}, got {type(content).__name__}"
            raise InputError(msg)
        values = content
    if wanted.seed is not None:
        values["seed"] = wanted.seed
    is_gentle = fine_tunes and bool(task.fine_tuning)
    if is_gentle or wanted.steps is not None:
        default = task.trainer(fine_tunes=fine_tunes)
        trainer = ({} if default is None else default.model_dump()) | dict(values.get("trainer") or {})
        values["trainer"] = trainer | _schedule(wanted.steps, trainer, 2 if is_gentle else 4)
    return task.load()[0].create(**values)


def _schedule(steps: int | None, trainer: dict[str, Any], decay_divisor: int) -> dict[str, Any]:
    """Fit the schedule to a number of steps; what the recipe has switched off stays off."""
    if steps is None:
        return {}
    every = int(trainer.get("validation_every", 1000))
    return {
        "steps": steps,
        # The average must forget where it began, also in a short training.
        "ema_decay": min(float(trainer.get("ema_decay", 0.999)), max(0.5, 1 - 8 / steps)),
        "decay_steps": steps // decay_divisor if trainer.get("decay_steps", 1) else 0,
        "warmup_steps": min(200, steps // 20) if trainer.get("warmup_steps", 1) else 0,
        # a schedule may go by the validations, so their distance is the recipe's wherever it fits
        "validation_every": every if every <= steps else max(1, steps // 10),
    }


def _conditions(like: PathLike | None, wanted: TrainVerbSettings) -> tuple[Any, Any, Any]:
    """Read the conditions of a movie, or of the file that says them; and the movie itself."""
    if like is None:
        return None, None, None
    if Path(like).suffix.lower() in _YAML:
        from stormcell.calibration.acquisition_settings import AcquisitionSettings
        from stormcell.io.documents import read_yaml

        content = read_yaml(like)
        if not isinstance(content, dict):
            msg = f"expected an acquisition.yaml written by stormcell estimate, got {like}"
            raise InputError(msg)
        return AcquisitionSettings.create(**content), None, None
    from stormcell.calibration.acquisition import estimate_acquisition
    from stormcell.workflows.camera import resolve_movie
    from stormcell.workflows.opening import open_stack

    stack = open_stack(like, wanted)
    context = resolve_movie(stack, wanted)
    estimate = estimate_acquisition(stack, context.camera, context.camera_pixel_size_nm)
    return estimate.settings(), stack, context.camera
