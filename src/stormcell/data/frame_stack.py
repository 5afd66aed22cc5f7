"""FrameStack: the frames of a movie, read chunk by chunk when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data.pixel_grid import PixelGrid
from stormcell.errors import InputError, MissingQuantityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from stormcell.data.provenance import Quantity


@dataclass(frozen=True)
class FrameStack:
    """Frames (T, Y, X) in raw camera units (ADU), lazily readable.

    Parameters
    ----------
    load : callable
        `load(start, stop)` returns frames start..stop of the whole file, shape (stop - start, rows, columns).
    full_shape : tuple of int
        (T, Y, X) of the whole file.
    dtype : numpy dtype
        Of the raw pixels.
    metadata : mapping of str to Quantity
        What the file itself says: camera_pixel_size_nm, offset_adu, gain_e_per_adu, em_gain, qe, read_noise_e,
        camera_type, camera_name, exposure_s. Keys are absent where the file is silent; the value is None where what
        it says cannot be right (the detail says why). Readers add file_format, and n_frames where the frame axis was
        unusual.
    name : str
        File name without folder, for messages and provenance.
    path : str or None
        Where the movie lies; None for arrays.
    first_frame, last_frame : int
        Half-open range of the file's frames that this stack shows.
    rows, columns : tuple of int
        Half-open pixel ranges of the file that this stack shows.
    """

    load: Callable[[int, int], NDArray[Any]]
    full_shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    metadata: Mapping[str, Quantity] = field(default_factory=dict)
    name: str = "array"
    path: str | None = None
    first_frame: int = 0
    last_frame: int = -1
    rows: tuple[int, int] = (0, -1)
    columns: tuple[int, int] = (0, -1)

    def __post_init__(self) -> None:
        n_frames, height, width = self.full_shape
        if self.last_frame < 0:
            object.__setattr__(self, "last_frame", n_frames)
        if self.rows[1] < 0:
            object.__setattr__(self, "rows", (self.rows[0], height))
        if self.columns[1] < 0:
            object.__setattr__(self, "columns", (self.columns[0], width))

    @classmethod
    def from_array(
        cls, frames: ArrayLike, *, metadata: Mapping[str, Quantity] | None = None, name: str = "array"
    ) -> FrameStack:
        """Wrap an array in memory.

        Parameters
        ----------
        frames : array_like
            Shape (T, Y, X) or (Y, X), raw camera units.
        metadata : mapping of str to Quantity, optional
            What is known about the camera.
        name : str
            Name for messages and provenance.

        Returns
        -------
        FrameStack
            The same frames.

        Raises
        ------
        InputError
            The array has not 2 or 3 axes, or an axis is empty.
        """
        array = np.asarray(frames)
        if array.ndim == 2:
            array = array[None]
        if array.ndim != 3 or 0 in array.shape:
            msg = f"expected frames of shape (T, Y, X) with no empty axis, got shape {np.shape(frames)}"
            raise InputError(msg)
        shape = (array.shape[0], array.shape[1], array.shape[2])
        return cls(lambda start, stop: array[start:stop], shape, array.dtype, metadata or {}, name)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, Y, X) of what this stack shows."""
        return (
            self.last_frame - self.first_frame,
            self.rows[1] - self.rows[0],
            self.columns[1] - self.columns[0],
        )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.shape[0]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(rows, columns) of one frame."""
        return self.shape[1:]

    @property
    def origin_px(self) -> tuple[int, int]:
        """(row, column) of this stack's first pixel in the whole file."""
        return self.rows[0], self.columns[0]

    def __len__(self) -> int:
        return self.n_frames

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Read frames into memory.

        Parameters
        ----------
        start, stop : int
            Half-open range counted within this stack; stop None means to the end.

        Returns
        -------
        ndarray
            Shape (n, Y, X), raw camera units, native dtype.
        """
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        frames = self.load(self.first_frame + start, self.first_frame + stop)
        return frames[:, slice(*self.rows), slice(*self.columns)]

    def blocks(self, n_frames: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Go through the movie block by block.

        Parameters
        ----------
        n_frames : int
            Frames in each block (the last may be shorter).

        Yields
        ------
        tuple of int and ndarray
            Index of the block's first frame within this stack, and its frames.
        """
        for start in range(0, self.n_frames, n_frames):
            yield start, self.read(start, start + n_frames)

    def frames(self, start: int, stop: int | None = None) -> FrameStack:
        """Show only some frames, without reading any.

        Parameters
        ----------
        start, stop : int
            Half-open range counted within this stack; stop None means to the end.

        Returns
        -------
        FrameStack
            The shorter movie; its `first_frame` keeps the position in the file.

        Raises
        ------
        InputError
            The range holds no frame of this movie.
        """
        stop = self.n_frames if stop is None else stop
        if not 0 <= start < min(stop, self.n_frames):
            msg = f"expected a frame range inside 0:{self.n_frames}, got {start}:{stop}"
            raise InputError(msg)
        return replace(
            self, first_frame=self.first_frame + start, last_frame=self.first_frame + min(stop, self.n_frames)
        )

    def crop(self, rows: tuple[int, int], columns: tuple[int, int]) -> FrameStack:
        """Show only a rectangle, without reading any frame.

        Parameters
        ----------
        rows, columns : tuple of int
            Half-open pixel ranges counted within this stack.

        Returns
        -------
        FrameStack
            The smaller movie; positions in nm stay those of the whole movie.

        Raises
        ------
        InputError
            The rectangle lies outside the frames or is empty.
        """
        height, width = self.frame_shape
        if not (0 <= rows[0] < rows[1] <= height and 0 <= columns[0] < columns[1] <= width):
            msg = (
                f"expected a region inside 0:{height},0:{width} (y0:y1,x0:x1), "
                f"got {rows[0]}:{rows[1]},{columns[0]}:{columns[1]}"
            )
            raise InputError(msg)
        y0, x0 = self.origin_px
        return replace(self, rows=(y0 + rows[0], y0 + rows[1]), columns=(x0 + columns[0], x0 + columns[1]))

    def grid(self, camera_pixel_size_nm: float | None = None) -> PixelGrid:
        """Lay the camera's pixel grid over this stack's field.

        Parameters
        ----------
        camera_pixel_size_nm : float, optional
            Camera pixel in the sample plane; None takes what the file says.

        Returns
        -------
        PixelGrid
            The camera grid, its origin at this stack's first pixel.

        Raises
        ------
        MissingQuantityError
            Neither given nor found in the file.
        """
        size, said = camera_pixel_size_nm, self.metadata.get("camera_pixel_size_nm")
        if size is None and said is not None and said.value is not None:
            size = float(said.value)
        if size is None:
            why = f" ({said.detail})" if said is not None and said.detail else ""
            msg = f"the camera pixel size is missing in {self.name}{why}; pass --pixel-size-nm (for example 100)"
            raise MissingQuantityError(msg)
        y0, x0 = self.origin_px
        return PixelGrid(size, self.frame_shape, (y0 * size, x0 * size))
