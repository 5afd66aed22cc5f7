"""Movies written and read back, by us and by tifffile."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from stormcell.data import Quantity
from stormcell.errors import InputError, OutputError
from stormcell.io.movies import open_movie, write_npy_movie, write_ome_tiff_movie
from stormcell.io.movies import writing_movies as writer

SHAPE = (11, 6, 9)
DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"]


def _frames(dtype: str = "uint16", shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 120, shape).astype(dtype)


def _blocks(frames: np.ndarray, n: int = 4) -> Iterator[np.ndarray]:
    return (frames[start : start + n] for start in range(0, len(frames), n))


@pytest.mark.parametrize("dtype", DTYPES)
def test_ome_tiff_round_trip(tmp_path: Path, dtype: str) -> None:
    frames, path = _frames(dtype), tmp_path / "m.ome.tif"
    write_ome_tiff_movie(path, _blocks(frames), shape=SHAPE, dtype=dtype, camera_pixel_size_nm=106.66666666666667)
    movie = open_movie(path)
    assert movie.dtype == np.dtype(dtype)
    assert np.array_equal(movie.read(), frames)
    assert movie.metadata["file_format"].value == "OME-TIFF"
    assert movie.metadata["file_format"].detail == "uncompressed, read in place"
    assert movie.metadata["camera_pixel_size_nm"].value == pytest.approx(106.66666666666667, abs=1e-6)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "TYX"
        assert np.array_equal(tif.asarray(), frames)
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
        assert pixels["PhysicalSizeX"] == pixels["PhysicalSizeY"] == pytest.approx(106.66666666666667, rel=1e-15)
        assert pixels["PhysicalSizeXUnit"] == "nm"
        assert tif.pages.first.get_resolution("CENTIMETER")[0] == pytest.approx(1e7 / 106.66666666666667, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 6, 9), (5, 1, 1), (1, 1, 1), (3, 1, 9), (3, 9, 1)])
def test_small_shapes(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    frames = _frames(shape=shape)
    write_ome_tiff_movie(tmp_path / "m.tif", [frames], shape=shape, dtype="uint16", camera_pixel_size_nm=100)
    write_npy_movie(tmp_path / "m.npy", [frames], shape=shape, dtype="uint16")
    for name in ("m.tif", "m.npy"):
        assert np.array_equal(open_movie(tmp_path / name).read(), frames)


def test_camera_and_records_are_kept(tmp_path: Path) -> None:
    metadata = {
        "offset_adu": Quantity("offset_adu", 100.5, "ADU", "given"),
        "gain_e_per_adu": Quantity("gain_e_per_adu", 0.1 + 0.2, "e/ADU", "given"),
        "camera_type": "emccd",
        "camera_name": "Kamera \u00b5 <&> \x07",
        "em_gain": 300,
        "qe": None,
        "provenance": '{"verb": "simulate"}',
    }
    path = tmp_path / "m.ome.tif"
    frames = _frames()
    write_ome_tiff_movie(path, [frames], shape=SHAPE, dtype="uint16", camera_pixel_size_nm=None, metadata=metadata)
    said = open_movie(path).metadata
    assert {key: item.value for key, item in said.items() if key != "file_format"} == {
        "offset_adu": 100.5,
        "gain_e_per_adu": 0.1 + 0.2,
        "camera_type": "emccd",
        "camera_name": "Kamera \u00b5 <&>",
        "em_gain": 300.0,
    }
    assert said["offset_adu"].source == "read"
    with tifffile.TiffFile(path) as tif:
        root = ElementTree.fromstring(tif.ome_metadata)
    texts = {item.get("K"): item.text for item in root.iter() if item.tag.endswith("}M")}
    assert texts["provenance"] == '{"verb": "simulate"}'


def test_metadata_of_an_opened_movie_can_be_passed_on(tmp_path: Path) -> None:
    first, second = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(first, _frames(), imagej=True, resolution=(10, 10), metadata={"axes": "ZYX", "unit": "um"})
    movie = open_movie(first)
    size = movie.metadata["camera_pixel_size_nm"].value
    blocks = (block for _, block in movie.blocks(3))
    write_ome_tiff_movie(
        second, blocks, shape=movie.shape, dtype=movie.dtype, camera_pixel_size_nm=size, metadata=movie.metadata
    )
    copy = open_movie(second)
    assert np.array_equal(copy.read(), movie.read())
    assert copy.metadata["camera_pixel_size_nm"].value == 100.0
    assert set(copy.metadata) == {"file_format", "camera_pixel_size_nm"}


def test_same_data_same_bytes(tmp_path: Path) -> None:
    frames = _frames()
    for name, n in (("a", 3), ("b", 7)):
        path = tmp_path / name
        write_ome_tiff_movie(path, _blocks(frames, n), shape=SHAPE, dtype="uint16", camera_pixel_size_nm=100.0)
        write_npy_movie(path.with_suffix(".npy"), _blocks(frames, n), shape=SHAPE, dtype="uint16")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert b"tifffile" not in (tmp_path / "a").read_bytes()


def test_bigtiff_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = {"shape": SHAPE, "dtype": "uint16", "camera_pixel_size_nm": 100.0}
    write_ome_tiff_movie(tmp_path / "small.tif", [_frames()], **write)
    monkeypatch.setattr(writer, "_BIGTIFF_FROM_BYTES", 1000)
    write_ome_tiff_movie(tmp_path / "big.tif", [_frames()], **write)
    assert (tmp_path / "small.tif").read_bytes()[:4] == b"II*\x00"
    assert (tmp_path / "big.tif").read_bytes()[:4] == b"II+\x00"
    assert np.array_equal(open_movie(tmp_path / "big.tif").read(), _frames())


def test_npy_is_read_by_numpy(tmp_path: Path) -> None:
    frames = _frames("int16")
    write_npy_movie(tmp_path / "m.npy", [frames[0], frames[1:5], frames[5:]], shape=SHAPE, dtype="int16")
    assert np.array_equal(np.load(tmp_path / "m.npy"), frames)


def test_frames_that_fit_are_widened(tmp_path: Path) -> None:
    frames = _frames("uint8")
    write_ome_tiff_movie(tmp_path / "m.tif", [frames], shape=SHAPE, dtype="float32", camera_pixel_size_nm=100.0)
    assert np.array_equal(open_movie(tmp_path / "m.tif").read(), frames.astype(np.float32))


WRONG = [
    ("too few frames", {"shape": (12, 6, 9)}, "got 11"),
    ("too many frames", {"shape": (10, 6, 9)}, "after 8 frames"),
    ("other frame size", {"shape": (11, 9, 6)}, "block of shape"),
    ("too narrow a type", {"dtype": "uint8"}, "fit into uint8"),
    ("type unknown to OME", {"dtype": "int64"}, "got int64"),
    ("no frames", {"shape": (0, 6, 9)}, "empty axis"),
    ("no pixel size", {"camera_pixel_size_nm": 0.0}, "above 0 nm"),
    ("pixel size NaN", {"camera_pixel_size_nm": float("nan")}, "above 0 nm"),
]


@pytest.mark.parametrize(("change", "says"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_refused_and_nothing_left_behind(tmp_path: Path, change: dict[str, object], says: str) -> None:
    options = {"shape": SHAPE, "dtype": "uint16", "camera_pixel_size_nm": 100.0, **change}
    with pytest.raises(InputError, match=says):
        write_ome_tiff_movie(tmp_path / "m.tif", _blocks(_frames()), **options)
    del options["camera_pixel_size_nm"]
    if "camera_pixel_size_nm" not in change and options["dtype"] != "int64":
        with pytest.raises(InputError, match=says):
            write_npy_movie(tmp_path / "m.npy", _blocks(_frames()), **options)
    assert not list(tmp_path.iterdir())


def test_existing_file_stays_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    path.write_bytes(b"old")
    options = {"shape": SHAPE, "dtype": "uint16", "camera_pixel_size_nm": 100.0}
    with pytest.raises(OutputError, match="exists"):
        write_ome_tiff_movie(path, [_frames()], **options)
    with pytest.raises(InputError):
        write_ome_tiff_movie(path, [_frames()[:3]], overwrite=True, **options)
    assert path.read_bytes() == b"old"
    write_ome_tiff_movie(path, [_frames()], overwrite=True, **options)
    assert open_movie(path).shape == SHAPE
