"""Chains of a spec: every task as a source for every other, the target left out, and what attribution needs."""

from dataclasses import replace

import pytest
from PIL import Image

from headwater.harness.planning.chains import groups, without_target
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Chains, Spec
from headwater.registry import Registry
from headwater.registry.errors import BadSpec
from tests.facts import missing_facts
from tests.harness.toy import PLUGIN, keys


@pytest.fixture(scope="module")
def registry():
    tasks = Registry.discover([PLUGIN])
    more = [
        replace(tasks.task("toy/halves"), name=name, domain="sketches")
        for name in ("toy/third", "toy/fourth")
    ]
    return Registry.discover([PLUGIN, *more])


TASKS = ["toy/shades", "toy/halves", "toy/third"]


def chained(made):
    """(target, source tasks) of each cell on a chain."""
    of = {job.record.source: made.registry.source(job.record.source) for job in made.cells}
    return {
        (job.record.task, of[job.record.source].chain.tasks)
        for job in made.cells
        if of[job.record.source].chain
    }


def test_every_task_is_a_source_for_every_other(registry):
    made = plan(Spec.of(keys(sources=[], tasks=TASKS, chains={"bases": ["toy/fixed"]})), registry)
    assert chained(made) == {
        (target, (source,)) for target in TASKS for source in TASKS if source != target
    }
    assert (
        sum(job.kind == "pretrain" for job in made.jobs.values()) == 3
    )  # N chains are N trainings, whatever the targets
    assert not made.notes


def test_a_joint_chain_leaves_its_target_out(registry):
    made = plan(
        Spec.of(
            keys(
                sources=[],
                tasks=TASKS,
                chains={"bases": ["toy/fixed"], "each": False, "joint": True},
            )
        ),
        registry,
    )
    assert chained(made) == {(target, tuple(sorted(set(TASKS) - {target}))) for target in TASKS}


def test_source_tasks_may_be_others_than_the_targets(registry):
    chains = {"bases": ["toy/fixed"], "tasks": ["toy/third", "toy/fourth"], "joint": True}
    made = plan(Spec.of(keys(sources=[], tasks=["toy/shades"], chains=chains)), registry)
    assert chained(made) == {
        ("toy/shades", on) for on in (("toy/third",), ("toy/fourth",), ("toy/fourth", "toy/third"))
    }


def test_a_chain_on_nothing_but_the_target_is_left_out_and_said_so(registry):
    made = plan(
        Spec.of(
            keys(
                sources=["chain[base=toy/fixed,on=toy/halves]"], tasks=["toy/shades", "toy/halves"]
            )
        ),
        registry,
    )
    assert chained(made) == {("toy/shades", ("toy/halves",))}
    (note,) = made.notes
    assert missing_facts(note, "1 pairs of chain and target", "left out") == []


def test_the_target_is_left_out_below_too_and_under_any_options(registry):
    longer = registry.source("chain[base=chain[base=toy/fixed,on=toy/halves],on=toy/third]")
    found = without_target(longer, registry.task("toy/halves"), registry)
    assert found.name == "chain[base=toy/fixed,on=toy/third]"
    aliased = replace(registry.task("toy/third"), name="toy/third[domain=art]")
    assert without_target(longer, aliased, registry) is None


def test_leave_one_out_needs_the_joint_chain_and_each_without_one():
    made = groups(
        Chains(bases=("b",), each=False, attribution="leave-one-out"), ["a", "b", "c", "d"]
    )
    assert set(made) == {
        ("a", "b", "c", "d"),
        ("b", "c", "d"),
        ("a", "c", "d"),
        ("a", "b", "d"),
        ("a", "b", "c"),
    }


def test_shapley_needs_every_subset_of_few_and_prefixes_of_orders_of_many():
    assert len(groups(Chains(bases=("b",), attribution="shapley"), list("abcd"))) == 15
    many = groups(
        Chains(bases=("b",), each=False, attribution="shapley", permutations=3), list("abcdefgh")
    )
    assert len(many) == len(set(many)) <= 3 * 8
    assert tuple("abcdefgh") in many
    by_size = [sorted(len(group) for group in many).count(size) for size in range(1, 9)]
    assert all(1 <= count <= 3 for count in by_size)


def test_analyses_look_at_the_networks_of_both_seeds_once(registry):
    keys_ = keys(seeds=2, anatomy={"analyses": ["barrier", "mistakes"]})
    made = plan(Spec.of(keys_), registry)
    analyses = [job for job in made.jobs.values() if job.kind == "analyse"]
    assert {(job.record.analysis, job.record.seed, "P-T'" in job.cells) for job in analyses} == {
        ("barrier", 0, True), ("barrier", 1, False), ("mistakes", 0, True), ("mistakes", 1, False),
    }  # fmt: skip
    kept = {job.id for job in made.cells if job.keep}
    assert kept == {job.id for job in made.cells}
    assert set(plan(Spec.of(keys(seeds=2)), registry).jobs) == {
        job.id for job in made.cells
    }  # keeping changes no identity


