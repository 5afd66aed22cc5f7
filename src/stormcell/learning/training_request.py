"""What a training task is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from stormcell.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.calibration.acquisition_settings import AcquisitionSettings
    from stormcell.data import InputFile
    from stormcell.data.frame_stack import FrameStack
    from stormcell.learning.annapalm_pairs import EventField
    from stormcell.learning.own_frames import OwnFrames
    from stormcell.physics.cameras import Camera

RecipeT = TypeVar("RecipeT", bound=Settings)

CURVES_FOLDER = "training"
"""Folder inside the model folder for checkpoints, curves and TensorBoard files."""


@dataclass(frozen=True)
class TrainingRequest(Generic[RecipeT]):
    """What to train, from what, where to.

    Parameters
    ----------
    folder : Path
        The model folder; it exists. Checkpoints and curves go to its folder `CURVES_FOLDER`.
    name : str
        Name of the model, for its card.
    recipe : Settings
        The task's own settings, from the defaults, the config file and the options.
    like : AcquisitionSettings, optional
        Conditions of a movie that the network is trained for.
    like_file : InputFile, optional
        The file they were read from, with its checksum.
    movie : FrameStack, optional
        That movie, where it was given as one: its patches are shown beside simulated ones before training.
    camera : Camera, optional
        Its camera.
    data : Path, optional
        Folder with the user's own training data.
    own : OwnFrames, optional
        What that folder holds, for tasks that take frames with true positions.
    fields : tuple of EventField
        What that folder holds, for tasks that take localization tables: checked, linked, from each field's corner.
    checks : tuple of str
        What was found of each of these tables, one line each, those left out among them.
    start : str, optional
        Model to start from: folder, or name of a shipped one.
    resume : bool
        Go on from the folder's last checkpoint.
    """

    folder: Path
    name: str
    recipe: RecipeT
    like: AcquisitionSettings | None = None
    like_file: InputFile | None = None
    movie: FrameStack | None = None
    camera: Camera | None = None
    data: Path | None = None
    own: OwnFrames | None = None
    fields: tuple[EventField, ...] = ()
    checks: tuple[str, ...] = ()
    start: str | None = None
    resume: bool = False

    @property
    def curves(self) -> Path:
        """Folder of checkpoints and curves."""
        return self.folder / CURVES_FOLDER
