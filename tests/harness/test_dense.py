"""Tasks whose targets have places: what estimators are shown of them, and that all else of the house takes them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.data.subset import first
from harness.measure.backbone import Backbone
from harness.measure.probing import MOST, features_at, probe_of
from harness.pixels import PER_CLASS
from harness.plan import plan
from harness.schedule import Schedule
from harness.spec import Spec
from harness.worker import Worker
from leaderboard.records import JobKind, State
from registry import Evidence, Probe, Registry
from registry.errors import BadPlugin
from tests.harness.dense_toy import PLUGIN, VOID, keys, squares


def measured(tmp_path, **changes):
    """Run a spec's jobs in this process: records with their outcomes."""
    made = plan(Spec.of(keys(**changes)), Registry.discover([PLUGIN]))
    worker, schedule, found = Worker(tmp_path, [PLUGIN], 1), Schedule(made.jobs.values()), []
    while (job := schedule.take()) is not None:
        outcome = worker.run(job)
        found += [(made.jobs[settled.job].record, settled) for settled in (outcome, *schedule.settle(outcome))]
    return found


def estimates(tmp_path, **changes):
    asked = {"adaptations": [], "references": []} | changes
    return {(r.source, r.task, r.adaptation, r.size): o for r, o in measured(tmp_path, **asked) if r.kind is JobKind.ESTIMATE}


def score_of(outcome):
    assert outcome.state is State.DONE, outcome.reason
    return next(m.value for m in outcome.metrics if m.metric == "score")


# -- what estimators are shown ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry():
    return Registry.discover([PLUGIN])


@pytest.fixture(scope="module")
def maps(registry):
    """The deepest maps (24, 5, 2, 2) of all training images, as the source gives them."""
    source = registry.source("toy/maps")
    images = torch.from_numpy(np.stack(squares(24, 0)[0])).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (source.mean, source.std))
    with torch.inference_mode():
        return Backbone(source.network(64), dense=True).eval()((images - mean) / std)[-1].numpy()


def by_hand(targets, maps, rows, none, most):
    """Features and labels of every second pixel of every second row, one by one; drawn as ``harness.pixels`` draws."""
    labels, cells = [], []
    for row in rows:
        for y in range(0, 64, 2):
            for x in range(0, 64, 2):
                if targets[row, y, x] not in none:
                    labels.append(targets[row, y, x])
                    cells.append(maps[row, :, int((y + 0.5) / 64 * 2), int((x + 0.5) / 64 * 2)])
    labels, cells, random = np.array(labels), np.array(cells), np.random.default_rng(0)
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)] if most == PER_CLASS else [np.arange(len(labels))]
    kept = np.concatenate([np.sort(random.choice(group, most, replace=False)) for group in groups])
    return labels[np.sort(kept)], cells[np.sort(kept)]


def test_places_of_a_segmentation_are_scored_as_classified_and_as_by_hand(tmp_path, registry, maps):
    found = estimates(tmp_path, estimators=["logme", "hscore_reg"], sizes=[12, "full"])
    masks = squares(24, 0)[1]
    for size in ("12", "full"):
        rows = first(np.zeros(24, int), size, 0)
        labels, features = by_hand(masks, maps, rows, (VOID,), PER_CLASS)
        assert np.bincount(labels).tolist() == [PER_CLASS, PER_CLASS]
        for name in ("logme", "hscore_reg"):
            outcome = found["toy/maps", "toy/where", name, size]
            assert score_of(outcome) == pytest.approx(float(registry.estimator(name)[0].of(Evidence.of(features, labels))), rel=1e-5)
            assert outcome.train_images == len(rows)
    assert score_of(found["toy/maps", "toy/where", "logme", "12"]) != score_of(found["toy/maps", "toy/where", "logme", "full"])


def test_places_of_a_depth_map_are_scored_as_numbers(tmp_path, registry, maps):
    outcome = estimates(tmp_path, tasks=["toy/far"], estimators=["logme"])["toy/maps", "toy/far", "logme", "12"]
    labels, features = by_hand(squares(24, 0)[2], maps, first(np.zeros(24, int), "12", 0), (0,), MOST)
    assert len(labels) == MOST
    expected = registry.estimator("logme")[0].of(Evidence.of(features, labels, task_type="regression"))
    assert score_of(outcome) == pytest.approx(float(expected), rel=1e-5)


def test_without_places_the_pooled_features_of_the_probes_images_are_scored(tmp_path, registry):
    """Two thirds of the masks hold no class but one; those with none are left out by the probe."""
    outcome = estimates(tmp_path, tasks=["toy/what"], estimators=["logme"], sizes=["full"])["toy/maps", "toy/what", "logme", "full"]
    features = np.load(next((tmp_path / "features").glob("*/train.npy")))
    assert features.shape == (24, 5)
    flags = np.array([[row % 3 != 0, row % 3 != 1] for row in range(24)]).astype(int)
    expected = registry.estimator("logme")[0].of(Evidence.of(features, flags, task_type="multilabel"))
    assert score_of(outcome) == pytest.approx(float(expected), rel=1e-6)
    assert outcome.train_images == 24


