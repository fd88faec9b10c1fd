"""Budgets: steps beside epochs, recipes by family, training to convergence, refitting, the epoch
that counts.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from headwater.harness.measure.backbone import family_of
from headwater.harness.measure.device import Device
from headwater.harness.measure.training import (
    Budget,
    EpochCriterion,
    has_converged,
    is_rising,
    train,
)
from headwater.harness.planning.planner import plan
from headwater.harness.planning.recipes import PRETRAINED, RANDOM, resolve
from headwater.harness.planning.spec import Spec, Training
from headwater.harness.running.run import Control
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import Worker
from headwater.plugins.layer_groups import backbone_groups, layer_parameters
from headwater.registry import Batch, Objective, ParameterGroup, Registry
from headwater.registry.errors import BadSpec
from tests.harness.toy import PLUGIN, keys

# -- how long ------------------------------------------------------------------------------------


def test_a_budget_is_15_epochs_and_200_steps_where_a_spec_says_nothing():
    assert Training().epochs_for(steps_per_epoch=2) == 100
    assert Training().epochs_for(steps_per_epoch=40) == 15
    assert Training(epochs=3).epochs_for(steps_per_epoch=2) == 3
    assert Training(epochs=3, min_steps=9).epochs_for(steps_per_epoch=2) == 5
    assert Training(min_steps=0).epochs_for(steps_per_epoch=2) == 15


def test_the_recipe_vtab_takes_2500_steps_and_is_refitted_unless_a_key_says_otherwise():
    recipe = Training(recipe="vtab")
    assert (recipe.epochs_for(13) - 1) * 13 < 2500 <= recipe.epochs_for(13) * 13
    assert recipe.refit and recipe.optimiser == "sgd" and recipe.chooses_last(800)
    assert not Training(recipe="vtab", refit=False).refit


def test_a_source_step_is_never_refitted():
    with pytest.raises(BadSpec, match=r"pretraining\.refit"):
        Spec.of(keys(pretraining={"refit": True}))


@pytest.mark.parametrize(
    ("choose", "images", "is_last"),
    [
        ("auto", 49, True),
        ("auto", 50, False),
        ("best", 8, False),
        ("last", 800, True),
    ],
)
def test_the_last_epoch_counts_below_50_validation_images(choose, images, is_last):
    assert Training(choose=choose).chooses_last(images) is is_last


# -- whose recipe --------------------------------------------------------------------------------


def test_layer_norms_tell_a_transformer_and_batch_norms_a_cnn():
    assert family_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(4))) == "transformer"
    assert family_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))) == "cnn"
    assert family_of(nn.Sequential(nn.BatchNorm2d(4), nn.LayerNorm(4))) == "cnn"
    assert family_of(nn.Conv2d(3, 4, 3)) == "cnn"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("test_resnet", "cnn"),
        ("test_efficientnet", "cnn"),
        ("test_vit", "transformer"),
        ("test_convnext", "transformer"),
    ],
)
def test_the_family_of_timm_networks(name, family):
    import timm

    assert family_of(timm.create_model(name, num_classes=0)) == family


def test_a_recipe_takes_the_specs_values_then_those_of_the_family():
    recipe = resolve(Training(), "transformer", is_random=False, steps_per_epoch=2)
    expected = PRETRAINED["transformer"]
    assert (recipe.learning_rate, recipe.layer_decay, recipe.clip) == (
        expected.learning_rate,
        expected.layer_decay,
        expected.clip,
    )
    assert recipe.epochs == 100
    from_random = resolve(Training(), "transformer", is_random=True, steps_per_epoch=2)
    assert from_random.learning_rate == RANDOM["transformer"].learning_rate
    assert from_random.layer_decay == 1
    stated = Training(learning_rate=0.5, clip=0)
    recipe = resolve(stated, "transformer", is_random=False, steps_per_epoch=2)
    assert (recipe.learning_rate, recipe.clip) == (0.5, 0)


@pytest.mark.parametrize(
    ("name", "blocks"), [("swin_tiny_patch4_window7_224", 12), ("convnext_tiny", 18)]
)
def test_every_block_of_a_network_is_a_layer_with_a_rate_of_its_own(name, blocks):
    import timm

    network = timm.create_model(name, num_classes=0)
    layers = layer_parameters(network)
    assert len(layers) > blocks
    parameters = [id(parameter) for layer in layers for parameter in layer]
    assert sorted(parameters) == sorted(id(parameter) for parameter in network.parameters())
    scales = [group.scale for group in backbone_groups(network, 0.5)]
    assert scales == [0.5**k for k in range(len(layers), 0, -1)]


# -- until it has converged ----------------------------------------------------------------------


def test_cycles_double_what_was_trained():
    assert Budget(epochs=3, steps_per_epoch=1, converge=16).cycle_ends == [3, 6, 12, 24, 48]
    assert Budget(epochs=3, steps_per_epoch=1, converge=6).cycle_ends == [3, 6, 12, 18]
    assert Budget(epochs=3, steps_per_epoch=1).cycle_ends == [3]


def test_two_cycles_that_bring_nothing_end_a_training():
    ends = [1, 2, 4, 8]
    assert not has_converged([0.5, 0.5], ends)  # one cycle alone may be noise
    assert not has_converged([0.5, 0.6, 0.0, 0.6], ends)
    assert has_converged([0.6, 0.6, 0.9, 0.5], ends)  # only the ends of cycles count
    assert not has_converged([0.6, 0.6, 0.9], ends)


@pytest.mark.parametrize(
    ("series", "rises"),
    [
        (np.linspace(0, 1, 30), True),
        (np.tanh(np.linspace(0, 9, 30)), False),
        ([0.25, 0.25, 0.5, 0.63, 0.38, 0.38, 0.25, 0.38, 0.38, 0.5], False),
        ([0.1, 0.2], True),
        ([0.1], False),
    ],
)
def test_a_training_that_ends_while_validation_rises_says_so(series, rises):
    assert is_rising(list(series), [len(series)]) is rises


def test_after_several_cycles_the_last_one_tells_whether_it_rises():
    assert is_rising([0.5, 0.6, 0.1, 0.7], [1, 2, 4])
    assert not is_rising([0.5, 0.7, 0.9, 0.6], [1, 2, 4])


def training_of(budget: Budget, values, **changes):
    """Train a one-weight network whose validation metric is scripted; return the result and the
    rates of its steps.
    """
    network = nn.Linear(1, 1)
    rates: list[float] = []
    epochs = iter(values)
    device = Device.pick(threads=1)
    recipe = resolve(
        Training(learning_rate=1.0, optimiser="sgd", weight_decay=0, **changes),
        "cnn",
        is_random=False,
        steps_per_epoch=budget.steps_per_epoch,
    )

    def batches():
        for _ in range(budget.steps_per_epoch):
            yield Batch(torch.ones(1, 1), torch.zeros(1, 1), torch.zeros(1))

    norms: list[float] = []

    def loss(batch: Batch, step: int) -> torch.Tensor:
        return 100 * network(batch.images).sum()

    def after_step(step: int) -> None:
        norms.append(float(torch.cat([p.grad.flatten() for p in network.parameters()]).norm()))

    result = train(
        Objective(
            network, [ParameterGroup(list(network.parameters()))], loss=loss, after_step=after_step
        ),
        batches,
        budget=budget,
        settings=recipe,
        loss=nn.MSELoss(),
        criterion=EpochCriterion(lambda: {"accuracy": next(epochs)}, "accuracy", sign=1, last=True),
        device=device,
        report=lambda *_: rates.append(0.0),
    )
    return result, norms


def test_a_training_to_convergence_ends_at_the_end_of_a_cycle_and_within_16_budgets():
    flat = [0.5] * 100
    result, _ = training_of(Budget(2, 1, converge=16), flat)
    assert result.epochs == 8 and not result.rising  # cycles end at 2, 4, 8: the last two are flat
    better = [k / 100 for k in range(100)]
    result, _ = training_of(Budget(2, 1, converge=16), better)
    assert result.epochs == 32 and result.rising


def test_gradients_are_clipped_where_the_recipe_says_so():
    _, norms = training_of(Budget(1, 3), [0.5], clip=1.0)
    assert norms == pytest.approx([1.0] * 3, rel=1e-3)
    _, norms = training_of(Budget(1, 3), [0.5], clip=0)
    assert min(norms) > 100


# -- whole cells ---------------------------------------------------------------------------------


def outcomes(folder, **changes):
    registry = Registry.discover([PLUGIN])
    made = plan(Spec.of(keys(**changes)), registry)
    worker, schedule = Worker(folder, [PLUGIN], 1), Schedule(made.jobs.values())
    while (job := schedule.take()) is not None:
        outcome = worker.run(job)
        schedule.settle(outcome)
        yield made.jobs[outcome.job], outcome


def test_one_converged_reference_serves_all_sources_of_an_architecture():
    registry = Registry.discover([PLUGIN])
    spec = Spec.of(
        keys(
            sources=["toy/fixed", "chain[base=toy/fixed,on=toy/halves]"],
            adaptations=["fine_tune", "linear_probe"],
            references=["converged"],
        )
    )
    made = plan(spec, registry)
    references = [job for job in made.cells if job.record.source == "toy/random"]
    assert [job.record.adaptation for job in references] == ["from_scratch[converge=16]"]
    assert {job.record.converged for job in made.cells if job.training} == {
        "from_scratch[converge=16]"
    }
    # Its cost is counted: more than that of one training at the budget.
    at_budget = next(job for job in made.cells if job.record.adaptation == "fine_tune")
    assert references[0].images > at_budget.images


def test_gains_over_both_scratch_references_reach_the_store(tmp_path):
    import headwater as hw

    spec = keys(
        references=["scratch", "converged"],
        training={"epochs": 1, "batch_size": 4},
        store=str(tmp_path / "s.duckdb"),
        resources={"slots": 1},
    )
    hw.run(spec, control=Control(executor="inline"))
    gains = "SELECT reference, reference_rising FROM gains ORDER BY reference"
    rows = hw.Store(tmp_path / "s.duckdb").sql(gains).rows
    assert [row[0] for row in rows] == ["converged", "scratch"]
    assert all(isinstance(row[1], bool) for row in rows)


def test_refitting_trains_on_the_validation_images_too_and_chooses_without_them(tmp_path):
    budget = {"epochs": 2, "batch_size": 4, "choose": "last"}
    results = {}
    for refit in (False, True):
        found = outcomes(
            tmp_path / str(refit), sizes=[30], references=[], training={**budget, "refit": refit}
        )
        results[refit] = next(outcome for job, outcome in found if job.kind == "adapt")
    values = {
        refit: {(m.split, m.metric): m.value for m in outcome.metrics}
        for refit, outcome in results.items()
    }
    assert values[False]["validation", "accuracy"] == values[True]["validation", "accuracy"]
    assert values[False]["test", "log_loss"] != values[True]["test", "log_loss"]
    assert results[True].images > 1.9 * results[False].images


def test_chains_are_trained_with_several_seeds_that_cells_take_in_turn():
    registry = Registry.discover([PLUGIN])
    chains = {"bases": ["toy/fixed"], "tasks": ["toy/halves"], "seeds": 2}
    made = plan(Spec.of(keys(sources=[], chains=chains, seeds=4)), registry)
    trainings = [job for job in made.jobs.values() if job.kind == "pretrain"]
    assert len(trainings) == 2
    checkpoints = {
        job.record.seed: job.checkpoint
        for job in made.cells
        if job.checkpoint and job.record.adaptation == "fine_tune"
    }
    assert checkpoints[0] == checkpoints[2] != checkpoints[1] == checkpoints[3]
    assert sum("training 2" in job.label for job in trainings) == 1
    alone = plan(Spec.of(keys(sources=[], chains=chains | {"seeds": 1}, seeds=1)), registry)
    assert {job.id for job in alone.jobs.values()} <= {job.id for job in made.jobs.values()}


def test_a_grid_tries_every_rate_in_full(tmp_path):
    grid = {"search": "grid", "space": {"rate_factor": [0.3, 1.0, 3.0]}}
    found = outcomes(
        tmp_path, sizes=[30], training={"epochs": 2, "batch_size": 4}, tuning=grid, references=[]
    )
    outcome = next(outcome for job, outcome in found if job.kind == "adapt")
    assert [trial.config["rate_factor"] for trial in outcome.trials] == [0.3, 1.0, 3.0]
    assert {(trial.epochs, trial.state) for trial in outcome.trials} == {(2, "finished")}


def test_a_grid_takes_lists_only():
    grid = {"search": "grid", "space": {"rate_factor": {"low": 0.1, "high": 1}}}
    with pytest.raises(BadSpec, match=r"tuning\.space\.rate_factor"):
        plan(Spec.of(keys(tuning=grid)), Registry.discover([PLUGIN]))
