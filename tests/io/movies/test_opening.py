"""Every movie format: written by another library, read back lazily, cropped, framed; and all that is refused."""

import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import yaml

from stormcell.errors import FormatError, InputError
from stormcell.io.movies import MOVIE_FORMATS, open_movie

SHAPE = (11, 6, 9)


@dataclass(frozen=True)
class Case:
    """One way of storing a movie."""

    name: str
    write: Callable[[Path, np.ndarray], Path]
    kind: str
    dtype: str = "uint16"
    pixel_size_nm: float | None = None


def _tiff(**options: object) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, frames: np.ndarray) -> Path:
        path = folder / "movie.bin"
        tifffile.imwrite(path, frames, **options)
        return path

    return write


def _tiff_pages(**options: object) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, frames: np.ndarray) -> Path:
        path = folder / "movie.bin"
        with tifffile.TiffWriter(path) as tif:
            for frame in frames:
                tif.write(frame, contiguous=False, metadata=None, photometric="minisblack", **options)
        return path

    return write


def _npy(folder: Path, frames: np.ndarray) -> Path:
    with (folder / "movie.tif").open("wb") as file:
        np.save(file, frames)
    return folder / "movie.tif"


def _npy_fortran(folder: Path, frames: np.ndarray) -> Path:
    return _npy(folder, np.asfortranarray(frames))


def _mat5(folder: Path, frames: np.ndarray, **options: object) -> Path:
    path = folder / "movie.dat"
    with path.open("wb") as file:
        scipy.io.savemat(file, {"threshold": 3.0, "mov": frames.transpose(1, 2, 0)}, **options)
    return path


def _mat5_packed(folder: Path, frames: np.ndarray) -> Path:
    return _mat5(folder, frames, do_compression=True)


def _mat73(folder: Path, frames: np.ndarray) -> Path:
    path = folder / "movie.dat"
    with h5py.File(path, "w", userblock_size=512) as file:
        # MATLAB's (Y, X, T) is stored with reversed axes
        dataset = file.create_dataset(
            "mov",
            data=frames.transpose(0, 2, 1),
            chunks=tuple(min(n, c) for n, c in zip(frames.transpose(0, 2, 1).shape, (2, 4, 3), strict=True)),
            compression="gzip",
        )
        dataset.attrs["MATLAB_class"] = np.bytes_(frames.dtype.name)
        file.create_dataset("gain", data=np.ones((1, 1))).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def _picasso(folder: Path, frames: np.ndarray) -> Path:
    path = folder / "movie.raw"
    frames.tofile(path)
    info = {
        "Byte Order": frames.dtype.byteorder.replace("=", "<"),
        "Data Type": frames.dtype.name,
        "Frames": len(frames),
        "Height": frames.shape[1],
        "Width": frames.shape[2],
        "Camera.Pixelsize": 130,
    }
    path.with_suffix(".yaml").write_text(yaml.safe_dump(info))
    return path


_OME = {"ome": True, "metadata": {"axes": "TYX", "PhysicalSizeX": 0.107, "PhysicalSizeY": 0.107}}
_CM = {"resolution": (1e7 / 160, 1e7 / 160), "resolutionunit": "CENTIMETER"}
_IMAGEJ = {"imagej": True, "resolution": (10, 10), "metadata": {"axes": "TYX", "unit": "um"}}

