"""The number of processor threads, for every library that computes."""

from __future__ import annotations

import os
import sys

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def limit_threads(n_threads: int) -> None:
    """Limit the threads of numba, torch and the linear-algebra libraries.

    Parameters
    ----------
    n_threads : int
        At least 1. Libraries that are not loaded yet read the limit from the environment when they are.
    """
    for name in _VARIABLES:
        os.environ[name] = str(n_threads)
    if "numba" in sys.modules:
        import numba

        launched = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined] # set when it is imported
        numba.set_num_threads(min(n_threads, launched))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(n_threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(n_threads)


def count_threads() -> int:
    """Say how many threads numba uses.

    Returns
    -------
    int
        At least 1.
    """
    import numba

    return int(numba.get_num_threads())
