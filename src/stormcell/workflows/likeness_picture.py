"""The picture of real beside simulated frames, with the curves they are compared by."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from stormcell.rendering.contact_sheets import contact_sheet
from stormcell.rendering.pictures import contrast_limits, to_png_bytes, to_rgb
from stormcell.rendering.plots import Curve, plot_curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.calibration.likeness import Likeness

_SHOWN = 3
_CELL_PX = 384
_NAMES = ("real", "simulated")


def likeness_picture(likeness: Likeness) -> bytes:
    """Draw three real frames, three simulated ones on the same grey scale, and three curves of both.

    Parameters
    ----------
    likeness : Likeness
        Real and simulated movie.

    Returns
    -------
    bytes
        The content of a PNG file.
    """
    low, high = contrast_limits(likeness.real, (0.5, 99.8))
    cells = [
        (f"{name}, frame {index} of those looked at", to_rgb(frames[index], "gray", limits=(low, high)))
        for name, frames in zip(_NAMES, (likeness.real, likeness.simulated), strict=True)
        for index in np.linspace(0, len(frames) - 1, _SHOWN).astype(int)
    ]
    distance = likeness.distance
    plots = zip(
        ("grey values", "power spectrum", "variance from place to place"),
        (distance.intensity, distance.spectrum, distance.local_variance),
        _curves(likeness),
        strict=True,
    )
    cells += [(f"{name}: distance {value:.2f}", _decoded(plot)) for name, value, plot in plots]
    return to_png_bytes(contact_sheet(cells, columns=_SHOWN, cell_px=_CELL_PX))


def _curves(likeness: Likeness) -> tuple[bytes, bytes, bytes]:
    looks = (likeness.real_look, likeness.simulated_look)
    share = np.linspace(1, 99, len(looks[0].grey))
    rank = np.linspace(1, 99, len(looks[0].log_variance))
    return (
        _plot(share, [look.grey for look in looks], "pixels below (%)", "grey value (ADU)"),
        _plot(
            looks[0].frequencies,
            [look.log_spectrum for look in looks],
            "spatial frequency (cycles/px)",
            "ln power (ADU^2)",
        ),
        _plot(rank, [look.log_variance for look in looks], "patches below (%)", "ln variance in time (ADU^2)"),
    )


def _plot(x: NDArray[np.float64], values: Sequence[NDArray[np.float64]], x_label: str, y_label: str) -> bytes:
    curves = [Curve(x, y, name) for name, y in zip(_NAMES, values, strict=True)]
    return plot_curves(curves, x_label, y_label)


def _decoded(png: bytes) -> NDArray[np.uint8]:
    from matplotlib.image import imread

    pixels: NDArray[np.uint8] = (imread(io.BytesIO(png))[..., :3] * 255 + 0.5).astype(np.uint8)
    return pixels
