"""Estimates: planned over cached features of just the subset's images, and what they look at is what they should."""

import numpy as np
import pytest
import torch

import headwater as hw
from headwater.harness.data.subset import draw_rows, draw_subset
from headwater.harness.measure.probabilities import SourceWithClassifier
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from headwater.registry.errors import BadSpec
from tests.harness.test_measure import measured
from tests.harness.toy import PLUGIN, keys


@pytest.fixture(scope="module")
def registry():
    return Registry.discover([PLUGIN])


def of_kind(made, kind):
    return [job for job in made.jobs.values() if job.kind == kind]


def planned(registry, **changes):
    return plan(
        Spec.of(
            keys(
                **(
                    {"adaptations": [], "estimators": ["toy/mean", "toy/guess"], "sizes": [6, 12]}
                    | changes
                )
            )
        ),
        registry,
    )


def test_one_extraction_of_the_largest_subset_serves_every_size_and_estimator(registry):
    made = planned(registry, seeds=2)
    looks = [(job.record.size, job.record.seed) for job in of_kind(made, "features")]
    assert sorted(looks) == [("12", 0), ("12", 1)]
    estimates = {
        (j.record.adaptation, j.record.size, j.record.seed) for j in of_kind(made, "estimate")
    }
    assert estimates == {
        (e, n, k) for e in ("toy/mean", "toy/guess") for n in ("6", "12") for k in (0, 1)
    }
    assert {job.extracted for job in of_kind(made, "estimate")} == {"12"} and not made.cells


def test_where_all_images_are_looked_at_anyway_estimates_share_them(registry):
    made = planned(registry, adaptations=["linear_probe"], sources=["toy/fixed"], references=[])
    assert [job.record.size for job in of_kind(made, "features")] == [""]
    assert {job.features for job in of_kind(made, "estimate")} == {
        job.features for job in made.cells
    }


def test_all_images_are_scored_once_whatever_the_seeds(registry):
    made = planned(
        registry,
        sizes=["full"],
        seeds=3,
        sources=["toy/fixed", "toy/random"],
        estimators=["toy/mean"],
    )
    assert sorted((j.record.source, str(j.record.seed)) for j in of_kind(made, "estimate")) == [
        ("toy/fixed", "None"),
        *(("toy/random", str(seed)) for seed in range(3)),
    ]


def test_an_estimate_keeps_its_identity_whatever_else_is_asked_for(registry):
    alone = {
        job.id for job in of_kind(planned(registry, sizes=[6], estimators=["toy/mean"]), "estimate")
    }
    among = {
        job.id
        for job in of_kind(
            planned(registry, adaptations=["linear_probe"], sizes=[6, 12]), "estimate"
        )
    }
    assert alone < among


def test_options_and_globs_name_estimators_once(registry):
    made = planned(
        registry, estimators=["toy/me*", "toy/mean[power=1.0]", "toy/mean[power=2.0]"], sizes=[6]
    )
    assert [job.record.adaptation for job in of_kind(made, "estimate")] == [
        "toy/mean",
        "toy/mean[power=2.0]",
    ]


def test_a_spec_needs_adaptations_or_estimators():
    with pytest.raises(BadSpec, match=r"adaptations needs .*, or estimators"):
        Spec.of(keys(adaptations=[]))


def test_an_unknown_estimator_is_named_by_its_key(registry):
    with pytest.raises(hw.HeadwaterError, match=r"estimators\[1\] = 'toy/maen'"):
        planned(registry, estimators=["toy/mean", "toy/maen"])


def scores(tmp_path, **changes):
    asked = {"adaptations": [], "estimators": ["toy/mean", "toy/guess"], "sizes": [6, 12]} | changes
    return {
        (r.source, r.adaptation, r.size): outcome
        for r, outcome in measured(tmp_path, **asked)
        if r.kind == "estimate"
    }


def the_score(outcome):
    return next(m.value for m in outcome.metrics if m.metric == "score")


