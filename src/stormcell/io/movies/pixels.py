"""Which pixel types and shapes can be a camera's frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.errors import FormatError

if TYPE_CHECKING:
    import numpy as np

_LARGEST_FRAME_PX = 1 << 28


def check_pixel_type(dtype: np.dtype[Any] | None, path: object) -> None:
    """Refuse pixels that are not grey values.

    Parameters
    ----------
    dtype : numpy dtype or None
        Of the pixels; None where it is not known.
    path : object
        The file, for the message.

    Raises
    ------
    FormatError
        Not an integer or a real floating-point type.
    """
    if dtype is None or dtype.kind not in "uif" or dtype.itemsize > 8:
        kinds = {"O": "Python objects (never loaded, as that could run code)", "b": "a mask", "c": "complex numbers"}
        found = "an unknown type" if dtype is None else kinds.get(dtype.kind, str(dtype))
        msg = f"expected integer or real pixels in {path}, got {found}; save plain numbers"
        raise FormatError(msg)


def check_frame_size(shape: tuple[int, int, int], path: object) -> None:
    """Refuse frames that no camera takes, before memory for one is asked for.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    path : object
        The file, for the message.

    Raises
    ------
    FormatError
        A frame of more than 268 million pixels: what a damaged header announces.
    """
    if shape[1] * shape[2] > _LARGEST_FRAME_PX:
        msg = (
            f"expected camera frames in {path}, got {shape[1]} x {shape[2]} pixels; if it is damaged, export it again"
        )
        raise FormatError(msg)


def looks_like_rgb(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Tell a colour picture from a movie of very narrow frames.

    Parameters
    ----------
    shape : tuple of int
        Three axes.
    dtype : numpy dtype
        Of the pixels.

    Returns
    -------
    bool
        True for 8-bit arrays whose last axis has 3 or 4 entries and whose others are larger.
    """
    return dtype.kind == "u" and dtype.itemsize == 1 and shape[-1] in {3, 4} and min(shape[:2]) > shape[-1]
