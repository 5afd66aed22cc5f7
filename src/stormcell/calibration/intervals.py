"""Intervals from leaving out one run of frames after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import numpy as np
from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Weights = np.ndarray[tuple[int], np.dtype[np.float64]]

T = TypeVar("T")

_LEVEL = 0.90


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, and the degrees of freedom of that error."""

    value: float
    error: float
    n_free: int

    def interval(self, extra: float = 0.0) -> tuple[float, float]:
        """Compute the 90 % interval.

        Parameters
        ----------
        extra : float
            Further standard error, of a kind that the scatter between runs does not show.

        Returns
        -------
        tuple of float
            Lower and upper end.
        """
        reach = float(stdtrit(max(self.n_free, 1), 0.5 + _LEVEL / 2))
        half = float(np.hypot(reach * self.error, 1.645 * extra))
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Jackknife(Generic[T]):
    """A result of all runs of frames, and those of all but one.

    Parameters
    ----------
    whole : T
        Of all runs.
    without : tuple of T
        Of all but the first run, all but the second, ...
    """

    whole: T
    without: tuple[T, ...]

    @classmethod
    def run(
        cls,
        estimate: Callable[[Weights], T],
        n_blocks: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Repeat an estimate with one run of frames left out at a time.

        Parameters
        ----------
        estimate : callable
            Weights of shape (n_blocks,) to a result.
        n_blocks : int
            Number of runs; a single one leaves no scatter to judge by.
        progress : callable, optional
            Called as progress(done, total).

        Returns
        -------
        Jackknife
            All results.
        """
        whole = estimate(np.ones(n_blocks))
        results = []
        for left_out in range(n_blocks if n_blocks > 1 else 0):
            weights = np.ones(n_blocks)
            weights[left_out] = 0.0
            results.append(estimate(weights))
            if progress is not None:
                progress(left_out + 1, n_blocks)
        return cls(whole, tuple(results))

    def of(self, pick: Callable[[T], float]) -> Estimate:
        """Take one number out of the results.

        Parameters
        ----------
        pick : callable
            From a result to a number.

        Returns
        -------
        Estimate
            With the jackknife's standard error; infinite where it cannot be had.
        """
        value = pick(self.whole)
        n = len(self.without)
        if n < 2:
            return Estimate(value, float("inf"), 1)
        parts: NDArray[np.float64] = np.array([pick(result) for result in self.without])
        if not np.isfinite(parts).all():
            return Estimate(value, float("inf"), n - 1)
        return Estimate(value, float(np.sqrt((n - 1) * np.var(parts))), n - 1)
