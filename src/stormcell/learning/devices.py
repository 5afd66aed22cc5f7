"""Where networks compute."""

from __future__ import annotations

import torch

from stormcell.errors import SettingsError


def resolve_device(name: str) -> str:
    """Choose a device.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "mps"}
        What was asked for; auto takes the fastest there is.

    Returns
    -------
    str
        "cpu", "cuda" or "mps".

    Raises
    ------
    SettingsError
        It was asked for and is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(kind for kind, is_there in there.items() if is_there)
    if not there.get(name, False):
        usable = ", ".join(kind for kind, is_there in there.items() if is_there)
        msg = f"expected a device that this machine has ({usable}), got {name}; choose another --device or auto"
        raise SettingsError(msg)
    return name
