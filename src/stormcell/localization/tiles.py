"""Cutting a side of a frame into tiles."""

from __future__ import annotations

import itertools
import math


def spans(side: int, tile_px: int, one_tile_px: int) -> list[tuple[int, int]]:
    """Cut a side into pieces of about the same length.

    Parameters
    ----------
    side : int
        Its length.
    tile_px : int
        Longest piece.
    one_tile_px : int
        A side up to this long stays whole.

    Returns
    -------
    list of tuple of int
        First and last (half-open) of each piece.
    """
    n = 1 if side <= one_tile_px else math.ceil(side / tile_px)
    edges = [side * k // n for k in range(n + 1)]
    return list(itertools.pairwise(edges))
