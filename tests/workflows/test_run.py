"""run, demo, rerun: end to end."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormcell as sc
from stormcell.errors import FormatError, OutputError, StormcellWarning
from stormcell.io.images import read_image
from stormcell.io.tables import read_table
from stormcell.workflows.checking import check_image
from stormcell.workflows.run_outputs import RUN_FILES
from stormcell.workflows.run_record import RUN_RECORD_FIELDS

if TYPE_CHECKING:
    from pathlib import Path

# A small dense scene warns of overlapping spots and of too few rows for a drift.
pytestmark = pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")


DENSIFIED = {"densified.ome.tif", "uncertainty.ome.tif"}


@pytest.fixture(scope="module")
def done(scene: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done") / "cells"
    sc.run(scene["movie"], output=folder, method="mle")
    return folder


def test_a_run_writes_what_it_says(done: Path) -> None:
    written = {path.name for path in done.iterdir()}
    # too few rows for a drift, and no dense picture asked for
    assert written == set(RUN_FILES) - {"drift.csv", "drift.png", *DENSIFIED}
    record = json.loads((done / "run.json").read_text())
    assert set(record) == set(RUN_RECORD_FIELDS)
    assert set(record["outputs"]) == written - {"run.json"}


def inside_field(table: sc.Localizations, side_nm: float) -> sc.Localizations:
    """Emitters beyond the border shine in; the truth does not count them."""
    return sc.filter(table, where=f"0 < x_nm < {side_nm} and 0 < y_nm < {side_nm}")


def test_table_and_pictures_agree(done: Path) -> None:
    table = read_table(done / "localizations.parquet")
    csv = read_table(done / "localizations.csv")
    assert table.n_rows == csv.n_rows > 100
    np.testing.assert_allclose(csv["x_nm"], table["x_nm"], atol=0.01)
    np.testing.assert_array_equal(csv["frame"], table["frame"])
    image = read_image(done / "superresolution.ome.tif")
    widefield = read_image(done / "widefield.ome.tif")
    assert image.sr_pixel_size_nm == 12.5
    assert image.grid.extent_nm == widefield.grid.extent_nm == (3200, 3200)
    inside = inside_field(table, 3200)
    # Gaussians reach over the border, and failed fits are not drawn.
    assert image.pixels.sum() == pytest.approx(inside.n_rows, rel=0.05)


def test_the_widefield_is_the_mean_of_the_movie(done: Path, scene: dict[str, Path]) -> None:
    frames = sc.read(scene["movie"]).read()
    np.testing.assert_allclose(read_image(done / "widefield.ome.tif").pixels, frames.mean(axis=0), rtol=1e-6)


def test_the_run_says_how_far_to_trust_it(done: Path) -> None:
    results = json.loads((done / "run.json").read_text())["results"]
    assert {"rsp", "rse", "rsf_sigma_nm", "alpha", "beta", "shift_x_nm", "shift_y_nm"} <= set(results)
    shares = [results[f"share_{name}"] for name in ("measured", "inferred", "contradicted")]
    assert 0 < sum(shares) <= 1 + 1e-6
    assert results["share_contradicted"] < 0.2  # the movie's own light, of which the picture was made
    assert results["rsp"] > 0.8
    notes = " ".join(json.loads((done / "run.json").read_text())["notes"])
    assert "what the frames never held" in notes
    page = (done / "report.html").read_text()
    assert "what the frames never held" in page
    assert "Measured, inferred, contradicted" in page
    classes = read_image(done / "classes.ome.tif")
    assert classes.grid == read_image(done / "superresolution.ome.tif").grid
    assert set(np.unique(classes.pixels)) <= {0, 1, 2, 3}


def test_the_result_is_true(done: Path, scene: dict[str, Path]) -> None:
    table = inside_field(read_table(done / "localizations.parquet"), 3200)
    score = sc.evaluate(table, scene["truth"], insignificant_share=0.25)
    assert score.precision > 0.8
    assert score.recall > 0.5
    assert score.jaccard > 5 * score.random[0].jaccard
    assert abs(score.bias_x_nm) < 15
    assert abs(score.bias_y_nm) < 15


def test_every_physical_value_has_a_source(done: Path) -> None:
    provenance = read_table(done / "localizations.parquet").provenance
    assert provenance.verb == "run"
    assert provenance.inputs[0].name == "movie.ome.tif"
    sources = {quantity.name: quantity.source for quantity in provenance.quantities}
    assert sources["camera_pixel_size_nm"] == "read"
    assert sources["psf_sigma_nm"] in ("estimated", "assumed")
    assert {"camera_type", "offset_adu", "gain_e_per_adu", "qe"} <= set(sources)


def test_no_file_but_run_json_holds_a_time(done: Path) -> None:
    record = json.loads((done / "run.json").read_text())
    year = record["started"][:4]
    for path in done.iterdir():
        if path.name != "run.json" and path.suffix in (".html", ".csv"):
            assert f"{year}-" not in path.read_text()


def test_a_second_run_onto_the_same_folder_is_refused_before_the_work(done: Path, scene: dict[str, Path]) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in done.iterdir()}
    with pytest.raises(OutputError, match=r"already holds localizations\.parquet"):
        sc.run(scene["movie"], output=done)
    assert {path.name: path.stat().st_mtime_ns for path in done.iterdir()} == before


def test_a_run_that_fails_leaves_the_earlier_results(done: Path, scene, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "cells"
    sc.run(scene["movie"], output=folder, frames="0:20")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stormcell.rendering.report.report_html", fail)
    with pytest.raises(KeyboardInterrupt):
        sc.run(scene["movie"], output=folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_rerun_is_identical_and_notices_a_change(done: Path, scene: dict[str, Path], tmp_path: Path) -> None:
    again = sc.rerun(done / "run.json", output=tmp_path / "again")
    assert again.is_identical
    assert again.differing == ()
    record = json.loads((done / "run.json").read_text())
    changed = tmp_path / "changed"
    changed.mkdir()
    record["settings"]["sr_pixel_size_nm"] = 25
    record["inputs"][0]["path"] = str(scene["movie"])
    (changed / "run.json").write_text(json.dumps(record))
    other = sc.rerun(changed, output=tmp_path / "other")
    assert not other.is_identical
    assert "superresolution.ome.tif" in other.differing
    assert "localizations.csv" not in other.differing


def test_rerun_refuses_another_movie_and_other_files(done: Path, scene: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.tif"
    other.write_bytes(scene["movie"].read_bytes()[:-1] + b"x")
    with pytest.raises(FormatError, match="content has changed"):
        sc.rerun(done, movie=other, output=tmp_path / "out")
    (tmp_path / "run.json").write_text('{"a": 1}')
    with pytest.raises(FormatError, match=r"expected a run\.json"):
        sc.rerun(tmp_path)
    assert not (tmp_path / "out").exists()


def test_python_and_command_line_write_the_same_bytes(done: Path, scene: dict[str, Path], tmp_path: Path) -> None:
    from stormcell.cli.main import main

    assert main(["run", str(scene["movie"]), "-o", str(tmp_path / "cli"), "--quiet", "--method", "mle"]) == 0
    for name in set(RUN_FILES) - {"run.json", "drift.csv", "drift.png", *DENSIFIED}:
        assert (tmp_path / "cli" / name).read_bytes() == (done / name).read_bytes(), name


def test_a_given_widefield_is_compared_with(scene: dict[str, Path]) -> None:
    result = sc.run(scene["movie"], widefield=str(scene["widefield"]))
    np.testing.assert_array_equal(result.widefield.pixels, read_image(scene["widefield"]).pixels)
    # sixty frames hold few emitters of each filament: a perfect picture of them is no better
    perfect = sc.render(read_table(scene["truth"]), sr_pixel_size_nm=12.5, mode="histogram")
    reached = check_image(perfect, read_image(scene["widefield"])).numbers["rsp"]
    assert reached > 0.7
    assert result.numbers["rsp"] == pytest.approx(reached, abs=0.05)
    assert result.outputs == ()


def test_what_is_drawn_can_be_chosen(scene: dict[str, Path]) -> None:
    everything = sc.run(scene["movie"], draw_failed=True)
    assert everything.drawn == everything.table
    bright = sc.run(scene["movie"], where="photons > 2000", merge_bursts=True)
    assert bright.table == everything.table
    assert 0 < bright.drawn.n_rows < everything.table.n_rows
    assert "n_detections" in bright.drawn


def test_roi_and_frames_keep_places_and_times(scene: dict[str, Path]) -> None:
    part = sc.run(scene["movie"], roi="4:28,8:28", frames="10:50", method="mle")
    assert part.image.grid.origin_nm == (400, 800)
    assert part.table["frame"].min() >= 10
    assert part.table["frame"].max() < 50
    whole = sc.localize(scene["movie"], frames="10:50", method="mle")
    well_inside = sc.filter(part.table, where="1200 < x_nm < 2400 and 800 < y_nm < 2400 and chi2 < 1.5")
    pairs = sc.evaluate(well_inside, whole, tolerance_nm=50)
    assert well_inside.n_rows > 10
    assert pairs.precision > 0.9
    assert pairs.rmse_nm < 10


def test_nothing_found_still_gives_a_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    movie = (100 + rng.poisson(20, (30, 20, 20)) / 0.5).astype(np.uint16)
    known = {"pixel_size_nm": 100, "offset_adu": 100, "gain_e_per_adu": 0.5, "camera_type": "cmos"}
    result = sc.run(movie, output=tmp_path / "dark", false_positives_per_frame=1e-6, **known)
    assert result.table.n_rows == 0
    assert result.error_map is None
    html = (tmp_path / "dark" / "report.html").read_text()
    assert "Nothing was found" in html
    assert not (tmp_path / "dark" / "error_map.ome.tif").exists()


def test_demo_compares_itself_with_the_truth(tmp_path: Path) -> None:
    result = sc.demo(tmp_path / "demo", n_frames=40, field_px=32, seed=5)
    assert result.evaluation.precision > 0.5
    assert result.reference.exists()
    assert {"movie.ome.tif", "truth.parquet", "report.html", "run.json"} <= {
        p.name for p in (tmp_path / "demo").iterdir()
    }
    with pytest.raises(OutputError, match="already holds"):
        sc.demo(tmp_path / "demo", n_frames=40, field_px=32)


def test_the_report_stands_alone(done: Path) -> None:
    html = (done / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    assert "<script" not in html
    assert len(re.findall(r"<img[^>]* alt=\"[^\"]{10,}\"", html)) == html.count("<img") >= 4
    assert len(re.findall(r"<svg[^>]* aria-label=\"[^\"]{10,}\"", html)) == html.count("<svg") >= 6
    assert "prefers-color-scheme: dark" in html
    assert "stormcell rerun run.json" in html


def test_run_densifies_what_it_localized(scene: dict[str, Path], tmp_path: Path) -> None:
    result = sc.run(scene["movie"], output=tmp_path / "both", method="mle", densify=True, structure="microtubules")
    assert {path.name for path in result.outputs} >= DENSIFIED
    dense, spread = (read_image(tmp_path / "both" / name) for name in sorted(DENSIFIED))
    assert dense.grid.extent_nm == spread.grid.extent_nm == (3200, 3200)
    # independent events, not rows: bursts of the movie are linked before they are counted
    assert result.densified is not None
    assert 0 < result.densified.given.n_events < result.drawn.n_rows
    assert 0.3 < dense.pixels.sum() / result.densified.given.n_events < 3
    assert result.densified.given.widefield.grid == result.widefield.grid  # aligned by itself
    assert np.array_equal(result.densified.given.widefield.pixels, result.widefield.pixels)
    page = (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Densified</h2>" in page
    assert result.densified.verdict.sentences[0] in page
    record = json.loads((tmp_path / "both" / "run.json").read_text())
    assert record["results"]["densified_n_events"] == result.densified.given.n_events
    with pytest.raises(OutputError, match="already holds"):
        sc.run(scene["movie"], output=tmp_path / "both", method="mle")
    sc.run(scene["movie"], output=tmp_path / "both", method="mle", overwrite=True)
    assert not any((tmp_path / "both" / name).exists() for name in DENSIFIED)


def test_run_with_the_widefield_of_another_field_densifies_nothing(scene: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    other = sc.SRImage(rng.random((32, 32)).astype(np.float32), sc.PixelGrid(100.0, (32, 32), (0.0, 9e3)), "photons")
    sc.write(other, tmp_path / "other.ome.tif")
    with pytest.warns(StormcellWarning, match="was not densified"):
        done = sc.run(
            scene["movie"], method="mle", densify=True, classify=False, widefield=str(tmp_path / "other.ome.tif")
        )
    assert done.densified is None
