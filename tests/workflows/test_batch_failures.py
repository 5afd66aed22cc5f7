"""batch: what goes wrong in the middle is said in one line, costs nothing that is finished, and can be continued."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import stormcell as sc
from stormcell.errors import OutputError
from stormcell.io.tables import read_table

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # the scheduler's own

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OPTIONS = {"pixel_size_nm": 100, "offset_adu": 0, "gain_e_per_adu": 1, "method": "lsq"}
_TEXT = ",".join(f"{name}={value}" for name, value in _OPTIONS.items())
_N = 6


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    folder = tmp_path / "plate"
    folder.mkdir()
    y, x = np.mgrid[:24, :24] + 0.5
    for index in range(_N):
        rng = np.random.default_rng(index)
        spots = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3.4) * 150 for a, b in rng.uniform(6, 18, (20, 2))]
        np.save(folder / f"field{index}.npy", rng.poisson(np.array(spots) + 10).astype(np.uint16))
    return folder


def journal(out: Path, state: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    return [line for line in lines if line["state"] == state]


def times(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("field*/outcome.json")}


def after_the_first(act: Callable[[], object]) -> Callable[[int, int], None]:
    """Progress that does something once, when one input is done and the last two are not yet with the worker."""
    done: list[int] = []

    def told(count: int, _total: int) -> None:
        if not done:
            act()
        done.append(count)

    return told


def check_the_rest(plate: Path, out: Path, before: dict[str, int], cluster: str) -> None:
    """The same call goes on: all are there, valid, and what was finished is not made again."""
    assert 0 < len(before) < _N
    done = sc.batch(plate, output=out, verb="localize", verb_options=_TEXT, cluster=cluster)
    assert (len(done.outcomes), done.n_failed) == (_N, 0)
    assert {name: times(out)[name] for name in before} == before
    assert all(read_table(out / name / "localizations.parquet").n_rows > 5 for name in times(out))
    summary = pd.read_parquet(out / "summary.parquet")
    assert (len(summary), summary["name"].nunique(), set(summary["state"])) == (_N, _N, {"done"})
    assert not list(out.glob(".part-*"))


def test_an_input_deleted_meanwhile_is_reported_and_the_rest_is_done(
    plate: Path, tmp_path: Path, cluster: str
) -> None:
    gone, aside, out = plate / "field5.npy", tmp_path / "field5.npy", tmp_path / "out"
    delete = after_the_first(lambda: gone.rename(aside))
    done = sc.batch(plate, output=out, verb="localize", verb_options=_TEXT, cluster=cluster, progress=delete)
    assert done.n_failed == 1
    summary = pd.read_parquet(out / "summary.parquet")
    assert list(summary["state"]) == ["failed"] + ["done"] * 5
    assert "field5.npy" in summary["error"][0]
    assert "\n" not in summary["error"][0]
    assert [line["attempt"] for line in journal(out, "failed")] == [1, 2]
    before = times(out)
    aside.rename(gone)
    check_the_rest(plate, out, before, cluster)


def test_an_output_that_is_gone_ends_the_batch_in_words(plate: Path, tmp_path: Path, cluster: str) -> None:
    out, aside = tmp_path / "out", tmp_path / "aside"

    def replace_by_a_file() -> None:
        out.rename(aside)
        out.write_text("")

    told = after_the_first(replace_by_a_file)
    with pytest.raises(OutputError) as caught:
        sc.batch(plate, output=out, verb="localize", verb_options=_TEXT, cluster=cluster, progress=told)
    assert str(out) in str(caught.value)
    assert "\n" not in str(caught.value)
    out.unlink()
    aside.rename(out)
    check_the_rest(plate, out, times(out), cluster)


def forbid(folder: Path) -> bool:
    """Take away the permission to write into a folder, also from root."""
    if not hasattr(os, "geteuid"):
        return False
    if os.geteuid() != 0:
        folder.chmod(0o500)
        return True
    chattr = shutil.which("chattr")
    return (
        chattr is not None
        and subprocess.run([chattr, "+i", folder], check=False, capture_output=True).returncode == 0
    )


def allow(folder: Path) -> None:
    if os.geteuid() == 0:
        subprocess.run(["chattr", "-i", folder], check=True, capture_output=True)
    else:
        folder.chmod(0o700)


def test_permission_lost_meanwhile(plate: Path, tmp_path: Path, cluster: str) -> None:
    if not forbid(plate):
        pytest.skip("this user may write everywhere, and the file system knows no immutable folders")
    allow(plate)
    out = tmp_path / "out"
    told = after_the_first(lambda: forbid(out))
    try:
        with pytest.raises(OutputError, match="permission") as caught:
            sc.batch(plate, output=out, verb="localize", verb_options=_TEXT, cluster=cluster, progress=told)
    finally:
        allow(out)
    assert "\n" not in str(caught.value)
    refused = [str(line["error"]) for line in journal(out, "failed")]
    assert refused
    assert all("permission" in reason for reason in refused)
    check_the_rest(plate, out, times(out), cluster)


def test_a_full_disc(plate: Path, tmp_path: Path, cluster: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", out]
    if sys.platform != "linux" or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disc")
    try:
        try:
            done = sc.batch(plate, output=out, verb="localize", verb_options=_TEXT, cluster=cluster)
            reasons = [outcome["error"] for outcome in done.outcomes if "error" in outcome]
        except OutputError as error:  # the summary itself found no space
            reasons = [str(error)]
        assert reasons
        assert all("no space left" in reason and "\n" not in reason for reason in reasons)
        subprocess.run(["mount", "-o", "remount,size=50m", out], check=True, capture_output=True)
        check_the_rest(plate, out, times(out), cluster)
    finally:
        subprocess.run(["umount", "-l", out], check=False, capture_output=True)


def test_files_that_may_not_grow_are_reported_and_the_same_call_goes_on(plate: Path, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no limits of file sizes there")
    out = tmp_path / "out"
    call = [sys.executable, "-m", "stormcell", "batch", str(plate), "-o", str(out), "--verb", "localize"]
    call += ["--workers", "1", "--verb-options", _TEXT]
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY)); "
    limited = subprocess.run(
        [sys.executable, "-c", limit + "os.execv(sys.argv[1], sys.argv[1:])", *call], capture_output=True, text=True
    )
    assert "Traceback" not in limited.stdout + limited.stderr
    assert not times(out)
    summary = pd.read_parquet(out / "summary.parquet")
    assert list(summary["state"]) == ["failed"] * _N
    assert all("no space left" in reason for reason in summary["error"])
    assert subprocess.run(call, check=False, capture_output=True).returncode == 0
    assert len(times(out)) == _N
    assert set(pd.read_parquet(out / "summary.parquet")["state"]) == {"done"}


def test_a_worker_out_of_memory_costs_its_input_alone(tmp_path: Path, plate: Path) -> None:
    """One picture of 1.9 GB where a worker may have 0.8: what waited behind it is not blamed."""
    rows = ["input,sr_pixel_size_nm"]
    for index in range(3):
        sc.localize(plate / f"field{index}.npy", output=tmp_path / f"{index}.parquet", **_OPTIONS)
        rows.append(f"{index}.parquet,{0.11 if index == 0 else 10}")
    (tmp_path / "plate.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "out"
    done = sc.batch(tmp_path / "plate.csv", output=out, verb="render", workers=1, worker_memory_gb=0.8)
    assert done.n_failed == 1
    summary = pd.read_parquet(out / "summary.parquet")
    assert list(summary["state"]) == ["failed", "done", "done"]
    assert summary["name"][0] == "0.parquet"
    assert "out of memory" in summary["error"][0]
    assert [line["attempt"] for line in journal(out, "failed") if line["item"] == "0.parquet"] == [1, 2]
