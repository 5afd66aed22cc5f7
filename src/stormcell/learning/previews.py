"""Pictures of what a network was trained on and what it makes of an example, for the model folder."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stormcell.data import FrameStack, Localizations, PixelGrid, SRImage
from stormcell.physics.cameras import Camera
from stormcell.simulation.structures.microtubules import Microtubules
from stormcell.simulation.structures.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.physics.psf.bank import PSFBank

EXAMPLE_SIDE_PX = 64
_MARGIN_PX = 8
_BACKGROUND_E = 25.0
_CAMERA = Camera("cmos", offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.5)
_PERCENTILE = 99.7


@dataclass(frozen=True)
class Example:
    """A dense movie of microtubules with its truth."""

    stack: FrameStack
    camera: Camera
    camera_pixel_size_nm: float
    truth: Localizations


def simulate_example(
    bank: PSFBank,
    *,
    density_per_um2: float,
    electrons: float,
    seed: int,
    background_e: float = _BACKGROUND_E,
    n_frames: int = 200,
    along_microtubules: bool = True,
) -> Example:
    """Simulate a dense movie with the first PSF of a bank.

    Parameters
    ----------
    bank : PSFBank
        Its first PSF is used, in focus.
    density_per_um2 : float
        Emitters per frame, mean over the field.
    electrons : float
        Mean light of an emitter.
    seed : int
        Of structure, blinking and noise.
    background_e : float
        Electrons per pixel.
    n_frames : int
        Frames of the movie.
    along_microtubules : bool
        Whether the emitters sit on microtubules; else anywhere.

    Returns
    -------
    Example
        64 x 64 px.
    """
    rng = np.random.default_rng([seed, 11])
    size = float(bank.camera_pixel_size_nm[0])
    side_nm = (EXAMPLE_SIDE_PX + 2 * _MARGIN_PX) * size
    counts = rng.poisson(density_per_um2 * (side_nm / 1000) ** 2, n_frames)
    n = int(counts.sum())
    if along_microtubules:
        sites = Microtubules().sites(Scene(side_nm, side_nm), rng)
        chosen = sites[rng.integers(0, len(sites), n)]
    else:
        chosen = rng.uniform(0, side_nm, (n, 2))
    x, y = chosen[:, 0] / size - _MARGIN_PX, chosen[:, 1] / size - _MARGIN_PX
    light = electrons * np.exp(0.5 * rng.standard_normal(len(x)) - 0.125)
    expected = torch.full((n_frames, 1, EXAMPLE_SIDE_PX, EXAMPLE_SIDE_PX), background_e)
    bank.add_to_frames(
        expected,
        torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
        torch.full((len(x),), bank.focus_plane, dtype=torch.int64),
        torch.from_numpy(x),
        torch.from_numpy(y),
        torch.from_numpy(light.astype(np.float32)[:, None]),
    )
    frames = _CAMERA.to_adu(expected[:, 0].numpy(), rng)
    inside = (x >= 0) & (x < EXAMPLE_SIDE_PX) & (y >= 0) & (y < EXAMPLE_SIDE_PX)
    truth = Localizations(
        {
            "frame": np.repeat(np.arange(n_frames), counts)[inside],
            "x_nm": x[inside] * size,
            "y_nm": y[inside] * size,
            "photons": light[inside],
        },
        grid=PixelGrid(size, (EXAMPLE_SIDE_PX, EXAMPLE_SIDE_PX)),
        n_frames=n_frames,
    )
    return Example(FrameStack.from_array(frames), _CAMERA, size, truth)


def draw_example(example: Example, found: SRImage, title: str) -> bytes:
    """Draw one frame, the wide field, the reconstruction and the truth side by side.

    Parameters
    ----------
    example : Example
        The movie.
    found : SRImage
        What the network made of it.
    title : str
        Over the reconstruction.

    Returns
    -------
    bytes
        PNG.
    """
    frames = example.stack.read()
    shape = found.grid.shape
    truth = np.zeros(shape, np.float32)
    rows = np.clip(found.grid.y_px(example.truth["y_nm"]).astype(int), 0, shape[0] - 1)
    columns = np.clip(found.grid.x_px(example.truth["x_nm"]).astype(int), 0, shape[1] - 1)
    np.add.at(truth, (rows, columns), 1.0)
    panels = [
        (frames[0], "one frame", "gray"),
        (frames.mean(axis=0), f"mean of {len(frames)} frames", "gray"),
        (np.sqrt(np.maximum(found.pixels, 0)), title, "inferno"),
        (np.sqrt(truth), "truth (root of counts)", "inferno"),
    ]
    return _panels(panels, 4)


def draw_patches(real: NDArray[Any], simulated: NDArray[Any]) -> bytes:
    """Draw patches of a real movie above simulated ones, all on the same scale, to be compared before training.

    Parameters
    ----------
    real, simulated : ndarray
        Shape (N, Y, X), electrons.

    Returns
    -------
    bytes
        PNG.
    """
    panels = [(image, "real", "gray") for image in real] + [(image, "simulated", "gray") for image in simulated]
    low = float(np.percentile(real, 1))
    high = float(np.percentile(real, _PERCENTILE))
    return _panels(panels, len(real), (low, max(high, low + 1)))


def _panels(
    panels: Sequence[tuple[NDArray[Any], str, str]], per_row: int, limits: tuple[float, float] | None = None
) -> bytes:
    n_rows = math.ceil(len(panels) / per_row)
    figure = Figure(figsize=(2.9 * per_row, 3.1 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(n_rows, per_row)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (pixels, title, colours) in zip(axes, panels, strict=False):
        low, high = limits or (float(np.min(pixels)), float(np.percentile(pixels, _PERCENTILE)))
        axis.imshow(pixels, cmap=colours, vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest")
        axis.set_title(title, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return buffer.getvalue()
