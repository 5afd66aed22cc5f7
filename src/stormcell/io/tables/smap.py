"""SMAP (_sml.mat, MATLAB 7.3, that is HDF5): `/saveloc/loc` holds one array per column, in nm, frames from 1.

Positions are taken as they are. With SMAP's own fitters, which count pixels from 1, they lie half a pixel further
than ours; SMAP also keeps tables of other programs without a shift, and its files do not say which they are.

References
----------
Ries (2020), doi:10.1038/s41592-020-0938-1.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from stormcell.data import Localizations, PixelGrid, Quantity
from stormcell.errors import FormatError
from stormcell.io.context import read_provenance
from stormcell.io.tables.hdf5 import contents, open_hdf5
from stormcell.io.tables.labelled import convert, left_out_remark, require_positions
from stormcell.io.tables.labels import Meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

_MAGIC = b"MATLAB 7.3"
_GROUP = "saveloc"
_LATERAL = ("uncertainty_x_nm", "uncertainty_y_nm")

ORIGIN_NOTE = (
    "positions were taken as they are; where SMAP itself fitted them they lie half a camera pixel too far in x and y"
)
"""What the files leave open."""

FIELDS = {
    "frame": ("frame",),
    "xnm": ("x_nm",),
    "ynm": ("y_nm",),
    "znm": ("z_nm",),
    "phot": ("photons",),
    "bg": ("background_photons",),
    "photerr": ("uncertainty_photons",),
    "bgerr": ("uncertainty_background_photons",),
    "xnmerr": ("uncertainty_x_nm",),
    "ynmerr": ("uncertainty_y_nm",),
    "locprecnm": _LATERAL,
    "locprecznm": ("uncertainty_z_nm",),
    "PSFxnm": ("psf_sigma_x_nm",),
    "PSFynm": ("psf_sigma_y_nm",),
    "channel": ("channel",),
    "logLikelihood": ("log_likelihood",),
    "iterations": ("iterations",),
    "numberInGroup": ("n_detections",),
    "prob": ("probability",),
}
"""SMAP's fields and the columns they fill; errors of each axis go before the common one."""


def looks_like(file: TableFile) -> bool:
    """Recognise a MATLAB 7.3 file with `/saveloc`.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True for SMAP tables.

    Raises
    ------
    FormatError
        The file is truncated or damaged.
    """
    return file.head.startswith(_MAGIC) and _GROUP in contents(file.path)


def read(file: TableFile) -> Localizations:
    """Read an SMAP table.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table; one `psf_sigma_nm` where both widths are equal or only one is there.

    Raises
    ------
    FormatError
        There are no positions, columns differ in length, or the file is damaged.
    """
    with open_hdf5(file.path) as hdf5:
        group = hdf5[_GROUP].get("loc") if isinstance(hdf5[_GROUP], h5py.Group) else None
        if not isinstance(group, h5py.Group):
            msg = (
                f"expected localizations in /saveloc/loc of {file.path}, got another layout; save it from SMAP again"
            )
            raise FormatError(msg)
        labels = list(group)
        fields = {name: group[name][()].ravel() for name in FIELDS if isinstance(group.get(name), h5py.Dataset)}
        camera = _camera(hdf5)
    require_positions(file.path, {FIELDS[name][0] for name in fields}, labels)
    lengths = {len(values) for values in fields.values()}
    if len(lengths) != 1 or any(values.dtype.kind not in "iuf" for values in fields.values()):
        msg = f"expected equally long columns of numbers in {file.path}, got {sorted(lengths)} rows; save it again"
        raise FormatError(msg)
    columns, remarks = convert(file, *_chosen(fields), frame_base=1)
    _one_width(columns)
    remarks = left_out_remark([name for name in labels if name not in fields]) + remarks
    return _with_camera(file, columns, camera, (*remarks, ORIGIN_NOTE))


def _chosen(fields: dict[str, Any]) -> tuple[dict[int, Meaning], list[Any]]:
    chosen: dict[int, Meaning] = {}
    values: list[Any] = []
    filled: set[str] = set()
    for name, columns in FIELDS.items():
        wanted = tuple(column for column in columns if column not in filled)
        if name in fields and wanted:
            chosen[len(values)] = Meaning(wanted)
            values.append(fields[name])
            filled.update(wanted)
    return chosen, values


def _one_width(columns: dict[str, Any]) -> None:
    x, y = columns.get("psf_sigma_x_nm"), columns.get("psf_sigma_y_nm")
    if x is not None and (y is None or np.array_equal(x, y)):
        columns["psf_sigma_nm"] = columns.pop("psf_sigma_x_nm")
        columns.pop("psf_sigma_y_nm", None)


def _camera(hdf5: Any) -> dict[str, Any]:
    """Read what the file says of the camera, as arrays by name; not all files do."""
    info = hdf5.get("saveloc/file/info")
    if not isinstance(info, h5py.Group):
        return {}
    wanted = ("cam_pixelsize_um", "Width", "Height", "numberOfFrames", "roi")
    found = {name: info[name][()].ravel() for name in wanted if isinstance(info.get(name), h5py.Dataset)}
    return {name: values for name, values in found.items() if values.dtype.kind in "iuf" and len(values)}


def _with_camera(
    file: TableFile, columns: dict[str, Any], camera: dict[str, Any], notes: tuple[str, ...]
) -> Localizations:
    grid, n_frames = None, None
    size = camera.get("cam_pixelsize_um")
    quantities: tuple[Quantity, ...] = ()
    if size is not None and np.all(size > 0) and np.ptp(size) == 0:
        nm = float(np.round(size[0] * 1000, 9))
        quantities = (Quantity("camera_pixel_size_nm", nm, "nm", "read", "cam_pixelsize_um in the file"),)
        roi = camera.get("roi", np.zeros(4))
        if "Width" in camera and "Height" in camera and not np.any(roi[:2]):
            grid = PixelGrid(nm, (int(camera["Height"][0]), int(camera["Width"][0])))
    if "numberOfFrames" in camera:
        last = int(np.max(columns["frame"], initial=-1)) if "frame" in columns else -1
        n_frames = max(int(camera["numberOfFrames"][0]), last + 1)
    made = read_provenance(file.path, quantities=quantities, notes=notes)
    return Localizations(columns, grid=grid, n_frames=n_frames, provenance=made)


FORMAT = TableFormat("smap", "SMAP (_sml.mat)", looks_like, read)
