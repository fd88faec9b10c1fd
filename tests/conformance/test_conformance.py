"""The conformance suite finds what is broken, and passes what is bundled."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import headwater as hw
from headwater.harness.conformance import checks, conformance_cases, examine, own_cards, toys
from headwater.harness.conformance.templates import TEMPLATES
from headwater.registry import Kind
from headwater.registry.errors import BadPlugin
from tests import rendered
from tests.facts import missing_facts


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover()


def failures(card, registry, skip=("elsewhere",)):
    """Names of the failed checks and what they say; the second process is left out where it is not the point."""
    wanted = [check for check in checks(card, registry) if check.name not in skip]
    return {result.check.name: result.message for result in examine(wanted) if not result.passed}


@pytest.mark.parametrize(
    "kind", [Kind.ADAPTATION, Kind.ANALYSIS, Kind.ESTIMATOR, Kind.SELECTOR, Kind.DOMAIN]
)
def test_what_is_bundled_conforms(registry, kind):
    assert {
        card.name: failures(card, registry)
        for card in registry.cards[kind].values()
        if failures(card, registry)
    } == {}


@pytest.mark.parametrize("name", ["sklearn/digits", "quickstart/letters", "quickstart/photographs"])
def test_bundled_tasks_conform(registry, name):
    assert failures(registry.task(name), registry) == {}


# -- sources ------------------------------------------------------------------------------------------------------

toy = toys.network


def source(build, **facts):
    return replace(toy, build=build, **facts)


def test_a_sound_source_says_what_it_is(registry):
    seen = [result.message for result in examine(checks(toy, registry)[:-1]) if result.message]
    assert seen == [
        "card complete",
        "builds · 0.0 M parameters · 16 px",
        "features (8,)",
        "deterministic",
        "trains",
        "picklable",
    ]


def test_a_source_that_does_not_build_is_examined_no_further(registry):
    def build():
        raise RuntimeError("no such layer")

    found = failures(source(build), registry)
    assert list(found) == ["builds"] and "RuntimeError: no such layer" in found["builds"]


def test_a_source_without_the_two_forwards_is_told_which(registry):
    assert (
        "without forward_features and forward_head"
        in failures(source(lambda: torch.nn.Linear(1, 1)), registry)["builds"]
    )


def changed(**methods):
    """The toy network with methods of it replaced."""

    def build():
        network = toy.build()
        for name, method in methods.items():
            setattr(network, name, method.__get__(network))
        return network

    return source(build)


def test_weights_that_only_build_knows_are_found(registry, tmp_path):
    save_file(hw.timm_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    card = replace(
        source(lambda: hw.timm_model("test_resnet", weights=tmp_path / "w.safetensors")),
        input_size=32,
    )
    named = replace(card, weights=str(tmp_path / "w.safetensors"))
    flagged = [
        {r.check.name: r.message for r in examine(checks(one, registry)[:3])}["weights"]
        for one in (card, named)
    ]
    assert missing_facts(flagged[0], "w.safetensors", "weights=PATH") == []
    assert flagged[1] == ""


def test_features_must_be_rows(registry):
    found = failures(changed(forward_head=lambda self, maps, pre_logits=True: maps), registry)
    assert missing_facts(found["features"], "(2, 8, 7, 7)", "(2, D)") == []


def test_features_must_be_finite(registry):
    found = failures(
        changed(forward_head=lambda self, maps, pre_logits=True: maps.mean((2, 3)) / 0), registry
    )
    assert found["features"] == "features are not finite"


def test_randomness_in_evaluation_is_found(registry):
    found = failures(
        changed(forward_head=lambda self, maps, pre_logits=True: maps.mean((2, 3)) + torch.rand(1)),
        registry,
    )
    assert "different features twice" in found["deterministic"]


def test_weights_that_were_not_all_loaded_are_found(registry):
    found = failures(replace(toy, random=False, scratch="scratch/test_resnet"), registry)
    assert "depend on the seed" in found["deterministic"]


def test_a_network_that_cannot_be_trained_is_found(registry):
    found = failures(
        changed(forward_features=lambda self, images: self.convolution(images).detach()), registry
    )
    assert "does not require grad" in found["trains"] or "no finite gradient" in found["trains"]


def test_unknown_domains_and_task_types_are_found(registry):
    for field, name in (("domain", "lunar"), ("task_type", "guessing")):
        message = failures(replace(toy, **{field: name}), registry)["card"]
        assert missing_facts(message, field.replace("_", " "), f"'{name}'") == []


def test_a_card_that_says_little_passes_and_says_what_it_lacks(registry):
    card = replace(toy, random=False, domain=None, images=None)
    assert missing_facts(checks(card, registry)[0](), "lacks", "domain", "images", "scratch") == []


@pytest.mark.slow
def test_a_source_that_differs_in_another_process_is_found(tmp_path):
    path = tmp_path / "lab.py"
    text = (
        "import os, torch\nimport headwater as hw\n"
        "@hw.source_model('lab/net', architecture='test_resnet', random=True, input_size=32)\n"
        "def build():\n    network = hw.timm_model('test_resnet')\n"
        "    torch.nn.init.constant_(network.bn1.weight, os.getpid())\n    return network\n"
    )
    path.write_text(text)
    registry = hw.Registry.discover([path])
    (card,) = own_cards(registry)
    assert failures(card, registry, skip=()) == {
        "elsewhere": "another process builds other weights"
    }


# -- tasks --------------------------------------------------------------------------------------------------------


def task(train, test, **facts):
    return replace(toys.stripes, load=lambda: {"train": train, "test": test}, **facts)


def noise(count, labels, seed=0):
    generator = np.random.default_rng(seed)
    return hw.Split(
        [generator.integers(0, 255, (8, 8, 3)).astype(np.uint8) for _ in range(count)], labels
    )


def test_a_sound_task_says_what_it_is(registry):
    seen = [result.message for result in examine(checks(toys.stripes, registry)[:-1])]
    assert seen == [
        "classification by accuracy ↑ · synthetic",
        "30 + 12 images",
        "3 classes",
        "decodes",
        "splits disjoint",
    ]


def test_the_same_image_in_train_and_test_is_found_whatever_its_form(registry, tmp_path):
    train, test = noise(6, [0, 1, 2] * 2), noise(3, [0, 1, 2], seed=1)
    shared = hw.Split([*test.images[:2], Image.fromarray(train.images[4])], test.targets)
    message = failures(task(train, shared), registry)["disjoint"]
    assert re.match("1 test images .*, toy/stripes: test image 2", message)


def test_a_label_out_of_range_is_found(registry):
    assert (
        "train image 5 has label 9"
        in failures(task(noise(6, [0, 1, 2, 0, 1, 9]), noise(3, [0, 1, 2], 1)), registry)["labels"]
    )


def test_a_class_without_training_images_is_found(registry):
    assert (
        failures(task(noise(4, [0, 1] * 2), noise(3, [0, 1, 2], 1)), registry)["labels"]
        == "no training image of down"
    )


def test_a_corrupt_image_is_found(registry):
    train = noise(3, [0, 1, 2])
    broken = hw.Split([*train.images[:2], b"not an image"], train.targets)
    assert (
        "train image 2 cannot be decoded"
        in failures(task(broken, noise(3, [0, 1, 2], 1)), registry)["decodes"]
    )


def test_unknown_metrics_and_domains_of_tasks_are_found(registry):
    assert failures(replace(toys.stripes, metric="luck"), registry) == {
        "card": "classification has no metric 'luck'"
    }
    assert failures(replace(toys.stripes, domain="lunar"), registry) == {
        "card": "its domain 'lunar' is not known"
    }


# -- adaptations, estimators, selectors ---------------------------------------------------------------------------


def test_an_adaptation_that_returns_something_else_is_found(registry):
    @hw.adaptation("lab/none", control="from_scratch")
    def nothing(context):
        return None

    assert failures(nothing, registry)["applies"].startswith(
        f"{nothing.name} returned None, expected was"
    )


def test_an_adaptation_that_trains_nothing_is_found(registry):
    @hw.adaptation("lab/idle", control="from_scratch")
    def idle(context):
        return hw.Objective(torch.nn.Sequential(context.backbone, context.head), [])

    assert failures(idle, registry)["applies"] == "it trains no parameter"


def test_an_adaptation_that_climbs_is_found(registry):
    @hw.adaptation("lab/climb", control="from_scratch")
    def climb(context):
        network = torch.nn.Sequential(context.backbone, context.head)
        loss = context.loss
        return hw.Objective(
            network,
            [hw.ParameterGroup(list(network.parameters()))],
            lambda batch, step: loss(network(batch.images), batch.targets) + step,
        )

    assert "its loss does not fall" in failures(climb, registry)["learns"]


def test_cells_that_see_each_other_are_found(registry):
    @hw.adaptation("lab/crowd", on="features")
    def crowd(cells):
        rows = sum(len(cell.train_rows) for cell in cells)
        return [hw.Solution(lambda features: features[:, :3] * rows) for _ in cells]

    assert missing_facts(failures(crowd, registry)["together"], "together", "alone") == []


def test_a_missing_solution_is_found(registry):
    @hw.adaptation("lab/few", on="features")
    def few(cells):
        return [hw.Solution(lambda rows: rows[:, :3])]

    assert failures(few, registry)["applies"] == "it returned 1 solutions for 2 cells"


@pytest.mark.parametrize(
    ("score", "check", "says"),
    [
        (
            lambda features, labels: 2.0,
            "range",
            "lab/e returned 2 for 90 images, 8 features, 3 classes",
        ),
        (lambda features, labels: float("nan"), "range", "lab/e returned nan for 90 images"),
        (
            lambda features, labels: np.random.random(),
            "deterministic",
            "the same arrays",
        ),
        (
            lambda features, labels: float(features.__setitem__(0, 0.0) is None),
            "harmless",
            "it changes its features",
        ),
    ],
)
def test_estimators_that_break_their_word_are_found(registry, score, check, says):
    card = hw.Estimator(name="lab/e", score=score, low=0.0, high=1.0)
    assert failures(card, registry)[check].startswith(says)


def test_a_selector_that_forgets_a_source_is_found(registry):
    card = hw.Selector(
        name="lab/s", rank=lambda question: {source.name: 1.0 for source in question.sources[1:]}
    )
    assert failures(card, registry)["ranks"] == "it gives no score for toy/a"


def test_a_selector_that_needs_records_is_found(registry):
    card = hw.Selector(
        name="lab/s",
        rank=lambda question: {s.name: question.records[0].quality for s in question.sources},
    )
    assert "IndexError" in failures(card, registry)["frugal"]


# -- task types ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "classification",
        "multilabel",
        "regression",
        "segmentation",
        "detection",
        "keypoints",
        "depth",
    ],
)
def test_bundled_task_types_conform_on_a_task_of_theirs(registry, name):
    task = hw.Registry.discover([rendered.PLUGIN]).task(f"rendered/{name}")
    made = checks(registry.task_type(name), registry, [task])
    assert len(made) == 15
    assert {
        result.check.name: result.message for result in examine(made) if not result.passed
    } == {}


def test_without_a_task_only_the_card_of_a_task_type_is_looked_at(registry):
    (check,) = checks(registry.task_type("segmentation"), registry)
    assert "tried on nothing" in check()


def broken_type(registry, **methods):
    """Classification with methods of it replaced, and what its checks say on the toy task."""
    card = registry.task_type("classification")
    cls = type("Broken", (type(card.methods),), methods)
    made = checks(replace(card, methods=cls()), registry, [toys.stripes])
    return {
        result.check.name: result.message
        for result in examine(made)
        if not result.passed and result.check.name != "picklable"
    }


def test_a_task_type_that_keeps_its_word_passes_on_the_toy_task(registry):
    assert broken_type(registry) == {}


def _silent(self, given):
    return hw.Encoded(
        np.array([target if isinstance(target, int) else 0 for target in given.targets])
    )


def _stumbles(self, given):
    return hw.Encoded(np.array([int(target) for target in given.targets]))


RESTLESS = np.random.default_rng(0)
"""Seeded: that two of its draws are equal is decided once, not by chance in each run."""


def _restless(self, given):
    return hw.Encoded(RESTLESS.integers(0, 3, len(given.targets)))


def _seldom_restless(self, given):
    """As a random draw may do by chance: equal for the first times, and then not."""
    _seldom_restless.calls += 1
    return hw.Encoded(np.full(len(given.targets), _seldom_restless.calls // 5))


_seldom_restless.calls = 0


def _whole_head(self, features, outputs):
    class Head(torch.nn.Linear):
        def forward(self, rows):
            logits = super().forward(rows)
            return logits if self.training else logits.argmax(1)

    return Head(features, outputs)


def _sum(self, outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")


def _level(self, outputs, targets):
    return outputs.mean() * 0 + 1


def _wrong_way(self, outputs, targets):
    return dict.fromkeys(ALL, float((outputs.argmax(1) != targets).float().mean()))


ALL = ("accuracy", "balanced_accuracy", "f1", "auroc", "log_loss")


@pytest.mark.parametrize(
    ("method", "does", "check", "says"),
    [
        ("encode", _silent, "flaws", "taken without a word"),
        ("encode", _stumbles, "flaws", "ends in TypeError"),
        ("encode", _restless, "encodes", "encoded differently twice"),
        ("encode", _seldom_restless, "encodes", "encoded differently twice"),
        (
            "strata",
            lambda self, targets: targets * 1.0,
            "strata",
            "strata of 6 images are (6,) float64",
        ),
        ("head", _whole_head, "predicts", "its head says (6,) torch.int64 of 6 images"),
        ("loss", _sum, "loss", "of the batch twice over"),
        ("loss", _level, "learns", "its loss goes from 1 to 1"),
        (
            "measure",
            lambda *_: {"accuracy": 1.0},
            "measures",
            "its card lists accuracy, balanced",
        ),
        ("measure", lambda *_: dict.fromkeys(ALL, float("nan")), "measures", "accuracy is nan"),
        ("measure", _wrong_way, "direction", "accuracy goes from"),
        (
            "picture",
            lambda self, image, *_: [("image", image / 255)],
            "picture",
            "picture is (64, 64, 3) float64",
        ),
        ("picture", lambda *_: [], "picture", "its picture has no panels"),
        (
            "probe",
            lambda self, targets: hw.Probe(targets, np.arange(len(targets))),
            "probe",
            "estimators are not told",
        ),
    ],
)
def test_task_types_that_break_their_word_are_found(registry, method, does, check, says):
    assert says in broken_type(registry, **{method: does})[check]


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("encode", [1, 2]),
        ("outputs", "three"),
        ("strata", None),
        ("head", 3),
        ("loss", 0.5),
        ("measure", None),
        ("measure", {"accuracy": "high"}),
        ("by_class", [0.5]),
        ("tally", 1.0),
        ("probe", []),
        ("picture", np.zeros((8, 8, 3), np.uint8)),
    ],
)
def test_a_method_of_a_task_type_that_returns_another_type_is_named(registry, method, value):
    messages = broken_type(registry, **{method: lambda *_: value}).values()
    assert messages
    for message in messages:
        got = "None" if value is None else type(value).__name__
        assert message.startswith(f"classification: {method} returned {got}")
        assert "expected was" in message


def test_a_selector_and_an_analysis_that_return_another_type_are_named(registry):
    selector = hw.selector("lab/x")(lambda question: [1])
    analysis = hw.analysis("lab/x", looks_at="one seed")(lambda networks: 7)
    for card, check, got in ((selector, "ranks", "list"), (analysis, "measures", "int")):
        message = failures(card, registry)[check]
        assert f"lab/x returned {got}" in message
        assert "expected was" in message


@pytest.mark.parametrize("loaded", [None, 3, [1, 2], {"train": "images"}, hw.Split(None, [1])])
def test_a_task_that_loads_another_type_is_named(registry, loaded):
    task = hw.Task(name="lab/x", load=lambda: loaded)
    message = failures(task, registry)["loads"]
    assert message.startswith("lab/x: load returned ")
    assert "expected was" in message


def test_what_is_no_number_twice_is_no_other_number(registry):
    """One flaw, told once: not that it is random, too."""
    assert list(broken_type(registry, measure=lambda *_: {name: float("nan") for name in ALL})) == [
        "measures"
    ]


def test_targets_that_do_not_come_back_as_they_were_are_found(registry):
    card = registry.task_type("segmentation")
    shifted = type(
        "Shifted",
        (type(card.methods),),
        {"annotated": lambda self, annotations, target: (annotations["mask"] + 1).to(target.dtype)},
    )
    task = hw.Registry.discover([rendered.PLUGIN]).task("rendered/segmentation")
    wanted = [
        check
        for check in checks(replace(card, methods=shifted()), registry, [task])
        if check.name == "augments"
    ]
    (result,) = examine(wanted)
    assert not result.passed and "comes back changed" in result.message


# -- for third parties --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_every_template_conforms(tmp_path, kind):
    path = tmp_path / "mine.py"
    path.write_text(
        TEMPLATES[kind]
        .replace("NAME", "lab/mine")
        .replace("FUNCTION", "mine")
        .replace("resnet18", "test_resnet")
    )
    registry = hw.Registry.discover([path])
    cards = own_cards(registry)
    assert (kind, "lab/mine") in {(card.kind.value, card.name) for card in cards}
    assert len(cards) == (2 if kind == "task-type" else 1)  # a task type brings a task to try it on
    assert {card.name: failures(card, registry) for card in cards if failures(card, registry)} == {}


@pytest.mark.slow
def test_third_parties_test_their_plugin_in_three_lines(tmp_path):
    (tmp_path / "my_task.py").write_text(
        TEMPLATES["task"].replace("NAME", "lab/mine").replace("FUNCTION", "mine")
    )
    (tmp_path / "test_mine.py").write_text(
        "import pytest, headwater as hw\n"
        "@pytest.mark.parametrize('check', hw.conformance.conformance_cases('my_task.py'))\n"
        "def test_conforms(check): check()\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
        "test_mine.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "test_conforms[lab/mine-disjoint] PASSED" in done.stdout and "6 passed" in done.stdout


def test_a_plugin_that_cannot_be_imported_or_registers_nothing_is_an_error(tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(BadPlugin, match="ZeroDivisionError"):
        conformance_cases(tmp_path / "bad.py")
    (tmp_path / "bad.py").write_text("x = 1")
    with pytest.raises(BadPlugin, match="registers nothing"):
        conformance_cases(tmp_path / "bad.py")


def test_a_misspelt_scratch_reference_is_an_error_and_one_that_timm_lacks_is_not(tmp_path):
    text = (
        "import headwater as hw\n"
        "@hw.source_model('lab/{0}', {1}, input_size=32)\n"
        "def build():\n    return hw.timm_model('test_resnet')\n"
    )
    misspelt, derived = tmp_path / "misspelt.py", tmp_path / "derived.py"
    misspelt.write_text(text.format("a", "scratch='scratch/test_resnte'"))
    derived.write_text(text.format("b", "architecture='our_own_net'"))
    registry = hw.Registry.discover([misspelt, derived])
    first, second = own_cards(registry)
    card_check = {card.name: checks(card, registry)[0] for card in (first, second)}
    with pytest.raises(hw.BadPlugin, match="test_resnet"):
        card_check["lab/a"]()
    assert "scratch" in card_check["lab/b"]()
