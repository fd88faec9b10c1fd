"""fine_tune: what each option says holds of the training that it makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from headwater.harness.measure.device import Device
from headwater.harness.measure.training import build_optimiser
from headwater.plugins.adaptations.fine_tune import fine_tune, from_scratch
from headwater.plugins.layer_groups import layer_parameters
from headwater.plugins.linear_models.logistic import logistic
from headwater.plugins.linear_models.problems import LinearProblem
from headwater.plugins.probe_head import MIN_SCORE, STRENGTHS, cross_validated
from headwater.registry.errors import BadName, NotApplicable
from tests.plugins.contexts import (
    ARCHITECTURES,
    CLASSES,
    batch,
    cnn_recipe,
    context,
    same,
    state_of,
    trained,
)


def ends(**options):
    """The backbone's weights before and after a training, as one vector each."""
    given = context("test_resnet")
    before = torch.cat([p.detach().flatten().clone() for p in given.backbone.parameters()])
    trained(fine_tune.method(given, **options), optimiser="sgd", learning_rate=0.01)
    return before, torch.cat([p.detach().flatten() for p in given.backbone.parameters()])


def test_without_options_it_is_the_training_of_the_control():
    one, other = (
        trained(card.method(context("test_resnet"))).network for card in (fine_tune, from_scratch)
    )
    assert same(state_of(one), state_of(other))
    plain = fine_tune.method(context("test_resnet"))
    assert plain.loss is None and [(group.scale, group.weight_decay) for group in plain.groups] == [
        (1.0, None),
        (1.0, None),
    ]


# -- discriminative rates


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_layer_learns_at_the_decay_to_the_power_of_its_distance_from_the_head(architecture):
    given = context(architecture)
    objective = fine_tune.method(given, layer_decay=0.5, head_scale=3.0)
    rates = {
        id(parameter): group["lr"]
        for group in build_optimiser(
            objective.groups, cnn_recipe(learning_rate=0.1), Device("cpu")
        ).param_groups
        for parameter in group["params"]
    }
    layers = layer_parameters(given.backbone)
    assert len(layers) >= 5
    for distance, layer in enumerate(reversed(layers), start=1):
        assert all(rates[id(p)] == pytest.approx(0.1 * 0.5**distance) for p in layer)
    assert all(rates[id(p)] == pytest.approx(0.3) for p in given.head.parameters())
    assert len(rates) == len(list(objective.network.parameters()))


# -- L2-SP


def test_the_penalty_equals_its_formula():
    alpha, beta = 0.3, 0.7
    given = context("test_vit")
    start = state_of(given.backbone)
    objective = fine_tune.method(given, l2_sp=alpha, l2_head=beta)
    seen = batch()
    with torch.no_grad():
        for parameter in objective.network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
        found = objective.loss(seen, 0) - given.loss(objective.network(seen.images), seen.targets)
    now = {name: value.detach().double() for name, value in given.backbone.named_parameters()}
    away = sum(float(((now[name] - start[name].double()) ** 2).sum()) for name in now)
    large = sum(float((value.detach().double() ** 2).sum()) for value in given.head.parameters())
    assert float(found) == pytest.approx(alpha / 2 * away + beta / 2 * large, rel=1e-4)
    assert away > 0.1


def test_the_penalty_is_nothing_where_it_starts_and_pulls_there_in_proportion():
    given = context("test_resnet")
    objective = fine_tune.method(given, l2_sp=2.0)
    parameter = next(given.backbone.parameters())
    seen = batch()

    def gradients():
        """Of the loss and of the task's alone."""
        found = []
        for value in (
            objective.loss(seen, 0),
            given.loss(objective.network.eval()(seen.images), seen.targets),
        ):
            objective.network.zero_grad()
            value.backward()
            found.append(parameter.grad.clone())
        return found

    assert torch.equal(*gradients())
    with torch.no_grad():
        parameter.add_(0.5)
    whole, alone = gradients()
    assert torch.allclose(whole - alone, torch.full_like(whole, 2.0 * 0.5), atol=1e-4)


