"""Tasks whose targets have places: what estimators are shown of them, and that all else of the house takes them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import headwater as hw
from headwater.harness.data.pixels import MAX_PIXELS_PER_CLASS
from headwater.harness.data.prepared import Prepared, PreparedSplit
from headwater.harness.data.subset import draw_rows
from headwater.harness.measure import snapshot
from headwater.harness.measure.backbone import Backbone
from headwater.harness.measure.probing import MAX_PLACES, features_at, probe_of
from headwater.harness.planning import jobs
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.run import Control
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import Stopped, Worker
from headwater.leaderboard.store.records import State
from headwater.registry import Evidence, Probe, Registry
from headwater.registry.errors import BadPlugin
from tests.harness.dense_toy import PLUGIN, VOID, keys, squares


def measured(tmp_path, **changes):
    """Run a spec's jobs in this process: records with their outcomes."""
    made = plan(Spec.of(keys(**changes)), Registry.discover([PLUGIN]))
    worker, schedule, found = Worker(tmp_path, [PLUGIN], 1), Schedule(made.jobs.values()), []
    while (job := schedule.take()) is not None:
        outcome = worker.run(job)
        found += [
            (made.jobs[settled.job].record, settled)
            for settled in (outcome, *schedule.settle(outcome))
        ]
    return found


def estimates(tmp_path, **changes):
    asked = {"adaptations": [], "references": []} | changes
    return {
        (r.source, r.task, r.adaptation, r.size): o
        for r, o in measured(tmp_path, **asked)
        if r.kind == "estimate"
    }


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


