"""OME-Zarr in and out, against stores written by the Zarr package itself."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stormcell.data import PixelGrid, Quantity, SRImage
from stormcell.errors import FormatError, InputError, OutputError
from stormcell.io.hashing import hash_input
from stormcell.io.images import read_image, write_image
from stormcell.io.movies import open_movie, write_zarr_movie

zarr = pytest.importorskip("zarr")

if TYPE_CHECKING:
    from pathlib import Path


def _frames(shape: tuple[int, ...] = (7, 12, 10)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 60_000, shape).astype(np.uint16)


def _foreign(path: Path, pixels: np.ndarray, axes: str, version: str = "0.4", **scales: Any) -> Path:
    """Write a store as other programs do: Zarr 2 with 0.4, Zarr 3 with 0.5."""
    group = zarr.create_group(str(path), zarr_format=2 if version == "0.4" else 3)
    data = group.create_array("s0", shape=pixels.shape, chunks=(1,) * (pixels.ndim - 2) + (5, 4), dtype=pixels.dtype)
    data[...] = pixels
    kinds = {"t": "time", "c": "channel"}
    described = [{"name": name, "type": kinds.get(name, "space")} for name in axes]
    for axis in described:
        if axis["name"] in scales.get("units", {}):
            axis["unit"] = scales["units"][axis["name"]]
    steps = [{"type": "scale", "scale": scales.get("scale", [1.0] * len(axes))}]
    multiscales = [
        {"version": version, "axes": described, "datasets": [{"path": "s0", "coordinateTransformations": steps}]}
    ]
    told = {"multiscales": multiscales}
    group.attrs.update(told if version == "0.4" else {"ome": {"version": version, **told}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("tczyx", (7, 1, 1, 12, 10)),
        ("tyx", (7, 12, 10)),
        ("yx", (12, 10)),
        ("zyx", (7, 12, 10)),
        ("tyxc", (7, 12, 10, 1)),
    ],
)
def test_stores_of_others_are_read(tmp_path: Path, version: str, axes: str, shape: tuple[int, ...]) -> None:
    pixels = _frames(shape)
    scale = [0.5 if name == "t" else 0.107 if name in "yx" else 1.0 for name in axes]
    units = {"t": "second", "y": "micrometer", "x": "micrometer"}
    movie = open_movie(_foreign(tmp_path / "a.ome.zarr", pixels, axes, version, scale=scale, units=units))
    expected = pixels.reshape(-1, 12, 10)
    assert movie.shape == expected.shape
    np.testing.assert_array_equal(movie.read(), expected)
    if len(expected) > 1:
        np.testing.assert_array_equal(movie.read(2, 5), expected[2:5])
    assert movie.metadata["camera_pixel_size_nm"].value == pytest.approx(107)
    if "t" in axes:
        assert movie.metadata["exposure_s"].value == 0.5
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(movie.load))(0, 1), expected[:1])


def test_a_written_movie_is_read_back_with_its_camera(tmp_path: Path) -> None:
    frames, path = _frames((9, 40, 30)), tmp_path / "movie.ome.zarr"
    metadata = {"offset_adu": Quantity("offset_adu", 99.5, "ADU", "read"), "provenance": "{}"}
    blocks = [frames[:4], frames[4:]]
    write_zarr_movie(path, blocks, shape=frames.shape, dtype="u2", camera_pixel_size_nm=108.5, metadata=metadata)
    movie = open_movie(path)
    np.testing.assert_array_equal(movie.read(), frames)
    assert movie.dtype == np.uint16
    assert movie.metadata["camera_pixel_size_nm"].value == 108.5
    assert movie.metadata["offset_adu"].value == 99.5
    assert json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["version"] == "0.5"
    assert not list(tmp_path.glob(".part*"))


def test_levels_are_means_and_lie_where_they_should(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).random((700, 521)).astype(np.float32)
    image = SRImage(pixels, PixelGrid(20.0, pixels.shape, (300.0, 50.0)), "photons")
    write_image(image, tmp_path / "sr.ome.zarr")
    group = zarr.open_group(str(tmp_path / "sr.ome.zarr"), mode="r")
    levels = group.attrs["ome"]["multiscales"][0]["datasets"]
    assert [group[level["path"]].shape for level in levels] == [(700, 521), (350, 261), (175, 131)]
    coarse = group[levels[1]["path"]][...]
    np.testing.assert_allclose(coarse[:, :260], pixels[:, :520].reshape(350, 2, 260, 2).mean((1, 3)), rtol=1e-6)
    np.testing.assert_allclose(coarse[:, 260], pixels[:, 520].reshape(350, 2).mean(1), rtol=1e-6)
    scale, shift = levels[2]["coordinateTransformations"]
    assert scale["scale"] == [80.0, 80.0]
    assert shift["translation"] == [30.0, 30.0]  # middle of 4 pixels of 20 nm less that of the first
    back = read_image(tmp_path / "sr.ome.zarr")
    np.testing.assert_array_equal(back.pixels, pixels)
    assert (back.grid, back.unit) == (image.grid, image.unit)


def test_equal_movies_are_equal_stores_and_a_changed_pixel_shows(tmp_path: Path) -> None:
    frames = _frames()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_zarr_movie(
            tmp_path / name / "m.zarr",
            [frames],
            shape=frames.shape,
            dtype="u2",
            camera_pixel_size_nm=None,
        )
    assert hash_input(tmp_path / "a" / "m.zarr") == hash_input(tmp_path / "b" / "m.zarr")
    frames[3, 4, 5] += 1
    write_zarr_movie(
        tmp_path / "b" / "m.zarr", [frames], shape=frames.shape, dtype="u2", camera_pixel_size_nm=None, overwrite=True
    )
    assert hash_input(tmp_path / "a" / "m.zarr") != hash_input(tmp_path / "b" / "m.zarr")


def _written(path: Path) -> Path:
    frames = _frames((9, 40, 30))
    write_zarr_movie(path, [frames], shape=frames.shape, dtype="u2", camera_pixel_size_nm=100)
    return path


def _cut_chunk(path: Path) -> None:
    chunk = next(file for file in path.rglob("*") if file.parent.name != path.name and "c" in file.parts)
    chunk = next(file for file in path.rglob("c/**/*") if file.is_file()) if chunk.is_dir() else chunk
    chunk.write_bytes(chunk.read_bytes()[:-20])


def _lose_chunk(path: Path) -> None:
    next(file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json").unlink()


def _forget(path: Path) -> None:
    told = json.loads((path / "zarr.json").read_text())
    told["attributes"] = {}
    (path / "zarr.json").write_text(json.dumps(told))


DAMAGES = {
    "chunk lost": (_lose_chunk, "not whole: 1 of 1 chunks"),
    "description cut": (lambda path: (path / "zarr.json").write_text('{"zarr_format": 3'), "damaged or none"),
    "no description": (lambda path: (path / "zarr.json").unlink(), "damaged or none"),
    "no image in it": (_forget, "damaged or none"),
    "array cut": (lambda path: (path / "0" / "zarr.json").write_text("{}"), "damaged or none"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_stores_are_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    path = _written(tmp_path / "m.ome.zarr")
    harm, words = DAMAGES[damage]
    harm(path)
    with pytest.raises(FormatError, match=words) as caught:
        open_movie(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_chunk_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = _written(tmp_path / "m.ome.zarr")
    _cut_chunk(path)
    movie = open_movie(path)
    with pytest.raises(FormatError, match=r"frames 0 to 9 in m\.ome\.zarr.*damaged or gone") as caught:
        movie.read()
    assert "\n" not in str(caught.value)


def test_absent_chunks_of_others_are_named(tmp_path: Path) -> None:
    path = _foreign(tmp_path / "a.zarr", _frames(), "tyx")
    next(file for file in (path / "s0").iterdir() if file.name[0].isdigit()).unlink()
    assert "1 of 63 chunks are absent" in str(open_movie(path).metadata["n_frames"].detail)


def test_plates_and_several_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="t=7, c=2"):
        open_movie(_foreign(tmp_path / "a.zarr", _frames((7, 2, 12, 10)), "tcyx"))
    group = zarr.create_group(str(tmp_path / "b.zarr"), zarr_format=2)
    group.attrs["plate"] = {"wells": []}
    with pytest.raises(FormatError, match="got a plate; name one of its fields"):
        open_movie(tmp_path / "b.zarr")
    units = {"y": "micrometer", "x": "micrometer"}
    oblong = _foreign(tmp_path / "c.zarr", _frames(), "tyx", scale=[1, 0.1, 0.2], units=units)
    with pytest.raises(InputError, match="square"):
        open_movie(oblong)


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = _written(tmp_path / "m.ome.zarr")
    with pytest.raises(OutputError, match="pass --overwrite"):
        _written(path)
    (tmp_path / "holiday").mkdir()
    with pytest.raises(OutputError, match="no Zarr store"):
        _written(tmp_path / "holiday")
    with pytest.raises(InputError, match="expected"):
        write_zarr_movie(
            path, [_frames((3, 40, 30))], shape=(4, 40, 30), dtype="u2", camera_pixel_size_nm=100, overwrite=True
        )
    assert open_movie(path).n_frames == 9  # the earlier one is still whole