CASES = [
    Case("tiff", _tiff(photometric="minisblack"), "TIFF"),
    Case("tiff with resolution", _tiff(photometric="minisblack", **_CM), "TIFF", pixel_size_nm=160.0),
    Case("tiff big-endian", _tiff_pages(), "TIFF", dtype=">u2"),
    Case("tiff float32", _tiff(photometric="minisblack"), "TIFF", dtype="float32"),
    Case("tiff signed", _tiff(photometric="minisblack"), "TIFF", dtype="int16"),
    Case("tiff page by page", _tiff_pages(), "TIFF"),
    Case("tiff strips", _tiff_pages(rowsperstrip=4), "TIFF"),
    Case("tiff deflate", _tiff_pages(compression="zlib"), "TIFF"),
    Case("tiff deflate strips, predictor", _tiff_pages(compression="zlib", predictor=True, rowsperstrip=4), "TIFF"),
    Case("tiff lzw", _tiff_pages(compression="lzw"), "TIFF"),
    Case("tiff zstd tiles", _tiff_pages(compression="zstd", tile=(16, 16)), "TIFF"),
    Case("tiff uncompressed tiles", _tiff_pages(tile=(16, 16)), "TIFF"),
    Case("bigtiff", _tiff(bigtiff=True, photometric="minisblack"), "TIFF (BigTIFF)"),
    Case("ome-tiff", _tiff(**_OME), "OME-TIFF", pixel_size_nm=107.0),
    Case("ome-tiff deflate", _tiff(compression="zlib", **_OME), "OME-TIFF", pixel_size_nm=107.0),
    Case("ome-bigtiff", _tiff(bigtiff=True, **_OME), "OME-TIFF (BigTIFF)", pixel_size_nm=107.0),
    Case("imagej", _tiff(**_IMAGEJ), "ImageJ TIFF", pixel_size_nm=100.0),
    Case("imagej time as Z", _tiff(imagej=True, metadata={"axes": "ZYX"}), "ImageJ TIFF"),
    Case("npy", _npy, "NumPy array"),
    Case("npy big-endian", _npy, "NumPy array", dtype=">i4"),
    Case("npy column-major", _npy_fortran, "NumPy array"),
    Case("matlab 5", _mat5, "MATLAB array"),
    Case("matlab 5 packed", _mat5_packed, "MATLAB array", dtype="float64"),
    Case("matlab 7.3", _mat73, "MATLAB 7.3 array"),
    Case("picasso raw", _picasso, "Picasso raw", pixel_size_nm=130.0),
    Case("picasso raw big-endian", _picasso, "Picasso raw", dtype=">u2", pixel_size_nm=130.0),
]


def _frames(dtype: str = "uint16", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    values = np.random.default_rng(7).integers(0, 30000, shape)
    return (values - (15000 if np.dtype(dtype).kind == "i" else 0)).astype(dtype)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_every_registered_format_is_tried() -> None:
    assert len(MOVIE_FORMATS) == len({kind.name for kind in MOVIE_FORMATS}) == 6
    words = {"TIFF", "NumPy", "MATLAB array", "MATLAB 7.3", "Picasso"}
    assert all(any(case.kind.startswith(word) for case in CASES) for word in words)


def test_read_back(case: Case, tmp_path: Path) -> None:
    frames = _frames(case.dtype)
    movie = open_movie(case.write(tmp_path, frames))
    assert movie.shape == SHAPE
    assert movie.dtype == frames.dtype.newbyteorder("=")
    assert movie.dtype.isnative
    whole = movie.read()
    assert whole.dtype == movie.dtype
    assert np.array_equal(whole, frames)
    joined = np.concatenate([block for _, block in movie.blocks(4)])
    assert np.array_equal(joined, frames)
    assert np.array_equal(movie.load(5, 6), frames[5:6])
    part = movie.frames(3, 8).crop((1, 5), (2, 9))
    assert np.array_equal(part.read(1, 4), frames[4:7, 1:5, 2:9])
    assert part.origin_px == (1, 2)


def test_metadata(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path, _frames(case.dtype))
    movie = open_movie(str(path))
    assert movie.name == path.name
    assert movie.path == str(path)
    assert movie.metadata["file_format"].value == case.kind
    assert all(quantity.source == "read" and key == quantity.name for key, quantity in movie.metadata.items())
    size = movie.metadata.get("camera_pixel_size_nm")
    assert (None if size is None else size.value) == case.pixel_size_nm
    if size is not None:
        assert size.unit == "nm"
        assert size.detail


def test_one_frame(case: Case, tmp_path: Path) -> None:
    if case.kind.startswith("MATLAB"):
        pytest.skip("MATLAB drops a last axis of length 1: the array is no movie any more")
    frames = _frames(case.dtype)[:1]
    movie = open_movie(case.write(tmp_path, frames))
    assert movie.shape == (1, *SHAPE[1:])
    assert np.array_equal(movie.read(), frames)


def test_one_pixel(case: Case, tmp_path: Path) -> None:
    if case.name.startswith("imagej"):
        pytest.skip("tifffile writes such a stack as one page of another shape; ImageJ itself does not")
    frames = _frames(case.dtype, (5, 1, 1))
    assert np.array_equal(open_movie(case.write(tmp_path, frames)).read(), frames)


def test_threads_read_the_same(case: Case, tmp_path: Path) -> None:
    frames = _frames(case.dtype, (60, *SHAPE[1:]))
    movie = open_movie(case.write(tmp_path, frames))
    starts = [(7 * k) % 50 for k in range(40)]
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda start: movie.load(start, start + 10), starts))
    assert all(np.array_equal(block, frames[start : start + 10]) for start, block in zip(starts, blocks, strict=True))


