"""Tuning: the same trials for every source, poor ones stopped, the best on validation tested, and all of them recorded."""

import math
import random
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import headwater as hw
from headwater.harness.measure.halving import SuccessiveHalving
from headwater.harness.measure.training import TrainingResult
from headwater.harness.measure.trial_search import OptunaSearch, search_for
from headwater.harness.measure.tuning import TrialSetting, tune
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec, Training, Tuning
from headwater.harness.planning.tuning_space import check_space, keys_for, longest
from headwater.harness.running.progress import position_text
from headwater.harness.running.run import Control
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import JobProgress, Worker
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from headwater.registry.errors import BadSpec, HeadwaterError, NotApplicable, TrainingError
from tests.facts import missing_facts
from tests.harness.toy import PLUGIN, keys

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tuning.md"
RATES = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
RECIPE = TrialSetting(Training(epochs=9, learning_rate=1e-3), {"head_scale": 1.0})


def tuning(**given):
    return Tuning.model_validate({"trials": 4, "space": RATES} | given)


# -- drawing ----------------------------------------------------------------------------------------------------


def drawn(settings, options, seed=0, count=6):
    search = search_for(settings, options, seed, recipe={}, quality=None)
    return [search.suggest() for _ in range(count)]


def test_draws_lie_in_their_ranges_and_whole_numbers_stay_whole_with_both_bounds():
    space = {
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "weight_decay": {"low": 0.0, "high": 0.5},
        "epochs": {"low": 2, "high": 4},
        "batch_size": {"low": 4, "high": 64, "log": True},
        "augmentation": ["standard", "none"],
        "stages": {"low": 0, "high": 2},
    }
    found = drawn(tuning(space=space), {"stages": 1}, count=200)
    logs = sorted(math.log10(config["learning_rate"]) for config in found)
    assert -4 <= logs[0] < -3.8 < -1.2 < logs[-1] <= -1
    assert logs[100] == pytest.approx(-2.5, abs=0.3)  # uniform in the logarithm
    assert sum(config["weight_decay"] for config in found) / 200 == pytest.approx(0.25, abs=0.04)
    assert {config["epochs"] for config in found} == {2, 3, 4}
    assert {config["stages"] for config in found} == {0, 1, 2}
    assert {config["augmentation"] for config in found} == {"standard", "none"}
    assert all(
        type(config["batch_size"]) is int and 4 <= config["batch_size"] <= 64 for config in found
    )


def test_a_seed_gives_the_same_configurations_and_another_seed_others():
    assert drawn(tuning(), {}) == drawn(tuning(), {})
    assert drawn(tuning(), {}, seed=1) != drawn(tuning(), {})


def test_adaptations_that_share_a_key_meet_the_same_values_of_it():
    space = RATES | {"stages": [0, 1, 2], "weight_decay": {"low": 0.0, "high": 1.0}}
    frozen, plain = drawn(tuning(space=space), {"stages": 1}), drawn(tuning(space=space), {})
    assert [
        {key: value for key, value in config.items() if key != "stages"} for config in frozen
    ] == plain


# -- the space --------------------------------------------------------------------------------------------------


def cards(*names):
    registry = Registry.discover()
    return [registry.adaptation(name)[0] for name in names]


