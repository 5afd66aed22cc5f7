"""batch: many inputs, each once, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import stormcell as sc
from stormcell.errors import InputError, OutputError
from stormcell.io.tables import read_table
from stormcell.workflows.batch_cluster import share_threads
from stormcell.workflows.batch_dataset import DATASET_FOLDER
from stormcell.workflows.batch_items import find_items
from stormcell.workflows.batch_journal import locked
from stormcell.workflows.batch_verbs import known_options

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # the scheduler's own

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = {"pixel_size_nm": 100, "offset_adu": 0, "gain_e_per_adu": 1, "method": "lsq"}
_TEXT = ",".join(f"{name}={value}" for name, value in _OPTIONS.items())


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    folder = tmp_path / "plate"
    folder.mkdir()
    y, x = np.mgrid[:24, :24] + 0.5
    for index in range(6):
        rng = np.random.default_rng(index)
        spots = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4) * 150 for a, b in rng.uniform(6, 18, (20, 2))]
        np.save(folder / f"field{index}.npy", rng.poisson(np.array(spots) + 10).astype(np.uint16))
    return folder


def test_a_batch_gives_what_each_call_gives_and_skips_what_is_broken(plate: Path, tmp_path: Path) -> None:
    (plate / "field9.npy").write_bytes(b"nothing")
    numba_threads = os.environ.get("NUMBA_NUM_THREADS")
    done = sc.batch(plate, output=tmp_path / "out", verb="localize", verb_options=_TEXT, workers=2)
    # numba refuses another number once it has run: the caller could compile nothing more
    assert os.environ.get("NUMBA_NUM_THREADS") == numba_threads
    assert done.n_failed == 1
    for index in range(6):
        alone = sc.localize(plate / f"field{index}.npy", **_OPTIONS)
        table = read_table(tmp_path / "out" / f"field{index}.npy" / "localizations.parquet")
        assert table.n_rows == alone.n_rows > 5
        np.testing.assert_array_equal(table["x_nm"], alone["x_nm"])
    summary = pd.read_parquet(tmp_path / "out" / "summary.parquet")
    assert list(summary["state"]) == ["failed"] + ["done"] * 6
    lines = [json.loads(line) for line in (tmp_path / "out" / "journal.jsonl").read_text().splitlines()]
    assert [line["attempt"] for line in lines if line["state"] == "failed"] == [1, 2]
    assert "field9" in (tmp_path / "out" / "summary.html").read_text()


def test_a_killed_batch_continues(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = [sys.executable, "-m", "stormcell", "batch", str(plate), "-o", str(out), "--verb", "localize"]
    process = subprocess.Popen([*call, "--workers", "1", "--verb-options", _TEXT], start_new_session=True)
    end = time.monotonic() + 60
    while not list(out.glob("field*/outcome.json")) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("field*/outcome.json")}
    assert before
    done = sc.batch(plate, output=out, verb="localize", verb_options=_TEXT, workers=1)
    assert (len(done.outcomes), done.n_failed) == (6, 0)
    assert all(path.stat().st_mtime_ns == old for path, old in before.items())
    assert not list(out.glob(".part-*"))
    assert len(pd.read_parquet(out / "summary.parquet")) == 6


def test_a_second_batch_is_refused(plate: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(OutputError, match="another batch"):
        sc.batch(plate, output=tmp_path / "out")


def test_a_batch_passes_on_what_the_verb_has_and_refuses_what_it_has_not(plate: Path, tmp_path: Path) -> None:
    assert known_options("localize", {"device": "cpu", "seed": 3}) == {"device": "cpu"}
    assert known_options("check", {"device": "cpu", "seed": 3}) == {"seed": 3}
    with pytest.raises(InputError, match=r"did you mean pixel_size_nm\?"):
        sc.batch(plate, output=tmp_path / "out", verb="localize", verb_options="pixel_size=100")
    assert not (tmp_path / "out").exists()


def test_results_made_otherwise_are_refused_or_replaced(plate: Path, tmp_path: Path, cluster: str) -> None:
    out = tmp_path / "out"
    given = {"output": out, "verb": "localize", "cluster": cluster}
    few = str(plate / "field[0-1].npy")
    sc.batch(few, verb_options=_TEXT, **given)
    first, second = (out / f"field{index}.npy" / "localizations.parquet" for index in range(2))
    with pytest.raises(InputError, match="pass --overwrite"):
        sc.batch(few, verb_options=f"{_TEXT},fit_sigma=fixed", **given)
    before = first.stat().st_mtime_ns, second.stat().st_mtime_ns
    np.save(plate / "field1.npy", np.load(plate / "field1.npy")[:10])
    done = sc.batch(few, verb_options=_TEXT, overwrite=True, **given)
    assert done.n_failed == 0
    assert first.stat().st_mtime_ns == before[0]  # up to date
    assert second.stat().st_mtime_ns != before[1]
    assert read_table(second).n_frames == 10
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "field0.npy",
        "field1.npy",
        DATASET_FOLDER,
    ]
    assert read_table(out / DATASET_FOLDER / "field=field1.npy" / "localizations.parquet").n_frames == 10


def test_a_dry_run_says_what_would_be_done(plate: Path, tmp_path: Path) -> None:
    given = {"output": tmp_path / "out", "verb": "localize", "verb_options": _TEXT, "dry_run": True}
    assert sc.batch(plate, workers=2, threads=8, **given).plan[1] == "2 workers of 4 threads on this machine"
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "slurm.yaml").write_text("cores: 2\nmemory: 8GB\nqueue: standard\nwalltime: '02:00:00'\njobs: 20\n")
    todo, script = sc.batch(plate, cluster=f"slurm:{tmp_path / 'slurm.yaml'}", **given).plan
    assert todo.startswith("localize of 6 inputs (field0.npy, field1.npy, field2.npy, ...), 0 of them finished")
    assert "#SBATCH -t 02:00:00" in script
    assert "--nthreads 1" in script
    assert not (tmp_path / "out").exists()


def test_threads_are_shared_among_workers() -> None:
    assert share_threads(2, 8) == (2, 4)
    assert share_threads(None, 3) == (3, 1)
    assert share_threads(4, 2) == (4, 1)


def test_a_manifest_gives_options_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "plate.csv").write_text("input,pixel_size_nm\na.tif,100\na.tif,\n")
    first, second = find_items(str(tmp_path / "plate.csv"), {"pixel_size_nm": 80})
    assert (first.name, first.options["pixel_size_nm"]) == ("a", 100)
    assert (second.name, second.options["pixel_size_nm"]) == ("a~2", 80)


def test_nothing_to_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        sc.batch(tmp_path / "*.tif", output=tmp_path / "out")


def test_memory_of_workers_that_are_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").touch()
    with pytest.raises(InputError, match="worker_memory_gb"):
        sc.batch(tmp_path, output=tmp_path / "out", cluster="tcp://127.0.0.1:9", worker_memory_gb=1)
