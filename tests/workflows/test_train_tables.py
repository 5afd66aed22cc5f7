"""train annapalm on own tables: what is checked, what is learned from, what is written."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormcell as sc
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import DataQualityWarning, InputError
from stormcell.io.documents import write_yaml
from stormcell.io.tables import write_table
from stormcell.workflows.train_tables import TablesRequest, own_fields
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
        return own_fields(TablesRequest(path, **options))


def test_every_table_becomes_a_field_from_its_corner(tables: Path) -> None:
    fields = quiet(tables, structure="actin")
    assert len(fields) == 3
    for field in fields:
        assert field.label == 3
        assert field.x_nm.min() >= 0
        assert field.x_nm.max() < field.extent_nm[1]
        # a ring of 1.4 um; bursts of neighbours in time and space are rare
        assert 1400 < field.extent_nm[0] < 1600
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
    drawn = sc.densify(ring(7), model=str(tmp_path / "m"))
    assert drawn.image.pixels.sum() > 0


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
def test_fine_tuning_keeps_the_sizes_of_the_start(tables: Path, config: Path, tmp_path) -> None:
    first = sc.train("annapalm", output=tmp_path / "a", data=tables, config=config, steps=2)
    write_yaml(tmp_path / "wide.yaml", {**TINY, "widths": [16, 16, 16, 16]})
    card = sc.train(
        "annapalm", output=tmp_path / "b", data=tables, config=tmp_path / "wide.yaml", start=tmp_path / "a", steps=2
    )
    assert card.sizes["widths"] == (8, 8, 8, 8) == first.sizes["widths"]
    assert card.training["started_from"] == str(tmp_path / "a")


def test_a_wide_field_image_is_laid_under_its_table(tables: Path, tmp_path) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    for seed in range(3):
        table = ring(seed)
        image, _, _ = np.histogram2d(table["y_nm"], table["x_nm"], bins=24, range=[[0, 2400], [0, 2400]])
        from scipy.ndimage import gaussian_filter

        blurred = gaussian_filter(image, 1.3).astype(np.float32)
        write(SRImage(blurred, PixelGrid(100.0, (24, 24), (0.0, 0.0)), "e"), wide / f"cell{seed}.tif")
    fields = quiet(tables, widefield=wide)
    for field in fields:
        assert field.widefield is not None
        rows, columns = (
            np.minimum((p / 20).astype(int), n - 1)
            for p, n in ((field.y_nm, field.widefield.shape[0]), (field.x_nm, field.widefield.shape[1]))
        )
        # brighter under the events than elsewhere
        assert field.widefield[rows, columns].mean() > 1.3 * field.widefield.mean()
    (wide / "cell1.tif").unlink()
    with pytest.warns(DataQualityWarning, match=r"cell1\.csv is left out"):
        assert len(own_fields(TablesRequest(tables, wide))) == 2


def test_what_cannot_teach_is_left_out_with_the_reason(tables: Path, tmp_path) -> None:
    whole = ring(0)
    write_table(whole.take(np.arange(100)), tables / "few.csv")
    write_table(Localizations({n: whole[n] for n in ("x_nm", "y_nm")}), tables / "timeless.csv")
    with pytest.warns(DataQualityWarning) as caught:
        fields = own_fields(TablesRequest(tables))
    said = [str(one.message) for one in caught]
    assert len(fields) == 3
    assert any("few.csv is left out" in one and "too few to learn from" in one for one in said)
    assert any("timeless.csv is left out: it has no frames" in one for one in said)
    for path in tables.glob("cell*"):
        path.unlink()
    with pytest.warns(DataQualityWarning), pytest.raises(InputError, match="none can be used"):
        own_fields(TablesRequest(tables))


def test_drift_is_told(tmp_path) -> None:
    write_table(ring(0, n=6000, drift_nm=150.0), tmp_path / "moving.csv")
    with pytest.warns(DataQualityWarning, match=r"moving\.csv drifts by 1\d\d nm"):
        own_fields(TablesRequest(tmp_path))


def test_options_of_tables_belong_to_tables(tables: Path, tmp_path) -> None:
    with pytest.raises(InputError, match="--structure belong to tables"):
        sc.train("dense", output=tmp_path / "m", structure="actin")
    with pytest.raises(InputError, match="one of microtubules"):
        sc.train("annapalm", output=tmp_path / "m", data=tables, structure="cheese")
