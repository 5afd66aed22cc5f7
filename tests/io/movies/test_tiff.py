"""TIFF movies of several files, over 4 GB, of odd axes, and what their tags say."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from stormcell.data import FrameStack
from stormcell.errors import FormatError, InputError, MissingQuantityError
from stormcell.io.movies import open_movie

Writer = Callable[..., list[int]]
SUMMARY = {"MicroManagerVersion": "1.4.22", "Frames": 12, "Slices": 1, "Channels": 1, "Positions": 1, "Prefix": "run"}


def _frames(n_frames: int = 12, rows: int = 6, columns: int = 9) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 60000, (n_frames, rows, columns)).astype(np.uint16)


def _detail(movie: FrameStack, key: str = "n_frames") -> str:
    return movie.metadata[key].detail


def test_imagej_hyperstack_over_4_gb(tmp_path: Path) -> None:
    """One page, big-endian data of 4.7 GB behind it; written sparsely, so only the frames with content take space."""
    rows, columns, n_frames = 512, 510, 9001
    path = tmp_path / "big.tif"
    text = (
        f"ImageJ=1.53t\nimages={n_frames}\nframes={n_frames}\nhyperstack=true\nunit=nm\nloop=false\n".encode() + b"\0"
    )
    tags = [
        (256, 4, 1, columns),
        (257, 4, 1, rows),
        (258, 3, 1, 16 << 16),
        (262, 3, 1, 1 << 16),
        (270, 2, len(text), 8 + 2 + 9 * 12 + 4),
        (273, 4, 1, 4096),
        (277, 3, 1, 1 << 16),
        (278, 3, 1, rows << 16),
        (279, 4, 1, rows * columns * 2),
    ]
    head = b"MM\x00*" + (8).to_bytes(4, "big") + len(tags).to_bytes(2, "big")
    for code, kind, count, value in tags:
        head += (
            code.to_bytes(2, "big") + kind.to_bytes(2, "big") + count.to_bytes(4, "big") + value.to_bytes(4, "big")
        )
    head += bytes(4) + text
    size = 4096 + n_frames * rows * columns * 2
    try:
        with path.open("wb") as file:
            file.truncate(size)
            is_sparse = getattr(os.fstat(file.fileno()), "st_blocks", size) * 512 < 1 << 20
            if is_sparse:
                file.write(head)
                for index in (0, n_frames - 1):
                    file.seek(4096 + index * rows * columns * 2)
                    file.write(np.full((rows, columns), 1000 + index, ">u2").tobytes())
    except OSError:
        is_sparse = False
    if not is_sparse:
        pytest.skip("this file system keeps no sparse files")
    movie = open_movie(path)
    assert movie.shape == (n_frames, rows, columns)
    assert movie.read(0, 1).min() == movie.read(0, 1).max() == 1000
    last = movie.read(n_frames - 2, n_frames)
    assert last[0].max() == 0
    assert last[1].min() == last[1].max() == 10000
    with path.open("r+b") as file:
        file.truncate(size - 1)
    with pytest.raises(FormatError, match="truncated"):
        open_movie(path)


def test_micromanager_files_with_index(tmp_path: Path, micromanager_file: Writer) -> None:
    frames = _frames()
    camera = {
        "PixelSizeUm": 0.16,
        "Camera": "Andor",
        "Exposure-ms": 30,
        "Andor-EMSwitch": "On",
        "Andor-Gain": "300",
        "Andor-CameraName": "DU-897",
    }
    for part, first in enumerate((0, 5, 9)):
        name = "run_MMStack_Pos0.ome.tif" if part == 0 else f"run_MMStack_Pos0_{part}.ome.tif"
        chosen = frames[first : (5, 9, 12)[part]]
        micromanager_file(tmp_path / name, chosen, first_frame=first, summary=SUMMARY, metadata=camera)
    for name in ("run_MMStack_Pos0.ome.tif", "run_MMStack_Pos0_1.ome.tif"):
        movie = open_movie(tmp_path / name)
        assert movie.shape == frames.shape
        assert np.array_equal(movie.read(), frames)
        assert np.array_equal(movie.read(3, 11), frames[3:11])
    assert movie.metadata["file_format"].value == "Micro-Manager TIFF"
    said = {key: item.value for key, item in movie.metadata.items() if key != "file_format"}
    assert said == {"camera_pixel_size_nm": 160.0, "camera_name": "DU-897", "exposure_s": 0.03, "em_gain": 300.0}
    assert _detail(movie, "em_gain") == "Micro-Manager Andor-Gain"


def test_micromanager_middle_file_missing(tmp_path: Path, micromanager_file: Writer) -> None:
    frames = _frames()
    micromanager_file(tmp_path / "run_MMStack.ome.tif", frames[:5], summary=SUMMARY)
    micromanager_file(tmp_path / "run_MMStack_2.ome.tif", frames[9:], first_frame=9, summary=SUMMARY)
    with pytest.raises(FormatError, match="frames 5 to 8 are missing"):
        open_movie(tmp_path / "run_MMStack.ome.tif")


def test_micromanager_stopped_early(tmp_path: Path, micromanager_file: Writer) -> None:
    frames = _frames()
    micromanager_file(tmp_path / "run_MMStack.ome.tif", frames[:7], summary=SUMMARY)
    movie = open_movie(tmp_path / "run_MMStack.ome.tif")
    assert np.array_equal(movie.read(), frames[:7])


def test_micromanager_files_that_do_not_name_each_other(tmp_path: Path, micromanager_file: Writer) -> None:
    """A run that crashed has no index map; the later files lie beside the first and belong to it."""
    frames = _frames()
    for part, first in enumerate((0, 5, 9)):
        name = "run_MMStack.ome.tif" if part == 0 else f"run_MMStack_{part}.ome.tif"
        micromanager_file(tmp_path / name, frames[first : (5, 9, 12)[part]], summary=SUMMARY, with_index=False)
    movie = open_movie(tmp_path / "run_MMStack.ome.tif")
    assert np.array_equal(movie.read(), frames)
    assert np.array_equal(movie.read(4, 10), frames[4:10])
    assert "run_MMStack_1.ome.tif, run_MMStack_2.ome.tif" in _detail(movie)
    with pytest.raises(FormatError, match=r"open run_MMStack\.ome\.tif"):
        open_movie(tmp_path / "run_MMStack_2.ome.tif")
    (tmp_path / "run_MMStack.ome.tif").rename(tmp_path / "x.tif")
    part = open_movie(tmp_path / "run_MMStack_2.ome.tif")
    assert np.array_equal(part.read(), frames[9:])
    assert "later part" in _detail(part)


def test_micromanager_part_of_another_size(tmp_path: Path, micromanager_file: Writer) -> None:
    micromanager_file(tmp_path / "run_MMStack.ome.tif", _frames(), with_index=False)
    micromanager_file(tmp_path / "run_MMStack_1.ome.tif", _frames(3, 4, 9), with_index=False)
    with pytest.raises(FormatError, match="continues the movie"):
        open_movie(tmp_path / "run_MMStack.ome.tif")


def test_pages_at_uneven_distances(tmp_path: Path, micromanager_file: Writer) -> None:
    frames = _frames(40)
    starts = micromanager_file(tmp_path / "a.tif", frames, with_index=False)
    assert len(set(np.diff(starts))) > 1
    movie = open_movie(tmp_path / "a.tif")
    assert np.array_equal(movie.read(7, 39), frames[7:39])
    data = (tmp_path / "a.tif").read_bytes()
    for cut in (starts[-1] + 5, starts[20] + 5, starts[20] - 30):
        (tmp_path / "cut.tif").write_bytes(data[:cut])
        with pytest.raises(FormatError, match="truncated"):
            open_movie(tmp_path / "cut.tif")


def _ome(n_frames: int, planes: str, uuid: str = "a", size: str = "") -> str:
    return (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2013-06" UUID="urn:uuid:{uuid}">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="9" SizeY="6" '
        f'SizeC="1" SizeZ="1" SizeT="{n_frames}" {size}>{planes}</Pixels></Image></OME>'
    )


def _plane(time: int, ifd: int, name: str, uuid: str) -> str:
    return (
        f'<TiffData FirstC="0" FirstT="{time}" FirstZ="0" IFD="{ifd}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{uuid}</UUID></TiffData>'
    )


def _write_ome_pair(folder: Path, frames: np.ndarray) -> list[Path]:
    names = ["pair.ome.tif", "pair_1.ome.tif"]
    planes = "".join(_plane(t, t % 6, names[t // 6], "ab"[t // 6]) for t in range(12))
    for number, name in enumerate(names):
        text = _ome(12, planes, "ab"[number])
        with tifffile.TiffWriter(folder / name, ome=False) as tif:
            for index, frame in enumerate(frames[6 * number : 6 * number + 6]):
                description = text if index == 0 else None
                tif.write(frame, description=description, metadata=None, contiguous=False)
    return [folder / name for name in names]


def test_ome_movie_in_two_files(tmp_path: Path) -> None:
    frames = _frames()
    paths = _write_ome_pair(tmp_path, frames)
    for path in paths:
        movie = open_movie(path)
        assert np.array_equal(movie.read(), frames)
        assert np.array_equal(movie.read(4, 9), frames[4:9])
    paths[1].unlink()
    with pytest.raises(FormatError, match=r"pair_1\.ome\.tif"):
        open_movie(paths[0])


def test_ome_part_leads_to_its_master(tmp_path: Path) -> None:
    frames = _frames()
    paths = _write_ome_pair(tmp_path, frames)
    part = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<BinaryOnly MetadataFile="pair.ome.tif" UUID="urn:uuid:a"/></OME>'
    )
    with tifffile.TiffWriter(paths[1], ome=False) as tif:
        for index, frame in enumerate(frames[6:]):
            tif.write(frame, description=part if index == 0 else None, metadata=None, contiguous=False)
    movie = open_movie(paths[1])
    assert movie.name == "pair.ome.tif"
    assert np.array_equal(movie.read(), frames)
    paths[0].unlink()
    with pytest.raises(FormatError, match=r"pair\.ome\.tif"):
        open_movie(paths[1])


def test_ome_of_a_renamed_file(tmp_path: Path) -> None:
    frames = _frames()
    planes = "".join(_plane(t, t, "old_name.ome.tif", "a") for t in range(12))
    tifffile.imwrite(tmp_path / "new.tif", frames, description=_ome(12, planes), metadata=None, ome=False)
    assert np.array_equal(open_movie(tmp_path / "new.tif").read(), frames)


@pytest.mark.parametrize(("announced", "expected"), [(20, 12), (5, 12)])
def test_ome_that_announces_another_number(tmp_path: Path, announced: int, expected: int) -> None:
    frames = _frames()
    text = _ome(announced, f'<TiffData IFD="0" PlaneCount="{announced}"/>')
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=False) as tif:
        for index, frame in enumerate(frames):
            tif.write(frame, description=text if index == 0 else None, metadata=None, contiguous=False)
    movie = open_movie(tmp_path / "a.tif")
    assert movie.n_frames == expected
    assert np.array_equal(movie.read(), frames)
    assert str(announced) in _detail(movie)


def test_ndtiff(tmp_path: Path, ndtiff_file: Callable[..., None]) -> None:
    frames = _frames()
    ndtiff_file(tmp_path / "x_NDTiffStack.tif", frames, {"PixelSizeUm": 0.1, "Camera": "Cam", "Exposure-ms": 50})
    movie = open_movie(tmp_path / "x_NDTiffStack.tif")
    assert movie.metadata["file_format"].value == "NDTiff"
    assert movie.metadata["camera_pixel_size_nm"].value == 100.0
    assert movie.metadata["exposure_s"].value == 0.05
    assert np.array_equal(movie.read(), frames)
    assert np.array_equal(movie.read(3, 7), frames[3:7])


def test_time_called_z_is_noted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _frames(), imagej=True, metadata={"axes": "ZYX"})
    assert "12 frames Z slices; taken as time" in _detail(open_movie(tmp_path / "a.tif"))
    tifffile.imwrite(tmp_path / "b.tif", _frames(), imagej=True, metadata={"axes": "TYX"})
    assert "n_frames" not in open_movie(tmp_path / "b.tif").metadata


def test_a_preview_of_another_size_is_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for frame in _frames():
            tif.write(frame, metadata=None, contiguous=False)
        tif.write(np.zeros((3, 3), np.uint16), metadata=None)
    movie = open_movie(tmp_path / "a.tif")
    assert np.array_equal(movie.read(), _frames())
    assert "left out" in _detail(movie)


def _with_ome_size(path: Path, **sizes: object) -> Path:
    tifffile.imwrite(path, _frames(), ome=True, metadata={"axes": "TYX", **sizes})
    return path


@pytest.mark.parametrize(
    ("sizes", "nm"),
    [
        ({"PhysicalSizeX": 0.1067, "PhysicalSizeY": 0.1067}, 106.7),
        ({"PhysicalSizeX": 160, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 160, "PhysicalSizeYUnit": "nm"}, 160),
        (
            {"PhysicalSizeX": 1.3e-4, "PhysicalSizeXUnit": "mm", "PhysicalSizeY": 1.3e-4, "PhysicalSizeYUnit": "mm"},
            130,
        ),
        ({"PhysicalSizeX": 0.1067}, 106.7),
    ],
)
def test_ome_pixel_size(tmp_path: Path, sizes: dict[str, object], nm: float) -> None:
    movie = open_movie(_with_ome_size(tmp_path / "a.tif", **sizes))
    assert movie.metadata["camera_pixel_size_nm"].value == pytest.approx(nm, rel=1e-12)
    assert "OME PhysicalSizeX" in _detail(movie, "camera_pixel_size_nm")
    assert movie.grid().pixel_size_nm == pytest.approx(nm)


@pytest.mark.parametrize("micrometres", [1.0, 0.0, 6.5, 0.001])
def test_implausible_pixel_size_is_ignored_and_said(tmp_path: Path, micrometres: float) -> None:
    path = _with_ome_size(tmp_path / "a.tif", PhysicalSizeX=micrometres, PhysicalSizeY=micrometres)
    quantity = open_movie(path).metadata["camera_pixel_size_nm"]
    assert quantity.value is None
    assert "ignored OME PhysicalSizeX" in quantity.detail
    with pytest.raises(MissingQuantityError, match="ignored OME"):
        open_movie(path).grid()
    assert open_movie(path).grid(100.0).pixel_size_nm == 100.0


def test_resolution_for_printing_is_ignored(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _frames(), resolution=(72, 72), resolutionunit="INCH")
    quantity = open_movie(tmp_path / "a.tif").metadata["camera_pixel_size_nm"]
    assert quantity.value is None
    assert "352778 nm" in quantity.detail


def test_resolution_without_a_unit_says_nothing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _frames(), resolution=(10, 10), resolutionunit="NONE")
    assert "camera_pixel_size_nm" not in open_movie(tmp_path / "a.tif").metadata


@pytest.mark.parametrize(
    ("unit", "per_unit"),
    [("micron", 10), ("\\u00B5m", 10), ("µm", 10), ("nm", 0.01), ("mm", 1e4), ("inch", 254000), ("pixel", None)],
)
def test_imagej_units(tmp_path: Path, unit: str, per_unit: float | None) -> None:
    resolution = (per_unit or 1, per_unit or 1)
    text = f"ImageJ=1.53t\nimages=12\nframes=12\nunit={unit}\n".encode("latin-1")
    tifffile.imwrite(
        tmp_path / "a.tif", _frames(), description=text, metadata=None, resolution=resolution, resolutionunit="NONE"
    )
    metadata = open_movie(tmp_path / "a.tif").metadata
    if per_unit is None:
        assert "camera_pixel_size_nm" not in metadata
    else:
        assert metadata["camera_pixel_size_nm"].value == pytest.approx(100.0, rel=1e-5)


def test_oblong_pixels_are_refused(tmp_path: Path) -> None:
    path = _with_ome_size(tmp_path / "a.tif", PhysicalSizeX=0.1, PhysicalSizeY=0.16)
    with pytest.raises(InputError, match=r"100 nm along X and 160 nm along Y.*;"):
        open_movie(path)


def test_the_better_source_wins_and_the_other_is_named(tmp_path: Path, micromanager_file: Writer) -> None:
    text = _ome(12, '<TiffData IFD="0" PlaneCount="12"/>', size='PhysicalSizeX="0.107" PhysicalSizeY="0.107"')
    micromanager_file(
        tmp_path / "a.tif", _frames(), metadata={"PixelSizeUm": 0.16}, with_index=False, description=text
    )
    quantity = open_movie(tmp_path / "a.tif").metadata["camera_pixel_size_nm"]
    assert quantity.value == 107.0
    assert "not taken: Micro-Manager PixelSizeUm: 160 nm" in quantity.detail


def test_nothing_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    text = _ome(20, '<TiffData IFD="0" PlaneCount="20"/>')
    tifffile.imwrite(tmp_path / "a.tif", _frames(), description=text, metadata=None, ome=False)
    with caplog.at_level(logging.DEBUG):
        open_movie(tmp_path / "a.tif").read()
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_file_cut_after_opening_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _frames(), photometric="minisblack")
    movie = open_movie(tmp_path / "a.tif")
    with (tmp_path / "a.tif").open("r+b") as file:
        file.truncate(600)
    with pytest.raises(FormatError, match="shorter since it was opened"):
        movie.read()
    (tmp_path / "a.tif").unlink()
    with pytest.raises(FormatError, match="stay readable"):
        movie.read()


def test_a_damaged_strip_names_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    frames = _frames(200, 64, 64)
    tifffile.imwrite(path, frames, compression="zlib", metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[150].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 200)
    movie = open_movie(path)
    assert np.array_equal(movie.read(0, 150), frames[:150])
    with pytest.raises(FormatError, match="frame 150 of"):
        movie.read()