def by_hand(targets, maps, rows, none):
    """A label and features of each image's four cells, of the first of their pixels in a random order of all that are probed."""
    labels, cells, features = [], [], []
    for row in rows:
        for y in range(0, 64, 2):
            for x in range(0, 64, 2):
                if targets[row, y, x] not in none:
                    labels.append(targets[row, y, x])
                    cells.append((row, y // 32, x // 32))
                    features.append(maps[row, :, y // 32, x // 32])
    first = {}
    for place in np.random.default_rng(0).permutation(len(labels)).tolist():
        first.setdefault(cells[place], place)
    kept = sorted(first.values())
    return np.array(labels)[kept], np.array(features)[kept]


def test_places_of_a_segmentation_are_scored_as_classified_and_as_by_hand(tmp_path, registry, maps):
    found = estimates(tmp_path, estimators=["logme", "hscore_reg"], sizes=[12, "full"])
    masks = squares(24, 0)[1]
    for size in ("12", "full"):
        rows = draw_rows(np.zeros(24, int), size, 0)
        labels, features = by_hand(masks, maps, rows, (VOID,))
        assert len(labels) == 4 * len(rows) and set(labels) == {0, 1}
        for name in ("logme", "hscore_reg"):
            outcome = found["toy/maps", "toy/where", name, size]
            assert score_of(outcome) == pytest.approx(
                float(registry.estimator(name)[0].of(Evidence.of(features, labels))), rel=1e-5
            )
            assert outcome.train_images == len(rows)
    assert score_of(found["toy/maps", "toy/where", "logme", "12"]) != score_of(
        found["toy/maps", "toy/where", "logme", "full"]
    )


def test_places_of_a_depth_map_are_scored_as_numbers(tmp_path, registry, maps):
    outcome = estimates(tmp_path, tasks=["toy/far"], estimators=["logme"])[
        "toy/maps", "toy/far", "logme", "12"
    ]
    labels, features = by_hand(squares(24, 0)[2], maps, draw_rows(np.zeros(24, int), "12", 0), (0,))
    assert len(labels) == 4 * 12
    expected = registry.estimator("logme")[0].of(
        Evidence.of(features, labels, label_kind="numbers")
    )
    assert score_of(outcome) == pytest.approx(float(expected), rel=1e-5)


def test_without_places_the_pooled_features_of_the_probes_images_are_scored(tmp_path, registry):
    """Two thirds of the masks hold no class but one; those with none are left out by the probe."""
    outcome = estimates(tmp_path, tasks=["toy/what"], estimators=["logme"], sizes=["full"])[
        "toy/maps", "toy/what", "logme", "full"
    ]
    features = np.load(next((tmp_path / "features").glob("*/train.npy")))
    assert features.shape == (24, 5)
    flags = np.array([[row % 3 != 0, row % 3 != 1] for row in range(24)]).astype(int)
    expected = registry.estimator("logme")[0].of(Evidence.of(features, flags, label_kind="flags"))
    assert score_of(outcome) == pytest.approx(float(expected), rel=1e-6)
    assert outcome.train_images == 24


def test_only_what_is_scored_is_kept_and_no_test_images_looked_at(tmp_path):
    done = measured(tmp_path, adaptations=[], references=[], estimators=["logme"], sizes=["full"])
    (looked,) = [outcome for record, outcome in done if record.kind == "features"]
    assert set(looked.artifacts) == {"features_train"}
    assert looked.images == 24
    found = np.load(tmp_path / looked.artifacts["features_train"])
    assert found.shape == (4 * 24, 5)
    assert len(np.unique(found, axis=0)) == len(found)


def test_every_source_is_asked_the_same(tmp_path, registry):
    found = estimates(tmp_path, sources=["toy/maps", "scratch/test_resnet"], estimators=["logme"])
    assert {source for source, *_ in found} == {"toy/maps", "scratch/test_resnet"}
    files = [np.load(path) for path in sorted((tmp_path / "features").glob("*/train.npy"))]
    assert sorted(array.shape[1] for array in files)[0] == 5
    assert {len(array) for array in files} == {4 * 12}


def test_a_vision_transformer_is_scored_on_its_deepest_tokens(tmp_path):
    found = estimates(tmp_path, sources=["scratch/test_vit"], estimators=["logme"])
    assert np.isfinite(score_of(next(iter(found.values()))))


@pytest.mark.parametrize(
    ("task", "estimator", "says"),
    [
        (
            "toy/silent",
            "logme",
            r"logme scores .*, toy/silent is toy/mute$",
        ),
        (
            "toy/far",
            "hscore",
            r"hscore scores classes, toy/far is toy/depth, .* numbers$",
        ),
        (
            "toy/where",
            "leep",
            "leep .* classes at .* whole images",
        ),
    ],
)
def test_what_an_estimator_cannot_score_is_skipped_with_the_reason(
    tmp_path, registry, task, estimator, says
):
    made = plan(
        Spec.of(keys(tasks=[task], adaptations=[], references=[], estimators=[estimator])), registry
    )
    reasons = list(made.skipped.values()) or [
        outcome.reason
        for outcome in estimates(tmp_path, tasks=[task], estimators=[estimator]).values()
    ]
    assert len(reasons) == 1 and re.search(says, reasons[0])


def test_each_subset_has_places_of_its_own(registry):
    def features(task):
        made = plan(
            Spec.of(
                keys(
                    tasks=[task], adaptations=[], references=[], estimators=["logme"], sizes=[6, 12]
                )
            ),
            registry,
        )
        return {job.record.size: job for job in made.jobs.values() if job.kind == "features"}

    assert set(features("toy/where")) == {"6", "12"}


def test_scores_of_places_that_were_drawn_otherwise_are_not_taken_again(registry, monkeypatch):
    def planned():
        asked = keys(
            tasks=["toy/where", "sklearn/digits"],
            adaptations=[],
            references=[],
            estimators=["logme"],
        )
        return {
            (job.record.kind, job.record.task): job.id
            for job in plan(Spec.of(asked), registry).jobs.values()
        }

    before = planned()
    monkeypatch.setattr(jobs, "PROBE_VERSION", jobs.PROBE_VERSION + 1)
    changed = {key for key, identity in planned().items() if identity != before[key]}
    assert changed == {("features", "toy/where"), ("estimate", "toy/where")}


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
        (None, "returned a NoneType.* probed_as='classes'"),
        (
            Probe(np.zeros(3), np.array([0, 2, 1])),
            "ascending order .* 12 images .* 3 labels",
        ),
        (Probe(np.zeros(3), np.array([0, 2, 12])), "which of 12 images"),
        (
            Probe(np.zeros(2), np.array([0, 2]), np.array([[0.5, 0.5], [0.5, 1.5]])),
            r"places of shape \(2, 2\), or outside",
        ),
        (Probe(np.zeros(2), np.array([0, 2]), np.array([0.5, 0.5])), r"has places of shape \(2,\)"),
    ],
)
def test_a_probe_that_does_not_fit_is_the_plugins_fault(registry, probe, says):
    card = replace(registry.task_type("toy/regions"), methods=Odd(probe))
    with pytest.raises(BadPlugin, match=says):
        probe_of(registry.task("toy/where"), card, prepared(12), np.arange(12))


def prepared(images: int) -> Prepared:
    """So many of 64 pixels, which are never looked at."""
    split = PreparedSplit(np.broadcast_to(np.uint8(0), (images, 64, 64, 3)), np.zeros((images, 1)))
    return Prepared("", split, split, (), 1)


@pytest.mark.parametrize(
    ("task", "images", "most"),
    [
        ("where", 500, {0: MAX_PIXELS_PER_CLASS, 1: MAX_PIXELS_PER_CLASS, 2: 3}),
        ("far", 1200, {0.5: MAX_PLACES}),
    ],
)
def test_no_two_of_the_places_are_in_one_cell_and_of_these_few_are_scored(
    registry, task, images, most
):
    random, each = np.random.default_rng(0), 12
    labels = (
        np.full((images, each), 0.5)
        if task == "far"
        else np.arange(images * each).reshape(images, each) % 2
    )
    if task == "where":
        labels[:3] = 2
    given = Probe(
        labels.ravel(), np.repeat(np.arange(images), each), random.random((images * each, 2))
    )
    given.places[: 3 * each] = 0.4  # of the three images with class 2, in one cell
    card = replace(
        registry.task_type({"where": "toy/regions", "far": "toy/depth"}[task]), methods=Odd(given)
    )
    probe = probe_of(registry.task(f"toy/{task}"), card, prepared(images), np.arange(images))
    cells = set(zip(probe.image.tolist(), *(probe.places // 0.5).T.tolist(), strict=True))
    assert len(cells) == len(probe.labels)
    assert dict(zip(*np.unique(probe.labels, return_counts=True), strict=True)) == most
    assert (np.diff(probe.image) >= 0).all()


def test_places_are_gathered_batch_by_batch():
    random = np.random.default_rng(0)
    maps, image = random.normal(size=(6, 4, 3, 5)), np.sort(random.integers(6, size=40))
    probe = Probe(np.zeros(40), image, random.random((40, 2)))
    seen = np.unique(image)
    found = features_at(
        probe,
        (
            (seen[start : start + 2], maps[seen[start : start + 2]])
            for start in range(0, len(seen), 2)
        ),
    )
    expected = [
        maps[i, :, int(y * 3), int(x * 5)] for i, (x, y) in zip(image, probe.places, strict=True)
    ]
    assert np.array_equal(found, np.array(expected))


# -- selecting --------------------------------------------------------------------------------------------


def select(tmp_path, **changes):
    asked = {
        "budget": 100.0,
        "plugins": [PLUGIN],
        "control": Control(executor="inline"),
        "sizes": ["full"],
        "image_size": 64,
    }
    recipe = {"epochs": 6, "batch_size": 8, "learning_rate": 0.02}
    return hw.select(
        "toy/far",
        "toy/blind,toy/maps",
        store=tmp_path / "s.duckdb",
        **({"training": recipe} | asked | changes),
    )


def test_of_a_metric_that_should_be_low_the_lowest_is_first(tmp_path):
    from headwater.harness.selecting.selection_table import selection_table, words

    selection = select(tmp_path)
    rows = hw.Store(tmp_path / "s.duckdb").sql("SELECT source, validation, value FROM cells").rows
    errors = {source: validation for source, validation, _ in rows}
    best, other = sorted(errors, key=errors.__getitem__)
    assert errors[best] < 0.8 * errors[other]
    assert [candidate.source.name for candidate in selection.candidates] == [best, other]
    assert [candidate.ranks for candidate in selection.candidates] == [(1, 1), (2, 2)]
    first = selection.candidates[0].predicted
    assert (
        first.quality == pytest.approx(-errors[best])
        and first.low < first.quality < first.high <= 0
    )
    table = selection_table(selection)
    shown = dict(zip([column.name for column in table.columns], table.rows[0], strict=True))
    assert shown["low"] == pytest.approx(-first.high) and shown["high"] == pytest.approx(-first.low)
    assert selection.on_test.low <= selection.on_test.value <= selection.on_test.high
    assert any("error" in line for line in words(selection))


def test_an_estimator_chooses_among_sources_of_a_dense_task(tmp_path):
    selection = select(tmp_path, selector="parc", confirm=0)
    scores = {candidate.source.name: candidate.score for candidate in selection.candidates}
    assert list(scores) == ["toy/maps", "toy/blind"] and scores["toy/maps"] > scores["toy/blind"]
    assert selection.tested == {} and selection.metric == "error"


# -- training ---------------------------------------------------------------------------------------------


def cells(tmp_path, **changes):
    return {
        (r.adaptation, r.source): outcome
        for r, outcome in measured(tmp_path, **changes)
        if r.kind == "adapt"
    }


def test_a_probe_of_the_head_first_is_skipped_where_heads_are_of_maps(tmp_path):
    outcome = cells(tmp_path, adaptations=["fine_tune[probe_first=true]"], references=[])[
        "fine_tune[probe_first=true]", "toy/maps"
    ]
    assert outcome.state is State.SKIPPED and "probe_first is for" in outcome.reason


def test_the_trial_with_the_lowest_error_is_chosen(tmp_path):
    tuning = {"trials": 3, "space": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}}
    outcome = cells(tmp_path, tasks=["toy/far"], tuning=tuning, references=[])[
        "fine_tune", "toy/maps"
    ]
    assert outcome.state is State.DONE, outcome.reason
    errors = [trial.value for trial in outcome.trials]
    assert len(errors) == 3
    chosen = next(
        m.value for m in outcome.metrics if (m.split, m.metric) == ("validation", "error")
    )
    assert chosen == pytest.approx(min(errors)) and chosen < max(errors)


def test_an_interrupted_training_with_moving_targets_goes_on_to_the_same_bits(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(snapshot, "EVERY_SECONDS", 0.0)
    made = plan(
        Spec.of(keys(training={"epochs": 4, "batch_size": 4}, references=[])),
        Registry.discover([PLUGIN]),
    )
    (job,) = made.cells

    def run(folder, stop_after=None):
        worker, epochs = Worker(tmp_path / folder, [PLUGIN], 1), []

        def heard(epoch, *rest):
            epochs.append(epoch)
            if epoch == stop_after:
                raise Stopped

        worker.report = heard
        return worker.run(job), epochs

    whole, _ = run("whole")
    assert run("parts", stop_after=2)[0].state is State.INTERRUPTED
    again, epochs = run("parts")
    assert epochs == [3, 4]
    assert again.metrics == whole.metrics
    files = [
        tmp_path / folder / outcome.artifacts["predictions"]
        for folder, outcome in (("whole", whole), ("parts", again))
    ]
    assert np.array_equal(*map(np.load, files))


def test_adaptations_that_need_shared_classes_do_not_take_those_of_another_type(tmp_path):
    """The same names, but one class an image in the source and any number in the target."""
    from tests.rendered import PLUGIN as RENDERED

    chain = "chain[base=scratch/test_resnet,on=rendered/classification]"
    changes = {
        "sources": [chain],
        "tasks": ["rendered/multilabel"],
        "plugins": [str(RENDERED)],
        "sizes": ["full"],
        "references": [],
    }
    made = plan(
        Spec.of(keys(adaptations=["mmd[labelled=false]"], **changes)), Registry.discover([RENDERED])
    )
    worker = Worker(tmp_path, [RENDERED], 1)
    outcomes = [
        worker.run(job) for job in sorted(made.jobs.values(), key=lambda job: job.kind == "adapt")
    ]
    assert outcomes[0].state is State.DONE
    assert outcomes[1].state is State.SKIPPED and "needs the source's classes" in outcomes[1].reason


# -- anatomy ----------------------------------------------------------------------------------------------


def test_analyses_of_dense_networks_do_what_is_defined_and_skip_the_rest_with_a_reason(tmp_path):
    anatomy = {
        "analyses": [
            "block_shuffle",
            "similarity",
            "distance",
            "barrier",
            "criticality",
            "mistakes",
        ],
        "points": 3,
        "blocks": [16],
    }
    found = {
        r.analysis: outcome
        for r, outcome in measured(tmp_path, tasks=["toy/far"], anatomy=anatomy)
        if r.kind == "analyse"
    }
    states = {name: outcome.state for name, outcome in found.items()}
    skipped = {"block_shuffle", "mistakes"}
    assert states == {
        name: State.SKIPPED if name in skipped else State.DONE for name in anatomy["analyses"]
    }
    assert all("toy/depth" in found[name].reason for name in skipped)
    assert all(found[name].error == "NotApplicable" for name in skipped)
    assert {reading.module for reading in found["similarity"].readings} == {
        "stem"
    }  # what is predicted is as wide as an image
    barrier = {(r.subject, r.quantity, r.x): r.value for r in found["barrier"].readings}
    first, middle, last = (barrier["P-T/RI-T", "metric", place] for place in (0.0, 0.5, 1.0))
    assert barrier["P-T/RI-T", "barrier", None] == pytest.approx(
        max(0.0, middle - (first + last) / 2)
    )  # an error is a loss where it is high
    drops = {
        r.module: r.value
        for r in found["criticality"].readings
        if (r.subject, r.quantity) == ("P-T", "drop")
    }
    path = {
        (r.module, r.x): r.value
        for r in found["criticality"].readings
        if (r.subject, r.quantity) == ("P-T", "path")
    }
    assert set(drops) == {"stem", "head"}
    assert all(
        drops[module] == pytest.approx(path[module, 0.0] - path[module, 1.0]) for module in drops
    )


# -- the bundled types ------------------------------------------------------------------------------------

TYPES = (
    "classification",
    "multilabel",
    "regression",
    "segmentation",
    "detection",
    "keypoints",
    "depth",
)


def test_estimators_score_every_bundled_type(tmp_path):
    from tests.rendered import PLUGIN as RENDERED

    tasks = [f"rendered/{name}" for name in TYPES]
    asked = {
        "sources": ["scratch/test_resnet"],
        "tasks": tasks,
        "plugins": [str(RENDERED)],
        "estimators": ["logme"],
        "sizes": ["full"],
    }
    made = plan(
        Spec.of(keys(adaptations=[], references=[], **asked)), Registry.discover([RENDERED])
    )
    worker = Worker(tmp_path, [RENDERED], 1)
    ordered = sorted(made.jobs.values(), key=lambda job: job.kind == "estimate")
    outcomes = [(job.record, worker.run(job)) for job in ordered]
    found = {record.task: outcome for record, outcome in outcomes if record.kind == "estimate"}
    assert set(found) == set(tasks)
    assert all(np.isfinite(score_of(outcome)) for outcome in found.values())
    assert {outcome.train_images for outcome in found.values()} == {24}


@pytest.mark.parametrize("name", ["segmentation", "detection", "keypoints"])
def test_a_saved_network_of_a_bundled_type_answers_in_the_pixels_of_the_image_it_is_given(
    tmp_path, name
):
    """Of an image that is twice as large it says the same, twice as large; scaling to the network's size differs by some pixels."""
    from tests.rendered import PLUGIN as RENDERED
    from tests.rendered import scenes

    given = {
        "plugins": [RENDERED],
        "control": Control(executor="inline"),
        "store": tmp_path / "s.duckdb",
        "image_size": 64,
    }
    training = {"epochs": 1, "batch_size": 8}
    saved = hw.adapt(
        f"rendered/{name}",
        "scratch/test_resnet",
        tmp_path / "m.safetensors",
        training=training,
        **given,
    )
    image = Image.fromarray(scenes("test")[0].image())  # 64 × 48
    small, large = hw.load_adapted(saved.path).predict(
        [image, image.resize((128, 96), Image.Resampling.NEAREST)]
    )
    if name == "segmentation":
        assert large.shape == (96, 128) and small.shape == (48, 64)
        assert (large == small.repeat(2, 0).repeat(2, 1)).mean() > 0.95
    elif name == "detection":
        assert np.allclose(large["bbox"][0], 2 * np.array(small["bbox"][0]), atol=6.0)
        assert set(large["category"]) <= {"disc", "square", "triangle"}
    else:
        assert np.allclose(large[:, :2], 2 * small[:, :2], atol=6.0)
