"""The survey: what a movie's pixels are like, counted while its frames are read for other work."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack

_USUAL_BIT_DEPTHS = (8, 10, 11, 12, 14, 16)
_BLOCK_PIXELS = 8_000_000


@dataclass
class Survey:
    """Counts over the frames read so far, each frame counted once; of a share those from `n_seen` to `end`."""

    stack: FrameStack
    n_seen: int = 0
    n_not_finite: int = 0
    n_negative: int = 0
    largest: float = -np.inf
    n_largest: int = 0
    end: int | None = None
    total: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.stack.frame_shape)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def add(self, share: Survey) -> None:
        """Add the counts of the frames that follow, made elsewhere.

        Parameters
        ----------
        share : Survey
            Of the frames from `n_seen` on.
        """
        self.total += share.total
        self.n_not_finite += share.n_not_finite
        self.n_negative += share.n_negative
        if share.largest > self.largest:
            self.largest, self.n_largest = share.largest, 0
        self.n_largest += share.n_largest if share.largest == self.largest else 0
        self.n_seen = share.n_seen

    def watched(self) -> FrameStack:
        """Make a stack that counts what is read from it.

        Returns
        -------
        FrameStack
            The same frames.
        """
        return replace(self.stack, load=self._load)

    def finish(self) -> None:
        """Read the frames that nobody read."""
        step = max(1, _BLOCK_PIXELS // max(1, int(np.prod(self.stack.full_shape[1:]))))
        watched = self.watched()
        for start in range(self.n_seen, self.stack.n_frames, step):
            watched.read(start, start + step)

    def mean_image(self) -> NDArray[np.float32]:
        """Average the frames.

        Returns
        -------
        ndarray
            Shape (Y, X), camera units.
        """
        return (self.total / max(1, self.n_seen)).astype(np.float32)

    def saturation_adu(self, camera_saturation_adu: float | None) -> float | None:
        """Find the grey value at which pixels are clipped.

        Parameters
        ----------
        camera_saturation_adu : float or None
            The camera's largest grey value where it is known.

        Returns
        -------
        float or None
            None where nothing looks clipped: the largest value lies below, or is not the end of a usual bit depth.
        """
        if camera_saturation_adu is not None:
            return camera_saturation_adu if self.largest >= camera_saturation_adu else None
        ends = {2**bits - 1 for bits in _USUAL_BIT_DEPTHS}
        return self.largest if self.largest in ends and self.n_largest > 1 else None

    def sentences(self, camera_saturation_adu: float | None = None) -> list[str]:
        """Say in plain words what was not clean.

        Parameters
        ----------
        camera_saturation_adu : float or None
            The camera's largest grey value where it is known.

        Returns
        -------
        list of str
            Empty for clean data.
        """
        notes = []
        if self.stack.n_frames == 1:
            notes.append("the movie has one frame: no background in time, no blinking, no drift can be seen")
        if min(self.stack.frame_shape) < 2:
            height, width = self.stack.frame_shape
            notes.append(f"the frames are {height} x {width} px: too small to fit an emitter")
        if self.n_not_finite:
            notes.append(f"{_pixels(self.n_not_finite)} NaN or infinite; they were left out")
        if self.n_negative:
            notes.append(f"{_pixels(self.n_negative)} negative: the offset may have been subtracted before")
        if self.saturation_adu(camera_saturation_adu) is not None:
            notes.append(
                f"{_pixels(self.n_largest)} saturated at {self.largest:g} ADU: photons there are a lower limit"
            )
        return notes

    def _load(self, start: int, stop: int) -> NDArray[Any]:
        frames = self.stack.load(start, stop)
        window = (slice(None), slice(*self.stack.rows), slice(*self.stack.columns))
        with self._lock:
            first = start - self.stack.first_frame
            # Frames are first read in order; what is read again, or ahead by several threads, is counted once.
            last = first + len(frames) if self.end is None else min(self.end, first + len(frames))
            if first <= self.n_seen < last:
                self._count(frames[self.n_seen - first : last - first][window])
                self.n_seen = last
        return frames

    def _count(self, frames: NDArray[Any]) -> None:
        if not frames.size:
            return
        if frames.dtype.kind == "f":
            frames = self._finite(frames)
        self.total += frames.sum(axis=0, dtype=np.float64)
        if frames.dtype.kind != "u":
            self.n_negative += int((frames < 0).sum())
        largest = float(frames.max())
        if largest > self.largest:
            self.largest, self.n_largest = largest, 0
        if largest == self.largest:
            self.n_largest += int((frames == frames.dtype.type(largest)).sum())

    def _finite(self, frames: NDArray[Any]) -> NDArray[Any]:
        bad = ~np.isfinite(frames)
        if not bad.any():
            return frames
        self.n_not_finite += int(bad.sum())
        filled = frames.copy()
        for frame, is_bad in zip(filled, bad, strict=True):
            good = frame[~is_bad]
            frame[is_bad] = np.median(good) if good.size else 0
        return filled


def _pixels(count: int) -> str:
    return f"{count:,} pixel values are" if count > 1 else "1 pixel value is"
