"""Exit codes and messages: a test for each line of the design."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from stormcell.data import Quantity
from stormcell.io.tables import read_table

from .conftest import CAMERA, save_movie, spots

if TYPE_CHECKING:
    from collections.abc import Callable


def refused(said, *words: str) -> None:
    """Exit code 2, one line on stderr with these words, nothing on stdout, no traceback."""
    assert said.code == 2, said
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


# ---- 0: done, also with warnings


def test_done(stormcell: Callable, movie: Path) -> None:
    said = stormcell("localize", movie, *CAMERA)
    assert said.code == 0
    assert said.err == ""
    table = read_table(movie.parent / "movie_localize.parquet")
    assert 58 <= table.n_rows <= 70  # 60 spots, and 0.1 false detections per frame on average
    assert table.provenance.verb == "localize"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frames: frames[:1], "one frame"),
        (lambda frames: np.where(frames > frames.max() // 2, 65535, frames).astype(np.uint16), "saturated"),
        (lambda frames: frames.astype(np.float32) - 200, "negative"),
        (lambda frames: np.where(np.indices(frames.shape)[2] == 3, np.nan, frames).astype(np.float32), "NaN"),
        (lambda frames: frames[:, :1, :1], "1 x 1 px"),
        (lambda frames: np.full_like(frames, 120), "nothing was found"),
    ],
    ids=["one frame", "saturated", "negative", "NaN", "1x1 px", "nothing found"],
)
def test_unclean_movies_are_done_with_a_plain_sentence(stormcell, tmp_path, change, words) -> None:
    path = save_movie(tmp_path / "odd.tif", change(spots()))
    said = stormcell("localize", path, "-o", tmp_path / "table.csv", *CAMERA)
    assert said.code == 0, said.err
    assert words in said.err
    assert all(line.startswith("Note: ") for line in said.err.splitlines())


def test_nothing_found_is_an_empty_table(stormcell, tmp_path) -> None:
    path = save_movie(tmp_path / "dark.tif", np.full((30, 24, 24), 120, np.uint16))
    assert stormcell("localize", path, *CAMERA, "-o", tmp_path / "table.parquet").code == 0
    table = read_table(tmp_path / "table.parquet")
    assert table.n_rows == 0
    assert {"frame", "x_nm", "photons", "uncertainty_x_nm"} <= set(table.names)


# ---- 2: refused


def test_missing(stormcell, tmp_path) -> None:
    refused(stormcell("localize", tmp_path / "none.tif"), "none.tif", "does not exist")


def test_directory(stormcell, tmp_path) -> None:
    refused(stormcell("localize", tmp_path), "folder")


def test_empty(stormcell, tmp_path) -> None:
    (tmp_path / "empty.tif").touch()
    refused(stormcell("localize", tmp_path / "empty.tif"), "empty")


def test_truncated(stormcell, tmp_path, movie) -> None:
    cut = tmp_path / "cut.tif"
    cut.write_bytes(movie.read_bytes()[: movie.stat().st_size // 2])
    refused(stormcell("localize", cut, *CAMERA), "cut.tif")
    assert not (tmp_path / "cut_localize.parquet").exists()


def test_not_a_movie(stormcell, tmp_path) -> None:
    (tmp_path / "notes.tif").write_text("dear diary\n")
    refused(stormcell("localize", tmp_path / "notes.tif"), "expected a movie", "text")


def test_rgb(stormcell, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((24, 24, 3), np.uint8), photometric="rgb")
    refused(stormcell("localize", tmp_path / "rgb.tif", "--pixel-size-nm", 100), "colour")


def test_no_frames(stormcell, tmp_path) -> None:
    np.save(tmp_path / "none.npy", np.zeros((0, 24, 24), np.uint16))
    refused(stormcell("localize", tmp_path / "none.npy", "--pixel-size-nm", 100), "none.npy")


def test_no_x_column(stormcell, tmp_path) -> None:
    (tmp_path / "table.csv").write_text('"frame","y [nm]"\n1,5\n')
    refused(stormcell("render", tmp_path / "table.csv", "--sr-pixel-size-nm", 10), "no x column")


def test_no_pixel_size(stormcell, tmp_path) -> None:
    path = save_movie(tmp_path / "bare.tif", spots(), None)
    refused(stormcell("localize", path), "pixel size", "--pixel-size-nm")


def test_output_exists(stormcell, movie) -> None:
    assert stormcell("localize", movie, *CAMERA).code == 0
    output = movie.parent / "movie_localize.parquet"
    before = output.read_bytes()
    refused(stormcell("localize", movie, *CAMERA, "--frames", "0:5"), "exists", "--overwrite")
    assert output.read_bytes() == before
    assert stormcell("localize", movie, *CAMERA, "--frames", "0:5", "--overwrite").code == 0
    assert output.read_bytes() != before


def test_no_space(stormcell, movie, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    refused(stormcell("localize", movie, *CAMERA), "no space left", "movie_localize.parquet")
    assert [path.name for path in movie.parent.iterdir()] == [movie.name]


def test_no_permission_to_write(stormcell, movie, monkeypatch) -> None:
    def forbidden(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "touch", forbidden)
    refused(stormcell("localize", movie, *CAMERA), "no permission to write")


def test_no_permission_to_read(stormcell, movie, monkeypatch) -> None:
    original = Path.open

    def forbidden(self: Path, *arguments: object, **options: object) -> object:
        if self == movie:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", forbidden)
    refused(stormcell("localize", movie, *CAMERA), "no permission to read")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--pixel-size-nm", "-5"), "--pixel-size-nm"),
        (("--pixel-size-nm", "wide"), "--pixel-size-nm"),
        (("--method", "magic"), "--method"),
        (("--qe", "1.5"), "qe"),
        (("--camera-type", "cmos", "--em-gain", "100"), "em_gain"),
        (("--camera", "no-such-camera"), "no-such-camera"),
        (("--camera", "none.yaml"), "none.yaml"),
        (("--frames", "5"), "--frames"),
        (("--frames", "100:200"), "0:30"),
        (("--roi", "0:5"), "--roi"),
        (("--roi", "0:99,0:5"), "0:24"),
        (("--roi-size-px", "8"), "--roi-size-px"),
        (("--no-such-option",), "--no-such-option"),
        (("--threads", "0"), "--threads"),
        (("--device", "abacus"), "--device"),
        (("-o", "table.xyz"), "table.xyz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_impossible_settings(stormcell, movie, options, words) -> None:
    refused(stormcell("localize", movie, *options), words)


def test_unknown_verb_and_missing_argument(stormcell) -> None:
    refused(stormcell("lokalize"), "lokalize", "localize")
    refused(stormcell("localize"), "MOVIE")
    refused(stormcell("filter", "table.csv"), "--where", "needed")


# ---- 130 and 1


def test_interrupted(stormcell, movie, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stormcell.localization.pipeline.localize_stack", interrupt)
    said = stormcell("localize", movie, *CAMERA, "--method", "mle")
    assert said.code == 130
    assert "interrupted" in said.err
    assert [path.name for path in movie.parent.iterdir()] == [movie.name]


def test_our_own_fault_names_a_log_file(stormcell, movie, monkeypatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        msg = "the wheels came off"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr("stormcell.localization.pipeline.localize_stack", break_down)
    said = stormcell("localize", movie, *CAMERA, "--method", "mle")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) == 1
    log = Path(next(word for word in said.err.replace(";", " ").split() if word.endswith(".log")))
    text = log.read_text()
    log.unlink()
    assert "Traceback" in text
    assert "the wheels came off" in text
    assert "localize" in text


# ---- JSON, and the rest of the boundary


def test_json_success_is_one_object(stormcell, movie) -> None:
    said = stormcell("localize", movie, *CAMERA, "--json")
    assert said.json["verb"] == "localize"
    assert said.json["result"]["n_rows"] > 0
    assert said.json["outputs"] == [str(movie.parent / "movie_localize.parquet")]
    assert said.json["warnings"] == []
    assert said.err == ""


@pytest.mark.parametrize("place", ["before", "after"])
def test_global_options_stand_before_or_after_the_verb(stormcell, movie, place) -> None:
    words = ["localize", movie, *CAMERA]
    said = stormcell("--json", *words) if place == "before" else stormcell(*words, "--json")
    assert said.code == 0
    assert said.json["verb"] == "localize"


@pytest.mark.parametrize("arguments", [("localize", "none.tif"), ("localize",), ("nonsense",), ("localize", "--x")])
def test_json_errors_are_objects_too(stormcell, arguments) -> None:
    said = stormcell(*arguments, "--json")
    assert said.code == 2
    assert said.err == ""
    assert set(said.json) == {"error", "exit_code"}
    assert said.json["exit_code"] == 2


def test_json_warnings_are_in_the_object(stormcell, tmp_path) -> None:
    path = save_movie(tmp_path / "one.tif", spots(1))
    said = stormcell("localize", path, *CAMERA, "--json")
    assert any("one frame" in warning for warning in said.json["warnings"])
    assert said.err == ""


def test_quiet_prints_nothing(stormcell, movie) -> None:
    said = stormcell("localize", movie, *CAMERA, "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_metadata_that_contradicts_the_options_is_said_and_the_option_wins(stormcell, tmp_path) -> None:
    read = Quantity("gain_e_per_adu", 2.0, "e/ADU", "read")
    path = save_movie(tmp_path / "says.tif", spots(), 80.0, gain_e_per_adu=read)
    said = stormcell("localize", path, *CAMERA, "--pixel-size-nm", "100", "--json")
    assert said.code == 0
    quantities = {item["name"]: item for item in said.json["result"]["quantities"]}
    for name, value in (("camera_pixel_size_nm", 100), ("gain_e_per_adu", 0.5)):
        assert (quantities[name]["value"], quantities[name]["source"]) == (value, "given")
    assert any("80" in text and "100" in text for text in said.json["warnings"])
    assert any("gain" in text and "2" in text for text in said.json["warnings"])


def test_a_table_in_other_units_is_converted(stormcell, tmp_path) -> None:
    (tmp_path / "um.csv").write_text('"frame","x [um]","y [um]"\n1,0.5,0.25\n')
    said = stormcell("convert", tmp_path / "um.csv", tmp_path / "nm.parquet")
    assert said.code == 0, said.err
    table = read_table(tmp_path / "nm.parquet")
    assert table["x_nm"].tolist() == [500.0]
    assert table["y_nm"].tolist() == [250.0]


def test_a_killed_run_leaves_no_half_written_file(movie) -> None:
    code = (
        "import os, sys\nfrom stormcell.io.tables import registry, parquet\n"
        "import pyarrow.parquet as pq\nwrite = pq.write_table\n"
        "def half(*a, **k):\n    write(*a, **k)\n    os._exit(9)\n"
        "pq.write_table = half\nfrom stormcell.cli.main import main\nmain(sys.argv[1:])"
    )
    output = movie.parent / "movie_localize.parquet"
    done = subprocess.run([sys.executable, "-c", code, "localize", str(movie), *CAMERA], check=False)
    assert done.returncode == 9
    assert not output.exists()


def test_a_device_that_makes_no_difference_is_said(stormcell, tmp_path) -> None:
    (tmp_path / "table.csv").write_text("frame,x_nm,y_nm\n0,1,2\n")
    said = stormcell("filter", tmp_path / "table.csv", "--where", "x_nm > 0", "--device", "cuda")
    assert said.code == 0
    assert "makes no difference" in said.err


def test_json_is_strict(stormcell, tmp_path) -> None:
    path = save_movie(tmp_path / "dark.tif", np.full((3, 24, 24), 120, np.uint16))
    said = stormcell("localize", path, *CAMERA, "--json")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(said.out, parse_constant=refuse)
