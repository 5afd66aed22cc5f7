"""Tables without a header line, through every verb that takes a table."""

import numpy as np
import pytest

import stormcell as sc
from stormcell.errors import FormatError


@pytest.fixture
def bare(tmp_path):
    """Sixty rows of x, y and frame (from 1) without labels."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.uniform(0, 3000, (60, 2)).round(2), np.repeat(np.arange(1, 7), 10)])
    path = tmp_path / "bare.csv"
    np.savetxt(path, rows, delimiter=",", fmt=["%.2f", "%.2f", "%d"])
    return path, rows


def test_columns_are_named(bare, tmp_path):
    path, rows = bare
    assert sc.convert(path, tmp_path / "a.csv", columns=("x_nm", "y_nm", "frame")).n_items == 60
    ours = sc.read(tmp_path / "a.csv")
    np.testing.assert_array_equal(ours.positions_nm, rows[:, :2])
    np.testing.assert_array_equal(ours["frame"], rows[:, 2])
    theirs = sc.read(path, columns=("x [nm]", "y [nm]", "frame"))
    np.testing.assert_array_equal(theirs["frame"], rows[:, 2] - 1)
    upside_down = sc.read(path, columns=("y_um", "x_um", "-"))
    np.testing.assert_allclose(upside_down.positions_nm, rows[:, 1::-1] * 1000)


def test_every_verb_of_tables_takes_them(bare, tmp_path):
    path, _ = bare
    named = {"columns": ("x_nm", "y_nm", "frame")}
    assert sc.info(path, **named).facts["n_rows"] == 60
    assert sc.render(path, sr_pixel_size_nm=50, mode="histogram", **named).pixels.sum() == 60
    assert sc.filter(path, where="frame < 3", **named).n_rows == 20
    sc.convert(path, tmp_path / "truth.parquet", **named)
    assert sc.evaluate(path, tmp_path / "truth.parquet", **named).jaccard == 1
    assert sc.evaluate(tmp_path / "truth.parquet", path, **named).jaccard == 1


def test_given_names_replace_a_header_that_does_not_say_enough(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(FormatError, match="--columns"):
        sc.read(tmp_path / "a.csv")
    assert sc.read(tmp_path / "a.csv", columns=("x_px", "y_px"), pixel_size_nm=100)["x_nm"].tolist() == [100, 300]


def test_a_wrong_number_of_names_is_refused(bare):
    with pytest.raises(FormatError, match=r"expected 2 values in line 1 .*got 3; name every column"):
        sc.read(bare[0], columns=("x_nm", "y_nm"))
    with pytest.raises(FormatError, match="has no header line; name its columns with --columns"):
        sc.read(bare[0])
