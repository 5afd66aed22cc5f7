"""What densify says of its pictures: nothing unasked, rows that are not events, bounds, records, what was dimmed."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import stormcell as sc
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import InputError, MissingQuantityError, SettingsError, StormcellWarning
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, DensifyResult, densify_image, sum_cells
from stormcell.learning.annapalm_model import load_densify_model
from stormcell.workflows.densify_even import even_picture
from stormcell.workflows.densify_held_out import HeldOut
from stormcell.workflows.densify_input import DensifyInput, input_of_events
from stormcell.workflows.densify_judgement import Judgement
from stormcell.workflows.densify_verdict import verdict, with_dimmed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")

GRID = PixelGrid(100.0, (20, 20))


def ring_nm(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (y, x) on an ellipse."""
    rng = np.random.default_rng(seed)
    turn = rng.uniform(0, 2 * np.pi, n)
    return 900 + 500 * np.sin(turn) + rng.normal(0, 12, n), 1000 + 600 * np.cos(turn) + rng.normal(0, 12, n)


def as_table(y_nm: np.ndarray, x_nm: np.ndarray, grid: PixelGrid | None = GRID) -> Localizations:
    n = len(x_nm)
    spread = np.full(n, 12.0)
    columns = {"frame": np.arange(n) * 7, "x_nm": x_nm, "y_nm": y_nm}
    return Localizations(
        {**columns, "uncertainty_x_nm": spread, "uncertainty_y_nm": spread}, grid=grid, n_frames=9999
    )


def ring(n: int = 300) -> Localizations:
    return as_table(*ring_nm(n, 0))


def camera_image() -> SRImage:
    drawn = np.histogram2d(*ring_nm(100_000, 9), bins=[np.arange(0, 2001, 20)] * 2)[0]
    pixels = gaussian_filter(drawn, 6.5).reshape(20, 5, 20, 5).sum(axis=(1, 3))
    return SRImage(np.random.default_rng(1).poisson(pixels + 100).astype(np.float32), GRID, "photons")


def test_what_nobody_asked_is_not_supported(model: str) -> None:
    done = sc.densify(ring(), model=model, classify=False)
    assert done.verdict.level == "not judged"
    assert not any("Supported" in sentence for sentence in done.verdict.sentences)
    given, picture = done.given, done.image
    asked = Judgement(held_out=HeldOut(0.5, 5.0))
    assert verdict(picture, given, asked, []).level == "partly judged"
    assert verdict(picture, given, asked, ["something"]).level == "doubtful"
    classes = SRImage(np.ones_like(picture.pixels), picture.grid, "class")
    assert verdict(picture, given, Judgement(classes=classes), []).level == "supported"


def test_rows_that_were_not_linked_are_no_events(model: str) -> None:
    linked = sc.densify(ring(), model=model)
    assert linked.judged.held_out is not None
    assert "three independent events" in " ".join(linked.verdict.sentences)
    for table, why in ((ring(), "not linked"), (ring().without_columns("frame"), "no frames")):
        with pytest.warns(StormcellWarning, match=why):
            loose = sc.densify(table, model=model, link=False)
        said = " ".join(loose.verdict.sentences)
        assert loose.verdict.level == "doubtful"
        assert why in said
        assert "independent events" not in said
        assert loose.judged.held_out is None
        assert "held_out_gain" not in loose.verdict.numbers
    told = sc.densify(ring().with_columns(n_detections=np.ones(300, np.int64)), model=model, link=False)
    assert not told.given.unlinked  # linked elsewhere


