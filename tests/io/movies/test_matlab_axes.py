"""Which axis of a MATLAB array is time."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from stormcell.io.movies import open_movie
from stormcell.io.movies.matlab_axes import time_axis


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((16, 16, 626), 2),
        ((626, 16, 16), 0),
        ((64, 80, 500), 2),
        ((16, 16, 16), 2),
        ((500, 64, 80), 2),
        ((1, 1, 9), 2),
    ],
)
def test_time_axis(shape: tuple[int, int, int], axis: int) -> None:
    found, reason = time_axis(shape)
    assert found == axis
    assert "x".join(map(str, shape)) in reason


def test_time_first_in_both_versions(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 999, (11, 6, 6)).astype(np.int32)
    scipy.io.savemat(tmp_path / "5.mat", {"a": frames})
    with h5py.File(tmp_path / "7.mat", "w") as file:
        file.create_dataset("a", data=frames.transpose(2, 1, 0)).attrs["MATLAB_class"] = np.bytes_("int32")
    for name in ("5.mat", "7.mat"):
        movie = open_movie(tmp_path / name)
        assert np.array_equal(movie.read(), frames)
        assert np.array_equal(movie.read(4, 7), frames[4:7])
        assert "first axis is time" in movie.metadata["n_frames"].detail


def test_the_largest_variable_is_the_movie(tmp_path: Path) -> None:
    frames = np.arange(4 * 3 * 5).reshape(4, 3, 5).astype(np.uint16)
    scipy.io.savemat(tmp_path / "a.mat", {"dark": frames[:, :, :2], "mov": frames, "x": 1.0})
    movie = open_movie(tmp_path / "a.mat")
    assert np.array_equal(movie.read(), frames.transpose(2, 0, 1))
    assert "dark" in movie.metadata["n_frames"].detail


def test_whole_doubles_stay_doubles(tmp_path: Path) -> None:
    # MATLAB packs such arrays as uint8; scipy can write one by hand through a matching header
    frames = np.arange(24.0).reshape(2, 3, 4)
    scipy.io.savemat(tmp_path / "a.mat", {"mov": frames})
    data = bytearray((tmp_path / "a.mat").read_bytes())
    payload = frames.ravel(order="F").tobytes()
    start = data.index(payload) - 8
    packed = b"\x02\x00\x00\x00" + (24).to_bytes(4, "little") + frames.ravel(order="F").astype(np.uint8).tobytes()
    data[start : start + 8 + len(payload)] = packed
    data[132:136] = (len(data) - 136).to_bytes(4, "little")
    (tmp_path / "a.mat").write_bytes(data)
    movie = open_movie(tmp_path / "a.mat")
    assert movie.dtype == movie.read().dtype == np.float64
    assert np.array_equal(movie.read(), frames.transpose(2, 0, 1))
