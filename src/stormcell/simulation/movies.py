"""Simulated movies that fit into memory: frames, truth and wide-field image in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.frame_stack import FrameStack
from stormcell.data.localizations import Localizations
from stormcell.data.provenance import Quantity
from stormcell.simulation.acquisition import Acquisition

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.data.sr_image import SRImage
    from stormcell.simulation.settings import SimulationSettings


@dataclass(frozen=True)
class SimulatedMovie:
    """A movie with everything that is known about it."""

    frames: FrameStack
    """Grey values, with the camera and pixel size as metadata."""
    truth: Localizations
    """Every emitter in every frame in which it was lit."""
    widefield: SRImage
    """All fluorophores at once."""
    config: SimulationSettings
    """What was simulated."""


def simulate_movie(
    settings: SimulationSettings, *, progress: Callable[[int, int], None] | None = None
) -> SimulatedMovie:
    """Simulate a movie in memory.

    Parameters
    ----------
    settings : SimulationSettings
        What to simulate; for a preset take `stormcell.simulation.presets.simulation_preset(name)`.
    progress : callable, optional
        Called as progress(done, total) with frames.

    Returns
    -------
    SimulatedMovie
        Equal settings give equal movies.

    Raises
    ------
    SettingsError
        The settings cannot be met.
    """
    acquisition = Acquisition(settings)
    frames, tables = [], []
    for block in acquisition.blocks():
        frames.append(block.frames)
        tables.append(block.truth)
        if progress is not None:
            progress(block.first_frame + len(block.frames), settings.n_frames)
    stack = FrameStack.from_array(
        np.concatenate(frames), metadata=movie_metadata(settings), name=f"simulated_{settings.structure.kind}"
    )
    return SimulatedMovie(stack, Localizations.concatenate(tables), acquisition.widefield(), settings)


def movie_metadata(settings: SimulationSettings) -> dict[str, Quantity]:
    """Collect what the movie's file says about pixel size and camera.

    Parameters
    ----------
    settings : SimulationSettings
        What is simulated.

    Returns
    -------
    dict of str to Quantity
        By name; per-pixel maps are left out.
    """
    camera = settings.camera
    values: dict[str, tuple[float | str | None, str]] = {
        "camera_pixel_size_nm": (settings.camera_pixel_size_nm, "nm"),
        "camera_type": (camera.camera_type, ""),
        "offset_adu": (camera.offset_adu, "ADU"),
        "gain_e_per_adu": (camera.gain_e_per_adu, "e/ADU"),
        "em_gain": (camera.em_gain, ""),
        "qe": (camera.qe, ""),
        "read_noise_e": (camera.read_noise_e, "e"),
    }
    return {
        name: Quantity(name, value, unit, "read", "simulated")
        for name, (value, unit) in values.items()
        if value is not None
    }