def test_one_row_without_a_field_is_too_few_not_too_dense(model: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = sc.densify(as_table(np.array([-55.0]), np.array([730.0]), grid=None), model=model, classify=False)
    said = [str(w.message) for w in caught]
    assert any("1 event in the field: too few" in sentence for sentence in said)
    assert not any("denser" in sentence for sentence in said)
    assert done.given.counts.sum() == 1
    (top, left), (height, width) = done.image.grid.origin_nm, done.image.grid.extent_nm
    assert min(-55 - top, top + height + 55, 730 - left, left + width - 730) > 900  # it lies in the middle


def test_the_rim_of_a_field_without_a_grid_makes_no_structure() -> None:
    rng = np.random.default_rng(3)
    strewn = as_table(*rng.uniform(0, 4000, (2, 800)), grid=None)
    given = input_of_events(strewn, None, "")
    assert given.grid.origin_nm[0] == given.grid.origin_nm[1] == pytest.approx(-100, abs=20)
    assert given.n_events == 800  # none lies outside
    assert even_picture(given) is not None


def test_a_missing_pixel_size_is_asked_for_by_its_own_name(model: str, tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", camera_image().pixels)
    with pytest.raises(MissingQuantityError, match=r"pass --widefield-pixel-size-nm"):
        sc.densify(ring(), widefield=tmp_path / "plain.npy", model=model)
    with pytest.raises(MissingQuantityError, match=r"pass --image-pixel-size-nm"):
        sc.densify(tmp_path / "plain.npy", model=model)


def test_every_picture_says_how_it_was_made(model: str, tmp_path: Path) -> None:
    names = ("uncertainty", "error_map", "consistency", "classes", "support", "lower", "upper")
    files = {name: tmp_path / f"{name}.ome.tif" for name in names}
    done = sc.densify(ring(), widefield=camera_image(), model=model, max_shift_nm=100, maps=files)
    weights = load_densify_model(model).card.weights_sha256
    for path in files.values():
        record = sc.read(path).provenance
        assert record.verb == "densify"
        assert record.model_sha256 == weights
        assert f"network tiny (weights {weights[:12]})" in record.notes
        assert record == done.provenance


def test_bounds_are_those_of_the_network_at_the_length_asked_for(model: str, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.ome.tif" for name in ("lower", "upper")}
    done = sc.densify(ring(), model=model, share=0.25, classify=False, maps=files)
    how = DensifyInferenceSettings(share=0.25)
    direct = densify_image(load_densify_model(model), done.given.counts, None, how).interval(4.0, 0.9)
    for path, bound in zip(files.values(), direct, strict=True):
        picture = sc.read(path)
        assert picture.grid == PixelGrid(40.0, (50, 50))
        assert np.array_equal(picture.pixels, bound)
    assert (done.lower.pixels <= done.upper.pixels).all()
    cells = sum_cells(done.image.pixels)
    assert (cells[cells > 1] <= done.upper.pixels[cells > 1]).all()


def test_bounds_hold_another_acquisition() -> None:
    # events of chance: what another acquisition three times as long shows is Poisson in every cell
    rng = np.random.default_rng(4)
    counts = rng.poisson(0.05, (200, 200)).astype(np.float32)
    made = SRImage(counts, PixelGrid(20.0, (200, 200)), "localizations")
    done = sc.densify(made, share=1 / 3, classify=False)
    assert "chance" in " ".join(done.verdict.sentences)
    other = rng.poisson(0.6, (100, 100))
    inside = (other >= done.lower.pixels) & (other <= done.upper.pixels)
    assert 0.9 <= inside.mean() < 1
    assert done.upper.pixels.max() < 6  # wide bounds hold everything and say nothing


def test_without_events_there_is_nothing_to_bound(model: str, tmp_path: Path) -> None:
    with pytest.warns(StormcellWarning, match="no count to bound"):
        done = sc.densify(camera_image(), model=model, classify=False, maps={"upper": tmp_path / "u.tif"})
    assert done.lower is None
    assert not (tmp_path / "u.tif").exists()


def test_suppress_needs_classes(model: str, tmp_path: Path, capfd) -> None:
    from stormcell.cli.main import main

    with pytest.raises(SettingsError, match="--classify with --suppress"):
        sc.densify(ring(), model=model, suppress=True, classify=False)
    sc.write(ring(), tmp_path / "a.parquet")
    assert main(["densify", str(tmp_path / "a.parquet"), "--suppress", "--no-classify"]) == 2
    said = capfd.readouterr().err.strip()
    assert "leave --no-classify out" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "part"])
def test_suppress_dims_what_is_contradicted_and_says_so(model: str, monkeypatch, whole: bool) -> None:
    truth = np.histogram2d(*ring_nm(100_000, 5), bins=[np.arange(0, 2001, 20)] * 2)[0]
    rate = (gaussian_filter(truth, 1.0) * 300 / truth.sum()).astype(np.float32)
    rate[82:86, 20:80] += 2 * rate.max()  # a line that neither events nor wide-field image know

    def draw(*_: object) -> DensifyResult:
        return DensifyResult(rate, np.ones((50, 50), np.float32))

    monkeypatch.setattr("stormcell.workflows.densify.draw", draw)
    wide = camera_image()
    if not whole:  # the line lies below what the wide-field image covers: the events deny it
        wide = SRImage(wide.pixels[:16], PixelGrid(100.0, (16, 20)), "photons")
    kept, dimmed = (
        sc.densify(ring(), widefield=wide, model=model, register_widefield=False, suppress=suppress)
        for suppress in (False, True)
    )
    assert dimmed.image.pixels[82:86, 25:75].sum() < 0.5 * kept.image.pixels[82:86, 25:75].sum()
    ring_part = np.s_[:75]
    assert dimmed.image.pixels[ring_part].sum() > 0.8 * kept.image.pixels[ring_part].sum()
    share = 1 - dimmed.image.pixels.sum() / kept.image.pixels.sum()
    assert dimmed.verdict.numbers["dimmed_share"] == pytest.approx(share, abs=1e-4)
    assert any("dimmed" in sentence for sentence in dimmed.verdict.sentences)
    assert any("dimmed" in note for note in dimmed.provenance.notes)
    assert "dimmed_share" not in kept.verdict.numbers
    assert "dimmed nothing" in with_dimmed(kept.verdict, kept.image, kept.image).sentences[-1]
    assert np.array_equal(dimmed.lower.pixels, kept.lower.pixels)


def test_few_events_are_said_to_be_few() -> None:
    from stormcell.workflows.densify_drawing import doubts_of
    from stormcell.workflows.densify_settings import DensifyOptions

    card = load_densify_model("annapalm").card
    for n, word in ((39, "39 events in the field: too few"), (1000, "denser")):
        counts = np.zeros((50, 50), np.float32)
        counts[20, 20] = n
        (doubt,) = doubts_of(card, DensifyInput(PixelGrid(20.0, (50, 50)), counts), DensifyOptions())
        assert word in doubt


def test_a_folder_is_told_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got the folder"):
        sc.densify(tmp_path)


def test_the_answer_tells_the_network(model: str, tmp_path: Path, capfd) -> None:
    from stormcell.cli.main import main

    sc.write(ring(), tmp_path / "a.parquet")
    out = str(tmp_path / "o.tif")
    call = ["densify", str(tmp_path / "a.parquet"), "-o", out, "--model", model, "--no-classify", "--json"]
    assert main([*call, "--lower", str(tmp_path / "l.tif")]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["outputs"] == [out, str(tmp_path / "l.tif")]
    assert said["result"]["verdict"] == "not judged"
    assert any("network tiny" in note for note in said["result"]["notes"])
