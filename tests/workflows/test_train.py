"""train, models, reconstruct and localize with networks: from a recipe to a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import stormcell as sc
from stormcell.data import FrameStack, Localizations
from stormcell.errors import InputError, ModelError, OutputError
from stormcell.io.documents import read_yaml, write_yaml
from stormcell.io.hashing import hash_input
from stormcell.io.tables import read_table, write_table
from stormcell.learning.deepstorm_model import draft_card
from stormcell.learning.deepstorm_training import DeepStormTrainingSettings
from stormcell.workflows.models import card_rows
from stormcell.workflows.train import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.learning.model_folder import ModelCard
    from stormcell.learning.training import TrainerSettings
    from stormcell.learning.training_request import TrainingRequest

pytestmark = pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")

CAMERA = {
    "pixel_size_nm": 100,
    "camera_type": "cmos",
    "offset_adu": 100,
    "gain_e_per_adu": 0.5,
    "read_noise_e": 1.5,
}
TINY_DENSE = {
    "n_psfs": 2,
    "n_validation_psfs": 2,
    "widths": [8, 8, 8],
    "n_condition": 2,
    "data": {"batch_size": 2},
    "frames": {"field_px": 24, "background_e": [5.0, 20.0]},
    "psfs": {"gaussian_share": 1.0, "n_planes": 1, "z_range_nm": 0.0},
}
TINY_DEEPSTORM = {
    "n_frames": 2,
    "field_px": 26,
    "patch_px": 8,
    "most_patches": 20,
    "batch_size": 2,
    "fewest_emitters": 1,
    "example_frames": 3,
}


def movie(n: int = 12, side: int = 32, seed: int = 0) -> FrameStack:
    rng = np.random.default_rng(seed)
    return FrameStack.from_array((100 + 2 * rng.poisson(30, (n, side, side))).astype(np.uint16))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    for name, recipe in (("dense", TINY_DENSE), ("deepstorm", TINY_DEEPSTORM)):
        write_yaml(folder / f"{name}.yaml", recipe)
        sc.train(name, output=folder / name, config=folder / f"{name}.yaml", steps=4, seed=3)
    return {name: folder / name for name in ("dense", "deepstorm")}


@pytest.mark.parametrize("name", ["dense", "deepstorm"])
def test_training_writes_a_complete_model_folder(trained: dict[str, Path], name: str) -> None:
    folder = trained[name]
    written = {path.name for path in folder.iterdir()}
    assert {"model.yaml", "weights.safetensors", "preview.png", "curves.png", "jaccard.png", "training"} <= written
    card = read_yaml(folder / "model.yaml")
    assert card["training"]["recipe"]["seed"] == 3
    assert card["training"]["recipe"]["trainer"]["steps"] == 4
    assert list((folder / "training").rglob("events.out.tfevents*"))
    (entry,) = sc.models("show", str(folder))
    assert entry.card.name == name
    low, high = entry.card.valid_range.camera_pixel_size_nm
    assert low < 100 < high
    facts = entry.card.training
    assert facts["processor_s"] > 0
    assert facts["stormcell"] == sc.__version__
    shown = dict(card_rows(entry.card))
    assert shown["training hardware"] == facts["hardware"] != "unknown"
    assert (shown["training steps"], shown["training seed"]) == ("4", "3")


def test_a_given_number_of_steps_keeps_what_the_schedule_goes_by(tmp_path, monkeypatch) -> None:
    asked: list[TrainingRequest] = []

    def stand_in(request: TrainingRequest) -> ModelCard:
        asked.append(request)
        return draft_card()

    def trainer(task: str, steps: int) -> TrainerSettings:
        recipe = TASKS[task].load()[0]
        with monkeypatch.context() as patch:
            patch.setattr("stormcell.workflows.train.TrainingTask.load", lambda _: (recipe, stand_in))
            sc.train(task, output=tmp_path / f"{task}{steps}", steps=steps)
        return asked[-1].recipe.trainer

    # plateaus of the published network are counted in validations
    assert trainer("deepstorm", 1000).validation_every == DeepStormTrainingSettings().trainer.validation_every == 400
    assert (trainer("deepstorm", 1000).decay_steps, trainer("deepstorm", 1000).warmup_steps) == (0, 0)
    assert trainer("deepstorm", 100).validation_every == 10
    dense = trainer("dense", 2000)
    assert (dense.steps, dense.decay_steps, dense.validation_every) == (2000, 500, 1000)


def test_the_command_passes_device_progress_and_seed_on(tmp_path, monkeypatch) -> None:
    from stormcell.cli.command import Call
    from stormcell.cli.session import Session
    from stormcell.cli.train import VERB

    passed = {}

    def stand_in(task: str, **given: object) -> ModelCard:
        passed.update(given)
        return draft_card()

    monkeypatch.setattr("stormcell.workflows.train.train", stand_in)
    files = dict.fromkeys(extra.name for extra in VERB.extras)

    def bar(done: int, total: int) -> None: ...

    VERB.act(Call({"task": "dense", **files}, {"steps": 4}, tmp_path, Session(device="cpu", seed=3), bar))
    assert VERB.uses_device
    assert {name: passed[name] for name in ("device", "seed", "steps", "progress")} == {
        "device": "cpu",
        "seed": 3,
        "steps": 4,
        "progress": bar,
    }


def test_same_seed_gives_the_same_weights_and_a_model_is_not_overwritten(trained: dict[str, Path], tmp_path) -> None:
    config = trained["dense"].parent / "dense.yaml"
    sc.train("dense", output=tmp_path / "again", config=config, steps=4, seed=3, name="dense")
    first, second = (read_yaml(f / "model.yaml")["weights_sha256"] for f in (trained["dense"], tmp_path / "again"))
    assert first == second
    with pytest.raises(OutputError, match="already holds a model"):
        sc.train("dense", output=trained["dense"], config=config, steps=4)


def test_fine_tuning_keeps_sizes_and_says_where_it_started(trained: dict[str, Path], tmp_path) -> None:
    recipe = {**TINY_DENSE, "widths": [16, 16, 16]}
    write_yaml(tmp_path / "c.yaml", recipe)
    card = sc.train("dense", output=tmp_path / "m", config=tmp_path / "c.yaml", start=trained["dense"], steps=2)
    assert card.sizes["widths"] == [8, 8, 8]
    assert card.training["started_from"] == str(trained["dense"])
    assert card.training["started_from_sha256"] == read_yaml(trained["dense"] / "model.yaml")["weights_sha256"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    stack = movie(6)
    tifffile.imwrite(folder / "frames.tif", stack.read())
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 3200, (2, 300))
    truth = Localizations({"frame": np.sort(rng.integers(0, 6, 300)), "x_nm": x, "y_nm": y})
    write_table(truth, folder / "truth.csv")
    return folder


@pytest.mark.parametrize("name", ["dense", "deepstorm"])
def test_own_frames_with_true_positions_train_both(trained: dict[str, Path], own: Path, tmp_path, name: str) -> None:
    config = trained[name].parent / f"{name}.yaml"
    card = sc.train(name, output=tmp_path / "m", config=config, data=own, steps=2, **CAMERA)
    assert card.training["own_frames"] == own.name
    if name == "dense":
        assert "1 own frames that were held out" in card.scores["own_measured"]
        assert 0 <= card.scores["own_jaccard_250_nm"] <= 1
        assert 0 < card.scores["own_n_emitters"] < 300


def test_own_frames_that_do_not_fit_are_refused(own: Path, tmp_path) -> None:
    (tmp_path / "frames.tif").write_bytes((own / "frames.tif").read_bytes())
    with pytest.raises(InputError, match="expected one table"):
        sc.train("dense", output=tmp_path / "m", data=tmp_path, **CAMERA)
    far = read_table(own / "truth.csv")
    moved = Localizations({"frame": far["frame"], "x_nm": far["x_nm"] + 1e5, "y_nm": far["y_nm"]})
    write_table(moved, tmp_path / "truth.csv")
    with pytest.raises(InputError, match="got 0 of 300"):
        sc.train("dense", output=tmp_path / "m2", data=tmp_path, **CAMERA)


def test_unknown_tasks_and_models_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=", ".join(TASKS)):
        sc.train("magic", output=tmp_path / "m")
    with pytest.raises(ModelError, match="expected a model folder"):
        sc.localize(movie(), method="dense", model="magic", **CAMERA)
    with pytest.raises(InputError, match="expected one of list, show"):
        sc.models("magic")


def test_training_for_a_movie_takes_its_conditions(trained: dict[str, Path], tmp_path) -> None:
    acquisition = {
        "camera_pixel_size_nm": 110.0,
        "psf_sigma_nm": 130.0,
        "photons_mean": 900.0,
        "background_photons": 40.0,
        "density_per_um2": 1.5,
    }
    write_yaml(tmp_path / "acquisition.yaml", acquisition)
    for name in ("dense", "deepstorm"):
        config = trained[name].parent / f"{name}.yaml"
        like = tmp_path / "acquisition.yaml"
        card = sc.train(name, output=tmp_path / name, config=config, like=like, steps=2)
        low, high = card.valid_range.psf_sigma_px
        assert low < 130 / 110 < high < 1.5
        assert card.valid_range.electrons[0] < 900 < card.valid_range.electrons[1]
        assert (card.training["like"], card.training["like_sha256"]) == (like.name, hash_input(like).sha256)


@pytest.mark.parametrize("name", ["dense", "deepstorm"])
def test_reconstruct_writes_picture_and_list(trained: dict[str, Path], tmp_path, name: str) -> None:
    done = sc.reconstruct(
        movie(),
        model=str(trained[name]),
        output=tmp_path / "sr.ome.tif",
        localizations=tmp_path / "list.csv",
        **CAMERA,
    )
    assert done.image.pixels.shape == (256, 256)
    assert done.image.grid.extent_nm == (3200, 3200)
    assert done.image.provenance.verb == "reconstruct"
    assert (tmp_path / "sr.ome.tif").exists()
    assert (tmp_path / "list.csv").exists()
    if name == "deepstorm":
        with pytest.raises(InputError, match="does not tell how sure it is"):
            sc.reconstruct(movie(), model=str(trained[name]), uncertainty=tmp_path / "u.ome.tif", **CAMERA)
    else:
        assert done.uncertainty.pixels.shape == (256, 256)


def test_localize_dense_records_network_and_noise(trained: dict[str, Path]) -> None:
    table = sc.localize(movie(), method="dense", model=str(trained["dense"]), **CAMERA)
    names = {quantity.name for quantity in table.provenance.quantities}
    assert "variance_per_electron" in names
    assert any(note.startswith("network dense") for note in table.provenance.notes)
    assert {"uncertainty_x_nm", "photons", "probability"} <= set(table.names)


def test_a_movie_that_does_not_blink_is_left_to_single_fits_and_the_record_says_why(trained: dict[str, Path]) -> None:
    table = sc.localize(movie(), model=str(trained["dense"]), **CAMERA)
    assert any("method auto" in note and "could not be measured" in note for note in table.provenance.notes)