@pytest.mark.parametrize(
    ("space", "facts"),
    [
        (
            {"learning_rat": [0.1]},
            ("tuning.space.learning_rat", "[training]", "fine_tune, freeze."),
        ),
        (
            {"iterations": [10]},
            ("tuning.space.iterations", "is neither a key"),
        ),  # of linear_probe, which is not trained
        (
            {"learning_rate": [0.1, -1.0]},
            ("tuning.space.learning_rate", "-1.0", "greater than 0"),
        ),
        (
            {"learning_rate": {"low": -1, "high": 1}},
            ("tuning.space.learning_rate", "-1.0", "greater than 0"),
        ),
        (
            {"epochs": {"low": 1.5, "high": 3}},
            ("tuning.space.epochs", "whole numbers", "1.5 to 3"),
        ),
        ({"epochs": [3, 2.5]}, ("tuning.space.epochs", "2.5", "integer")),
        (
            {"augmentation": {"low": 0, "high": 1}},
            ("tuning.space.augmentation", "is not a number"),
        ),
        (
            {"optimiser": ["lion"]},
            ("tuning.space.optimiser", "'lion'", "'adamw' or 'sgd'"),
        ),
        (
            {"stages": ["deep"]},
            ("tuning.space.stages", "freeze[stages=deep]", "type int"),
        ),
        ({"stages": {"low": 0, "high": 1.5}}, ("tuning.space.stages", "whole numbers")),
        (
            {"weight_decay": []},
            ("tuning.space.weight_decay", "a list of values", "{low, high, log}"),
        ),
    ],
)
def test_a_space_that_nothing_has_is_refused_with_its_key(space, facts):
    with pytest.raises(BadSpec) as raised:
        check_space(tuning(space=space), cards("fine_tune", "freeze", "linear_probe"))
    assert raised.value.message.startswith(facts[0])
    assert missing_facts(raised.value.message, *facts) == []


def test_a_misspelt_key_is_put_right():
    with pytest.raises(BadSpec, match="Did you mean learning_rate") as raised:
        plan(
            Spec.of(keys(tuning={"space": {"learning_rat": [0.1, 1.0]}})),
            Registry.discover([PLUGIN]),
        )
    assert "weight_decay" in raised.value.hint


def test_keys_of_one_adaptation_are_dropped_for_another():
    settings = tuning(space=RATES | {"stages": [1, 2]})
    freeze, scratch = cards("freeze", "from_scratch")
    check_space(settings, [freeze])
    assert keys_for(settings, freeze.options()) == ["learning_rate", "stages"]
    assert keys_for(settings, scratch.options()) == ["learning_rate"]


def test_the_longest_trial_is_the_recipes_or_the_spaces():
    assert longest(tuning(), 15) == 15
    assert longest(tuning(space={"epochs": [5, 30]}), 15) == 30
    assert longest(tuning(space={"epochs": {"low": 5, "high": 9}}), 15) == 15


# -- stopping ---------------------------------------------------------------------------------------------------


def by_hand(curves, grace, reduction, longest):
    """Asynchronous successive halving written out: at each rung, on with those not below the top 1/reduction so far."""
    import numpy as np

    rungs, at = [], grace
    while at <= longest:
        rungs.append(at)
        at *= reduction
    recorded = {rung: [] for rung in rungs}
    lasted = []
    for curve in curves:
        for epoch, quality in enumerate(curve, 1):
            if epoch in recorded and epoch < longest:
                others = recorded[epoch]
                stop = bool(others) and quality < np.percentile(others, (1 - 1 / reduction) * 100)
                others.append(quality)
                if stop:
                    break
        lasted.append(epoch)
    return lasted


def noisy_curves(seed, epochs=9, count=12):
    """Curves that rise at different rates, with some equal values and now and then none."""
    dice = random.Random(seed)
    slopes = [dice.random() / 5 for _ in range(count)]
    curves = [[dice.random() + epoch * slope for epoch in range(epochs)] for slope in slopes]
    curves[4] = list(curves[2])
    return curves


def last_epoch(should_stop, curve):
    for epoch, quality in enumerate(curve, 1):
        if should_stop(epoch, (quality, 0.0)):
            return epoch
    return len(curve)


RUNGS = [(1, 2), (1, 3), (2, 3), (3, 3), (20, 3)]


@pytest.mark.parametrize(("grace", "reduction"), RUNGS)
def test_trials_stop_where_successive_halving_written_out_stops_them(grace, reduction):
    curves = noisy_curves(grace * 10 + reduction)
    halving = SuccessiveHalving(tuning(grace=grace, reduction=reduction), 9)
    lasted = [
        last_epoch(halving.stopping_rule(number), curve) for number, curve in enumerate(curves, 1)
    ]
    assert lasted == by_hand(curves, grace, reduction, 9)
    assert (min(lasted) < 9) == (grace < 9)


