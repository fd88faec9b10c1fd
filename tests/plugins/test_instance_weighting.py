"""instance_weighting: the weights follow TrAdaBoost's formulas over several rounds; the loss is what they say."""

import math

import pytest
import torch

from headwater.plugins.adaptations.instance_weighting import (
    TrAdaBoostWeights,
    instance_weighting,
)
from headwater.registry.errors import NotApplicable
from tests.plugins.two_domains import context, endless, noise


def logits_for(errors):
    """(B, 2) logits that give class 0 a probability of 1 − error."""
    errors = torch.tensor(errors, dtype=torch.float64)
    return torch.stack([(1 - errors).log(), errors.log()], 1)


def run(rounds, source_images, share=0.5):
    """Rounds of one target batch and one source batch: [(target errors, source rows, source errors)]."""
    weights = TrAdaBoostWeights(source_images, len(rounds), share)
    for step, (target, rows, source) in enumerate(rounds):
        targets = list(range(len(target)))
        weights.begin_step(step, targets)
        weights.target.loss(targets, logits_for(target), torch.zeros(len(target), dtype=torch.long))
        weights.source.loss(rows, logits_for(source), torch.zeros(len(rows), dtype=torch.long))
    weights.begin_step(len(rounds), [0])
    return weights


ROUNDS = [
    ([0.1, 0.6, 0.2], [0, 1], [0.9, 0.1]),
    ([0.2, 0.5, 0.1], [1, 3], [0.7, 0.3]),
    ([0.3, 0.4, 0.1], [0, 2], [0.5, 0.2]),
]


def test_weights_follow_the_published_formulas_over_several_rounds():
    n_s, share = 4, 0.5
    source, target = [share / n_s] * n_s, [(1 - share) / 3] * 3
    beta = 1 / (1 + math.sqrt(2 * math.log(n_s) / len(ROUNDS)))
    for target_errors, rows, source_errors in ROUNDS:
        epsilon = sum(w * e for w, e in zip(target, target_errors, strict=True)) / sum(target)
        assert 0 < epsilon < 0.5
        beta_t = epsilon / (1 - epsilon)
        target = [w * beta_t**-e for w, e in zip(target, target_errors, strict=True)]
        for row, error in zip(rows, source_errors, strict=True):
            source[row] *= beta**error
    found = run(ROUNDS, n_s)
    assert [found.source.weight_of(row) / n_s for row in range(n_s)] == pytest.approx(source)
    assert [found.target.weight_of(row) / 3 for row in range(3)] == pytest.approx(target)
    assert found.total == pytest.approx(sum(source) + sum(target))
    assert source[0] < source[2] < share / n_s < (1 - share) / 3 < max(target)


@pytest.mark.parametrize("error", [0.5, 0.8])
def test_targets_stand_still_where_half_of_them_or_more_are_wrong(error):
    found = run([([error] * 3, [0], [0.9])], 4)
    assert [found.target.weight_of(row) for row in range(3)] == [0.5] * 3
    assert found.source.weight_of(0) < 0.5  # the source's are weighed all the same


def test_targets_stand_still_where_all_are_right():
    found = run([([0.0] * 3, [0], [0.0])], 4)
    assert [found.target.weight_of(row) for row in range(3)] == [
        0.5
    ] * 3 and found.source.weight_of(0) == 0.5


@pytest.mark.parametrize(
    "fitting", [[0.4, 0.2, 0.1, 0.05, *[0.02] * 8], [0.3, 0.05, *[0.01] * 10], [0.01] * 12]
)
def test_a_mislabelled_image_of_120_never_takes_a_tenth_of_the_targets_weight(fitting):
    # The network fits 119 images better and better, and never the label that is wrong.
    shares = []
    for count in range(2, len(fitting) + 1):
        rounds = [([0.95] + [error] * 119, [0], [0.1]) for error in fitting[:count]]
        target = run(rounds, 4).target
        weights = [target.weight_of(row) for row in range(120)]
        shares.append(weights[0] / sum(weights))
    assert max(shares) < 0.1
    assert shares[-1] > 2 / 120  # it is stressed all the same


def test_the_targets_error_counts_as_a_tenth_at_least():
    found = run([([0.2, 0.01, 0.01], [0], [0.1])], 4)
    assert found.target.weight_of(0) == pytest.approx(0.5 * 9**0.2)
    rare = run([([0.05, 0.01, 0.01], [0], [0.1])], 4)
    assert rare.target.weight_of(0) == pytest.approx(0.5 * 9**0.05)


def test_the_first_loss_weighs_the_domains_by_their_share():
    def value(share):
        objective = instance_weighting.method(context(), source_share=share)
        return float(objective.loss(noise(4, 1), 0).detach())

    assert value(0.25) == pytest.approx((3 * value(0.1) + value(0.1 + 0.6)) / 4, rel=1e-5)
    assert value(0.1) != pytest.approx(value(0.9), rel=1e-3)


def test_a_round_ends_with_the_targets_epoch_and_their_number_is_known_after_the_first(monkeypatch):
    ended = []
    monkeypatch.setattr(
        TrAdaBoostWeights, "end_round", lambda self: ended.append((self.rounds, self.target.images))
    )
    objective = instance_weighting.method(context(steps=6, source=endless(3)))
    for step in range(6):
        objective.loss(noise(4, step, offset=4 * (step % 2)), step)
    assert ended == [(3, 8), (3, 8)]


def test_other_classes_and_shares_beyond_reason_do_not_apply():
    with pytest.raises(NotApplicable, match="the source's classes"):
        instance_weighting.method(context(shares=False))
    with pytest.raises(NotApplicable, match="source_share=1 is not between 0 and 1"):
        instance_weighting.method(context(), source_share=1.0)
    assert instance_weighting.setting == "inductive"
