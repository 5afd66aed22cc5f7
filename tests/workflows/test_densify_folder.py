"""densify for a folder of tables: which images belong to which table, and what is said of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import stormcell as sc
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import InputError, OutputError, StormcellWarning
from stormcell.workflows.densify_folder import widefield_of

if TYPE_CHECKING:
    from pathlib import Path

GRID = PixelGrid(100.0, (20, 20))


def ring(n: int = 300, seed: int = 0) -> Localizations:
    rng = np.random.default_rng(seed)
    turn = rng.uniform(0, 2 * np.pi, n)
    columns = {
        "frame": np.arange(n) * 7,
        "x_nm": 1000 + 600 * np.cos(turn) + rng.normal(0, 12, n),
        "y_nm": 900 + 500 * np.sin(turn) + rng.normal(0, 12, n),
        "uncertainty_x_nm": np.full(n, 12.0),
        "uncertainty_y_nm": np.full(n, 12.0),
    }
    return Localizations(columns, grid=GRID, n_frames=7 * n)


def camera_image() -> SRImage:
    drawn = np.histogram2d(*(ring(100_000)[name] for name in ("y_nm", "x_nm")), bins=[np.arange(0, 2001, 20)] * 2)[0]
    pixels = gaussian_filter(drawn, 6.5).reshape(20, 5, 20, 5).sum(axis=(1, 3))
    return SRImage(np.random.default_rng(1).poisson(pixels + 100).astype(np.float32), GRID, "photons")


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    (tmp_path / "wide").mkdir()
    sc.write(ring(300, 0), tmp_path / "tables" / "a.parquet")
    sc.write(ring(300, 1), tmp_path / "tables" / "b.parquet")
    (tmp_path / "tables" / "notes.md").write_text("# no table\n", encoding="utf-8")
    sc.write(camera_image(), tmp_path / "wide" / "a_wf.ome.tif")
    return tmp_path


def test_a_missing_widefield_image_stops_that_table_alone(model: str, plate: Path) -> None:
    with pytest.warns(StormcellWarning) as caught:
        found = sc.densify_folder(
            plate / "tables", plate / "out", widefield=plate / "wide", model=model, classify=False, max_shift_nm=100
        )
    assert [one.name for one in found] == ["a.parquet", "b.parquet"]
    assert found[0].verdict is not None
    assert found[1].verdict is None
    assert "named like b.parquet" in found[1].refusal
    assert all(str(w.message).startswith(("a.parquet: ", "b.parquet: ")) for w in caught)
    assert any("b.parquet: refused" in str(w.message) for w in caught)
    written = {path.name for path in (plate / "out").iterdir()}
    own = {"a.parquet.ome.tif", "a.parquet_uncertainty.ome.tif", "a.parquet_error_map.ome.tif"}
    assert written == own | {"verdicts.json"}
    told, refused = json.loads((plate / "out" / "verdicts.json").read_text(encoding="utf-8"))["fields"]
    assert told["table"] == "a.parquet"
    assert set(told["files"]) == own
    assert (told["shift_y_nm"], told["shift_x_nm"]) == pytest.approx(found[0].shift_nm)
    assert abs(told["shift_x_nm"]) < 40
    assert told["level"] == found[0].verdict.level
    assert refused["refused"] == found[1].refusal
    assert "level" not in refused


def test_warnings_of_a_table_are_kept_with_it(model: str, plate: Path) -> None:
    (plate / "tables" / "b.parquet").unlink()
    (plate / "tables" / "c.csv").write_text("x [nm],y [nm],frame\n", encoding="utf-8")
    with pytest.warns(StormcellWarning):
        found = sc.densify_folder(plate / "tables", plate / "out", model=model, structure="clathrin", classify=False)
    assert any("has not seen clathrin" in sentence for sentence in found[0].warnings)
    told = json.loads((plate / "out" / "verdicts.json").read_text(encoding="utf-8"))["fields"]
    assert [tuple(one["warnings"]) for one in told] == [one.warnings for one in found]
    assert any("the table is empty" in sentence for sentence in told[1]["warnings"])
    assert told[1]["level"] == "empty"


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
def test_the_command_line_writes_classes_and_what_else_is_asked_for(model: str, plate: Path, capfd) -> None:
    from stormcell.cli.main import main

    (plate / "tables" / "b.parquet").unlink()
    call = ["densify", str(plate / "tables"), "-o", str(plate / "out"), "--model", model, "--json"]
    assert main([*call, "--support", "cell.tif"]) == 2
    assert "_support.ome.tif" in json.loads(capfd.readouterr().out)["error"]
    assert main([*call, "--support", "_n.tif", "--upper", "_most.tif"]) == 0
    written = {path.name for path in (plate / "out").iterdir()}
    assert written == {"verdicts.json", *(f"a.parquet{end}" for end in (".ome.tif", "_uncertainty.ome.tif"))} | {
        f"a.parquet{end}" for end in ("_classes.ome.tif", "_n.tif", "_most.tif")
    }
    shares = json.loads(capfd.readouterr().out)["result"]["fields"][0]["verdict"]["numbers"]
    drawn, classes = (sc.read(plate / "out" / f"a.parquet{end}").pixels for end in (".ome.tif", "_classes.ome.tif"))
    assert drawn[classes == 1].sum() / drawn[classes > 0].sum() == pytest.approx(shares["measured_share"], abs=1e-4)


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
def test_the_exit_status_tells_whether_anything_was_done(model: str, plate: Path, capfd) -> None:
    from stormcell.cli.main import main

    call = ["densify", str(plate / "tables"), "-o", str(plate / "out"), "--model", model, "--no-classify"]
    call += ["--widefield", str(plate / "wide"), "--overwrite"]
    assert main([*call, "--max-shift-nm", "100"]) == 0
    assert "Densified 1 of 2 tables" in capfd.readouterr().out
    np.save(plate / "wide" / "a.npy", np.ones((20, 20), np.float32))  # goes before a_wf, and does not tell its pixels
    assert main(call) == 2
    said = capfd.readouterr().err.strip()
    assert "none of the 2 tables" in said
    assert "a.parquet: the pixel size of" in said
    assert len(said.splitlines()) == 1
    told = json.loads((plate / "out" / "verdicts.json").read_text(encoding="utf-8"))["fields"]
    assert all(one["refused"] for one in told)


def test_refusals_come_before_any_work(model: str, plate: Path) -> None:
    tables = plate / "tables"
    with pytest.raises(InputError, match="of which none is one"):
        sc.densify_folder(plate / "wide", plate / "out", model=model)
    with pytest.raises(InputError, match="named like"):
        sc.densify_folder(tables, plate / "out", widefield=tables, model=model)
    with pytest.raises(InputError, match="does not exist"):
        sc.densify_folder(tables, plate / "out", widefield=plate / "nowhere", model=model)
    with pytest.raises(InputError, match="another ending"):
        sc.densify_folder(tables, plate / "out", endings={"support": "_classes.ome.tif"}, model=model)
    with pytest.raises(OutputError, match="image name ending"):
        sc.densify_folder(tables, plate / "out", endings={"support": "_support.txt"}, model=model)
    with pytest.raises(InputError, match="densify_folder"):
        sc.densify(tables, model=model)
    assert not (plate / "out").exists() or not list((plate / "out").iterdir())


def test_which_image_is_a_table_s_own(tmp_path: Path) -> None:
    table = tmp_path / "cell.csv"
    for name in ("cell_1.tif", "cell_densify.ome.tif", "cells.tif", "cell.txt"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"name it cell\.tif or cell_wf\.tif"):
        widefield_of(table, tmp_path)
    for name in ("cell_widefield.tif", "cell_wf.png", "cell.ome.tif"):
        (tmp_path / name).touch()
        assert widefield_of(table, tmp_path) == tmp_path / name  # each wins over those before
    assert widefield_of(tmp_path / "cell_1.csv", tmp_path) == tmp_path / "cell_1.tif"
    assert widefield_of(table, None) is None
