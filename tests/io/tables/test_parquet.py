"""Parquet: units and meaning in the fields, context in the metadata, tables of other programs."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stormcell.data import COLUMNS, Localizations, PixelGrid, Provenance
from stormcell.errors import FormatError, MissingQuantityError
from stormcell.io.tables import read_table, write_table


def foreign(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_everything_comes_back(tmp_path):
    parent = Provenance("simulate", "0.1.0", seed=3)
    made = Provenance("localize", "0.1.0", settings={"roi": [0, 5]}, parents=(parent,), warnings=("w",), notes=("n",))
    columns = {
        "frame": [5, 5],
        "x_nm": [0.1, np.nan],
        "y_nm": [1e-300, 3.0],
        "flags": [0, 2**30],
        "id": [2**53 + 1, 0],
    }
    table = Localizations(columns, grid=PixelGrid(1 / 3, (7, 9), (0.1, 0.2)), n_frames=0, provenance=made)
    write_table(table, tmp_path / "a.parquet")
    found = read_table(tmp_path / "a.parquet")
    assert found == table
    assert (found.grid, found.n_frames, found.provenance) == (table.grid, 0, made)


def test_every_field_says_its_unit_and_meaning(tmp_path):
    write_table(Localizations({name: [1] for name in COLUMNS}), tmp_path / "a.parquet")
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.names == list(COLUMNS)
    for name, column in COLUMNS.items():
        field = schema.field(name)
        assert field.metadata == {b"unit": column.unit.encode(), b"meaning": column.meaning.encode()}
        assert field.type == pa.from_numpy_dtype(np.dtype(column.dtype))


def test_pandas_reads_it(tmp_path):
    import pandas as pd

    table = Localizations({"frame": [1, 2], "x_nm": [1.5, np.nan], "y_nm": [3.0, 4.0]})
    write_table(table, tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), table.to_pandas())


def test_a_table_of_another_program_in_other_units(tmp_path):
    path = foreign(tmp_path / "a.parquet", frame=[0, 3], x_um=[0.5, 1.0], y_px=[2.0, 4.0], note=["a", "b"])
    with pytest.raises(MissingQuantityError, match="--pixel-size-nm"):
        read_table(path)
    found = read_table(path, camera_pixel_size_nm=110)
    np.testing.assert_allclose(found.positions_nm, [[500, 220], [1000, 440]])
    np.testing.assert_array_equal(found["frame"], [0, 3])
    assert found.provenance.notes[0] == "columns without a counterpart were left out: note"


def test_missing_values_are_nan(tmp_path):
    path = foreign(tmp_path / "a.parquet", x_nm=[1.0, None], y_nm=[1, None], photons=pa.array([1, 2], pa.float32()))
    np.testing.assert_array_equal(read_table(path)["y_nm"], [1, np.nan])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x_nm": ["a"], "y_nm": [1.0]}, "expected numbers in column 'x_nm'"),
        ({"frame": [0.5], "x_nm": [1.0], "y_nm": [1.0]}, "expected whole numbers as frames"),
        ({"frame": [None, 1], "x_nm": [1.0, 2.0], "y_nm": [1.0, 2.0]}, "expected whole numbers as frames"),
        ({"frame": [-1], "x_nm": [1.0], "y_nm": [1.0]}, "got frame -1"),
        ({"spectrum": [1.0]}, "no x column"),
    ],
)
def test_what_is_no_localization_table_is_refused(tmp_path, columns, words):
    with pytest.raises(FormatError, match=words):
        read_table(foreign(tmp_path / "a.parquet", **columns))


@pytest.mark.parametrize("record", ["{", "[]", '"text"', json.dumps({"grid": {"pixel_size_nm": 1}})])
def test_a_damaged_record_is_refused(tmp_path, record):
    table = pa.table({"x_nm": [1.0], "y_nm": [1.0]}).replace_schema_metadata({"stormcell": record})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(FormatError, match=r"stormcell record in .*a.parquet is damaged"):
        read_table(tmp_path / "a.parquet")
