"""Movies that other programs and cameras made."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile

from stormcell.errors import FormatError
from stormcell.io.movies import open_movie


def test_podosomes(shared_data: Path) -> None:
    path = shared_data / "podosomes_3b" / "stack.tif"
    movie = open_movie(path)
    assert movie.shape == (300, 60, 60)
    assert movie.dtype == np.uint16
    assert np.array_equal(movie.read(), tifffile.imread(path))
    assert "camera_pixel_size_nm" not in movie.metadata


def test_picasso(shared_data: Path) -> None:
    path = shared_data / "picasso_movie" / "testdata.raw"
    movie = open_movie(path)
    assert movie.shape == (100, 32, 32)
    assert np.array_equal(movie.read(), np.fromfile(path, "<u2").reshape(100, 32, 32))
    assert movie.metadata["camera_pixel_size_nm"].value == 160.0
    assert movie.metadata["exposure_s"].value == 0.3


def test_matlab(shared_data: Path) -> None:
    path = shared_data / "microtubules_small" / "stack.mat"
    movie = open_movie(path)
    assert movie.shape == (626, 16, 16)
    assert movie.dtype == np.float64
    assert np.array_equal(movie.read(), scipy.io.loadmat(path)["mov"].transpose(2, 0, 1))
    assert "the last axis is time" in movie.metadata["n_frames"].detail


@pytest.mark.parametrize(
    ("name", "shape", "pixel_size_nm"),
    [
        ("thunderstorm_frame/tubulins1_00020.tif", (1, 256, 256), None),
        ("deepstorm_training/stack.tif", (20, 64, 64), 100.0),
        ("squirrel_microtubules/widefield.tif", (1, 60, 60), 100.0),
    ],
)
def test_imagej(shared_data: Path, name: str, shape: tuple[int, int, int], pixel_size_nm: float | None) -> None:
    movie = open_movie(shared_data / name)
    assert movie.shape == shape
    assert np.array_equal(movie.read(), tifffile.imread(shared_data / name).reshape(shape))
    size = movie.metadata.get("camera_pixel_size_nm")
    assert (None if size is None else size.value) == pixel_size_nm


def test_what_is_no_movie(shared_data: Path) -> None:
    with pytest.raises(FormatError, match="3 channels"):
        open_movie(shared_data / "squirrel_microtubules" / "superresolution_stack.tif")
    tables = [path for path in sorted((shared_data / "formats").iterdir()) if path.suffix not in {".yaml", ".md"}]
    assert len(tables) > 5
    for path in tables:
        with pytest.raises(FormatError) as refusal:
            open_movie(path)
        assert "\n" not in str(refusal.value)
