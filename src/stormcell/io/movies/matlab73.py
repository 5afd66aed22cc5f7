"""Movies as MATLAB arrays, .mat version 7.3, which is HDF5 with the axes reversed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data import FrameStack
from stormcell.errors import FormatError
from stormcell.io.movies.contiguous import native
from stormcell.io.movies.matlab_axes import choose_variable, time_axis
from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.pixels import check_frame_size
from stormcell.io.movies.quantities import file_notes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BLOCK_AFTER_USER_TEXT = 512
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError)


@dataclass(frozen=True)
class _MatlabDataset:
    """Loader that reads only the chunks a block needs; HDF5 serialises calls from several threads itself."""

    path: str
    variable: str
    time: int

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                dataset = file[self.variable]
                # MATLAB (Y, X, T) is (T, X, Y) here
                reversed_axes = dataset[start:stop] if self.time == 2 else dataset[:, :, start:stop]
        except _DAMAGE as error:
            raise FormatError(_damaged(self.path, error)) from None
        order = (0, 2, 1) if self.time == 2 else (2, 1, 0)
        return native(np.array(reversed_axes.transpose(order), order="C"))


def open_matlab73(path: Path) -> FrameStack:
    """Open an array of a MATLAB 7.3 file as a movie.

    Parameters
    ----------
    path : Path
        A .mat file saved with -v7.3, or an HDF5 file laid out like one (with MATLAB_class attributes).

    Returns
    -------
    FrameStack
        Read block by block.

    Raises
    ------
    FormatError
        The file is truncated, an HDF5 file of another kind, or holds no numeric array with three axes.
    """
    arrays = _numeric_arrays(path)
    shapes = {name: shape for name, (shape, _) in arrays.items()}
    variable, note = choose_variable(shapes, path)
    dtype = arrays[variable][1]
    first, second, third = shapes[variable]
    time, reason = time_axis((first, second, third))
    shape = (third, first, second) if time == 2 else (first, second, third)
    check_frame_size(shape, path)
    notes = file_notes("MATLAB 7.3 array", f"variable {variable}", shape[0], [reason, *filter(None, [note])])
    load = _MatlabDataset(str(path), variable, time)
    return FrameStack(load, shape, dtype.newbyteorder("="), notes, path.name, str(path))


def _numeric_arrays(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Map variable names to their MATLAB shape and type."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            datasets = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            matlab = {name: item for name, item in datasets.items() if "MATLAB_class" in item.attrs}
            if not matlab:
                msg = (
                    f"expected a movie, but {path} is an HDF5 file without MATLAB variables; "
                    "if it is a table, name a verb that takes tables, else export the movie as OME-TIFF"
                )
                raise FormatError(msg)
            return {
                name: (tuple(map(int, item.shape[::-1])), item.dtype)
                for name, item in matlab.items()
                if item.dtype.kind in "uif" and _matlab_class(item) not in {"char", "logical", "cell"}
            }
    except FormatError:
        raise
    except _DAMAGE as error:
        raise FormatError(_damaged(path, error)) from None


def _matlab_class(dataset: Any) -> str:
    name = dataset.attrs["MATLAB_class"]
    return name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)


def _damaged(path: object, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return (
        f"expected a MATLAB 7.3 array in {path}, but the file is truncated or damaged ({reason:.120}); save it again"
    )


def _recognises(_path: Path, head: bytes) -> bool:
    return head.startswith(_HDF5_SIGNATURE) or head[_BLOCK_AFTER_USER_TEXT:].startswith(_HDF5_SIGNATURE)


MATLAB_73 = MovieFormat("MATLAB 7.3 array", _recognises, open_matlab73)
