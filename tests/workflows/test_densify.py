"""densify: from tables and images to pictures, maps and verdicts; with an untrained network, where any will do."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import stormcell as sc
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import InputError, OutputError, StormcellWarning
from stormcell.workflows.densify import densify
from stormcell.workflows.densify_input import input_of_image, place_widefield
from stormcell.workflows.densify_judgement import prior_share

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")

GRID = PixelGrid(100.0, (40, 40))


def curves(rng: np.random.Generator, n: int, side_nm: float = 4000.0) -> tuple[np.ndarray, np.ndarray]:
    """Positions along a circle and a diagonal."""
    along = rng.random(n)
    circle = rng.random(n) < 0.6
    x = np.where(circle, 0.5 + 0.3 * np.cos(2 * np.pi * along), 0.1 + 0.8 * along)
    y = np.where(circle, 0.45 + 0.3 * np.sin(2 * np.pi * along), 0.9 - 0.7 * along**2)
    return x * side_nm, y * side_nm


def table(n: int = 600, seed: int = 0, **more: object) -> Localizations:
    rng = np.random.default_rng(seed)
    x, y = curves(rng, n)
    columns = {
        "frame": np.sort(rng.integers(0, 500, n)),
        "x_nm": x + rng.normal(0, 12, n),
        "y_nm": y + rng.normal(0, 12, n),
        "uncertainty_x_nm": np.full(n, 12.0),
        "uncertainty_y_nm": np.full(n, 12.0),
    }
    return Localizations({**columns, **more}, grid=GRID, n_frames=500)


def widefield(shift_nm: tuple[float, float] = (0.0, 0.0), pixel_nm: float = 100.0, n: int = 200_000) -> SRImage:
    """Camera image of the same curves, displaced by (y, x)."""
    rng = np.random.default_rng(9)
    x, y = curves(rng, n)
    count = round(4000 / pixel_nm)
    sides = [np.arange(0, 4000.1, 10)] * 2
    fine, _, _ = np.histogram2d(y + shift_nm[0], x + shift_nm[1], bins=sides)
    image = gaussian_filter(fine, 13).reshape(count, 400 // count, count, 400 // count).sum(axis=(1, 3))
    noisy = rng.poisson(image / image.max() * 2000 + 100)
    return SRImage(noisy.astype(np.float32), PixelGrid(pixel_nm, (count, count)), "photons")


def test_picture_uncertainty_and_verdict_of_a_table(model: str, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.ome.tif" for name in ("uncertainty", "error_map", "classes", "support")}
    done = densify(table(), widefield=widefield(), model=model, share=0.1, output=tmp_path / "sr.ome.tif", maps=files)
    assert done.image.grid == PixelGrid(20.0, (200, 200))
    assert done.given.n_events < 600  # bursts are linked where rows of neighbouring frames lie together
    again = sc.read(tmp_path / "sr.ome.tif")
    assert np.array_equal(again.pixels, done.image.pixels)
    assert again.provenance.verb == "densify"
    assert {path.name for path in tmp_path.iterdir()} == {"sr.ome.tif", *(f.name for f in files.values())}
    assert set(np.unique(done.classes.pixels)) <= {0, 1, 2, 3}
    numbers = done.verdict.numbers
    assert numbers["measured_share"] + numbers["inferred_share"] + numbers["contradicted_share"] == pytest.approx(1)
    assert 0 <= numbers["prior_share"] <= 1
    assert done.verdict.level in ("supported", "mostly inferred", "doubtful")


def test_share_scales_picture_and_uncertainty(model: str) -> None:
    from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
    from stormcell.learning.annapalm_model import load_densify_model

    done = densify(table(), model=model, share=0.1, classify=False)
    settings = DensifyInferenceSettings(share=0.1)
    direct = densify_image(load_densify_model(model), done.given.counts, None, settings)
    assert np.allclose(done.image.pixels, 10 * direct.rate, rtol=1e-4)
    assert np.allclose(done.uncertainty.pixels, 10 * direct.standard_deviation, rtol=1e-4)


def test_support_counts_independent_events(model: str) -> None:
    # one burst of 30 frames is one event, however often it was seen
    n = 30
    burst = Localizations(
        {
            "frame": np.arange(n),
            "x_nm": np.full(n, 1010.0),
            "y_nm": np.full(n, 2010.0),
            "uncertainty_x_nm": np.full(n, 12.0),
            "uncertainty_y_nm": np.full(n, 12.0),
        },
        grid=GRID,
        n_frames=100,
    )
    done = densify(burst, model=model)
    assert done.given.n_events == 1
    assert done.support.pixels.max() == 1
    assert done.given.counts[100, 50] == 1
    assert done.verdict.numbers["measured_share"] == 0


@pytest.mark.parametrize("shift_nm", [(0.0, 0.0), (-130.0, 60.0), (35.0, 220.0)])
def test_widefield_is_found_and_moved_to_the_events(model: str, shift_nm: tuple[float, float]) -> None:
    done = densify(table(3000), widefield=widefield(shift_nm), model=model, classify=False)
    assert done.given.shift_nm == pytest.approx(shift_nm, abs=12)
    assert done.given.widefield.grid.origin_nm == pytest.approx((-shift_nm[0], -shift_nm[1]), abs=12)


def test_widefield_of_another_cell_is_refused(model: str) -> None:
    rng = np.random.default_rng(2)
    other = gaussian_filter(rng.random((40, 40)), 2).astype(np.float32)
    with pytest.raises(InputError, match="does not fit the events"):
        densify(table(3000), widefield=SRImage(other, GRID, "photons"), model=model)
    far = SRImage(other, PixelGrid(100.0, (40, 40), (9000.0, 0.0)), "photons")
    with pytest.raises(InputError, match="do not overlap"):
        densify(table(3000), widefield=far, model=model)


def test_unequal_pixels_share_edges(model: str) -> None:
    # 4000 nm are 62.5 pixels of 64 nm: the edges of the field count, not the number of pixels
    one = densify(table(3000), widefield=widefield(pixel_nm=80.0), model=model, classify=False)
    assert one.given.shift_nm == pytest.approx((0, 0), abs=12)
    assert one.image.grid.shape == (200, 200)


@pytest.mark.parametrize("n", [0, 1])
def test_nearly_empty_tables(model: str, n: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = densify(table().take(slice(0, n)), model=model)
    assert done.image.pixels.shape == (200, 200)
    assert np.isfinite(done.image.pixels).all()
    assert (done.verdict.level == "empty") == (n == 0)
    assert any(("empty" if n == 0 else "1 event in the field: too few") in str(w.message) for w in caught)


def test_empty_table_with_a_widefield_is_drawn_from_that(model: str) -> None:
    with pytest.warns(StormcellWarning, match="too few"):
        done = densify(table().take(slice(0, 0)), widefield=widefield(), model=model)
    assert done.image.pixels.any()
    assert done.image.unit == done.uncertainty.unit == "relative density"  # how many events there are nobody knows


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 13)])
def test_small_and_odd_fields(model: str, shape: tuple[int, int]) -> None:
    small = Localizations(
        {"frame": [0], "x_nm": [60.0], "y_nm": [60.0], "uncertainty_x_nm": [10.0], "uncertainty_y_nm": [10.0]},
        grid=PixelGrid(90.0, shape),
        n_frames=10,
    )
    done = densify(small, model=model)
    rows, columns = (int(np.ceil(side * 90 / 20)) for side in shape)
    assert done.image.pixels.shape == (rows, columns)
    assert done.uncertainty.pixels.shape == (rows, columns)


def test_what_a_table_lacks_is_said(model: str) -> None:
    full = table()
    with pytest.warns(StormcellWarning, match="no frames"):
        done = densify(full.without_columns("frame"), model=model, classify=False)
    assert done.given.n_events == full.n_rows
    bare = full.without_columns("uncertainty_x_nm", "uncertainty_y_nm")
    with pytest.warns(StormcellWarning, match="no uncertainty"):
        assert densify(bare, model=model).support is not None
    x_nm = full["x_nm"].copy()
    x_nm[:7] = np.nan
    with pytest.warns(StormcellWarning, match="7 rows without"):
        densify(full.with_columns(x_nm=x_nm), model=model, classify=False)


def test_images_as_input(model: str) -> None:
    counts = np.random.default_rng(0).poisson(0.05, (80, 80)).astype(np.float32)
    same = input_of_image(SRImage(counts, PixelGrid(20.0, (80, 80)), "localizations"))
    assert np.array_equal(same.counts, counts)
    with pytest.warns(StormcellWarning, match="pixels of 32 nm"):
        other = input_of_image(SRImage(counts, PixelGrid(32.0, (80, 80)), "localizations"))
    assert other.grid.shape == (128, 128)
    assert other.n_events == pytest.approx(counts.sum(), rel=1e-5)  # none is lost or made
    assert other.counts[:8, :8].sum() == pytest.approx(counts[:5, :5].sum(), rel=1e-5)
    with pytest.warns(StormcellWarning, match="taken as numbers of events"):
        input_of_image(SRImage(counts, PixelGrid(20.0, (80, 80)), "grey"))
    wide = densify(widefield(), model=model)
    assert wide.given.counts is None
    assert wide.image.pixels.any()
    assert wide.image.unit == "relative density"


def test_out_of_range_inputs_are_doubtful(model: str) -> None:
    for options, word in (({"structure": "clathrin"}, "has not seen"), ({"share": 0.9}, "% of the frames")):
        with pytest.warns(StormcellWarning, match=word):
            done = densify(table(), model=model, classify=False, **options)
        assert done.verdict.level == "doubtful"
        assert any(word in sentence for sentence in done.verdict.sentences)
    with pytest.warns(StormcellWarning, match="3 events in the field: too few"):
        densify(table(3), model=model, classify=False)
    dense = Localizations(
        {name: np.tile(table()[name], 20) for name in table().names}, grid=GRID, n_frames=500
    ).without_columns("frame")
    with pytest.warns(StormcellWarning, match="denser"):
        densify(dense, model=model, classify=False)


def test_prior_share_of_known_pictures() -> None:
    even = np.ones((20, 20), np.float32)
    assert prior_share(even, [even]).max() == 0
    assert prior_share(even, [0.25 * even, 0.5 * even]) == pytest.approx(0.75)
    assert prior_share(0 * even, [0 * even]).max() == 0


def test_contradicted_structure_is_found_and_suppressed() -> None:
    # a picture with a second, invented curve: the wide-field image does not show it
    from stormcell.workflows.densify_input import DensifyInput
    from stormcell.workflows.densify_judgement import judge, without_contradicted

    rng = np.random.default_rng(3)
    x, y = curves(rng, 400_000)
    truth = np.histogram2d(y, x, bins=[np.arange(0, 4001, 20)] * 2)[0]
    drawn = gaussian_filter(truth, 1.0) / 100
    line = np.zeros_like(drawn)
    line[168:172, 110:180] = drawn.max()
    invented = SRImage((drawn + gaussian_filter(line, 1.0)).astype(np.float32), PixelGrid(20.0, (200, 200)), "events")
    given = DensifyInput(invented.grid, None, widefield=widefield())
    judged = judge(invented, given, "unknown", lambda _: invented)
    assert (judged.classes.pixels[168:172, 120:170] == 3).mean() > 0.8
    assert (judged.classes.pixels[drawn > 0.3 * drawn.max()] == 3).mean() < 0.05
    clean = without_contradicted(invented, judged)
    before, after = (image.pixels[166:174, 120:170].sum() for image in (invented, clean))
    assert after < 0.4 * before


def test_consistency_is_low_where_the_picture_explains_the_wide_field(model: str) -> None:
    done = densify(table(), widefield=widefield(), model=model, classify=False)
    grid = done.judged.comparison.widefield.grid
    assert done.consistency.grid == grid
    assert done.consistency.pixels.min() >= 0
    assert done.consistency.pixels.max() <= 2
    # the same picture against a wide-field image turned by a quarter explains less
    turned = replace(widefield(), pixels=np.rot90(widefield().pixels).copy())
    other = densify(table(), widefield=turned, model=model, classify=False, register_widefield=False)
    assert other.consistency.pixels.mean() > 1.5 * done.consistency.pixels.mean()


def test_refusals(model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="compare the picture with a wide-field"):
        densify(table(), model=model, maps={"error_map": tmp_path / "e.tif"})
    with pytest.raises(InputError, match="as a map to write"):
        densify(table(), model=model, maps={"variance": tmp_path / "e.tif"})
    with pytest.raises(InputError, match="--classify"):
        densify(table(), model=model, classify=False, maps={"classes": tmp_path / "e.tif"})
    (tmp_path / "there.tif").write_bytes(b"x")
    with pytest.raises(OutputError, match="exists"):
        densify(table(), model=model, output=tmp_path / "there.tif")


def test_registration_can_be_left_out() -> None:
    counts = np.zeros((200, 200), np.float32)
    given = input_of_image(SRImage(counts, PixelGrid(20.0, (200, 200)), "localizations"))
    placed = place_widefield(given, widefield((50.0, 0.0)), 500, register=False)
    assert placed.shift_nm is None
    assert placed.widefield.grid.origin_nm == (0, 0)


def test_the_command_line_says_the_verdict_and_the_shift(model: str, tmp_path: Path, capfd) -> None:
    from stormcell.cli.main import main

    sc.write(table(3000), tmp_path / "cell.parquet")
    sc.write(widefield((35.0, 60.0)), tmp_path / "wf.ome.tif")
    call = ["densify", str(tmp_path / "cell.parquet"), "--model", model, "--json"]
    assert main([*call, "--widefield", str(tmp_path / "wf.ome.tif"), "--classes", str(tmp_path / "c.tif")]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["result"]["shift_x_nm"] == pytest.approx(60, abs=12)
    assert said["result"]["verdict"] in ("supported", "mostly inferred", "doubtful")
    assert {path.name for path in tmp_path.iterdir()} >= {"cell_densify.ome.tif", "c.tif"}
    assert main([*call, "-o", str(tmp_path / "d.tif"), "--error-map", str(tmp_path / "e.tif")]) == 2
    assert "pass --widefield" in json.loads(capfd.readouterr().out)["error"]


def test_a_picture_finer_than_its_events_is_said_to_be() -> None:
    from stormcell.workflows.densify_input import independent_events, input_of_events
    from stormcell.workflows.densify_judgement import Judgement
    from stormcell.workflows.densify_settings import DensifyVerbSettings
    from stormcell.workflows.densify_verdict import verdict

    events, note = independent_events(table(4000), link=False, linking=DensifyVerbSettings().linking)
    given = input_of_events(events, None, note)
    plain = sc.render(events, sr_pixel_size_nm=20)
    fine = SRImage(plain.pixels**2, plain.grid, plain.unit)
    for picture, sharpened in ((plain, False), (fine, True)):
        said = verdict(picture, given, Judgement(), [])
        assert (said.numbers["fine_detail_gain"] > 1.45) == sharpened
        assert any("fine detail" in sentence for sentence in said.sentences) == sharpened


def test_events_of_chance_are_drawn_as_their_density(model: str) -> None:
    rng = np.random.default_rng(9)
    strewn = table(600, x_nm=rng.uniform(0, 4000, 600), y_nm=rng.uniform(0, 4000, 600))
    done = densify(strewn, model=model, share=0.1, link=False)
    assert done.image.pixels.std() < 0.2 * done.image.pixels.mean()
    assert done.image.pixels.sum() == pytest.approx(6000, rel=0.05)
    assert done.verdict.level == "doubtful"
    assert "chance" in " ".join(done.verdict.sentences)
    plain = densify(strewn, model=model, share=0.1, link=False, flatten=False)
    assert plain.image.pixels.std() > done.image.pixels.std()


def test_structure_is_never_flattened(model: str) -> None:
    lined = table(150)
    drawn, same = (densify(lined, model=model, flatten=flatten) for flatten in (True, False))
    np.testing.assert_array_equal(drawn.image.pixels, same.image.pixels)
