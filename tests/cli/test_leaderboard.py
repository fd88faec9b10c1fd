import json
import re

import pytest
from click.testing import CliRunner

from headwater.harness.cli.leaderboard_verb import command
from headwater.registry.errors import BadName, QueryError, StoreMissing
from tests.facts import missing_facts
from tests.leaderboard.judged import judged_store
from tests.leaderboard.synthetic import CHAIN, IMAGENET, PHOTO, grid_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(grid_store(tmp_path_factory.mktemp("leaderboard") / "s.duckdb").path)


def leaderboard(*arguments, columns="120"):
    return CliRunner(env={"COLUMNS": columns}).invoke(command, arguments)


def test_it_prints_ranks_gains_and_failures(store):
    result = leaderboard("--store", store, columns="200")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    head = "rank source gain over scratch ↑ like these against the mean source P(best) ties P(neg) tasks cells failed s/cell pacs_sketch"
    assert lines[2] == head.split()
    assert [line[:2] for line in lines[4:7]] == [
        ["1–2", "chain(timm/resnet18.a1_in1k→pacs_photo)"],
        ["1–2", IMAGENET],
        ["3", "chain(timm/resnet18[random=true]→alphadigits+usps)"],
    ]
    assert lines[7][0] == "(scratch)"
    assert "cannot be told apart" in result.stderr


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_rank_source_and_gain_fit_any_terminal(store, columns):
    result = leaderboard("--store", store, columns=columns)
    assert max(map(len, result.stdout.splitlines())) <= int(columns)
    assert "+0.247 ± 0.0" in result.stdout


def test_json_has_every_column_raw_and_names_whole(store):
    rows = json.loads(leaderboard("--store", store, "--format", "json", columns="60").stdout)
    assert [row["source"] for row in rows] == [PHOTO, IMAGENET, CHAIN, "(scratch)"]
    assert (rows[0]["rank_best"], rows[0]["rank_worst"], rows[2]["failed"], rows[2]["missing"]) == (
        1,
        2,
        2,
        2,
    )
    assert rows[0]["low"] < rows[0]["gain"] < rows[0]["high"]
    assert {"pacs_sketch", "plantvillage_apple", "rsscn7"} <= set(rows[0])


@pytest.mark.parametrize(
    ("sort", "first"),
    [("name", PHOTO), ("failed", CHAIN), ("gain", PHOTO), ("rank", PHOTO), ("seconds", CHAIN)],
)
def test_it_sorts(store, sort, first):
    assert (
        json.loads(leaderboard("--store", store, "--sort", sort, "--format", "json").stdout)[0][
            "source"
        ]
        == first
    )


def test_filters_narrow_it(store):
    arguments = (
        "--task",
        "rsscn7",
        "--adaptation",
        "fine_tune",
        "--size",
        "small",
        "--domain",
        "aerial",
    )
    rows = json.loads(leaderboard("--store", store, *arguments, "--format", "json").stdout)
    assert {row["cells"] for row in rows} == {3}


def test_a_size_that_is_none_is_refused(store):
    result = leaderboard("--store", store, "--size", "tiny")
    assert result.exit_code == 2
    assert missing_facts(result.stderr, "'tiny'", "small", "full", "number") == []


def test_a_filter_without_cells_and_a_missing_store_are_errors(store, tmp_path):
    assert isinstance(leaderboard("--store", store, "--domain", "medical").exception, QueryError)
    assert isinstance(leaderboard("--store", str(tmp_path / "none.duckdb")).exception, StoreMissing)


def test_by_scenario_shows_both_references_side_by_side(store):
    result = leaderboard("--store", store, "--by", "scenario", columns="100")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[2][:9] == ["scenario", "gain", "over", "scratch", "↑", "gain", "over", "base", "↑"]
    assert [line[0] for line in lines[4:10]] == [
        "including",
        "cross-domain",
        "multi-source",
        "small-target",
        "full-target",
        "larger-to-smaller",
    ]
    assert "rows are not ranked" in result.stderr


@pytest.mark.parametrize("by", ["scenario", "adaptation", "domain"])
def test_filters_and_formats_hold_for_groups(store, by):
    arguments = (
        "--task",
        "rsscn7",
        "--size",
        "50",
        "--scenario",
        "larger-to-smaller",
        "--adaptation",
        "fine_tune",
        "--sort",
        "name",
    )
    rows = json.loads(
        leaderboard("--store", store, "--by", by, *arguments, "--format", "json").stdout
    )
    assert max(row["cells"] for row in rows) == 9
    assert [row[by] for row in rows] == sorted(row[by] for row in rows)


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_groups_fit_any_terminal(store, columns):
    result = leaderboard("--store", store, "--by", "domain", columns=columns)
    assert max(map(len, result.stdout.splitlines())) <= int(columns)
    assert "sketches" in result.stdout


