"""Plans: which jobs a spec becomes, which references come with them, and what changes an identity."""

from dataclasses import replace

import pytest

from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.schedule import Schedule
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry import Registry
from headwater.registry.errors import BadSpec, DataError, UnknownName, WeightsError
from tests.facts import missing_facts
from tests.harness.toy import PLUGIN, keys


@pytest.fixture(scope="module")
def registry():
    return Registry.discover([PLUGIN])


def cells(made):
    return {
        (job.record.source, job.record.adaptation, job.record.size, job.record.seed)
        for job in made.cells
    }


def test_every_cell_brings_its_scratch_reference_once(registry):
    made = plan(Spec.of(keys(sources=["toy/fixed"], sizes=[6, 12], seeds=2)), registry)
    expected = {
        (s, a, n, k)
        for s, a in (("toy/fixed", "fine_tune"), ("toy/random", "from_scratch"))
        for n in ("6", "12")
        for k in (0, 1)
    }
    assert cells(made) == expected


def test_training_all_of_a_random_network_is_from_scratch_whatever_it_was_called(registry):
    made = plan(
        Spec.of(
            keys(sources=["toy/random", "toy/fixed"], adaptations=["fine_tune", "from_scratch"])
        ),
        registry,
    )
    assert {(s, a) for s, a, _, _ in cells(made)} == {
        ("toy/fixed", "fine_tune"),
        ("toy/random", "from_scratch"),
    }


def test_a_probe_is_held_against_a_probe_on_random_features(registry):
    made = plan(Spec.of(keys(adaptations=["linear_probe"], seeds=2)), registry)
    assert {(s, a) for s, a, _, _ in cells(made)} == {
        ("toy/fixed", "linear_probe"),
        ("toy/random", "linear_probe"),
    }
    extractions = [job.record for job in made.jobs.values() if job.kind == "features"]
    # Fixed weights are looked through once for all seeds and sizes, random ones once a seed.
    assert {(record.source, record.seed) for record in extractions} == {
        ("toy/fixed", None),
        ("toy/random", 0),
        ("toy/random", 1),
    }
    assert len(extractions) == 3


def test_a_hub_data_set_without_a_revision_is_noted_once(registry):
    made = plan(Spec.of(keys(tasks=["hf/org/loose", "hf/org/pinned@abc"])), registry)
    (note,) = [note for note in made.notes if "not tied" in note]
    assert note.startswith("hf/org/loose: ") and note.endswith(" hf/org/loose@REVISION")


def test_data_that_a_plan_cannot_use_keep_the_command_from_beginning(registry, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError) as raised:
        plan(Spec.of(keys(tasks=[f"folder/{tmp_path}"])), registry)
    assert raised.value.exit_status == 2 and DataError.exit_status == 1


def test_options_pass_to_the_control(registry):
    made = plan(Spec.of(keys(adaptations=["fine_tune[head_scale=10]"])), registry)
    assert {(s, a) for s, a, _, _ in cells(made)} == {
        ("toy/fixed", "fine_tune[head_scale=10]"),
        ("toy/random", "from_scratch[head_scale=10]"),
    }


def test_a_chain_is_trained_once_for_all_its_targets_and_has_both_references(registry):
    chain = "chain[base=toy/fixed,on=toy/halves]"
    made = plan(
        Spec.of(keys(sources=[chain], tasks=["toy/shades", "toy/broken"], sizes=[6, 12], seeds=2)),
        registry,
    )
    pretrainings = [job for job in made.jobs.values() if job.kind == "pretrain"]
    assert len(pretrainings) == 1
    of_chain = [job for job in made.cells if job.record.source == chain]
    assert len(of_chain) == 8
    assert {job.checkpoint for job in of_chain} == {pretrainings[0].id}
    assert {s for s, _, _, _ in cells(made)} == {chain, "toy/fixed", "toy/random"}


def test_a_chains_card_is_derived_from_its_parents(registry):
    card = registry.source("chain[on=toy/shades+toy/halves,base=toy/fixed]")
    assert card.name == "chain[base=toy/fixed,on=toy/halves+toy/shades]"
    assert card.domain is None  # synthetic and drawings: two domains are none in particular
    assert card.task_type == "classification"
    assert card.pretrained_on == ("toy/halves", "toy/shades")
    assert card.scratch == "toy/random"
    assert registry.source("chain[on=toy/shades,base=toy/fixed]").domain == "synthetic"


