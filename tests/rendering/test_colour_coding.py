import numpy as np
import pytest

from stormcell.data import Localizations, PixelGrid
from stormcell.errors import MissingColumnError, SettingsError
from stormcell.rendering import render_colour_coded


def two_spots():
    columns = {"frame": [0, 0, 100, 100], "x_nm": [55, 55, 155, 155], "y_nm": [25, 25, 25, 25]}
    return Localizations({**columns, "photons": [1, np.nan, 3, 4]}, grid=PixelGrid(100, (1, 2)))


def test_colour_tells_the_frame_and_brightness_the_density():
    rgb = render_colour_coded(two_spots(), 10, mode="histogram", colormap="plasma").astype(int)
    assert rgb.shape == (10, 20, 3)
    early, late = rgb[2, 5], rgb[2, 15]
    assert early.max() == late.max() == 255
    assert early[2] > 2 * early[0], "plasma begins with blue"
    assert min(late[0], late[1]) > 4 * late[2], "plasma ends with yellow"
    assert rgb.sum() == early.sum() + late.sum()


def test_rows_without_a_value_are_left_out():
    rgb = render_colour_coded(two_spots(), 10, "photons", "histogram", limits=(0, 4))
    assert rgb[2, 5].max() < rgb[2, 15].max()


def test_an_empty_table_is_black():
    empty = Localizations.empty(grid=PixelGrid(100, (1, 2)))
    assert not render_colour_coded(empty, 10, mode="histogram").any()


def test_unknown_names_are_refused():
    with pytest.raises(MissingColumnError, match="no column z_nm"):
        render_colour_coded(two_spots(), 10, "z_nm")
    with pytest.raises(SettingsError, match="expected a Matplotlib colour map"):
        render_colour_coded(two_spots(), 10, colormap="nice")
