"""Closed-form scale and offset between two images, and what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class LinearMatch:
    """The straight line that brings an image closest to a reference.

    Parameters
    ----------
    alpha, beta : float
        reference ~ alpha * image + beta.
    rse : float
        Root of the mean squared difference that is left.
    rsp : float
        Pearson correlation, -1 to 1; 0 where the image is constant.
    """

    alpha: float
    beta: float
    rse: float
    rsp: float


def match_sums(sums: NDArray[np.float64]) -> LinearMatch:
    """Match from sums alone.

    Parameters
    ----------
    sums : ndarray
        Shape (6,): n, sum b, sum r, sum b^2, sum b r, sum r^2 over the pixels b of the image and r of the reference.

    Returns
    -------
    LinearMatch
        Least squares; a constant image gets alpha 0.
    """
    n, b, r, bb, br, rr = (float(value) for value in sums)
    var_b, cov, var_r = bb / n - (b / n) ** 2, br / n - b * r / n**2, rr / n - (r / n) ** 2
    if var_b <= 1e-12 * max(bb / n, 1e-300) or var_r <= 0:
        return LinearMatch(0.0, r / n, math.sqrt(max(var_r, 0.0)), 0.0)
    alpha = cov / var_b
    rest = max(var_r - cov * alpha, 0.0)
    rsp = float(np.clip(cov / math.sqrt(var_b * var_r), -1.0, 1.0))
    return LinearMatch(alpha, r / n - alpha * b / n, math.sqrt(rest), rsp)


def match_images(image: NDArray[Any], reference: NDArray[Any]) -> LinearMatch:
    """Match an image to a reference.

    Parameters
    ----------
    image, reference : ndarray
        Same shape.

    Returns
    -------
    LinearMatch
        Least squares over all pixels.
    """
    b, r = image.astype(np.float64), reference.astype(np.float64)
    # Means are taken off first: squares of large offsets would eat the digits.
    mb, mr = float(b.mean()), float(r.mean())
    b, r = b - mb, r - mr
    # Products summed by numpy: a threaded dot product of so few pixels waits longer than it works.
    sums = [b.size, b.sum(), r.sum(), (b * b).sum(), (b * r).sum(), (r * r).sum()]
    centred = match_sums(np.array(sums, dtype=np.float64))
    return LinearMatch(centred.alpha, centred.beta + mr - centred.alpha * mb, centred.rse, centred.rsp)
