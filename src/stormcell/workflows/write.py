"""write: put a table or an image into a file, in the format of its ending."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from stormcell.data.localizations import Localizations
from stormcell.errors import StormcellWarning

if TYPE_CHECKING:
    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.opening import PathLike


def write(result: Localizations | SRImage, path: PathLike, *, overwrite: bool = False) -> Path:
    """Write a result in one step.

    Parameters
    ----------
    result : Localizations or SRImage
        What to write.
    path : path
        Tables: .parquet, .csv (ThunderSTORM), .hdf5 (Picasso). Images: .ome.tif keeps the numbers and the pixel
        size, .png is a picture with a scale bar.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        The ending is not known, the file exists, or it cannot be written.

    Warns
    -----
    StormcellWarning
        The format cannot hold everything; one sentence each.
    """
    target = Path(path)
    if isinstance(result, Localizations):
        from stormcell.io.tables import write_table

        for sentence in write_table(result, target, overwrite):
            warnings.warn(sentence, StormcellWarning, stacklevel=2)
    elif target.suffix.lower() == ".png":
        from stormcell.io.writing import write_bytes
        from stormcell.workflows.pictures import picture_with_scale_bar

        write_bytes(target, picture_with_scale_bar(result), overwrite)
    else:
        from stormcell.io.images import write_image

        write_image(result, target, overwrite)
    return target