def test_an_estimator_sees_the_features_of_its_own_subset(tmp_path):
    """From an extraction of more images, from one of all images, and by hand: the same numbers."""
    of_more, of_all = (
        scores(tmp_path / "a"),
        scores(tmp_path / "b", adaptations=["linear_probe"], references=[]),
    )
    features = np.load(next((tmp_path / "b" / "features").glob("*/train.npy")))
    labels = np.arange(60) % 3
    for size in (6, 12):
        rows = draw_rows(labels, str(size), 0)
        expected = float(features[rows].mean()) + labels[rows].mean()
        for found in (of_more, of_all):
            outcome = found["toy/fixed", "toy/mean", str(size)]
            assert the_score(outcome) == pytest.approx(expected, abs=1e-6)
            assert outcome.train_images == size


def test_the_first_rows_are_those_of_the_subset():
    strata = np.random.default_rng(0).integers(4, size=80)
    for size in ("20", "50", "full"):
        chosen = draw_subset(strata, size, 3, 0.2)
        assert draw_rows(strata, size, 3).tolist() == sorted([*chosen.train, *chosen.validation])
    assert len(draw_rows(strata, "500", 3)) == 80


def test_too_few_images_skip_an_estimate_and_no_smaller_one(tmp_path):
    found = scores(tmp_path, estimators=["toy/mean"], sizes=[6, 500])
    assert found["toy/fixed", "toy/mean", "6"].state is State.DONE
    skipped = found["toy/fixed", "toy/mean", "500"]
    assert (
        skipped.state is State.SKIPPED
        and "only 60 training images, 500 asked for" in skipped.reason
    )


def test_a_source_without_a_classifier_skips_what_needs_its_probabilities(tmp_path):
    outcome = scores(tmp_path)["toy/fixed", "toy/guess", "6"]
    assert outcome.state is State.SKIPPED and "no classifier" in outcome.reason


def test_a_source_that_keeps_its_classifier_lends_it(tmp_path):
    outcome = scores(tmp_path, sources=["toy/classifies"], references=[])[
        "toy/classifies", "toy/guess", "12"
    ]
    probabilities = np.load(next((tmp_path / "features").glob("*/probabilities.npy")))
    assert probabilities.shape == (12, 7)
    assert probabilities.sum(1) == pytest.approx(np.ones(12), abs=1e-5)
    assert the_score(outcome) == pytest.approx(probabilities.max(1).mean())


def test_a_chains_own_heads_are_its_classifier(tmp_path):
    chain = "chain[base=toy/fixed,on=toy/halves+toy/shades]"
    outcome = scores(tmp_path, sources=[chain], tasks=["toy/tones"], references=[])[
        chain, "toy/guess", "12"
    ]
    assert outcome.state is State.DONE, outcome.reason
    probabilities = np.load(next((tmp_path / "features").glob("*/probabilities.npy")))
    assert probabilities.shape == (12, 2 + 3)  # a class of every task, each head weighing the same
    assert probabilities[:, :2].sum(1) == pytest.approx(np.full(12, 0.5), abs=1e-5)
    assert probabilities[:, 2:].sum(1) == pytest.approx(np.full(12, 0.5), abs=1e-5)


def test_what_is_looked_at_is_the_timm_networks_own_features_and_softmax():
    import timm

    network = timm.create_model("test_vit", num_classes=5, img_size=32).eval()
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    looks = SourceWithClassifier(network)
    found = looks(images)
    with torch.no_grad():
        expected = network(images).softmax(1)
        features = network.forward_head(network.forward_features(images), pre_logits=True)
    assert torch.allclose(found[:, looks.width :], expected, atol=1e-6)
    assert torch.allclose(found[:, : looks.width], features, atol=1e-6)


def test_the_same_estimates_come_out_twice(tmp_path):
    one, two = (
        scores(tmp_path / "a", sources=["toy/random"]),
        scores(tmp_path / "b", sources=["toy/random"]),
    )
    assert {place: o.metrics for place, o in one.items()} == {
        place: o.metrics for place, o in two.items()
    }