@pytest.mark.parametrize(("grace", "reduction"), RUNGS)
def test_every_decision_is_that_of_ray_tunes_scheduler(grace, reduction):
    schedulers = pytest.importorskip("ray.tune.schedulers")
    for seed in range(20):
        curves = noisy_curves(seed, epochs=27)
        curves[7][0] = curves[7][2] = math.nan
        halving = SuccessiveHalving(tuning(grace=grace, reduction=reduction), 27)
        scheduler = schedulers.AsyncHyperBandScheduler(
            "epoch", "quality", "max", max_t=27, grace_period=grace, reduction_factor=reduction
        )
        for number, curve in enumerate(curves, 1):
            label = SimpleNamespace(trial_id=str(number))
            scheduler.on_trial_add(None, label)
            should_stop = halving.stopping_rule(number)
            for epoch, quality in enumerate(curve, 1):
                result = {"epoch": epoch, "quality": quality}
                stops = scheduler.on_trial_result(None, label, result) == scheduler.STOP
                assert should_stop(epoch, (quality, 0.0)) == stops
                if stops:
                    break


# -- trials -----------------------------------------------------------------------------------------------------


class Bowl:
    """A training whose quality peaks where the learning rate is 0.01, and that fails above 0.05; ten images an epoch."""

    def __init__(self, fails=0.05):
        self.settings, self.fails = [], fails

    def __call__(self, setting, report, should_stop):
        rate, epochs = setting.training.learning_rate, setting.training.epochs
        self.settings.append(setting)
        best = -abs(math.log10(rate) + 2)
        for epoch in range(1, epochs + 1):
            report(epoch, epochs, best, 10 * epoch)
            if rate > self.fails and epoch == 2:
                raise TrainingError("the loss became nan in epoch 2")
            if should_stop(epoch, (best, 0.0)):
                break
        return f"network at {rate}", TrainingResult(
            (), epoch, epoch, 10 * epoch, {"accuracy": best}, (best, 0.0)
        )


def ignore(*_, **__):
    """Hear a report and do nothing."""


def tuned(run_trial, settings=None, recipe=RECIPE, heard=ignore):
    return tune(
        settings or tuning(trials=8),
        recipe,
        defaults={"head_scale": 1.0},
        seed=0,
        sign=1,
        run_trial=run_trial,
        report=heard,
    )


def test_the_first_trial_is_the_recipe_and_the_best_on_validation_is_chosen():
    bowl = Bowl()
    found = tuned(bowl)
    assert bowl.settings[0] == RECIPE
    assert [trial.trial for trial in found.trials] == list(range(1, 9))
    good = [trial for trial in found.trials if trial.state != "failed"]
    best = max(good, key=lambda trial: trial.value)
    assert [trial for trial in found.trials if trial.chosen] == [best]
    assert best.trial > 1
    assert found.network == f"network at {best.config['learning_rate']}"
    assert found.choice == {
        "trial": best.trial,
        "learning_rate": best.config["learning_rate"],
        "epoch": found.trained.epoch,
    }
    assert found.setting.training.learning_rate == best.config["learning_rate"]


def test_a_trial_that_fails_is_a_row_and_counts_its_images():
    found = tuned(Bowl())
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed
    assert {(trial.epochs, trial.value) for trial in failed} == {(2, None)}
    assert all(missing_facts(trial.reason, "nan", "epoch 2") == [] for trial in failed)
    assert any(trial.state == "stopped" and trial.epochs < 9 for trial in found.trials)
    assert found.images == sum(10 * trial.epochs for trial in found.trials)


def test_a_recipe_that_fails_leaves_the_cell_to_the_other_trials():
    found = tuned(Bowl(), recipe=replace(RECIPE, training=Training(epochs=9, learning_rate=0.9)))
    assert (found.trials[0].state, found.trials[0].config) == ("failed", {"learning_rate": 0.9})
    assert found.choice["trial"] > 1


def test_when_every_trial_fails_the_cell_fails_with_the_reason():
    with pytest.raises(TrainingError, match=r"all 8 trials failed.* nan in epoch 2"):
        tuned(Bowl(fails=0.0))


