"""Picasso and Locan read what we write.

Both live in environments of their own (Picasso needs Qt, Locan protobuf); the variables STORMCELL_PICASSO_PYTHON and
STORMCELL_LOCAN_PYTHON name their interpreters.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stormcell.data import Localizations, PixelGrid
from stormcell.io.tables import read_table, write_table

pytestmark = pytest.mark.peers

PICASSO = """
import json, sys
from picasso import io
locs, info = io.load_locs(sys.argv[1])
print(json.dumps({"columns": {name: locs[name].tolist() for name in locs.columns}, "info": info}))
"""
PICASSO_IMPORT = """
import json, sys
from picasso import io
locs, info = io.import_ts(sys.argv[1], 100.0)
print(json.dumps({name: locs[name].tolist() for name in locs.columns}))
"""
PICASSO_SAVE = """
import sys
import numpy as np, pandas as pd
from picasso import io
names = ["x", "y", "photons", "sx", "sy", "bg", "lpx", "lpy"]
rows = np.array([[30.0, 12.0, 1000, 1, 1.25, 5, .1, .2], [0.25, 3.5, 2000, 1.5, 1, 6, .05, .04]], dtype=np.float32)
locs = pd.DataFrame(rows, columns=names)
locs.insert(0, "frame", np.array([3, 8], dtype=np.uint32))
io.save_locs(sys.argv[1], locs, [{"Width": 64, "Height": 32, "Frames": 10, "Pixelsize": 130}])
"""
LOCAN = """
import json, sys
import locan
data = locan.load_thunderstorm_file(sys.argv[1]).data
print(json.dumps({name: data[name].tolist() for name in data.columns}))
"""


def python_of(variable: str) -> str:
    interpreter = os.environ.get(variable)
    if not interpreter:
        pytest.skip(f"{variable} does not name a Python interpreter")
    return interpreter


def answer(variable: str, code: str, path: Path) -> dict:
    done = subprocess.run(
        [python_of(variable), "-c", code, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}


def some_table(n_rows: int = 400) -> Localizations:
    """Positions in the whole field that Picasso shows: inside the centres of the outermost pixels."""
    rng = np.random.default_rng(8)
    columns = {
        "frame": np.sort(rng.integers(5, 300, n_rows)),
        "x_nm": rng.uniform(51, 6400, n_rows),
        "y_nm": rng.uniform(51, 3200, n_rows),
        "photons": rng.uniform(100, 5000, n_rows),
        "background_photons": rng.uniform(1, 50, n_rows),
        "psf_sigma_nm": rng.normal(120, 5, n_rows),
        "uncertainty_x_nm": rng.uniform(3, 20, n_rows),
        "uncertainty_y_nm": rng.uniform(3, 20, n_rows),
        "log_likelihood": rng.normal(-40, 5, n_rows),
        "flags": rng.integers(0, 4, n_rows),
    }
    columns["crlb_x_nm"] = np.where(columns["flags"] == 1, np.nan, columns["uncertainty_x_nm"])
    return Localizations(columns, grid=PixelGrid(100.0, (32, 64)), n_frames=300)


@pytest.mark.parametrize("metadata", ["YAML", "/metadata alone"])
def test_picasso_reads_our_hdf5(tmp_path, metadata):
    table = some_table()
    write_table(table, tmp_path / "a.hdf5")
    if metadata != "YAML":
        (tmp_path / "a.yaml").unlink()
    found = answer("STORMCELL_PICASSO_PYTHON", PICASSO, tmp_path / "a.hdf5")
    columns = found["columns"]
    assert len(columns["x"]) == len(table), "no row is dropped"
    np.testing.assert_array_equal(columns["frame"], table["frame"])
    # half a pixel: Picasso's whole numbers are pixel centres; single precision
    np.testing.assert_allclose((np.array(columns["x"]) + 0.5) * 100, table["x_nm"], rtol=1e-6)
    np.testing.assert_allclose((np.array(columns["y"]) + 0.5) * 100, table["y_nm"], rtol=1e-6)
    np.testing.assert_allclose(np.array(columns["lpy"]) * 100, table["uncertainty_y_nm"], rtol=1e-6)
    np.testing.assert_allclose(columns["photons"], table["photons"], rtol=1e-6)
    info = found["info"][-1]
    assert (info["Width"], info["Height"], info["Frames"], info["Pixelsize"]) == (64, 32, 300, 100)


@pytest.mark.parametrize("n_rows", [0, 3])
def test_picasso_reads_a_table_that_knows_positions_only(tmp_path, n_rows):
    columns = {"frame": np.arange(n_rows), "x_nm": np.full(n_rows, 150.0), "y_nm": np.full(n_rows, 250.0)}
    write_table(Localizations(columns, grid=PixelGrid(100.0, (32, 64))), tmp_path / "a.hdf5")
    found = answer("STORMCELL_PICASSO_PYTHON", PICASSO, tmp_path / "a.hdf5")
    assert len(found["columns"]["x"]) == n_rows


def test_we_read_what_picasso_saves(tmp_path):
    answer("STORMCELL_PICASSO_PYTHON", PICASSO_SAVE, tmp_path / "a.hdf5")
    table = read_table(tmp_path / "a.hdf5")
    np.testing.assert_array_equal(table["frame"], [3, 8])
    np.testing.assert_allclose(table.positions_nm, [[30.5 * 130, 12.5 * 130], [0.75 * 130, 4 * 130]], rtol=1e-6)
    np.testing.assert_allclose(table["psf_sigma_y_nm"], [162.5, 130], rtol=1e-6)
    assert (table.grid, table.n_frames) == (PixelGrid(130.0, (32, 64)), 10)


def test_picasso_imports_our_csv(tmp_path):
    table = some_table()
    write_table(table, tmp_path / "a.csv")
    found = answer("STORMCELL_PICASSO_PYTHON", PICASSO_IMPORT, tmp_path / "a.csv")
    assert len(found["x"]) == len(table)
    # its import multiplies only: no half pixel, and frames count from the first one that has a row
    np.testing.assert_allclose(np.array(found["x"]) * 100, table["x_nm"], rtol=1e-6)
    np.testing.assert_array_equal(found["frame"], table["frame"] - table["frame"].min())


@pytest.mark.parametrize("n_rows", [400, 1])
def test_locan_reads_our_csv(tmp_path, n_rows):
    table = some_table(n_rows)
    write_table(table, tmp_path / "a.csv")
    found = answer("STORMCELL_LOCAN_PYTHON", LOCAN, tmp_path / "a.csv")
    expected = {
        "position_x": table["x_nm"],
        "position_y": table["y_nm"],
        "frame": table["frame"] + 1,
        "intensity": table["photons"],
        "local_background": table["background_photons"],
        "psf_sigma": table["psf_sigma_nm"],
        "uncertainty_x": np.sqrt((table["uncertainty_x_nm"] ** 2 + table["uncertainty_y_nm"] ** 2) / 2),
    }
    for name, values in expected.items():  # Locan keeps single precision, 6e-8 of the value
        np.testing.assert_allclose(found[name], values, rtol=1e-7, err_msg=name)