def test_the_caller_may_write_into_what_was_read(case: Case, tmp_path: Path) -> None:
    movie = open_movie(case.write(tmp_path, _frames(case.dtype)))
    first = movie.load(0, 3)
    kept = first.copy()
    first[...] = 0
    assert np.array_equal(movie.load(0, 3), kept)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_is_refused_at_opening(case: Case, tmp_path: Path, share: float) -> None:
    path = case.write(tmp_path, _frames(case.dtype, (40, 20, 30)))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(min(int(size * share), size - 1))
    with pytest.raises(FormatError) as refusal:
        open_movie(path)
    _check_line(refusal, path)


def test_name_does_not_count(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path, _frames(case.dtype))
    other = tmp_path / "elsewhere" / f"{path.stem}.png"
    other.parent.mkdir()
    shutil.copy(path, other)
    if path.with_suffix(".yaml").exists():
        shutil.copy(path.with_suffix(".yaml"), other.with_suffix(".yaml"))
    assert open_movie(other).shape == SHAPE


def _check_line(refusal: pytest.ExceptionInfo[InputError], path: Path) -> None:
    text = str(refusal.value)
    assert "\n" not in text
    assert path.name in text or path.stem in text
    assert ";" in text, "the message says what to do"
    assert len(text) < 500


def _save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _rgb(folder: Path) -> Path:
    tifffile.imwrite(folder / "rgb.tif", np.zeros((4, 8, 9, 3), np.uint8), photometric="rgb")
    return folder / "rgb.tif"


def _rgb_planar(folder: Path) -> Path:
    tifffile.imwrite(folder / "rgb.tif", np.zeros((3, 8, 9), np.uint8), photometric="rgb", planarconfig="separate")
    return folder / "rgb.tif"


