"""Joint chains: tasks are judged together, whatever units their metrics have."""

from __future__ import annotations

import math

import pytest

from headwater.harness.measure.pretraining import unitless
from headwater.harness.planning import jobs
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.registry import Metric, Registry
from tests.harness.toy import PLUGIN

ACCURACY, SPEARMAN, DEGREES = (
    Metric("accuracy", low=0, high=1),
    Metric("spearman", low=-1, high=1),
    Metric("degrees", False, 0, 180),
)
ERROR, R2, RATE, ANY = (
    Metric("mae", False, 0),
    Metric("r2", high=1),
    Metric("rate", low=0),
    Metric("any"),
)


@pytest.mark.parametrize(
    ("metric", "values"),  # from worst to best
    [
        (ACCURACY, [0.0, 0.3, 0.31, 1.0]),
        (SPEARMAN, [-1.0, -0.1, 0.2, 1.0]),
        (DEGREES, [180.0, 90.0, 10.0, 0.0]),
        (ERROR, [1e6, 130.0, 129.9, 0.1, 0.0]),
        (R2, [-1e4, -3.0, -2.0, 0.9, 1.0]),
        (RATE, [0.0, 0.1, 50.0]),
        (ANY, [-5.0, 0.0, 5.0]),
    ],
)
def test_a_better_epoch_stays_better(metric, values):
    found = [unitless(metric.sign * value, metric) for value in values]
    assert found == sorted(set(found)) and all(map(math.isfinite, found))
    assert math.isnan(unitless(math.nan, metric))


def test_what_has_two_bounds_lies_between_0_and_1():
    assert unitless(0.37, ACCURACY) == 0.37
    assert unitless(-0.5, SPEARMAN) == 0.25
    assert unitless(-45.0, DEGREES) == 0.75


def test_a_gain_in_error_counts_the_same_in_months_as_in_years():
    months, years = (
        (unitless(-12 * 2.0, ERROR) - unitless(-12 * 3.0, ERROR)),
        (unitless(-2.0, ERROR) - unitless(-3.0, ERROR)),
    )
    assert months == pytest.approx(years) == pytest.approx(math.log(1.5))


def test_a_network_that_is_worse_than_the_mean_does_not_rule_the_others():
    assert unitless(-100.0, R2) == pytest.approx(-math.log(101))


def test_chains_on_several_tasks_are_measured_anew_when_their_rule_changes_and_others_are_not(
    monkeypatch,
):
    registry = Registry.discover([PLUGIN])
    chains = [
        "chain[base=toy/random,on=toy/halves]",
        "chain[base=toy/random,on=toy/halves+toy/shades]",
    ]

    def planned():
        made = plan(
            Spec.of({"sources": chains, "tasks": ["toy/tones"], "adaptations": ["fine_tune"]}),
            registry,
        )
        return {job.record.task: job.id for job in made.jobs.values() if job.kind == "pretrain"}

    before = planned()
    monkeypatch.setattr(jobs, "JOINT_VERSION", jobs.JOINT_VERSION + 1)
    assert {task for task, identity in planned().items() if identity != before[task]} == {
        "toy/halves+toy/shades"
    }
