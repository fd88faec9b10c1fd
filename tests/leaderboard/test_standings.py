"""Standings under a filter, and what they admit they cannot tell."""

import math

import pytest

from headwater.leaderboard import Outcome, State
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.gains.standings import letter_span, standings
from headwater.leaderboard.show.short_names import shortened
from headwater.leaderboard.show.standings_table import standings_table
from headwater.registry.errors import QueryError
from tests.facts import missing_facts
from tests.leaderboard.synthetic import (
    CHAIN,
    IMAGENET,
    PHOTO,
    SCRATCH,
    SOURCES,
    TASKS,
    done,
    grid_store,
    job,
    source,
    store_of,
    task,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return grid_store(tmp_path_factory.mktemp("standings") / "s.duckdb")


def one_task(path, gains, seeds=1, **more):
    """A store with one task where sources gain these amounts over scratch at 0.25, give or take 0.01 a seed."""
    sources = (SOURCES[0], *(source(name, scratch=SCRATCH) for name in gains))
    jobs, outcomes = [], []
    for seed in range(seeds):
        for name, gain in {SCRATCH: 0.0, **gains}.items():
            jobs.append(
                job(
                    f"{name}{seed}",
                    name,
                    adaptation="from_scratch" if name == SCRATCH else "fine_tune",
                    seed=seed,
                    **more,
                )
            )
            outcomes.append(
                done(
                    f"{name}{seed}",
                    0.25 + gain + (0.01 * (seed % 2) if name != SCRATCH else 0),
                    more.get("metric", "accuracy"),
                )
            )
    return store_of(path, jobs, outcomes, sources, (task("t"),))


def named(table):
    """The rows of a table, by the names of the columns that programs read."""
    rendered = table.rendered()
    return [dict(zip(rendered.names, row, strict=True)) for row in rendered.values]


def test_the_means_are_those_of_the_view(store):
    found = standings(store, Filter(adaptation="fine_tune", size="50"))
    expected = dict(
        store.sql(
            "SELECT source, gain_abs FROM leaderboard WHERE adaptation = 'fine_tune' AND size = '50' AND reference = 'scratch'"
        ).rows
    )
    assert {row.source: row.gain for row in found.rows} == pytest.approx(expected)
    assert [row.source for row in found.rows] == sorted(
        expected, key=expected.__getitem__, reverse=True
    )


def test_sources_that_are_close_share_a_rank_and_the_distant_one_stands_alone(store):
    ranks = {row.source: row.ranks for row in standings(store).rows}
    assert ranks == {PHOTO: (1, 2), IMAGENET: (1, 2), CHAIN: (3, 3)}


def test_scratch_is_the_line_at_zero_and_has_no_rank(store):
    (last,) = named(standings_table(standings(store)))[-1:]
    assert (last["source"], last["rank_best"], last["gain"], last["best"]) == (
        "(scratch)",
        None,
        0.0,
        None,
    )


def test_scratch_stands_above_sources_that_lose_to_it(tmp_path):
    found = standings(one_task(tmp_path / "s.duckdb", {"good": 0.125, "bad": -0.125}))
    assert [row["source"] for row in named(standings_table(found))] == ["good", "(scratch)", "bad"]
    assert [row.negative for row in found.rows] == [None, None]  # of one seed nothing is known


def test_failures_and_missing_cells_are_counted_and_noted(store):
    found = standings(store)
    row = next(row for row in found.rows if row.source == CHAIN)
    assert (row.cells, row.missing, row.failed, row.tasks) == (34, 2, 2, 3)
    notes = "\n".join(standings_table(found).notes)
    assert "not over the same cells" in notes
    assert "chain(timm/resnet18[random=true]→alphadigits+usps) 2 of 36" in notes
    assert "2 cells failed: headwater status --failed" in notes


def test_what_cannot_be_told_apart_is_noted_with_what_it_takes(store):
    notes = "\n".join(standings_table(standings(store)).notes)
    pair = ("chain(timm/resnet18.a1_in1k→pacs_photo)", "timm/resnet18.a1_in1k")
    assert missing_facts(notes, "cannot be told apart", "95%", *pair, "differ by less than") == []


def test_ties_share_a_letter_and_the_set_of_the_best_is_named(store):
    found = standings(store)
    assert {row.source: row.ties for row in found.rows} == {PHOTO: "a", IMAGENET: "a", CHAIN: "b"}
    assert found.best_set == [PHOTO, IMAGENET]
    assert sum(row.best for row in found.rows) == pytest.approx(1)
    assert found.separation.bound > abs(found.rows[0].gain - found.rows[1].gain)


@pytest.mark.parametrize(
    ("first", "last", "letters"),
    [(0, 0, "a"), (1, 2, "bc"), (0, 2, "abc"), (0, 3, "a–d"), (25, 26, "zaa"), (701, 702, "zzaaa")],
)
def test_letters_of_tie_groups(first, last, letters):
    assert letter_span(first, last) == letters


def test_two_readings_of_a_gain_and_only_one_below_three_families(store):
    row = standings(store).rows[0]
    assert row.on_these[0] < row.gain < row.on_these[1]
    assert row.like_these[1] - row.like_these[0] > row.on_these[1] - row.on_these[0]
    fewer = standings(store, Filter(task="pacs_sketch,rsscn7"))
    assert fewer.rows[0].like_these is None
    assert fewer.rows[0].on_these is not None
    assert any(note.startswith("2 families") for note in standings_table(fewer).notes)


def test_a_source_measured_on_the_easy_target_only_does_not_lead(tmp_path):
    """The audit's case: +0.505 on the easy target alone is worse than +0.555 there and two hard ones."""
    sources = (SOURCES[0], source("easy", scratch=SCRATCH), source("all", scratch=SCRATCH))
    gains = {("easy", "t"): 0.505, ("all", "t"): 0.555, ("all", "u"): 0.11, ("all", "v"): 0.11}
    jobs, outcomes = [], []
    for where in "tuv":
        jobs.append(job(f"r{where}", SCRATCH, where, "from_scratch"))
        outcomes.append(done(f"r{where}", 0.25))
    for (name, where), gain in gains.items():
        jobs.append(job(f"{name}{where}", name, where))
        outcomes.append(done(f"{name}{where}", 0.25 + gain))
    targets = tuple(task(where) for where in "tuv")
    found = standings(store_of(tmp_path / "s.duckdb", jobs, outcomes, sources, targets))
    assert [row.source for row in found.rows] == ["all", "easy"]
    by_source = {row.source: row for row in found.rows}
    assert by_source["all"].gain - by_source["easy"].gain == pytest.approx(0.05)


def test_one_seed_of_one_task_claims_nothing(tmp_path):
    found = standings(one_task(tmp_path / "s.duckdb", {"a": 0.5, "b": 0.125}))
    assert [(row.on_these, row.ranks, row.ties) for row in found.rows] == [
        (None, (1, 2), ""),
        (None, (1, 2), ""),
    ]
    assert any("no interval" in note for note in standings_table(found).notes)


def test_missing_references_are_noted(tmp_path):
    store = one_task(tmp_path / "s.duckdb", {"a": 0.5, "b": 0.125}, seeds=2)
    store.plan("run-1", [], reset=())
    store.plan("run-1", [job("more", "a", seed=7)])
    store.record([done("more", 0.5)])
    found = standings(store)
    assert {row.source: row.unpaired for row in found.rows} == {"a": 1, "b": 0}
    (note,) = [note for note in standings_table(found).notes if "scratch reference" in note]
    assert missing_facts(note, "1 cells", 'headwater query "FROM unpaired"') == []


def test_unlike_metrics_are_averaged_as_normalised_gains(tmp_path):
    sources = (SOURCES[0], source("a", scratch=SCRATCH))
    jobs = [
        job("r1", SCRATCH, "t", "from_scratch"),
        job("a1", "a", "t"),
        job("r2", SCRATCH, "u", "from_scratch", metric="rmse", sign=-1),
        job("a2", "a", "u", metric="rmse", sign=-1),
    ]
    outcomes = [done("r1", 0.25), done("a1", 0.5), done("r2", 8.0, "rmse"), done("a2", 4.0, "rmse")]
    found = standings(
        store_of(tmp_path / "s.duckdb", jobs, outcomes, sources, (task("t"), task("u")))
    )
    assert found.is_mixed
    assert found.rows[0].gain == pytest.approx((0.25 / 0.5 + math.log(8 / 4)) / 2)
    table = standings_table(found)
    assert table.columns[4].heading == "gain over scratch (normalised) ↑"
    assert table.title.endswith("accuracy ↑, rmse ↓")
    (note,) = [note for note in table.notes if note.startswith("scratch at equal budget")]
    assert missing_facts(note, "t accuracy ↑ 0.250", "u rmse ↓ 8.000") == []


def test_mixed_training_budgets_are_noted(tmp_path):
    jobs = [
        job(f"{name}{protocol}", name, adaptation=how, protocol=protocol)
        for protocol in "xy"
        for name, how in ((SCRATCH, "from_scratch"), (IMAGENET, "fine_tune"))
    ]
    store = store_of(
        tmp_path / "s.duckdb",
        jobs,
        [done(record.job, 0.25 + (record.source == IMAGENET) / 2) for record in jobs],
        tasks=(task("t"),),
    )
    assert any(
        note.startswith("2 protocols of one task")
        for note in standings_table(standings(store)).notes
    )


@pytest.mark.parametrize(
    ("wanted", "tasks", "adaptations", "sizes"),
    [
        (Filter(task="pacs_*"), {"pacs_sketch"}, {"fine_tune", "linear_probe"}, {"50", "full"}),
        (
            Filter(task="pacs_sketch,rsscn7", size="full"),
            {"pacs_sketch", "rsscn7"},
            {"fine_tune", "linear_probe"},
            {"full"},
        ),
        (Filter(adaptation="lin*", size="small"), set(TASKS), {"linear_probe"}, {"50"}),
        (Filter(domain="aerial", size="50"), {"rsscn7"}, {"fine_tune", "linear_probe"}, {"50"}),
    ],
)
def test_filters_keep_what_they_name(store, wanted, tasks, adaptations, sizes):
    gains = standings(store, wanted).gains
    assert (set(gains["task"]), set(gains["adaptation"]), set(gains["size"])) == (
        tasks,
        adaptations,
        sizes,
    )


def test_a_filter_that_leaves_nothing_says_what_there_is(store):
    with pytest.raises(QueryError) as caught:
        standings(store, Filter(task="rsscn8"))
    assert caught.value.message.endswith("matches --task rsscn8. Did you mean rsscn7?")
    assert caught.value.hint == "There is task: pacs_sketch, plantvillage_apple, rsscn7."


def test_a_store_without_gains_says_why(tmp_path):
    store = store_of(
        tmp_path / "s.duckdb",
        [job("a", IMAGENET), job("b", IMAGENET, seed=1)],
        [done("a", 0.5), Outcome("b", State.FAILED)],
    )
    with pytest.raises(QueryError, match=r"no gain .* 1 cells failed, 1 lack"):
        standings(store)


def test_over_the_base_only_chains_are_ranked(store):
    assert {row.source for row in standings(store, reference="base").rows} == {PHOTO, CHAIN}


def test_chains_are_shortened_unless_two_would_read_the_same():
    assert shortened([PHOTO, IMAGENET]) == {
        PHOTO: "chain(timm/resnet18.a1_in1k→pacs_photo)",
        IMAGENET: IMAGENET,
    }
    nested = f"chain[base={PHOTO},on=folder/b+hf/org/c]"
    assert shortened([nested])[nested] == "chain(chain(timm/resnet18.a1_in1k→pacs_photo)→b+c)"
    twins = ["chain[base=x,on=hf/a/d]", "chain[base=x,on=hf/b/d]"]
    assert shortened(twins) == {name: name for name in twins}


def test_gains_are_over_converged_scratch_where_every_cell_has_it(tmp_path):
    converged = "from_scratch[converge=16]"
    jobs = [
        job("cell", IMAGENET, converged=converged),
        job("scratch", SCRATCH, adaptation="from_scratch", converged=converged),
        job("converged", SCRATCH, adaptation=converged, control=converged, converged=converged),
    ]
    values = {"cell": 0.75, "scratch": 0.25, "converged": 0.5}
    outcomes = {
        name: done(name, value, choice={"rising": name != "converged"})
        for name, value in values.items()
    }
    store = store_of(tmp_path / "s.duckdb", jobs, [outcomes["cell"], outcomes["scratch"]])
    at_budget = standings(store)
    assert (at_budget.reference, at_budget.rows[0].gain) == ("scratch", 0.5)
    assert any(
        "1 of 1" in note and "--reference" in note for note in standings_table(at_budget).notes
    )
    store.record([outcomes["converged"]])
    found = standings(store)
    assert (found.reference, found.rows[0].gain) == ("converged", 0.25)
    assert not any("unconverged" in note for note in standings_table(found).notes)
    assert standings(store, reference="scratch").rows[0].gain == 0.5
    # A cell that has no such reference: then all gains are at equal budget, and none is left out.
    store.plan("run-1", [job("other", CHAIN, converged=converged, seed=1)])
    store.plan("run-1", [job("more", SCRATCH, adaptation="from_scratch", seed=1)])
    store.record([done("other", 0.5), done("more", 0.25)])
    assert standings(store).reference == "scratch"


def test_targets_of_one_family_count_once(tmp_path):
    """Four domains of one data set are one family: nothing is said of other targets."""
    sources = (SOURCES[0], source("a", scratch=SCRATCH), source("b", scratch=SCRATCH))
    gains = {"p": 0.1, "q": 0.1, "r": 0.1, "other": 0.4}
    jobs, outcomes = [], []
    for where, gain in gains.items():
        for seed in range(2):
            jobs.append(job(f"r{where}{seed}", SCRATCH, where, "from_scratch", seed=seed))
            outcomes.append(done(f"r{where}{seed}", 0.25))
            for name in "ab":
                jobs.append(job(f"{name}{where}{seed}", name, where, seed=seed))
                outcomes.append(done(f"{name}{where}{seed}", 0.25 + gain + seed / 100))
    targets = tuple(task(where, family="" if where == "other" else "pacs") for where in gains)
    found = standings(store_of(tmp_path / "s.duckdb", jobs, outcomes, sources, targets))
    assert found.rows[0].gain == pytest.approx((0.1 + 0.4) / 2 + 0.005)
    assert (found.board.family_count, found.rows[0].like_these) == (2, None)
    assert standings_table(found).title.startswith("4 targets in 2 families")
