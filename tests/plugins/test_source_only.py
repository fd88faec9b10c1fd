"""source_only, and what it shares with those it is the control of: which head learns what, and whose statistics are kept."""

import pytest
import torch

from headwater.plugins.adaptations.mmd import mmd
from headwater.plugins.adaptations.source_only import source_only
from headwater.plugins.two_domains import running_statistics_fixed
from headwater.registry import Batch
from tests.plugins.two_domains import context, hidden, noise


def test_the_targets_images_do_not_enter_by_a_bit():
    def value(batch):
        given = context()
        loss = source_only.method(given).loss(batch, 0)
        loss.backward()
        return (
            float(loss.detach()),
            given.backbone.network.stem.weight.grad,
            given.backbone.network.norm.running_mean,
        )

    one, other = (
        value(hidden(noise(4, 1))),
        value(Batch(torch.full((9, 3, 8, 8), float("nan")), torch.zeros(9), torch.arange(9))),
    )
    assert one[0] == other[0]
    assert torch.equal(one[1], other[1]) and torch.equal(one[2], other[2])


def test_it_uses_no_labels_of_the_target_and_tests_the_sources_own_head():
    given = context()
    objective = source_only.method(given)
    assert not source_only.sees_labels({}) and source_only.setting == "transductive"
    assert objective.network[1] is given.source_data.head


def test_one_head_serves_both_where_classes_are_shared_and_two_where_they_are_not():
    for shares in (True, False):
        given = context(shares=shares)
        objective = mmd.method(given)
        parameters = [id(parameter) for group in objective.groups for parameter in group.parameters]
        heads = [given.source_data.head, given.head]
        assert objective.network[1] is heads[0 if shares else 1]
        assert [{id(p) for p in head.parameters()} <= set(parameters) for head in heads] == [
            True,
            not shares,
        ]
        assert len(parameters) == len(set(parameters))


def test_each_domain_is_normalised_by_its_own_batch_and_only_the_target_moves_the_running_statistics():
    given, alone = context(), context()
    batch = hidden(noise(4, 1))
    given.backbone.train(), alone.backbone.train()
    mmd.method(given, labelled=False).loss(batch, 0)
    alone.backbone(batch.images)
    for name in ("running_mean", "running_var"):
        assert torch.equal(
            getattr(given.backbone.network.norm, name), getattr(alone.backbone.network.norm, name)
        )
    assert given.backbone.network.norm.momentum == 0.1


def test_the_momentum_comes_back_after_an_error():
    given = context()
    with pytest.raises(RuntimeError), running_statistics_fixed(given.backbone):
        raise RuntimeError
    assert given.backbone.network.norm.momentum == 0.1