def test_a_cell_no_trial_of_which_applies_is_skipped():
    def attempt(setting, report, should_stop):
        raise NotApplicable("too deep")

    with pytest.raises(NotApplicable, match=r"all 8 trials failed.*: too deep"):
        tuned(attempt)


def test_among_equal_trials_the_recipe_is_kept():
    found = tuned(
        lambda setting, report, should_stop: (None, TrainingResult((), 1, 9, 90, {}, (0.5, -1.0)))
    )
    assert found.choice["trial"] == 1


def test_lower_is_better_metrics_are_recorded_as_they_are():
    def attempt(setting, report, should_stop):
        error = abs(math.log10(setting.training.learning_rate) + 2)
        return None, TrainingResult((), 1, 9, 90, {"mae": error}, (-error, 0.0))

    found = tune(
        tuning(trials=6),
        RECIPE,
        defaults={},
        seed=0,
        sign=-1,
        run_trial=attempt,
        report=ignore,
    )
    assert (
        min(trial.value for trial in found.trials)
        == next(trial.value for trial in found.trials if trial.chosen)
        >= 0
    )


def test_nothing_is_tried_twice_and_a_small_space_ends_early():
    bowl = Bowl()
    found = tuned(bowl, tuning(trials=8, space={"learning_rate": [0.001, 0.01, 0.02]}))
    assert sorted(trial.config["learning_rate"] for trial in found.trials) == [0.001, 0.01, 0.02]
    assert len(bowl.settings) == 3


def test_progress_names_the_trial_and_adds_up_images():
    heard = []

    def report(*step, trial, trials):
        heard.append((*step, trial, trials))

    found = tuned(Bowl(), tuning(trials=3), heard=report)
    assert {step[4:] for step in heard} == {(1, 3), (2, 3), (3, 3)}
    assert heard[-1][3] == found.images
    assert [step[3] for step in heard] == sorted(step[3] for step in heard)


def test_a_slots_line_names_the_trial():
    assert (
        position_text(JobProgress(4, 15, 0.5, 100, 3, 8)) == " · trial 3/8 · epoch 4/15 · val 0.500"
    )
    assert position_text(JobProgress(4, 15, 0.5, 100)) == " · epoch 4/15 · val 0.500"


# -- optuna -----------------------------------------------------------------------------------------------------


def distance_of_late_trials(search):
    """How far, in powers of ten, the last ten of thirty trials lie from the best learning rate, over four seeds."""
    bowls = [Bowl(fails=1.0) for _ in range(4)]
    for seed, bowl in enumerate(bowls):
        tune(
            tuning(trials=30, search=search, grace=9),
            RECIPE,
            defaults={},
            seed=seed,
            sign=1,
            run_trial=bowl,
            report=ignore,
        )
    rates = [setting.training.learning_rate for bowl in bowls for setting in bowl.settings[-10:]]
    return sum(abs(math.log10(rate) + 2) for rate in rates) / len(rates)


def test_optuna_learns_where_random_search_does_not():
    pytest.importorskip("optuna")
    assert distance_of_late_trials("random") == pytest.approx(
        5 / 6, abs=0.2
    )  # what uniform draws from -4 to -1 expect
    assert distance_of_late_trials("optuna") < 0.5


def test_optuna_draws_the_same_for_the_same_seed_and_every_source_until_it_learns():
    pytest.importorskip("optuna")
    one, other = Bowl(), Bowl(fails=1.0)
    tuned(one, tuning(trials=12, search="optuna"))
    tuned(other, tuning(trials=12, search="optuna"))
    again = Bowl()
    tuned(again, tuning(trials=12, search="optuna"))
    assert one.settings == again.settings
    assert one.settings[:4] == other.settings[:4]


def test_optuna_is_not_asked_where_an_adaptation_has_none_of_the_keys():
    pytest.importorskip("optuna")
    found = tuned(Bowl(), tuning(search="optuna", space={"stages": [1, 2]}))
    assert [trial.config for trial in found.trials] == [{}]


