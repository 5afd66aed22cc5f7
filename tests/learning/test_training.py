"""The trainer: what a resumed training keeps, which batches are seen, and what it tells meanwhile."""

import copy

import pytest
import torch

from stormcell.learning.curves import JACCARD_PICTURE, METRICS_FILE, draw_curves, read_metrics
from stormcell.learning.training import Task, TrainerSettings, batch_index, train
from stormcell.learning.training_callbacks import ListScore
from stormcell.learning.training_run import LAST_CHECKPOINT, current_run, read_checkpoint, training_run

STEPS = 8


def numbers(index):
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(index))


def squared(network, batch):
    return {"loss": (network(batch) - 2).square().mean()}


def run(folder, *, validated=lambda index: numbers(100 + index), callbacks=(), changes=None, **options):
    torch.manual_seed(1)
    network = torch.nn.Linear(3, 1)
    seen = []

    def training_batch(index):
        seen.append(index)
        return numbers(index)

    schedule = {"steps": STEPS, "warmup_steps": 1, "decay_steps": 2, "ema_decay": 0.9, "validation_every": 2}
    settings = TrainerSettings(**schedule, **(changes or {}))
    task = Task(network, squared, training_batch, validated, settings)
    train(task, settings, folder, n_validation_batches=2, callbacks=callbacks, **options)
    return network, seen


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_training_killed_while_scoring_resumes_with_its_averaged_weights(tmp_path):
    whole, seen = run(tmp_path)
    assert seen == list(range(STEPS))
    kept = copy.deepcopy(whole.state_dict())
    again, seen = run(tmp_path, resume=True)
    assert seen == []
    assert same(kept, again.state_dict())
    trained = read_checkpoint(tmp_path / LAST_CHECKPOINT)["current_model_state"]
    assert not same(kept, {name.removeprefix("network."): value for name, value in trained.items()})


def test_a_training_that_ran_out_of_patience_is_not_taken_up_again(tmp_path):
    count = iter(range(100))

    def worse(index):
        return numbers(index) * 10.0 ** next(count)

    whole, seen = run(tmp_path, validated=worse, changes={"patience": 1})
    assert seen == [0, 1, 2, 3]
    kept = copy.deepcopy(whole.state_dict())
    again, seen = run(tmp_path, validated=worse, changes={"patience": 1}, resume=True)
    assert seen == []
    assert same(kept, again.state_dict())


def test_a_resumed_training_keeps_its_log_up_to_the_checkpoint(tmp_path):
    run(tmp_path / "whole")
    run(tmp_path / "halves", stop_at=5)
    # rows behind the checkpoint, as a killed training leaves them
    log = tmp_path / "halves" / METRICS_FILE
    columns = log.read_text().partition("\n")[0].strip().split(",")
    log.write_text(log.read_text() + ",".join("5" if name == "step" else "9.0" for name in columns) + "\n")
    run(tmp_path / "halves", resume=True)
    whole, halves = (
        [(row["step"], row["validation/loss"], row["training/loss"]) for row in read_metrics(path / METRICS_FILE)]
        for path in (tmp_path / "whole", tmp_path / "halves")
    )
    assert [step for step, validation, _ in whole if validation] == ["1", "3", "5", "7"]
    assert halves == whole


def test_each_of_several_processes_sees_batches_of_its_own():
    assert [batch_index(step, 0, 1) for step in range(4)] == [0, 1, 2, 3]
    seen = [batch_index(step, rank, 3) for step in range(4) for rank in range(3)]
    assert sorted(seen) == list(range(12))


def test_the_caller_says_where_and_is_told_how_far(tmp_path):
    class Told:
        def __init__(self):
            self.stages, self.steps = [], []

        def stage(self, name):
            self.stages.append(name)

        def __call__(self, done, total):
            self.steps.append((done, total))

    told = Told()
    with training_run("cpu", told):
        run(tmp_path)
    assert current_run().device == "auto"
    assert told.stages == ["Training", "Scoring"]
    assert told.steps == [(step + 1, STEPS) for step in range(STEPS)]


def test_the_score_of_lists_is_that_of_the_averaged_weights_and_is_drawn(tmp_path):
    biases = []

    def score(network):
        biases.append(float(network.bias.detach()))
        return 0.25 * len(biases)

    network, _ = run(tmp_path, callbacks=[ListScore(score)])
    assert biases[-1] == float(network.bias.detach())
    rows = [row for row in read_metrics(tmp_path / METRICS_FILE) if row["validation/jaccard"]]
    assert [float(row["validation/jaccard"]) for row in rows] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    draw_curves(tmp_path / METRICS_FILE, tmp_path / "curves.png")
    assert (tmp_path / JACCARD_PICTURE).stat().st_size > 1000


def test_processor_time_adds_up_over_resumptions(tmp_path):
    run(tmp_path, stop_at=4)
    first = read_checkpoint(tmp_path / LAST_CHECKPOINT)["spent"]
    run(tmp_path, resume=True)
    second = read_checkpoint(tmp_path / LAST_CHECKPOINT)["spent"]
    assert 0 < first["processor_s"] < second["processor_s"]
    assert first["hardware"] == second["hardware"]
