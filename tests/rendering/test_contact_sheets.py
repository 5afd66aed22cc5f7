import numpy as np
import pytest

from stormcell.errors import InputError
from stormcell.rendering import contact_sheet


def solid(value, shape):
    return np.full((*shape, 3), value, np.uint8)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("columns", [None, 1, 3, 9])
def test_every_picture_is_on_the_sheet(n, columns):
    pictures = [(f"picture {i}", solid(40 * i + 7, (20 + 5 * i, 60 - 9 * i))) for i in range(n)]
    sheet = contact_sheet(pictures, columns, cell_px=120)
    for _, picture in pictures:
        value = picture[0, 0, 0]
        factor = 120 // max(picture.shape[:2])
        area = (sheet == value).all(axis=2)
        rows, columns_seen = np.flatnonzero(area.sum(axis=1) > 20), np.flatnonzero(area.sum(axis=0) > 15)
        assert (len(rows), len(columns_seen)) == (picture.shape[0] * factor, picture.shape[1] * factor)


def test_titles_are_written_above_and_shrunk_to_fit():
    sheet = contact_sheet([("a title much longer than its picture is wide", solid(255, (50, 50)))], cell_px=100)
    ink = np.flatnonzero((sheet < 128).any(axis=(0, 2)))
    assert len(ink) > 0
    assert ink[-1] < 108


def test_no_title_and_large_pictures():
    sheet = contact_sheet([("", solid(9, (1000, 700)))], cell_px=100)
    assert (sheet == 9).all(axis=2).sum() == 100 * 70


def test_what_cannot_be_arranged_is_refused():
    with pytest.raises(InputError, match="at least one picture"):
        contact_sheet([])
    with pytest.raises(InputError, match="expected a uint8 picture"):
        contact_sheet([("grey", np.zeros((3, 3), np.uint8))])
