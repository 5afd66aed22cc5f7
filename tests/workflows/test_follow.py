"""Following a movie while it is written."""

from __future__ import annotations

import csv
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormcell as sc
from stormcell.data import FrameStack
from stormcell.errors import FormatError, InputError
from stormcell.io.movies.growing import GrowingMovie
from stormcell.workflows import follow
from stormcell.workflows.live_page import LivePage
from stormcell.workflows.options import build_settings
from stormcell.workflows.run_settings import RunVerbSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# saturation, assumed camera values: said by the verbs, and not what is tested here
pytestmark = pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")

_OPTIONS = {"pixel_size_nm": 100, "offset_adu": 0, "gain_e_per_adu": 1, "method": "lsq", "correct_drift": False}


def _movie(n_frames: int = 120) -> np.ndarray:
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:32, :32] + 0.5
    frames = np.full((n_frames, 32, 32), 10.0)
    for frame in frames:
        for b in rng.uniform(6, 26, 3):
            frame += 200 * np.exp(-((y - 16) ** 2 + (x - b) ** 2) / 3.4)
    return rng.poisson(frames).astype(np.uint16)


def _as_file(place: Path, frames: np.ndarray) -> Path:
    path = place / "movie.npy"
    np.save(path, frames)
    data = path.read_bytes()
    path.unlink()
    n_bytes = len(data) // 12 + 777  # cuts within frames
    with path.open("wb") as stream:
        for start in range(0, len(data), n_bytes):
            stream.write(data[start : start + n_bytes])
            stream.flush()
            time.sleep(0.1)
    return path


def _as_folder(place: Path, frames: np.ndarray) -> Path:
    for index, start in enumerate(range(0, len(frames), 15)):
        np.save(place / f".writing{index}.npy", frames[start : start + 15])
        (place / f".writing{index}.npy").rename(place / f"part{index:03}.npy")
        time.sleep(0.1)
    return place