def test_a_scenario_narrows_the_standings(store):
    rows = json.loads(
        leaderboard(
            "--store", store, "--scenario", "multi-source,small-target", "--format", "json"
        ).stdout
    )
    assert [(row["source"], row["cells"]) for row in rows] == [(CHAIN, 18), ("(scratch)", 18)]


def test_attribution_needs_chains_on_fewer_tasks_and_no_groups(store):
    result = leaderboard("--store", store, "--attribution")
    assert isinstance(result.exception, QueryError)
    assert "alphadigits" in result.exception.hint
    assert leaderboard("--store", store, "--attribution", "--by", "domain").exit_code == 2


# -- selectors ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    return str(judged_store(tmp_path_factory.mktemp("judged") / "s.duckdb").path)


SOME = "random,largest,prior,logme,search"


def test_selectors_are_judged_by_regret_with_ties_marked(judged):
    result = leaderboard("--store", judged, "--selectors", SOME, "--size", "150", columns="100")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0 and max(map(len, result.stdout.splitlines())) <= 100
    assert lines[2] == ["selector", "regret@1", "(%)", "Rel@1", "τ_w", "cost", "(%)", "stable"]
    assert lines[4][:4] == ["=", "logme", "0.0", "[0.0,"] and lines[4][-2:] == ["4.0", "1.00"]
    assert [line[0] for line in lines[7:9]] == ["random", "largest"]
    assert re.search("logme, the best .* against prior, ", result.stderr)
    assert re.search("regret@1 .* 1% .* 10% of the cost: logme", result.stderr)


def test_selectors_in_json_have_every_figure_and_what_was_refused(judged):
    result = leaderboard("--store", judged, "--selectors", f"{SOME},gbc", "--format", "json")
    rows = {row["selector"]: row for row in json.loads(result.stdout)}
    assert set(rows) == set(SOME.split(","))  # gbc has no scores here: a note says so
    assert "not judged: gbc" in result.stderr
    figures = {
        "regret1",
        "regret3",
        "rel1",
        "rel3",
        "weighted_tau",
        "kendall",
        "spearman",
        "pearson",
        "recall3",
    }
    assert figures | {f"{name}_low" for name in figures} <= set(rows["logme"])
    assert (
        rows["logme"]["looks_at_target"],
        rows["prior"]["looks_at_target"],
        rows["prior"]["share"],
    ) == (True, False, 0)
    assert rows["random"]["behind_low"] > 0 and set(rows["logme"]["stability_by"]) == {"seed"}


def test_a_users_own_selector_is_judged_beside_the_others(judged, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import headwater as hw\n@hw.selector('lab/mine')\ndef mine(question):\n"
        "    return {source.name: -(source.images or 0) for source in question.sources}\n"
    )
    result = leaderboard(
        "--store",
        judged,
        "--selectors",
        "lab/*",
        "--plugin",
        str(tmp_path / "mine.py"),
        "--format",
        "json",
    )
    assert [row["selector"] for row in json.loads(result.stdout)] == ["lab/mine"]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_regret_against_cost_is_drawn_the_same_twice(judged, tmp_path, ending):
    pytest.importorskip("matplotlib")
    drawn = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.{ending}"
        result = leaderboard(
            "--store", judged, "--selectors", SOME, "--size", "150", "--plot", str(path)
        )
        assert result.exit_code == 0 and f"wrote {path}" in result.stderr
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1] and len(drawn[0]) > 1000
    if ending == "svg":
        assert all(f">{name}<" in drawn[0].decode() for name in SOME.split(","))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--selectors", "--by", "scenario"), "--by"),
        (("--plot", "x.png"), "go with --selectors"),
        (("--selectors", "--budget", "2"), "is not in the range"),
    ],
)
def test_options_that_do_not_go_with_selectors_are_refused(judged, arguments, says):
    result = leaderboard("--store", judged, *arguments)
    assert result.exit_code == 2 and says in result.stderr


def test_a_plot_of_another_ending_is_refused_before_any_work(judged):
    result = leaderboard("--store", "nowhere.duckdb", "--selectors", "--plot", "x.txt")
    assert isinstance(result.exception, BadName) and ".png" in result.exception.hint


def test_a_budget_of_nothing_leaves_search_with_its_start(judged):
    rows = json.loads(
        leaderboard(
            "--store", judged, "--selectors", "search", "--budget", "0", "--format", "json"
        ).stdout
    )
    assert rows[0]["share"] <= 0.05  # features and scores only