def test_a_strong_pull_keeps_the_backbone_where_it_started():
    distances = {}
    for alpha in (0.0, 1.0, 100.0):
        before, after = ends(l2_sp=alpha)
        distances[alpha] = float((after - before).norm())
    assert distances[100.0] < 0.2 * distances[0.0]
    assert distances[100.0] < distances[1.0] < distances[0.0]


def test_what_is_pulled_does_not_decay_besides():
    decays = [
        [group.weight_decay for group in fine_tune.method(context("test_resnet"), **options).groups]
        for options in ({"l2_sp": 0.1}, {"l2_head": 0.1}, {"l2_sp": 0.1, "l2_head": 0.1}, {})
    ]
    assert decays == [[0.0, None], [None, 0.0], [0.0, 0.0], [None, None]]


# -- LP-FT


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_head_starts_with_the_predictions_of_the_probe(architecture):
    given = context(architecture)
    before = state_of(given.backbone)
    network = fine_tune.method(given, probe_first=True).network.eval()
    assert same(before, state_of(given.backbone))
    images, targets = (getattr(batch(30, 5), name) for name in ("images", "targets"))
    with torch.no_grad():
        features = given.backbone(images).numpy()
        found = network(images).log_softmax(1).numpy()
    probe = cross_validated(features, targets.numpy(), CLASSES)
    assert np.allclose(found, probe.log_probabilities(features), atol=1e-3)
    assert (found.argmax(1) == targets.numpy()).mean() > 0.6


def test_the_probe_is_the_one_of_least_held_out_log_loss():
    generator = np.random.default_rng(0)
    targets = np.arange(50) % 2
    features = (generator.normal(size=(50, 4)) + targets[:, None] * 0.8).astype(np.float32)
    fold_of = np.empty(50, dtype=int)
    fold_of[np.argsort(targets, kind="stable")] = np.arange(50) % 5
    loss = {}
    for strength in STRENGTHS:
        loss[strength] = 0.0
        for fold in range(5):
            learn, left = fold_of != fold, fold_of == fold
            mean, std = features[learn].mean(0), features[learn].std(0)
            fitted = LogisticRegression(C=strength).fit(
                (features[learn] - mean) / std, targets[learn]
            )
            loss[strength] -= fitted.predict_log_proba((features[left] - mean) / std)[
                np.arange(left.sum()), targets[left]
            ].sum()
    best = min(loss, key=loss.get)
    path = logistic([LinearProblem(features, np.arange(50), targets, 2)], STRENGTHS)[0]
    found = cross_validated(features, targets, 2).weight
    assert (
        min(
            STRENGTHS,
            key=lambda strength: np.abs(path[STRENGTHS.index(strength)].weight - found).max(),
        )
        == best
        == 0.1
    )


def test_a_class_without_images_starts_unlikely_and_finite():
    given = context("test_resnet", head=nn.Linear(96, CLASSES + 1))
    fine_tune.method(given, probe_first=True)
    assert given.head.bias[CLASSES].item() == MIN_SCORE
    assert all(bool(value.isfinite().all()) for value in given.head.parameters())


def test_without_images_to_look_at_the_head_stays_as_it_was():
    given = context("test_resnet", images=lambda: iter(()))  # a saved network is put together so
    before = state_of(given.head)
    fine_tune.method(given, probe_first=True)
    assert same(before, state_of(given.head))


def test_a_head_that_is_not_linear_cannot_start_as_a_probe():
    with pytest.raises(NotApplicable, match="linear head"):
        fine_tune.method(
            context("test_resnet", head=nn.Sequential(nn.Linear(96, 3))), probe_first=True
        )


@pytest.mark.parametrize("options", [{"layer_decay": -0.5}, {"l2_sp": -1.0}, {"l2_head": -0.1}])
def test_values_that_make_no_sense_are_refused(options):
    with pytest.raises(BadName, match="makes no sense"):
        fine_tune.method(context("test_resnet"), **options)
