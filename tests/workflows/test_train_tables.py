"""train annapalm on own tables: what is checked, what is learned from, what is written."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter

import stormcell as sc
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import DataQualityWarning, InputError
from stormcell.io.documents import write_yaml
from stormcell.io.tables import write_table
from stormcell.learning.annapalm_training import DensifyTrainingSettings, MaskedData
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM
from stormcell.workflows.densify_input import NETWORK_PIXEL_SIZE_NM
from stormcell.workflows.train import TASKS, TrainVerbSettings
from stormcell.workflows.train_tables import TablesRequest, own_tables
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from pathlib import Path

N_FRAMES = 900
TINY = {
    "widths": [8, 8, 8, 8],
    "blocks": [1, 1, 1, 1],
    "data": {"batch_size": 2, "n_fields": 2},
    "pairs": {"crop_px": 32},
    "fields": {"side_nm": 3000.0},
}


def ring(seed: int, n: int = 700, drift_nm: float = 0.0) -> Localizations:
    """Emitters on a ring of 700 nm radius, each seen once, in a random frame."""
    rng = np.random.default_rng(seed)
    angle, frame = rng.uniform(0, 2 * np.pi, n), np.sort(rng.integers(0, N_FRAMES, n))
    x_nm = 1000 + 50 * seed + 700 * np.cos(angle) + rng.normal(0, 10, n) + drift_nm * frame / N_FRAMES
    y_nm = 1000 + 700 * np.sin(angle) + rng.normal(0, 10, n)
    sigma = np.full(n, 10.0)
    return Localizations(
        {"frame": frame, "x_nm": x_nm, "y_nm": y_nm, "uncertainty_x_nm": sigma, "uncertainty_y_nm": sigma}
    )


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    for seed in range(3):
        write_table(ring(seed), folder / f"cell{seed}.csv")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_yaml(tmp_path / "tiny.yaml", TINY)
    return tmp_path / "tiny.yaml"


def quiet(path: Path, **options: object) -> tuple:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return own_tables(TablesRequest(path, **options)).fields


def test_every_table_becomes_a_field_from_its_corner(tables: Path) -> None:
    fields = quiet(tables, structure="actin")
    assert len(fields) == 3
    for field in fields:
        assert field.label == 3
        assert field.x_nm.min() >= 0
        assert field.x_nm.max() < field.extent_nm[1]
        # a ring of 1.4 um and what lies round it; bursts of neighbours in time and space are rare
        assert 1400 < field.extent_nm[0] < 2100
        assert 650 <= len(field.x_nm) <= 700
        assert 0 <= field.frame.min()
        assert field.frame.max() < field.n_frames <= N_FRAMES


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
def test_training_writes_pairs_scores_and_which_fields_were_held_out(tables: Path, config: Path, tmp_path) -> None:
    card = sc.train("annapalm", output=tmp_path / "m", data=tables, config=config, steps=3, structure="actin")
    written = {path.name for path in (tmp_path / "m").iterdir()}
    assert {"model.yaml", "weights.safetensors", "pairs.png", "curves.png", "preview.png", "training"} <= written
    assert card.scores["measured"].startswith("1 held-out fields")
    assert -1 <= card.scores["score"] <= 1
    assert "trained on 2 measured fields, 1 others were held out" in card.notes
    assert card.training["tables"] == "tables"
    assert card.training["recipe"]["trainer"]["matrix_learning_rate"] == pytest.approx(4e-3)
    assert card.valid_range.structures == ("actin",)
    checks = (tmp_path / "m" / "tables.txt").read_text().splitlines()
    assert len(checks) == len(card.training["checks"]) == 3
    assert all(line.endswith("no wide-field image") for line in checks)
    drawn = sc.densify(ring(7), model=str(tmp_path / "m"))
    assert drawn.image.pixels.sum() > 0
    with pytest.warns(DataQualityWarning, match="has not seen mitochondria"):
        sc.densify(ring(7), model=str(tmp_path / "m"), structure="mitochondria")


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
def test_one_table_is_enough_and_a_stopped_training_goes_on_to_the_same_weights(
    tables: Path, config: Path, tmp_path
) -> None:
    for seed in (1, 2):
        (tables / f"cell{seed}.csv").unlink()
    whole = sc.train("annapalm", output=tmp_path / "whole", data=tables, config=config, steps=4)
    assert "rightmost was held out" in whole.notes[0]
    from stormcell.learning.annapalm_task import hold_out
    from stormcell.learning.annapalm_training import DensifyTrainingSettings, train_densify

    recipe = DensifyTrainingSettings.create(**whole.training["recipe"])
    training, held_out, _ = hold_out(quiet(tables))
    folder = tmp_path / "halves"
    train_densify(folder / "training", recipe, measured=training, measured_validation=held_out, stop_at=2)
    resumed = sc.train("annapalm", output=folder, data=tables, config=config, steps=4, resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
def test_fine_tuning_keeps_the_sizes_of_the_start_and_learns_gently(tables: Path, tmp_path) -> None:
    write_yaml(tmp_path / "first.yaml", {**TINY, "fine": 6})
    first = sc.train("annapalm", output=tmp_path / "a", data=tables, config=tmp_path / "first.yaml", steps=2)
    write_yaml(tmp_path / "wide.yaml", {**TINY, "widths": [16] * 4, "trainer": {"learning_rate": 3e-3}})
    card = sc.train(
        "annapalm", output=tmp_path / "b", data=tables, config=tmp_path / "wide.yaml", start=tmp_path / "a", steps=2
    )
    assert card.sizes["widths"] == (8, 8, 8, 8) == first.sizes["widths"]
    assert card.sizes["fine"] == 6 == first.sizes["fine"]
    assert card.training["started_from"] == str(tmp_path / "a")
    told = card.training["recipe"]["trainer"]
    # what the config says wins, the rest is a quarter of the rates of training from nothing
    assert told["learning_rate"] == pytest.approx(3e-3)
    assert told["matrix_learning_rate"] == pytest.approx(1e-3)
    assert told["decay_steps"] == 1


def test_the_rates_of_a_start_hold_for_annapalm_alone() -> None:
    gentle = TASKS["annapalm"].trainer(fine_tunes=True)
    plain = TASKS["annapalm"].trainer(fine_tunes=False)
    assert (gentle.learning_rate, gentle.matrix_learning_rate) == pytest.approx((5e-4, 1e-3))
    assert (plain.learning_rate, plain.matrix_learning_rate) == pytest.approx((2e-3, 4e-3))
    assert gentle.decay_steps == gentle.steps // 2
    assert TASKS["dense"].trainer(fine_tunes=True) == TASKS["dense"].trainer(fine_tunes=False)


def widefield_of_ring(seed: int, columns: int = 24, moved_px: int = 0) -> np.ndarray:
    """Pixels of 100 nm from 0 nm on."""
    table = ring(seed)
    image, _, _ = np.histogram2d(table["y_nm"], table["x_nm"], bins=24, range=[[0, 2400], [0, 2400]])
    return np.roll(gaussian_filter(image, 1.3), moved_px, axis=1)[:, :columns].astype(np.float32)


def test_where_a_wide_field_image_lay_is_told_for_every_table(tables: Path, tmp_path) -> None:
    image = SRImage(widefield_of_ring(0, moved_px=2), PixelGrid(100.0, (24, 24), (0.0, 0.0)), "e")
    write(image, tmp_path / "wide.tif")
    for seed in (1, 2):
        (tables / f"cell{seed}.csv").unlink()
    (check,) = own_tables(TablesRequest(tables, tmp_path / "wide.tif")).checks
    moved = re.search(r"lay (-?\d+) nm \(x\) and (-?\d+) nm \(y\) off and was moved", check)
    assert int(moved[1]) == pytest.approx(200, abs=40)
    assert int(moved[2]) == pytest.approx(0, abs=40)
    (check,) = own_tables(TablesRequest(tables, tmp_path / "wide.tif", register_widefield=False)).checks
    assert check.endswith("taken as aligned")


def test_a_wide_field_image_without_a_pixel_size_takes_it_from_an_option_of_train(tables: Path, tmp_path) -> None:
    tifffile.imwrite(tmp_path / "wide.tif", widefield_of_ring(0))
    with (
        pytest.warns(DataQualityWarning, match="is left out"),
        pytest.raises(InputError, match=r"pass --widefield-pixel-size-nm"),
    ):
        own_tables(TablesRequest(tables, tmp_path / "wide.tif"))
    assert "widefield_pixel_size_nm" in TrainVerbSettings.model_fields
    fields = quiet(tables, widefield=tmp_path / "wide.tif", widefield_pixel_size_nm=100.0)
    assert all(field.widefield is not None for field in fields)


def test_an_image_of_another_field_names_an_option_of_train(tables: Path, tmp_path) -> None:
    noise = np.random.default_rng(1).normal(100, 5, (24, 24)).astype(np.float32)
    write(SRImage(noise, PixelGrid(100.0, (24, 24), (0.0, 0.0)), "e"), tmp_path / "wide.tif")
    with (
        pytest.warns(DataQualityWarning, match="does not fit the events"),
        pytest.raises(InputError, match="--no-register-widefield"),
    ):
        own_tables(TablesRequest(tables, tmp_path / "wide.tif"))
    assert "register_widefield" in TrainVerbSettings.model_fields
    assert len(quiet(tables, widefield=tmp_path / "wide.tif", register_widefield=False)) == 3


def test_what_a_wide_field_image_does_not_cover_is_not_taught_as_dark(tmp_path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    # the table has a field of its own; its right part, with half of the ring, lies outside the image
    table = ring(0)
    columns = {name: table[name] for name in table.names}
    write_table(Localizations(columns, grid=PixelGrid(100.0, (24, 24))), folder / "cell0.parquet")
    image = SRImage(widefield_of_ring(0, columns=10), PixelGrid(100.0, (24, 10), (0.0, 0.0)), "e")
    write(image, tmp_path / "wide.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        found = own_tables(TablesRequest(folder, tmp_path / "wide.tif", register_widefield=False))
    (field,) = found.fields
    assert "which covers 42% of the field" in found.checks[0]
    assert np.isfinite(field.widefield[:, :50]).all()
    assert np.isnan(field.widefield[:, 50:]).all()
    settings = DensifyTrainingSettings.create(**TINY)
    options = settings.data.replace(simulated_share=0.0, batch_size=8)
    batch = MaskedData(options, settings.pairs, settings.fields, 1, [field]).batch(0)
    shown = batch.given.mask[:, 1] > 0
    assert torch.isfinite(batch.given.widefield).all()
    assert (batch.given.widefield[:, 0][~shown] == 0).all()
    with_image = batch.given.present[:, 1] > 0
    parts = shown[with_image].float().mean(dim=(1, 2))
    assert parts.max() > 0.3
    assert parts.min() < 0.9
    # the counts are shown on both sides
    assert batch.given.mask[batch.given.present[:, 0] > 0, 0].mean() > parts.mean()


def test_a_wide_field_image_is_laid_under_its_table(tables: Path, tmp_path) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    for seed in range(3):
        blurred = widefield_of_ring(seed)
        write(SRImage(blurred, PixelGrid(100.0, (24, 24), (0.0, 0.0)), "e"), wide / f"cell{seed}.tif")
    fields = quiet(tables, widefield=wide)
    for field in fields:
        assert field.widefield is not None
        rows, columns = (
            np.minimum((p / 20).astype(int), n - 1)
            for p, n in ((field.y_nm, field.widefield.shape[0]), (field.x_nm, field.widefield.shape[1]))
        )
        # brighter under the events than elsewhere
        assert np.nanmean(field.widefield[rows, columns]) > 1.3 * np.nanmean(field.widefield)
    (wide / "cell1.tif").unlink()
    with pytest.warns(DataQualityWarning, match=r"cell1\.csv is left out"):
        assert len(own_tables(TablesRequest(tables, wide)).fields) == 2


def test_what_cannot_teach_is_left_out_with_the_reason(tables: Path, tmp_path) -> None:
    whole = ring(0)
    write_table(whole.take(np.arange(100)), tables / "few.csv")
    write_table(Localizations({n: whole[n] for n in ("x_nm", "y_nm")}), tables / "timeless.csv")
    with pytest.warns(DataQualityWarning) as caught:
        found = own_tables(TablesRequest(tables))
    said = [str(one.message) for one in caught]
    assert len(found.fields) == 3
    assert any("few.csv is left out" in one and "too few to learn from" in one for one in said)
    assert any("timeless.csv is left out: it has no frames" in one for one in said)
    assert [line.split(":")[0] for line in found.checks] == [
        *(f"cell{seed}.csv" for seed in range(3)),
        "few.csv is left out",
        "timeless.csv is left out",
    ]
    for path in tables.glob("cell*"):
        path.unlink()
    with pytest.warns(DataQualityWarning), pytest.raises(InputError, match=r"none can be used: few\.csv is left out"):
        own_tables(TablesRequest(tables))


def test_drift_is_told(tmp_path) -> None:
    write_table(ring(0, n=6000, drift_nm=150.0), tmp_path / "moving.csv")
    with pytest.warns(DataQualityWarning, match=r"moving\.csv drifts by 1\d\d nm"):
        own_tables(TablesRequest(tmp_path))


def test_tables_are_counted_on_the_pixels_of_the_network() -> None:
    assert NETWORK_PIXEL_SIZE_NM == SR_PIXEL_SIZE_NM


def test_options_of_tables_belong_to_tables(tables: Path, tmp_path) -> None:
    with pytest.raises(InputError, match="--structure belong to tables"):
        sc.train("dense", output=tmp_path / "m", structure="actin")
    with pytest.raises(InputError, match="belong to tables"):
        sc.train("annapalm", output=tmp_path / "m", register_widefield=False)
    with pytest.raises(InputError, match="one of microtubules"):
        sc.train("annapalm", output=tmp_path / "m", data=tables, structure="cheese")