@pytest.mark.parametrize(("write", "name"), [(_as_file, "movie.npy"), (_as_folder, "")])
def test_a_followed_movie_ends_as_the_run_of_the_whole(
    write: Callable[[Path, np.ndarray], Path], name: str, tmp_path: Path
) -> None:
    frames, place, out = _movie(), tmp_path / "incoming", tmp_path / "out"
    place.mkdir()
    writer = threading.Thread(target=write, args=(place, frames))
    writer.start()
    followed = sc.run(place / name, output=out, follow=True, follow_idle_s=3.0, **_OPTIONS)
    writer.join()
    whole = sc.run(frames, **_OPTIONS)
    assert followed.table.n_rows == whole.table.n_rows > 200
    np.testing.assert_array_equal(followed.image.pixels, whole.image.pixels)
    assert (out / "report.html").exists()
    assert (out / "live.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "live.html").read_text()
    assert "120 frames arrived" in page
    assert "in the picture (lsq)" in page
    assert "http-equiv=refresh" in page
    looks = list(csv.DictReader((out / "live.csv").read_text().splitlines()))
    assert int(looks[-1]["frames"]) <= 120
    assert float(looks[-1]["frames_for_agreement"]) > 0


def test_a_growing_file_shows_whole_frames_only(tmp_path: Path) -> None:
    frames = _movie(10)
    np.save(tmp_path / "movie.npy", frames)
    data = (tmp_path / "movie.npy").read_bytes()
    growing = GrowingMovie(tmp_path / "part.npy")
    assert growing.poll() is None
    (tmp_path / "part.npy").write_bytes(data[:50])
    assert growing.poll() is None
    (tmp_path / "part.npy").write_bytes(data[: 128 + int(3.7 * 2048)])
    movie = growing.poll()
    assert movie is not None
    assert movie.n_frames == 3
    assert not growing.is_complete
    np.testing.assert_array_equal(movie.read(), frames[:3])
    (tmp_path / "part.npy").write_bytes(data)
    movie = growing.poll()
    assert movie is not None
    assert (movie.n_frames, growing.is_complete) == (10, True)


def test_pieces_of_a_folder_are_one_movie_in_order(tmp_path: Path) -> None:
    frames = _movie(10)
    growing = GrowingMovie(tmp_path)
    assert growing.poll() is None
    np.save(tmp_path / "b.npy", frames[4:])
    np.save(tmp_path / "a.npy", frames[:4])
    movie = growing.poll()
    assert movie is not None
    np.testing.assert_array_equal(movie.read(2, 7), frames[2:7])
    np.testing.assert_array_equal(movie.frames(3, 5).crop((2, 9), (1, 8)).read(), frames[3:5, 2:9, 1:8])
    np.save(tmp_path / "c.npy", frames[:, :20])
    with pytest.raises(FormatError, match="follow a folder of one movie"):
        growing.poll()


def test_a_growing_tiff_is_read_page_by_page(tmp_path: Path) -> None:
    import tifffile

    frames, path = _movie(6), tmp_path / "movie.tif"
    growing = GrowingMovie(path)
    for index, frame in enumerate(frames):
        tifffile.imwrite(path, frame, append=index > 0, metadata=None)
        movie = growing.poll()
        assert movie is not None
        assert movie.n_frames == index + 1
        np.testing.assert_array_equal(movie.read(index)[0], frame)


def test_slow_methods_leave_frames_out_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_FIRST_RATE", 20.0)
    np.save(tmp_path / "movie.npy", _movie(200))
    sc.run(tmp_path / "movie.npy", output=tmp_path / "out", follow=True, **_OPTIONS)
    page = (tmp_path / "out" / "live.html").read_text()
    assert "20 in the picture (lsq)" in page
    assert "That is 10.0%: 180 frames, evenly chosen, were left out to keep pace" in page


def test_frames_are_left_out_evenly_and_worked_off_in_a_pause() -> None:
    """Every frame is drawn once: a share at first, the newest among them, the others when none arrive."""
    stack = FrameStack.from_array(_movie(240))
    live = follow._Live.of(stack.frames(0, 200), build_settings(RunVerbSettings, None, _OPTIONS), None)
    live._rate = 30.0
    assert live.take(stack.frames(0, 200), is_over=False)
    assert (live.done, live.left_out.size) == (200, 179)
    gaps = np.diff(np.unique(live._tables[0]["frame"]))
    assert set(gaps) <= {9, 10}
    assert live._tables[0]["frame"].max() == 199
    live._rate = 1e6
    assert live.take(stack, is_over=False)
    assert np.unique(live._tables[1]["frame"]).tolist() == list(range(200, 240))
    live._rate = 100.0
    while live.take(stack, is_over=False):
        live._rate = 100.0
    assert live.left_out.size == 0
    assert len(live._tables) == 5
    frames = [np.unique(table["frame"]) for table in live._tables]
    np.testing.assert_array_equal(np.sort(np.concatenate(frames)), np.arange(240))


def test_the_network_follows_knowing_the_first_frames(tmp_path: Path) -> None:
    movie, given = _movie(120), {**_OPTIONS, "method": "dense"}
    np.save(tmp_path / "movie.npy", movie)
    followed = sc.run(tmp_path / "movie.npy", output=tmp_path / "out", follow=True, **given)
    assert "in the picture (dense)" in (tmp_path / "out" / "live.html").read_text()
    whole = sc.localize(movie, pixel_size_nm=100, offset_adu=0, gain_e_per_adu=1, method="dense")
    assert followed.table.n_rows == whole.n_rows > 200


def test_verdicts(tmp_path: Path) -> None:
    page = LivePage.__new__(LivePage)
    page.looks = []
    assert page.needed()[1] == "Frames needed: not known yet."
    page.looks = [{"frames_for_agreement": 900.0, "frames_for_resolution": np.nan}]
    assert page.needed() == (900.0, "Frames needed: about 900 in all (the picture by about 900).")
    page.looks = [{"frames_for_agreement": 900.0, "frames_for_resolution": np.inf}]
    assert "no end in sight" in page.needed()[1]


def test_nothing_to_follow_is_said(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="none came; check"):
        sc.run(tmp_path, follow=True, follow_start_s=0.3, **_OPTIONS)
    with pytest.raises(InputError, match="leave --follow out"):
        sc.run(_movie(5), follow=True, **_OPTIONS)
