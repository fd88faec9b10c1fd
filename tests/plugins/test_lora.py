"""LoRA: only low-rank changes, that merge into the network's own weights."""

from __future__ import annotations

import builtins

import pytest
import torch

from headwater.plugins.adaptations.lora import lora
from headwater.registry.errors import BadName, HeadwaterError, NotApplicable
from tests.plugins.contexts import ARCHITECTURES, batch, context, same, state_of, trained

pytest.importorskip("peft")


def merged(architecture, **options):
    """(state before, state after merging, outputs before merging and after) of a short training."""
    given = context(architecture)
    before, images = state_of(given.backbone), batch(8, 7).images
    objective = trained(lora.method(given, **options))
    objective.network.eval()
    with torch.no_grad():
        apart = objective.network(images)
        network = objective.finish().eval()
        return before, state_of(network[0]), apart, network(images)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_merged_it_is_the_plain_network_again_with_the_same_outputs(architecture):
    before, after, apart, together = merged(architecture, rank=4)
    assert {name: value.shape for name, value in before.items()} == {
        name: value.shape for name, value in after.items()
    }
    assert torch.allclose(apart, together, atol=1e-4)
    assert not same(before, after)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_change_has_the_rank_at_most_and_all_else_keeps_every_bit(architecture):
    before, after, *_ = merged(architecture, rank=2)
    given = context(architecture)
    grouped = {
        f"{n}.weight" for n, m in given.backbone.named_modules() if getattr(m, "groups", 1) > 1
    }
    assert grouped or architecture in ("test_resnet", "test_vit")
    changed = 0
    for name, old in before.items():
        if torch.equal(old, after[name]):
            continue
        assert name.endswith("weight") and old.ndim in (2, 4) and name not in grouped
        values = torch.linalg.svdvals((after[name] - old).double().flatten(1))
        assert float(values[2:].max()) < 1e-4 * float(values[0]) + 1e-6
        changed += 1
    layers = sum(
        isinstance(m, torch.nn.Linear | torch.nn.Conv2d) and getattr(m, "groups", 1) == 1
        for m in given.backbone.modules()
    )
    assert changed == layers


def test_at_first_it_is_the_source():
    given, images = context("test_vit"), batch().images
    with torch.no_grad():
        before = given.head(given.backbone(images))
        after = lora.method(given).network.eval()(images)
    assert torch.allclose(before, after, atol=1e-6)


def test_what_is_trained_is_the_adapters_and_the_whole_head():
    objective = lora.method(context("test_efficientnet"), rank=3)
    names = {
        name for name, parameter in objective.network.named_parameters() if parameter.requires_grad
    }
    assert {name for name in names if "lora_" not in name} == {"1.weight", "1.bias"}
    shapes = {
        tuple(p.shape[:1]) for name, p in objective.network.named_parameters() if "lora_A" in name
    }
    assert shapes == {(3,)}
    assert sum(len(group.parameters) for group in objective.groups) == len(names)


@pytest.mark.parametrize(
    ("architecture", "targets", "adapted"),
    [
        ("test_vit", "*.qkv", 6),
        ("test_vit", "*.qkv+*.fc1", 12),
        ("test_vit", "pointwise", 24),
        ("test_vit", "all", 25),  # and the patch embedding
        ("test_resnet", "pointwise", 5),
    ],
)
def test_targets_are_all_layers_the_pointwise_ones_or_those_named(architecture, targets, adapted):
    network = lora.method(context(architecture), targets=targets).network
    assert (
        sum(name.endswith("lora_A.default.weight") for name, _ in network.named_parameters())
        == adapted
    )


def test_a_layer_that_standardises_its_weight_would_not_merge_and_is_left_out():
    with pytest.raises(NotApplicable, match="no layer"):
        lora.method(context("test_nfnet"), targets="*stages*conv*")


def test_the_seed_decides_the_adapters_and_the_source_stays_apart():
    one, other = (state_of(lora.method(context("test_vit")).network) for _ in range(2))
    assert same(one, other)


def test_it_works_in_mixed_precision():
    objective = lora.method(context("test_convnext"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = torch.nn.functional.cross_entropy(objective.network(batch().images), batch().targets)
    loss.backward()
    grown = [p.grad for name, p in objective.network.named_parameters() if "lora_B" in name]
    assert all(bool((gradient != 0).any()) for gradient in grown)


def test_a_rank_below_one_is_refused():
    with pytest.raises(BadName, match="1 or more"):
        lora.method(context("test_vit"), rank=0)


def test_without_peft_it_says_how_to_install_it(monkeypatch):
    known = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "peft":
            raise ImportError(name)
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(HeadwaterError) as raised:
        lora.method(context("test_vit"))
    assert raised.value.hint == "pip install 'headwater[lora]'"
