"""Which variable of a MATLAB file is the movie, and which of its axes is time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping


def choose_variable(shapes: Mapping[str, tuple[int, ...]], path: object) -> tuple[str, str]:
    """Pick the movie among the numeric variables of a file.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        MATLAB shapes of the numeric variables.
    path : object
        The file, for the message.

    Returns
    -------
    tuple of str
        The name of the largest variable with three axes, and a note on the others with three axes (or "").

    Raises
    ------
    FormatError
        None has three axes.
    """
    movies = {name: shape for name, shape in shapes.items() if len(shape) == 3 and min(shape) > 0}
    if not movies:
        found = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in list(shapes.items())[:6])
        msg = (
            f"expected a numeric array with three axes in {path}, got {found or 'none'}; save the movie as (Y, X, T)"
        )
        raise FormatError(msg)
    name = max(movies, key=lambda key: movies[key][0] * movies[key][1] * movies[key][2])
    others = [other for other in movies if other != name]
    return name, f"variable {name} taken, the largest; also there: {', '.join(others)}" if others else ""


def time_axis(shape: tuple[int, int, int]) -> tuple[int, str]:
    """Decide which MATLAB axis is time.

    Parameters
    ----------
    shape : tuple of int
        The variable's shape as MATLAB shows it.

    Returns
    -------
    tuple of int and str
        2 for (Y, X, T), the habit of MATLAB, or 0 for (T, Y, X); and the reason.

    Notes
    -----
    Only square frames tell: (626, 16, 16) must be (T, Y, X). Where all three sides differ, the habit decides, which
    is wrong for a non-square (T, Y, X).
    """
    first, second, third = shape
    said = "x".join(map(str, shape))
    if second == third != first:
        return 0, f"MATLAB array {said}: the first axis is time, as the other two are equal"
    if first == second:
        return 2, f"MATLAB array {said}: the last axis is time"
    return 2, f"MATLAB array {said}: the last axis taken as time, as MATLAB movies usually are (Y, X, T)"