def test_tuning_gives_every_cell_of_a_budget_a_new_identity(registry):
    plain, tuned = (
        plan(Spec.of(keys(**change)), registry) for change in ({}, {"tuning": {"trials": 2}})
    )
    assert not set(plain.jobs) & set(tuned.jobs)
    assert all(job.tuning for job in tuned.cells)


def test_a_chain_on_a_random_network_begins_where_no_scratch_reference_begins(registry):
    made = plan(Spec.of(keys(sources=["chain[base=toy/random,on=toy/halves]"], seeds=3)), registry)
    seeds = {
        kind: {job.record.seed for job in made.jobs.values() if job.kind == kind}
        for kind in ("pretrain", "adapt")
    }
    assert not seeds["pretrain"] & seeds["adapt"]
    with pytest.raises(BadSpec, match="seeds"):
        Spec.of(keys(seeds=[*seeds["pretrain"]]))


def test_a_cell_that_cannot_apply_is_not_trained_for_the_ambiguity_of_others(registry):
    bare = replace(registry.source("toy/fixed"), name="toy/bare", scratch=None)
    both = {"sources": ["toy/fixed", "toy/bare"], "adaptations": ["fine_tune", "from_scratch"]}
    made = plan(
        Spec.of(keys(**both, anatomy={"analyses": ["mistakes"]})), Registry.discover([PLUGIN, bare])
    )
    assert {made.jobs[job].record.source for job in made.skipped} == {"toy/bare"}
    assert any(job.kind == "analyse" for job in made.jobs.values())
    assert not {need for job in made.jobs.values() for need in job.needs} & set(made.skipped)


def test_without_the_target_a_chain_goes_on_from_what_stood_below(registry):
    below = "chain[base=toy/fixed,on=toy/third]"
    longest = registry.source(f"chain[base=chain[base={below},on=toy/halves],on=toy/fourth]")
    found = without_target(longest, registry.task("toy/halves"), registry)
    assert found.name == f"chain[base={below},on=toy/fourth]"


def test_the_target_under_another_path_or_revision_is_left_out(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, shade in (("one", 0), ("other", 255)):
        for place in ("train/a", "train/b", "test/a", "test/b"):
            (tmp_path / name / place).mkdir(parents=True)
            Image.new("L", (8, 8), shade).save(tmp_path / name / place / "1.png")
    kept = registry.source("chain[base=toy/fixed,on=folder/other]")
    for target in ("folder/one", "folder/./one", f"folder/{tmp_path}/one"):
        assert (
            without_target(
                registry.source("chain[base=toy/fixed,on=folder/one]"),
                registry.task(target),
                registry,
            )
            is None
        )
        assert without_target(kept, registry.task(target), registry) is kept
    pinned = replace(registry.task("toy/halves"), name="toy/halves@main")
    assert (
        without_target(registry.source("chain[base=toy/fixed,on=toy/halves]"), pinned, registry)
        is None
    )


def test_analyses_want_no_scratch_reference_of_a_probe(registry):
    spec = {
        "references": [],
        "adaptations": ["linear_probe", "fine_tune"],
        "anatomy": {"analyses": ["distance"]},
    }
    made = plan(Spec.of(keys(**spec)), registry)
    scratch = {job.record.adaptation for job in made.cells if job.record.source == "toy/random"}
    assert scratch == {"from_scratch"}


def test_another_seed_leaves_the_analyses_of_one_seed_as_they_are(registry):
    chosen = {"anatomy": {"analyses": ["block_shuffle", "criticality", "mistakes"]}}
    few, more = (plan(Spec.of(keys(seeds=seeds, **chosen)), registry) for seeds in (2, 4))
    alone = {
        job.id
        for job in few.jobs.values()
        if job.record.analysis in ("block_shuffle", "criticality")
    }
    assert len(alone) == 4
    assert alone <= set(more.jobs)


def test_an_ensemble_is_as_many_pre_trained_networks_as_others_and_of_this_source_only(registry):
    made = plan(
        Spec.of(
            keys(
                sources=["toy/fixed", "chain[base=toy/fixed,on=toy/halves]"],
                seeds=3,
                anatomy={"analyses": ["mistakes"]},
            )
        ),
        registry,
    )
    for job in (job for job in made.jobs.values() if job.kind == "analyse"):
        kinds = [
            cell.record.source == job.record.source
            for role, cell in job.cells.items()
            if role not in ("P-T", "RI-T")
        ]
        assert (kinds.count(True), kinds.count(False)) == (2, 2)
        assert not any(cell.keep for cell in job.cells.values())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"adaptations": ["linear_probe"], "tuning": {"trials": 2}}, "[tuning]"),
        ({"adaptations": ["linear_probe"], "anatomy": {"analyses": ["barrier"]}}, "[anatomy]"),
        (
            {
                "chains": {"bases": ["toy/fixed"], "attribution": "shapley"},
                "tasks": TASKS,
                "references": ["scratch"],
            },
            "chains.attribution",
        ),
    ],
)
def test_a_section_that_changes_nothing_is_noted(registry, change, word):
    assert any(note.startswith(word) for note in plan(Spec.of(keys(**change)), registry).notes)
    assert not plan(
        Spec.of(keys(tuning={"trials": 2}, anatomy={"analyses": ["barrier"]})), registry
    ).notes
