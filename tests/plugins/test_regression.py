"""The regression type: numbers in, numbers out, in the data's own units."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from headwater.plugins.task_types.regression import regression
from headwater.registry import Task
from headwater.registry.errors import DataError, TrainingError
from tests.plugins.given import given

METHODS = regression.methods
TASK = Task(name="rendered/test", load=dict, type="regression")


def ages(count=64, seed=0):
    """(N, 1): months, around 130."""
    return np.random.default_rng(seed).normal(130, 40, (count, 1)).astype(np.float32)


def test_targets_are_numbers_or_several():
    found = METHODS.encode(given(regression, [1, 2.5, np.float32(3), [4.0], "5.5"]))
    assert found.targets.tolist() == [[1.0], [2.5], [3.0], [4.0], [5.5]]
    assert (found.targets.dtype, found.rows, found.flaws) == (np.float32, None, ())
    several = METHODS.encode(given(regression, [[1, 2], np.array([3.0, 4.0])], ("age", "height")))
    assert several.targets.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("target", "classes", "what"),
    [
        (None, (), "has no target"),
        (math.nan, (), "has no target"),
        (math.inf, (), "has an infinite target"),
        ([1.0, 2.0], (), "has 2 targets, 1 are wanted"),
        ([1.0, None], ("age", "height"), "lacks one of 2 targets"),
        ([1.0, math.nan], ("age", "height"), "lacks one of 2 targets"),
        ([1.0], ("age", "height"), "has 1 targets, 2 are wanted"),
        (None, ("age", "height"), "has 1 targets, 2 are wanted"),
    ],
)
def test_an_image_without_its_numbers_is_left_out_and_reported(target, classes, what):
    good = [1.0, 2.0] if classes else 1.0
    found = METHODS.encode(given(regression, [good, target, good], classes))
    assert found.rows.tolist() == [0, 2]
    assert found.targets.shape == (2, len(classes) or 1)
    assert [(flaw.name, flaw.what, flaw.handled) for flaw in found.flaws] == [
        ("b.jpg", what, "left out")
    ]


def test_where_no_image_has_a_number_nothing_is_kept():
    found = METHODS.encode(given(regression, [None, math.nan]))
    assert found.targets.shape == (0, 1)
    assert len(found.flaws) == 2


@pytest.mark.parametrize("target", ["old", [1.0, "tall"], {"age": 1}, [[1.0]]])
def test_what_is_no_number_is_an_error_naming_the_image(target):
    with pytest.raises(DataError, match=r"^b\.jpg has target .* no number") as raised:
        METHODS.encode(given(regression, [1.0, target]))
    assert raised.value.subject == "b.jpg"


def test_several_numbers_are_named_by_their_place_and_counted_over_all_images():
    assert METHODS.classes([1.0, 2.0], TASK) == ()
    assert METHODS.classes([[1.0, 2.0], [3.0, 4.0], None, [5.0]], TASK) == ("0", "1")
    assert METHODS.classes([None], TASK) == ()


def test_there_is_nothing_to_learn_where_all_targets_are_alike():
    assert METHODS.outputs(np.array([[1.0, 2.0], [1.0, 3.0]]), ("a", "b")) == 2
    with pytest.raises(DataError, match="the same target"):
        METHODS.outputs(np.array([[1.0], [1.0]]), ())


def test_strata_are_tenths_of_the_first_target():
    targets = np.stack([np.random.default_rng(0).permutation(100), np.zeros(100)], 1).astype(
        np.float32
    )
    strata = METHODS.strata(targets)
    assert strata.tolist() == (targets[:, 0] // 10).astype(int).tolist()
    whole = METHODS.strata(np.array([[5.0]] * 9 + [[7.0]]))
    assert len(set(whole[:9].tolist())) == 1 and whole[9] > whole[0] >= 0


def test_a_small_subset_spans_the_range():
    from headwater.harness.data.subset import draw_subset

    targets = ages(200)
    chosen = draw_subset(METHODS.strata(targets), "20", 0, 0.2)
    assert sorted(
        METHODS.strata(targets)[np.concatenate([chosen.train, chosen.validation])].tolist()
    ) == [i // 2 for i in range(20)]


# -- metrics -----------------------------------------------------------------------------------------------


def ranks(values):
    """From 1, ties sharing their mean."""
    return np.array(
        [1 + (values < value).sum() + ((values == value).sum() - 1) / 2 for value in values]
    )


def test_metrics_are_their_definitions_averaged_over_targets():
    random = np.random.default_rng(0)
    targets = np.round(random.normal((130, 3), (40, 1), (30, 2)), 0)
    predictions = targets + random.normal(0, (20, 2), targets.shape)
    measured = METHODS.measure(
        torch.from_numpy(predictions).float(), torch.from_numpy(targets).float()
    )
    errors = predictions - targets
    spread = ((targets - targets.mean(0)) ** 2).sum(0)
    correlation = [
        np.corrcoef(ranks(predictions[:, k]), ranks(targets[:, k]))[0, 1] for k in range(2)
    ]
    assert measured["mae"] == pytest.approx(np.abs(errors).mean(0).mean(), rel=1e-5)
    assert measured["rmse"] == pytest.approx(np.sqrt((errors**2).mean(0)).mean(), rel=1e-5)
    assert measured["r2"] == pytest.approx((1 - (errors**2).sum(0) / spread).mean(), rel=1e-5)
    assert measured["spearman"] == pytest.approx(np.mean(correlation), rel=1e-5)
    by_class = METHODS.by_class(
        torch.from_numpy(predictions), torch.from_numpy(targets), ("age", "height")
    )
    assert by_class["mae"] == {
        name: pytest.approx(np.abs(errors[:, k]).mean()) for k, name in enumerate(("age", "height"))
    }
    assert (
        METHODS.by_class(torch.from_numpy(predictions[:, :1]), torch.from_numpy(targets[:, :1]), ())
        == {}
    )


def test_saying_the_mean_has_no_r2_and_no_rank_correlation():
    targets = torch.from_numpy(ages())
    measured = METHODS.measure(targets.mean(0).expand_as(targets), targets)
    assert measured["r2"] == pytest.approx(0.0, abs=1e-6)
    assert measured["spearman"] == 0.0


def test_no_metric_is_ever_nan():
    same = torch.full((3, 2), 7.0)
    varying = torch.tensor([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    assert METHODS.measure(same, same) == {"mae": 0.0, "rmse": 0.0, "r2": 0.0, "spearman": 0.0}
    assert METHODS.measure(varying, varying) == pytest.approx(
        {"mae": 0.0, "rmse": 0.0, "r2": 1.0, "spearman": 1.0}
    )
    assert METHODS.measure(same[:1], varying[:1])["r2"] == 0.0


def test_years_are_measured_as_exactly_as_shares():
    """Sums of squares of numbers around 2000 would lose R² in single precision."""
    years = torch.arange(2000, 2020.0)[:, None].repeat(50, 1)
    off = years + torch.randn(years.shape, generator=torch.Generator().manual_seed(0)) * 0.1
    near, far = METHODS.measure(off - 2000, years - 2000), METHODS.measure(off, years)
    assert far == pytest.approx(near, rel=1e-3)


def test_outputs_that_are_not_numbers_are_an_error():
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(torch.tensor([[math.nan]]), torch.tensor([[1.0]]))


def test_the_card_declares_what_is_measured():
    targets = torch.from_numpy(ages())
    measured = METHODS.measure(targets + 1, targets)
    assert list(measured) == [metric.name for metric in regression.metrics]
    assert [metric.name for metric in regression.metrics if not metric.higher_is_better] == [
        "mae",
        "rmse",
    ]
    assert all(metric.low <= measured[metric.name] <= metric.high for metric in regression.metrics)


# -- the head ----------------------------------------------------------------------------------------------


def head_of(targets, features=4):
    torch.manual_seed(0)
    head = METHODS.head(features, targets.shape[1])
    METHODS.init_head(head, targets)
    return head


def test_the_head_learns_in_deviations_and_predicts_in_the_targets_units():
    targets = np.concatenate([ages(), ages(seed=1) / 1000], 1)
    head, features = head_of(targets), torch.randn(5, 4)
    standard = features @ head.weight.T + head.bias
    np.testing.assert_allclose(
        head.eval()(features).detach(),
        targets.mean(0) + targets.std(0) * standard.detach().numpy(),
        rtol=1e-4,
        atol=1e-4,
    )
    assert torch.equal(head.train()(features).values, standard)


def test_the_loss_is_smooth_l1_of_standardised_errors():
    targets = np.array([[100.0], [140.0], [180.0], [600.0]], np.float32)
    head, features = head_of(targets), torch.randn(4, 4)
    loss = METHODS.loss(head.train()(features), torch.from_numpy(targets))
    errors = (head.eval()(features).detach().numpy() - targets) / targets.std()
    expected = np.where(np.abs(errors) < 1, errors**2 / 2, np.abs(errors) - 0.5).mean()
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_chance_is_the_loss_of_saying_the_mean_of_a_normal():
    errors = np.random.default_rng(0).standard_normal(400_000)
    expected = np.where(np.abs(errors) < 1, errors**2 / 2, np.abs(errors) - 0.5).mean()
    assert METHODS.chance(3) == pytest.approx(expected, rel=5e-3)


def test_what_the_head_knows_of_the_targets_is_kept_with_its_weights():
    targets, features = ages(), torch.randn(5, 4)
    head, fresh = head_of(targets), METHODS.head(4, 1)
    fresh.load_state_dict(head.state_dict())
    assert torch.equal(fresh.eval()(features), head.eval()(features))


def test_a_target_that_does_not_vary_is_learned_all_the_same():
    targets = np.concatenate([ages(8), np.full((8, 1), 7.0)], 1)
    head = head_of(targets)
    assert head.deviation[1] == 1.0
    assert math.isfinite(
        float(METHODS.loss(head.train()(torch.randn(8, 4)), torch.from_numpy(targets)))
    )


def test_ages_around_130_are_learned_at_the_standard_rate_in_a_few_epochs():
    random = torch.Generator().manual_seed(0)
    features = torch.randn(320, 16, generator=random)
    targets = 130 + 40 * (features @ torch.randn(16, 1, generator=random)) / 4
    head = head_of(targets.numpy(), 16)
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-2)
    for _ in range(5):
        for rows in torch.randperm(320, generator=random).split(16):
            optimiser.zero_grad()
            METHODS.loss(head.train()(features[rows]), targets[rows]).backward()
            optimiser.step()
    measured = METHODS.measure(head.eval()(features).detach(), targets)
    assert measured["mae"] < 0.1 * float(targets.std())
    assert measured["r2"] > 0.98


def test_a_picture_says_truth_and_prediction():
    image = np.zeros((8, 8, 3), np.uint8)
    assert METHODS.picture(image, np.array([130.0]), np.array([126.35]), ())[0][0] == "130: 126.3"
    assert (
        METHODS.picture(image, np.array([130.0, 1.8]), np.array([126.0, 1.75]), ("age", "height"))[
            0
        ][0]
        == "age 130: 126, height 1.8: 1.75"
    )
    assert METHODS.answer(np.array([126.5]), (), (10, 10)) == 126.5
    assert METHODS.answer(np.array([126.5, 2.0]), ("age", "height"), (10, 10)) == [126.5, 2.0]
