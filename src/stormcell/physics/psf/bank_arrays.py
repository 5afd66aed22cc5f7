"""PSF banks as named arrays, ready for a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stormcell.errors import InputError
from stormcell.physics.psf.bank import PSFBank
from stormcell.physics.psf.spline_table import CELLS, OVERSAMPLING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ARRAYS = (
    "z_planes_nm",
    "camera_pixel_size_nm",
    "sigma_px",
    "ellipticity",
    "tail_fraction",
    "strehl",
    "centre_spread_px",
)


def bank_to_arrays(bank: PSFBank) -> dict[str, NDArray[Any]]:
    """Turn a bank into named arrays, ready for a file.

    Parameters
    ----------
    bank : PSFBank
        On any device.

    Returns
    -------
    dict of str to ndarray
        What `bank_from_arrays` reads.
    """
    arrays = {name: np.asarray(getattr(bank, name)) for name in _ARRAYS}
    return {**arrays, "table": bank.table.cpu().numpy(), "kind": np.array(bank.kind)}


def bank_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> PSFBank:
    """Build a bank from named arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        As `bank_to_arrays` makes them.

    Returns
    -------
    PSFBank
        On the CPU.

    Raises
    ------
    InputError
        An array is missing or misshapen.
    """
    missing = [name for name in (*_ARRAYS, "table", "kind") if name not in arrays]
    if missing:
        msg = f"expected a PSF with {', '.join((*_ARRAYS, 'table', 'kind'))}, but {', '.join(missing)} is missing"
        raise InputError(msg)
    table = np.ascontiguousarray(arrays["table"], dtype=np.float32)
    kernels = len(arrays["kind"]) * len(arrays["z_planes_nm"])
    if table.shape != (kernels, OVERSAMPLING, OVERSAMPLING, CELLS, CELLS):
        msg = f"expected a PSF table of {kernels} kernels, got shape {table.shape}; measure the PSF again"
        raise InputError(msg)
    values = {name: np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS}
    return PSFBank(table=torch.from_numpy(table), kind=tuple(map(str, arrays["kind"])), **values)