def test_jobs_come_after_what_they_need(registry):
    made = plan(
        Spec.of(
            keys(sources=["chain[base=toy/random,on=toy/halves]"], adaptations=["linear_probe"])
        ),
        registry,
    )
    seen = set()
    for job in made.jobs.values():
        assert set(job.needs) <= seen
        seen.add(job.id)


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [1]},
        {"sizes": [6]},
        {"image_size": 16},
        {"validation": 0.3},
        {"training": {"epochs": 3, "batch_size": 4}},
        {"tasks": ["toy/halves"]},
        {"adaptations": ["fine_tune[head_scale=2]"]},
    ],
)
def test_whatever_decides_a_result_changes_the_identity(registry, change):
    before, after = (plan(Spec.of(spec), registry) for spec in (keys(), keys(**change)))
    assert not set(before.jobs) & set(after.jobs)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x"},
        {"store": "y.duckdb"},
        {"resources": {"slots": 1}},
        {"pretraining": {"epochs": 9}},
    ],
)
def test_what_decides_no_result_leaves_it(registry, change):
    assert set(plan(Spec.of(keys()), registry).jobs) == set(
        plan(Spec.of(keys(**change)), registry).jobs
    )


def test_the_training_budget_is_no_part_of_a_probe(registry):
    probe = keys(adaptations=["linear_probe"])
    longer = probe | {"training": {"epochs": 9}}
    assert set(plan(Spec.of(probe), registry).jobs) == set(plan(Spec.of(longer), registry).jobs)


def test_unknown_names_say_where_they_stand_and_what_was_meant(registry):
    with pytest.raises(UnknownName, match=r"sources\[1\] = 'toy/fixd': .*Did you mean toy/fixed"):
        plan(Spec.of(keys(sources=["toy/random", "toy/fixd"])), registry)
    with pytest.raises(UnknownName, match=r"adaptations\[0\] = 'fine_tuned'"):
        plan(Spec.of(keys(adaptations=["fine_tuned"])), registry)


def test_a_metric_its_type_does_not_have_is_refused(registry):

    odd = replace(registry.task("toy/shades"), name="toy/odd", metric="beauty")
    with pytest.raises(BadSpec, match="classification has no metric 'beauty'"):
        plan(Spec.of(keys(tasks=["toy/odd"])), Registry.discover([PLUGIN, odd]))


def test_a_failure_takes_down_what_needs_it_and_nothing_else(registry):
    spec = Spec.of(
        keys(
            sources=["chain[base=toy/random,on=toy/halves]", "toy/fixed"],
            adaptations=["linear_probe"],
        )
    )
    made = plan(spec, registry)
    schedule = Schedule(made.jobs.values())
    pretraining = next(job for job in made.jobs.values() if job.kind == "pretrain")
    lost = schedule.settle(Outcome(pretraining.id, State.FAILED, "no light"))
    dependants = {job.id for job in made.jobs.values() if job.record.source.startswith("chain")}
    assert {outcome.job for outcome in lost} == dependants
    assert {outcome.state for outcome in lost} == {State.SKIPPED}
    assert len(schedule) == len(made.jobs) - len(dependants)


def test_nothing_starts_before_what_it_needs_is_done(registry):
    schedule = Schedule(plan(Spec.of(keys(adaptations=["linear_probe"])), registry).jobs.values())
    first, second = schedule.take(), schedule.take()
    assert {first.kind, second.kind} == {"features"}
    assert schedule.take() is None
    schedule.settle(Outcome(first.id, State.DONE))
    assert schedule.take().features == first.id


def test_what_is_not_shown_labels_is_not_tuned_by_them(registry):
    spec = keys(
        sources=["chain[base=toy/fixed,on=toy/halves]"],
        adaptations=["dann[labelled=false]", "dann"],
        references=[],
    )
    made = plan(Spec.of(spec | {"tuning": {"trials": 2}}), registry)
    (reason,) = made.skipped.values()
    assert missing_facts(reason, "dann", "labels", "cannot be tuned") == []
    assert not plan(Spec.of(spec), registry).skipped


def test_a_missing_weights_file_holds_up_no_other_source(registry, tmp_path):
    named = tmp_path / "named.safetensors"
    fixed = registry.source("toy/fixed")
    bad = replace(fixed, name="own/bad", weights=str(named), origin="")
    of_option = f"timm/test_resnet[weights={tmp_path}/none.pth]"
    changes = {"sources": ["toy/fixed", "own/bad", of_option], "adaptations": ["linear_probe"]}
    with_bad = Registry.discover([PLUGIN, bad])
    made = plan(Spec.of(keys(**changes, references=[])), with_bad)
    of_source = {job.record.source: job.id for job in made.cells}
    assert set(of_source) == {"toy/fixed", "own/bad", of_option}
    assert sum("weights file" in note for note in made.notes) == 2
    named.write_bytes(b"w")
    again = {job.record.source: job.id for job in plan(made.spec, with_bad).cells}
    assert again["own/bad"] != of_source["own/bad"]
    assert again["toy/fixed"] == of_source["toy/fixed"]
    with pytest.raises(WeightsError):
        plan(Spec.of(keys(**changes), sources=[of_option]), with_bad)