def test_only_few_rows_are_kept_and_no_test_images_looked_at(tmp_path):
    jobs = measured(tmp_path, adaptations=[], references=[], estimators=["logme"], sizes=["full"])
    (looked,) = [outcome for record, outcome in jobs if record.kind is JobKind.FEATURES]
    assert set(looked.artifacts) == {"features_train"}
    assert looked.images == 24
    assert np.load(tmp_path / looked.artifacts["features_train"]).shape == (2 * PER_CLASS, 5)


def test_every_source_is_asked_the_same(tmp_path, registry):
    found = estimates(tmp_path, sources=["toy/maps", "scratch/test_resnet"], estimators=["logme"])
    assert {source for source, *_ in found} == {"toy/maps", "scratch/test_resnet"}
    files = [np.load(path) for path in sorted((tmp_path / "features").glob("*/train.npy"))]
    assert sorted(array.shape[1] for array in files)[0] == 5
    assert {len(array) for array in files} == {2 * PER_CLASS}


def test_a_vision_transformer_is_scored_on_its_deepest_tokens(tmp_path):
    found = estimates(tmp_path, sources=["scratch/test_vit"], estimators=["logme"])
    assert np.isfinite(score_of(next(iter(found.values()))))


@pytest.mark.parametrize(
    ("task", "estimator", "says"),
    [
        ("toy/silent", "logme", r"logme is for classification, regression, multilabel tasks, toy/silent is toy/mute$"),
        ("toy/far", "hscore", r"hscore is for classification tasks, toy/far is toy/depth, scored as regression$"),
        ("toy/where", "leep", "leep needs the source's own classes at places of an image, and it knows those of whole images only"),
    ],
)
def test_what_an_estimator_cannot_score_is_skipped_with_the_reason(tmp_path, registry, task, estimator, says):
    made = plan(Spec.of(keys(tasks=[task], adaptations=[], references=[], estimators=[estimator])), registry)
    reasons = list(made.skipped.values()) or [
        outcome.reason for outcome in estimates(tmp_path, tasks=[task], estimators=[estimator]).values()
    ]
    assert len(reasons) == 1 and re.search(says, reasons[0])


def test_each_subset_has_places_of_its_own(registry):
    def features(task):
        made = plan(Spec.of(keys(tasks=[task], adaptations=[], references=[], estimators=["logme"], sizes=[6, 12])), registry)
        return {job.record.size: job for job in made.jobs.values() if job.kind is JobKind.FEATURES}

    assert set(features("toy/where")) == {"6", "12"}


# -- probes that are none ---------------------------------------------------------------------------------


class Odd:
    """A task type's methods that give a certain probe."""

    def __init__(self, probe):
        self.given = probe

    def probe(self, targets):
        return self.given


@pytest.mark.parametrize(
    ("probe", "says"),
    [
        (None, "returned a NoneType, though its card says probed_as='classification'"),
        (Probe(np.zeros(3), np.array([0, 2, 1])), "in ascending order which of 12 images each of its 3 labels is of"),
        (Probe(np.zeros(3), np.array([0, 2, 12])), "which of 12 images"),
        (
            Probe(np.zeros(2), np.array([0, 2]), np.array([[0.5, 0.5], [0.5, 1.5]])),
            r"has places of shape \(2, 2\), or outside of the image",
        ),
        (Probe(np.zeros(2), np.array([0, 2]), np.array([0.5, 0.5])), r"has places of shape \(2,\)"),
    ],
)
def test_a_probe_that_does_not_fit_is_the_plugins_fault(registry, probe, says):
    from harness.data.prepared import Prepared, PreparedSplit

    split = PreparedSplit(np.zeros((12, 1)), np.zeros((12, 1)))
    card = replace(registry.task_type("toy/regions"), methods=Odd(probe))
    with pytest.raises(BadPlugin, match=says):
        probe_of(registry.task("toy/where"), card, Prepared("", split, split, (), 1), np.arange(12))


def test_places_are_gathered_batch_by_batch():
    random = np.random.default_rng(0)
    maps, image = random.normal(size=(6, 4, 3, 5)), np.sort(random.integers(6, size=40))
    probe = Probe(np.zeros(40), image, random.random((40, 2)))
    seen = np.unique(image)
    found = features_at(probe, ((seen[start : start + 2], maps[seen[start : start + 2]]) for start in range(0, len(seen), 2)))
    expected = [maps[i, :, int(y * 3), int(x * 5)] for i, (x, y) in zip(image, probe.places, strict=True)]
    assert np.array_equal(found, np.array(expected))
