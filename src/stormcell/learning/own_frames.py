"""The user's own training data: frames, and a table of where their emitters truly are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import InputError
from stormcell.learning.deepstorm_frames import LabelledFrames

if TYPE_CHECKING:
    from stormcell.data import FrameStack, Localizations
    from stormcell.physics.cameras import Camera

_LEAST_EMITTERS = 50


@dataclass(frozen=True)
class OwnFrames:
    """Frames with their true emitters.

    Parameters
    ----------
    stack : FrameStack
        The frames, camera units.
    camera : Camera
        Their camera.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    truth : Localizations
        frame, x_nm, y_nm; photons where they are known.
    """

    stack: FrameStack
    camera: Camera
    camera_pixel_size_nm: float
    truth: Localizations

    def __post_init__(self) -> None:
        grid = self.stack.grid(self.camera_pixel_size_nm)
        height, width = self.stack.frame_shape
        x, y = grid.x_px(self.truth["x_nm"]), grid.y_px(self.truth["y_nm"])
        frame = self.truth["frame"] - self.stack.first_frame
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (frame >= 0) & (frame < self.stack.n_frames)
        if int(inside.sum()) < _LEAST_EMITTERS:
            msg = (
                f"expected at least {_LEAST_EMITTERS} true emitters inside the {self.stack.n_frames} frames of "
                f"{height} x {width} px, got {int(inside.sum())} of {self.truth.n_rows}; check that table and frames "
                "belong together, and the pixel size"
            )
            raise InputError(msg)

    def labelled(self) -> LabelledFrames:
        """Turn into what patches are cut from.

        Returns
        -------
        LabelledFrames
            All frames in memory, emitters sorted by frame.
        """
        grid = self.stack.grid(self.camera_pixel_size_nm)
        frame = self.truth["frame"] - self.stack.first_frame
        order = np.argsort(frame, kind="stable")
        return LabelledFrames(
            self.stack.read().astype(np.float32),
            frame[order],
            grid.x_px(self.truth["x_nm"])[order],
            grid.y_px(self.truth["y_nm"])[order],
        )
