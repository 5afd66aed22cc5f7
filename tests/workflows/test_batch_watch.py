"""Watching a folder: complete files only."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormcell as sc
from stormcell.workflows.batch_items import BatchItem, find_items
from stormcell.workflows.batch_watch import Watcher

if TYPE_CHECKING:
    from pathlib import Path


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _taken(watcher: Watcher, clock: _Clock, path: Path, seconds: float) -> bool:
    clock.now += seconds
    return bool(watcher.complete([BatchItem(path.name, str(path))]))


def test_a_growing_file_is_left_alone_and_a_settled_one_taken(tmp_path: Path) -> None:
    clock, path = _Clock(), tmp_path / "table.csv"
    watcher = Watcher(5.0, takes_movie=False, clock=clock)
    path.write_text("x")
    assert not _taken(watcher, clock, path, 0)
    for _ in range(4):  # longer than the settling time, but never still
        path.write_text(path.read_text() + "x")
        assert not _taken(watcher, clock, path, 4)
    assert not _taken(watcher, clock, path, 4)
    assert _taken(watcher, clock, path, 2)


def test_a_file_that_changes_without_growing_is_left_alone(tmp_path: Path) -> None:
    clock, path = _Clock(), tmp_path / "table.csv"
    watcher = Watcher(5.0, takes_movie=False, clock=clock)
    path.write_bytes(b"0" * 100)  # space reserved first, filled later
    for stamp in range(1, 4):
        os.utime(path, (stamp, stamp))
        assert not _taken(watcher, clock, path, 4)
    assert _taken(watcher, clock, path, 6)


def test_a_movie_cut_short_waits_until_it_opens(tmp_path: Path) -> None:
    clock, path = _Clock(), tmp_path / "movie.npy"
    watcher = Watcher(5.0, takes_movie=True, clock=clock)
    np.save(path, np.zeros((10, 8, 8), np.uint16))
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    assert not any(_taken(watcher, clock, path, 10) for _ in range(4))
    assert _taken(watcher, clock, path, 100)  # nobody goes on writing it: the verb shall say what is wrong
    path.write_bytes(whole)
    assert not _taken(watcher, clock, path, 1)
    assert _taken(watcher, clock, path, 6)


@pytest.mark.parametrize("name", ["a.tif.part", "a.tif.tmp", "a.tif~"])
def test_temporary_names_are_never_taken(tmp_path: Path, name: str) -> None:
    clock, path = _Clock(), tmp_path / name
    path.write_text("x")
    watcher = Watcher(1.0, takes_movie=False, clock=clock)
    assert not any(_taken(watcher, clock, path, 10) for _ in range(3))


def test_a_later_file_changes_no_name(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    before = {item.source: item.name for item in find_items(str(tmp_path), {})}
    (tmp_path / "a.ome.tif").touch()
    (tmp_path / "store.ome.zarr").mkdir()
    after = {item.source: item.name for item in find_items(str(tmp_path), {})}
    assert len(set(after.values())) == len(after) == 3
    assert before.items() <= after.items()


def test_files_of_one_name_in_several_folders_have_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("well1", "well2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "movie.tif").touch()
    assert [item.name for item in find_items(str(tmp_path / "*" / "movie.tif"), {})] == ["well1~movie", "well2~movie"]


@pytest.mark.filterwarnings("ignore")  # the scheduler's own
def test_a_watched_folder_takes_what_is_written_slowly(tmp_path: Path, cluster: str) -> None:
    incoming, whole = tmp_path / "incoming", tmp_path / "whole.npy"
    incoming.mkdir()
    np.save(whole, np.random.default_rng(0).poisson(10, (40, 16, 16)).astype(np.uint16))
    data = whole.read_bytes()

    def write() -> None:
        with (incoming / "late.npy").open("wb") as stream:
            for start in range(0, len(data), 4096):
                stream.write(data[start : start + 4096])
                stream.flush()
                time.sleep(0.3)

    writer = threading.Thread(target=write)
    writer.start()
    text = "pixel_size_nm=100,offset_adu=0,gain_e_per_adu=1,method=lsq"
    done = sc.batch(
        incoming,
        output=tmp_path / "out",
        verb="localize",
        verb_options=text,
        cluster=cluster,
        watch=True,
        settle_s=1,
        idle_s=6,
    )
    writer.join()
    assert [outcome["name"] for outcome in done.outcomes] == ["late.npy"]
    assert done.n_failed == 0
    assert '"failed"' not in (tmp_path / "out" / "journal.jsonl").read_text()
