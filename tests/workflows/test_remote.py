"""URLs as inputs and outputs, on fsspec's file system in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.dataset as ds
import pytest

import stormcell as sc
from stormcell.cli.main import main
from stormcell.errors import FormatError, MissingDependencyError, OutputError
from stormcell.io.tables import read_table
from stormcell.workflows.batch_items import find_items
from stormcell.workflows.batch_worker import process
from stormcell.workflows.remote import is_url

fsspec = pytest.importorskip("fsspec")
pytestmark = pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPTIONS = {"pixel_size_nm": 100, "offset_adu": 0, "gain_e_per_adu": 1, "method": "lsq"}
_FLAGS = ("--pixel-size-nm", "100", "--offset-adu", "0", "--gain-e-per-adu", "1", "--method", "lsq", "--quiet")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def movie(tmp_path: Path, memory: fsspec.AbstractFileSystem) -> Path:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24] + 0.5
    spots = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4) * 150 for a, b in rng.uniform(6, 18, (20, 2))]
    np.save(tmp_path / "movie.npy", rng.poisson(np.array(spots) + 10).astype(np.uint16))
    memory.put_file(str(tmp_path / "movie.npy"), "/bucket/movie.npy")
    return tmp_path / "movie.npy"


def test_a_movie_at_a_url_gives_the_same_table_at_a_url(movie: Path, memory: fsspec.AbstractFileSystem) -> None:
    here = sc.localize(movie, **_OPTIONS)
    there = sc.localize("memory://bucket/movie.npy", output="memory://bucket/out/table.parquet", **_OPTIONS)
    np.testing.assert_array_equal(there["x_nm"], here["x_nm"])
    memory.get_file("/bucket/out/table.parquet", str(movie.with_name("back.parquet")))
    np.testing.assert_array_equal(read_table(movie.with_name("back.parquet"))["x_nm"], here["x_nm"])
    with pytest.raises(OutputError, match="pass --overwrite"):
        sc.localize("memory://bucket/movie.npy", output="memory://bucket/out/table.parquet", **_OPTIONS)


def test_a_run_fills_a_folder_at_a_url(movie: Path, memory: fsspec.AbstractFileSystem) -> None:
    done = sc.run(movie, output="memory://bucket/run", **_OPTIONS)
    assert memory.exists("/bucket/run/report.html")
    assert "memory://bucket/run/run.json" in done.outputs


@pytest.mark.usefixtures("movie")
def test_the_command_line_takes_urls(memory: fsspec.AbstractFileSystem, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["localize", "memory://bucket/movie.npy", *_FLAGS]
    assert main(call) == 2
    assert "expected -o with an input at a URL" in capsys.readouterr().err
    assert main([*call, "-o", "memory://bucket/out/table.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == ["memory://bucket/out/table.csv"]
    assert memory.exists("/bucket/out/table.csv")


def test_a_store_at_a_url_is_read_in_place(movie: Path, memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    sc.convert(movie, tmp_path / "movie.ome.zarr", pixel_size_nm=100)
    memory.put(str(tmp_path / "movie.ome.zarr"), "/bucket/movie.ome.zarr", recursive=True)
    stack = sc.read("memory://bucket/movie.ome.zarr")
    assert isinstance(stack, sc.FrameStack)
    np.testing.assert_array_equal(stack.read(), np.load(movie))
    assert sc.localize("memory://bucket/movie.ome.zarr", **_OPTIONS).n_rows > 5


def test_inputs_of_a_batch_at_a_url(memory: fsspec.AbstractFileSystem) -> None:
    for name in ("a.tif", "b.tif", ".hidden"):
        memory.pipe_file(f"/plate/well1/{name}", b"x")
    memory.pipe_file("/plate/well2/a.tif", b"x")
    memory.pipe_file("/plate/well2/m.ome.zarr/zarr.json", b"x")
    folder = find_items("memory://plate/well1", {})
    assert [(item.name, item.source) for item in folder] == [
        ("a", "memory:///plate/well1/a.tif"),
        ("b", "memory:///plate/well1/b.tif"),
    ]
    names = [item.name for item in find_items("memory://plate/*/*", {})]
    assert len(set(names)) == 4


def test_results_of_a_batch_go_to_a_url_and_leave_what_resuming_needs(
    movie: Path, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    item = find_items(str(movie), _OPTIONS)[0]
    outcome = process("run", item, str(tmp_path / "out"), 1, results_url="memory://bucket/results")
    assert "error" not in outcome
    sent = memory.ls(f"/bucket/results/{item.name}", detail=False)
    assert {"report.html", "outcome.json", "localizations.parquet"} <= {name.rpartition("/")[2] for name in sent}
    left = sorted(path.name for path in (tmp_path / "out" / item.name).iterdir())
    assert left == ["localizations.parquet", "outcome.json"]


def test_the_tables_of_a_batch_are_one_dataset(movie: Path, tmp_path: Path) -> None:
    from stormcell.workflows.batch_dataset import add_field

    counts = {}
    for name in ("movie.npy", "well 2~a=b"):
        (tmp_path / "out" / name).mkdir(parents=True)
        counts[name] = sc.localize(movie, output=tmp_path / "out" / name / "localizations.parquet", **_OPTIONS).n_rows
        for _ in range(2):
            add_field(tmp_path / "out", name)
    rows = ds.dataset(tmp_path / "out" / "localizations.dataset", partitioning="hive").to_table().to_pandas()
    assert rows.groupby("field", observed=True).size().to_dict() == counts
    assert not list((tmp_path / "out").rglob(".part*"))


def test_what_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"memory://nowhere/a\.tif does not exist"):
        sc.localize("memory://nowhere/a.tif", **_OPTIONS)
    with pytest.raises((MissingDependencyError, FormatError, OutputError)) as caught:
        sc.localize("nonsense://nowhere/a.tif", **_OPTIONS)
    assert "\n" not in str(caught.value)
    assert is_url("s3://bucket/a.tif")
    assert not any(is_url(text) for text in ("C:/data/a.tif", "a.tif", "tcp://host:8786"))
