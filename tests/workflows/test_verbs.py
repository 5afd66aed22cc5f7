"""The smaller verbs, each end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormcell as sc
from stormcell.errors import DataQualityWarning, FormatError, InputError, OutputError, StormcellWarning
from stormcell.io.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def table(scene: dict[str, Path]) -> sc.Localizations:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StormcellWarning)
        return sc.localize(scene["movie"], method="mle")


def test_localize_takes_arrays_too(scene: dict[str, Path], table: sc.Localizations) -> None:
    frames = sc.read(scene["movie"]).read()
    known = {"pixel_size_nm": 100, "offset_adu": 100, "gain_e_per_adu": 0.46, "camera_type": "cmos"}
    again = sc.localize(frames, **known, qe=0.82, read_noise_e=1.6, method="mle")
    assert again == table
    assert again.provenance.inputs == ()


def test_localize_warns_in_the_record_and_aloud(scene: dict[str, Path]) -> None:
    with pytest.warns(StormcellWarning, match="one frame"):
        table = sc.localize(scene["movie"], frames="0:1")
    assert any("one frame" in text for text in table.provenance.warnings)


def test_read_finds_out_what_a_file_is(scene: dict[str, Path], tmp_path: Path) -> None:
    assert isinstance(sc.read(scene["movie"]), sc.FrameStack)
    assert isinstance(sc.read(scene["truth"]), sc.Localizations)
    assert isinstance(sc.read(scene["widefield"]), sc.SRImage)
    (tmp_path / "letter.csv").write_text("dear, diary\n")
    with pytest.raises(FormatError, match="no x column with a unit"):
        sc.read(tmp_path / "letter.csv")
    with pytest.raises(FormatError, match="does not exist"):
        sc.read(tmp_path / "none")


def test_info(scene: dict[str, Path]) -> None:
    movie = sc.info(scene["movie"])
    assert (movie.kind, movie.facts["n_frames"], movie.facts["height_px"]) == ("movie", 60, 32)
    assert {quantity.name: quantity.value for quantity in movie.quantities}["camera_pixel_size_nm"] == 100
    truth = sc.info(scene["truth"])
    assert truth.kind == "table"
    x = next(column for column in truth.columns if column.name == "x_nm")
    assert x.unit == "nm"
    assert x.smallest <= x.median <= x.largest
    image = sc.info(scene["widefield"])
    assert (image.kind, image.facts["sr_pixel_size_nm"]) == ("image", 100)


def test_filter_link_and_render_keep_a_record(table: sc.Localizations) -> None:
    bright = sc.filter(table, where="photons > 500 and 0 < x_nm < 3200 and 0 < y_nm < 3200")
    assert 0 < bright.n_rows < table.n_rows
    assert bright["photons"].min() > 500
    linked = sc.link(bright, max_gap_frames=2)
    assert linked["n_detections"].sum() == bright.n_rows
    image = sc.render(linked, sr_pixel_size_nm=20, mode="histogram")
    assert image.pixels.sum() == linked.n_rows
    chain = image.provenance
    verbs = [chain.verb]
    while chain.parents:
        chain = chain.parents[0]
        verbs.append(chain.verb)
    assert verbs == ["render", "link", "filter", "localize"]
    assert image.provenance.parents[0].settings["linking"]["max_gap_frames"] == 2
    assert {q.name for q in image.provenance.quantities} >= {"gain_e_per_adu", "psf_sigma_nm"}


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".hdf5"])
def test_results_are_written_in_the_format_of_the_ending(table, tmp_path, ending) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StormcellWarning)
            sc.filter(table, where="photons > 300", output=f"out{ending}")
    again = read_table(tmp_path / f"out{ending}")
    expected = sc.filter(table, where="photons > 300")
    np.testing.assert_allclose(again["x_nm"], expected["x_nm"], atol=0.02)
    np.testing.assert_array_equal(again["frame"], expected["frame"])


def test_convert_of_a_movie_keeps_camera_and_frames(scene: dict[str, Path], tmp_path: Path) -> None:
    made = sc.convert(scene["movie"], tmp_path / "part.ome.tif", frames="5:15", roi="0:16,4:20")
    assert (made.kind, made.n_items) == ("movie", 10)
    part, whole = sc.read(made.output), sc.read(scene["movie"])
    np.testing.assert_array_equal(part.read(), whole.read(5, 15)[:, :16, 4:20])
    assert part.metadata["gain_e_per_adu"].value == whole.metadata["gain_e_per_adu"].value
    assert sc.convert(scene["movie"], tmp_path / "movie.npy").n_items == 60
    np.testing.assert_array_equal(np.load(tmp_path / "movie.npy"), whole.read())


def test_convert_of_an_image_and_refusals(scene: dict[str, Path], tmp_path: Path) -> None:
    made = sc.convert(scene["widefield"], tmp_path / "picture.png")
    assert made.kind == "image"
    assert made.output.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError, match="movie name ending in"):
        sc.convert(scene["movie"], tmp_path / "movie.avi")
    with pytest.raises(OutputError, match="table name ending in"):
        sc.convert(scene["truth"], tmp_path / "table.xls")


def test_drift_is_taken_out_and_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    n_rows, n_frames = 20_000, 1000
    sites = rng.uniform(500, 7500, (60, 2))
    frame = np.sort(rng.integers(0, n_frames, n_rows))
    true = sites[rng.integers(0, 60, n_rows)] + rng.normal(0, 8, (n_rows, 2))
    moved = true + np.stack([0.12 * frame, -0.05 * frame], axis=1)
    table = sc.Localizations(
        {"frame": frame, "x_nm": moved[:, 0], "y_nm": moved[:, 1]},
        grid=sc.PixelGrid(100, (80, 80)),
        n_frames=n_frames,
    )
    done = sc.drift(table, output=tmp_path / "still.parquet")
    error = done.table.positions_nm - true
    assert np.std(error, axis=0).max() < 4
    assert [path.name for path in done.outputs] == ["still.parquet", "still_curve.csv", "still_curve.png"]
    curve = np.genfromtxt(done.outputs[1], delimiter=",", names=True)
    assert curve["drift_x_nm"][-1] - curve["drift_x_nm"][0] == pytest.approx(0.12 * n_frames, abs=8)
    with pytest.raises(OutputError, match="exists"):
        sc.drift(table, output=tmp_path / "still.parquet")


def test_drift_without_structure_is_refused_in_plain_words(table: sc.Localizations) -> None:
    with pytest.raises(InputError, match="localizations"):
        sc.drift(sc.filter(table, where="frame < 5"))


def test_evaluate_of_the_truth_itself_is_perfect(scene: dict[str, Path], tmp_path: Path) -> None:
    score = sc.evaluate(scene["truth"], scene["truth"], output=tmp_path / "scores.json")
    assert (score.jaccard, score.rmse_nm, score.efficiency) == (1, 0, 100)
    assert (tmp_path / "scores.png").exists()
    with pytest.raises(OutputError, match=r"ending in \.json"):
        sc.evaluate(scene["truth"], scene["truth"], output=tmp_path / "scores.txt")


def test_evaluate_says_where_no_frame_is_shared(scene: dict[str, Path]) -> None:
    truth = sc.read(scene["truth"])
    later = truth.with_columns(frame=truth["frame"] + 1000).with_context(n_frames=None)
    with pytest.warns(DataQualityWarning, match="no frame in common.*--truth-frame-shift"):
        score = sc.evaluate(truth, later)
    assert score.tp == 0
    assert sc.evaluate(truth, later, truth_frame_shift=-1000).jaccard == 1


def test_doctor_finds_everything_here() -> None:
    found = sc.doctor()
    assert found.compile_cache_works
    assert all(found.libraries.values())
    assert found.device in ("cpu", "cuda", "mps")
    assert found.n_threads >= 1


def test_doctor_says_what_is_missing(monkeypatch) -> None:
    import importlib.metadata

    def gone(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", gone)
    assert "tifffile is not installed" in sc.doctor().problems


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
def test_a_table_in_pixels_takes_the_given_size_and_a_contradiction_is_said(table, tmp_path) -> None:
    path = sc.write(table, tmp_path / "table.hdf5")
    with pytest.warns(StormcellWarning, match="says a pixel of 100 nm, but 130 nm was given and used"):
        sc.filter(path, where="frame >= 0", pixel_size_nm=130)