def test_without_optuna_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(HeadwaterError) as raised:
        OptunaSearch({}, 0, trials=8)
    assert raised.value.hint == "pip install 'headwater[optuna]'"


# -- cells ------------------------------------------------------------------------------------------------------


def measured(folder, plugins=(PLUGIN,), **changes):
    made = plan(Spec.of(keys(**changes)), Registry.discover(plugins))
    worker, schedule = Worker(folder, plugins, 1), Schedule(made.jobs.values())
    while (job := schedule.take()) is not None:
        outcome = worker.run(job)
        schedule.settle(outcome)
        yield made.jobs[outcome.job], outcome


SEARCHED = {
    "tuning": {
        "trials": 4,
        "grace": 1,
        "space": {
            "learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
            "head_scale": [1.0, 5.0],
        },
    },
    "training": {"epochs": 4, "batch_size": 4},
    "sizes": [30],
}


def test_every_source_and_its_reference_meet_the_same_trials(tmp_path):
    found = list(
        measured(tmp_path, sources=["toy/fixed", "chain[base=toy/fixed,on=toy/halves]"], **SEARCHED)
    )
    cells = [(job, outcome) for job, outcome in found if job.kind == "adapt"]
    assert {job.record.adaptation for job, _ in cells} == {"fine_tune", "from_scratch"}
    assert {outcome.state for _, outcome in cells} == {State.DONE}
    assert len({tuple(str(trial.config) for trial in outcome.trials) for _, outcome in cells}) == 1
    assert {len(outcome.trials) for _, outcome in cells} == {4}
    pretraining = next(outcome for job, outcome in found if job.kind == "pretrain")
    assert pretraining.trials == ()


def test_a_tuned_cell_reports_what_its_chosen_trial_gives_when_it_is_the_recipe(tmp_path):
    outcome = next(
        outcome
        for job, outcome in measured(tmp_path / "one", **SEARCHED)
        if job.record.adaptation == "fine_tune"
    )
    chosen = next(trial for trial in outcome.trials if trial.chosen)
    assert {key: outcome.choice[key] for key in chosen.config} == chosen.config
    recipe = {"epochs": 4, "batch_size": 4, "learning_rate": chosen.config["learning_rate"]}
    name = f"fine_tune[head_scale={chosen.config['head_scale']}]"
    plain = measured(tmp_path / "two", training=recipe, sizes=[30], adaptations=[name])
    same = next(outcome for job, outcome in plain if job.record.adaptation.startswith("fine_tune"))
    assert outcome.metrics == same.metrics
    assert outcome.choice["epoch"] == same.choice["epoch"]
    assert outcome.images == sum(24 * trial.epochs for trial in outcome.trials)
    assert chosen.value == next(
        m.value for m in outcome.metrics if (m.split, m.metric) == ("validation", "accuracy")
    )
    assert not (tmp_path / "one" / "snapshots").exists()


def test_trials_reach_the_store_and_can_be_queried(tmp_path):
    report = hw.run(
        keys(**SEARCHED), store=tmp_path / "s.duckdb", control=Control(executor="inline")
    )
    assert report.failures == []
    rows = report.store.sql(
        "SELECT job, trial, config->>'learning_rate', state, chosen FROM trials ORDER BY job, trial"
    ).rows
    assert len(rows) == 8
    assert sum(row[4] for row in rows) == 2
    assert {row[3] for row in rows} <= {"finished", "stopped"}
    recipes = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    gained, rates, epochs = (report.store.sql(recipe).rows for recipe in recipes)
    assert all(row[1] == 1 and row[2] >= 0 for row in gained)
    assert [row[4] for row in sorted(rates)] == [
        float(row[2]) for row in sorted(rows, key=lambda row: _place(report, row[0], row[1]))
    ]
    assert {row[0]: row[1:] for row in epochs}.keys() == {"fine_tune", "from_scratch"}
    assert all(0 < trained <= without == 16 for _, trained, without in epochs)


def _place(report, job, trial):
    place = report.store.sql(f"SELECT source, task, adaptation FROM jobs WHERE job = '{job}'").rows[
        0
    ]
    return *place, trial
