import numpy as np
import pytest

from stormcell.errors import InputError
from stormcell.rendering import add_scale_bar, draw_text, scale_bar_length_nm
from stormcell.rendering.annotations import length_label, text_mask


@pytest.mark.parametrize(
    ("width_nm", "length_nm"), [(6400, 1000), (8000, 2000), (25600, 5000), (1000, 200), (3.9, 0.5), (4e6, 1e6)]
)
def test_the_scale_bar_has_a_round_length_that_fits(width_nm, length_nm):
    assert scale_bar_length_nm(width_nm) == pytest.approx(length_nm)


@pytest.mark.parametrize(("length_nm", "label"), [(0.5, "0.5 nm"), (500, "500 nm"), (2000, "2 µm"), (1e6, "1 mm")])
def test_lengths_are_written_as_readers_expect(length_nm, label):
    assert length_label(length_nm) == label


@pytest.mark.parametrize("background", [0, 120])
def test_the_bar_is_as_long_as_it_says(background):
    rgb = add_scale_bar(np.full((300, 400, 3), background, np.uint8), 10.0, length_nm=1000)
    assert rgb.shape == (300, 400, 3)
    white = (rgb == 255).all(axis=2)
    rows = np.flatnonzero(white.sum(axis=1) == 100)
    assert len(rows) == 3
    columns = np.flatnonzero(white[rows[0]])
    assert columns[-1] - columns[0] == 99
    assert columns[-1] < 400 - 3
    assert white[: rows[0] - 2].any(), "no label above the bar"


def test_the_outline_makes_the_bar_visible_on_white():
    rgb = add_scale_bar(np.full((300, 400, 3), 255, np.uint8), 10.0)
    assert (rgb == 0).all(axis=2).sum() > 100


@pytest.mark.parametrize("shape", [(1, 1), (2, 50), (50, 2), (8, 8), (20, 30)])
def test_small_pictures_keep_their_size(shape):
    rgb = np.full((*shape, 3), 50, np.uint8)
    drawn = add_scale_bar(rgb, 10.0)
    assert drawn.shape == rgb.shape
    assert drawn is not rgb
    assert (rgb == 50).all()


def test_impossible_bars_are_refused():
    rgb = np.zeros((30, 40, 3), np.uint8)
    with pytest.raises(InputError, match="a scale bar inside the picture of 400 nm, got 500 nm"):
        add_scale_bar(rgb, 10.0, 500)
    with pytest.raises(InputError, match="above 0 nm"):
        add_scale_bar(rgb, 0.0)


def test_text_is_ink_cut_to_size():
    mask = text_mask("Ag", 20)
    assert mask.max() == 1
    assert 15 <= mask.shape[0] <= 24
    assert mask[0].any()
    assert mask[-1].any()
    assert mask[:, 0].any()
    assert mask[:, -1].any()
    assert text_mask("  ", 20).shape == (0, 0)
    assert text_mask(r"$\frac{1}{0}$ 100 %", 12).shape[1] > 60


def test_text_is_written_into_the_corner_and_cut_off_at_the_edge():
    rgb = draw_text(np.zeros((40, 60, 3), np.uint8), "a title that is far too long", 14)
    assert rgb.shape == (40, 60, 3)
    assert rgb[:20].max() == 255
    assert rgb[25:].max() == 0
    assert draw_text(np.zeros((3, 2, 3), np.uint8), "x").shape == (3, 2, 3)
