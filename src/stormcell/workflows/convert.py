"""convert: write a table, a movie or an image in another format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.data.localizations import Localizations
from stormcell.data.sr_image import SRImage
from stormcell.errors import OutputError
from stormcell.io.writing import check_writable
from stormcell.io.zarr_writing import check_store_writable
from stormcell.workflows.movie_settings import MovieSettings
from stormcell.workflows.opening import open_stack
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_image, prepare_table
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.read import Kind, kind_of, read
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from stormcell.data.frame_stack import FrameStack
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress

_MOVIE_ENDINGS = (".tif", ".tiff", ".npy", ".zarr")
_BLOCK_PIXELS = 8_000_000


class ConvertVerbSettings(MovieSettings):
    """What to convert of a movie, and what the input may not say about itself."""

    columns: tuple[str, ...] | None = None
    """Names of the columns of a text table without a header line, or in place of its own, for example
    x_nm,y_nm,frame (frames from 0) or "x [nm],y [nm],frame" (frames from 1); other names are left out."""


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Parameters
    ----------
    kind : {"movie", "table", "image"}
        What the input is.
    output : Path
        The file written.
    n_items : int
        Frames, rows or pixels.
    """

    kind: Kind
    output: Path
    n_items: int


@with_remote_places
def convert(
    source: PathLike,
    output: PathLike,
    settings: ConvertVerbSettings | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Conversion:
    """Write a table, a movie or an image in another format.

    Parameters
    ----------
    source : path
        The input; its content decides what it is.
    output : path
        Its ending chooses the format. Tables: .parquet, .csv, .hdf5. Movies: .ome.tif, .ome.zarr, .npy. Images: .tif,
        .ome.zarr, .png.
    settings : ConvertVerbSettings, optional
        Part of a movie, pixel size.
    overwrite : bool
        Whether an existing file may be replaced.
    progress : callable, optional
        Called as progress(done, total).
    **options : object
        Fields of the settings.

    Returns
    -------
    Conversion
        What was converted.

    Raises
    ------
    InputError
        The input is none of these, or the output cannot be written in that format.

    Warns
    -----
    StormcellWarning
        The format cannot hold everything; one sentence each.
    """
    wanted = build_settings(ConvertVerbSettings, settings, options)
    target = Path(output)
    kind: Kind = "table" if wanted.columns else kind_of(source)
    if kind == "movie":
        _prepare_movie(target, overwrite)
        stack = open_stack(source, wanted)
        write_movie(stack, target, wanted.pixel_size_nm, overwrite, begin_stage(progress, "Converting"))
        return Conversion(kind, target, stack.n_frames)
    (prepare_table if kind == "table" else prepare_image)(target, overwrite)
    content = read(source, kind=kind, pixel_size_nm=wanted.pixel_size_nm, columns=wanted.columns)
    if not isinstance(content, Localizations | SRImage):
        msg = f"expected a table or an image in {source}, got {type(content).__name__}"
        raise OutputError(msg)
    write(content, target, overwrite=overwrite)
    return Conversion(kind, target, content.n_rows if isinstance(content, Localizations) else content.pixels.size)


def write_movie(
    stack: FrameStack, path: Path, pixel_size_nm: float | None, overwrite: bool, progress: Progress | None
) -> None:
    """Write a movie block by block.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    path : Path
        .tif (OME-TIFF), .zarr (OME-Zarr 0.5) or .npy.
    pixel_size_nm : float or None
        None takes what the movie says.
    overwrite : bool
        Whether an existing file may be replaced.
    progress : callable or None
        Called as progress(done, total) with frames.
    """
    from stormcell.io.movies import write_npy_movie, write_ome_tiff_movie, write_zarr_movie

    step = max(1, _BLOCK_PIXELS // max(1, stack.frame_shape[0] * stack.frame_shape[1]))

    def blocks() -> Iterator[np.ndarray[Any, Any]]:
        for start, block in stack.blocks(step):
            yield block
            if progress is not None:
                progress(start + len(block), stack.n_frames)

    if path.suffix.lower() == ".npy":
        write_npy_movie(path, blocks(), shape=stack.shape, dtype=stack.dtype, overwrite=overwrite)
        return
    known = stack.metadata.get("camera_pixel_size_nm")
    size = pixel_size_nm or (float(known.value) if known is not None and known.value is not None else None)
    writer = write_zarr_movie if path.suffix.lower() == ".zarr" else write_ome_tiff_movie
    writer(
        path,
        blocks(),
        shape=stack.shape,
        dtype=stack.dtype,
        camera_pixel_size_nm=size,
        metadata=stack.metadata,
        overwrite=overwrite,
    )


def _prepare_movie(path: Path, overwrite: bool) -> None:
    if path.suffix.lower() not in _MOVIE_ENDINGS:
        msg = f"expected a movie name ending in {', '.join(_MOVIE_ENDINGS)}, got {path.name}; choose one of these"
        raise OutputError(msg)
    (check_store_writable if path.suffix.lower() == ".zarr" else check_writable)(path, overwrite)
