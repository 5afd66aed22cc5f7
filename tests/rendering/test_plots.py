import io
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from stormcell.errors import InputError
from stormcell.rendering import Curve, plot_curves, plot_histogram


def decoded(png):
    return np.round(imread(io.BytesIO(png))[..., :3] * 255).astype(int)


def has_colour(picture, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(picture - wanted).max(axis=2) < 12).any()


def test_curves_in_colours_that_can_be_told_apart():
    x = np.arange(50)
    picture = decoded(plot_curves([Curve(x, x, "x"), Curve(x, x**2, "y")], "frame", "drift (nm)", "Drift"))
    assert picture.shape == (340, 560, 3)
    assert has_colour(picture, "#0072B2")
    assert has_colour(picture, "#D55E00")


def test_the_same_plot_gives_the_same_bytes():
    curves = [Curve([0, 1], [1, 0], "a")]
    png = plot_curves(curves, "x", "y", levels={"1/7": 1 / 7}, y_limits=(-0.2, 1.1), equal_axes=True)
    assert png == plot_curves(curves, "x", "y", levels={"1/7": 1 / 7}, y_limits=(-0.2, 1.1), equal_axes=True)
    assert b"Matplotlib" not in png


@pytest.mark.parametrize("curves", [[], [Curve([], [], "nothing")], [Curve([0, 1], [np.nan, np.nan])]])
def test_nothing_to_show_is_said(curves):
    empty = decoded(plot_curves(curves, "x", "y"))
    assert has_colour(empty, "#555555")


def test_one_point_is_visible():
    assert has_colour(decoded(plot_curves([Curve([3], [4])], "x", "y")), "#0072B2")


def test_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="x and y of equal length in curve 'drift'"):
        plot_curves([Curve([0, 1], [1], "drift")], "x", "y")


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [5, 5, 5, np.nan], np.arange(1000), [1e-9, 1e9]])
def test_histograms_of_any_values(values):
    assert has_colour(decoded(plot_histogram(values, "photons", "Photons")), "#0072B2")


def test_an_empty_histogram_says_so():
    assert has_colour(decoded(plot_histogram([np.nan], "photons")), "#555555")


def test_marks_and_remarks_are_drawn():
    values = np.append(np.random.default_rng(0).normal(0, 1, 1000), [1e9, np.nan])
    plain = decoded(plot_histogram(values, "x", limits=(-5, 5)))
    marked = decoded(plot_histogram(values, "x", limits=(-5, 5), marks={"median": 0.0}))
    assert not has_colour(plain, "#D55E00")
    assert has_colour(marked, "#D55E00")


def test_no_global_plotting_state_is_touched():
    before = dict(mpl.rcParams)
    pyplot_was_loaded = "matplotlib.pyplot" in sys.modules
    plot_histogram([1, 2, 3], "x")
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot_was_loaded
