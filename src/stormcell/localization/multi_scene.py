"""The state of a joint fit: a field of pixels, the emitters in it, and the light they are expected to throw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.multi_fit import FitWork
    from stormcell.localization.multi_psf import EmitterShape

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


class SearchPlan(NamedTuple):
    """How many emitters a joint fit finds.

    Attributes
    ----------
    excess_noise_factor : float
        F^2.
    likelihood_ratio : float
        Twice the log-likelihood that an emitter must gain to be believed.
    model_error : float
        What it must gain beyond that for each electron of its brightest neighbour: an imperfect PSF gains as much.
    least_evidence : float
        Signal-to-noise ratio of the residual from which another emitter is tried.
    """

    excess_noise_factor: float
    likelihood_ratio: float
    model_error: float
    least_evidence: float


class Scene(NamedTuple):
    """A field of one frame; images have shape (Y, X).

    Attributes
    ----------
    data : ndarray
        d + s in electrons, s = v / F^2 (read variance over excess noise factor).
    extra : ndarray
        s.
    valid : ndarray
        1 where a pixel counts, else 0.
    background : ndarray
        Expected electrons without emitters.
    light : ndarray
        Expected electrons of all emitters.
    evidence : ndarray
        Signal-to-noise ratio of one more emitter in each pixel.
    changed, tried : ndarray of int64
        Round in which the emitters near a pixel changed, and in which one more was tried there.
    buffers : ndarray
        Shape (3, Y, X), scratch.
    """

    data: FloatArray
    extra: FloatArray
    valid: FloatArray
    background: FloatArray
    light: FloatArray
    evidence: FloatArray
    changed: IntArray
    tried: IntArray
    buffers: FloatArray


class Emitters(NamedTuple):
    """Emitters of a scene; columns of one capacity, of which the first `n[0]` are in use.

    Attributes
    ----------
    n : ndarray of int64
        Shape (1,), how many.
    x, y : ndarray
        Position in pixels from the scene's outer corner.
    light : ndarray
        Electrons.
    snr : ndarray
        How clearly the data ask for it: root of twice the log-likelihood it gained, or the response of detection.
    row, column : ndarray of int64
        Pixel in the middle of its core.
    stamp : ndarray of int64
        Round in which it was last fitted or split.
    """

    n: IntArray
    x: FloatArray
    y: FloatArray
    light: FloatArray
    snr: FloatArray
    row: IntArray
    column: IntArray
    stamp: IntArray


class JointFit(NamedTuple):
    """Everything that the steps of a joint fit work on.

    Attributes
    ----------
    shape : EmitterShape
        The PSF.
    plan : SearchPlan
        How many emitters to find.
    taps : ndarray
        Shape (2, R + 1): half of the PSF along one axis, from the middle out, and its square.
    scene : Scene
        The field.
    emitters : Emitters
        What is in it.
    work : FitWork
        Working arrays of the thread.
    """

    shape: EmitterShape
    plan: SearchPlan
    taps: FloatArray
    scene: Scene
    emitters: Emitters
    work: FitWork


@njit(cache=True, nogil=True, error_model="numpy")
def make_emitters(capacity: int) -> Emitters:
    """Make an empty list.

    Parameters
    ----------
    capacity : int
        Most emitters it can hold.

    Returns
    -------
    Emitters
        None yet.
    """
    return Emitters(
        np.zeros(1, np.int64),
        np.zeros(capacity),
        np.zeros(capacity),
        np.zeros(capacity),
        np.zeros(capacity),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def make_scene(frame: NDArray[np.float32], read_variance: NDArray[np.float32], excess_noise_factor: float) -> Scene:
    """Load the pixels of a field.

    Parameters
    ----------
    frame : ndarray of float32
        Shape (Y, X), electrons; pixels that are not finite do not count.
    read_variance : ndarray of float32
        Same shape, electrons squared.
    excess_noise_factor : float
        F^2.

    Returns
    -------
    Scene
        Without background and emitters.
    """
    height, width = frame.shape
    data, extra, valid = np.zeros((height, width)), np.ones((height, width)), np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            s = read_variance[i, j] / excess_noise_factor
            if math.isfinite(frame[i, j] + s):
                data[i, j], extra[i, j], valid[i, j] = frame[i, j] + s, s, 1.0
    return Scene(
        data,
        extra,
        valid,
        np.zeros((height, width)),
        np.zeros((height, width)),
        np.zeros((height, width)),
        np.zeros((height, width), np.int64),
        np.zeros((height, width), np.int64),
        np.zeros((3, height, width)),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def move_emitter(emitters: Emitters, k: int, x: float, y: float, light: float) -> None:
    """Put an emitter somewhere; its core follows once the emitter has left the middle of it.

    Parameters
    ----------
    emitters : Emitters
        The list.
    k : int
        Which.
    x, y : float
        Position.
    light : float
        Electrons.
    """
    emitters.x[k], emitters.y[k], emitters.light[k] = x, y, light
    if abs(x - emitters.column[k] - 0.5) > 1.0:
        emitters.column[k] = math.floor(x)
    if abs(y - emitters.row[k] - 0.5) > 1.0:
        emitters.row[k] = math.floor(y)


@njit(cache=True, nogil=True, error_model="numpy")
def new_emitter(emitters: Emitters, k: int, x: float, y: float, light: float) -> None:
    """Write an emitter into a place of the list that is not in use, with its core round it.

    Parameters
    ----------
    emitters : Emitters
        The list; their number stays.
    k : int
        Where.
    x, y : float
        Position.
    light : float
        Electrons.
    """
    emitters.row[k], emitters.column[k] = math.floor(y), math.floor(x)
    emitters.x[k], emitters.y[k], emitters.light[k] = x, y, light
    emitters.snr[k], emitters.stamp[k] = 0.0, 0


@njit(cache=True, nogil=True, error_model="numpy")
def drop_emitter(emitters: Emitters, k: int) -> None:
    """Take an emitter off the list; the last one takes its place.

    Parameters
    ----------
    emitters : Emitters
        The list.
    k : int
        Which.
    """
    last = emitters.n[0] - 1
    emitters.x[k], emitters.y[k], emitters.light[k] = emitters.x[last], emitters.y[last], emitters.light[last]
    emitters.snr[k], emitters.stamp[k] = emitters.snr[last], emitters.stamp[last]
    emitters.row[k], emitters.column[k] = emitters.row[last], emitters.column[last]
    emitters.n[0] = last


@njit(cache=True, nogil=True, error_model="numpy")
def select_group(emitters: Emitters, x: float, y: float, near_px: float, most: int, work: FitWork) -> int:
    """Write the emitters nearest to a place into the group, nearest first.

    Parameters
    ----------
    emitters : Emitters
        The list.
    x, y : float
        The place.
    near_px : float
        Largest distance along each axis.
    most : int
        Largest number, up to `MOST_EMITTERS`.
    work : FitWork
        Its group is overwritten.

    Returns
    -------
    int
        How many there are.
    """
    n, group, distance = 0, work.group, work.vectors[0]
    for k in range(emitters.n[0]):
        dx, dy = abs(emitters.x[k] - x), abs(emitters.y[k] - y)
        square = dx * dx + dy * dy
        if dx > near_px or dy > near_px or (n == most and square >= distance[n - 1]):
            continue
        place = min(n, most - 1)
        while place > 0 and distance[place - 1] > square:
            distance[place], group[place] = distance[place - 1], group[place - 1]
            place -= 1
        distance[place], group[place] = square, k
        n = min(n + 1, most)
    return n