def _imagej_axes(axes: str, shape: tuple[int, ...]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        tifffile.imwrite(folder / "stack.tif", np.zeros(shape, np.uint16), imagej=True, metadata={"axes": axes})
        return folder / "stack.tif"

    return write


def _saved_npy(array: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.save(folder / "a.npy", array, allow_pickle=True)
        return folder / "a.npy"

    return write


def _saved_mat(**variables: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        scipy.io.savemat(folder / "a.mat", variables)
        return folder / "a.mat"

    return write


def _raw(text: str | None, n_bytes: int = 120) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = _save(folder / "movie.raw", bytes(n_bytes))
        if text is not None:
            path.with_suffix(".yaml").write_text(text)
        return path

    return write


def _h5_table(folder: Path) -> Path:
    with h5py.File(folder / "locs.hdf5", "w") as file:
        file["locs"] = np.zeros(3, [("frame", "u4"), ("x", "f4")])
    return folder / "locs.hdf5"


def _h5_small(folder: Path) -> Path:
    with h5py.File(folder / "a.mat", "w") as file:
        file.create_dataset("table", data=np.zeros((3, 4))).attrs["MATLAB_class"] = np.bytes_("double")
    return folder / "a.mat"


def _missing_codec(folder: Path) -> Path:
    path = folder / "odd.tif"
    tifffile.imwrite(path, np.zeros((8, 9), np.uint16), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        place = tif.pages.first.tags["Compression"].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 2] = (60000).to_bytes(2, "little")
    return _save(path, bytes(data))


def _two_sizes(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "two.tif") as tif:
        for side in (8, 9, 8, 9):
            tif.write(np.zeros((side, side), np.uint16), metadata=None)
    return folder / "two.tif"


_YAML = "Byte Order: <\nData Type: uint16\nFrames: {t}\nHeight: 5\nWidth: 4\n"

BAD_INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "movie.tif", "does not exist"),
    "folder": (lambda folder: folder, "is a folder"),
    "empty": (lambda folder: _save(folder / "movie.tif", b""), "is empty"),
    "text named tif": (lambda folder: _save(folder / "movie.tif", b"hello\nworld\n"), "is text"),
    "table named tif": (lambda folder: _save(folder / "m.tif", b'"id","x [nm]"\n1,2.5\n'), "is text"),
    "png named tif": (lambda folder: _save(folder / "m.tif", b"\x89PNG\r\n\x1a\n" + bytes(64)), "a PNG picture"),
    "zip named tif": (lambda folder: _save(folder / "m.tif", b"PK\x03\x04" + bytes(64)), "ZIP"),
    "tiff mark alone": (lambda folder: _save(folder / "m.tif", b"II*\x00"), "m.tif"),
    "tiff of nothing": (lambda folder: _save(folder / "m.tif", b"II*\x00\x00\x00\x00\x00"), "no page"),
    "tiff of noise": (lambda folder: _save(folder / "m.tif", b"II*\x00\x08\x00\x00\x00" + b"\xf7" * 300), "m.tif"),
    "rgb": (_rgb, "colour"),
    "rgb in planes": (_rgb_planar, "colour"),
    "several channels": (_imagej_axes("TCYX", (5, 2, 8, 9)), "2 channels"),
    "Z stack in time": (_imagej_axes("TZYX", (5, 3, 8, 9)), "3 Z planes"),
    "pages of two sizes": (_two_sizes, "2 image series"),
    "unknown compression": (_missing_codec, "60000"),
    "npy of objects": (_saved_npy(np.array([{"a": 1}, None], dtype=object)), "Python objects"),
    "npy of masks": (_saved_npy(np.zeros((3, 4, 5), bool)), "a mask"),
    "npy complex": (_saved_npy(np.zeros((3, 4, 5), complex)), "complex"),
    "npy without frames": (_saved_npy(np.zeros((0, 4, 5))), "(0, 4, 5)"),
    "npy of four axes": (_saved_npy(np.zeros((2, 3, 4, 5))), "(2, 3, 4, 5)"),
    "npy colour picture": (_saved_npy(np.zeros((40, 50, 3), np.uint8)), "colour"),
    "npy with a damaged header": (
        lambda folder: _save(folder / "a.npy", b"\x93NUMPY\x01\x00\xff\xffgarbage"),
        "a.npy",
    ),
    "mat without a movie": (_saved_mat(table=np.zeros((7, 3)), name="x"), "table 7x3"),
    "mat of masks": (_saved_mat(mask=np.zeros((7, 3, 2), bool)), "three axes"),
    "mat 7.3 without a movie": (_h5_small, "table 4x3"),
    "hdf5 table": (_h5_table, "HDF5"),
    "raw without yaml": (_raw(None), "movie.yaml"),
    "raw of another size": (_raw(_YAML.format(t=4)), "160 bytes"),
    "raw with a bad count": (_raw(_YAML.format(t="many")), "Frames"),
    "raw with an object type": (_raw(_YAML.format(t=3).replace("uint16", "object")), "Python objects"),
    "raw with an odd type": (_raw(_YAML.format(t=3).replace("uint16", "'2u2,f4'")), "Data Type"),
    "yaml that would run code": (_raw(_YAML.format(t=3) + "a: !!python/object/apply:os.getcwd []\n"), "movie.yaml"),
    "yaml that is none": (_raw(_YAML.format(t=3) + "a: [1\n"), "movie.yaml"),
    "yaml of a list": (_raw("- Frames: 1\n- Height: 2\n- Width: 3\n"), "list"),
}


@pytest.mark.parametrize(("make", "says"), BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_bad_input(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    path = make(tmp_path)
    with pytest.raises(FormatError) as refusal:
        open_movie(path)
    _check_line(refusal, path)
    assert says in str(refusal.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "was_run",))

    np.save(tmp_path / "a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError):
        open_movie(tmp_path / "a.npy")
    assert not (tmp_path / "was_run").exists()
    pickle.loads(pickle.dumps(Evil()))
    assert (tmp_path / "was_run").exists(), "the trap works"


def test_damaged_files_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    """Flip bytes all over small files: the answer is a movie or one plain line, and nothing else."""
    rng = np.random.default_rng(3)
    names = ("tiff", "tiff deflate strips, predictor", "ome-tiff", "imagej", "npy", "matlab 5 packed", "picasso raw")
    refused = 0
    for chosen in (case for case in CASES if case.name in names):
        path = chosen.write(tmp_path, _frames(chosen.dtype))
        good = path.read_bytes()
        for _ in range(60):
            data = bytearray(good)
            for place in rng.integers(0, min(len(data), 700), 3):
                data[place] = rng.integers(256)
            path.write_bytes(data)
            with suppress(InputError):
                open_movie(path).read(0, 2)
                continue
            refused += 1
    assert refused > 50
