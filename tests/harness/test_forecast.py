"""Forecasts come from the nearest precedents, scaled by work."""

from dataclasses import replace

import pytest

from headwater.harness.planning.forecast import FIXED_IMAGES, forecast
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.leaderboard import JobCost
from headwater.registry import Registry
from tests.harness.toy import PLUGIN, SIDE, keys


@pytest.fixture(scope="module")
def registry():
    shades = Registry.discover([PLUGIN]).task("toy/shades")
    return Registry.discover([PLUGIN, replace(shades, name="toy/counted", images=60)])


def cost(registry, history, **changes):
    made = plan(Spec.of(keys(references=[], **changes)), registry)
    return forecast(made.jobs.values(), history, made.sources)


def spent(seconds, images, source="toy/fixed", task="toy/shades", size="12", **more):
    row = {
        "kind": "adapt",
        "adaptation": "fine_tune",
        "architecture": "toy",
        "image_size": SIDE,
    } | more
    return JobCost(source=source, task=task, size=size, seconds=seconds, images=images, **row)


IMAGES = round(12 * 0.8 * 2)
"""What a toy cell of 12 images trains on in 2 epochs."""


def test_the_same_cell_with_another_seed_is_the_best_precedent(registry):
    history = [spent(3.0, IMAGES), spent(5.0, IMAGES), spent(100.0, IMAGES, task="toy/halves")]
    found = cost(registry, history)
    assert found.seconds == pytest.approx(4.0)
    assert (found.known, found.unknown, found.recorded) == (1, 0, 3)


def test_another_size_is_scaled_by_its_work_and_what_every_job_costs(registry):
    found = cost(registry, [spent(3.0, IMAGES)], sizes=[48])
    assert found.seconds == pytest.approx(
        3.0 * (round(48 * 0.8 * 2) + FIXED_IMAGES) / (IMAGES + FIXED_IMAGES)
    )


def test_all_images_count_as_many_as_the_task_has(registry):
    found = cost(registry, [spent(3.0, IMAGES)], sizes=["full"], tasks=["toy/counted"])
    assert found.seconds == pytest.approx(
        3.0 * (round(60 * 0.8 * 2) + FIXED_IMAGES) / (IMAGES + FIXED_IMAGES)
    )


def test_larger_images_cost_their_pixels(registry):
    found = cost(registry, [spent(3.0, IMAGES)], image_size=2 * SIDE)
    assert found.seconds == pytest.approx(
        3.0 * 4 * (IMAGES + FIXED_IMAGES) / (IMAGES + FIXED_IMAGES)
    )


def test_another_source_of_that_architecture_goes_before_another_architecture(registry):
    history = [spent(100.0, IMAGES, architecture="resnet"), spent(3.0, IMAGES, source="toy/other")]
    assert cost(registry, history).seconds == pytest.approx(3.0)


def test_a_job_without_any_precedent_is_counted_as_unknown(registry):
    found = cost(registry, [spent(3.0, 10, kind="pretrain")])
    assert (found.known, found.unknown, found.seconds) == (0, 1, 0.0)


def test_a_block_shuffle_counts_the_networks_that_it_trains(registry):
    anatomy = {"analyses": ["block_shuffle", "distance"], "blocks": [1, 2, SIDE]}
    made = plan(Spec.of(keys(anatomy=anatomy, tuning={"trials": 8})), registry)
    images = {job.record.analysis: job.images for job in made.jobs.values()}
    assert (
        images["block_shuffle"] == 4 * IMAGES
    )  # both networks, at the two sizes that leave several blocks
